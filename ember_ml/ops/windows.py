"""Windows over the last axes of an array: seen, and added up again where they came from."""

import operator

from ember_ml.core.dtypes import as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import shape_of
from ember_ml.ops.batching import last_axes
from ember_ml.ops.creation import arange, zeros
from ember_ml.ops.elementwise import add, maximum, multiply
from ember_ml.ops.indexing import getitem, index_add, part, slice_update, take
from ember_ml.ops.repetition import pad
from ember_ml.ops.shape import permute_dims, reshape

__all__ = ["fold_windows", "sliding_windows"]

Each = int | tuple[int, ...]  # a setting: one integer, or one for each axis


def each(name, value, ndim, least=1):
    """Return a setting as one integer for each axis."""
    sizes = tuple(value) if isinstance(value, tuple | list) else (value,) * ndim
    sizes = tuple(map(operator.index, sizes))
    if len(sizes) != ndim or any(n < least for n in sizes):
        raise ValueError(f"{name} must be an integer of at least {least}, or {ndim} of them, got {value!r}")
    return sizes


def span(n, dilation):
    """Return the size of n places with gaps between them; of none, no more than 0."""
    return dilation * (n - 1) + 1


def places_of(sizes, shape, stride, dilation):
    """Return how many windows fit along each axis."""
    spans = [span(n, d) for n, d in zip(shape, dilation, strict=True)]
    if any(n < span for n, span in zip(sizes, spans, strict=True)):
        raise ValueError(f"windows that span {tuple(spans)} do not fit in sizes {tuple(sizes)}")
    return [(n - span) // s + 1 for n, span, s in zip(sizes, spans, stride, strict=True)]


def _seen(count, size, stride, dilation, like):
    """Return the indices along one axis that each window sees: (count, size)."""
    starts, steps = arange(count, like=like), arange(size, like=like)
    return add(
        multiply(reshape(starts, shape=(-1, 1)), stride), multiply(reshape(steps, shape=(1, -1)), dilation)
    )


@composite(
    vjp=lambda g, out, x, shape, stride, dilation: (_folded(g, x, shape, stride, dilation),), batch=last_axes
)
def sliding_windows(x, /, shape, stride: Each = 1, dilation: Each = 1):
    """The windows of a shape over the last axes of x: (..., *sizes) -> (..., *places, *shape).

    `stride` is the way from window to window, `dilation` that from value to value within one; an integer or
    one for each axis. What does not fill a window at the end is left out; a window that does not fit at all
    is a ValueError.
    """
    ndim, lead = len(shape), len(shape_of(x)) - len(shape)
    if lead < 0:
        raise ValueError(f"windows of shape {tuple(shape)} need {ndim} axes, got shape {shape_of(x)}")
    stride, dilation = each("stride", stride, ndim), each("dilation", dilation, ndim)
    counts = places_of(shape_of(x)[lead:], shape, stride, dilation)
    for i in range(ndim):
        x = take(x, _seen(counts[i], shape[i], stride[i], dilation[i], x), axis=lead + 2 * i)
    pairs = range(lead, lead + 2 * ndim)
    return permute_dims(x, axes=(*range(lead), *pairs[::2], *pairs[1::2]))


def _folded(g, x, shape, stride, dilation):
    return fold_windows(
        g, sizes=shape_of(x)[len(shape_of(x)) - len(shape) :], stride=stride, dilation=dilation
    )


def _unfolded(g, out, x, sizes, stride, dilation):
    return (
        sliding_windows(
            g, shape=shape_of(x)[len(shape_of(x)) - len(sizes) :], stride=stride, dilation=dilation
        ),
    )


@composite(vjp=_unfolded, batch=last_axes)
def fold_windows(x, /, sizes, stride: Each = 1, dilation: Each = 1):
    """The transpose of `sliding_windows`: every window is added where it came from, in zeros of `sizes`.

    Shapes: x (..., *places, *shape) -> (..., *sizes).
    """
    ndim, lead = len(sizes), len(shape_of(x)) - 2 * len(sizes)
    if lead < 0:
        raise ValueError(f"windows over {ndim} axes come with {2 * ndim}, got shape {shape_of(x)}")
    counts, shape = shape_of(x)[lead : lead + ndim], shape_of(x)[lead + ndim :]
    stride, dilation = each("stride", stride, ndim), each("dilation", dilation, ndim)
    if tuple(counts) != tuple(places_of(sizes, shape, stride, dilation)):
        raise ValueError(f"windows {shape_of(x)[lead:]} are not those of sizes {tuple(sizes)}")
    order = [axis for i in range(ndim) for axis in (lead + i, lead + ndim + i)]
    x = permute_dims(x, axes=(*range(lead), *order))
    for i in range(ndim):
        at = lead + i
        found = shape_of(x)
        empty = zeros((*found[:at], sizes[i], *found[at + 2 :]), dtype=as_dtype(x.dtype), like=x)
        x = index_add(empty, _seen(counts[i], shape[i], stride[i], dilation[i], x), x, axis=at)
    return x


def padded(x, pairs, value: float = 0):
    """Return x with `value` around its last axes, as many as there are pairs (before, after).

    A negative number cuts off.
    """
    shape = shape_of(x)
    lead = len(shape) - len(pairs)
    if any(n < 0 for pair in pairs for n in pair):
        sizes = zip(shape[lead:], pairs, strict=True)
        inner = tuple(slice(max(0, -low), n - max(0, -high)) for n, (low, high) in sizes)
        x, pairs = getitem(x, index=(..., *inner)), [(max(0, low), max(0, high)) for low, high in pairs]
    if not any(map(any, pairs)):
        return x
    return pad(x, [*((0, 0) for _ in range(lead)), *pairs], constant_values=value)


def spread(x, dilation):
    """Return x with zeros between the values of its last axes."""
    if all(d == 1 for d in dilation):
        return x
    shape = shape_of(x)
    lead = len(shape) - len(dilation)
    sizes = [max(0, span(n, d)) for n, d in zip(shape[lead:], dilation, strict=True)]
    empty = zeros((*shape[:lead], *sizes), dtype=as_dtype(x.dtype), like=x)
    return slice_update(empty, x, index=(..., *(slice(None, None, d) for d in dilation)))


def running_maximum(x, size, stride, axis):
    """Return the largest of each window along one axis, in log2(size) steps of the whole array."""
    width = 1
    if size == 1:
        return part(x, axis, None, None, stride)
    while width < size:
        shift = min(width, size - width)
        width += shift
        step = stride if width == size else 1
        room = shape_of(x)[axis] - shift
        x = maximum(part(x, axis, 0, room, step), part(x, axis, shift, None, step))
    return x
