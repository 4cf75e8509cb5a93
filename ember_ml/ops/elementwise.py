"""Ops on each element by itself. Two arrays broadcast against each other."""

from ember_ml.core.dtypes import BITS, NUMERIC, REAL
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import broadcast, chosen, floating, magnitude, promoted, truth
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import equal, greater, less_equal, logical_and, logical_or

NUMBERS = (int, float, complex)


@primitive(shape=broadcast, kinds=NUMERIC, vjp=lambda g, out, x1, x2: (g, g))
def add(x1, x2, /):
    """The sum x1 + x2."""


@primitive(shape=broadcast, kinds=NUMERIC, vjp=lambda g, out, x1, x2: (g, negative(g)))
def subtract(x1, x2, /):
    """The difference x1 - x2."""


@primitive(shape=broadcast, kinds=NUMERIC, vjp=lambda g, out, x1, x2: (multiply(g, x2), multiply(g, x1)))
def multiply(x1, x2, /):
    """The product x1 * x2."""


@primitive(
    shape=broadcast,
    dtype=floating,
    kinds=NUMERIC,
    domain=((-2.0, 2.0), (0.5, 2.0)),
    vjp=lambda g, out, x1, x2: (divide(g, x2), negative(divide(multiply(g, out), x2))),
)
def divide(x1, x2, /):
    """The quotient x1 / x2. Integers give the default float; x/0 is infinite, 0/0 is NaN."""


def _power_vjp(g, out, x1, x2):
    by_exponent = None
    if not isinstance(x2, NUMBERS):
        positive_base = greater(x1, 0)
        by_exponent = where(positive_base, multiply(multiply(g, out), log(where(positive_base, x1, 1))), 0)
    by_base = None
    if not isinstance(x1, NUMBERS):
        lower = x2 - 1 if isinstance(x2, NUMBERS) else subtract(x2, 1)
        by_base = multiply(g, multiply(power(x1, lower), x2))
    return by_base, by_exponent


@primitive(shape=broadcast, kinds=NUMERIC, domain=((0.2, 2.0), (-2.0, 2.0)), vjp=_power_vjp)
def power(x1, x2, /):
    """x1 to the power x2; in the gradient of the exponent, a base that is not positive counts as constant."""


@primitive(shape=broadcast, kinds=REAL, dtype=promoted, domain=((-2.0, 2.0), (0.5, 2.0)), vjp=constant)
def floor_divide(x1, x2, /):
    """The quotient rounded towards minus infinity: -7 // 2 is -4."""


@primitive(
    shape=broadcast,
    kinds=REAL,
    domain=((0.6, 0.9), (1.0, 2.0)),
    vjp=lambda g, out, x1, x2: (g, negative(multiply(g, floor_divide(x1, x2)))),
)
def remainder(x1, x2, /):
    """The remainder of floor division; it has the sign of the divisor: -3 % 2 is 1."""


@primitive(shape=broadcast, kinds=REAL, vjp=lambda g, out, x1, x2: _share(g, x1, x2, greater(x1, x2)))
def maximum(x1, x2, /):
    """The larger of x1 and x2, NaN where either is. Where they are equal, the gradient is shared."""


@primitive(shape=broadcast, kinds=REAL, vjp=lambda g, out, x1, x2: _share(g, x1, x2, greater(x2, x1)))
def minimum(x1, x2, /):
    """The smaller of x1 and x2, NaN where either is. Where they are equal, the gradient is shared."""


def _share(g, x1, x2, first_wins):
    half = multiply(g, 0.5)
    tie = equal(x1, x2)
    return where(tie, half, where(first_wins, g, 0)), where(tie, half, where(first_wins, 0, g))


def _softly(g, out, x1, x2):
    return multiply(g, exp(subtract(x1, out))), multiply(g, exp(subtract(x2, out)))


@primitive(shape=broadcast, dtype=floating, kinds=REAL, vjp=_softly)
def logaddexp(x1, x2, /):
    """log(e**x1 + e**x2), without overflow."""


@primitive(kinds=NUMERIC, vjp=lambda g, out, x: (negative(g),))
def negative(x, /):
    """The number of opposite sign."""


@composite(kinds=NUMERIC)
def positive(x, /):
    """The array itself."""
    return multiply(x, 1)


@primitive(dtype=magnitude, kinds=NUMERIC, domain=(0.1, 2.0), vjp=lambda g, out, x: (multiply(g, sign(x)),))
def abs(x, /):
    """The distance from 0. Its gradient at 0 is 0."""


@primitive(kinds=NUMERIC, vjp=constant)
def sign(x, /):
    """-1, 0 or 1."""


@primitive(kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, multiply(x, 2)),))
def square(x, /):
    """x * x."""


@primitive(
    dtype=floating, kinds=NUMERIC, domain=(0.1, 2.0), vjp=lambda g, out, x: (divide(multiply(g, 0.5), out),)
)
def sqrt(x, /):
    """The square root; NaN below 0."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, out),))
def exp(x, /):
    """e**x."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, add(out, 1)),))
def expm1(x, /):
    """e**x - 1, exact near 0."""


@primitive(dtype=floating, kinds=NUMERIC, domain=(0.1, 2.0), vjp=lambda g, out, x: (divide(g, x),))
def log(x, /):
    """The natural logarithm; -inf at 0, NaN below."""


@primitive(dtype=floating, kinds=NUMERIC, domain=(-0.5, 2.0), vjp=lambda g, out, x: (divide(g, add(x, 1)),))
def log1p(x, /):
    """log(1 + x), exact near 0."""


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


TWO_OVER_ROOT_PI = 1.1283791670955126


@primitive(
    dtype=floating,
    kinds=REAL,
    vjp=lambda g, out, x: (multiply(multiply(g, TWO_OVER_ROOT_PI), exp(negative(square(x)))),),
)
def erf(x, /):
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x."""


@primitive(kinds=REAL, vjp=constant)
def floor(x, /):
    """The largest whole number not above x."""


@primitive(kinds=REAL, vjp=constant)
def ceil(x, /):
    """The smallest whole number not below x."""


@primitive(kinds=NUMERIC, vjp=constant)
def round(x, /):
    """The nearest whole number, halves to even."""


@primitive(dtype=truth, kinds=NUMERIC, vjp=constant)
def isnan(x, /):
    """Whether it is NaN."""


@primitive(dtype=truth, kinds=NUMERIC, vjp=constant)
def isfinite(x, /):
    """Whether it is neither infinite nor NaN."""


@primitive(
    shape=broadcast,
    dtype=chosen,
    vjp=lambda g, out, condition, x1, x2: (None, where(condition, g, 0), where(condition, 0, g)),
)
def where(condition, x1, x2, /):
    """x1 where the condition holds, x2 elsewhere."""


@composite(kinds=REAL, arrays=("x", "min", "max"))
def clip(x, /, min=None, max=None):
    """x, but not below `min` and not above `max`; None sets no limit."""
    raised = x if min is None else maximum(x, min)
    return raised if max is None else minimum(raised, max)


@composite()
def isclose(x1, x2, /, rtol=1e-5, atol=1e-8):
    """Whether |x1 - x2| <= atol + rtol * |x2|. NaN is close to nothing, an infinity to itself."""
    near = less_equal(abs(subtract(x1, x2)), add(multiply(abs(x2), rtol), atol))
    return logical_or(logical_and(near, isfinite(x2)), equal(x1, x2))


@primitive(shape=broadcast, kinds=BITS, vjp=constant)
def bitwise_and(x1, x2, /):
    """1 in each bit that is 1 in both."""


@primitive(shape=broadcast, kinds=BITS, vjp=constant)
def bitwise_or(x1, x2, /):
    """1 in each bit that is 1 in either."""


@primitive(shape=broadcast, kinds=BITS, vjp=constant)
def bitwise_xor(x1, x2, /):
    """1 in each bit that is 1 in exactly one."""


@primitive(kinds=BITS, vjp=constant)
def bitwise_invert(x, /):
    """Every bit turned over."""


@primitive(shape=broadcast, kinds=("int", "uint"), domain=((0, 9), (0, 4)), vjp=constant)
def bitwise_left_shift(x1, x2, /):
    """The bits of x1 moved x2 places up, zeros from below."""


@primitive(shape=broadcast, kinds=("int", "uint"), domain=((0, 9), (0, 4)), vjp=constant)
def bitwise_right_shift(x1, x2, /):
    """The bits of x1 moved x2 places down; the sign stays."""
