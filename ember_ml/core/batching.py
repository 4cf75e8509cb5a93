"""Batching: what an op does to many arrays at once, one for each place along a new first axis.

`run` computes a graph on `Batched` values. An op's rule, `batch=`, says how it takes them: a function of its
`Step`, the arguments and the number of places, whose results have the places in front. Axes counted from the
end stay what they are then, which is all that most rules do. Without a rule, elementwise ops let the axes
meet from the end, composites dissolve into their bodies, and everything else goes from place to place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ember_ml.core import rules, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import DType
from ember_ml.core.graph import Graph, Step, lift, trace_graph
from ember_ml.core.op import TABLE, Op
from ember_ml.core.rules import shape_of
from ember_ml.core.spec import Spec, spec_of
from ember_ml.core.trace import constant, lay_flat


@dataclass(frozen=True, slots=True, eq=False)
class Batched:
    """Arrays of one shape, one for each place along the first axis of `value`."""

    value: Any

    @property
    def shape(self) -> rules.Shape:
        """The shape of one of them."""
        return shape_of(self.value)[1:]

    @property
    def dtype(self) -> DType:
        """The dtype of all."""
        return spec_of(self.value).dtype


def dissolves(op: Op) -> bool:
    """Whether a composite batches by its body: it has no rule, and no gradient rule that would be lost."""
    whole = op.batch is not None or op.linearize is not None or op.vjp not in (None, constant)
    return op.body is not None and not whole


def run(graph: Graph, values: Sequence, size: int, anchor: Any = None) -> list:
    """Compute a graph, traced with `expands=dissolves`, on arrays of which some are `Batched`."""

    def apply(step: Step, /, *args: Any, **attrs: Any) -> Any:
        if not any(type(x) is Batched for x in lay_flat(args)):
            return step.op.apply(*args, **attrs)
        found = rule_of(step.op)(step, list(args), size)
        return tuple(x if x is None else Batched(x) for x in found) if step.several else Batched(found)

    first = next((unboxed(x) for x in values if type(x) not in SCALARS), None)
    return list(graph(*values, anchor=first if anchor is None else anchor, apply=apply))


def batched_graph(graph: Graph, batched: Sequence[bool], size: int) -> Graph:
    """Return the graph of `size` places at once: all its outputs are, and the inputs that `batched` names."""
    plain = expanded(graph)

    def places(*values: Any) -> list:
        boxed = [Batched(x) if b else x for x, b in zip(values, batched, strict=True)]
        return [spread(x, size) for x in run(plain, boxed, size)]

    specs = [
        Spec((size, *v.spec.shape), v.spec.dtype) if b else v.spec
        for v, b in zip(graph.inputs, batched, strict=True)
    ]
    return trace_graph(places, specs)[0]


def expanded(graph: Graph) -> Graph:
    """Return a graph as `run` takes it: without the composites that batch by their bodies."""
    return trace_graph(graph, [v.spec for v in graph.inputs], expands=dissolves)[0]


def rule_of(op: Op) -> Callable:
    """Return how an op batches that does not dissolve."""
    if op.batch is not None:
        return op.batch
    return elementwise if op.body is None and op.shape in (rules.same, rules.broadcast) else one_by_one


# What rules are made of


def unboxed(x: Any) -> Any:
    """Return the arrays of a `Batched`, the places in front; anything else as it is."""
    return x.value if type(x) is Batched else x


def stretched(x: Any, ndim: int) -> Any:
    """Return `unboxed(x)` with axes of size 1 after the places, so that each array has `ndim` axes."""
    if type(x) is not Batched or len(x.shape) >= ndim:
        return unboxed(x)
    size, *shape = shape_of(x.value)
    return TABLE["reshape"](x.value, shape=(size, *(1,) * (ndim - len(shape)), *shape))


def spread(x: Any, size: int) -> Any:
    """Return `unboxed(x)`, repeated for every place if it is the same for all."""
    return x.value if type(x) is Batched else TABLE["broadcast_to"](x, shape=(size, *shape_of(x)))


def moved(x: Any, source: Any, destination: Any) -> Any:
    """Return x with axes in other places, as `ops.moveaxis`."""
    return x if source == destination else TABLE["moveaxis"](x, source, destination)


# Rules. Those that ops name stand in `ember_ml.ops.batching`.


def elementwise(step: Step, args: list, size: int) -> Any:
    """Values meet one by one, their axes aligned from the end."""
    ndim = max(len(shape_of(x)) for x in args)
    return step.op.apply(*(stretched(x, ndim) for x in args), **step.attrs)


def one_by_one(step: Step, args: list, size: int) -> Any:
    """Compute one place after the other: right for every op, and slow."""
    leaves, structure = tree.flatten(args)
    places = [i for i, x in enumerate(leaves) if type(x) is Batched]
    rows = [leaves[i].value for i in places]

    def place(*values: Any) -> Any:
        return step.op.apply(*tree.unflatten(structure, tree.merged(leaves, places, values)), **step.attrs)

    specs = [Spec(shape_of(x)[1:], spec_of(x).dtype) for x in rows]
    body, consts, _ = trace_graph(place, specs)
    settings = {"consts": len(consts), "carry": 0, "length": size, "reverse": False}
    found = TABLE["flat_scan"](*consts, *rows, body=lift(body, consts), **settings)
    return found if step.several else found[0]
