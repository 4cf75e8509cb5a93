"""Ops that read and write places of an array. Arrays are values: writing returns a new one."""

from typing import Any, NamedTuple

from ember_ml.core.dtypes import NUMERIC, REAL, Defaults, DType, as_dtype
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import (
    UnknownShape,
    as_axis,
    axis_or_only,
    index_shape,
    kept,
    operands,
    same,
    shape_of,
    stretches,
    view,
)
from ember_ml.core.spec import Spec
from ember_ml.core.trace import Traced, constant, traced_in
from ember_ml.ops.batching import indexed, put, taken
from ember_ml.ops.comparison import equal
from ember_ml.ops.costs import fetched, for_each_update, moved
from ember_ml.ops.creation import arange, astype, zeros_like
from ember_ml.ops.elementwise import divide, multiply

__all__ = [
    "getitem", "index_add", "index_max", "index_min", "one_hot", "slice_tensor", "slice_update", "take",
]  # fmt: skip


class Places(NamedTuple):
    """Integers that point along an axis of `size`; negative ones count from its end where they may."""

    indices: Any
    size: int
    axis: Any = 0
    signed: bool = True

    def check(self, lowest: int, highest: int) -> None:
        """Raise IndexError unless all indices, of which these are the extremes, point inside."""
        least = -self.size if self.signed else 0
        if lowest < 0 and not self.signed:
            raise IndexError(f"expected no negative indices, got {lowest}")
        if not least <= lowest <= highest < self.size:
            bad = lowest if lowest < least else highest
            raise IndexError(f"index {bad} is out of bounds for axis {self.axis} with size {self.size}")

    def check_number(self) -> None:
        """Raise IndexError for a Python number that points outside; arrays pass."""
        if isinstance(self.indices, int):
            self.check(self.indices, self.indices)


@primitive(
    shape=index_shape,
    dtype=kept,
    vjp=lambda g, out, x, index: (slice_update(zeros_like(x, dtype=g.dtype), g, index=index),),
    batch=indexed,
    cost=view,
)
def getitem(x, /, index):
    """x[index] for an index of integers, slices, None and Ellipsis, known when the program is written."""


def part(x, axis, start, stop, step=None):
    """Return x[start:stop:step] along an axis; x itself where that is all of it."""
    at, index = as_axis(axis, len(shape_of(x))), slice(start, stop, step)
    places = range(shape_of(x)[at])
    return x if places[index] == places else getitem(x, index=(*(slice(None),) * at, index))


def _writable(x, updates, index, **_):
    return _written(x, updates, index_shape(x, index))


def _written(x, updates, region):
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
    batch=indexed,
    cost=moved,
)
def slice_update(x, updates, /, index):
    """A copy of x in which x[index] is `updates`, broadcast to that region and cast to x's dtype."""


def taken_shape(x, indices, axis=0, **_):
    """Shape rule: the axis gives way to those of the indices."""
    shape = shape_of(x)
    at = axis_or_only(x, axis)
    for places in along_axis(x, indices, axis=axis):
        places.check_number()
    return (*shape[:at], *shape_of(indices), *shape[at + 1 :])


def along_axis(x, indices, *_, axis=0):
    """Rule for `places`: the second argument points along an axis of the first."""
    shape = shape_of(x)
    at = axis_or_only(x, axis)
    return [Places(indices, shape[at], at if axis is None else axis)]


def integers_second(args, attrs):
    """Dtype rule: that of the first argument; the second must be integers."""
    for dtype in operands(args[1:2]):
        if (dtype.kind if isinstance(dtype, DType) else as_dtype(dtype).kind) not in ("int", "uint"):
            raise TypeError(f"indices must be integers, got {as_dtype(dtype)}")
    return None, kept(args, attrs)[1]


def known_integer(x, reason):
    """Return a single integer of an array as Python's. Raises UnknownShape where there are no values."""
    inner = traced_in(x)
    while type(inner) is Traced:
        inner = inner.value
    if type(inner) is Spec:
        raise UnknownShape(reason)
    return int(x)


@primitive(
    shape=taken_shape,
    dtype=integers_second,
    places=along_axis,
    vjp=lambda g, out, x, indices, axis: (
        index_add(zeros_like(x, dtype=g.dtype), indices, g, axis=axis),
        None,
    ),
    batch=taken,
    cost=fetched,
)
def take(x, indices, /, axis=0):
    """The slices of x at integer `indices` along an axis; negative ones count from the end.

    Shapes: x (..., n, ...), indices (*k) -> (..., *k, ...). `axis=None` is the only axis there is. An index
    out of bounds is an IndexError in eager code; in compiled code it is not checked, and what it gives is
    undefined.
    """


def region_written(x, indices, updates, axis=0, **_):
    """Shape rule: x's; the updates must fit what the indices choose."""
    return _written(x, updates, taken_shape(x, indices, axis=axis))


def _into_first_by_place(args, attrs):
    own = integers_second(args, attrs)[1]
    return (None, None, own), own


@primitive(
    shape=region_written,
    dtype=_into_first_by_place,
    kinds=NUMERIC,
    places=along_axis,
    vjp=lambda g, out, x, indices, updates, axis: (g, None, take(g, indices, axis=axis)),
    batch=put,
    cost=for_each_update,
)
def index_add(x, indices, updates, /, axis=0):
    """A copy of x with `updates` added at integer `indices` along an axis; repeated indices add up.

    Shapes: x (..., n, ...), indices (*k), updates (..., *k, ...) -> x's. The reverse of `take`.
    """


def _to_the_chosen(g, out, x, indices, updates, axis):
    """The gradient of an extreme goes to what equals it; ties share it equally."""
    old = astype(equal(x, out), dtype=g.dtype)
    new = astype(equal(updates, take(out, indices, axis=axis)), dtype=g.dtype)
    share = divide(g, index_add(old, indices, new, axis=axis))
    return multiply(share, old), None, multiply(take(share, indices, axis=axis), new)


@primitive(
    shape=region_written,
    dtype=_into_first_by_place,
    kinds=REAL,
    places=along_axis,
    vjp=_to_the_chosen,
    batch=put,
    cost=for_each_update,
)
def index_max(x, indices, updates, /, axis=0):
    """A copy of x in which a slice is the larger of itself and all `updates` that `indices` send there.

    Shapes as in `index_add`. Of equal values each gets an equal share of the gradient.
    """


@primitive(
    shape=region_written,
    dtype=_into_first_by_place,
    kinds=REAL,
    places=along_axis,
    vjp=_to_the_chosen,
    batch=put,
    cost=for_each_update,
)
def index_min(x, indices, updates, /, axis=0):
    """A copy of x in which a slice is the smaller of itself and all `updates` that `indices` send there.

    Shapes as in `index_add`. Of equal values each gets an equal share of the gradient.
    """


@composite()
def slice_tensor(x, /, starts, sizes):
    """The block of x that starts at `starts` and has `sizes`, one number each an axis.

    A size of -1 reaches to the end. Raises IndexError for a block that leaves the array.
    """
    shape, index = shape_of(x), []
    if not len(starts) == len(sizes) == len(shape):
        given = f"{tuple(starts)} and {tuple(sizes)}"
        raise ValueError(f"expected a start and a size for each of {len(shape)} axes, got {given}")
    for axis, (start, size, n) in enumerate(zip(starts, sizes, shape, strict=True)):
        stop = n if size == -1 else start + size
        if not 0 <= start <= stop <= n:
            raise IndexError(f"places {start} to {stop} are out of bounds for axis {axis} with size {n}")
        index.append(slice(start, stop))
    return getitem(x, index=tuple(index))


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
