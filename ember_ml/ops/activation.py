"""Activations: what neurons do to their sums."""

from ember_ml.core.dtypes import FLOATING, REAL
from ember_ml.core.op import composite
from ember_ml.ops.comparison import greater
from ember_ml.ops.elementwise import (
    add,
    divide,
    erf,
    exp,
    logaddexp,
    maximum,
    minimum,
    multiply,
    negative,
    subtract,
    tanh,
    where,
)
from ember_ml.ops.reduction import logsumexp, max, sum


@composite(kinds=REAL, vjp=lambda g, out, x: (where(greater(out, 0), g, 0),))
def relu(x, /):
    """max(x, 0). Its gradient at 0 is 0."""
    return maximum(x, 0)


@composite(kinds=REAL)
def leaky_relu(x, /, negative_slope=0.01):
    """x above 0, negative_slope * x below."""
    return where(greater(x, 0), x, multiply(x, negative_slope))


@composite(kinds=REAL, vjp=lambda g, out, x: (multiply(g, multiply(out, subtract(1, out))),))
def sigmoid(x, /):
    """1 / (1 + e**-x), exact in both tails."""
    e = exp(negative(maximum(x, negative(x))))
    return divide(where(greater(x, 0), 1.0, e), add(e, 1.0))


@composite(kinds=REAL, vjp=lambda g, out, x: (multiply(g, sigmoid(x)),))
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


ROOT_HALF = 0.7071067811865476


@composite(kinds=REAL)
def gelu(x, /):
    """x times the chance that a standard normal number is below x (Hendrycks, Gimpel 2016); exact, by erf."""
    return multiply(multiply(x, 0.5), add(erf(multiply(x, ROOT_HALF)), 1.0))


@composite(kinds=REAL)
def elu(x, /, alpha=1.0):
    """x above 0, alpha * (e**x - 1) below (Clevert et al. 2016, eq. 15)."""
    return where(greater(x, 0), x, multiply(subtract(exp(minimum(x, 0)), 1.0), alpha))


@composite(kinds=REAL)
def lecun_tanh(x, /):
    """1.7159 tanh(2x/3), which maps unit variance to unit variance (LeCun et al. 1998, section 4.4)."""
    return multiply(tanh(multiply(x, 2.0 / 3.0)), 1.7159)


def _softmax_vjp(g, out, x, axis):
    weighted = multiply(g, out)
    return (subtract(weighted, multiply(out, sum(weighted, axis=axis, keepdims=True))),)


@composite(kinds=FLOATING, vjp=_softmax_vjp)
def softmax(x, /, axis=-1):
    """e**x scaled to sum to 1 along an axis."""
    e = exp(subtract(x, max(x, axis=axis, keepdims=True)))
    return divide(e, sum(e, axis=axis, keepdims=True))


@composite(
    kinds=FLOATING,
    vjp=lambda g, out, x, axis: (subtract(g, multiply(exp(out), sum(g, axis=axis, keepdims=True))),),
)
def log_softmax(x, /, axis=-1):
    """log(softmax(x)), without overflow."""
    return subtract(x, logsumexp(x, axis=axis, keepdims=True))
