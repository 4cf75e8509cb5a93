"""Ops that write at many places at once, and that gather values into segments. They return new arrays."""

import math
import sys

from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import as_axis, as_shape, axis_or_only, shape_of
from ember_ml.ops.comparison import greater, greater_equal, less
from ember_ml.ops.control import stop_gradient
from ember_ml.ops.creation import arange, as_array, as_floating, astype, full, zeros
from ember_ml.ops.elementwise import add, divide, exp, maximum, multiply, subtract, where
from ember_ml.ops.indexing import (
    Places,
    along_axis,
    getitem,
    index_add,
    index_max,
    index_min,
    integers_second,
    known_integer,
    region_written,
    take,
    taken_shape,
)
from ember_ml.ops.limits import bounds
from ember_ml.ops.reduction import max as largest
from ember_ml.ops.shape import broadcast_to, reshape, upright

__all__ = [
    "index_update", "scatter", "tensor_scatter_nd_add", "tensor_scatter_nd_max", "tensor_scatter_nd_min",
    "tensor_scatter_nd_update",
]  # fmt: skip


@composite(places=along_axis)
def index_update(x, indices, updates, /, axis=0):
    """A copy of x in which the slices at integer `indices` along an axis are `updates`, cast to x's dtype.

    Shapes as in `index_add`. Of several updates to one place the last wins, on every engine.
    """
    shape = region_written(x, indices, updates, axis=axis)
    at, count = axis_or_only(x, axis), math.prod(shape_of(indices))
    if not count:
        return x
    if type(updates) in SCALARS:
        updates = full((), updates, dtype=as_dtype(x.dtype), like=x)
    region = broadcast_to(astype(updates, dtype=as_dtype(x.dtype)), shape=taken_shape(x, indices, axis=axis))
    region = reshape(region, shape=(*shape[:at], count, *shape[at + 1 :]))
    flat = reshape(as_array(indices, x), shape=(count,))
    numbers = arange(count, dtype=as_dtype(int), like=x)
    writer = index_max(full((shape[at],), -1, dtype=as_dtype(int), like=x), flat, numbers)
    hit = upright(greater_equal(writer, 0), at, len(shape))
    return where(hit, take(region, maximum(writer, 0), axis=at), x)


def _depth(x, indices):
    ndim, depth = len(shape_of(x)), (shape_of(indices) or (0,))[-1]
    if not shape_of(indices) or depth > ndim:
        raise ValueError(
            f"the last axis of indices of shape {shape_of(indices)} must name the first axes of {shape_of(x)}"
        )
    return depth


def _by_coordinates(x, indices, *_):
    return [Places(indices[..., i], shape_of(x)[i], i) for i in range(_depth(x, indices))]


def _scattered(write, x, indices, updates):
    """Return x after a write along its first axes, laid flat into one, at rows given by coordinates."""
    shape, depth = shape_of(x), _depth(x, indices)
    integers_second((x, indices), {})
    rows = reshape(x, shape=(math.prod(shape[:depth]), *shape[depth:]))
    chosen = full(shape_of(indices)[:-1], 0, dtype=as_dtype(int), like=x)
    for i, size in enumerate(shape[:depth]):
        place = astype(getitem(indices, index=(..., i)), dtype=as_dtype(int))
        inside = where(less(place, 0), add(place, size), place)
        chosen = add(multiply(chosen, size), inside)
    return reshape(write(rows, chosen, updates), shape=shape)


@composite(places=_by_coordinates)
def tensor_scatter_nd_update(x, indices, updates, /):
    """A copy of x in which the slices at coordinates `indices` are `updates`; the last of several wins.

    Shapes: x (n_1, ..., n_d), indices (*k, c) with c <= d, updates (*k, n_c+1, ..., n_d) -> x's. Negative
    coordinates count from the end.
    """
    return _scattered(index_update, x, indices, updates)


@composite(places=_by_coordinates)
def tensor_scatter_nd_add(x, indices, updates, /):
    """A copy of x with `updates` added at coordinates `indices`. Shapes: see `tensor_scatter_nd_update`."""
    return _scattered(index_add, x, indices, updates)


@composite(places=_by_coordinates)
def tensor_scatter_nd_max(x, indices, updates, /):
    """A copy of x with the larger of what was there and all `updates` at coordinates `indices`."""
    return _scattered(index_max, x, indices, updates)


@composite(places=_by_coordinates)
def tensor_scatter_nd_min(x, indices, updates, /):
    """A copy of x with the smaller of what was there and all `updates` at coordinates `indices`."""
    return _scattered(index_min, x, indices, updates)


_AGGREGATIONS = ("add", "max", "min", "mean", "softmax")


def _by_segment(data, indices, *, dim_size=None, aggr="add", axis=0):
    return [Places(indices, sys.maxsize if dim_size is None else dim_size, axis, signed=False)]


@composite(places=_by_segment)
def scatter(data, indices, /, dim_size=None, aggr="add", axis=0):
    """The slices of `data` along an axis, gathered into segments: slice i goes to segment `indices[i]`.

    `aggr` says how those of one segment meet: "add", "mean", "max", "min", or "softmax", which keeps every
    slice and divides its exponential by the sum over its segment. Shapes: data (..., n, ...), indices (n,) ->
    (..., dim_size, ...), for "softmax" data's. Without `dim_size` there are as many segments as the largest
    index asks for, which compiled code cannot know. A segment to which nothing goes is 0, for "max" and "min"
    too. Of equal extremes each gets an equal share of the gradient.

    Source: torch_scatter's `scatter` and `scatter_softmax`.
    """
    shape = shape_of(data)
    at = as_axis(axis, len(shape))
    if shape_of(indices) != (shape[at],):
        raise ValueError(
            f"expected one index for each of {shape[at]} slices along axis {axis}, got {shape_of(indices)}"
        )
    if aggr not in _AGGREGATIONS:
        raise ValueError(f"aggr is one of {', '.join(_AGGREGATIONS)}, got {aggr!r}")
    integers_second((data, indices), {})
    size = _segments(indices) if dim_size is None else as_shape(dim_size)[0]
    if aggr == "softmax":
        return _softmax_by_segment(data, indices, size, at)
    if aggr in ("max", "min"):
        return _extreme_by_segment(data, indices, size, at, aggr)
    if aggr == "mean":
        data = as_floating(data)
    wide = (*shape[:at], size, *shape[at + 1 :])
    total = index_add(zeros(wide, dtype=as_dtype(data.dtype), like=data), indices, data, axis=at)
    if aggr == "add":
        return total
    count = maximum(_counts(indices, size, at, len(shape)), 1)
    return divide(total, astype(count, dtype=as_dtype(data.dtype)))


def _segments(indices):
    if shape_of(indices) == (0,):
        return 0
    reason = "dim_size must be given where the values of indices are not known, as in compiled code"
    return known_integer(largest(indices), reason) + 1


def _counts(indices, size, axis, ndim):
    """Return how many slices each segment gets, in a shape that broadcasts along `axis`."""
    ones = full(shape_of(indices), 1, dtype=as_dtype(int), like=indices)
    counts = index_add(zeros((size,), dtype=as_dtype(int), like=indices), indices, ones)
    return upright(counts, axis, ndim)


def _extreme_by_segment(data, indices, size, axis, aggr):
    shape, dtype = shape_of(data), as_dtype(data.dtype)
    wide = (*shape[:axis], size, *shape[axis + 1 :])
    least, most = bounds(dtype)
    write, start = (index_max, least) if aggr == "max" else (index_min, most)
    found = write(full(wide, start, dtype=dtype, like=data), indices, data, axis=axis)
    hit = greater(_counts(indices, size, axis, len(shape)), 0)
    return where(hit, found, zeros(wide, dtype=dtype, like=data))


def _softmax_by_segment(data, indices, size, axis):
    data = as_floating(data)
    top = take(_extreme_by_segment(stop_gradient(data), indices, size, axis, "max"), indices, axis=axis)
    grown = exp(subtract(data, top))
    shape = shape_of(data)
    wide = (*shape[:axis], size, *shape[axis + 1 :])
    total = index_add(zeros(wide, dtype=as_dtype(data.dtype), like=data), indices, grown, axis=axis)
    return divide(grown, take(total, indices, axis=axis))
