"""Ops on each element by itself. Two arrays broadcast against each other."""

from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import BITS, FLOATING, NUMERIC, REAL, as_dtype, promote, real_of
from ember_ml.core.op import composite, primitive
from ember_ml.core.reverse import conjugated
from ember_ml.core.rules import broadcast, floating, kept, operands, promoted, truth
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import equal, greater, less_equal, logical_and, logical_or, not_equal
from ember_ml.ops.limits import largest_finite

__all__ = [
    "abs", "add", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "ceil", "clip", "conj", "copysign", "divide", "exp", "expm1",
    "floor", "floor_divide", "hypot", "imag", "isclose", "isfinite", "isinf", "isnan", "log", "log1p",
    "log2", "log10", "logaddexp", "maximum", "minimum", "multiply", "nan_to_num", "negative", "nextafter",
    "positive", "power", "real", "reciprocal", "remainder", "round", "rsqrt", "sign", "signbit", "sqrt",
    "square", "subtract", "trunc", "where",
]  # fmt: skip

LOG2, LOG10 = 0.6931471805599453, 2.302585092994046


def chosen(args, attrs):
    """The first argument is a condition; the others meet."""
    common = promote(*operands(args[1:]))
    return (None, *([common] * (len(args) - 1))), common


def magnitude(args, attrs):
    """As the first argument, but real."""
    return None, real_of(kept(args, attrs)[1])


def is_complex(x):
    """Whether it is a complex array or number."""
    dtype = complex if type(x) is complex else getattr(x, "dtype", bool)
    return as_dtype(dtype).kind == "complex"


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
    if type(x2) not in SCALARS:
        varies = not_equal(x1, 0) if is_complex(x1) else greater(x1, 0)
        by_exponent = where(varies, multiply(multiply(g, out), log(where(varies, x1, 1))), 0)
    by_base = None
    if type(x1) not in SCALARS:
        lower = x2 - 1 if type(x2) in SCALARS else subtract(x2, 1)
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


@composite(kinds=NUMERIC, domain=(0.5, 2.0))
def reciprocal(x, /):
    """1 / x."""
    return divide(1, x)


@primitive(
    dtype=magnitude,
    kinds=NUMERIC,
    domain=(0.1, 2.0),
    vjp=lambda g, out, x: (multiply(g, conjugated(sign(x))),),
)
def abs(x, /):
    """The distance from 0. Its gradient at 0 is 0."""


def _sign_vjp(g, out, x):
    if not is_complex(x):
        return (None,)
    distance = where(equal(x, 0), 1, abs(x))
    along = multiply(conjugated(out), real(multiply(g, out)))
    return (divide(subtract(g, along), distance),)


@primitive(kinds=NUMERIC, vjp=_sign_vjp)
def sign(x, /):
    """-1, 0 or 1; x / abs(x) of a complex number."""


def _hypot_vjp(g, out, x1, x2):
    scaled = divide(g, where(equal(out, 0), 1, out))
    return multiply(scaled, x1), multiply(scaled, x2)


@primitive(shape=broadcast, dtype=floating, kinds=REAL, vjp=_hypot_vjp)
def hypot(x1, x2, /):
    """sqrt(x1**2 + x2**2) without overflow: the distance from 0 to (x1, x2). Its gradient at 0 is 0."""


def _copysign_vjp(g, out, x1, x2):
    return where(equal(signbit(x1), signbit(x2)), g, negative(g)), None


@primitive(shape=broadcast, dtype=floating, kinds=REAL, vjp=_copysign_vjp)
def copysign(x1, x2, /):
    """The size of x1 with the sign of x2, that of a zero included."""


@primitive(dtype=truth, kinds=("float",), vjp=constant)
def signbit(x, /):
    """Whether the sign is minus; it is for -0.0."""


@primitive(shape=broadcast, kinds=("float",), vjp=lambda g, out, x1, x2: (g, None))
def nextafter(x1, x2, /):
    """The next number that the dtype has from x1 towards x2."""


@primitive(dtype=magnitude, kinds=NUMERIC, vjp=lambda g, out, x: (g,))
def real(x, /):
    """The real part; a real number itself."""


@primitive(
    dtype=magnitude, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, -1j) if is_complex(x) else None,)
)
def imag(x, /):
    """The imaginary part; 0 for a real number."""


@primitive(kinds=NUMERIC, vjp=lambda g, out, x: (conjugated(g),))
def conj(x, /):
    """The number with the opposite imaginary part; a real number itself."""


@primitive(kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, multiply(x, 2)),))
def square(x, /):
    """x * x."""


@primitive(
    dtype=floating, kinds=NUMERIC, domain=(0.1, 2.0), vjp=lambda g, out, x: (divide(multiply(g, 0.5), out),)
)
def sqrt(x, /):
    """The square root; NaN below 0."""


@composite(kinds=NUMERIC, domain=(0.1, 2.0))
def rsqrt(x, /):
    """1 / sqrt(x)."""
    return reciprocal(sqrt(x))


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, out),))
def exp(x, /):
    """e**x."""


@primitive(dtype=floating, kinds=NUMERIC, vjp=lambda g, out, x: (multiply(g, add(out, 1)),))
def expm1(x, /):
    """e**x - 1, exact near 0."""


@primitive(dtype=floating, kinds=NUMERIC, domain=(0.1, 2.0), vjp=lambda g, out, x: (divide(g, x),))
def log(x, /):
    """The natural logarithm; -inf at 0, NaN below."""


@primitive(dtype=floating, kinds=NUMERIC, domain=(0.1, 2.0), vjp=lambda g, out, x: (_log_slope(g, x, LOG2),))
def log2(x, /):
    """The logarithm to base 2; -inf at 0, NaN below."""


@primitive(dtype=floating, kinds=NUMERIC, domain=(0.1, 2.0), vjp=lambda g, out, x: (_log_slope(g, x, LOG10),))
def log10(x, /):
    """The logarithm to base 10; -inf at 0, NaN below."""


def _log_slope(g, x, scale):
    return divide(g, multiply(x, scale))


@primitive(dtype=floating, kinds=NUMERIC, domain=(-0.5, 2.0), vjp=lambda g, out, x: (divide(g, add(x, 1)),))
def log1p(x, /):
    """log(1 + x), exact near 0."""


@primitive(kinds=REAL, vjp=constant)
def floor(x, /):
    """The largest whole number not above x."""


@primitive(kinds=REAL, vjp=constant)
def ceil(x, /):
    """The smallest whole number not below x."""


@primitive(kinds=REAL, vjp=constant)
def trunc(x, /):
    """The whole number next to x towards 0."""


@primitive(kinds=NUMERIC, vjp=constant)
def round(x, /):
    """The nearest whole number, halves to even."""


@primitive(dtype=truth, kinds=NUMERIC, vjp=constant)
def isnan(x, /):
    """Whether it is NaN."""


@primitive(dtype=truth, kinds=NUMERIC, vjp=constant)
def isinf(x, /):
    """Whether it is infinite, in the real or the imaginary part."""


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


def quotient_where(condition, x1, x2):
    """Return x1 / x2 where the condition holds, else 0; what would be divided by 0 there has no gradient."""
    return where(condition, divide(x1, where(condition, x2, 1)), 0)


@composite(kinds=REAL, arrays=("x", "min", "max"))
def clip(x, /, min=None, max=None):
    """x, but not below `min` and not above `max`; None sets no limit."""
    raised = x if min is None else maximum(x, min)
    return raised if max is None else minimum(raised, max)


@composite()
def isclose(x1, x2, /, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether |x1 - x2| <= atol + rtol * |x2|. An infinity is close to itself, NaN to NaN if `equal_nan`."""
    near = less_equal(_distance(x1, x2), add(multiply(abs(x2), rtol), atol))
    close = logical_or(logical_and(near, isfinite(x2)), equal(x1, x2))
    return logical_or(close, logical_and(isnan(x1), isnan(x2))) if equal_nan else close


def _distance(x1, x2):
    kinds = {as_dtype(x.dtype).kind for x in (x1, x2) if type(x) not in SCALARS}
    if "uint" in kinds:  # below 0 they wrap around
        return subtract(maximum(x1, x2), minimum(x1, x2))
    return abs(subtract(x1, x2))


@composite(kinds=(*REAL, "complex"))
def nan_to_num(x, /, nan=0.0, posinf=None, neginf=None):
    """x with numbers for NaN and for the infinities; these become the largest of the dtype unless given."""
    dtype = as_dtype(x.dtype)
    if dtype.kind not in FLOATING:
        return x
    if dtype.kind == "complex":
        parts = (nan_to_num(part(x), nan=nan, posinf=posinf, neginf=neginf) for part in (real, imag))
        return add(next(parts), multiply(next(parts), 1j))
    largest = largest_finite(dtype)
    above, below = largest if posinf is None else posinf, -largest if neginf is None else neginf
    bounded = where(equal(x, float("inf")), above, where(equal(x, -float("inf")), below, x))
    return where(isnan(x), nan, bounded)


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
