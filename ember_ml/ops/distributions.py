"""Random numbers of further distributions, drawn from the words of `ember_ml.ops.random`.

Parameters may be arrays that broadcast to `shape`; plain numbers are checked, arrays are not. Integers and
what is looked up in a table (`poisson`, `binomial` of plain numbers) agree bitwise on every engine. Where
numbers are proposed and rejected, the last bit of a logarithm may accept on one engine what another rejects.
"""

import math
from functools import lru_cache

from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import Defaults, as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import shape_of
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import greater, less, less_equal, logical_and, logical_not, logical_or
from ember_ml.ops.control import stop_gradient, while_loop
from ember_ml.ops.creation import asarray, astype, full
from ember_ml.ops.elementwise import (
    abs,
    add,
    bitwise_and,
    bitwise_left_shift,
    bitwise_right_shift,
    clip,
    divide,
    exp,
    floor,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    sqrt,
    square,
    subtract,
    where,
)
from ember_ml.ops.indexing import getitem
from ember_ml.ops.limits import bounds
from ember_ml.ops.random import (
    digits_of,
    drawing,
    fold_in,
    fraction,
    next_key,
    normal,
    random_bits,
    random_pairs,
    unit_uniform,
)
from ember_ml.ops.reduction import all, any, argmax
from ember_ml.ops.searching import searchsorted
from ember_ml.ops.shape import broadcast_to, expand_dims
from ember_ml.ops.special import ROOT_HALF, erf, erfinv

__all__ = ["binomial", "categorical", "exponential", "gamma", "poisson", "randint", "truncated_normal"]

ROUNDS = 64  # after so many, a number refused each time stays what it began as: less than one in 10**50
WIDTH = 15  # bits of a digit: the product of two, and two more carried, fit 32 bits


@composite(vjp=constant, arrays=("key", "like"))
def exponential(shape, scale=1.0, *, dtype=None, key=None, like=None):
    """Waiting times of mean `scale`: their density is e**(-x / scale) / scale."""
    _not_negative("scale", scale)
    shape, chosen, key, scale = drawing(shape, dtype, key, like, scale)
    return multiply(negative(log(_open(random_bits(key, shape), chosen))), scale)


def _not_negative(name, value):
    if type(value) in SCALARS and not value >= 0:
        raise ValueError(f"{name} must not be negative, got {value}")


def _open(bits, dtype):
    """Return words as numbers in (0, 1), in the middle of the steps that `fraction` gives."""
    return add(fraction(bits, dtype), 2.0 ** -(digits_of(dtype) + 1))


@composite(vjp=constant, arrays=("key", "like"))
def truncated_normal(shape, low=-2.0, high=2.0, mean=0.0, stddev=1.0, *, dtype=None, key=None, like=None):
    """Normally distributed numbers between `low` and `high`, counted in standard deviations from the mean.

    By inverting the distribution. In float32 bounds beyond 4 on one side leave few different numbers.
    """
    if {type(low), type(high)} <= SCALARS and not low < high:
        raise ValueError(f"low must be less than high, got {low} and {high}")
    shape, chosen, key, low, high, mean, stddev = drawing(shape, dtype, key, like, low, high, mean, stddev)
    low, high = _array(low, shape, chosen, key), _array(high, shape, chosen, key)
    least, most = (erf(multiply(bound, ROOT_HALF)) for bound in (low, high))
    share = add(least, multiply(subtract(most, least), _open(random_bits(key, shape), chosen)))
    standard = minimum(maximum(multiply(erfinv(share), 1 / ROOT_HALF), low), high)
    return add(multiply(standard, stddev), mean)


@composite(vjp=constant, arrays=("key", "like"))
def gamma(shape, alpha=1.0, beta=1.0, *, dtype=None, key=None, like=None):
    """Gamma numbers of shape `alpha` and rate `beta`: their mean is alpha / beta.

    Marsaglia and Tsang 2000; for alpha below 1 from those of alpha + 1 (their section 6). No gradient flows
    to alpha.
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        if type(value) in SCALARS and not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    shape, chosen, key, alpha, beta = drawing(shape, dtype, key, like, alpha, beta)
    alpha = _array(alpha, shape, chosen, key)
    is_small = less(alpha, 1)
    d = subtract(where(is_small, add(alpha, 1), alpha), 1.0 / 3.0)
    width = divide(1.0 / 3.0, sqrt(d))

    def propose(key):
        x = normal(shape, dtype=chosen, key=fold_in(key, 0))
        base = add(multiply(x, width), 1)
        v = multiply(base, multiply(base, base))
        safe = maximum(v, 1e-30)
        bound = add(multiply(square(x), 0.5), multiply(d, add(subtract(1, v), log(safe))))
        chance = log(_open(random_bits(fold_in(key, 1), shape), chosen))
        return multiply(d, v), logical_and(greater(v, 0), less(chance, bound))

    drawn = _until_accepted(propose, d, fold_in(key, 0))
    boost = exp(divide(log(_open(random_bits(fold_in(key, 1), shape), chosen)), minimum(alpha, 1)))
    return divide(where(is_small, multiply(drawn, boost), drawn), beta)


def _array(parameter, shape, dtype, key):
    """Return a parameter as a constant array of the shape that is drawn."""
    if type(parameter) in SCALARS:
        return full(shape, float(parameter), dtype=dtype, like=key)
    return broadcast_to(stop_gradient(parameter), shape=shape)


def _until_accepted(propose, start, key):
    """Return proposals, each drawn anew until it is accepted; at most ROUNDS times."""

    def waits(state):
        _, done, i = state
        return logical_and(logical_not(all(done)), less(i, ROUNDS))

    def step(state):
        value, done, i = state
        proposed, accepted = propose(fold_in(key, i))
        is_first = logical_and(accepted, logical_not(done))
        return where(is_first, proposed, value), logical_or(done, accepted), add(i, 1)

    first = less(start, start)  # none is done
    return while_loop(waits, step, (start, first, full((), 0, dtype="int32", like=key)))[0]


MOST = 10_000.0  # above this variance, a table of chances grows too long


@composite(vjp=constant, arrays=("key", "like"))
def poisson(shape, lam=1.0, *, dtype=None, key=None, like=None):
    """How often something happens that happens `lam` times on average: integers, int64 unless told.

    A plain `lam` up to 10,000 is looked up in the table of its chances, an array up to 10 summed one chance
    after another; above, transformed rejection (Hörmann 1993, PTRS). An array is computed in its own dtype:
    float32 is good up to 2**22.
    """
    _not_negative("lam", lam)
    counted = _integers(dtype)
    if type(lam) in SCALARS and lam <= MOST:
        return _looked_up(_poisson_table(float(lam)), counted, drawing(shape, None, key, like))
    is_plain = type(lam) in SCALARS
    wide = "float64" if is_plain and lam > 2**20 else None
    shape, chosen, key, lam = drawing(shape, wide, key, like, lam)
    lam = _array(lam, shape, chosen, key)
    many = _poisson_many(shape, chosen, fold_in(key, 1), maximum(lam, 10.0))
    if is_plain:
        return astype(many, dtype=counted)
    few = _poisson_few(shape, chosen, fold_in(key, 0), clip(lam, 0.0, 10.0))
    return astype(where(less(lam, 10.0), few, many), dtype=counted)


def _integers(dtype):
    chosen = Defaults.int if dtype is None else as_dtype(dtype)
    if chosen.kind not in ("int", "uint"):
        raise TypeError(f"what is counted are integers, got dtype {chosen}")
    return chosen


@lru_cache(maxsize=64)
def _poisson_table(lam):
    if lam == 0:
        return 0, ()
    mode = int(lam)
    top = math.exp(mode * math.log(lam) - lam - math.lgamma(mode + 1))
    return _table(mode, top, lambda k: lam / (k + 1), lambda k: k / lam)


def _table(mode, top, up, down):
    """Return the first count of a table, and up to which of 2**31 steps each count reaches, rounded.

    `top` is the chance of the likeliest count; `up` and `down` lead from a count's chance to its neighbours'.
    """
    chances, first, chance, k = [top], mode, top, mode
    while first > 0 and chance > 1e-14:
        chance *= down(first)
        first -= 1
        chances.insert(0, chance)
    chance = top
    while chance > 1e-14:
        chance *= up(k)
        k += 1
        chances.append(chance)
    total, steps, below = math.fsum(chances), [], 0.0
    for chance in chances:
        below += chance
        steps.append(round(below / total * 2**31))
    return first, tuple(step for step in steps if step < 2**31)


def _looked_up(table, dtype, drawn):
    shape, _, key = drawn
    first, steps = table
    if not steps:
        return full(shape, first, dtype=dtype, like=key)
    place = astype(bitwise_right_shift(random_bits(key, shape), 1), dtype="int32")
    found = searchsorted(asarray(list(steps), dtype="int32", like=key), place, side="right")
    return astype(add(found, first), dtype=dtype)


def _poisson_few(shape, dtype, key, lam):
    """Add up chances, smallest count first, until they pass a uniform number."""
    unit = _open(random_bits(key, shape), dtype)

    def waits(state):
        _, total, _, i = state
        return logical_and(any(less_equal(total, unit)), less(i, ROUNDS))

    def step(state):
        count, total, chance, i = state
        following = divide(multiply(chance, lam), add(astype(i, dtype=dtype), 1))
        more = where(less_equal(total, unit), add(count, 1), count)
        return more, add(total, following), following, add(i, 1)

    none = exp(negative(lam))
    zero = full((), 0, dtype="int32", like=key)
    return while_loop(waits, step, (subtract(none, none), none, none, zero))[0]


def _poisson_many(shape, dtype, key, lam):
    """Hörmann's PTRS for lam of at least 10, without its squeezes, which only save time in a loop."""
    b = add(multiply(sqrt(lam), 2.53), 0.931)
    a = subtract(multiply(b, 0.02483), 0.059)
    height = add(divide(1.1328, subtract(b, 3.4)), 1.1239)

    def propose(key):
        words = random_pairs(key, shape)
        u = subtract(_open(getitem(words, index=0), dtype), 0.5)
        v = _open(getitem(words, index=1), dtype)
        edge = subtract(0.5, abs(u))
        k = floor(add(multiply(add(divide(multiply(a, 2), edge), b), u), add(lam, 0.43)))
        chance = divide(multiply(v, height), add(divide(a, square(edge)), b))
        return k, logical_and(greater(k, -1), less_equal(log(chance), _poisson_log(maximum(k, 0), lam)))

    return _until_accepted(propose, floor(lam), key)


def _poisson_log(k, lam):
    """log(lam**k e**-lam / k!), by Stirling's series around k + 1, where nothing large cancels."""
    n = add(k, 1)
    x = divide(subtract(n, lam), lam)
    far = subtract(multiply(add(x, 1), log1p(x)), x)  # (n log(n / lam) - (n - lam)) / lam
    inverse = square(divide(1, n))
    tail = divide(subtract(1 / 12, multiply(inverse, subtract(1 / 360, multiply(inverse, 1 / 1260)))), n)
    half = multiply(log(multiply(n, 2 * math.pi)), 0.5)
    return subtract(log(divide(n, lam)), add(multiply(lam, far), add(tail, half)))


@composite(vjp=constant, arrays=("key", "like"))
def binomial(shape, n=1, p=0.5, *, dtype=None, key=None, like=None):
    """How often of `n` times something happens whose probability is p: integers, int64 unless told.

    `n` is a plain integer. A plain p is looked up in the table of its chances while the variance is at most
    10,000; else `n` truths are drawn and counted.
    """
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"n must be an integer and not negative, got {n}")
    if type(p) in SCALARS and not 0 <= p <= 1:
        raise ValueError(f"p must be between 0 and 1, got {p}")
    counted = _integers(dtype)
    if type(p) in SCALARS and n * p * (1 - p) <= MOST:
        return _looked_up(_binomial_table(n, float(p)), counted, drawing(shape, None, key, like))
    shape, _, key, p = drawing(shape, "float32", key, like, p)

    def step(state):
        count, i = state
        hit = less(unit_uniform(fold_in(key, i), shape, "float32"), p)
        return add(count, astype(hit, dtype="int32")), add(i, 1)

    zero = full((), 0, dtype="int32", like=key)
    start = (full(shape, 0, dtype="int32", like=key), zero)
    return astype(while_loop(lambda state: less(state[1], n), step, start)[0], dtype=counted)


@lru_cache(maxsize=64)
def _binomial_table(n, p):
    if p in (0.0, 1.0):
        return int(n * p), ()
    mode, odds = min(n, int((n + 1) * p)), p / (1 - p)
    ways = math.lgamma(n + 1) - math.lgamma(mode + 1) - math.lgamma(n - mode + 1)
    top = math.exp(ways + mode * math.log(p) + (n - mode) * math.log1p(-p))
    return _table(mode, top, lambda k: odds * (n - k) / (k + 1), lambda k: k / (odds * (n - k + 1)))


@composite(vjp=constant, arrays=("key", "like"))
def categorical(logits, num_samples=None, *, key=None, like=None):
    """Class numbers, each as likely as e**logit says: logits (..., classes) -> (...) or (..., num_samples).

    The largest of logits and Gumbel noise (Gumbel 1954); int64. A logit of -inf is never drawn.
    """
    if isinstance(logits, list | tuple):
        logits = asarray(logits, dtype=Defaults.float, like=like if key is None else key)
    if not shape_of(logits):
        raise ValueError("logits need a last axis, the classes; got a single number")
    key = next_key(like=logits) if key is None else key
    scores = logits if num_samples is None else expand_dims(logits, axis=-2)
    dtype = as_dtype(logits.dtype)
    *rows, classes = shape_of(logits)
    shape = (*rows, classes) if num_samples is None else (*rows, num_samples, classes)
    noise = negative(log(negative(log(_open(random_bits(key, shape), dtype)))))
    return argmax(add(scores, noise), axis=-1)


@composite(vjp=constant, arrays=("key", "like"))
def randint(shape, low, high=None, *, dtype=None, key=None, like=None):
    """Random integers in [low, high), or in [0, low) without `high`; the same on every engine.

    The bounds may be integer arrays that broadcast to `shape`. The size of the range is multiplied by a
    fraction of 60 random bits, 120 for sizes above 2**30, and cut: no integer is likelier than another by
    more than one part in 2**30. Raises ValueError for an empty range of plain integers, or one that the
    dtype cannot hold.
    """
    low, high = (0, low) if high is None else (low, high)
    chosen = _integers(dtype)
    _check_range(low, high, chosen)
    shape, _, key, *_ = drawing(shape, "float32", key, like, low, high)
    wide = "int32" if chosen.bits < 32 or chosen == "int32" else "int64"
    digits = _digits(low, high)
    below = _below(digits, _random_digits(key, shape, 4 if len(digits) <= 2 else 8))
    total = below[0]
    if len(below) == 2:
        total = add(total, bitwise_left_shift(below[1], WIDTH))
    elif len(below) > 2:
        total = astype(total, dtype=wide)
        for i, digit in enumerate(below[1:], start=1):
            total = add(total, bitwise_left_shift(astype(digit, dtype=wide), WIDTH * i))
    start = low if type(low) in SCALARS else astype(low, dtype=wide)
    return astype(add(astype(total, dtype=wide), start), dtype=chosen)


def _check_range(low, high, dtype):
    for bound in (low, high):
        if type(bound) in SCALARS and not isinstance(bound, int):
            raise TypeError(f"bounds are integers, got {bound}")
    least, most = bounds(dtype)
    if isinstance(low, int) and isinstance(high, int):
        if not low < high < low + 2**63:
            raise ValueError(f"expected a range of 1 to 2**63 - 1 integers, got low {low}, high {high}")
        if low < least or high - 1 > most:
            raise ValueError(f"integers from {low} to {high - 1} do not fit {dtype}")


def _digits(low, high):
    """Return the size of a range in digits of 15 bits, the lowest first: integers, or int32 arrays."""
    if isinstance(low, int) and isinstance(high, int):
        size = high - low
        return [size >> at & (2**WIDTH - 1) for at in range(0, size.bit_length(), WIDTH)]
    given = [as_dtype(x.dtype) for x in (low, high) if not isinstance(x, int)]
    large = [x for x in (low, high) if isinstance(x, int) and not -(2**31) <= x < 2**31]
    bits = 63 if large else max(d.bits for d in given)
    low, high = (x if isinstance(x, int) else astype(x, dtype="int64") for x in (low, high))
    size = subtract(high, low)
    return [
        astype(bitwise_and(bitwise_right_shift(size, at), 2**WIDTH - 1), dtype="int32")
        for at in range(0, min(bits + 1, 63), WIDTH)
    ]


def _random_digits(key, shape, count):
    """Return `count` random digits of 15 bits, the lowest first."""
    pairs = [random_pairs(key, shape)]
    if count > 4:
        pairs.append(random_pairs(fold_in(key, 1), shape))
    words = [getitem(pair, index=i) for pair in pairs for i in (0, 1)]
    tops = [astype(bitwise_right_shift(word, 2), dtype="int32") for word in words]
    return [
        each for top in tops for each in (bitwise_and(top, 2**WIDTH - 1), bitwise_right_shift(top, WIDTH))
    ]


def _below(size, fraction):
    """Return the digits of the whole part of size * fraction, whose digits stand after the point.

    By schoolbook multiplication, one digit of the fraction after the other, the lowest first.
    """
    found = [0] * len(size)
    for factor in fraction:
        carry, row = 0, []
        for i, (digit, kept) in enumerate(zip(size, found, strict=True)):
            product = multiply(factor, digit)
            for more in (kept, carry):
                product = product if isinstance(more, int) else add(product, more)
            carry = bitwise_right_shift(product, WIDTH)
            if i:
                row.append(bitwise_and(product, 2**WIDTH - 1))
        found = [*row, carry]
    return found
