"""Ops that put values in order, and fetch them by it. NaNs come last, in either direction."""

from typing import Any, NamedTuple

from ember_ml.core.dtypes import REAL
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import as_axis, broadcast_shapes, index, kept, same, shape_of
from ember_ml.core.trace import constant
from ember_ml.ops.batching import along, taken_along
from ember_ml.ops.comparison import less
from ember_ml.ops.costs import fetched, ordered
from ember_ml.ops.creation import arange, zeros_like
from ember_ml.ops.elementwise import add, floor_divide, multiply, remainder, where
from ember_ml.ops.indexing import along_axis, index_add, integers_second, part
from ember_ml.ops.shape import broadcast_to, reshape, upright

__all__ = ["argsort", "sort", "take_along_axis", "topk", "topk_indices", "unravel_index"]


def _ordered(x, axis=-1, **_):
    as_axis(axis, len(shape_of(x)))
    return same(x)


@primitive(shape=_ordered, dtype=index, kinds=REAL, vjp=constant, batch=along, cost=ordered)
def argsort(x, /, axis=-1, descending=False, *, stable=True):
    """The indices that would sort x along an axis; equal values keep their order, whatever `stable` says."""


def _sort_vjp(g, out, x, axis, descending, stable):
    back = argsort(argsort(x, axis=axis, descending=descending), axis=axis)
    return (take_along_axis(g, back, axis=axis),)


@primitive(shape=_ordered, dtype=kept, kinds=REAL, vjp=_sort_vjp, batch=along, cost=ordered)
def sort(x, /, axis=-1, descending=False, *, stable=True):
    """The values in order along an axis."""


def _taken_along(x, indices, axis=-1, **_):
    shape, places = shape_of(x), shape_of(indices)
    at = as_axis(axis, len(shape))
    if len(places) != len(shape):
        raise ValueError(f"expected indices of {len(shape)} dimensions as x, got shape {places}")
    rest = broadcast_shapes(*((*s[:at], *s[at + 1 :]) for s in (shape, places)))
    return (*rest[:at], places[at], *rest[at:])


def _put_along(g, out, x, indices, axis):
    """Add g to the places of the flattened x that `indices` mean."""
    shape, wide = shape_of(x), shape_of(g)
    at = as_axis(axis, len(shape))
    places, stride = 0, 1
    for i in reversed(range(len(shape))):
        step = indices if i == at else _steps(wide[i] if shape[i] > 1 else 1, i, len(shape), indices)
        step = where(less(indices, 0), add(indices, shape[i]), indices) if i == at else step
        places, stride = add(multiply(step, stride), places), stride * shape[i]
    flat = reshape(zeros_like(x, dtype=g.dtype), shape=(-1,))
    places = reshape(broadcast_to(places, shape=wide), shape=(-1,))
    return reshape(index_add(flat, places, reshape(g, shape=(-1,))), shape=shape), None


def _steps(size, axis, ndim, like):
    return upright(arange(size, dtype="int64", like=like), axis, ndim)


@primitive(
    shape=_taken_along,
    dtype=integers_second,
    places=along_axis,
    vjp=_put_along,
    batch=taken_along,
    cost=fetched,
)
def take_along_axis(x, indices, /, axis=-1):
    """The values of x at integer `indices` along an axis, each row by its own; the other axes broadcast.

    Shapes: x (..., n, ...), indices (..., k, ...) -> (..., k, ...). An index out of bounds is an IndexError
    in eager code; in compiled code it is not checked, and what it gives is undefined.
    """


class TopK(NamedTuple):
    """The largest values along an axis, in falling order, and where they are."""

    values: Any
    indices: Any


@composite(kinds=REAL, returns=TopK)
def topk(x, /, k, axis=-1):
    """The k largest values along an axis and their indices, in falling order; of equal ones the first."""
    at = as_axis(axis, len(shape_of(x)))
    if not 0 <= k <= shape_of(x)[at]:
        raise ValueError(f"k must lie between 0 and the size {shape_of(x)[at]} of axis {axis}, got {k}")
    order = argsort(x, axis=at, descending=True)
    places = part(order, at, 0, k)
    return take_along_axis(x, places, axis=at), places


@composite(kinds=REAL, vjp=constant)
def topk_indices(x, /, k):
    """Where the k largest values of all are, in falling order: a tuple of an index array for each axis."""
    _, places = topk(reshape(x, shape=(-1,)), k=k)
    return unravel_index(places, shape=shape_of(x))


@composite(kinds=("int", "uint"), vjp=constant)
def unravel_index(indices, /, shape):
    """The index along each axis of `shape` of places in the flattened array: a tuple, of one for one axis."""
    sizes, stride, out = (shape,) if isinstance(shape, int) else tuple(shape), 1, []
    for size in reversed(sizes):
        row = indices if stride == 1 else floor_divide(indices, stride)
        out.insert(0, remainder(row, size) if len(out) + 1 < len(sizes) else row)
        stride *= size
    return tuple(out)
