"""Activations as modules, as functions, and by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ember_ml import ops
from ember_ml.nn.modules.module import Module
from ember_ml.ops import relu, sigmoid, softmax, softplus, tanh

ACTIVATIONS: dict[str, Callable] = {
    name: getattr(ops, name)
    for name in (
        *("relu", "sigmoid", "tanh", "softmax", "softplus", "lecun_tanh"),
        *("gelu", "silu", "elu", "leaky_relu", "log_softmax", "log_sigmoid"),
    )
}


def get_activation(name: str | Callable | None) -> Callable:
    """Return an activation by name, or the function itself; None is the identity. Raises ValueError."""
    if name is None or name == "linear":
        return _identity
    if callable(name):
        return name
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _identity(x: Any) -> Any:
    return x


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        return relu(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        return tanh(x)


class Sigmoid(Module):
    """1 / (1 + e**-x)."""

    def forward(self, x: Any) -> Any:
        return sigmoid(x)


class Softplus(Module):
    """log(1 + e**x)."""

    def forward(self, x: Any) -> Any:
        return softplus(x)


class LeCunTanh(Module):
    """1.7159 tanh(2x/3)."""

    def forward(self, x: Any) -> Any:
        return ops.lecun_tanh(x)


class Softmax(Module):
    """e**x scaled to sum to 1 along an axis."""

    def __init__(self, axis: int = -1):
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return softmax(x, axis=self.axis)
