"""Activations: what neurons do to their sums."""

from ember_ml.core.batching import elementwise
from ember_ml.core.dtypes import REAL
from ember_ml.core.op import composite
from ember_ml.core.rules import as_axis, shape_of
from ember_ml.ops.batching import along
from ember_ml.ops.comparison import greater
from ember_ml.ops.creation import with_fractions
from ember_ml.ops.elementwise import (
    abs,
    add,
    clip,
    divide,
    exp,
    expm1,
    logaddexp,
    maximum,
    minimum,
    multiply,
    negative,
    subtract,
    where,
)
from ember_ml.ops.reduction import logsumexp, max, sum
from ember_ml.ops.shape import split
from ember_ml.ops.special import ROOT_HALF, erf
from ember_ml.ops.trigonometry import tanh

__all__ = [
    "celu", "elu", "gated", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "lecun_tanh", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "softmax", "softplus", "softsign",
]  # fmt: skip


@composite(kinds=REAL, vjp=lambda g, out, x, gate: (gated(g, gate), None), batch=elementwise)
def gated(x, gate, /):
    """x where the gate is above 0, else 0: what the gradient of relu makes of a cotangent."""
    return where(greater(gate, 0), x, 0)


@composite(kinds=REAL, vjp=lambda g, out, x: (gated(g, out),), batch=elementwise)
def relu(x, /):
    """max(x, 0). Its gradient at 0 is 0."""
    return maximum(x, 0)


@composite(kinds=REAL)
def leaky_relu(x, /, negative_slope=0.01):
    """x above 0, negative_slope * x below."""
    return where(greater(x, 0), x, multiply(x, negative_slope))


@composite(
    kinds=REAL, vjp=lambda g, out, x: (multiply(g, multiply(out, subtract(1, out))),), batch=elementwise
)
def sigmoid(x, /):
    """1 / (1 + e**-x), exact in both tails."""
    e = exp(negative(maximum(x, negative(x))))
    return divide(where(greater(x, 0), 1.0, e), add(e, 1.0))


@composite(kinds=REAL, vjp=lambda g, out, x: (multiply(g, sigmoid(x)),), batch=elementwise)
def softplus(x, /):
    """log(1 + e**x), without overflow."""
    return logaddexp(x, 0.0)


@composite(kinds=REAL)
def log_sigmoid(x, /):
    """log(sigmoid(x)), without overflow."""
    return negative(softplus(negative(x)))


@composite(kinds=REAL)
def silu(x, /):
    """x * sigmoid(x), also called swish (Elfwing et al. 2018, eq. 4)."""
    return multiply(x, sigmoid(x))


ROOT_TWO_OVER_PI = 0.7978845608028654


@composite(kinds=REAL)
def gelu(x, /, approximate=False):
    """x times the chance that a standard normal number is below x (Hendrycks, Gimpel 2016).

    Exact, by erf; `approximate` takes the paper's tanh instead, good to 5e-4.
    """
    if approximate:
        inside = multiply(add(x, multiply(multiply(multiply(x, x), x), 0.044715)), ROOT_TWO_OVER_PI)
        return multiply(multiply(x, 0.5), add(tanh(inside), 1.0))
    return multiply(multiply(x, 0.5), add(erf(multiply(x, ROOT_HALF)), 1.0))


@composite(kinds=REAL)
def elu(x, /, alpha=1.0):
    """x above 0, alpha * (e**x - 1) below (Clevert et al. 2016, eq. 15)."""
    return where(greater(x, 0), x, multiply(expm1(minimum(x, 0)), alpha))


@composite(kinds=REAL)
def celu(x, /, alpha=1.0):
    """x above 0, alpha * (e**(x / alpha) - 1) below: an elu of slope 1 at 0 (Barron 2017)."""
    return where(greater(x, 0), x, multiply(expm1(divide(minimum(x, 0), alpha)), alpha))


@composite(kinds=REAL)
def selu(x, /):
    """An elu that keeps mean 0 and variance 1 from layer to layer (Klambauer et al. 2017, section 2)."""
    return multiply(elu(x, alpha=1.6732632423543772), 1.0507009873554805)


@composite(kinds=REAL)
def mish(x, /):
    """x * tanh(softplus(x)) (Misra 2019)."""
    return multiply(x, tanh(softplus(x)))


@composite(kinds=REAL)
def softsign(x, /):
    """x / (1 + |x|)."""
    return divide(x, add(abs(x), 1.0))


@composite(kinds=REAL)
def relu6(x, /):
    """x, but not below 0 and not above 6."""
    return clip(x, 0, 6)


@composite(kinds=REAL)
def hard_tanh(x, /, min_val=-1.0, max_val=1.0):
    """x, but not below `min_val` and not above `max_val`."""
    return clip(x, min_val, max_val)


@composite(kinds=REAL)
def hard_sigmoid(x, /):
    """x / 6 + 1/2 between 0 and 1: a sigmoid of straight lines."""
    return divide(relu6(add(x, 3)), 6.0)


@composite(kinds=REAL)
def hard_silu(x, /):
    """x * hard_sigmoid(x), also called hard swish (Howard et al. 2019, section 5.2)."""
    return multiply(x, hard_sigmoid(x))


@composite(kinds=REAL)
def glu(x, /, axis=-1):
    """The first half of an axis times the sigmoid of the second (Dauphin et al. 2017, eq. 1)."""
    size = shape_of(x)[as_axis(axis, len(shape_of(x)))]
    if size % 2:
        raise ValueError(f"axis {axis} has {size} values, which do not halve")
    values, gates = split(x, 2, axis=axis)
    return multiply(values, sigmoid(gates))


@composite(kinds=REAL)
def lecun_tanh(x, /):
    """1.7159 tanh(2x/3), which maps unit variance to unit variance (LeCun et al. 1998, section 4.4)."""
    return multiply(tanh(multiply(x, 2.0 / 3.0)), 1.7159)


def _softmax_vjp(g, out, x, axis):
    weighted = multiply(g, out)
    return (subtract(weighted, multiply(out, sum(weighted, axis=axis, keepdims=True))),)


@composite(kinds=REAL, vjp=_softmax_vjp, batch=along)
def softmax(x, /, axis=-1):
    """e**x scaled to sum to 1 along an axis."""
    x = with_fractions(x)
    e = exp(subtract(x, max(x, axis=axis, keepdims=True)))
    return divide(e, sum(e, axis=axis, keepdims=True))


@composite(
    kinds=REAL,
    vjp=lambda g, out, x, axis: (subtract(g, multiply(exp(out), sum(g, axis=axis, keepdims=True))),),
    batch=along,
)
def log_softmax(x, /, axis=-1):
    """log(softmax(x)), without overflow."""
    x = with_fractions(x)
    return subtract(x, logsumexp(x, axis=axis, keepdims=True))
