"""Layers one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ember_ml.nn.modules.module import Module


class Sequential(Module):
    """Modules in a row: each takes what the one before returned. `Sequential(a, b)`, `Sequential([a, b])`."""

    layers: list[Module]

    def __init__(self, *layers: Any):
        given = layers[0] if len(layers) == 1 and isinstance(layers[0], list | tuple) else layers
        self.layers = []
        for layer in given:
            self.append(layer)

    def append(self, module: Module) -> Sequential:
        """Add a module at the end; return the container."""
        if not isinstance(module, Module):
            raise TypeError(f"Sequential: expected a Module, got {type(module).__name__}")
        self.layers = [*self.layers, module]
        return self

    add = append

    def add_module(self, name: str, module: Module) -> None:
        """Add a module at the end, reachable as the attribute `name` too."""
        self.append(module)
        setattr(self, name, module)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {"layers": list(self.layers)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        return cls(*config["layers"])

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)
