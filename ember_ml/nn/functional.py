"""Modules as pure functions of their parameters."""

from __future__ import annotations

from typing import Any

from ember_ml.nn.modules.module import Module, replaced
from ember_ml.ops.random import drawing_from
from ember_ml.tensor.conversion import bare


def functional_call(
    module: Module, params: dict[str, Any], *args: Any, buffers: dict[str, Any] | None = None, key: Any = None
) -> tuple[Any, dict[str, Any]]:
    """Return `(module(*args), buffers)` with other values for its parameters and buffers; the module stays as it is.

    `params` and `buffers` are flat dicts by dotted name; those left out keep the module's values. With `key`, random
    ops inside draw from it. The buffers returned are those that the call left behind, such as running statistics.

    Raises KeyError for a name that the module does not have.
    """
    module.ensure_built(*args)
    own = dict(module.named_parameters())
    own_buffers = dict(module.named_buffers())
    given = {**params, **(buffers or {})}
    if unknown := sorted(given.keys() - own.keys() - own_buffers.keys()):
        known = ", ".join([*own, *own_buffers])
        raise KeyError(f"functional_call: no parameter or buffer {', '.join(unknown)}; there are {known}")
    swap = {id(tensor): given.get(name, tensor.data) for name, tensor in (*own.items(), *own_buffers.items())}
    copy = replaced(module, swap)
    with drawing_from(key):
        output = copy.forward(*args)
    after = {name: getattr_path(copy, name) for name in own_buffers}
    return output, {name: bare(x) for name, x in after.items()}


def getattr_path(module: Module, path: str) -> Any:
    """Return what a dotted name leads to, through attributes, lists and dicts."""
    value: Any = module
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list | tuple) else (
            value[name] if isinstance(value, dict) else getattr(value, name)
        )
    return value
