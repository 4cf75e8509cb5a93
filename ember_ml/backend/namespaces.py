"""`ember_ml.backend.numpy`, `.torch`, `.jax`, `.mlx`, `.cupy`: each engine's namespace, loaded when used."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ember_ml.backend.selection import backend_class


class Namespace(ModuleType):
    """Hands every attribute on to an engine's namespace. Raises ImportError where it is not installed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        engine = backend_class(self.__name__.rpartition(".")[2])
        return getattr(engine.raw or engine.xp, name)


def enter(package: str, name: str) -> Namespace:
    """Return the namespace of an engine, importable as a module of the package."""
    module = Namespace(f"{package}.{name}", f"The namespace of {name}.")
    return sys.modules.setdefault(module.__name__, module)  # pyright: ignore[reportReturnType]
