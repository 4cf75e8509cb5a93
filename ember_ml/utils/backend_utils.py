"""The choice of a backend, random seeds, conversions: in the words of the terabyte extractor."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ember_ml import ops
from ember_ml.backend import get_backend, get_device, set_backend
from ember_ml.core.rules import shape_of
from ember_ml.tensor import EmberTensor, convert_to_tensor, set_seed, to_numpy
from ember_ml.tensor import random_uniform as uniform_between


def get_current_backend() -> str:
    """Return the name of the active backend."""
    return get_backend().name


def set_preferred_backend(backend_name: str | None = None) -> str:
    """Make a backend the default if it is there, and return the name of the active one.

    It is a preference: None keeps the active backend; a name that is not known, or an engine that is not
    installed, warns and keeps it too.
    """
    if backend_name is not None:
        try:
            set_backend(backend_name)
        except (ValueError, ImportError) as error:
            warnings.warn(f"{error}; staying with {get_backend()}", stacklevel=2)
    return get_backend().name


def initialize_random_seed(seed: int = 42) -> None:
    """Start the process's stream of random numbers anew."""
    set_seed(seed)


convert_to_tensor_safe = convert_to_tensor
tensor_to_numpy_safe = to_numpy


def random_uniform(shape: Any, low: float = 0.0, high: float = 1.0) -> EmberTensor:
    """Return random numbers spread evenly over [low, high)."""
    return uniform_between(shape, low, high)


def sin_cos_transform(values: Any, period: float = 1.0) -> tuple[EmberTensor, EmberTensor]:
    """Return the sine and the cosine of 2π values / period: where each value stands on its cycle.

    >>> sine, cosine = sin_cos_transform([0.0, 6.0], period=24.0)
    >>> sine
    EmberTensor([0. 1.], shape=(2,), dtype=float32, backend=numpy)
    """
    angles = ops.multiply(convert_to_tensor(values), 2.0 * math.pi / period)
    return ops.sin(angles), ops.cos(angles)


def vstack_safe(arrays: Sequence) -> EmberTensor | None:
    """Return arrays stacked along their first axis, a single row counting as one; None for no arrays.

    Raises ValueError when the other sizes differ: nothing is left out.
    """
    if not len(arrays):
        return None
    rows = [convert_to_tensor(x) for x in arrays]
    return ops.concat([ops.reshape(x, shape=(1, -1)) if len(shape_of(x)) < 2 else x for x in rows], axis=0)


def get_backend_info() -> dict[str, str]:
    """Return the name of the active backend and the device on which it creates arrays."""
    return {"name": get_backend().name, "device": get_device()}


def print_backend_info() -> None:
    """Write the active backend and its device to standard output."""
    info = get_backend_info()
    sys.stdout.write(f"backend {info['name']} on {info['device']}\n")
