"""Random numbers: the same everywhere, from counters instead of hidden state.

Every number is a function of a key, two 32-bit words, and of its place: threefry2x32 (Salmon et al., SC11)
in JAX's partitionable layout. Bits, unit uniforms, bernoulli and permutations agree bitwise on every engine;
normals agree to the last bits of log and cos. Without a key an op takes the next one of the process's stream,
which `set_seed` starts anew; inside a compiled function the key is an input, advanced at each call.
"""

import math
from contextlib import contextmanager
from contextvars import ContextVar

from ember_ml.core.dispatch import AMBIENT, SCALARS, as_number
from ember_ml.core.dtypes import FLOAT_BITS, Defaults, as_dtype, promote
from ember_ml.core.keys import PARITY, ROTATIONS, drawn_size, take_key
from ember_ml.core.op import composite
from ember_ml.core.rules import as_shape, shape_of, stretches
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import less
from ember_ml.ops.creation import arange, asarray, astype, full
from ember_ml.ops.elementwise import (
    add,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    log1p,
    multiply,
    negative,
    sqrt,
    subtract,
)
from ember_ml.ops.indexing import getitem, take
from ember_ml.ops.shape import permute_dims, reshape, stack
from ember_ml.ops.sorting import argsort
from ember_ml.ops.trigonometry import cos

__all__ = [
    "bernoulli", "fold_in", "key", "next_key", "normal", "permutation", "random_bits", "random_pairs",
    "random_words", "split_key", "uniform", "unit_uniform",
]  # fmt: skip

# [key, how many were taken, the trace that was open]
_SOURCE: ContextVar[list | None] = ContextVar("ember_ml_random_key", default=None)


def key(seed: int, *, like=None):
    """Return the key of a seed: two uint32 words, as `jax.random.key_data(jax.random.key(seed))`."""
    return asarray([(seed >> 32) & 0xFFFFFFFF, seed & 0xFFFFFFFF], dtype="uint32", like=like)


def next_key(*, like=None):
    """Return a key not used before: from the open trace if it compiles, else from the process's stream.

    `drawing_from` comes first, but not in the body of a loop within it: that asks its own trace, which has a
    key for every step.
    """
    source, trace = _SOURCE.get(), AMBIENT.get()
    if source is not None and source[2] is trace:
        source[1] += 1
        return fold_in(source[0], source[1])
    if trace is not None:
        return trace.make_key()
    return asarray(list(take_key()), dtype="uint32", like=like)


@contextmanager
def drawing_from(key):
    """Let random ops without a key derive theirs from `key` within the context; None changes nothing."""
    token = _SOURCE.set([key, 0, AMBIENT.get()]) if key is not None else None
    try:
        yield
    finally:
        if token is not None:
            _SOURCE.reset(token)


@composite(vjp=constant)
def random_words(key, high, low, /):
    """Two words of threefry2x32 for each counter (high, low): uint32, shape (2, *shape of low)."""
    first, second = getitem(key, index=slice(0, 1)), getitem(key, index=slice(1, 2))
    keys = (first, second, bitwise_xor(bitwise_xor(first, second), PARITY))
    shape = shape_of(low)
    x0, x1 = add(reshape(high, shape=(-1,)), first), add(reshape(low, shape=(-1,)), second)
    for i in range(5):
        for distance in ROTATIONS[i % 2]:
            x0 = add(x0, x1)
            turned = bitwise_or(bitwise_left_shift(x1, distance), bitwise_right_shift(x1, 32 - distance))
            x1 = bitwise_xor(turned, x0)
        x0 = add(x0, keys[(i + 1) % 3])
        x1 = add(add(x1, keys[(i + 2) % 3]), i + 1)
    return reshape(stack([x0, x1]), shape=(2, *shape))


@composite(vjp=constant)
def fold_in(key, data, /):
    """A new key from a key and an integer, as `jax.random.fold_in`."""
    counter = (
        full((1,), data, dtype="uint32", like=key) if isinstance(data, int) else reshape(data, shape=(1,))
    )
    return reshape(
        random_words(key, full((1,), 0, dtype="uint32", like=key), astype(counter, dtype="uint32")),
        shape=(2,),
    )


@composite(vjp=constant)
def split_key(key, /, num=2):
    """`num` new keys from a key, (num, 2), as `jax.random.split`."""
    return permute_dims(random_pairs(key, (num,)), axes=(1, 0))


@composite(vjp=constant)
def random_pairs(key, /, shape):
    """Two random 32-bit words for each place, from its number as the counter: uint32, (2, *shape)."""
    shape = as_shape(shape)
    size = drawn_size(shape)
    low = reshape(astype(arange(size, like=key), dtype="uint32"), shape=shape)
    return random_words(key, full((size,), 0, dtype="uint32", like=key), low)


@composite(vjp=constant)
def random_bits(key, /, shape):
    """Random 32-bit words, bit for bit `jax.random.bits(key, shape)`."""
    words = random_pairs(key, shape)
    return bitwise_xor(getitem(words, index=0), getitem(words, index=1))


@composite(vjp=constant)
def unit_uniform(key, /, shape, dtype):
    """Uniform numbers in [0, 1), of as many bits as the dtype's fraction holds, bitwise as JAX's."""
    words = random_pairs(key, shape)
    if as_dtype(dtype) == "float64":
        high = multiply(astype(getitem(words, index=0), dtype=dtype), 2.0**20)
        low = astype(bitwise_right_shift(getitem(words, index=1), 12), dtype=dtype)
        return multiply(add(high, low), 2.0**-52)
    return fraction(bitwise_xor(getitem(words, index=0), getitem(words, index=1)), dtype)


def fraction(bits, dtype):
    """Return 32-bit words as numbers in [0, 1), of as many leading bits as the dtype's fraction holds."""
    digits = digits_of(dtype)
    kept = bitwise_right_shift(bits, 32 - digits) if digits < 32 else bits
    return multiply(astype(kept, dtype=dtype), 2.0**-digits)


def digits_of(dtype):
    """Return how many of the 32 bits of a word the fraction of a float dtype holds."""
    return min(32, FLOAT_BITS[as_dtype(dtype)][0])


def drawing(shape, dtype, key, like, *parameters):
    """Return the shape, the dtype and the key of a draw, then its parameters, arrays among them cast.

    Without a dtype it is that of the float arrays among the parameters, else the default float. Raises
    TypeError for a dtype that is no float, ValueError for an array that does not broadcast to the shape.
    """
    shape, parameters = as_shape(shape), [as_number(p) for p in parameters]
    arrays = [p for p in parameters if type(p) not in SCALARS]
    for p in arrays:
        if not stretches(shape_of(p), shape):
            raise ValueError(f"a parameter of shape {shape_of(p)} does not broadcast to shape {shape}")
    floats = [d for d in (as_dtype(p.dtype) for p in arrays) if d.kind == "float"]
    chosen = as_dtype(dtype) if dtype is not None else promote(*floats) if floats else Defaults.float
    if chosen.kind != "float":
        raise TypeError(f"random numbers are floats, got dtype {chosen}")
    if key is None:
        key = next_key(like=next(iter(arrays), None) if like is None else like)
    return shape, chosen, key, *(p if type(p) in SCALARS else astype(p, dtype=chosen) for p in parameters)


def _placed(standard, scale, start):
    """Return what was drawn from a standard distribution, scaled and moved; plain 1 and 0 cost nothing."""
    scaled = standard if type(scale) in SCALARS and scale == 1 else multiply(standard, scale)
    return scaled if type(start) in SCALARS and start == 0 else add(scaled, start)


@composite(vjp=constant, arrays=("key", "like"))
def uniform(shape, low=0.0, high=1.0, *, dtype=None, key=None, like=None):
    """Random numbers spread evenly over [low, high). The bounds may be arrays that broadcast to `shape`."""
    shape, chosen, key, low, high = drawing(shape, dtype, key, like, low, high)
    width = high - low if {type(low), type(high)} <= SCALARS else subtract(high, low)
    return _placed(unit_uniform(key, shape, chosen), width, low)


@composite(vjp=constant, arrays=("key", "like"))
def normal(shape, mean=0.0, stddev=1.0, *, dtype=None, key=None, like=None):
    """Normally distributed random numbers (Box and Muller 1958), one pair of words each."""
    shape, chosen, key, mean, stddev = drawing(shape, dtype, key, like, mean, stddev)
    words = random_pairs(key, shape)
    radius = sqrt(multiply(log1p(negative(fraction(getitem(words, index=0), chosen))), -2.0))
    standard = multiply(radius, cos(multiply(fraction(getitem(words, index=1), chosen), 2.0 * math.pi)))
    return _placed(standard, stddev, mean)


@composite(vjp=constant, arrays=("key", "like"))
def bernoulli(shape, p=0.5, *, key=None, like=None):
    """True with probability p, a number or an array that broadcasts to `shape`."""
    shape, _, key, p = drawing(shape, "float32", key, like, p)
    return less(unit_uniform(key, shape, "float32"), p)


@composite(vjp=constant, arrays=("key", "like"))
def permutation(x, *, key=None, like=None):
    """The numbers below x in random order, or the slices of an array x along its first axis.

    Sorted by random words, in enough rounds that equal words do not matter, as JAX does.
    """
    anchor = like if isinstance(x, int) else x
    key = next_key(like=anchor) if key is None else key
    n = x if isinstance(x, int) else shape_of(x)[0]
    order = arange(n, like=key)
    for _ in range(math.ceil(3 * math.log(max(1, n)) / math.log(2**32 - 1))):
        key, sort_key = fold_in(key, 0), fold_in(key, 1)
        order = take(order, argsort(random_bits(sort_key, (n,))))
    return order if isinstance(x, int) else take(x, order)
