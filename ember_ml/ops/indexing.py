"""Ops that read and write places of an array. Arrays are values: writing returns a new one."""

from ember_ml.core.dtypes import Defaults, DType, as_dtype
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import as_axis, index_shape, kept, operands, same, shape_of, stretches
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import equal
from ember_ml.ops.creation import arange, astype, zeros_like


@primitive(
    shape=index_shape,
    dtype=kept,
    vjp=lambda g, out, x, index: (slice_update(zeros_like(x, dtype=g.dtype), g, index=index),),
)
def getitem(x, /, index):
    """x[index] for an index of integers, slices, None and Ellipsis, known when the program is written."""


def _writable(x, updates, index, **_):
    region = index_shape(x, index)
    if not stretches(shape_of(updates), region):
        raise ValueError(f"updates of shape {shape_of(updates)} do not fit the region of shape {region}")
    return same(x)


def _into_first(args, attrs):
    own = kept(args, attrs)[1]
    return (None, own), own


@primitive(
    shape=_writable,
    dtype=_into_first,
    vjp=lambda g, out, x, updates, index: (slice_update(g, 0, index=index), getitem(g, index=index)),
)
def slice_update(x, updates, /, index):
    """A copy of x in which x[index] is `updates`, broadcast to that region and cast to x's dtype."""


def _taken(x, indices, axis=0, **_):
    shape = shape_of(x)
    at = as_axis(axis, len(shape))
    _check_places(indices, shape[at], axis)
    return (*shape[:at], *shape_of(indices), *shape[at + 1 :])


def _check_places(indices, size, axis):
    if (
        lowest := getattr(indices, "lowest", None)
    ) is not None and not -size <= lowest <= indices.highest < size:
        bad = lowest if lowest < -size else indices.highest
        raise IndexError(f"index {bad} is out of bounds for axis {axis} with size {size}")


def _places(args, attrs):
    for dtype in operands(args[1:2]):
        if isinstance(dtype, DType) and dtype.kind not in ("int", "uint"):
            raise TypeError(f"indices must be integers, got {dtype}")
    return None, kept(args, attrs)[1]


@primitive(
    shape=_taken,
    dtype=_places,
    vjp=lambda g, out, x, indices, axis: (
        index_add(zeros_like(x, dtype=g.dtype), indices, g, axis=axis),
        None,
    ),
)
def take(x, indices, /, axis=0):
    """The slices of x at integer `indices` along an axis; negative ones count from the end.

    Shapes: x (..., n, ...), indices (*k) -> (..., *k, ...). An index out of bounds is an IndexError in eager
    code; in compiled code it is not checked, and what it gives is undefined.
    """


def _added(x, indices, updates, axis=0, **_):
    at = as_axis(axis, len(shape_of(x)))
    region = (*shape_of(x)[:at], *shape_of(indices), *shape_of(x)[at + 1 :])
    if not stretches(shape_of(updates), region):
        raise ValueError(f"updates of shape {shape_of(updates)} do not fit the region of shape {region}")
    return same(x)


def _into_first_by_place(args, attrs):
    own = _places(args, attrs)[1]
    return (None, None, own), own


@primitive(
    shape=_added,
    dtype=_into_first_by_place,
    vjp=lambda g, out, x, indices, updates, axis: (g, None, take(g, indices, axis=axis)),
)
def index_add(x, indices, updates, /, axis=0):
    """A copy of x with `updates` added at integer `indices` along an axis; repeated indices add up.

    Shapes: x (..., n, ...), indices (*k), updates (..., *k, ...) -> x's. The reverse of `take`.
    """


@composite(vjp=constant)
def one_hot(indices, /, num_classes, axis=-1, dtype=None):
    """1 at each index and 0 elsewhere along a new axis of size `num_classes`; all 0 for an index outside."""
    ndim = len(shape_of(indices))
    at = as_axis(axis, ndim + 1)
    all_ = slice(None)
    column = getitem(indices, index=(*(all_,) * at, None))
    classes = arange(num_classes, dtype=as_dtype(indices.dtype), like=indices)
    return astype(
        equal(column, getitem(classes, index=(all_, *(None,) * (ndim - at)))),
        dtype=Defaults.float if dtype is None else dtype,
    )
