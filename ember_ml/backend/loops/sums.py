"""Sums over all turns of a scan, taken turn by turn within it.

A gradient stacks its factors and takes one product after the loop, which is best where a call costs much. In
a compiled loop each turn adds its share while the factors are at hand, and nobody stacks them.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ember_ml.core.graph import Graph, Step, Var
from ember_ml.core.rules import as_axes


class Term(NamedTuple):
    """One turn's share: `rows.T @ columns` of values of the body, or the sum of `columns` over `axes`."""

    rows: Var | None
    columns: Var
    axes: tuple[int, ...] = ()


class Sums:
    """The sums in a graph that its scans can take: `taken[scan]`, and the steps which that makes needless."""

    def __init__(self, graph: Graph):
        self.makers = {v: step for step in graph.steps for v in step.outs}
        self.scans = [s for s in graph.steps if s.op.name == "flat_scan"]
        self.needless: set[Step] = set()
        found: dict[Var, tuple[Step, list[Term]]] = {}
        uses = Counter(a for step in graph.steps for a in step.args if type(a) is Var)
        for step in graph.steps if self.scans else ():
            out = step.outs[0]
            once = all(type(a) is Var and a in found and uses[a] == 1 for a in step.args)
            if step.op.name == "add" and once:
                (scan, left), (other, right) = (found[a] for a in step.args)
                if (
                    scan is other
                    and not any(type(x) is Var and x in step.args for x in graph.outputs)
                    and _alike(step)
                ):
                    for a in step.args:
                        del found[a]
                    found[out] = scan, [*left, *right]
                    self.needless.add(step)
            elif (term := self._term(step)) is not None:
                found[out] = term[0], [term[1]]
                self.needless.add(step)
        self.taken: dict[Step, list[tuple[Var, list[Term]]]] = {}
        for out, (scan, terms) in found.items():
            self.taken.setdefault(scan, []).append((out, terms))

    def _term(self, step: Step) -> tuple[Step, Term] | None:
        if step.op.name not in ("sum", "matmul") or any(type(a) is not Var for a in step.args):
            return None
        dtype = step.outs[0].spec.dtype
        if dtype.kind != "float" or any(a.spec.dtype != dtype for a in step.args):
            return None
        for scan in self.scans:
            term = self._sum(step, scan) if step.op.name == "sum" else self._product(step, scan)
            if term is not None:
                return scan, term
        return None

    def _sum(self, step: Step, scan: Step) -> Term | None:
        axes = as_axes(step.attrs["axis"], len(step.args[0].spec.shape))
        row = _row(scan, step.args[0], made=True)
        if row is None or 0 not in axes or step.attrs["keepdims"]:
            return None
        return Term(None, row, tuple(a - 1 for a in axes if a))

    def _product(self, step: Step, scan: Step) -> Term | None:
        turned = self.makers.get(step.args[0])
        if turned is None or turned.op.name != "matrix_transpose":
            return None
        left, right = (self._laid_flat(x) for x in (turned.args[0], step.args[1]))
        if left is None or right is None or left.spec.shape[:-1] != right.spec.shape[:-1]:
            return None
        rows, columns = (_row(scan, x, made=False) for x in (left, right))
        if rows is None or columns is None or not {left, right}.intersection(scan.outs):
            return None
        return Term(rows, columns)

    def _laid_flat(self, x: Var) -> Var | None:
        """Return the stack of which x has the rows of all turns."""
        step = self.makers.get(x)
        if step is None or step.op.name != "reshape" or type(step.args[0]) is not Var:
            return None
        stack = step.args[0]
        fits = len(stack.spec.shape) > 1 and x.spec.shape[1:] == stack.spec.shape[-1:]
        return stack if fits else None


def _alike(step: Step) -> bool:
    return all(a.spec == step.outs[0].spec for a in step.args)


def _row(scan: Step, stack: Var, *, made: bool) -> Var | None:
    """Return the value in a scan's body that `stack` has of each turn; only what the scan made, if `made`."""
    body, consts, carry = (scan.attrs[name] for name in ("body", "consts", "carry"))
    first = consts + carry
    if stack in scan.outs[carry:]:
        row = body.outputs[scan.outs.index(stack)]
        return row if type(row) is Var else None
    places = [i for i, a in enumerate(scan.args) if i >= first and type(a) is Var and a == stack]
    return body.inputs[places[0]] if places and not made else None
