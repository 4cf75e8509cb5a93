"""Loops and branches as ops, so that they can be compiled and differentiated.

A body is recorded once, as a graph. What it uses from outside (weights above all) becomes an input of the op,
and what does not change from step to step is computed once, before the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ember_ml.core import tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import Graph, Step, Var, lift, trace_graph, variables
from ember_ml.core.op import TABLE, primitive
from ember_ml.core.reverse import linearize
from ember_ml.core.rules import kept, same, view
from ember_ml.core.spec import Spec, spec_of
from ember_ml.core.trace import constant
from ember_ml.core.tree import merged
from ember_ml.ops.batching import branched, looped, scanned
from ember_ml.ops.creation import as_array
from ember_ml.ops.scan_gradient import ScanGradient

__all__ = ["cond", "flat_cond", "flat_scan", "flat_while", "scan", "stop_gradient", "while_loop"]


@primitive(shape=same, dtype=kept, vjp=constant, cost=view)
def stop_gradient(x, /):
    """The array itself, as a constant: no gradient flows through."""


def scan(
    f: Callable, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False
) -> tuple[Any, Any]:
    """Run `carry, y = f(carry, x)` along the first axis of `xs`; return the last carry and all y, stacked.

    `init`, `xs`, the carry and y are trees of arrays; the carry keeps its shapes and dtypes. Without `xs`,
    give `length`; x is then None. `reverse` starts at the end; y stays in the order of `xs`. Signature and
    returns are jax.lax.scan's. `f` is traced once; random ops in it draw anew in each step.

    Raises ValueError when lengths differ or when the carry changes its structure, shape or dtype.
    """
    xs_leaves, xs_structure = tree.flatten(xs)
    init_leaves, init_structure = tree.flatten(init)
    init_leaves, xs_leaves = _as_arrays(init_leaves, xs_leaves), _as_arrays(xs_leaves, init_leaves)
    length = _length(xs_leaves, length)
    n = len(init_leaves)
    init_specs = [spec_of(x) for x in init_leaves]
    y_structures: list = []

    def body(*flat: Any) -> list:
        carry, y = f(tree.unflatten(init_structure, flat[:n]), tree.unflatten(xs_structure, flat[n:]))
        leaves, structure = tree.flatten(carry)
        y_leaves, y_structure = tree.flatten(y)
        y_structures.append(y_structure)
        kept = _checked_carry("scan", structure, leaves, init_structure, init_specs)
        return [*kept, *_as_arrays(y_leaves)]

    specs = [*init_specs, *(Spec(s.shape[1:], s.dtype) for s in map(spec_of, xs_leaves))]
    graph, consts, random = trace_graph(body, specs)
    if random:
        key, step = _key_and_step([*init_leaves, *xs_leaves, *consts], length)
        graph = replace(graph, inputs=(graph.inputs[-2], *graph.inputs[:-2], graph.inputs[-1]))
        graph, consts, xs_leaves = lift(graph, consts), [*consts, key], [*xs_leaves, step]
    else:
        graph = lift(graph, consts)
    graph, consts = _hoist(graph, consts, anchor=[*init_leaves, *xs_leaves])
    outs = flat_scan(
        *consts,
        *init_leaves,
        *xs_leaves,
        body=graph,
        consts=len(consts),
        carry=n,
        length=length,
        reverse=reverse,
    )
    return tree.unflatten(init_structure, outs[:n]), tree.unflatten(y_structures[0], outs[n:])


def _as_arrays(leaves: Sequence, others: Sequence = ()) -> list:
    """Return `leaves` with Python numbers made 0-d arrays, of the engine of the first array at hand."""
    anchor = next((x for x in (*leaves, *others) if type(x) not in SCALARS), None)
    return [as_array(x, anchor) for x in leaves]


def _length(xs: Sequence, length: int | None) -> int:
    shapes = [spec_of(x).shape for x in xs]
    if any(not s for s in shapes):
        raise ValueError("scan: xs needs a first axis to run along, got an array of no dimensions")
    lengths = {s[0] for s in shapes} | (set() if length is None else {length})
    if len(lengths) != 1:
        said = f"lengths {sorted(lengths)}" if lengths else "neither xs nor length"
        raise ValueError(f"scan: xs and length must agree on one length, got {said}")
    return lengths.pop()


def _checked_carry(
    name: str, structure: tuple, leaves: list, init_structure: tuple, init_specs: list
) -> list:
    if structure != init_structure:
        was, now = tree.describe(init_structure), tree.describe(structure)
        raise ValueError(f"{name}: the carry must keep its structure {was}, but the body returned {now}")
    out = []
    for leaf, spec in zip(leaves, init_specs, strict=True):
        if type(leaf) in SCALARS:
            leaf = TABLE["full"]((), leaf, dtype=spec.dtype)
        found = spec_of(leaf)
        if (found.shape, found.dtype) != (spec.shape, spec.dtype):
            raise ValueError(f"{name}: the carry must stay {spec}, but the body returned {found}")
        out.append(leaf)
    return out


def _key_and_step(anchors: list, length: int) -> tuple[Any, Any]:
    from ember_ml.ops.random import next_key

    anchor = anchors[0] if anchors else None
    return next_key(like=anchor), TABLE["arange"](length, dtype="int32", like=anchor)


def _taking(graph: Graph, specs: Sequence[Spec]) -> Graph:
    """Return a graph that takes some more inputs at the end, and uses none of them."""
    unused = [Var(graph.size + i, spec) for i, spec in enumerate(specs)]
    return replace(graph, inputs=(*graph.inputs, *unused), size=graph.size + len(unused))


def _hoist(graph: Graph, consts: list, anchor: Sequence) -> tuple[Graph, list]:
    """Compute what depends on `consts` alone now, and return the graph that is left, with its constants."""
    before, after = split_steps(graph, set(graph.inputs[: len(consts)]))
    if not before:
        return graph, consts
    made = {v for step in before for v in step.outs}
    used = {v for step in after for v in variables(step.args)} | set(variables(graph.outputs))
    keep = [v for v in graph.inputs[: len(consts)] if v in used]
    new = sorted(made & used, key=lambda v: v.index)
    outside = Graph(graph.inputs[: len(consts)], tuple(before), (*keep, *new), graph.structure, graph.size)
    values = outside(*consts, anchor=next(iter(anchor), None))
    inputs = (*keep, *new, *graph.inputs[len(consts) :])
    return replace(graph, inputs=inputs, steps=tuple(after)), list(values)


def split_steps(graph: Graph, known: set[Var]) -> tuple[list[Step], list[Step]]:
    """Return the steps that depend on `known` variables alone, and the others."""
    known, before, after = set(known), [], []
    for step in graph.steps:
        if all(v in known for v in variables(step.args)):
            known.update(step.outs)
            before.append(step)
        else:
            after.append(step)
    return before, after


def _scan_specs(*arrays: Any, body: Graph, consts: int, carry: int, length: int, reverse: bool) -> tuple:
    outs = body.out_specs
    return (*outs[:carry], *(Spec((length, *s.shape), s.dtype) for s in outs[carry:]))


def _linearize_scan(wanted, *arrays, body, consts, carry, length, reverse):
    """Return the outputs, and the pullback: a scan the other way over what the first one kept."""
    plan = ScanGradient(body, wanted, consts, carry)
    outs = flat_scan(*arrays, body=plan.forward, consts=consts, carry=carry, length=length, reverse=reverse)
    n = len(body.outputs)
    outs, kept_values = outs[:n], outs[n:]
    return outs, lambda cotangents: plan.pull(arrays, outs, kept_values, cotangents, length, not reverse)


@primitive(spec=_scan_specs, linearize=_linearize_scan, batch=scanned)
def flat_scan(*arrays, body, consts, carry, length, reverse):
    """The loop of `scan` on flat arrays: constants, first carry, xs; `body` maps these to carry and y."""


def cond(pred: Any, true_fun: Callable, false_fun: Callable, *operands: Any) -> Any:
    """Return `true_fun(*operands)` where `pred`, a single truth, holds, else `false_fun(*operands)`.

    Both must return the same structure, shapes and dtypes; only the one chosen is computed. Signature and
    returns are jax.lax.cond's. Raises ValueError where the branches differ.
    """
    if type(pred) is bool:
        return (true_fun if pred else false_fun)(*operands)
    leaves, structure = tree.flatten(operands)
    leaves = _as_arrays(leaves, [pred])
    specs = [spec_of(x) for x in leaves]

    def branch(f: Callable) -> tuple[Graph, list, bool]:
        def flat(*values: Any) -> Any:
            out, shape = tree.flatten(f(*tree.unflatten(structure, values)))
            return tree.unflatten(shape, _as_arrays(out, values))

        return trace_graph(flat, specs)

    (yes, captured, draws), (no, more, also_draws) = branch(true_fun), branch(false_fun)
    if (yes.structure, yes.out_specs) != (no.structure, no.out_specs):
        one, other = (
            f"{tree.describe(g.structure)} of {', '.join(map(str, g.out_specs))}" for g in (yes, no)
        )
        raise ValueError(f"cond: both branches must return the same, got {one} and {other}")
    captured = list({id(x): x for x in (*captured, *more)}.values())
    branches = [lift(g, captured) for g in (yes, no)]
    if draws or also_draws:
        key, step = _key_and_step([pred], 1)
        leaves = [*leaves, key, TABLE["getitem"](step, index=0)]
        pair = [spec_of(x) for x in leaves[-2:]]
        drawing = zip(branches, (draws, also_draws), strict=True)
        branches = [g if random else _taking(g, pair) for g, random in drawing]
    outs = flat_cond(pred, *captured, *leaves, branches=tuple(branches))
    return tree.unflatten(yes.structure, outs)


def _cond_specs(pred: Any, *arrays: Any, branches: tuple[Graph, Graph]) -> tuple:
    if spec_of(pred).shape != ():
        raise ValueError(f"expected a single truth, got shape {spec_of(pred).shape}")
    return branches[0].out_specs


def _linearize_cond(wanted, pred, *arrays, branches):
    """Return the outputs, and the pullback: a branch between the gradients of both, which compute anew."""
    specs = [spec_of(x) for x in arrays]
    live = [i for i, s in enumerate(specs) if wanted[i + 1] and s.dtype.kind in FLOATING]
    outs = flat_cond(pred, *arrays, branches=branches)

    def pull(cotangents: Sequence) -> list:
        given = [k for k, g in enumerate(cotangents) if g is not None]

        def gradient(branch: Graph) -> Graph:
            def flat(*values: Any) -> list:
                ins, gs = values[: len(specs)], dict(zip(given, values[len(specs) :], strict=True))
                _, back = linearize(lambda *some: branch(*merged(ins, live, some)), [ins[i] for i in live])
                parts = back([gs.get(k) for k in range(len(branch.outputs))])
                return [
                    TABLE["zeros_like"](ins[i]) if p is None else p for i, p in zip(live, parts, strict=True)
                ]

            return trace_graph(flat, [*specs, *(spec_of(cotangents[k]) for k in given)])[0]

        found = flat_cond(
            pred, *arrays, *(cotangents[k] for k in given), branches=tuple(map(gradient, branches))
        )
        return [None, *merged([None] * len(arrays), live, found)]

    return outs, pull


@primitive(spec=_cond_specs, linearize=_linearize_cond, batch=branched)
def flat_cond(*arrays, branches):
    """The choice of `cond` on flat arrays: the truth, then what both graphs take."""


def while_loop(cond_fun: Callable, body_fun: Callable, init_val: Any) -> Any:
    """Return `init_val`, changed by `val = body_fun(val)` as long as `cond_fun(val)`, a single truth, holds.

    `val` is a tree of arrays that keeps its structure, shapes and dtypes. Signature and returns are
    jax.lax.while_loop's. Both functions are traced once; random ops in the body draw anew in each step. There
    is no gradient, since how many steps there are is not known before: `scan` has one.

    Raises ValueError when the carry changes, and TypeError for a condition that is no single truth.
    """
    leaves, structure = tree.flatten(init_val)
    leaves = _as_arrays(leaves)
    specs = [spec_of(x) for x in leaves]

    def test(*flat: Any) -> list:
        return _as_arrays(tree.leaves(cond_fun(tree.unflatten(structure, flat))))

    def body(*flat: Any) -> list:
        found, shape = tree.flatten(body_fun(tree.unflatten(structure, flat)))
        return _checked_carry("while_loop", shape, found, structure, specs)

    check, check_consts, chance = trace_graph(test, specs)
    _require_truth(check, chance)
    step, step_consts, random = trace_graph(body, specs)
    if random:
        key, count = _key_and_step([*leaves, *step_consts], 1)
        leaves, step_consts = [*leaves, TABLE["getitem"](count, index=0)], [*step_consts, key]
        check, step = _taking(check, [spec_of(leaves[-1])]), _counting(step)
    captured = step_consts[:-1] if random else step_consts
    check, check_consts = _hoist(lift(check, check_consts), check_consts, anchor=leaves)
    step, step_consts = _hoist(lift(step, captured), step_consts, anchor=leaves)
    settings = {"test": check, "body": step, "test_consts": len(check_consts), "consts": len(step_consts)}
    outs = flat_while(*check_consts, *step_consts, *leaves, **settings)
    return tree.unflatten(structure, outs[: len(specs)])


def _require_truth(graph: Graph, random: bool) -> None:
    specs = graph.out_specs
    if len(specs) != 1 or specs[0].shape != () or specs[0].dtype != "bool":
        found = ", ".join(map(str, specs)) or "nothing"
        raise TypeError(f"while_loop: the condition must return a single truth, got {found}")
    if random:
        raise TypeError("while_loop: the condition must draw no random numbers; draw them in the body")


def _counting(graph: Graph) -> Graph:
    """Return a random body that takes its key first, and carries its step number as its last value."""
    *carry, key, step = graph.inputs
    following = Var(graph.size, step.spec)
    steps = (*graph.steps, Step(TABLE["add"], (step, 1), {}, (following,), False))
    return Graph((key, *carry, step), steps, (*graph.outputs, following), graph.structure, graph.size + 1)


def _while_specs(*arrays: Any, test: Graph, body: Graph, test_consts: int, consts: int) -> tuple:
    return body.out_specs


def _linearize_while(wanted, *arrays, **settings):
    """Return the outputs, and a pullback that refuses."""

    def pull(cotangents: Sequence) -> list:
        raise TypeError(
            "while_loop has no gradient, since how many steps it takes is not known before; use scan, "
            "with ops.where or ops.cond in its body for what should stop earlier"
        )

    return flat_while(*arrays, **settings), pull


@primitive(spec=_while_specs, linearize=_linearize_while, batch=looped)
def flat_while(*arrays, test, body, test_consts, consts):
    """The loop of `while_loop` on flat arrays: constants of the test, those of the body, the first carry."""
