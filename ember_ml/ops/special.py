"""Special functions."""

import math

from ember_ml.core.dtypes import REAL
from ember_ml.core.op import primitive
from ember_ml.core.rules import floating
from ember_ml.ops.comparison import less
from ember_ml.ops.elementwise import add, divide, exp, multiply, negative, square, subtract, where
from ember_ml.ops.trigonometry import sin

__all__ = ["digamma", "erf", "erfinv", "lgamma"]

ROOT_HALF = 0.7071067811865476
TWO_OVER_ROOT_PI = 1.1283791670955126
BERNOULLI = (7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6)  # B14 down to B2


@primitive(
    dtype=floating,
    kinds=REAL,
    vjp=lambda g, out, x: (multiply(multiply(g, TWO_OVER_ROOT_PI), exp(negative(square(x)))),),
)
def erf(x, /):
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x."""


@primitive(
    dtype=floating,
    kinds=REAL,
    domain=(-0.9, 0.9),
    vjp=lambda g, out, x: (divide(multiply(g, exp(square(out))), TWO_OVER_ROOT_PI),),
)
def erfinv(x, /):
    """The number whose error function is x; infinite at -1 and 1, NaN outside."""


@primitive(
    dtype=floating,
    kinds=REAL,
    domain=(0.5, 4.0),
    vjp=lambda g, out, x: (multiply(g, digamma(x)),),
)
def lgamma(x, /):
    """The logarithm of the absolute value of the gamma function; infinite at 0, -1, -2 ..."""


def _trigamma(x):
    """The derivative of `digamma`: DLMF 5.15.5 up to 8, 5.15.8 from there, 5.15.6 below 1/2."""
    low = less(x, 0.5)
    y, total = where(low, subtract(1.0, x), x), 0.0
    for _ in range(8):
        y, total = add(y, 1.0), add(divide(1.0, square(y)), total)
    z, series = divide(1.0, square(y)), 0.0
    for number in BERNOULLI:
        series = add(multiply(series, z), number)
    total = add(total, add(divide(add(multiply(series, z), 1.0), y), multiply(z, 0.5)))
    mirrored = square(divide(math.pi, sin(multiply(where(low, x, 0.5), math.pi))))
    return where(low, subtract(mirrored, total), total)


@primitive(dtype=floating, kinds=REAL, domain=(0.5, 4.0), vjp=lambda g, out, x: (multiply(g, _trigamma(x)),))
def digamma(x, /):
    """The derivative of `lgamma`."""
