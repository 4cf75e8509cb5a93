"""A graph printed as one function of plain loops, for Numba to compile (extra `speed`). It is meant to be read.

Elementwise steps and reductions share nests (see `loop_schedule`); views cost nothing (see `loop_places`); matrix
products are BLAS's; a scan is a loop around its body. Intermediate values lie in one work array a dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ember_ml.backend.loop_nests import Nest, along, filled
from ember_ml.backend.loop_places import Local, Place, row_strides
from ember_ml.backend.loop_schedule import VIEWS, Schedule, Unit, reduced_axes, without_ones
from ember_ml.backend.loop_sums import Term
from ember_ml.backend.loop_table import DTYPES, REDUCTIONS, WHOLE, Unsayable, cast, element, literal
from ember_ml.core.dtypes import DType, as_dtype
from ember_ml.core.graph import Graph, Step, Var
from ember_ml.core.rules import as_axes, as_axis, axis_or_only
from ember_ml.core.spec import Spec, spec_of

Value = Place | Local
SMALL = 512  # multiplications below which a matrix product is loops


class Program:
    """The text so far, and what it needs: work arrays by dtype, and constant arrays."""

    def __init__(self):
        self.lines: list[str] = []
        self.work: dict[str, int] = {}
        self.constants: list[np.ndarray] = []
        self.products: set[str] = set()  # the dtypes of which there are matrix products
        self.depth = 1
        self.names = 0

    def add(self, *lines: str) -> None:
        """Write lines at the depth where the text stands."""
        self.lines += ["    " * self.depth + line for line in lines]

    def name(self, letter: str) -> str:
        """Return a name that nothing has."""
        self.names += 1
        return f"{letter}{self.names}"

    def room(self, shape: Sequence[int], dtype: DType) -> Place:
        """Return a place of a work array that nothing has."""
        start = self.work.get(dtype, 0)
        self.work[dtype] = start + -(-math.prod(shape) // 16) * 16
        return Place(f"work_{dtype}", tuple(shape), row_strides(shape), start)

    def constant(self, array: Any) -> Place:
        """Return the place of an array that the program holds."""
        host = np.ascontiguousarray(array)
        if as_dtype(host.dtype) not in DTYPES or not host.size:
            raise Unsayable(f"an array of {host.dtype} {host.shape}")
        known = next((i for i, c in enumerate(self.constants) if c is array), len(self.constants))
        if known == len(self.constants):
            self.constants.append(array if array is host else host)
        return Place(f"c{known}", host.shape, row_strides(host.shape))


class Printer:
    """Prints one graph into a program. `values` are where its inputs lie, `wanted` where results should."""

    def __init__(self, program: Program, graph: Graph, values: dict[Var, Value], wanted: dict[Var, Place]):
        self.program, self.graph, self.values = program, graph, values
        self.schedule = Schedule(graph)
        self.letter = program.name("v") + "_" if program.names else "v"
        self.wanted: dict[Var, Callable[[], Place | None]] = {}
        for var, place in wanted.items():
            self._want(var, lambda place=place: place)
        for step in graph.steps:
            if step.op.name in ("concat", "stack"):
                self._want_parts(step)

    def print(self) -> None:
        """Write the steps."""
        for number, unit in enumerate(self.schedule.units):
            if unit.shape is not None:
                self._nest(unit, number)
                continue
            step = unit.steps[0]
            write = _CALLS.get(step.op.name)
            if write is None:
                raise Unsayable(f"the op {step.op.name}")
            self._say(step)
            write(self, step)

    def _say(self, step: Step) -> None:
        made = "; ".join(f"{self.letter}{v.index}: {v.spec}" for v in step.outs)
        self.program.add(f"# {step.op.name} -> {made}")

    # Where values are

    def value(self, x: Any) -> Value:
        """Return where a variable or an array lies; prints a copy for a reshaped view that takes one."""
        if type(x) is not Var:
            return self.program.constant(x)
        if x not in self.values:
            step = self.schedule.makers[x]
            self.values[x] = self._created(step) if step.op.creates else self._viewed(step)
        return self.values[x]

    def place(self, x: Any) -> Place:
        """Return where an argument lies in memory, and put it there if it does not."""
        if type(x) in (bool, int, float):
            raise Unsayable(f"the number {x} as an array")
        value = self.value(x)
        if isinstance(value, Place):
            return value
        self.values[x] = room = self.program.room(x.spec.shape, x.spec.dtype)
        self.fill(room, value.text)
        return room

    def room(self, var: Var) -> Place:
        """Return the place for a new value, where it is wanted if somewhere."""
        place = self.wanted[var]() if var in self.wanted else None
        place = place or self.program.room(var.spec.shape, var.spec.dtype)
        self.values[var] = place
        return place

    def fill(self, place: Place, text: str) -> None:
        """Print the loops that write one number all over a place."""
        self.program.add(*filled(place, lambda nest: text, (), ""))

    def copy(self, value: Value, place: Place, dtype: DType, source: DType) -> None:
        """Print the loops that write a value, broadcast and cast, into a place."""
        if isinstance(value, Local):
            self.fill(place, cast(value.text, source, dtype))
            return
        seen = value.stretched(place.shape)
        lines = filled(
            place, lambda nest: cast(nest.element(along(seen, place.shape)), source, dtype), [seen], ""
        )
        self.program.add(*lines)

    def dense(self, place: Place, dtype: DType) -> Place:
        """Return a copy of a value row by row without gaps."""
        room = self.program.room(place.shape, dtype)
        self.copy(place, room, dtype, dtype)
        return room

    def _created(self, step: Step) -> Value:
        var = step.outs[0]
        if step.op.name in ("zeros", "ones", "full"):
            number = step.attrs.get("fill_value", int(step.op.name == "ones"))
            return Local(literal(number, var.spec.dtype))
        made = step.op.apply(*step.args, **{**step.attrs, "like": np.zeros(())})
        return self.program.constant(np.asarray(made, dtype=var.spec.dtype))

    def _viewed(self, step: Step) -> Value:
        value, name, attrs = self.value(step.args[0]), step.op.name, step.attrs
        shape, ndim = step.outs[0].spec.shape, len(step.args[0].spec.shape)
        if isinstance(value, Local) or name == "stop_gradient":
            return value
        if name == "permute_dims":
            return value.permuted(as_axes(tuple(attrs["axes"]), ndim))
        if name == "matrix_transpose":
            return value.permuted((*range(ndim - 2), ndim - 1, ndim - 2))
        if name == "broadcast_to":
            return value.stretched(shape)
        if name == "getitem":
            return value.indexed(attrs["index"])
        if name == "flip":
            return value.flipped(as_axes(attrs["axis"], ndim))
        seen = value.reshaped(shape)
        if seen is None:
            self._say(step)
            seen = self.dense(value, step.outs[0].spec.dtype).reshaped(shape)
        assert seen is not None  # a dense value has every shape
        return seen

    def _want(self, var: Any, find: Callable[[], Place | None]) -> None:
        """Let what `var` is a view of be written such that `var` comes to lie in the place that `find` gives."""
        chain = []
        while (step := self.schedule.makers.get(var)) is not None and step.op.name in VIEWS:
            if step.op.name not in ("permute_dims", "matrix_transpose", "reshape", "stop_gradient"):
                return
            chain.append(step)
            var = step.args[0]
        if var not in self.schedule.homes or var in self.wanted:
            return

        def found() -> Place | None:
            place = find()
            for step in chain:
                if place is not None:
                    place = _undone(step, place)
            return place

        self.wanted[var] = found

    def _want_parts(self, step: Step) -> None:
        def part(index: tuple) -> Place:
            out = step.outs[0]
            whole = self.values[out] if out in self.values else self.room(out)
            assert isinstance(whole, Place)
            return whole.indexed(index)

        for x, index in zip(step.args[0], _part_indices(step), strict=True):
            if type(x) is Var and x.spec.dtype == step.outs[0].spec.dtype:
                self._want(x, lambda index=index: part(index))

    # Nests

    def _nest(self, unit: Unit, number: int) -> None:
        reads, values = {}, {}
        for step in unit.steps:
            wide = step.args[0].spec.shape if step.op.name in REDUCTIONS else step.outs[0].spec.shape
            for a in step.args:
                if type(a) in (bool, int, float):
                    continue
                if (inner := self.schedule.within(a, number)) is not None:
                    values[a] = self.letter + str(inner.index)
                elif isinstance(value := self.value(a), Local):
                    values[_key(a)] = value.text
                else:
                    reads[_key(a), wide] = along(value, wide)
        reductions = [s for s in unit.steps if s.op.name in REDUCTIONS]
        axes = {s: frozenset(reduced_axes(s)) for s in reductions}
        writes = {
            v: along(self.room(v), v.spec.shape)
            for s in unit.steps
            if s not in axes
            for v in s.outs
            if v in self.schedule.stored and (unit.shape or v in self.wanted)
        }
        totals = {s: self._total(s, unit.shape or (), axes[s]) for s in reductions}
        held = [*reads.values(), *writes.values(), *(p for p in totals.values() if p is not None)]
        nest = Nest(unit.shape or (), held, list(axes.values()))
        for (name, wide), place in reads.items():
            values[name, wide] = local = self.program.name("x")
            nest.before[nest.depth(place)].append(f"{local} = {nest.element(place)}")
        at_elements = nest.before[-1]
        nest.before[-1], nest.body = [], [*at_elements]
        for step in unit.steps:
            if step in axes:
                self._reduce(nest, step, values, totals[step], axes[step])
                continue
            var = step.outs[0]
            nest.body.append(f"{self.letter}{var.index} = {self._element(step, values)}")
            if var in writes:
                nest.body.append(f"{nest.element(writes[var])} = {self.letter}{var.index}")
            elif not unit.shape:
                self.values[var] = Local(f"{self.letter}{var.index}")
        self.program.add(*nest.lines(""))

    def _element(self, step: Step, values: dict) -> str:
        wide, result = step.outs[0].spec.shape, step.outs[0].spec.dtype
        arrays = [a for a in step.args if type(a) not in (bool, int, float)]
        chosen = arrays[1:] if step.op.name == "where" and arrays[:1] == list(step.args[:1]) else arrays
        meeting = result if step.op.name == "where" or not chosen else _dtype(chosen[0])
        given = []
        for a in step.args:
            if type(a) in (bool, int, float):
                given.append((literal(a, meeting), meeting))
            else:
                given.append((_found(values, a, wide), _dtype(a)))
        return element(step.op.name, given, result)

    def _total(self, step: Step, shape: tuple[int, ...], axes: frozenset[int]) -> Place | None:
        """Return where a reduction goes, with the axes of its nest; None for a single number."""
        var = step.outs[0]
        if without_ones(var.spec.shape) == ():
            return None
        place = along(self.room(var), var.spec.shape)
        kept = iter(place.strides)
        strides = tuple(0 if a in axes else next(kept) for a in range(len(shape)))
        return Place(place.buffer, shape, strides, place.start, place.turns)

    def _reduce(self, nest: Nest, step: Step, values: dict, total: Place | None, axes: frozenset[int]) -> None:
        x, var = step.args[0], step.outs[0]
        rule = REDUCTIONS[step.op.name]
        first = rule.first(var.spec.dtype)
        given = cast(_found(values, x, x.spec.shape), x.spec.dtype, var.spec.dtype)
        kept = nest.suffix(axes)
        if kept is None:
            assert total is not None  # without an axis left, every loop is innermost
            self.fill(self.values[var], first)  # pyright: ignore[reportArgumentType]
            so_far = nest.element(total)
        else:
            so_far = self.letter + str(var.index)
            nest.before[kept].append(f"{so_far} = {first}")
            if total is None:
                self.values[var] = Local(so_far)
            else:
                nest.after[kept].append(f"{nest.element(total)} = {so_far}")
        text = rule.following.format(so_far, given)
        text = f"np.{var.spec.dtype}({text})" if var.spec.dtype in WHOLE else text
        nest.body.append(f"{so_far} = {text}")

    # Single steps

    def _matmul(self, step: Step) -> None:
        out = step.outs[0]
        dtype = out.spec.dtype
        if dtype.kind != "float" or any(_dtype(a) != dtype for a in step.args):
            raise Unsayable(f"a matrix product of {dtype}")
        a, b = map(self.place, step.args)
        made = self.room(out)
        a = a if len(a.shape) > 1 else _reshaped(a, (1, *a.shape))
        b = b if len(b.shape) > 1 else _reshaped(b, (*b.shape, 1))
        full = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        target = made.reshaped(full)
        if math.prod(b.shape[:-2]) == 1:  # one product over all rows instead of a stack
            rows = (math.prod(full[:-1]), full[-1])
            left = a.reshaped((rows[0], a.shape[-1]))
            if left is None:
                left = _reshaped(self.dense(a, dtype), (rows[0], a.shape[-1]))
            flat = None if target is None else target.reshaped(rows)
            found = flat or self.program.room(rows, dtype)
            self._product(left, _reshaped(b, b.shape[-2:]), found, dtype)
        else:
            found = target or self.program.room(full, dtype)
            self._stacked_product(a, b, found, full[:-2], dtype)
        if (found.buffer, found.start) != (made.buffer, made.start):
            self.copy(_reshaped(found, made.shape), made, dtype, dtype)

    def _stacked_product(self, a: Place, b: Place, c: Place, lead: tuple[int, ...], dtype: DType) -> None:
        a, b = a.stretched((*lead, *a.shape[-2:])), b.stretched((*lead, *b.shape[-2:]))
        for n in lead:
            turn = self.program.name("t")
            self._open_loop(f"range({n})", turn)
            a, b, c = a.row(turn), b.row(turn), c.row(turn)
        self._product(a, b, c, dtype)
        self.program.depth -= len(lead)

    def _open_loop(self, times: str, turn: str) -> None:
        self.program.add(f"for {turn} in {times}:")
        self.program.depth += 1

    def _product(self, a: Place, b: Place, c: Place, dtype: DType, *, added: bool = False) -> None:
        """Print the product of two matrices of any strides, written to c or added to it."""
        (rows, inner), columns = a.shape, b.shape[1]
        if rows == 1 or columns == 1 or rows * inner * columns <= SMALL:
            self._small_product(a, b, c, dtype, added)
            return
        target = c
        if (at := c.matrix()) is None:
            target = self.program.room(c.shape, dtype)
        elif at.endswith("1)"):  # it lies column by column: the product of the transposes
            a, b, target = b.permuted((1, 0)), a.permuted((1, 0)), c.permuted((1, 0))
        a, b = (x if x.matrix() else self.dense(x, dtype) for x in (a, b))
        sizes = (*a.shape, b.shape[1])
        given = ", ".join(f"{x.buffer}, {x.matrix()}" for x in (a, b, target))
        self.program.products.add(dtype)
        self.program.add(f"product(gemm_{dtype}, {sizes}, {given}, {int(added)})")
        if at is None:
            self.copy(target, c, dtype, dtype)

    def _small_product(self, a: Place, b: Place, c: Place, dtype: DType, added: bool) -> None:
        (rows, inner), columns = a.shape, b.shape[1]
        space = (rows, columns, inner)
        kept = [i for i, n in enumerate(space) if n != 1]
        places = [
            Place(p.buffer, space, strides, p.start, p.turns).permuted(kept)
            for p, strides in (
                (a, (a.strides[0], 0, a.strides[1])),
                (b, (0, b.strides[1], b.strides[0])),
                (c, (c.strides[0], c.strides[1], 0)),
            )
        ]
        gone = frozenset({kept.index(2)} if inner != 1 else ())
        nest = Nest([space[i] for i in kept], places, [gone])
        left, right, total = map(nest.element, places)
        if not added:
            self.fill(c, literal(0, dtype))
        self._accumulate(nest, gone, f"{left} * {right}", total, literal(0, dtype))
        self.program.add(*nest.lines(""))

    def _accumulate(self, nest: Nest, gone: frozenset[int], element: str, total: str, nothing: str) -> None:
        """Let a nest add its elements to what stands at `total`."""
        depth = nest.suffix(gone)
        if depth is None:
            nest.body.append(f"{total} = plus({total}, {element})")
            return
        so_far = self.program.name("x")
        nest.before[depth].append(f"{so_far} = {nothing}")
        nest.body.append(f"{so_far} = plus({so_far}, {element})")
        nest.after[depth].append(f"{total} = plus({total}, {so_far})")

    def _concat(self, step: Step) -> None:
        out = step.outs[0]
        whole = self.values.get(out) or self.room(out)
        assert isinstance(whole, Place)
        for x, index in zip(step.args[0], _part_indices(step), strict=True):
            if type(x) is not Var:
                raise Unsayable("an array in a sequence")
            part, value = whole.indexed(index), self.value(x)
            if value != part:
                self.copy(value, part, out.spec.dtype, x.spec.dtype)

    def _slice_update(self, step: Step) -> None:
        x, updates = step.args
        out = step.outs[0]
        source, new = self.value(x), self._number_or_value(updates, out.spec.dtype)
        whole = self.room(out)
        self.copy(source, whole, out.spec.dtype, _dtype(x))
        dtype = out.spec.dtype if isinstance(updates, bool | int | float) else _dtype(updates)
        self.copy(new, whole.indexed(step.attrs["index"]), out.spec.dtype, dtype)

    def _number_or_value(self, x: Any, dtype: DType) -> Value:
        return Local(literal(x, dtype)) if type(x) in (bool, int, float) else self.value(x)

    def _take(self, step: Step) -> None:
        source, indices = step.args
        out = step.outs[0]
        self._gathered(step, self.place(source), self.place(indices), self.room(out), "{out} = {x}")

    def _index_add(self, step: Step) -> None:
        x, indices, updates = step.args
        out = step.outs[0]
        source, at = self.value(x), self.place(indices)
        new = self._number_or_value(updates, out.spec.dtype)
        axis = axis_or_only(_spec(x), step.attrs["axis"])
        shape = (*out.spec.shape[:axis], *at.shape, *out.spec.shape[axis + 1 :])
        if isinstance(new, Local):
            room = self.program.room(shape, out.spec.dtype)
            self.fill(room, new.text)
            new = room
        elif _dtype(updates) != out.spec.dtype:
            raise Unsayable("updates of another dtype")
        whole = self.room(out)
        self.copy(source, whole, out.spec.dtype, _dtype(x))
        self._gathered(step, whole, at, new.stretched(shape), "{x} = {x} + {out}")

    def _gathered(self, step: Step, x: Place, indices: Place, region: Place, form: str) -> None:
        """Print `form` of each element of `region` and the element of `x` that the indices point it to."""
        axis, ndim = axis_or_only(_spec(step.args[0]), step.attrs["axis"]), len(indices.shape)
        after = len(x.shape) - axis - 1
        shape = region.shape
        pointers = Place(
            indices.buffer, shape, (*(0,) * axis, *indices.strides, *(0,) * after), indices.start, indices.turns
        )
        rest = (*x.strides[:axis], *(0,) * ndim, *x.strides[axis + 1 :])
        base = Place(x.buffer, shape, rest, x.start, x.turns)
        places = [along(p, shape) for p in (region, pointers, base)]
        nest = Nest(places[0].shape, places)
        at = self.program.name("p")
        nest.before[nest.depth(places[1])].append(
            f"{at} = inside({nest.element(places[1])}, {x.shape[axis]}) * {x.strides[axis]}"
        )
        aimed = nest.element(places[2])[:-1] + f" + {at}]"
        line = form.format(out=nest.element(places[0]), x=aimed)
        nest.body.append(line)
        self.program.add(*nest.lines(""))

    def _scan(self, step: Step) -> None:
        body, consts, carry = (step.attrs[k] for k in ("body", "consts", "carry"))
        if any(type(x) is not Var for x in step.args):
            raise Unsayable("a number that goes into a loop")
        fixed, first, rows = step.args[:consts], step.args[consts : consts + carry], step.args[consts + carry :]
        values = dict(zip(body.inputs, map(self.value, fixed), strict=False))
        stacks = [self.place(x) for x in rows]
        state = [self._started(x, out) for x, out in zip(first, step.outs, strict=False)]
        sums = [(self.room(out), terms) for out, terms in self.schedule.sums.taken.get(step, ())]
        for total, terms in sums:
            self.fill(total, literal(0, terms[0].columns.spec.dtype))
        made = zip(step.outs[carry:], body.outputs[carry:], strict=True)
        made = [(self.room(v), v, x) for v, x in made if v in self.schedule.stored]
        turn = self.program.name("t")
        kept = [column.row(turn) for column, _, _ in made]
        wanted = {x: p for (_, _, x), p in zip(made, kept, strict=True) if type(x) is Var}
        values |= zip(body.inputs[consts:], [*state, *(s.row(turn) for s in stacks)], strict=True)
        inner = Printer(self.program, body, values, wanted)
        inner.pack(body.inputs[:consts])
        length = step.attrs["length"]
        self._open_loop(f"range({length - 1}, -1, -1)" if step.attrs["reverse"] else f"range({length})", turn)
        inner.print()
        inner.deliver([x for _, _, x in made], kept, [v for _, v, _ in made])
        for total, terms in sums:
            for term in terms:
                inner.add_term(term, total)
        inner.deliver(body.outputs[:carry], state, step.outs[:carry])
        self.program.depth -= 1

    def _started(self, x: Var, out: Var) -> Place:
        """Return the place of a carry, with what it begins with in it."""
        source, place = self.value(x), self.room(out)
        self.copy(source, place, out.spec.dtype, x.spec.dtype)
        return place

    def pack(self, fixed: Sequence[Var]) -> None:
        """Lay matrices that stay the same row by row, as BLAS wants them on the right of a product."""
        for step in self.graph.steps:
            right = step.args[1] if step.op.name == "matmul" else None
            if type(right) is Var and right.spec.ndim == 2 and self.schedule.root(right)[0] in fixed:
                value = self.value(right)
                if isinstance(value, Place) and str(value.matrix()).endswith("1)"):
                    self.values[right] = self.dense(value, right.spec.dtype)

    def add_term(self, term: Term, total: Place) -> None:
        """Print what adds one turn's share to a sum."""
        columns, dtype = self.place(term.columns), term.columns.spec.dtype
        if term.rows is not None:
            a, b = (self._rows_of(self.place(x), dtype) for x in (term.rows, term.columns))
            self._product(a.permuted((1, 0)), b, total, dtype, added=True)
            return
        kept = [i for i in range(len(columns.shape)) if i not in term.axes]
        strides = [0] * len(columns.shape)
        for i, step in zip(kept, total.strides, strict=True):
            strides[i] = step
        target = Place(total.buffer, columns.shape, tuple(strides), total.start, total.turns)
        longer = [i for i, n in enumerate(columns.shape) if n != 1]
        gone = frozenset(longer.index(a) for a in term.axes if a in longer)
        places = [along(columns, columns.shape), along(target, columns.shape)]
        nest = Nest(places[0].shape, places, [gone])
        self._accumulate(nest, gone, *map(nest.element, places), literal(0, dtype))
        self.program.add(*nest.lines(""))

    def _rows_of(self, place: Place, dtype: DType) -> Place:
        shape = (math.prod(place.shape[:-1]), place.shape[-1])
        seen = place.reshaped(shape)
        return _reshaped(self.dense(place, dtype), shape) if seen is None else seen

    def deliver(self, results: Sequence, places: Sequence[Place], made: Sequence[Var]) -> None:
        """Print what brings results to their places, as `made`; those that lie in such a place go first."""
        pairs: list[tuple[Value, Place, DType]] = []
        for x, place, var in zip(results, places, made, strict=True):
            value, dtype = self._number_or_value(x, var.spec.dtype), var.spec.dtype
            if value == place:
                continue
            if isinstance(value, Place) and any(value.starts_in(p) for p in places):
                value = self.dense(value, dtype)
            pairs.append((value, place, dtype))
        for value, place, dtype in pairs:
            self.copy(value, place, dtype, dtype)


def _key(x: Any) -> Any:
    return x if type(x) is Var else id(x)


def _found(values: dict, x: Any, wide: tuple[int, ...]) -> str:
    key = _key(x)
    return values[key] if key in values else values[key, wide]


def _spec(x: Any) -> Spec:
    return x.spec if type(x) is Var else spec_of(x)


def _dtype(x: Any) -> DType:
    return _spec(x).dtype


def _reshaped(place: Place, shape: tuple[int, ...]) -> Place:
    """Return a view in another shape, of a place that has it."""
    seen = place.reshaped(shape)
    if seen is None:
        raise Unsayable(f"a view of {place} as {shape}")
    return seen


def _undone(step: Step, place: Place) -> Place | None:
    """Return where the argument of a view lies when the view lies at `place`."""
    shape = step.args[0].spec.shape
    if step.op.name == "reshape":
        return place.reshaped(shape)
    if step.op.name == "stop_gradient":
        return place
    order = list(range(len(shape)))
    if step.op.name == "matrix_transpose":
        order[-2:] = order[:-3:-1]
    else:
        order = [a % len(shape) for a in step.attrs["axes"]]
    return place.permuted(sorted(range(len(shape)), key=order.__getitem__))


def _part_indices(step: Step) -> list[tuple]:
    """Return where each array of a sequence goes in their concatenation or stack."""
    shape, arrays, axis = step.outs[0].spec.shape, step.args[0], step.attrs["axis"]
    if axis is None:
        raise Unsayable("arrays laid flat")
    before = (slice(None),) * as_axis(axis, len(shape))
    if step.op.name == "stack":
        return [(*before, i) for i in range(len(arrays))]
    ends = [0]
    for x in arrays:
        ends.append(ends[-1] + x.spec.shape[len(before)])
    return [(*before, slice(a, b)) for a, b in zip(ends, ends[1:], strict=False)]


_CALLS: dict[str, Callable[[Printer, Step], None]] = {
    "matmul": Printer._matmul,
    "concat": Printer._concat,
    "stack": Printer._concat,
    "slice_update": Printer._slice_update,
    "take": Printer._take,
    "index_add": Printer._index_add,
    "flat_scan": Printer._scan,
}
