"""Modules in files: weights as safetensors, and in the same file how to build the module, as JSON. Never pickle."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from ember_ml.nn.modules.activations import ACTIVATIONS
from ember_ml.nn.modules.module import Module
from ember_ml.nn.modules.wiring import NeuronMap, wiring_from_config
from ember_ml.tensor.conversion import host

FORMAT = "ember_ml module 1"


def save(module: Module, path: str | os.PathLike) -> None:
    """Write a module's parameters, buffers and configuration to `path`, whole or not at all.

    Raises TypeError for a setting that cannot be written, such as a lambda as activation.
    """
    tensors = {name: np.asarray(host(x), order="C") for name, x in module.state_dict().items()}
    metadata = {"format": FORMAT, "module": json.dumps(describe(module))}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata=metadata)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def load(path: str | os.PathLike) -> Module:
    """Return the module that `save` wrote to `path`, on the active backend.

    Raises FileNotFoundError, or ValueError for a file that `save` did not write.
    """
    tensors, metadata = read(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"load: {path} holds no ember_ml module; it was written by something else")
    module = build(json.loads(metadata["module"]))
    module.load_state_dict(tensors)
    return module


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"load: there is no file {path}")
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def describe(value: Any) -> Any:
    """Return a module, map, function or plain value as JSON-able data."""
    if isinstance(value, Module):
        kind = type(value)
        return {"module": f"{kind.__module__}:{kind.__qualname__}", "config": describe(value.get_config())}
    if isinstance(value, NeuronMap):
        return {"wiring": value.get_config()}
    if isinstance(value, dict):
        return {"dict": {str(k): describe(v) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if isinstance(value, Callable):
        for name, function in ACTIVATIONS.items():
            if function is value:
                return name
        raise TypeError(
            f"save: the function {value!r} has no name to be found by; pass an activation by name"
        )
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"save: cannot write a setting of type {type(value).__name__}")


def build(data: Any) -> Any:
    """Return what `describe` described."""
    if isinstance(data, list):
        return [build(each) for each in data]
    if not isinstance(data, dict):
        return data
    if "dict" in data:
        return {k: build(v) for k, v in data["dict"].items()}
    if "wiring" in data:
        return wiring_from_config(data["wiring"])
    module, _, name = data["module"].partition(":")
    cls: Any = importlib.import_module(module)
    for part in name.split("."):
        cls = getattr(cls, part)
    if not (isinstance(cls, type) and issubclass(cls, Module)):
        raise ValueError(f"load: {data['module']} is no Module")
    return cls.from_config(build(data["config"]))
