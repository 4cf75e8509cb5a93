"""Matrix products as printed loops: BLAS's, or loops of their own where they are small."""

from __future__ import annotations

import math

import numpy as np

from ember_ml.backend.loops.nests import Nest, along
from ember_ml.backend.loops.places import Place
from ember_ml.backend.loops.printer import Printer, dtype_of
from ember_ml.backend.loops.sums import Term
from ember_ml.backend.loops.table import Unsayable, literal
from ember_ml.core.dtypes import DType
from ember_ml.core.graph import Step

SMALL = 512  # multiplications below which a matrix product is loops


def matmul(printer: Printer, step: Step) -> None:
    """Print a matrix product of any dimensions."""
    out = step.outs[0]
    dtype = out.spec.dtype
    if dtype.kind != "float" or any(dtype_of(a) != dtype for a in step.args):
        raise Unsayable(f"a matrix product of {dtype}")
    a, b = map(printer.place, step.args)
    made = printer.room(out)
    a = a if len(a.shape) > 1 else reshaped(a, (1, *a.shape))
    b = b if len(b.shape) > 1 else reshaped(b, (*b.shape, 1))
    full = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    target = made.reshaped(full)
    if math.prod(b.shape[:-2]) == 1:  # one product over all rows instead of a stack
        rows = (math.prod(full[:-1]), full[-1])
        left = _rows_of(printer, a, dtype)
        flat = None if target is None else target.reshaped(rows)
        found = flat or printer.scratch(rows, dtype)
        product(printer, left, reshaped(b, b.shape[-2:]), found, dtype)
    else:
        found = target or printer.scratch(full, dtype)
        _stacked_product(printer, a, b, found, full[:-2], dtype)
    if (found.buffer, found.start) != (made.buffer, made.start):
        printer.copy(reshaped(found, made.shape), made, dtype, dtype)


def _stacked_product(
    printer: Printer, a: Place, b: Place, c: Place, lead: tuple[int, ...], dtype: DType
) -> None:
    a, b = a.stretched((*lead, *a.shape[-2:])), b.stretched((*lead, *b.shape[-2:]))
    for n in lead:
        turn = printer.program.name("t")
        printer.open_loop(f"range({n})", turn)
        a, b, c = a.row(turn), b.row(turn), c.row(turn)
    product(printer, a, b, c, dtype)
    printer.program.depth -= len(lead)


def product(printer: Printer, a: Place, b: Place, c: Place, dtype: DType, *, added: bool = False) -> None:
    """Print the product of two matrices of any strides, written to c or added to it."""
    (rows, inner), columns = a.shape, b.shape[1]
    if rows == 1 or columns == 1 or rows * inner * columns <= SMALL:
        _small_product(printer, a, b, c, dtype, added)
        return
    if (found := c.matrix()) is None:
        target = printer.scratch(c.shape, dtype)
        product(printer, a, b, target, dtype)
        printer.copy(target, c, dtype, dtype)
        return
    if found[2]:  # it lies column by column: the product of the transposes
        a, b, c = b.permuted((1, 0)), a.permuted((1, 0)), c.permuted((1, 0))
    a, b = (x if x.matrix() else printer.dense(x, dtype) for x in (a, b))
    given = ", ".join(f"{x.buffer}, {_written(x)}" for x in (a, b, c))
    printer.program.products.add(dtype)
    printer.program.add(f"product(gemm_{dtype}, {(*a.shape, b.shape[1])}, {given}, {int(added)})")


def _written(matrix: Place) -> str:
    found = matrix.matrix()
    assert found is not None  # what lies with gaps was copied
    return f"({', '.join(map(str, found))})"


def _small_product(printer: Printer, a: Place, b: Place, c: Place, dtype: DType, added: bool) -> None:
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
        printer.fill(c, literal(0, dtype))
    accumulate(printer, nest, gone, f"{left} * {right}", total, literal(0, dtype))
    printer.program.add(*nest.lines())


def accumulate(
    printer: Printer, nest: Nest, gone: frozenset[int], element: str, total: str, nothing: str
) -> None:
    """Let a nest add its elements to what stands at `total`."""
    depth = nest.suffix(gone)
    if depth is None:
        nest.body.append(f"{total} = plus({total}, {element})")
        return
    so_far = printer.program.name("x")
    nest.before[depth].append(f"{so_far} = {nothing}")
    nest.body.append(f"{so_far} = plus({so_far}, {element})")
    nest.after[depth].append(f"{total} = plus({total}, {so_far})")


def add_term(printer: Printer, term: Term, total: Place) -> None:
    """Print what adds one turn's share to a sum."""
    columns, dtype = printer.place(term.columns), term.columns.spec.dtype
    if term.rows is not None:
        a, b = (_rows_of(printer, printer.place(x), dtype) for x in (term.rows, term.columns))
        product(printer, a.permuted((1, 0)), b, total, dtype, added=True)
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
    share, whole = map(nest.element, places)
    accumulate(printer, nest, gone, share, whole, literal(0, dtype))
    printer.program.add(*nest.lines())


def _rows_of(printer: Printer, place: Place, dtype: DType) -> Place:
    shape = (math.prod(place.shape[:-1]), place.shape[-1])
    seen = place.reshaped(shape)
    return reshaped(printer.dense(place, dtype), shape) if seen is None else seen


def reshaped(place: Place, shape: tuple[int, ...]) -> Place:
    """Return a view in another shape, of a place that has it."""
    seen = place.reshaped(shape)
    if seen is None:
        raise Unsayable(f"a view of {place} as {shape}")
    return seen
