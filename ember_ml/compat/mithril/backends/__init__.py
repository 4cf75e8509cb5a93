"""Mithril's backends: ours, but for the dtype in which the NumPy one starts."""

from typing import TYPE_CHECKING, Any

import ember_ml.backend
from ember_ml.backend.numpy_backend import NumPyBackend

if TYPE_CHECKING:
    from ember_ml.backend import JaxBackend as JaxBackend
    from ember_ml.backend import MLXBackend as MlxBackend
    from ember_ml.backend import TorchBackend as TorchBackend

_CLASSES = {"JaxBackend": "JaxBackend", "TorchBackend": "TorchBackend", "MlxBackend": "MLXBackend"}


class NumpyBackend(NumPyBackend):
    """NumPy, creating float64 unless told."""

    def __init__(
        self,
        dtype: Any = "float64",
        device: str | None = None,
        randomness_seed: int | None = None,
        enable_optimizations: bool = False,
    ):
        super().__init__(dtype, device, randomness_seed, enable_optimizations)


def __getattr__(name: str) -> Any:
    """Return an engine's class, loaded when asked for. Raises ImportError where it is not installed."""
    if name in _CLASSES:
        return getattr(ember_ml.backend, _CLASSES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_CLASSES})
