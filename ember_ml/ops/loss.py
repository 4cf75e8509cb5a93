"""Losses of predictions against the truth, averaged over `axis` (all axes when it is None).

Probabilities are kept 1e-7 away from 0 and 1, so that a sure and wrong prediction costs about 16, not
infinity; `from_logits=True` takes unscaled scores instead and is exact.
"""

import math

from ember_ml.core.op import composite
from ember_ml.core.rules import shape_of
from ember_ml.ops.activation import log_softmax, relu, softplus
from ember_ml.ops.creation import with_fractions
from ember_ml.ops.elementwise import (
    abs,
    add,
    clip,
    log,
    logaddexp,
    maximum,
    minimum,
    multiply,
    negative,
    square,
    subtract,
)
from ember_ml.ops.indexing import one_hot
from ember_ml.ops.reduction import mean, sum

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "hinge", "huber_loss", "kl_divergence",
    "log_cosh_loss", "mean_absolute_error", "mse", "quantile_loss", "sparse_categorical_crossentropy",
    "squared_hinge",
]  # fmt: skip

SMALLEST = 1e-7


@composite()
def mse(y_true, y_pred, /, axis=None, keepdims=False):
    """The mean of (y_pred - y_true)**2."""
    return mean(square(subtract(with_fractions(y_pred), y_true)), axis=axis, keepdims=keepdims)


@composite()
def mean_absolute_error(y_true, y_pred, /, axis=None, keepdims=False):
    """The mean of |y_pred - y_true|."""
    return mean(abs(subtract(with_fractions(y_pred), y_true)), axis=axis, keepdims=keepdims)


@composite(domain=(0.1, 0.9))
def binary_crossentropy(y_true, y_pred, /, from_logits=False, axis=None, keepdims=False):
    """The mean of -(t log p + (1 - t) log(1 - p)) for truth t and probability p."""
    if from_logits:
        each = subtract(softplus(y_pred), multiply(y_true, y_pred))
    else:
        p = clip(y_pred, SMALLEST, 1.0 - SMALLEST)
        each = negative(add(multiply(y_true, log(p)), multiply(subtract(1, y_true), log(subtract(1, p)))))
    return mean(each, axis=axis, keepdims=keepdims)


@composite(domain=(0.1, 0.9))
def categorical_crossentropy(y_true, y_pred, /, from_logits=False, axis=None, keepdims=False):
    """The mean of -sum(t log p) over the last axis, the classes."""
    logs = log_softmax(y_pred, axis=-1) if from_logits else log(clip(y_pred, SMALLEST, 1.0 - SMALLEST))
    return mean(negative(sum(multiply(y_true, logs), axis=-1)), axis=axis, keepdims=keepdims)


@composite(domain=(0.1, 0.9))
def sparse_categorical_crossentropy(y_true, y_pred, /, from_logits=False, axis=None, keepdims=False):
    """As `categorical_crossentropy`, for the truth as class numbers: y_true (...), y_pred (..., classes)."""
    truth = one_hot(y_true, shape_of(y_pred)[-1], dtype=y_pred.dtype)
    return categorical_crossentropy(truth, y_pred, from_logits=from_logits, axis=axis, keepdims=keepdims)


@composite()
def huber_loss(y_true, y_pred, /, delta=1.0, axis=None, keepdims=False):
    """The mean of e**2 / 2 for errors e up to delta, and of delta * (|e| - delta / 2) beyond (Huber 1964)."""
    size = abs(subtract(with_fractions(y_pred), y_true))
    near = minimum(size, delta)
    each = add(multiply(square(near), 0.5), multiply(subtract(size, near), delta))
    return mean(each, axis=axis, keepdims=keepdims)


@composite()
def log_cosh_loss(y_true, y_pred, /, axis=None, keepdims=False):
    """The mean of log(cosh(y_pred - y_true)), without overflow."""
    error = subtract(with_fractions(y_pred), y_true)
    return mean(subtract(logaddexp(error, negative(error)), math.log(2)), axis=axis, keepdims=keepdims)


@composite()
def hinge(y_true, y_pred, /, axis=None, keepdims=False):
    """The mean of max(0, 1 - t p) for truths t of -1 and 1. Its gradient at the corner is 0."""
    return mean(relu(subtract(1, multiply(y_true, y_pred))), axis=axis, keepdims=keepdims)


@composite()
def squared_hinge(y_true, y_pred, /, axis=None, keepdims=False):
    """The mean of max(0, 1 - t p)**2 for truths t of -1 and 1."""
    return mean(square(relu(subtract(1, multiply(y_true, y_pred)))), axis=axis, keepdims=keepdims)


@composite()
def quantile_loss(y_true, y_pred, /, quantile=0.5, axis=None, keepdims=False):
    """The mean of max(q e, (q - 1) e) for e = t - p, least at the q-quantile (Koenker, Bassett 1978)."""
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be between 0 and 1, got {quantile}")
    error = subtract(with_fractions(y_true), y_pred)
    each = maximum(multiply(error, quantile), multiply(error, quantile - 1))
    return mean(each, axis=axis, keepdims=keepdims)


@composite(domain=(0.1, 0.9))
def kl_divergence(y_true, y_pred, /, axis=None, keepdims=False):
    """The mean of sum(t log(t / p)) over the last axis, the classes; a class of truth 0 adds nothing."""
    ratio = subtract(log(clip(y_true, SMALLEST, 1.0)), log(clip(y_pred, SMALLEST, 1.0)))
    return mean(sum(multiply(y_true, ratio), axis=-1), axis=axis, keepdims=keepdims)
