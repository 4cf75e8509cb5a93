"""Random tensors in the seeds' spelling: the same on every engine, from the stream that `set_seed` starts."""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.core.dtypes import Defaults
from ember_ml.tensor.conversion import bare
from ember_ml.tensor.creation import convert_to_tensor
from ember_ml.tensor.ember_tensor import EmberTensor


def random_uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return random numbers spread evenly over [minval, maxval)."""
    return EmberTensor(ops.uniform(shape, minval, maxval, dtype=dtype, like=_anchor(device)))


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return normally distributed random numbers."""
    return EmberTensor(ops.normal(shape, mean, stddev, dtype=dtype, like=_anchor(device)))


def random_bernoulli(shape: Any, p: float = 0.5, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return ones with probability p, else zeros: floats to multiply by; truths with `dtype=bool_`."""
    drawn = EmberTensor(ops.bernoulli(shape, p, like=_anchor(device)))
    return ops.astype(drawn, dtype=Defaults.float if dtype is None else dtype)


def random_gamma(
    shape: Any, alpha: Any = 1.0, beta: Any = 1.0, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return gamma distributed numbers of shape `alpha` and rate `beta`: their mean is alpha / beta."""
    return EmberTensor(ops.gamma(shape, bare(alpha), bare(beta), dtype=dtype, like=_anchor(device)))


def random_exponential(
    shape: Any, scale: Any = 1.0, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return waiting times of mean `scale`."""
    return EmberTensor(ops.exponential(shape, bare(scale), dtype=dtype, like=_anchor(device)))


def random_poisson(shape: Any, lam: Any = 1.0, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return how often something happens that happens `lam` times on average, as integers."""
    return EmberTensor(ops.poisson(shape, bare(lam), dtype=dtype, like=_anchor(device)))


def random_binomial(
    shape: Any, p: Any = 0.5, dtype: Any = None, device: str | None = None, *, n: int = 1
) -> EmberTensor:
    """Return how often of `n` times something happens whose probability is p, as integers."""
    return EmberTensor(ops.binomial(shape, n, bare(p), dtype=dtype, like=_anchor(device)))


def random_categorical(
    logits: Any, num_samples: int | None = None, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return class numbers, each as likely as e**logit says: (..., classes) -> (..., num_samples)."""
    drawn = ops.categorical(convert_to_tensor(logits, device=device).data, num_samples)
    return EmberTensor(drawn, dtype=dtype)


def random_permutation(x: Any) -> EmberTensor:
    """Return the numbers below an integer x in random order, or the rows of an array x."""
    return EmberTensor(ops.permutation(x)) if isinstance(x, int) else shuffle(x)


def shuffle(x: Any) -> EmberTensor:
    """Return the slices of x along its first axis in random order."""
    x = convert_to_tensor(x)
    return ops.take(x, ops.permutation(len(x), like=x.data))


def _anchor(device: str | None) -> Any:
    """Return an array that says where to draw; None for where the active backend creates."""
    return None if device is None else ops.zeros((), device=device)
