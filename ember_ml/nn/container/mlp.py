"""Linear layers with an activation after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ember_ml.nn.container.sequential import Sequential
from ember_ml.nn.modules.activations import get_activation
from ember_ml.nn.modules.dense import Linear
from ember_ml.nn.modules.module import Module
from ember_ml.nn.modules.operation import node


class MLP(Sequential):
    """One `Linear` for each of `dimensions`, with the activation of the same place after it, or None.

    Activations are names, functions or modules. The first input decides the width of the first layer.
    Raises ValueError where there are not as many of one as of the other.
    """

    def __init__(self, activations: Sequence[str | Callable | Module | None], dimensions: Sequence[int]):
        if len(activations) != len(dimensions):
            raise ValueError(f"MLP: {len(activations)} activations for {len(dimensions)} layers")
        super().__init__()
        for activation, dimension in zip(activations, dimensions, strict=True):
            self.append(Linear(dimension=dimension))
            if activation is not None:
                is_module = isinstance(activation, Module)
                self.append(activation if is_module else node(get_activation(activation)))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MLP:
        made = cls([], [])
        made.layers = list(config["layers"])
        return made
