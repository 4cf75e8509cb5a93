"""A graph: the ops of one function in order. It can be read, run, and recorded again.

It is data: variables are numbered, steps name their op, and it pickles. Running it on arrays computes it;
running it on traced values records it into another trace, which is how it is differentiated and rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from ember_ml.core import dispatch, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.op import Op, op_named
from ember_ml.core.reverse import key_of
from ember_ml.core.spec import Spec, spec_of
from ember_ml.core.trace import Node, Trace, Traced, keep_whole, lay_flat, mapped, named, new_trace, traced_in


@dataclass(frozen=True, slots=True, eq=False)
class Var:
    """A variable of a graph: its number and what it will hold."""

    index: int
    spec: Spec
    name: str = ""  # what the printed program may call it

    def __str__(self) -> str:
        return f"v{self.index}"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One op of a graph. Arguments are variables, constants, or lists of them."""

    op: Op
    args: tuple
    attrs: dict
    outs: tuple[Var, ...]
    several: bool  # whether the op returns a tuple

    def __reduce__(self) -> tuple:
        return _load_step, (self.op.name, self.args, self.attrs, self.outs, self.several)


def _load_step(name: str, *rest: Any) -> Step:
    return Step(op_named(name), *rest)


@dataclass(frozen=True, eq=False)
class Graph:
    """A function as steps from `inputs` to `outputs`, the leaves of a tree of `structure`."""

    inputs: tuple[Var, ...]
    steps: tuple[Step, ...]
    outputs: tuple  # variables or constants
    structure: tuple
    size: int = field(default=0)  # how many variables there are

    def __call__(self, *values: Any, anchor: Any = None, apply: Callable | None = None) -> tuple:
        """Run the steps on `values`, one for each input; return the output leaves.

        What the graph creates joins the engine of `anchor`, which is the first of `values` unless given.
        `apply` computes a step on arguments and settings in another way than by its op.
        """
        env = {var: named(value, var.name) for var, value in zip(self.inputs, values, strict=True)}
        if anchor is None:
            anchor = next((v for v in values if type(v) not in SCALARS), None)
        for step in self.steps:
            attrs = {**step.attrs, "like": anchor} if step.op.creates else step.attrs
            args = substituted(step.args, env)
            result = step.op.apply(*args, **attrs) if apply is None else apply(step, *args, **attrs)
            for var, value in zip(step.outs, result if step.several else (result,), strict=True):
                env[var] = named(value, var.name)
        return substituted(self.outputs, env)

    def __str__(self) -> str:
        """Return the graph as text. Graphs of one text compute the same, unless they hold arrays."""
        head = f"graph({', '.join(f'{v}: {v.spec}' for v in self.inputs)})"
        steps = [
            f"  {_text(s.outs)} = {s.op.name}({_text(s.args)}; {_text(sorted(s.attrs.items()))})"
            for s in self.steps
        ]
        return "\n".join([head, *steps, f"  return {_text(self.outputs)}"])

    @property
    def out_specs(self) -> tuple:
        """The specs of the outputs."""
        return tuple(v.spec if type(v) is Var else spec_of(v) for v in self.outputs)


def _text(x: Any) -> str:
    if type(x) in (list, tuple):
        return f"{type(x).__name__}({', '.join(map(_text, x))})"
    return str(x) if isinstance(x, Var | Graph) else f"array at {id(x)}" if dispatch.owner(x) else repr(x)


def substituted(args: Sequence, values: Mapping) -> tuple:
    """Return arguments, or lists of them, with what `values` has for their variables."""
    return mapped(lambda x: values.get(x, x) if type(x) is Var else x, args)


def variables(args: Sequence) -> list[Var]:
    """Return the variables among arguments, those in lists too."""
    return [x for x in lay_flat(args) if type(x) is Var]


def trace_graph(
    f: Callable,
    specs: Sequence,
    *,
    expands: Callable[[Op], bool] = keep_whole,
    names: Sequence[str] = (),
    better: Callable | None = None,
) -> tuple[Graph, list, bool]:
    """Record `f(*inputs)` over `specs`; return its graph, what it captured outside, and whether it is random.

    A random graph has two more inputs, at the end: a key and a step number. Captured arrays (of an engine, of
    an outer trace, tensors) stay constants of the graph; `lift` makes inputs of them.
    """
    with new_trace(typed=True, expands=expands, better=better) as trace:
        inputs = [trace.input(s, name) for s, name in zip_longest(specs, names, fillvalue="")]
        outputs, structure = tree.flatten(f(*inputs))
    outputs = [traced_in(x) for x in outputs]
    graph, captured = build_graph(trace, [*inputs, *trace.key_inputs], outputs, structure)
    return graph, captured, bool(trace.key_inputs)


def retraced(
    graph: Graph, *, expands: Callable[[Op], bool] = keep_whole, better: Callable | None = None
) -> Graph:
    """Return the graph recorded once more: composites that `expands` names dissolved, `better` said."""
    specs, names = [v.spec for v in graph.inputs], [v.name for v in graph.inputs]
    again, _, _ = trace_graph(graph, specs, expands=expands, names=names, better=better)
    return replace(again, structure=graph.structure)


def build_graph(
    trace: Trace, inputs: Sequence[Traced], outputs: Sequence, structure: tuple
) -> tuple[Graph, list]:
    """Return the graph of what `outputs` need of `trace`, and the arrays from outside that it holds."""
    kept = needed_nodes(trace, outputs, stop={key_of(x) for x in inputs})
    numbered: dict[tuple[int, int], Var] = {}
    captured: dict[int, Any] = {}
    seen = (x for node in kept for x in node.boxes)
    names = {key_of(x): x.name for x in (*inputs, *seen, *outputs) if type(x) is Traced and x.name}

    def variable(key: tuple[int, int], spec: Any) -> Var:
        return numbered.setdefault(key, Var(len(numbered), spec, names.get(key, "")))

    def var(x: Any) -> Any:
        if type(x) is Traced and x.trace is trace:
            return variable(key_of(x), x.value)
        if dispatch.owner(x) is not None:
            captured.setdefault(id(x), x)
        return x

    ins = mapped(var, inputs)
    steps = []
    for node in kept:
        several = isinstance(node.value, tuple | list)
        args, made = mapped(var, node.args), node.value if several else (node.value,)
        outs = tuple([variable((id(node), i), v) for i, v in enumerate(made)])
        steps.append(Step(node.op, args, node.attrs, outs, several))
    graph = Graph(ins, tuple(steps), mapped(var, outputs), structure, len(numbered))
    return graph, list(captured.values())


def needed_nodes(trace: Trace, outputs: Sequence, stop: Container = ()) -> list[Node]:
    """Return the nodes of `trace` that `outputs` need, in order; values placed in `stop` count as given."""

    def sources(values: Sequence) -> set[int]:
        mine = (x for x in values if type(x) is Traced and x.trace is trace and x.node is not None)
        return {id(x.node) for x in mine if key_of(x) not in stop}

    needed = sources(outputs)
    kept = []
    for node in reversed(trace.nodes):
        if id(node) in needed:
            kept.append(node)
            needed |= sources(node.boxes)
    return kept[::-1]


def lift(graph: Graph, captured: Sequence) -> Graph:
    """Return the graph with what it captured as its first inputs."""
    if not captured:
        return graph
    known = {id(x): Var(graph.size + i, spec_of(x)) for i, x in enumerate(captured)}

    def lifted(x: Any) -> Any:
        return known.get(id(x), x)

    return replace(
        graph,
        inputs=(*known.values(), *graph.inputs),
        steps=tuple(replace(s, args=mapped(lifted, s.args)) for s in graph.steps),
        outputs=mapped(lifted, graph.outputs),
        size=graph.size + len(captured),
    )
