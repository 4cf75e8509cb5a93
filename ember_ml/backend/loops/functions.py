"""Mathematical functions that a compiled loop computes on many elements at once (extra `speed`).

Without branches and tables, so that LLVM makes vectors of them: a reduction to a small interval, a
polynomial, and arithmetic on the bits of the exponent. They err by at most 2 units in the last place,
subnormal numbers included; infinities, NaN and signed zeros are as IEEE 754 has them. A name ends in the
width of its floats.
"""

# pyright: reportCallIssue=false, reportGeneralTypeIssues=false
# An intrinsic is called without its first argument, the context.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# "contract" alone: to reorder terms would undo the reductions, and to assume no NaN would lose it.
inlined = njit(forceinline=True, nogil=True, error_model="numpy", fastmath={"contract"})
# A sum may be taken in any order, or it could not be taken on many elements at once.
reordered = njit(forceinline=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})

_SAME_SIZE = {types.int32: types.float32, types.int64: types.float64}
_SAME_SIZE |= {number: whole for whole, number in _SAME_SIZE.items()}


@intrinsic
def bits(context: Any, x: Any) -> Any:
    """Return the same bits as the integer or the float of that size."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return _SAME_SIZE[x](x), generate


@intrinsic
def length(context: Any, n: Any) -> Any:
    """Return n such that LLVM does not know it: a short loop of known length becomes no vectors."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        return builder.asm(ir.FunctionType(word, [word]), "", "=r,0", args, False)

    return types.int64(types.int64), generate


@intrinsic
def pointer(context: Any, array: Any) -> Any:
    """Return where an array's elements are: an index into it is not asked whether it counts from the end."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def keep(context: Any, array: Any) -> Any:
    """Do nothing. Until here the array, into which a pointer points, is not given back."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), generate


@reordered
def plus(total, x):
    """Return a sum so far and one number more."""
    return total + x


@reordered
def times(total, x):
    """Return a product so far and one number more."""
    return total * x


@inlined
def larger(x1, x2):
    """Return the larger, NaN where either is."""
    return x1 if (x1 > x2) | (x1 != x1) else x2  # noqa: PLR0124 - it is NaN


@inlined
def smaller(x1, x2):
    """Return the smaller, NaN where either is."""
    return x1 if (x1 < x2) | (x1 != x1) else x2  # noqa: PLR0124 - it is NaN


@inlined
def inside(place, size):
    """Return an index counted from the front. Raises IndexError for one that is out of bounds."""
    if place < -size or place >= size:
        raise IndexError("an index is out of bounds")
    return np.int64(place + size if place < 0 else place)


def _functions(
    number: Any, whole: Any, *, mantissa: int, ln2: tuple[float, float], expm1_terms: tuple, log_terms: tuple
) -> tuple[Callable, ...]:
    """Return exp, tanh, sigmoid, log, log1p and logaddexp of one float dtype.

    `ln2` is log(2) in two parts, of which the first has zeros at its end. `expm1_terms` are Q's, the largest
    power first, in expm1(r) = r + r**2 Q(r) for |r| <= log(2)/2. `log_terms` are R's in
    log(f) = 2 s + s**3 R(s**2) with s = (f - 1)/(f + 1) for 1/sqrt(2) <= f <= sqrt(2). Both are Chebyshev's.
    """
    bias = whole(np.finfo(number).maxexp - 1)
    places, subnormal = whole(mantissa), number(np.finfo(number).smallest_normal)
    to_whole = number(1.5 * 2.0**mantissa)  # added, it leaves the nearest whole number in the low bits
    offset = whole(np.array(to_whole).view(whole))
    root_half = whole(np.array(number(0.5**0.5)).view(whole))
    one, two, half, nil = number(1), number(2), number(0.5), number(0)
    infinity, undefined, largest = number(np.inf), number(np.nan), number(np.log(np.finfo(number).max) + 1)
    least = number(np.log(np.finfo(number).smallest_subnormal) - 1)
    flat = number((mantissa + 3) * np.log(2) / 2)  # from here on tanh is 1
    inverse, ln2_high, ln2_low = number(1 / np.log(2)), number(ln2[0]), number(ln2[1])
    expm1_terms, log_terms = (tuple(map(number, terms)) for terms in (expm1_terms, log_terms))
    lift = number(2.0**mantissa)

    @inlined
    def polynomial(terms, x):
        total = nil
        for term in terms:
            total = total * x + term
        return total

    @inlined
    def power_of_2(n):
        return bits(whole(whole(n + bias) << places))

    @inlined
    def reduced(x):
        """Return n and expm1(r) for x = n log(2) + r."""
        shifted = x * inverse + to_whole
        n = shifted - to_whole
        r = (x - n * ln2_high) - n * ln2_low
        return whole(bits(shifted) - offset), r + r * r * polynomial(expm1_terms, r)

    @inlined
    def exp(x):
        within = least if x < least else x
        within = largest if within > largest else within
        n, e = reduced(within)
        first = whole(n >> whole(1))  # 2**n in two factors, since it may be no normal number itself
        return (one + e) * power_of_2(first) * power_of_2(whole(n - first))

    @inlined
    def quotient(top, top_low, base, x, x_low):
        """Return (top + top_low) / (base + x + x_low), where the low parts are what rounding left out."""
        under = base + x
        inverse = one / under
        ratio = top * inverse
        left = top - ratio * under
        return ratio + (left + (top_low - ratio * ((x - (under - base)) + x_low))) * inverse

    @inlined
    def tanh(x):
        size = abs(x)
        n, e = reduced(-two * (flat if size > flat else size))
        scale = power_of_2(n)
        less = scale - one
        high = scale * e + less  # expm1(-2 |x|)
        low = scale * e - (high - less)
        return np.copysign(quotient(-high, -low, two, high, low), x)

    @inlined
    def sigmoid(x):
        e = exp(-abs(x))
        return quotient(one if x >= nil else e, nil, one, e, nil)

    @inlined
    def log(x):
        small = x < subnormal
        b = bits(x * lift if small else x)
        n = whole((whole(b - root_half)) >> places)
        f = bits(whole(b - whole(n << places))) - one
        k = number(whole(n - places) if small else n)
        s = f / (two + f)
        z = s * s
        square = half * f * f
        y = k * ln2_high - ((square - (s * (square + z * polynomial(log_terms, z)) + k * ln2_low)) - f)
        y = x if x == infinity or x != x else y  # noqa: PLR0124 - it is NaN
        return -infinity if x == nil else undefined if x < nil else y

    @inlined
    def log1p(x):
        u = one + x
        y = log(u) + (x - (u - one)) / u
        return log(u) if u == nil or x == infinity else x if x == nil else y

    @inlined
    def logaddexp(x1, x2):
        more = larger(x1, x2) + log1p(exp(-abs(x1 - x2)))
        return x1 + number(np.log(2)) if x1 == x2 else more

    return exp, tanh, sigmoid, log, log1p, logaddexp


exp32, tanh32, sigmoid32, log32, log1p32, logaddexp32 = _functions(
    np.float32,
    np.int32,
    mantissa=23,
    ln2=(0.693359375, -2.12194440e-4),
    expm1_terms=(
        0.00019890990824673654,
        0.0013933649996309251,
        0.0083333109254809,
        0.041666464925285904,
        0.16666666681623232,
        0.500000001346581,
    ),
    log_terms=(0.2958005304318844, 0.39988778282162807, 0.6666668504515603),
)

exp64, tanh64, sigmoid64, log64, log1p64, logaddexp64 = _functions(
    np.float64,
    np.int64,
    mantissa=52,
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    expm1_terms=(
        2.0914686968086876e-09,
        2.5105217004720745e-08,
        2.75572736431103e-07,
        2.7557255400206422e-06,
        2.4801587325547743e-05,
        0.00019841269874820627,
        0.0013888888888883748,
        0.008333333333326136,
        0.04166666666666667,
        0.1666666666666667,
        0.5,
    ),
    log_terms=(
        0.14616585424888623,
        0.15331710618210773,
        0.18182889455674947,
        0.22222211130259878,
        0.2857142862600327,
        0.39999999999899444,
        0.666666666666667,
    ),
)
