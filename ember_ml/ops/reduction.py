"""Ops that make one number of many, along the axes named; all axes when none is."""

import math

from ember_ml.core.dtypes import NUMERIC, REAL, as_dtype
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import (
    accumulated,
    as_axes,
    index,
    kept,
    reduced,
    reduced_not_empty,
    shape_of,
    truth,
)
from ember_ml.core.trace import constant
from ember_ml.ops.batching import along
from ember_ml.ops.comparison import equal, logical_not
from ember_ml.ops.control import stop_gradient
from ember_ml.ops.creation import astype, with_fractions, zeros_like
from ember_ml.ops.cumulative import cumulative_prod
from ember_ml.ops.elementwise import (
    abs,
    add,
    divide,
    exp,
    is_complex,
    isclose,
    isfinite,
    isnan,
    log,
    multiply,
    sqrt,
    square,
    subtract,
    where,
)
from ember_ml.ops.indexing import part
from ember_ml.ops.shape import broadcast_to, flip, inverse_order, permute_dims, reshape

__all__ = [
    "all", "allclose", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean", "min",
    "nanmean", "nansum", "prod", "std", "sum", "var",
]  # fmt: skip


def _over(g, x, axis, keepdims):
    """Undo a reduction's loss of axes: g over the shape of x."""
    return broadcast_to(_keep(g, x, axis, keepdims), shape=shape_of(x))


def _keep(g, x, axis, keepdims):
    return g if keepdims else reshape(g, shape=reduced(x, axis, keepdims=True))


@primitive(
    shape=reduced,
    dtype=accumulated,
    vjp=lambda g, out, x, axis, keepdims, dtype: (_over(g, x, axis, keepdims),),
    batch=along,
)
def sum(x, /, axis=None, keepdims=False, *, dtype=None):
    """The sum; 0 of nothing. Integers are summed in 64 bits unless `dtype` says otherwise."""


def _prod_vjp(g, out, x, axis, keepdims, dtype):
    """The product of all others is that of those before by that of those after, so a 0 does no harm."""
    shape = shape_of(x)
    gone = as_axes(axis, len(shape))
    order = (*(i for i in range(len(shape)) if i not in gone), *gone)
    moved = permute_dims(x, axes=order)
    kept_sizes = [n for i, n in enumerate(shape) if i not in gone]
    rows = reshape(moved, shape=(*kept_sizes, math.prod(shape[i] for i in gone)))
    others = multiply(_before(rows), flip(_before(flip(rows, axis=-1)), axis=-1))
    back = permute_dims(reshape(others, shape=shape_of(moved)), axes=inverse_order(order, len(shape)))
    return (multiply(_keep(g, x, axis, keepdims), back),)


def _before(rows):
    """Return the product of all values before each along the last axis."""
    return part(cumulative_prod(rows, axis=-1, include_initial=True), -1, None, -1)


@primitive(shape=reduced, dtype=accumulated, kinds=NUMERIC, domain=(0.5, 1.5), vjp=_prod_vjp, batch=along)
def prod(x, /, axis=None, keepdims=False, *, dtype=None):
    """The product; 1 of nothing. Integers are multiplied in 64 bits unless `dtype` says otherwise."""


@composite(vjp=constant)
def count_nonzero(x, /, axis=None, keepdims=False):
    """How many values are not 0; NaN is not."""
    return sum(astype(x, dtype="bool"), axis=axis, keepdims=keepdims)


@composite()
def mean(x, /, axis=None, keepdims=False):
    """The arithmetic mean; NaN of nothing."""
    shape = shape_of(x)
    count = math.prod([shape[i] for i in as_axes(axis, len(shape))])
    return divide(sum(x, axis=axis, keepdims=keepdims), float(count) if count else float("nan"))


@composite()
def var(x, /, axis=None, keepdims=False, *, correction=0.0):
    """The variance: mean squared distance from the mean, with n - correction in the denominator."""
    shape = shape_of(x)
    count = math.prod([shape[i] for i in as_axes(axis, len(shape))])
    distance = subtract(x, mean(x, axis=axis, keepdims=True))
    squares = square(abs(distance) if is_complex(distance) else distance)
    total = sum(squares, axis=axis, keepdims=keepdims)
    return divide(total, count - correction if count > correction else float("nan"))


@composite()
def std(x, /, axis=None, keepdims=False, *, correction=0.0):
    """The standard deviation: the square root of `var`."""
    return sqrt(var(x, axis=axis, keepdims=keepdims, correction=correction))


def _to_extremes(g, out, x, axis, keepdims):
    hit = astype(equal(x, _keep(out, x, axis, keepdims)), dtype=g.dtype)
    return (multiply(divide(_keep(g, x, axis, keepdims), sum(hit, axis=axis, keepdims=True)), hit),)


@primitive(shape=reduced_not_empty, dtype=kept, kinds=REAL, vjp=_to_extremes, batch=along)
def max(x, /, axis=None, keepdims=False):
    """The largest value. Equal ones share the gradient."""


@primitive(shape=reduced_not_empty, dtype=kept, kinds=REAL, vjp=_to_extremes, batch=along)
def min(x, /, axis=None, keepdims=False):
    """The smallest value. Equal ones share the gradient."""


@primitive(shape=reduced, dtype=truth, vjp=constant, batch=along)
def any(x, /, axis=None, keepdims=False):
    """Whether any value is true (or not 0)."""


@primitive(shape=reduced, dtype=truth, vjp=constant, batch=along)
def all(x, /, axis=None, keepdims=False):
    """Whether every value is true (or not 0)."""


@composite()
def allclose(x1, x2, /, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether all values are close, as `isclose` says."""
    return all(isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan))


@primitive(shape=reduced_not_empty, dtype=index, kinds=REAL, vjp=constant, batch=along)
def argmax(x, /, axis=None, keepdims=False):
    """Where the largest value is, the first if there are several; in the flattened array without an axis."""


@primitive(shape=reduced_not_empty, dtype=index, kinds=REAL, vjp=constant, batch=along)
def argmin(x, /, axis=None, keepdims=False):
    """Where the smallest value is, the first if there are several; in the flattened array without an axis."""


@composite()
def logsumexp(x, /, axis=None, keepdims=False):
    """log(sum(e**x)), without overflow; -inf where all values are."""
    x = with_fractions(x)
    top = stop_gradient(max(x, axis=axis, keepdims=True))
    top = where(isfinite(top), top, zeros_like(top))
    total = log(sum(exp(subtract(x, top)), axis=axis, keepdims=keepdims))
    return add(total, top if keepdims else reshape(top, shape=reduced(x, axis)))


@composite()
def nansum(x, /, axis=None, keepdims=False):
    """The sum of the values that are not NaN; 0 of nothing."""
    return sum(where(isnan(x), 0, x), axis=axis, keepdims=keepdims)


@composite()
def nanmean(x, /, axis=None, keepdims=False):
    """The mean of the values that are not NaN; NaN of nothing."""
    count = sum(logical_not(isnan(x)), axis=axis, keepdims=keepdims)
    total = nansum(x, axis=axis, keepdims=keepdims)
    return divide(total, where(equal(count, 0), float("nan"), astype(count, dtype=as_dtype(total.dtype))))
