"""Connections: what flows between the nodes of a model, before there is a number.

Calling a module with names of keys or with connections wires it: the result is a `Wired` node, which is also
the connection of its first output. `model |= node` makes it part of a model.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ember_ml.core import tree
from ember_ml.core.operators import Operators

if TYPE_CHECKING:
    from ember_ml.nn.modules.module import Module

LEVEL = sys.maxsize  # of whoever interprets ops on connections: above every trace


@dataclass(frozen=True)
class Ports:
    """The keys at which a module can be wired."""

    arguments: dict[str, str]  # key of an input -> the argument that it goes to
    required: tuple[str, ...]
    outputs: tuple[str, ...] = ("output",)


class Connection(Operators):
    """One value between nodes: a key of a model, by name, or what a node makes.

    Operators, indexing and the methods of ops record nodes: `a @ b + c`, `x[0]`, `x.mean(axis=0)`. `shape`
    says what is known of an input (None: any size).
    """

    __slots__ = ("name", "node", "port", "sizes")
    __array_ufunc__ = None  # so that NumPy leaves `array + connection` to us
    __hash__ = object.__hash__
    node: Wired | None  # what makes it; None for an input
    port: str | None  # at which output of that node

    def __init__(self, name: str | None = None, shape: Iterable[int | None] | None = None):
        self.name, self.sizes = name, None if shape is None else tuple(shape)
        self.node = self.port = None

    @property
    def identity(self) -> Any:
        """What makes two connections one key of a model: the name, or without one the connection itself."""
        return self if self.name is None else self.name

    @property
    def shape(self) -> Wired:
        """A node that gives the shape, a tuple of integers."""
        return _recorded("shape", self)

    def __getitem__(self, index: Any) -> Wired:
        return _recorded("item", self, index=index)

    def __iter__(self) -> Iterator:
        self._has_no_value()

    def _has_no_value(self, *_: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} has no value before its model runs: index it (x[0]) instead of unpacking, "
            "choose with ops.where instead of Python's if"
        )

    __bool__ = __float__ = __int__ = __len__ = __complex__ = __index__ = __array__ = _has_no_value

    def __repr__(self) -> str:
        made = "" if self.node is None else f"{self.port} of {type(self.node.module).__name__}"
        return f"Connection({', '.join(filter(None, (self.name and repr(self.name), made)))})"


class Wired(Connection):
    """A module with connections at its keys. It stands for its first output; `node.key` gives the others."""

    __slots__ = ("inputs", "module", "outputs", "ports")

    def __init__(self, module: Module, ports: Ports, inputs: dict[str, Any], names: dict[str, str | None]):
        first, *rest = ports.outputs
        super().__init__(names.get(first))
        self.module, self.ports, self.inputs = module, ports, inputs
        self.node, self.port = self, first
        self.outputs: dict[str, Connection] = {first: self}
        for port in rest:
            made = self.outputs[port] = Connection(names.get(port))
            made.node, made.port = self, port

    def __getattr__(self, key: str) -> Connection:
        found = (
            None
            if key.startswith("_") or key in Wired.__slots__
            else {**self.inputs, **self.outputs}.get(key)
        )
        if found is None:
            raise AttributeError(f"a wired node has no attribute or key {key!r}")
        return found

    def sources(self) -> list[Connection]:
        """Return the connections that it reads."""
        return [x for x in tree.leaves(self.inputs) if isinstance(x, Connection)]

    def free(self) -> list[str]:
        """Return the keys of inputs that nothing was connected to."""
        return [
            k for k, x in self.inputs.items() if type(x) is Connection and x.name is None and x.node is None
        ]


def ports_of(
    function: Callable, arrays: tuple[str, ...] | None = None, settings: Iterable[str] = ()
) -> Ports:
    """Return the keys of a function's arguments, less those that are `settings` already.

    The only argument that must be given is `input`; the only two `arrays` of an op are `left` and `right`;
    others keep their names.
    """
    parameters = inspect.signature(function).parameters
    skipped = (
        inspect.Parameter.VAR_KEYWORD,
        *((inspect.Parameter.VAR_POSITIONAL,) if arrays is None else ()),
    )
    single = [n for n, p in parameters.items() if p.kind not in skipped]
    must = [n for n in single if parameters[n].default is inspect.Parameter.empty and n not in settings]
    first = [n for n in must if arrays is None or n in arrays]
    keys = {first[0]: "input"} if len(first) == 1 else {}
    if arrays is not None and len(first) == len(arrays) == 2:
        keys = dict(zip(arrays, ("left", "right"), strict=True))
    names = {n: keys.get(n, n) for n in single if n not in settings}
    return Ports({key: n for n, key in names.items()}, tuple(names[n] for n in must))


def wire(module: Module, args: tuple, keys: dict[str, Any]) -> Wired:
    """Return a module with connections at its keys; strings name keys of the model to be.

    Raises KeyError for a key that the module does not have, TypeError for one that is given twice.
    """
    ports, kind = module.ports(), module.kind
    if len(args) > len(ports.arguments):
        raise TypeError(f"{kind}: {len(args)} connections for the keys {', '.join(ports.arguments)}")
    given = dict(zip(ports.arguments, args, strict=False))
    if twice := given.keys() & keys.keys():
        raise TypeError(f"{kind}: the key {', '.join(twice)} is given twice")
    given |= keys
    if unknown := given.keys() - ports.arguments.keys() - set(ports.outputs):
        known = ", ".join((*ports.arguments, *ports.outputs))
        raise KeyError(f"{kind} has no key {', '.join(sorted(unknown))}; its keys are {known}")
    inputs = {k: tree.map(_as_connection, given[k]) for k in ports.arguments if k in given}
    free = {k: Connection() for k in ports.required if k not in inputs}
    return Wired(module, ports, inputs | free, {k: _name(kind, k, given.get(k)) for k in ports.outputs})


def _as_connection(x: Any) -> Any:
    return Connection(x) if isinstance(x, str) else x


def _name(kind: str, key: str, given: Any) -> str | None:
    name = given.name if isinstance(given, Connection) else given
    if given is None or isinstance(name, str):
        return name
    raise TypeError(f"{kind}: the output {key!r} takes the name of a key, got {given!r}")


def _recorded(name: str, *args: Any, **settings: Any) -> Wired:
    from ember_ml.nn.modules.operation import (
        FUNCTIONS,
        record,
    )  # operations are modules, which are wired here

    return record(FUNCTIONS[name], args, settings)
