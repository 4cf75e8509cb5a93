"""Functions of angles, circular and hyperbolic, and the functions that undo them."""

from ember_ml.core.dtypes import NUMERIC, REAL
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import broadcast, floating
from ember_ml.ops.elementwise import add, divide, imag, multiply, negative, real, sqrt, square, subtract

__all__ = [
    "acos", "acosh", "angle", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "sin", "sinh",
    "tan", "tanh",
]  # fmt: skip


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, cos(x)),))
def sin(x, /):
    """The sine of an angle in radians."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (negative(multiply(g, sin(x))),))
def cos(x, /):
    """The cosine of an angle in radians."""


@primitive(
    dtype=floating,
    kinds=NUMERIC,
    domain=(-1.0, 1.0),
    vjp=lambda g, out, x: (multiply(g, add(square(out), 1)),),
)
def tan(x, /):
    """The tangent of an angle in radians."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, cosh(x)),))
def sinh(x, /):
    """The hyperbolic sine."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, sinh(x)),))
def cosh(x, /):
    """The hyperbolic cosine."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, subtract(1, square(out))),))
def tanh(x, /):
    """The hyperbolic tangent."""


@primitive(
    dtype=floating,
    kinds=NUMERIC,
    domain=(-0.9, 0.9),
    vjp=lambda g, out, x: (negative(divide(g, sqrt(subtract(1, square(x))))),),
)
def acos(x, /):
    """The angle from 0 to pi whose cosine is x; NaN outside of [-1, 1]."""


@primitive(
    dtype=floating,
    kinds=NUMERIC,
    domain=(-0.9, 0.9),
    vjp=lambda g, out, x: (divide(g, sqrt(subtract(1, square(x)))),),
)
def asin(x, /):
    """The angle from -pi/2 to pi/2 whose sine is x; NaN outside of [-1, 1]."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (divide(g, add(square(x), 1)),))
def atan(x, /):
    """The angle from -pi/2 to pi/2 whose tangent is x."""


def _atan2_vjp(g, out, x1, x2):
    scaled = divide(g, add(square(x1), square(x2)))
    return multiply(scaled, x2), negative(multiply(scaled, x1))


@primitive(shape=broadcast, dtype=floating, kinds=REAL, domain=(0.2, 2.0), vjp=_atan2_vjp)
def atan2(x1, x2, /):
    """The angle from -pi to pi of the point with ordinate x1 and abscissa x2."""


@primitive(
    dtype=floating,
    kinds=NUMERIC,
    domain=(1.2, 3.0),
    vjp=lambda g, out, x: (divide(g, multiply(sqrt(subtract(x, 1)), sqrt(add(x, 1)))),),
)
def acosh(x, /):
    """The number from 0 up whose hyperbolic cosine is x; NaN below 1."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (divide(g, sqrt(add(square(x), 1))),))
def asinh(x, /):
    """The number whose hyperbolic sine is x."""


@primitive(
    dtype=floating,
    kinds=NUMERIC,
    domain=(-0.9, 0.9),
    vjp=lambda g, out, x: (divide(g, subtract(1, square(x))),),
)
def atanh(x, /):
    """The number whose hyperbolic tangent is x; infinite at -1 and 1, NaN outside."""


@composite(kinds=NUMERIC, domain=(0.1, 2.0))
def angle(x, /):
    """The angle of a complex number in the plane, from -pi to pi; 0 or pi of a real one."""
    return atan2(imag(x), real(x))
