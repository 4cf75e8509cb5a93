"""Ops that make one number of many, along the axes named; all axes when none is."""

import math

from ember_ml.core.dtypes import NUMERIC, REAL
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import (
    accumulated,
    as_axes,
    as_axis,
    index,
    kept,
    reduced,
    reduced_not_empty,
    same,
    shape_of,
    truth,
)
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import equal
from ember_ml.ops.control import stop_gradient
from ember_ml.ops.creation import astype, zeros_like
from ember_ml.ops.elementwise import (
    add,
    divide,
    exp,
    isclose,
    isfinite,
    log,
    multiply,
    sqrt,
    square,
    subtract,
    where,
)
from ember_ml.ops.shape import broadcast_to, flip, reshape


def _spread(g, x, axis, keepdims):
    """Undo a reduction's loss of axes: g over the shape of x."""
    return broadcast_to(_keep(g, x, axis, keepdims), shape=shape_of(x))


def _keep(g, x, axis, keepdims):
    return g if keepdims else reshape(g, shape=reduced(x, axis, keepdims=True))


@primitive(
    shape=reduced,
    dtype=accumulated,
    vjp=lambda g, out, x, axis, keepdims: (_spread(g, x, axis, keepdims),),
)
def sum(x, /, axis=None, keepdims=False):
    """The sum; 0 of nothing. Integers are summed in 64 bits."""


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
    squares = sum(square(subtract(x, mean(x, axis=axis, keepdims=True))), axis=axis, keepdims=keepdims)
    return divide(squares, count - correction if count > correction else float("nan"))


@composite()
def std(x, /, axis=None, keepdims=False, *, correction=0.0):
    """The standard deviation: the square root of `var`."""
    return sqrt(var(x, axis=axis, keepdims=keepdims, correction=correction))


def _to_extremes(g, out, x, axis, keepdims):
    hit = astype(equal(x, _keep(out, x, axis, keepdims)), dtype=g.dtype)
    return (multiply(divide(_keep(g, x, axis, keepdims), sum(hit, axis=axis, keepdims=True)), hit),)


@primitive(shape=reduced_not_empty, dtype=kept, kinds=REAL, vjp=_to_extremes)
def max(x, /, axis=None, keepdims=False):
    """The largest value. Equal ones share the gradient."""


@primitive(shape=reduced_not_empty, dtype=kept, kinds=REAL, vjp=_to_extremes)
def min(x, /, axis=None, keepdims=False):
    """The smallest value. Equal ones share the gradient."""


@primitive(shape=reduced, dtype=truth, vjp=constant)
def any(x, /, axis=None, keepdims=False):
    """Whether any value is true (or not 0)."""


@primitive(shape=reduced, dtype=truth, vjp=constant)
def all(x, /, axis=None, keepdims=False):
    """Whether every value is true (or not 0)."""


@composite()
def allclose(x1, x2, /, rtol=1e-5, atol=1e-8):
    """Whether all values are close, as `isclose` says."""
    return all(isclose(x1, x2, rtol=rtol, atol=atol))


@primitive(shape=reduced_not_empty, dtype=index, kinds=REAL, vjp=constant)
def argmax(x, /, axis=None, keepdims=False):
    """Where the largest value is, the first if there are several; in the flattened array without an axis."""


@primitive(shape=reduced_not_empty, dtype=index, kinds=REAL, vjp=constant)
def argmin(x, /, axis=None, keepdims=False):
    """Where the smallest value is, the first if there are several; in the flattened array without an axis."""


@composite()
def logsumexp(x, /, axis=None, keepdims=False):
    """log(sum(e**x)), without overflow; -inf where all values are."""
    top = stop_gradient(max(x, axis=axis, keepdims=True))
    top = where(isfinite(top), top, zeros_like(top))
    total = log(sum(exp(subtract(x, top)), axis=axis, keepdims=keepdims))
    return add(total, top if keepdims else reshape(top, shape=reduced(x, axis)))


def _along(x, axis=0, **_):
    as_axis(axis, len(shape_of(x)))
    return same(x)


@primitive(
    shape=_along,
    dtype=accumulated,
    kinds=NUMERIC,
    vjp=lambda g, out, x, axis: (flip(cumulative_sum(flip(g, axis=axis), axis=axis), axis=axis),),
)
def cumulative_sum(x, /, axis=0):
    """The running sum along an axis, the value at that place included."""
