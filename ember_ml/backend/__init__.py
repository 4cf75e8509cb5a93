"""Engines: how each differs from the op table, and which one is active. Importing this loads none."""

import importlib
from typing import TYPE_CHECKING, Any

from ember_ml.backend.base import Backend as Backend
from ember_ml.backend.base import Backend as MatchingBackend
from ember_ml.backend.base import Gap as Gap
from ember_ml.backend.device import get_available_devices as get_available_devices
from ember_ml.backend.device import get_default_device as get_default_device
from ember_ml.backend.device import get_device as get_device
from ember_ml.backend.device import is_available as is_available
from ember_ml.backend.device import memory_info as memory_info
from ember_ml.backend.device import memory_usage as memory_usage
from ember_ml.backend.device import set_default_device as set_default_device
from ember_ml.backend.device import set_device as set_device
from ember_ml.backend.device import synchronize as synchronize
from ember_ml.backend.device import to_device as to_device
from ember_ml.backend.fast_sizes import compute_convolution_shapes as compute_convolution_shapes
from ember_ml.backend.fast_sizes import next_fast_len as next_fast_len
from ember_ml.backend.proxy import BackendManager as BackendManager
from ember_ml.backend.proxy import backend as backend
from ember_ml.backend.proxy import enter
from ember_ml.backend.selection import ENGINES as ENGINES
from ember_ml.backend.selection import auto_select_backend as auto_select_backend
from ember_ml.backend.selection import available_backends as available_backends
from ember_ml.backend.selection import backend_class
from ember_ml.backend.selection import get_backend as get_backend
from ember_ml.backend.selection import get_backend_module as get_backend_module
from ember_ml.backend.selection import is_installed as is_installed
from ember_ml.backend.selection import register_backend as register_backend
from ember_ml.backend.selection import set_backend as set_backend
from ember_ml.backend.selection import unregister_backend as unregister_backend
from ember_ml.backend.selection import use_backend as use_backend
from ember_ml.backend.selection import why_active as why_active
from ember_ml.backend.standard import override as override

if TYPE_CHECKING:
    from ember_ml.backend.cupy_backend import CupyBackend as CupyBackend
    from ember_ml.backend.files import load as load
    from ember_ml.backend.files import save as save
    from ember_ml.backend.jax_backend import JaxBackend as JaxBackend
    from ember_ml.backend.mlx_backend import MLXBackend as MLXBackend
    from ember_ml.backend.numpy_backend import NumPyBackend as NumPyBackend
    from ember_ml.backend.numpy_backend import NumPyBackend as NumpyBackend
    from ember_ml.backend.numpy_backend import NumPyBackend as NumpyFFTWBackend
    from ember_ml.backend.torch_backend import TorchBackend as PytorchBackend
    from ember_ml.backend.torch_backend import TorchBackend as TorchBackend

_CLASSES = {
    "NumPyBackend": "numpy",
    "NumpyBackend": "numpy",
    "NumpyFFTWBackend": "numpy",
    "TorchBackend": "torch",
    "PytorchBackend": "torch",
    "JaxBackend": "jax",
    "MLXBackend": "mlx",
    "CupyBackend": "cupy",
}

numpy, torch, jax, mlx, cupy = (enter(__name__, name) for name in ("numpy", "torch", "jax", "mlx", "cupy"))


def __getattr__(name: str) -> Any:
    """Return an engine's class, loaded when asked for. Raises ImportError where it is not installed."""
    if name in _CLASSES:
        return backend_class(_CLASSES[name])
    if name in ("load", "save"):
        return getattr(importlib.import_module("ember_ml.backend.files"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_CLASSES, "load", "save"})
