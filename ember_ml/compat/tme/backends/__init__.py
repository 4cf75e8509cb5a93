"""pyTME's backends: `backend` stands for the active one, `MatchingBackend` is what one's own derives from."""

from typing import TYPE_CHECKING, Any

import ember_ml.backend
from ember_ml.backend import BackendManager as BackendManager
from ember_ml.backend import MatchingBackend as MatchingBackend
from ember_ml.backend import backend as backend

if TYPE_CHECKING:
    from ember_ml.backend import CupyBackend as CupyBackend
    from ember_ml.backend import JaxBackend as JaxBackend
    from ember_ml.backend import MLXBackend as MLXBackend
    from ember_ml.backend import NumpyFFTWBackend as NumpyFFTWBackend
    from ember_ml.backend import PytorchBackend as PytorchBackend

_CLASSES = ("NumpyFFTWBackend", "PytorchBackend", "CupyBackend", "MLXBackend", "JaxBackend")


def __getattr__(name: str) -> Any:
    """Return an engine's class, loaded when asked for. Raises ImportError where it is not installed."""
    if name in _CLASSES:
        return getattr(ember_ml.backend, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_CLASSES})
