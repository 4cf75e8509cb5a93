"""The passes in order, each by its name, and what each did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ember_ml.backend import Backend
from ember_ml.compiler.algebra import ALGEBRA, STRENGTH, foldings
from ember_ml.compiler.passes import drop_unused, keep_layout, map_bodies, merge_repeated
from ember_ml.core import Graph, Op
from ember_ml.core.graph import retraced

# Sets of rules, asked in this order about each op while a graph is recorded once more.
FIRST: dict[str, Callable[[Backend], Mapping[str, Callable]]] = {
    "strength": lambda engine: STRENGTH,
    "algebra": lambda engine: ALGEBRA,
}
LAST: dict[str, Callable[[Backend], Mapping[str, Callable]]] = {
    "engine": lambda engine: engine.rewrites,
    "fold": lambda engine: {} if engine.compiles else foldings(),
}
PASSES = ("strength", "algebra", "merge", "layout", "engine", "fold", "unused", "memory")


def simplify(graph: Graph, engine: Backend, without: Collection[str] = ()) -> tuple[Graph, dict[str, int]]:
    """Return a graph with less work in it, for one engine, and how often each pass found something to do.

    Composites that the engine does not supply whole are replaced by their bodies. `without` leaves passes
    out. Raises ValueError for a name that is no pass.
    """
    if unknown := sorted(set(without) - set(PASSES)):
        raise ValueError(f"compile: no pass {', '.join(unknown)} to leave out; there are {', '.join(PASSES)}")
    done = Counter(dict.fromkeys((name for name in PASSES if name not in without), 0))
    with engine.activated():
        return _simplified(graph, engine, done), dict(done)


def _simplified(graph: Graph, engine: Backend, done: Counter) -> Graph:
    graph = map_bodies(graph, lambda body: _simplified(body, engine, done))
    graph = _ruled(graph, engine, FIRST, done, expands=lambda op: not engine.supplies(op))
    graph = _counted(graph, merge_repeated, "merge", done)
    graph = _counted(graph, keep_layout, "layout", done)
    graph = _ruled(graph, engine, LAST, done)
    graph = _counted(graph, merge_repeated, "merge", done)
    return _counted(graph, drop_unused, "unused", done)


def _counted(graph: Graph, rewrite: Callable[[Graph], Graph], name: str, done: Counter) -> Graph:
    """Return the graph after a pass, unless it is left out; the steps that are new or gone are counted."""
    if name not in done:
        return graph
    again = rewrite(graph)
    kept = {id(step) for step in graph.steps} if len(again.steps) == len(graph.steps) else None
    changed = len(graph.steps) - len(again.steps)
    done[name] += sum(id(s) not in kept for s in again.steps) if kept is not None else abs(changed)
    return again


def _ruled(
    graph: Graph,
    engine: Backend,
    sets: Mapping[str, Callable[[Backend], Mapping[str, Callable]]],
    done: Counter,
    expands: Callable[[Op], bool] = lambda op: False,
) -> Graph:
    """Return the graph recorded once more under these sets of rules, where that could change anything."""
    chosen: dict[str, list] = {}
    for name, rules in ((name, make(engine)) for name, make in sets.items() if name in done):
        for op, rule in rules.items():
            chosen.setdefault(op, []).append((name, rule))
    touched = any(step.op.name in chosen or (step.op.body and expands(step.op)) for step in graph.steps)
    rules = {op: _first_of(several, done) for op, several in chosen.items()}
    return retraced(graph, expands=expands, rules=rules) if touched else graph


def _first_of(rules: list[tuple[str, Callable]], done: Counter) -> Callable:
    def rule(*args: Any, **attrs: Any) -> Any:
        for name, each in rules:
            if (found := each(*args, **attrs)) is not None:
                done[name] += 1
                return found
        return None

    return rule
