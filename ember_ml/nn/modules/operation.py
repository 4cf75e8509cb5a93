"""Ops as nodes of models: `node(ops.softmax, axis=-1)`, and what an op does when it meets a connection."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from ember_ml.core import Op, dispatch, op_named, tree
from ember_ml.core.op import ALIASES, TABLE
from ember_ml.core.operators import BINARY, UNARY
from ember_ml.nn.modules.connection import LEVEL, Connection, Ports, Wired, ports_of, wire
from ember_ml.nn.modules.module import Module


def node(function: Callable | str, **settings: Any) -> Operation:
    """Return an op, by name or by its function, or a function of ops, as a module that models can wire.

    Its keys are `input` for one array, `left` and `right` for two, else the names of the arguments, settings
    that were not given among them; the result is `output`.
    """
    return Operation(function, settings)


class Operation(Module):
    """A function without parameters as a module; see `node`."""

    function: Callable | str  # the name of an op, or any other function
    settings: dict[str, Any]
    keys: dict[str, str]  # keys that are named otherwise than `ports_of` has it: key -> argument

    def __init__(
        self,
        function: Callable | str,
        settings: dict[str, Any] | None = None,
        keys: dict[str, str] | None = None,
    ):
        name = function if isinstance(function, str) else getattr(function, "__name__", "")
        op = TABLE.get(ALIASES.get(name, name))
        is_op = op is not None and (isinstance(function, str) or function is op.function)
        if isinstance(function, str) and not is_op:
            raise KeyError(f"node: there is no op {function!r}")
        self.function = op.name if is_op and op is not None else function
        self.settings, self.keys = dict(settings or {}), dict(keys or {})
        if unknown := self.settings.keys() - inspect.signature(self._called()).parameters.keys():
            raise TypeError(f"{self.kind} has no setting {', '.join(sorted(unknown))}")
        self._ports = self._find_ports()

    @property
    def op(self) -> Op | None:
        """The op that it computes; None for another function."""
        return op_named(self.function) if isinstance(self.function, str) else None

    @property
    def kind(self) -> str:
        """The name of what it computes."""
        name = self.function if isinstance(self.function, str) else getattr(self.function, "__name__", "")
        return name if name.isidentifier() else "function"

    def ports(self) -> Ports:
        """Return the keys at which it can be wired."""
        return self._ports

    def _find_ports(self) -> Ports:
        op = self.op
        ports = ports_of(self._called(), None if op is None else op.arrays, self.settings)
        if self.keys:
            others = {k: a for k, a in ports.arguments.items() if a not in self.keys.values()}
            ports = replace(ports, arguments=self.keys | others, required=tuple(self.keys))
        return ports if op is None or op.returns is None else replace(ports, outputs=op.returns._fields)

    def forward(self, *args: Any, **given: Any) -> Any:
        """Compute the function on arguments by position, by key or by name."""
        names = self._ports.arguments
        by_name = {names.get(key, key): x for key, x in given.items()}
        given = self.settings | dict(zip(names.values(), args, strict=False)) | by_name
        op = self.op
        if op is None or op.creates:
            return self._called()(**given)
        parameters = _parameters(op)
        arrays = [given.pop(a, parameters[a].default) for a in op.arrays]
        if op.name in ARITHMETIC and all(type(a) is int for a in arrays):
            return ARITHMETIC[op.name](*arrays)
        several = parameters[op.arrays[0]].kind is inspect.Parameter.VAR_POSITIONAL
        return op.apply(*(arrays[0] if several else arrays), **given)

    def shown_settings(self) -> dict[str, Any]:
        return self.settings

    def extra_repr(self) -> str:
        return ", ".join(filter(None, (self.kind, super().extra_repr())))

    def _called(self) -> Callable:
        return op_named(self.function).define if isinstance(self.function, str) else self.function


def record(function: Callable | str, args: tuple, attrs: dict[str, Any]) -> Wired:
    """Return the node of a function called on connections; settings that hold none belong to the node."""
    wired_in = {k: v for k, v in attrs.items() if any(isinstance(x, Connection) for x in tree.leaves(v))}
    made = Operation(function, {k: v for k, v in attrs.items() if k not in wired_in})
    keys = {argument: key for key, argument in made.ports().arguments.items()}
    op = made.op
    if op is not None and op.sequence and (len(args) != 1 or isinstance(args[0], Connection)):
        args = (list(args),)  # sums of products take their arrays one by one
    front = zip(keys if op is None else op.arrays, args, strict=False)
    return wire(made, (), {keys[n]: v for n, v in (*front, *wired_in.items()) if v is not None})


class Wiring(dispatch.Interpreter):
    """Gives an op meaning on connections: a node."""

    level = LEVEL

    def bind(self, op: Op, types: tuple[type, ...]) -> Callable:
        """Return what records `op`."""
        return partial(_record, op)

    def __str__(self) -> str:
        return "connections"


def _record(op: Op, *args: Any, **attrs: Any) -> Any:
    parameters = _parameters(op)
    made = record(op.name, args, {k: v for k, v in attrs.items() if v is not parameters[k].default})
    return tuple(made.outputs.values()) if op.returns is not None else made


@cache
def _parameters(op: Op) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(op.define).parameters


def shape(x: Any) -> tuple[int, ...]:
    """Return the shape of an array."""
    return tuple(x.shape)


def item(x: Any, index: Any) -> Any:
    """Return a part of an array or of a tuple."""
    return x[index]


# Sizes are computed with as Python's integers, which a program knows before any array exists.
ARITHMETIC = {op: getattr(operator, f"__{name}__") for name, op in (BINARY | UNARY).items()}
FUNCTIONS: dict[str, Callable] = {"shape": shape, "item": item}  # what connections have beside ops
dispatch.register_type(Connection, Wiring())
