"""Pooling: one number of each window over the last axes, channels first as in torch."""

import itertools
import math

from ember_ml.core.dtypes import as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import shape_of
from ember_ml.ops.batching import folded
from ember_ml.ops.comparison import equal
from ember_ml.ops.creation import asarray, astype
from ember_ml.ops.elementwise import add, divide, multiply
from ember_ml.ops.indexing import getitem, part
from ember_ml.ops.limits import bounds
from ember_ml.ops.reduction import sum
from ember_ml.ops.shape import reshape, upright
from ember_ml.ops.windows import (
    Each,
    each,
    fold_windows,
    padded,
    places_of,
    running_maximum,
    sliding_windows,
)

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"]


def _windowed(x, kernel_size, stride, padding, ndim):
    """Return the settings of a pooling, one for each axis. Raises ValueError for what does not fit."""
    if len(shape_of(x)) not in (ndim + 1, ndim + 2):
        raise ValueError(f"expected (batch, channels, *{ndim} axes) or no batch, got shape {shape_of(x)}")
    sizes = each("kernel_size", kernel_size, ndim)
    steps = sizes if stride is None else each("stride", stride, ndim)
    around = each("padding", padding, ndim, 0)
    if any(2 * p > n for p, n in zip(around, sizes, strict=True)):
        raise ValueError(f"padding {around} must be at most half of kernel_size {sizes}")
    room = [n + 2 * p for n, p in zip(shape_of(x)[-ndim:], around, strict=True)]
    places_of(room, sizes, steps, (1,) * ndim)
    return sizes, steps, tuple((p, p) for p in around)


def _max_pool(x, kernel_size, stride, padding, ndim):
    sizes, steps, pairs = _windowed(x, kernel_size, stride, padding, ndim)
    x = padded(x, pairs, bounds(as_dtype(x.dtype))[0])
    lead = len(shape_of(x)) - ndim
    for i in range(ndim):
        x = running_maximum(x, sizes[i], steps[i], lead + i)
    return x


def _to_maxima(ndim):
    """Return the gradient rule of max pooling: equal values of one window share what it passes on."""

    def vjp(g, out, x, kernel_size, stride, padding):
        sizes, steps, pairs = _windowed(x, kernel_size, stride, padding, ndim)
        wide = padded(x, pairs, bounds(as_dtype(x.dtype))[0])
        within = tuple(range(-ndim, 0))

        def over_windows(y):
            return reshape(y, shape=(*shape_of(y), *(1,) * ndim))

        hit = astype(
            equal(sliding_windows(wide, shape=sizes, stride=steps), over_windows(out)), dtype=g.dtype
        )
        share = multiply(over_windows(divide(g, sum(hit, axis=within))), hit)
        whole = fold_windows(share, sizes=shape_of(wide)[-ndim:], stride=steps)
        inner = tuple(slice(low, low + n) for n, (low, _) in zip(shape_of(x)[-ndim:], pairs, strict=True))
        return (getitem(whole, index=(..., *inner)),)

    return vjp


@composite(vjp=_to_maxima(1), batch=folded)
def max_pool1d(x, /, kernel_size: Each, stride: Each | None = None, padding: Each = 0):
    """The largest value of each window over the last axis, as `max_pool2d` over two."""
    return _max_pool(x, kernel_size, stride, padding, 1)


@composite(vjp=_to_maxima(2), batch=folded)
def max_pool2d(x, /, kernel_size: Each, stride: Each | None = None, padding: Each = 0):
    """The largest value of each window over the last two axes, as torch.nn.functional.max_pool2d.

    Shapes: x (batch, channels, h, w) or without the batch; h becomes (h + 2 padding - kernel_size) // stride
    + 1. Settings are an integer or one for each axis; `stride` is the size of the window unless given;
    padding counts as smaller than anything. Equal values share the gradient, as in `max`, where torch gives
    it to the first.
    """
    return _max_pool(x, kernel_size, stride, padding, 2)


@composite(vjp=_to_maxima(3), batch=folded)
def max_pool3d(x, /, kernel_size: Each, stride: Each | None = None, padding: Each = 0):
    """The largest value of each window over the last three axes, as `max_pool2d` over two."""
    return _max_pool(x, kernel_size, stride, padding, 3)


def _avg_pool(x, kernel_size, stride, padding, count_include_pad, ndim):
    if (dtype := as_dtype(x.dtype)).kind != "float":
        raise TypeError(f"expected floating-point arrays, got {dtype}")
    sizes, steps, pairs = _windowed(x, kernel_size, stride, padding, ndim)
    room, lead = shape_of(x)[-ndim:], len(shape_of(x)) - ndim
    total = padded(x, pairs, 0.0)
    for i in range(ndim):
        total = _running_sum(total, sizes[i], steps[i], lead + i)
    if count_include_pad or not any(map(any, pairs)):
        return divide(total, float(math.prod(sizes)))
    for i in range(ndim):
        starts = range(-pairs[i][0], room[i] + pairs[i][1] - sizes[i] + 1, steps[i])
        counts = [float(min(a + sizes[i], room[i]) - max(a, 0)) for a in starts]
        column = upright(asarray(counts, dtype=dtype, like=x), i, ndim)
        total = divide(total, column)
    return total


def _running_sum(x, size, stride, axis):
    room = shape_of(x)[axis] - size + 1
    parts = [part(x, axis, at, at + room, stride) for at in range(size)]
    return list(itertools.accumulate(parts, add))[-1]


@composite()
def avg_pool1d(
    x, /, kernel_size: Each, stride: Each | None = None, padding: Each = 0, count_include_pad=True
):
    """The mean of each window over the last axis, as `avg_pool2d` over two."""
    return _avg_pool(x, kernel_size, stride, padding, count_include_pad, 1)


@composite()
def avg_pool2d(
    x, /, kernel_size: Each, stride: Each | None = None, padding: Each = 0, count_include_pad=True
):
    """The mean of each window over the last two axes, as torch.nn.functional.avg_pool2d.

    Shapes and settings are those of `max_pool2d`. The zeros of the padding count as values unless
    `count_include_pad` is False. TypeError for arrays that are not floating-point.
    """
    return _avg_pool(x, kernel_size, stride, padding, count_include_pad, 2)


@composite()
def avg_pool3d(
    x, /, kernel_size: Each, stride: Each | None = None, padding: Each = 0, count_include_pad=True
):
    """The mean of each window over the last three axes, as `avg_pool2d` over two."""
    return _avg_pool(x, kernel_size, stride, padding, count_include_pad, 3)
