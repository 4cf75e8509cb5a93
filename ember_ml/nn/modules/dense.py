"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ember_ml import ops
from ember_ml.core.rules import shape_of
from ember_ml.nn.initializers import get_initializer, kaiming_uniform
from ember_ml.nn.modules.activations import get_activation
from ember_ml.nn.modules.module import Module
from ember_ml.nn.modules.parameter import Parameter
from ember_ml.tensor.conversion import owner_of


class Dense(Module):
    """activation(x W + b), as Keras's. Shapes: x (..., input_dim) -> (..., units)."""

    kernel: Parameter  # W (input_dim, units), starts Glorot uniform
    bias: Parameter | None  # b (units,), starts at 0

    def __init__(
        self,
        input_dim: int,
        units: int,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        *,
        kernel_initializer: str | Callable = "glorot_uniform",
    ):
        self.input_dim, self.units, self.activation, self.use_bias = input_dim, units, activation, use_bias
        self.kernel_initializer = kernel_initializer
        self.kernel = Parameter(get_initializer(kernel_initializer)((input_dim, units)))
        self.bias = Parameter(ops.zeros((units,))) if use_bias else None

    def forward(self, x: Any) -> Any:
        _check_width(self, x, self.input_dim)
        y = x @ self.kernel
        return get_activation(self.activation)(y if self.bias is None else y + self.bias)


class Linear(Module):
    """x W' + b, as torch.nn.Linear. Shapes: x (..., in_features) -> (..., out_features).

    Without `in_features` the first input decides; `Linear(dimension=32)` says `out_features` so.
    """

    weight: Parameter  # W (out_features, in_features), starts uniform within 1 / sqrt(in_features)
    bias: Parameter | None  # b (out_features,), likewise

    def __init__(
        self,
        in_features: int | None = None,
        out_features: int | None = None,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        dimension: int | None = None,
    ):
        if (out_features is None) == (dimension is None):
            raise TypeError("Linear: give out_features or dimension, which are the same")
        self.in_features, self.use_bias, self.device, self.dtype = in_features, bias, device, dtype
        self.out_features = dimension if out_features is None else out_features
        if in_features is not None:
            self.build((in_features,))
            self.built = True

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the weights for inputs of this shape, which must have an axis."""
        if not input_shape:
            raise ValueError("Linear: expected inputs with an axis of features, got shape ()")
        width, units = input_shape[-1], self.out_features
        assert units is not None  # of the two names of one setting, one was given
        self.in_features = width
        self.weight = Parameter(kaiming_uniform((units, width)))
        limit = max(width, 1) ** -0.5
        self.bias = Parameter(ops.uniform((units,), -limit, limit)) if self.use_bias else None
        if self.device is not None or self.dtype is not None:
            self.to(self.device, self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.use_bias}

    def forward(self, x: Any) -> Any:
        _check_width(self, x, self.in_features)
        y = x @ ops.matrix_transpose(self.weight)
        return y if self.bias is None else y + self.bias


def _check_width(layer: Module, x: Any, width: int | None) -> None:
    name, shape = type(layer).__name__, shape_of(x)
    if owner_of(x) is None:
        raise TypeError(
            f"{name}: expected an array, got {type(x).__name__}; make one with ember_ml.tensor.array(...)"
        )
    if not shape or shape[-1] != width:
        raise ValueError(f"{name}: expected inputs of {width} features in the last axis, got shape {shape}")
