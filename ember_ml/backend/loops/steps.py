"""The steps that are no elementwise loops: parts joined, places read and written, and loops over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ember_ml.backend.loops.nests import Nest, along
from ember_ml.backend.loops.places import Local, Place
from ember_ml.backend.loops.printer import Printer, dtype_of, spec_of_argument
from ember_ml.backend.loops.products import add_term, matmul
from ember_ml.backend.loops.schedule import part_indices
from ember_ml.backend.loops.table import Unsayable, literal
from ember_ml.core.graph import Step, Var
from ember_ml.core.rules import axis_or_only


def concat(printer: Printer, step: Step) -> None:
    """Print the copies of those parts that were not written in their places at once."""
    out = step.outs[0]
    whole = printer.values.get(out) or printer.room(out)
    assert isinstance(whole, Place)
    for x, index in zip(step.args[0], part_indices(step), strict=True):
        part, value = whole.indexed(index), printer.value(x)
        if value != part:
            printer.copy(value, part, out.spec.dtype, dtype_of(x))


def slice_update(printer: Printer, step: Step) -> None:
    """Print a copy, and the writing over a region of it."""
    x, updates = step.args
    out = step.outs[0]
    source, new = printer.value(x), printer.number_or_value(updates, out.spec.dtype)
    whole = printer.room(out)
    printer.copy(source, whole, out.spec.dtype, dtype_of(x))
    dtype = out.spec.dtype if isinstance(updates, bool | int | float) else dtype_of(updates)
    printer.copy(new, whole.indexed(step.attrs["index"]), out.spec.dtype, dtype)


def take(printer: Printer, step: Step) -> None:
    """Print the loops that fetch slices by their indices."""
    source, indices = step.args
    out = step.outs[0]
    x, at = printer.place(source), printer.place(indices)
    _gathered(printer, step, x, at, printer.room(out), "{out} = {x}")


def index_add(printer: Printer, step: Step) -> None:
    """Print a copy, and the loops that add to slices by their indices."""
    x, indices, updates = step.args
    out = step.outs[0]
    source, at = printer.value(x), printer.place(indices)
    new = printer.number_or_value(updates, out.spec.dtype)
    axis = axis_or_only(spec_of_argument(x), step.attrs["axis"])
    shape = (*out.spec.shape[:axis], *at.shape, *out.spec.shape[axis + 1 :])
    if isinstance(new, Local):
        room = printer.scratch(shape, out.spec.dtype)
        printer.fill(room, new.text)
        new = room
    elif dtype_of(updates) != out.spec.dtype:
        raise Unsayable("updates of another dtype")
    whole = printer.room(out)
    printer.copy(source, whole, out.spec.dtype, dtype_of(x))
    _gathered(printer, step, whole, at, new.stretched(shape), "{x} = {x} + {out}")


def _gathered(printer: Printer, step: Step, x: Place, indices: Place, region: Place, form: str) -> None:
    """Print `form` of each element of `region` and the element of `x` that the indices point it to."""
    axis, ndim = axis_or_only(spec_of_argument(step.args[0]), step.attrs["axis"]), len(indices.shape)
    after = len(x.shape) - axis - 1
    shape = region.shape
    pointers = Place(
        *(indices.buffer, shape, (*(0,) * axis, *indices.strides, *(0,) * after)),
        *(indices.start, indices.turns),
    )
    rest = (*x.strides[:axis], *(0,) * ndim, *x.strides[axis + 1 :])
    at = printer.program.name("p")
    aimed = Place(x.buffer, shape, rest, x.start, (*x.turns, (at, 1)))
    places = [along(p, shape) for p in (region, pointers, aimed)]
    nest = Nest(places[0].shape, places)
    nest.before[nest.depth(places[1])].append(
        f"{at} = inside({nest.element(places[1])}, {x.shape[axis]}) * {x.strides[axis]}"
    )
    nest.body.append(form.format(out=nest.element(places[0]), x=nest.element(places[2])))
    printer.program.add(*nest.lines())


def scan(printer: Printer, step: Step) -> None:
    """Print a loop over time around the body's steps. What nobody reads of each turn is not kept."""
    body, consts, carry = (step.attrs[k] for k in ("body", "consts", "carry"))
    fixed, first, rows = (
        step.args[:consts],
        step.args[consts : consts + carry],
        step.args[consts + carry :],
    )
    values = {v: printer.number_or_value(x, v.spec.dtype) for v, x in zip(body.inputs, fixed, strict=False)}
    stacks = [printer.place(x) for x in rows]
    state = [_started(printer, x, out) for x, out in zip(first, step.outs, strict=False)]
    sums = [(printer.room(out), terms) for out, terms in printer.schedule.sums.taken.get(step, ())]
    for total, terms in sums:
        printer.fill(total, literal(0, terms[0].columns.spec.dtype))
    made = zip(step.outs[carry:], body.outputs[carry:], strict=True)
    made = [(printer.room(v), v, x) for v, x in made if v in printer.schedule.stored]
    turn = printer.program.name("t")
    kept = [column.row(turn) for column, _, _ in made]
    wanted = {x: p for (_, _, x), p in zip(made, kept, strict=True) if type(x) is Var}
    values |= zip(body.inputs[consts:], [*state, *(s.row(turn) for s in stacks)], strict=True)
    inner = Printer(printer.program, body, values, wanted)
    _pack(inner, body.inputs[:consts])
    length = step.attrs["length"]
    printer.open_loop(f"range({length - 1}, -1, -1)" if step.attrs["reverse"] else f"range({length})", turn)
    inner.write()
    inner.deliver([x for _, _, x in made], kept, [v for _, v, _ in made])
    for total, terms in sums:
        for term in terms:
            add_term(inner, term, total)
    inner.deliver(body.outputs[:carry], state, step.outs[:carry])
    printer.program.depth -= 1


def _started(printer: Printer, x: Any, out: Var) -> Place:
    """Return the place of a carry, with what it begins with in it."""
    source, place = printer.number_or_value(x, out.spec.dtype), printer.room(out)
    printer.copy(source, place, out.spec.dtype, out.spec.dtype)
    return place


def _pack(printer: Printer, fixed: Sequence[Var]) -> None:
    """Lay matrices that stay the same row by row, as BLAS wants them on the right of a product."""
    for step in printer.graph.steps:
        right = step.args[1] if step.op.name == "matmul" else None
        if type(right) is Var and right.spec.ndim == 2 and printer.schedule.root(right)[0] in fixed:
            value = printer.value(right)
            if isinstance(value, Place) and (value.matrix() or (0, 0, 0))[2]:
                printer.values[right] = printer.dense(value, right.spec.dtype, lasting=True)


WRITERS: dict[str, Callable[[Printer, Step], None]] = {
    "matmul": matmul,
    "concat": concat,
    "stack": concat,
    "slice_update": slice_update,
    "take": take,
    "index_add": index_add,
    "flat_scan": scan,
}
