"""Special functions."""

from ember_ml.core.dtypes import REAL
from ember_ml.core.op import primitive
from ember_ml.core.rules import floating
from ember_ml.ops.elementwise import divide, exp, multiply, negative, square

TWO_OVER_ROOT_PI = 1.1283791670955126


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


@primitive(dtype=floating, kinds=REAL, domain=(0.5, 4.0))
def digamma(x, /):
    """The derivative of `lgamma`; it has no gradient rule of its own."""
