"""Random tensors in the seeds' spelling: the same on every engine, from the stream that `set_seed` starts."""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.core.dtypes import Defaults
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
