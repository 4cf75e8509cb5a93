"""Ops under their names as functions that give tensors: of lists, numbers, arrays of any engine, or tensors.

Each has its op's signature and contract.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from ember_ml import ops
from ember_ml.core import Op, op_named, tree
from ember_ml.tensor.conversion import bare
from ember_ml.tensor.creation import convert_to_tensor
from ember_ml.tensor.ember_tensor import EmberTensor


def on_tensors(name: str) -> Callable[..., Any]:
    """Return an op as a function that makes tensors of its arrays first; lists join the first array."""
    op = op_named(name)
    call = op.function
    signature = inspect.signature(call)
    if op.creates:
        prepare = _none
    elif signature.parameters[op.arrays[0]].kind is inspect.Parameter.VAR_POSITIONAL:
        prepare = _each
    else:
        prepare = _sequence if op.sequence else _beside_first

    @wraps(op.define)
    def function(*args: Any, **settings: Any) -> Any:
        out = call(*prepare(op, args), **settings)
        return tree.map(lambda x: x if isinstance(x, EmberTensor) else EmberTensor(x), out)

    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
    return function


def _none(op: Op, args: tuple) -> tuple:
    return args


def _each(op: Op, args: tuple) -> tuple:
    return tuple(convert_to_tensor(x) for x in args)


def _sequence(op: Op, args: tuple) -> tuple:
    if not args:
        return args
    first, *rest = args
    if not isinstance(first, list | tuple):
        raise TypeError(f"{op.name}: expected a list or tuple of arrays, got {type(first).__name__}")
    return ([convert_to_tensor(x) for x in first], *rest)


def _beside_first(op: Op, args: tuple) -> tuple:
    count = len(op.arrays)
    if not args:
        return args
    first, *others = args[:count]
    made = convert_to_tensor(first)
    beside = (ops.asarray(x, like=bare(made)) if isinstance(x, list | tuple) else x for x in others)
    return (made, *beside, *args[count:])


argsort = on_tensors("argsort")
broadcast_to = on_tensors("broadcast_to")
cast = on_tensors("cast")
concatenate = on_tensors("concatenate")
expand_dims = on_tensors("expand_dims")
flip = on_tensors("flip")
full_like = on_tensors("full_like")
gather = on_tensors("gather")
hstack = on_tensors("hstack")
index_update = on_tensors("index_update")
maximum = on_tensors("maximum")
meshgrid = on_tensors("meshgrid")
minimum = on_tensors("minimum")
nonzero = on_tensors("nonzero")
one_hot = on_tensors("one_hot")
ones_like = on_tensors("ones_like")
pad = on_tensors("pad")
repeat = on_tensors("repeat")
reshape = on_tensors("reshape")
roll = on_tensors("roll")
scatter = on_tensors("scatter")
slice_tensor = on_tensors("slice_tensor")
sort = on_tensors("sort")
squeeze = on_tensors("squeeze")
stack = on_tensors("stack")
take = on_tensors("take")
tensor_scatter_nd_update = on_tensors("tensor_scatter_nd_update")
tile = on_tensors("tile")
transpose = on_tensors("transpose")
tril = on_tensors("tril")
triu = on_tensors("triu")
unstack = on_tensors("unstack")
vstack = on_tensors("vstack")
where = on_tensors("where")
zeros_like = on_tensors("zeros_like")
