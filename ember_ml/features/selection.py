"""Which engine computes features of lists and numbers. Arrays bring their engine along."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from ember_ml.backend import get_backend, use_backend
from ember_ml.tensor import convert_to_tensor

_CHOSEN: ContextVar[str | None] = ContextVar("ember_ml_features", default=None)


def get_features() -> str:
    """Return the name of the engine on which features of lists are computed: the active one unless set."""
    return str(get_backend()) if _CHOSEN.get() is None else str(_CHOSEN.get())


def set_features(features_name: str) -> None:
    """Let features of lists be computed on an engine, in this thread or task.

    Neither the active backend nor what happens to arrays changes. Raises ValueError for an unknown name and
    ImportError for an engine that is not installed.
    """
    _CHOSEN.set(str(get_backend(features_name)))


def as_features(x: Any) -> Any:
    """Return nested lists and numbers as a tensor on the engine chosen, and arrays as they are."""
    if not isinstance(x, list | tuple | int | float):
        return x
    with use_backend(get_features()):
        return convert_to_tensor(x)
