"""Ops that repeat values: in rows, in tiles, around the edges, and round in a circle."""

import math

from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import as_axis, shape_of
from ember_ml.ops.creation import asarray, full, zeros
from ember_ml.ops.cumulative import cumulative_sum
from ember_ml.ops.indexing import getitem, index_add, known_integer, part, slice_update, take
from ember_ml.ops.shape import broadcast_to, concat, expand_dims, ravel, reshape

__all__ = ["pad", "repeat", "roll", "tile"]


@composite()
def roll(x, /, shift, *, axis=None):
    """The values moved by `shift` places along an axis; what falls out at one end comes in at the other.

    Several axes take as many shifts, or one for all; without an axis the array is moved as if laid flat.
    """
    if axis is None:
        return reshape(roll(ravel(x), shift, axis=0), shape=shape_of(x))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    shifts = shift if isinstance(shift, tuple | list) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ValueError(f"{len(shifts)} shifts for {len(axes)} axes")
    for at, by in zip((as_axis(a, len(shape_of(x))) for a in axes), shifts, strict=True):
        size = shape_of(x)[at]
        if size and by % size:
            cut = size - by % size
            x = concat([part(x, at, cut, None), part(x, at, 0, cut)], axis=at)
    return x


@composite()
def repeat(x, repeats, /, *, axis=None):
    """Each slice along an axis several times over; without an axis, each value of the array laid flat.

    `repeats` is one integer, or an array of one for each slice; then the size of the result depends on
    values, which compiled code does not know.
    """
    if axis is None:
        return repeat(ravel(x), repeats, axis=0)
    shape = shape_of(x)
    at = as_axis(axis, len(shape))
    if type(repeats) in SCALARS:
        if repeats < 0:
            raise ValueError(f"repeats are not negative, got {repeats}")
        wide = (*shape[: at + 1], repeats, *shape[at + 1 :])
        rows = broadcast_to(expand_dims(x, axis=at + 1), shape=wide)
        return reshape(rows, shape=(*shape[:at], shape[at] * repeats, *shape[at + 1 :]))
    if shape_of(repeats) not in ((shape[at],), (1,), ()):
        raise ValueError(f"expected one number of repeats for each of {shape[at]}, got {shape_of(repeats)}")
    counts = broadcast_to(repeats, shape=(shape[at],))
    return take(x, row_numbers(counts), axis=at)


def row_numbers(counts, total=None):
    """Return 0 as often as the first of `counts` says, then 1 as often as the second, and so on.

    `total`, their sum, must be given where values are not known.
    """
    (size,) = shape_of(counts)
    ends = cumulative_sum(counts)
    if total is None:
        reason = "an array of repeats gives a size that depends on values, which compiled code does not know"
        total = known_integer(getitem(ends, index=-1), reason) if size else 0
    marks = zeros((total + 1,), dtype=as_dtype(int), like=counts)
    if size:
        marks = index_add(marks, getitem(ends, index=slice(-1)), full((size - 1,), 1, like=counts))
    return cumulative_sum(getitem(marks, index=slice(total)))


@composite()
def tile(x, /, repetitions):
    """The array laid out several times along each axis; fewer numbers than axes are for the last ones."""
    shape = shape_of(x)
    times = (repetitions,) if isinstance(repetitions, int) else tuple(repetitions)
    ndim = max(len(shape), len(times))
    shape, times = (1,) * (ndim - len(shape)) + shape, (1,) * (ndim - len(times)) + times
    if any(n < 0 for n in times):
        raise ValueError(f"repetitions are not negative, got {times}")
    pairs = list(zip(times, shape, strict=True))
    apart = reshape(x, shape=tuple(n for size in shape for n in (1, size)))
    laid = broadcast_to(apart, shape=tuple(n for pair in pairs for n in pair))
    return reshape(laid, shape=tuple(math.prod(pair) for pair in pairs))


# Where the value at place i outside of 0 ... size - 1 comes from.
_SOURCES = {
    "edge": lambda i, size: min(max(i, 0), size - 1),
    "wrap": lambda i, size: i % size,
    "reflect": lambda i, size: _folded(i, 2 * size - 2) if size > 1 else 0,
    "symmetric": lambda i, size: min(i % (2 * size), 2 * size - 1 - i % (2 * size)),
}


def _folded(i, period):
    return min(i % period, period - i % period)


@composite()
def pad(x, /, pad_width, mode="constant", *, constant_values: float = 0):
    """The array with values put before and after along each axis.

    `pad_width` is one number for all, a pair (before, after), or one pair for each axis. `mode` says what is
    put there: "constant", the number `constant_values`; "edge", the nearest value; "reflect", the values
    mirrored at the edge, which is not repeated; "symmetric", the same, edge and all; "wrap", those of the
    other end. Any width will do, and no mode but "constant" takes an empty axis. As NumPy's.
    """
    shape = shape_of(x)
    widths = _widths(pad_width, len(shape))
    if mode == "constant":
        wide = tuple(a + n + b for (a, b), n in zip(widths, shape, strict=True))
        around = full(wide, constant_values, dtype=as_dtype(x.dtype), like=x)
        within = tuple(slice(a, a + n) for (a, _), n in zip(widths, shape, strict=True))
        return slice_update(around, x, index=within)
    if mode not in _SOURCES:
        raise ValueError(f"mode is one of constant, {', '.join(_SOURCES)}, got {mode!r}")
    for axis, ((before, after), size) in enumerate(zip(widths, shape, strict=True)):
        if before or after:
            if not size:
                raise ValueError(f"axis {axis} is empty: it has nothing to pad with; use mode='constant'")
            places = [_SOURCES[mode](i, size) for i in range(-before, size + after)]
            x = take(x, asarray(places, dtype=as_dtype(int), like=x), axis=axis)
    return x


def _widths(pad_width, ndim) -> list[tuple[int, int]]:
    """Return the numbers of values (before, after) each axis."""
    given = pad_width if isinstance(pad_width, tuple | list) else (pad_width,)
    if len(given) in (1, 2) and all(isinstance(n, int) for n in given):
        given = [(given[0], given[-1])]
    pairs = [(p[0], p[-1]) for p in given if isinstance(p, tuple | list) and len(p) in (1, 2)]
    pairs = pairs * ndim if len(given) == 1 else pairs
    if len(pairs) != ndim:
        raise ValueError(f"pad_width is a number, a pair or a pair for each of {ndim} axes, got {pad_width}")
    if any(n < 0 for pair in pairs for n in pair):
        raise ValueError(f"widths are not negative, got {pad_width}")
    return pairs
