"""First values of weights: from a shape to an array of the active backend, drawn from the seeded stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ember_ml import ops


def zeros(shape: tuple[int, ...]) -> Any:
    """All 0."""
    return ops.zeros(shape)


def ones(shape: tuple[int, ...]) -> Any:
    """All 1."""
    return ops.ones(shape)


def glorot_uniform(shape: tuple[int, ...], fan: tuple[int, int] | None = None) -> Any:
    """Uniform within sqrt(6 / (fan_in + fan_out)), shape (fan_in, fan_out). Glorot and Bengio 2010, (16)."""
    limit = math.sqrt(6.0 / sum(fan or (shape[0], shape[-1])))
    return ops.uniform(shape, -limit, limit)


def kaiming_uniform(shape: tuple[int, ...]) -> Any:
    """Uniform within 1 / sqrt(fan_in), as torch.nn.Linear starts; shape (fan_out, fan_in)."""
    limit = 1.0 / math.sqrt(shape[-1])
    return ops.uniform(shape, -limit, limit)


INITIALIZERS: dict[str, Callable] = {f.__name__: f for f in (zeros, ones, glorot_uniform, kaiming_uniform)}


def get_initializer(name: str | Callable) -> Callable:
    """Return an initializer by name, or the function itself. Raises ValueError for an unknown name."""
    if callable(name):
        return name
    if name not in INITIALIZERS:
        raise ValueError(f"unknown initializer {name!r}; known: {', '.join(INITIALIZERS)}")
    return INITIALIZERS[name]
