"""A model's wiring as plain data: which nodes run in which order, and the names of the keys between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
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
    connections: dict[str, Connection]  # the connection that each key names


def plan_of(
    wired: dict[Wired, str],
    exposed: Iterable[Connection] = (),
    hidden: Iterable[str] = (),
    called: Mapping[Connection, str] = MappingProxyType({}),
) -> Plan:
    """Return the plan of named nodes, with names for connections that have none of their own.

    What no node reads is an output, and so is what is `exposed`, but not what is `hidden`; what then serves
    no output is left out. A key such as `linear.weight` is a parameter of the node before the dot. Raises
    ValueError for a key that two nodes write, and for a cycle.
    """
    writer = _writers(wired)
    holders = {name: each for each, name in wired.items()}

    def needs(each: Wired) -> list[Wired]:
        """Return the nodes that one reads from: what they write, or their parameters by dotted name."""
        found = (writer.get(c.identity, holders.get(_holder(c))) for c in each.sources())
        return [other for other in found if other is not None]

    order = _ordered(wired, needs)
    read = {c.identity for each in order for c in each.sources()}
    results = [c for each in order for c in each.outputs.values()]
    shown = {c.identity for c in exposed}
    chosen = [c.identity for c in results if c.identity not in read or c.identity in shown]
    keys = _names(order, wired, writer, chosen, called)
    outputs = [c for c in chosen if keys[c] not in set(hidden)]
    needed = {writer[c] for c in outputs}
    for each in reversed(order):
        needed.update(needs(each) if each in needed else ())
    order = [each for each in order if each in needed]
    nodes = tuple(_node(wired[each], each, keys) for each in order)
    outside = [c for each in order for c in each.sources() if c.identity not in writer]
    inputs = dict.fromkeys(keys[c.identity] for c in outside if _holder(c) not in holders)
    connections = {keys[c.identity]: c for each in order for c in (*each.sources(), *each.outputs.values())}
    connections |= {keys[c.identity]: c for c in results}
    return Plan(nodes, tuple(inputs), tuple(keys[c] for c in outputs), keys, connections)


def _holder(c: Connection) -> str:
    """Return the name of the node whose parameter a dotted key names, or nothing."""
    return "" if c.name is None else c.name.rpartition(".")[0].partition(".")[0]


def _writers(wired: dict[Wired, str]) -> dict[Any, Wired]:
    writer: dict[Any, Wired] = {}
    for each, name in wired.items():
        for c in each.outputs.values():
            if (other := writer.setdefault(c.identity, each)) is not each:
                raise ValueError(
                    f"the key {c.name!r} is written by node {wired[other]!r} and by node {name!r}"
                )
    return writer


def _ordered(wired: dict[Wired, str], needs: Callable[[Wired], list[Wired]]) -> list[Wired]:
    """Return the nodes, each after those it reads from; as they were added, where that will do."""
    place = {each: i for i, each in enumerate(wired)}
    if all(place[other] < place[each] for each in wired for other in needs(each)):
        return list(wired)
    try:
        return list(TopologicalSorter({each: needs(each) for each in wired}).static_order())
    except CycleError as error:
        loop = " -> ".join(wired[each] for each in error.args[1])
        raise ValueError(f"the nodes {loop} form a cycle: each needs what comes after it") from None


def _names(
    order: list[Wired],
    wired: dict[Wired, str],
    writer: dict[Any, Wired],
    outputs: list[Any],
    called: Mapping[Connection, str],
) -> dict[Any, str]:
    """Return a name for every connection: its own, or that of the port, or of the node and the port."""
    ends = [c for each in order for c in (*each.sources(), *each.outputs.values())]
    keys: dict[Any, str] = {c.name: c.name for c in ends if c.name is not None} | {
        c: called[c] for c in called
    }
    taken = set(keys.values())
    unnamed = [c for c in outputs if isinstance(c, Connection) and c not in called]

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
            enter(c, f"{wired[each]}_{port}")
    return keys


def unused(taken: Any, *wanted: str) -> str:
    """Return the first of the wanted names that is not taken, or the last with a number."""
    free = (name for name in wanted if name not in taken)
    numbered = (f"{wanted[-1]}_{i}" for i in range(2, len(taken) + 3))
    return next(free, None) or next(name for name in numbered if name not in taken)


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
