"""Modules in files: weights as safetensors, and beside them how to build the module, as JSON. No pickle."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialised

from ember_ml import ops
from ember_ml.core.files import written_whole
from ember_ml.nn.modules.activations import ACTIVATIONS
from ember_ml.nn.modules.connection import Connection
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
    with written_whole(path) as part:
        part.write_bytes(serialised(tensors, metadata=metadata))


def load(path: str | os.PathLike) -> Module:
    """Return the module that `save` wrote to `path`, on the active backend, in the dtypes of the file.

    Nothing is run that is not there already: a class of your own must have been imported. Raises
    FileNotFoundError, or ValueError for a file that `save` did not write and for a class that is not known.
    """
    tensors, metadata = read(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"load: {path} holds no ember_ml module; it was written by something else")
    module = build(json.loads(metadata["module"]))
    for name, x in (*module.named_parameters(), *module.named_buffers()):
        if name in tensors:
            x.data = ops.astype(x.data, dtype=tensors[name].dtype)
    module.load_state_dict(tensors)
    return module


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file. Raises ValueError for other files."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"load: there is no file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"load: {path} is no safetensors file: {error}") from error


def describe(value: Any) -> Any:
    """Return a module, map, function or plain value as JSON-able data."""
    if isinstance(value, Module):
        kind = type(value)
        name, config = f"{kind.__module__}:{kind.__qualname__}", describe(value.get_config())
        return {"module": name, "config": config, "input_shape": value.input_shape}
    if isinstance(value, NeuronMap):
        return {"wiring": value.get_config()}
    if isinstance(value, dict):
        return {"dict": [[describe(k), describe(v)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        parts = [describe(v) for v in value]
        return parts if isinstance(value, list) else {"tuple": parts}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Callable):
        for name, function in ACTIVATIONS.items():
            if function is value:
                return name
        if (name := f"{value.__module__}:{value.__qualname__}").startswith("ember_ml.") and "<" not in name:
            return {"function": name}
        raise TypeError(
            f"save: the function {value!r} has no name to be found by; pass an activation by name"
        )
    if isinstance(value, Connection):
        return {"key": value.name}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"ellipsis": True}
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
        return {build(k): build(v) for k, v in data["dict"]}
    if "tuple" in data:
        return tuple(build(data["tuple"]))
    if "array" in data:
        return np.array(data["array"], data["dtype"])
    if "wiring" in data:
        return wiring_from_config(data["wiring"])
    if "key" in data:
        return Connection(data["key"])
    if "slice" in data:
        return slice(*data["slice"])
    if "ellipsis" in data:
        return ...
    if "function" in data:
        return _named(data["function"])
    module = _class_named(data["module"]).from_config(build(data["config"]))
    if not module.built and data["input_shape"] is not None:
        module.build(tuple(data["input_shape"]))
        module.built, module.input_shape = True, tuple(data["input_shape"])
    return module


def _class_named(name: str) -> type[Module]:
    """Return the class that a file names. Only our own are imported: a file must not run what it likes."""
    found = _named(name)
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise ValueError(
            f"load: the file holds a {name}, which is not known; import the module that defines it first"
        )
    return found


def _named(name: str) -> Any:
    where, _, path = name.partition(":")
    is_ours = where.partition(".")[0] == "ember_ml"
    found: Any = importlib.import_module(where) if is_ours else sys.modules.get(where)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found
