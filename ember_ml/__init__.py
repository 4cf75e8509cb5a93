"""ember_ml: write numerical and machine-learning code once, run it on NumPy, PyTorch, JAX, MLX and CuPy.

The front door. Subpackages and names load when they are first used; importing this loads no engine and
prints nothing.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

from ember_ml.backend import auto_select_backend as auto_select_backend
from ember_ml.backend import available_backends as available_backends
from ember_ml.backend import get_backend as get_backend
from ember_ml.backend import get_device as get_device
from ember_ml.backend import register_backend as register_backend
from ember_ml.backend import set_backend as set_backend
from ember_ml.backend import set_device as set_device
from ember_ml.backend import use_backend as use_backend
from ember_ml.core.op import LOADERS as _LOADERS

if TYPE_CHECKING:
    from ember_ml import (
        backend,
        compiler,
        core,
        data,
        export,
        models,
        nn,
        ops,
        tensor,
        training,
        visualization,
    )

__version__ = "0.2.0"

_SUBPACKAGES = (
    *("array_api", "backend", "cli", "compat", "compiler", "core", "data", "export", "features", "models"),
    *("nn", "ops", "tensor", "training", "utils", "visualization"),
)

_LOADERS.append(partial(importlib.import_module, "ember_ml.ops"))

# Names that live elsewhere and are reached from here too: name -> module.
_FROM = {
    "ember_ml.compiler": (
        *("compile", "custom_vjp", "grad", "hessian", "jacobian", "jit", "jvp", "value_and_grad"),
        *("vjp", "vmap"),
    ),
    "ember_ml.export": ("to_onnx",),
    "ember_ml.core": ("get_default_dtype", "set_default_dtype"),
    "ember_ml.ops": ("cond", "scan", "stop_gradient"),
    "ember_ml.tensor": (
        *("EmberTensor", "arange", "array", "convert_to_tensor", "eye", "full", "full_like"),
        *("linspace", "no_grad", "ones", "ones_like", "to_numpy", "zeros", "zeros_like"),
        *("random_bernoulli", "random_normal", "random_permutation", "random_uniform", "set_seed", "shuffle"),
    ),
    "ember_ml.nn": ("Model", "Module", "Parameter"),
}
_HOME = {name: module for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a subpackage, or a name from where it lives, when it is first asked for."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"ember_ml.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ember_ml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBPACKAGES, *_HOME})
