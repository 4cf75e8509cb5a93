"""A model's wiring as plain data: which nodes run in which order, and the names of the keys between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ember_ml.core import tree
from ember_ml.nn.modules.connection import Connection, Wired


@dataclass(frozen=True)
class Key:
    """The value of a key, as it stands among the arguments of a node."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Node:
    """One node: its name, what it is, and the keys that it reads and writes."""

    name: str
    kind: str  # the op, or the class of the module
    settings: dict[str, Any]
    inputs: dict[str, Any]  # key of the module -> a tree of `Key`s and constants
    outputs: dict[str, str]  # key of the module -> key of the model
    arguments: dict[str, str]  # key of the module -> argument of its forward

    def reads(self) -> list[str]:
        """Return the keys that it reads."""
        return [x.name for x in tree.leaves(self.inputs) if type(x) is Key]


@dataclass(frozen=True)
class Plan:
    """All of a model that can be known before it runs."""

    nodes: tuple[Node, ...]  # in the order in which they run
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    keys: dict[Any, str]  # what each connection is called, by its identity

    @property
    def connections(self) -> dict[str, Connection]:
        """Every key, and the connection that it names."""
        named = {name: c for c, name in self.keys.items() if isinstance(c, Connection)}
        return {**{name: Connection(name) for name in self.keys.values()}, **named}


def plan_of(wired: dict[Wired, str], exposed: Iterable[Any] = (), hidden: Iterable[str] = ()) -> Plan:
    """Return the plan of named nodes.

    What no node reads is an output, and so is what is `exposed`, but not what is `hidden`; what then serves
    no output is left out. Raises ValueError for a key that two nodes write, and for a cycle.
    """
    writer = _writers(wired)
    order = _ordered(wired, writer)
    read = {c.identity for each in order for c in each.sources()}
    results = [c for each in order for c in each.outputs.values()]
    chosen = [c.identity for c in results if c.identity not in read or c.identity in set(exposed)]
    keys = _names(order, wired, writer, chosen)
    outputs = [c for c in chosen if keys[c] not in set(hidden)]
    order = _serving(order, writer, outputs)
    nodes = tuple(_node(wired[each], each, keys) for each in order)
    inputs = dict.fromkeys(keys[c.identity] for e in order for c in e.sources() if c.identity not in writer)
    return Plan(nodes, tuple(inputs), tuple(keys[c] for c in outputs), keys)


def _writers(wired: dict[Wired, str]) -> dict[Any, Wired]:
    writer: dict[Any, Wired] = {}
    for each, name in wired.items():
        for c in each.outputs.values():
            if (other := writer.setdefault(c.identity, each)) is not each:
                raise ValueError(f"the key {c.name!r} is written by node {wired[other]!r} and by node {name!r}")
    return writer


def _ordered(wired: dict[Wired, str], writer: dict[Any, Wired]) -> list[Wired]:
    """Return the nodes, each after those it reads from; as they were added, where that will do."""
    needs = {each: [writer[c.identity] for c in each.sources() if c.identity in writer] for each in wired}
    place = {each: i for i, each in enumerate(wired)}
    if all(place[other] < place[each] for each, others in needs.items() for other in others):
        return list(wired)
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        loop = " -> ".join(wired[each] for each in error.args[1])
        raise ValueError(f"the nodes {loop} form a cycle: each needs what comes after it") from None


def _names(
    order: list[Wired], wired: dict[Wired, str], writer: dict[Any, Wired], outputs: list[Any]
) -> dict[Any, str]:
    """Return a name for every connection: its own; or the port's, if that is free; or that of its node."""
    keys = {c: c for e in order for x in (*e.sources(), *e.outputs.values()) if isinstance(c := x.identity, str)}
    taken = set(keys)
    unnamed = [c for c in outputs if isinstance(c, Connection)]

    def enter(c: Connection, *wanted: str) -> None:
        if c.identity not in keys:
            keys[c.identity] = name = unused(taken, *wanted)
            taken.add(name)

    for each in order:
        for port, x in each.inputs.items():
            for c in (c for c in tree.leaves(x) if isinstance(c, Connection) and c.identity not in writer):
                enter(c, port, f"{wired[each]}_{port}")
    if len(unnamed) == 1 and unnamed[0].port not in taken:
        enter(unnamed[0], str(unnamed[0].port))
    for each in order:
        for port, c in each.outputs.items():
            enter(c, *([wired[each]] if c is each else []), f"{wired[each]}_{port}")
    return keys


def unused(taken: Any, *wanted: str) -> str:
    """Return the first of the wanted names that is not taken, or the last with a number."""
    free = (name for name in wanted if name not in taken)
    numbered = (f"{wanted[-1]}_{i}" for i in range(2, len(taken) + 3))
    return next(free, None) or next(name for name in numbered if name not in taken)


def _serving(order: list[Wired], writer: dict[Any, Wired], outputs: list[Any]) -> list[Wired]:
    needed = {writer[c] for c in outputs}
    for each in reversed(order):
        if each in needed:
            needed.update(writer[c.identity] for c in each.sources() if c.identity in writer)
    return [each for each in order if each in needed]


def _node(name: str, wired: Wired, keys: dict[Any, str]) -> Node:
    def key(x: Any) -> Any:
        return Key(keys[x.identity]) if isinstance(x, Connection) else x

    return Node(
        name=name,
        kind=wired.module.kind,
        settings=wired.module.shown_settings(),
        inputs={port: tree.map(key, x) for port, x in wired.inputs.items()},
        outputs={port: keys[c.identity] for port, c in wired.outputs.items()},
        arguments=wired.ports.arguments,
    )


