"""Passes that move, merge and drop steps. Each is a function from graph to graph of the same meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ember_ml.core.graph import Graph, Step, Var
from ember_ml.core.op import op_named
from ember_ml.core.spec import Spec


def merge_repeated(graph: Graph) -> Graph:
    """Compute each expression once (common subexpressions), and no cast to the dtype that is there already.

    All ops are pure, so equal means the same.
    """
    renamed: dict[Var, Var] = {}
    known: dict[Any, tuple[Var, ...]] = {}
    steps = []
    for step in graph.steps:
        args = _swap(step.args, renamed)
        if step.op.name == "astype" and type(x := args[0]) is Var and x.spec.dtype == step.outs[0].spec.dtype:
            renamed[step.outs[0]] = args[0]
            continue
        attrs = step.attrs
        key = (step.op.name, identity(args), identity(tuple(sorted(attrs.items()))))
        if key in known:
            renamed.update(zip(step.outs, known[key], strict=True))
            continue
        known[key] = step.outs
        steps.append(Step(step.op, args, attrs, step.outs, step.several))
    return Graph(graph.inputs, tuple(steps), _swap(graph.outputs, renamed), graph.structure, graph.size)


def drop_unused(graph: Graph) -> Graph:
    """Leave out the steps whose results nothing needs (dead code)."""
    needed = set(variables(graph.outputs))
    kept = []
    for step in reversed(graph.steps):
        if needed.intersection(step.outs):
            kept.append(step)
            needed.update(variables(step.args))
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs, graph.structure, graph.size)


def keep_layout(graph: Graph) -> Graph:
    """Write the transpose of a product as a product of transposes, so that no result comes out turned.

    A weight stored (out, in) meets its input as x @ w.mT; so its gradient is g.mT @ x, and not (x.mT @ g).mT.
    """
    uses = Counter([v for step in graph.steps for v in variables(step.args)] + variables(graph.outputs))
    turns = {s.args[0]: s for s in graph.steps if s.op.name == "matrix_transpose" and uses[s.args[0]] == 1}
    maker: dict[Var, Step] = {}
    steps, size, gone = [], graph.size, set()

    def turned(x: Var) -> Var:
        nonlocal size
        if x in maker and maker[x].op.name == "matrix_transpose":
            return maker[x].args[0]
        shape = (*x.spec.shape[:-2], x.spec.shape[-1], x.spec.shape[-2])
        out = Var(size, Spec(shape, x.spec.dtype))
        size += 1
        steps.append(Step(op_named("matrix_transpose"), (x,), {}, (out,), False))
        return out

    for step in graph.steps:
        turn = turns.get(step.outs[0]) if step.op.name == "matmul" else None
        if turn is not None and all(type(x) is Var and x.spec.ndim > 1 for x in step.args):
            left, right = step.args
            gone.add(turn)
            step = Step(step.op, (turned(right), turned(left)), {}, turn.outs, False)
        if step not in gone:
            steps.append(step)
            maker.update((v, step) for v in step.outs)
    return Graph(graph.inputs, tuple(steps), graph.outputs, graph.structure, size)


def variables(args: Any) -> list[Var]:
    """Return the variables among arguments, those in lists too."""
    flat: list = []
    for a in args:
        flat.extend(variables(a)) if type(a) in (list, tuple) else flat.append(a)
    return [a for a in flat if type(a) is Var]


def _swap(args: Any, renamed: dict[Var, Var]) -> Any:
    return tuple(
        [
            renamed.get(a, a)
            if type(a) is Var
            else list(_swap(a, renamed))
            if type(a) in (list, tuple)
            else a
            for a in args
        ]
    )


def map_bodies(graph: Graph, rewrite: Callable[[Graph], Graph]) -> Graph:
    """Return the graph with the bodies of its loops and branches rewritten, a shared one once."""
    done: dict[int, Graph] = {}

    def swap(value: Any) -> Any:
        if isinstance(value, Graph):
            return done.setdefault(id(value), rewrite(value))
        return tuple(map(swap, value)) if type(value) is tuple else value

    steps = [
        Step(s.op, s.args, {k: swap(v) for k, v in s.attrs.items()}, s.outs, s.several) if s.op.spec else s
        for s in graph.steps
    ]
    return Graph(graph.inputs, tuple(steps), graph.outputs, graph.structure, graph.size)


def identity(x: Any) -> Any:
    """Return a hashable name of an argument: plain data by what it says, anything else by what it is."""
    if type(x) in (list, tuple):
        return (type(x).__name__, *map(identity, x))
    if x is None or isinstance(x, Var | str | bool | int | float | complex):
        return (type(x).__name__, repr(x) if isinstance(x, float | complex) else x)
    return repr(x) if isinstance(x, slice) or x is Ellipsis else id(x)
