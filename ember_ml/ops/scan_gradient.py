"""The gradient of `scan`: a loop the other way over what the first one kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from ember_ml.core import tree
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import Graph, build_graph, needed_nodes
from ember_ml.core.op import TABLE
from ember_ml.core.reverse import key_of, linearize
from ember_ml.core.spec import spec_of
from ember_ml.core.trace import Trace, Traced, new_trace
from ember_ml.core.tree import merged


class ScanGradient:
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
        with new_trace(typed=True) as trace:
            ins = [trace.input(s) for s in specs]
            outs, pull = linearize(lambda *some: body(*merged(ins, live, some)), [ins[i] for i in live])
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
        found = TABLE["flat_scan"](
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
            parts[i] = reduce(TABLE["add"], [term.total(stacked) for term in terms])
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
