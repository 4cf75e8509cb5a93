"""Loops and branches as ops, so that they can be compiled and differentiated.

A body is recorded once, as a graph. What it uses from outside (weights above all) becomes an input of the op,
and what does not change from step to step is computed once, before the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ember_ml.core import tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import Graph, Step, Var, build_graph, lift, needed_nodes, trace_graph
from ember_ml.core.op import TABLE, Op, primitive
from ember_ml.core.reverse import key_of, linearize
from ember_ml.core.rules import kept, same
from ember_ml.core.spec import Spec, spec_of
from ember_ml.core.trace import Trace, Traced, constant, new_trace


@primitive(shape=same, dtype=kept, vjp=constant)
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
        return [*_checked_carry(structure, leaves, init_structure, init_specs), *_as_arrays(y_leaves)]

    specs = [*init_specs, *(Spec(s.shape[1:], s.dtype) for s in map(spec_of, xs_leaves))]
    graph, consts, random = trace_graph(body, specs, expands=_whole)
    if random:
        key, step = _key_and_step([*init_leaves, *xs_leaves, *consts], length)
        graph = _with_inputs(graph, (graph.inputs[-2], *graph.inputs[:-2], graph.inputs[-1]))
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


def _whole(op: Op) -> bool:
    """Record every composite whole: its gradient rule, or an engine's own version, may be wanted later."""
    return False


def _as_arrays(leaves: Sequence, others: Sequence = ()) -> list:
    """Return `leaves` with Python numbers made 0-d arrays, of the engine of the first array at hand."""
    anchor = next((x for x in (*leaves, *others) if type(x) not in SCALARS), None)
    return [TABLE["full"]((), x, like=anchor) if type(x) in SCALARS else x for x in leaves]


def _length(xs: Sequence, length: int | None) -> int:
    shapes = [spec_of(x).shape for x in xs]
    if any(not s for s in shapes):
        raise ValueError("scan: xs needs a first axis to run along, got an array of no dimensions")
    lengths = {s[0] for s in shapes} | (set() if length is None else {length})
    if len(lengths) != 1:
        said = f"lengths {sorted(lengths)}" if lengths else "neither xs nor length"
        raise ValueError(f"scan: xs and length must agree on one length, got {said}")
    return lengths.pop()


def _checked_carry(structure: tuple, leaves: list, init_structure: tuple, init_specs: list) -> list:
    if structure != init_structure:
        was, now = tree.describe(init_structure), tree.describe(structure)
        raise ValueError(f"scan: the carry must keep its structure {was}, but the body returned {now}")
    out = []
    for leaf, spec in zip(leaves, init_specs, strict=True):
        if type(leaf) in SCALARS:
            leaf = TABLE["full"]((), leaf, dtype=spec.dtype)
        found = spec_of(leaf)
        if (found.shape, found.dtype) != (spec.shape, spec.dtype):
            raise ValueError(f"scan: the carry must stay {spec}, but the body returned {found}")
        out.append(leaf)
    return out


def _key_and_step(anchors: list, length: int) -> tuple[Any, Any]:
    from ember_ml.ops.random import next_key

    anchor = anchors[0] if anchors else None
    return next_key(like=anchor), TABLE["arange"](length, dtype="int32", like=anchor)


def _with_inputs(graph: Graph, inputs: tuple) -> Graph:
    return Graph(inputs, graph.steps, graph.outputs, graph.structure, graph.size)


def _hoist(graph: Graph, consts: list, anchor: Sequence) -> tuple[Graph, list]:
    """Compute what depends on `consts` alone now, and return the graph that is left, with its constants."""
    before, after = split_steps(graph, set(graph.inputs[: len(consts)]))
    if not before:
        return graph, consts
    made = {v for step in before for v in step.outs}
    used = {v for step in after for v in _vars(step.args)} | set(_vars(graph.outputs))
    keep = [v for v in graph.inputs[: len(consts)] if v in used]
    new = sorted(made & used, key=lambda v: v.index)
    outside = Graph(graph.inputs[: len(consts)], tuple(before), (*keep, *new), graph.structure, graph.size)
    values = outside(*consts, anchor=next(iter(anchor), None))
    return _with_steps(graph, (*keep, *new, *graph.inputs[len(consts) :]), after), list(values)


def split_steps(graph: Graph, known: set[Var]) -> tuple[list[Step], list[Step]]:
    """Return the steps that depend on `known` variables alone, and the others."""
    known, before, after = set(known), [], []
    for step in graph.steps:
        if all(v in known for v in _vars(step.args)):
            known.update(step.outs)
            before.append(step)
        else:
            after.append(step)
    return before, after


def _with_steps(graph: Graph, inputs: tuple, steps: list[Step]) -> Graph:
    return Graph(inputs, tuple(steps), graph.outputs, graph.structure, graph.size)


def _vars(args: Any) -> list[Var]:
    flat: list = []
    for a in args:
        flat.extend(_vars(a)) if type(a) in (list, tuple) else flat.append(a)
    return [a for a in flat if type(a) is Var]


def _scan_specs(*arrays: Any, body: Graph, consts: int, carry: int, length: int, reverse: bool) -> tuple:
    outs = body.out_specs
    return (*outs[:carry], *(Spec((length, *s.shape), s.dtype) for s in outs[carry:]))


def _linearize_scan(wanted, *arrays, body, consts, carry, length, reverse):
    """Return the outputs, and the pullback: a scan the other way over what the first one kept."""
    plan = _ScanGradient(body, wanted, consts, carry)
    outs = flat_scan(*arrays, body=plan.forward, consts=consts, carry=carry, length=length, reverse=reverse)
    n = len(body.outputs)
    outs, kept_values = outs[:n], outs[n:]
    return outs, lambda cotangents: plan.pull(arrays, outs, kept_values, cotangents, length, not reverse)


class _ScanGradient:
    """The body of a scan and its gradient, recorded together and cut in two.

    What the gradient needs of the body's inner values is stacked by `forward`; what depends on constants
    alone is computed once, by `unchanging`; `backward` turns the cotangents of one step into those of its
    inputs. A constant's cotangent is a sum over steps: where it is one of products or of sums, the factors
    are stacked and the sum is taken at once, after the loop; otherwise it is added up in the carry.
    """

    def __init__(self, body: Graph, wanted: list[bool], consts: int, carry: int):
        first_x = consts + carry
        specs, out_specs = [v.spec for v in body.inputs], body.out_specs
        floats = [i for i, s in enumerate(specs) if s.dtype.kind in FLOATING]
        live = [i for i in floats if wanted[i] or consts <= i < first_x]
        self.consts, self.n_inputs = consts, len(specs)
        self.carried = [i for i in floats if consts <= i < first_x]
        self.yielded = [k for k, s in enumerate(out_specs) if k >= carry and s.dtype.kind in FLOATING]
        with new_trace(typed=True, expands=_whole) as trace:
            ins = [trace.input(s) for s in specs]
            outs, pull = linearize(lambda *some: body(*_merged(ins, live, some)), [ins[i] for i in live])
            recorded = len(trace.nodes)  # what comes after belongs to the gradient
            given = {
                k: trace.input(out_specs[k]) for k in [*(i - consts for i in self.carried), *self.yielded]
            }
            back = dict(zip(live, pull([given.get(k) for k in range(len(outs))]), strict=True))
            summed = [i for i in live if i < consts and back[i] is not None]
            self.terms = {i: terms for i in summed if (terms := _terms(back[i])) is not None}
            self.added = [i for i in summed if i not in self.terms]
            totals = [trace.input(specs[i]) for i in self.added]
            self.along = [i for i in live if i >= first_x and back[i] is not None]
            results = [
                *(
                    TABLE["zeros"](specs[i].shape, dtype=specs[i].dtype) if back[i] is None else back[i]
                    for i in self.carried
                ),
                *(TABLE["add"](t, back[i]) for t, i in zip(totals, self.added, strict=True)),
                *(back[i] for i in self.along),
            ]
        cotangents = list(given.values())
        factors = [x for terms in self.terms.values() for term in terms for x in term.factors]
        backward_nodes = {id(node) for node in trace.nodes[recorded:]}
        steady, inner = _boundary(
            trace, [*results, *factors], [*cotangents, *totals], ins[:consts], backward_nodes
        )
        places = {key_of(x): i for i, x in enumerate(ins)}
        self.used_consts = [places[key_of(x)] for x in steady if key_of(x) in places]
        made = [x for x in steady if key_of(x) not in places]
        self.used_xs = [places[key_of(x)] for x in inner if places.get(key_of(x), -1) >= first_x]
        kept = [x for x in inner if places.get(key_of(x), -1) < first_x]
        early = {key_of(x) for x in inner}
        emitted = list({key_of(x): x for x in factors if key_of(x) not in early}.values())
        self.stacks = [key_of(x) for x in (*kept, *(ins[i] for i in self.used_xs), *emitted)]
        leaf = tree.structure(0)
        self.forward, _ = build_graph(trace, ins, [*outs, *kept], leaf)
        self.unchanging, _ = build_graph(trace, ins[:consts], made, leaf)
        first = [*(ins[i] for i in self.used_consts), *made]
        self.first = len(first)
        rows = [*cotangents[len(self.carried) :], *kept, *(ins[i] for i in self.used_xs)]
        inputs = [*first, *cotangents[: len(self.carried)], *totals, *rows]
        self.backward, _ = build_graph(trace, inputs, [*results, *emitted], leaf)
        self.terms = {i: [term.placed(self.stacks) for term in terms] for i, terms in self.terms.items()}

    def pull(self, arrays, outs, kept, cotangents, length, reverse) -> list:
        """Return the cotangents of `arrays`, None where there is none."""

        def or_zeros(g: Any, x: Any) -> Any:
            return TABLE["zeros_like"](x) if g is None else g

        first = [
            *(arrays[i] for i in self.used_consts),
            *self.unchanging(*arrays[: self.consts], anchor=arrays[0]),
        ]
        carry = [
            *(or_zeros(cotangents[i - self.consts], arrays[i]) for i in self.carried),
            *(TABLE["zeros_like"](arrays[i]) for i in self.added),
        ]
        stacked = [*kept, *(arrays[i] for i in self.used_xs)]
        rows = [*(or_zeros(cotangents[k], outs[k]) for k in self.yielded), *stacked]
        found = flat_scan(
            *first,
            *carry,
            *rows,
            body=self.backward,
            consts=self.first,
            carry=len(carry),
            length=length,
            reverse=reverse,
        )
        parts: list = [None] * self.n_inputs
        places = [*self.carried, *self.added, *self.along]
        for i, part in zip(places, found, strict=False):
            parts[i] = part
        stacked += found[len(places) :]
        for i, terms in self.terms.items():
            parts[i] = _total([term.total(stacked) for term in terms])
        return parts


class _Term(NamedTuple):
    """One step's share of a constant's cotangent: `rows.T @ columns`, or the sum of `columns` over `axes`."""

    rows: Any
    columns: Any
    axes: tuple[int, ...] = ()

    @property
    def factors(self) -> list:
        """The values that must be stacked."""
        return [x for x in (self.rows, self.columns) if x is not None]

    def placed(self, keys: list) -> _Term:
        """Return the same with each factor's place among the stacks instead of it."""
        rows, columns = (None if x is None else keys.index(key_of(x)) for x in self[:2])
        return _Term(rows, columns, self.axes)

    def total(self, stacks: list) -> Any:
        """Return the sum over all steps."""
        columns = stacks[self.columns]
        if self.rows is None:
            return TABLE["sum"](columns, axis=(0, *(a + 1 for a in self.axes)))
        rows, columns = (
            TABLE["reshape"](x, shape=(-1, spec_of(x).shape[-1])) for x in (stacks[self.rows], columns)
        )
        return TABLE["matmul"](TABLE["matrix_transpose"](rows), columns)


def _terms(x: Any) -> list[_Term] | None:
    """Return a cotangent as a sum of products and sums, or None where it is something else."""
    node = x.node if type(x) is Traced else None
    if node is None or node.op.name not in ("add", "matmul", "sum"):
        return None
    if node.op.name == "add":
        left, right = (_terms(side) for side in node.args)
        if left is None or right is None or any(spec_of(side).shape != x.shape for side in node.args):
            return None
        return [*left, *right]
    source = node.args[0]
    if type(source) is not Traced:
        return None
    if node.op.name == "sum":
        axes = node.attrs["axis"]
        return [_Term(None, source, axes)] if isinstance(axes, tuple) and not node.attrs["keepdims"] else None
    turned, columns = source.node, node.args[1]
    if (
        turned is None
        or turned.op.name != "matrix_transpose"
        or type(columns) is not Traced
        or columns.ndim != 2
    ):
        return None
    rows = turned.args[0]
    return [_Term(rows, columns)] if type(rows) is Traced and rows.ndim == 2 else None


def _total(parts: list) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = TABLE["add"](total, part)
    return total


def _merged(values: Sequence, places: Sequence[int], some: Sequence) -> list:
    merged = list(values)
    for i, x in zip(places, some, strict=True):
        merged[i] = x
    return merged


def _boundary(
    trace: Trace, results: Sequence, given: Sequence, consts: Sequence, backward: set[int]
) -> tuple[list, list]:
    """Return what `backward` nodes need besides `given`: values that depend on `consts` alone, and others."""
    late, steady = {key_of(x) for x in given}, {key_of(x) for x in consts}
    needed: dict[tuple[int, int], Traced] = {}

    def mine(values: Sequence) -> list:
        return [x for x in values if type(x) is Traced and x.trace is trace]

    for node in needed_nodes(trace, results):
        boxes = mine(node.boxes)
        made = [(id(node), i) for i in range(node.count)]
        if all(key_of(b) in steady for b in boxes):
            steady.update(made)
        elif id(node) in backward:
            late.update(made)
            needed.update((key_of(b), b) for b in boxes if key_of(b) not in late)
    needed.update((key_of(x), x) for x in mine(results) if key_of(x) not in late)
    return [x for k, x in needed.items() if k in steady], [x for k, x in needed.items() if k not in steady]


@primitive(spec=_scan_specs, linearize=_linearize_scan)
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

        return trace_graph(flat, specs, expands=_whole)

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
        branches = [
            g
            if random
            else _with_inputs(g, (*g.inputs, Var(g.size, spec_of(key)), Var(g.size + 1, spec_of(leaves[-1]))))
            for g, random in zip(branches, (draws, also_draws), strict=True)
        ]
        branches = [Graph(g.inputs, g.steps, g.outputs, g.structure, g.size + 2) for g in branches]
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
                _, back = linearize(lambda *some: branch(*_merged(ins, live, some)), [ins[i] for i in live])
                parts = back([gs.get(k) for k in range(len(branch.outputs))])
                return [
                    TABLE["zeros_like"](ins[i]) if p is None else p for i, p in zip(live, parts, strict=True)
                ]

            return trace_graph(flat, [*specs, *(spec_of(cotangents[k]) for k in given)], expands=_whole)[0]

        found = flat_cond(
            pred, *arrays, *(cotangents[k] for k in given), branches=tuple(map(gradient, branches))
        )
        return [None, *_merged([None] * len(arrays), live, found)]

    return outs, pull


@primitive(spec=_cond_specs, linearize=_linearize_cond)
def flat_cond(*arrays, branches):
    """The choice of `cond` on flat arrays: the truth, then what both graphs take."""
