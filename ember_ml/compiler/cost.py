"""What a graph costs: arithmetic operations, and bytes moved, by the shapes of its steps.

An elementwise op counts 1 for each number that it makes, exp and tanh too; so does a complex one. A product
and its sum count 2; a reduction one less than it joins. Views, and what only moves numbers, count 0: ops say
so by rules of their own (`ember_ml.ops.costs`). Bytes are those of the arguments read and of the results
written, as if nothing stayed in a cache; views move none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ember_ml.core import Graph, spec_of, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.graph import Step, Var, trace_graph
from ember_ml.core.rules import reduced, reduced_not_empty, view
from ember_ml.ops.costs import fetched, size


@dataclass(frozen=True, order=True)
class Cost:
    """Arithmetic operations and bytes moved. Costs add up, and are multiplied by a number of turns."""

    flops: int = 0
    bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, turns: int) -> Cost:
        return Cost(self.flops * turns, self.bytes * turns)


def graph_cost(graph: Graph) -> Cost:
    """Return what one run of a graph costs."""
    return sum(map(cost, graph.steps), Cost())


def cost(step: Step) -> Cost:
    """Return what one run of a step costs: a composite what its body does, a loop all its turns.

    Of two branches the dearer one counts, of a `while_loop` a single turn, since how many there will be is
    not known.
    """
    op, made = step.op, [v.spec for v in step.outs]
    if op.name in CONTROL:
        return CONTROL[op.name](step)
    if op.cost is view:
        return Cost()
    first, *others = args = tree.map(_spec, list(step.args)) or [()]
    read = [*(made if op.cost is fetched else _arrays(first)), *_arrays(others)]
    return Cost(round(_flops(step, args)), sum(size(s) * s.dtype.itemsize for s in (*read, *made)))


def _flops(step: Step, args: list) -> float:
    op, out = step.op, step.outs[0].spec
    if op.cost is not None:
        return op.cost(out, *args, **step.attrs)
    if op.creates:
        return 0
    if op.body is not None:
        return _body_flops(step, args)
    return max(0, size(args[0]) - size(out)) if op.shape in (reduced, reduced_not_empty) else size(out)


def _body_flops(step: Step, args: list) -> int:
    def body(*given: Any) -> Any:
        values = iter(given)
        filled = tree.map(lambda x: x if type(x) in SCALARS else next(values), args)
        return step.op.apply(*filled, **step.attrs)

    graph, _, _ = trace_graph(body, _arrays(args), expands=lambda op: op.cost is None)
    return graph_cost(graph).flops


def _spec(x: Any) -> Any:
    return x.spec if type(x) is Var else spec_of(x)


def _arrays(specs: Any) -> list:
    return [x for x in tree.leaves(specs) if type(x) not in SCALARS]


CONTROL: dict[str, Callable[[Step], Cost]] = {
    "flat_scan": lambda step: graph_cost(step.attrs["body"]) * step.attrs["length"],
    "flat_cond": lambda step: max(map(graph_cost, step.attrs["branches"])),
    "flat_while": lambda step: graph_cost(step.attrs["test"]) + graph_cost(step.attrs["body"]),
}
