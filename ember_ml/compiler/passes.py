"""The passes in order: what each does, the rules of some, and the others as functions from graph to graph.

A *rule* takes an op's arguments and settings, as a gradient rule does, and returns what to compute instead,
made of ops, or None. It is asked when the op is recorded, so what it looks at has been simplified already. An
answer of another shape or dtype than the op's own is passed over. What moves, merges or drops steps is a
function from a graph to one of the same meaning. Results stay what they were up to rounding and the sign of
zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ember_ml.backend import Backend
from ember_ml.core import TABLE, Graph, Op, Spec, op_named, spec_of
from ember_ml.core.dispatch import AMBIENT
from ember_ml.core.graph import Step, Var, retraced, substituted, variables
from ember_ml.core.trace import keep_whole

PASSES = {
    "strength": "powers and divisions made products",
    "algebra": "ops left out or joined",
    "merge": "expressions computed once instead of twice",
    "layout": "products written as their result is stored",
    "engine": "ops written as this engine computes them quicker",
    "fold": "arrays made once",
    "unused": "steps that no result needs",
    "memory": "results written over what nothing reads any more",
}
RULES: dict[str, dict[str, list[Callable]]] = {"strength": {}, "algebra": {}}  # pass -> op -> asked in order
MOST = 1 << 16  # elements of an array that a program holds ready


def rule(name: str, *ops: str) -> Callable[[Callable], Callable]:
    """Enter a function as a rule of a pass, "strength" or "algebra", for these ops; a decorator."""

    def enter(function: Callable) -> Callable:
        for op in ops:
            RULES[name].setdefault(op, []).append(function)
        return function

    return enter


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
    graph = rewritten(graph, RULES, done, expands=lambda op: not engine.supplies(op))
    graph = _counted(graph, merge_repeated, "merge", done)
    graph = _counted(graph, keep_layout, "layout", done)
    quicker = {op: [rule] for op, rule in engine.rewrites.items()}
    graph = rewritten(graph, {"engine": quicker, "fold": {} if engine.compiles else _foldings()}, done)
    graph = _counted(graph, merge_repeated, "merge", done)
    return _counted(graph, drop_unused, "unused", done)


def _counted(graph: Graph, rewrite: Callable[[Graph], Graph], name: str, done: Counter) -> Graph:
    """Return the graph after a pass, unless it is left out; steps gone or new products are counted."""
    if name not in done:
        return graph
    again, known = rewrite(graph), set(graph.steps)
    products = sum(step.op.name == "matmul" and step not in known for step in again.steps)
    done[name] += products if name == "layout" else len(graph.steps) - len(again.steps)
    return again


def rewritten(
    graph: Graph,
    sets: Mapping[str, Mapping[str, Sequence[Callable]]],
    done: Counter,
    expands: Callable[[Op], bool] = keep_whole,
) -> Graph:
    """Return the graph recorded once more under the rules of these passes, where that could change anything.

    A pass that `done` does not name is left out; there the answers taken are counted.
    """
    chosen: dict[str, list] = {}
    for name in sets.keys() & done.keys():
        for op, rules in sets[name].items():
            chosen.setdefault(op, []).extend((name, each) for each in rules)
    if not any(step.op.name in chosen or (step.op.body and expands(step.op)) for step in graph.steps):
        return graph

    def better(op: Op, value: Any, args: tuple, attrs: dict) -> Any:
        for name, each in chosen.get(op.name, ()):
            found = each(*args, **attrs)
            if found is not None and spec_of(found) == value:
                done[name] += 1
                return found
        return None

    return retraced(graph, expands=expands, better=better)


def _foldings() -> dict[str, list[Callable]]:
    """Return the rules by which small arrays that are the same at each call are made once.

    What follows from such arrays alone is then computed while the rest is recorded.
    """
    known: dict[Any, Any] = {}
    made = [op for op in TABLE.values() if op.creates and op.body is None]
    return {op.name: [partial(_made_now, op, known)] for op in made}


def _made_now(op: Op, known: dict[Any, Any], **attrs: Any) -> Any:
    if math.prod(op.infer((), attrs).shape) > MOST:
        return None
    key = (op.name, identity(tuple(sorted(attrs.items()))))
    if key not in known:
        outside = AMBIENT.set(None)  # it is computed, not recorded
        try:
            known[key] = op.apply(**attrs)
        finally:
            AMBIENT.reset(outside)
    return known[key]


def merge_repeated(graph: Graph) -> Graph:
    """Compute each expression once (common subexpressions), and no cast to the dtype that is there already.

    All ops are pure, so equal means the same.
    """
    renamed: dict[Var, Var] = {}
    known: dict[Any, tuple[Var, ...]] = {}
    steps = []
    for step in graph.steps:
        args = substituted(step.args, renamed)
        if step.op.name == "astype" and type(x := args[0]) is Var and x.spec.dtype == step.outs[0].spec.dtype:
            renamed[step.outs[0]] = args[0]
            continue
        key = (step.op.name, identity(args), identity(tuple(sorted(step.attrs.items()))))
        if key in known:
            renamed.update(zip(step.outs, known[key], strict=True))
            continue
        known[key] = step.outs
        steps.append(replace(step, args=args))
    return replace(graph, steps=tuple(steps), outputs=substituted(graph.outputs, renamed))


def drop_unused(graph: Graph) -> Graph:
    """Leave out the steps whose results nothing needs (dead code)."""
    needed = set(variables(graph.outputs))
    kept = []
    for step in reversed(graph.steps):
        if needed.intersection(step.outs):
            kept.append(step)
            needed.update(variables(step.args))
    return replace(graph, steps=tuple(reversed(kept)))


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
    return replace(graph, steps=tuple(steps), size=size)


def map_bodies(graph: Graph, rewrite: Callable[[Graph], Graph]) -> Graph:
    """Return the graph with the bodies of its loops and branches rewritten, a shared one once."""
    done: dict[int, Graph] = {}

    def swap(value: Any) -> Any:
        if isinstance(value, Graph):
            return done.setdefault(id(value), rewrite(value))
        return tuple(map(swap, value)) if type(value) is tuple else value

    steps = [
        replace(s, attrs={k: swap(v) for k, v in s.attrs.items()}) if s.op.spec else s for s in graph.steps
    ]
    return replace(graph, steps=tuple(steps))


def identity(x: Any) -> Any:
    """Return a hashable name of an argument: plain data by what it says, anything else by what it is."""
    if type(x) in (list, tuple):
        return (type(x).__name__, *map(identity, x))
    if x is None or isinstance(x, Var | str | bool | int | float | complex):
        return (type(x).__name__, repr(x) if isinstance(x, float | complex) else x)
    return repr(x) if isinstance(x, slice) or x is Ellipsis else id(x)
