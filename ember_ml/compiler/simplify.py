"""The passes in order, each by its name, and what each did."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from ember_ml.backend import Backend
from ember_ml.compiler.algebra import algebra, fold, strength
from ember_ml.compiler.passes import drop_unused, expand, keep_layout, map_bodies, merge_repeated
from ember_ml.core import Graph
from ember_ml.core.graph import retraced

PASSES: dict[str, Callable[[Graph, Backend], Graph]] = {
    "expand": lambda graph, engine: expand(graph, lambda op: not engine.supplies(op)),
    "strength": lambda graph, engine: strength(graph),
    "algebra": lambda graph, engine: algebra(graph),
    "merge": lambda graph, engine: merge_repeated(graph),
    "layout": lambda graph, engine: keep_layout(graph),
    "engine": lambda graph, engine: retraced(graph, rules=engine.rewrites) if engine.rewrites else graph,
    "fold": lambda graph, engine: graph if engine.compiles else fold(merge_repeated(graph), engine),
    "unused": lambda graph, engine: drop_unused(merge_repeated(graph)),
}
NEEDED = ("expand",)  # without it, a program would hold what no engine supplies


class Done(NamedTuple):
    """What a pass did to a graph and the bodies of its loops: how many steps there were before and after."""

    name: str
    before: int
    after: int


def simplify(graph: Graph, engine: Backend, without: Collection[str] = ()) -> tuple[Graph, tuple[Done, ...]]:
    """Return a graph with less work in it, for one engine, and what each pass did; `without` leaves some out.

    Raises ValueError for a name that is no pass.
    """
    if unknown := sorted(set(without) - (PASSES.keys() - set(NEEDED))):
        known = ", ".join(name for name in PASSES if name not in NEEDED)
        raise ValueError(f"compile: no pass {', '.join(unknown)} to leave out; there are {known}")
    done = []
    for name, rewrite in PASSES.items():
        if name not in without:
            before = count(graph)
            graph = everywhere(graph, lambda each, rewrite=rewrite: rewrite(each, engine))
            done.append(Done(name, before, count(graph)))
    return graph, tuple(done)


def everywhere(graph: Graph, rewrite: Callable[[Graph], Graph]) -> Graph:
    """Return the graph rewritten, the bodies of its loops and branches first."""
    return rewrite(map_bodies(graph, lambda body: everywhere(body, rewrite)))


def count(graph: Graph) -> int:
    """Return how many steps a graph has, those of its loops' bodies once."""
    settings = (x for step in graph.steps if step.op.spec for x in step.attrs.values())
    bodies = (each for x in settings for each in (x if type(x) is tuple else (x,)) if isinstance(each, Graph))
    return len(graph.steps) + sum(map(count, bodies))
