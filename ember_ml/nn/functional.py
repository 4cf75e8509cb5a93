"""Modules as pure functions of their parameters."""

from __future__ import annotations

import copy
from typing import Any

from ember_ml.core import tree
from ember_ml.nn.modules.module import Module, as_tensor, check_shape, lacks_tensors, replaced
from ember_ml.nn.modules.parameter import Parameter
from ember_ml.ops.random import drawing_from
from ember_ml.tensor import EmberTensor
from ember_ml.tensor.conversion import bare, native


def functional_call(
    module: Module, params: dict[str, Any], *args: Any, buffers: dict[str, Any] | None = None, key: Any = None
) -> tuple[Any, dict[str, Any]]:
    """Return `(module(*args), buffers)` with other parameters and buffers; the module stays as it is.

    `params` and `buffers` are flat dicts by dotted name; those left out keep the module's values, as
    constants. With `key`, random ops inside draw from it. The buffers returned are those that the call left
    behind, such as running statistics, as native arrays; the output is native too, unless tensors were
    given. What is not built yet is built.

    Raises KeyError for a name that the module does not have, ValueError for a wrong shape.
    """
    module.ensure_built(*args)
    own = dict((*module.named_parameters(), *module.named_buffers()))
    given = {**params, **(buffers or {})}
    if unknown := sorted(given.keys() - own.keys()):
        known = ", ".join(own)
        raise KeyError(f"functional_call: no parameter or buffer {', '.join(unknown)}; there are {known}")
    for name, value in given.items():
        check_shape("functional_call", name, value, own[name])
    stand_in = replaced(module, {id(x): _with_value(x, given.get(name, x.data)) for name, x in own.items()})
    with drawing_from(key):
        output = stand_in(*tree.map(as_tensor, args))
    left = {name: x.data for name, x in stand_in.named_buffers()}
    return (tree.map(bare, output) if lacks_tensors((given, args)) else output), left


def _with_value(tensor: EmberTensor, value: Any) -> EmberTensor:
    """Return what stands in for a module's tensor: a tensor given for a parameter, or else a constant."""
    if isinstance(value, EmberTensor) and isinstance(tensor, Parameter):
        return value
    other = copy.copy(tensor)
    other.data, other.requires_grad, other.grad, other.node = native(value), False, None, None
    return other
