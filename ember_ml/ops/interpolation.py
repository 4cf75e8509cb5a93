"""Values of an array between its places: splines of order 0, 1 and 3, as scipy.ndimage has them."""

import itertools
import math

from ember_ml.core.dtypes import as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import shape_of
from ember_ml.ops.comparison import greater_equal, less, less_equal, logical_and
from ember_ml.ops.creation import arange, asarray, astype
from ember_ml.ops.elementwise import (
    abs,
    add,
    clip,
    floor,
    isnan,
    minimum,
    multiply,
    remainder,
    square,
    subtract,
    where,
)
from ember_ml.ops.indexing import getitem, take
from ember_ml.ops.products import tensordot
from ember_ml.ops.repetition import pad
from ember_ml.ops.shape import reshape

__all__ = ["map_coordinates"]

# What continues an array beyond its ends, and where the spline through it takes its neighbours from there.
_MODES = {
    "constant": "mirror",
    "grid-constant": "mirror",
    "nearest": "mirror",
    "mirror": "mirror",
    "reflect": "reflect",
    "wrap": "mirror",
    "grid-wrap": "wrap",
}
_MARGIN = 12  # places in which what a cubic spline knows of its end has faded to 1e-7


@composite()
def map_coordinates(x, coordinates, /, order=1, mode="constant", cval=0.0):
    """The values of x at coordinates between its places, as scipy.ndimage.map_coordinates.

    Shapes: x (d axes), coordinates (d, *places) -> places; coordinates count in array indices. `order` is 0
    (the nearest place, halves go up), 1 (linear) or 3 (a cubic spline through every value). Outside, `mode`
    says what there is: "constant", `cval` beyond the outermost places; "grid-constant", the same, reached by
    interpolation; "nearest", the nearest edge; "mirror" and "reflect", the array mirrored at its outermost
    places or at their outer borders; "grid-wrap", the array over again; "wrap", the same with its ends on
    top of each other. Differentiable in x and in the coordinates; order 0 is constant in these.

    Raises TypeError for an x that is not floating-point, ValueError for other orders, modes and shapes.
    """
    _require(x, coordinates, order, mode)
    dtype, at = as_dtype(x.dtype), astype(coordinates, dtype=as_dtype(x.dtype))
    margin = _MARGIN if order == 3 else 1
    if mode == "grid-constant":
        x, at = pad(x, margin, constant_values=cval), add(at, margin)
    elif mode == "nearest" and order == 3:
        x, at = pad(x, margin, mode="edge"), add(at, margin)
    sizes, inside, terms = shape_of(x), None, []
    for axis, size in enumerate(sizes):
        place = getitem(at, index=axis)
        if "constant" in mode:
            within = logical_and(greater_equal(place, 0), less_equal(place, size - 1))
            place = where(within, place, 0.0)
            inside = within if inside is None else logical_and(inside, within)
        terms.append(_neighbours(_brought_in(place, size, mode), size, order, _MODES[mode]))
    values = reshape(_coefficients(x, _MODES[mode]) if order == 3 else x, shape=(-1,))
    total = _summed(values, terms, sizes)
    return total if inside is None else where(inside, total, asarray(cval, dtype=dtype, like=x))


def _require(x, coordinates, order, mode):
    if (dtype := as_dtype(x.dtype)).kind != "float":
        raise TypeError(f"expected a floating-point array, got {dtype}")
    if order not in (0, 1, 3):
        raise ValueError(f"order is 0, 1 or 3, got {order!r}")
    if mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(_MODES)}, got {mode!r}")
    shape, at = shape_of(x), shape_of(coordinates)
    if not shape or at[:1] != (len(shape),):
        raise ValueError(
            f"an array of shape {shape} needs coordinates ({len(shape)}, *places), got shape {at}"
        )
    if 0 in shape:
        raise ValueError(f"an array of shape {shape} has no values to interpolate")


def _brought_in(place, size, mode):
    """Return coordinates along one axis as those between its ends that `mode` lets them stand for."""
    if mode in ("constant", "grid-constant"):
        return place
    if mode == "nearest":
        return clip(place, 0.0, float(size - 1))
    if mode == "mirror":
        return _mirrored(place, size - 1) if size > 1 else multiply(place, 0.0)
    if mode == "reflect":
        return subtract(_mirrored(add(place, 0.5), size), 0.5)
    if mode == "grid-wrap":
        return remainder(place, float(size))
    within = logical_and(greater_equal(place, 0), less_equal(place, size - 1))
    return where(within, place, remainder(place, float(max(1, size - 1))))


def _mirrored(place, size):
    return subtract(size, abs(subtract(remainder(place, 2.0 * size), size)))


def _neighbours(place, size, order, edge):
    """Return what interpolates along one axis: a list of (indices, weight), the weight None for 1."""
    if order == 0:
        return [(_index(floor(add(place, 0.5)), size, edge), None)]
    low = floor(place)
    part = subtract(place, low)
    if order == 1:
        return [(_index(low, size, edge), subtract(1.0, part)), (_index(add(low, 1), size, edge), part)]
    rest = subtract(1.0, part)
    weights = (_outer(rest), _inner(part), _inner(rest), _outer(part))
    return [(_index(add(low, k - 1), size, edge), weight) for k, weight in enumerate(weights)]


def _outer(part):
    return multiply(multiply(square(part), part), 1 / 6)


def _inner(part):
    return add(multiply(square(part), subtract(multiply(part, 0.5), 1.0)), 2 / 3)


def _index(place, size, edge):
    """Return whole coordinates, at most two places outside, as indices within."""
    if edge == "wrap":
        place = remainder(place, float(size))
    elif edge == "mirror":
        place = subtract(size - 1, abs(subtract(size - 1, abs(place))))
    else:
        place = where(less(place, 0), subtract(-1, place), place)
        place = minimum(place, subtract(2 * size - 1, place))
    place = where(isnan(place), 0.0, place)  # which is no index; its weights are NaN
    return astype(clip(place, 0.0, float(size - 1)), dtype=int)


def _summed(values, terms, sizes):
    """Return the sum over all neighbours, one of each axis, of their value times their weights."""
    total = None
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    for corner in itertools.product(*terms):
        place, weight = None, None
        for (index, factor), stride in zip(corner, strides, strict=True):
            step = index if stride == 1 else multiply(index, stride)
            place = step if place is None else add(place, step)
            if factor is not None:
                weight = factor if weight is None else multiply(weight, factor)
        found = take(values, place)
        found = found if weight is None else multiply(found, weight)
        total = found if total is None else add(total, found)
    return total


_POLE = math.sqrt(3.0) - 2.0


def _coefficients(x, edge):
    """Return the coefficients of the cubic spline through all values: each axis times an inverse matrix.

    Unser, Aldroubi and Eden 1993: an impulse answers with sqrt(3) * pole**|distance|; the array goes on
    beyond its ends as `edge` says, which adds up the answers to all images of a place.
    """
    for size in shape_of(x):
        x = tensordot(x, _inverse(size, edge, x), axes=((0,), (1,))) if size > 1 else _turned(x)
    return x


def _turned(x):
    return reshape(x, shape=(*shape_of(x)[1:], 1))


def _inverse(size, edge, like):
    """Return the matrix (size, size) from values to coefficients."""
    period = {"mirror": 2 * size - 2, "reflect": 2 * size, "wrap": size}[edge]
    scale = math.sqrt(3.0) / (1.0 - _POLE**period)
    answers = [scale * (_POLE**d + _POLE ** (period - d)) for d in range(period + 1)]
    table = asarray(answers, dtype=as_dtype(like.dtype), like=like)
    numbers = arange(size, like=like)
    row, column = reshape(numbers, shape=(-1, 1)), reshape(numbers, shape=(1, -1))
    direct = take(table, abs(subtract(row, column)))
    if edge == "wrap":
        return direct
    image = take(table, add(row, column) if edge == "mirror" else add(add(row, column), 1))
    both = add(direct, image)
    if edge == "reflect":
        return both
    halves = [0.5, *(1.0 for _ in range(size - 2)), 0.5]  # the outermost places are their own images
    return multiply(both, asarray(halves, dtype=as_dtype(like.dtype), like=like))
