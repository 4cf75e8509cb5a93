"""Which steps of a graph share a loop, and in which order the loops stand.

A unit is a nest, elementwise steps and reductions over indices of one shape, or a single other step. A step
joins the first nest of its shape in which all that it reads is there. Within a nest values are single
numbers. A truth that only nests read is found anew in each of them: to store bytes beside floats costs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ember_ml.backend.adapters import runs_back
from ember_ml.backend.loops.sums import Sums
from ember_ml.backend.loops.table import DTYPES, ELEMENTWISE, REDUCTIONS, Unsayable
from ember_ml.core.graph import Graph, Step, Var, variables
from ember_ml.core.rules import as_axes, as_axis

JOINING = frozenset({"concat", "stack"})
PERMUTING = frozenset({"permute_dims", "matrix_transpose"})
FUSED = frozenset({*ELEMENTWISE, *REDUCTIONS, "astype", "where"})


def without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without its axes of size 1, over which there is no loop."""
    return tuple(n for n in shape if n != 1)


@dataclass(eq=False)
class Unit:
    """A nest over indices of `shape`, or a single step of its own if that is None."""

    shape: tuple[int, ...] | None
    steps: list[Step] = field(default_factory=list)


class Schedule:
    """The units of a graph in order, and what each variable is a view of."""

    def __init__(self, graph: Graph):
        self.units: list[Unit] = []
        self.makers = {v: step for step in graph.steps for v in step.outs}
        self.homes: dict[Var, tuple[int, bool]] = {}  # the unit, and whether the value is there within it
        self.sums = Sums(graph)
        self.repeated = self._repeatable(graph)
        self.repeats: set[tuple[Var, int]] = set()
        for step in graph.steps:
            if any(
                v.spec.dtype not in DTYPES or 0 in v.spec.shape for v in (*step.outs, *variables(step.args))
            ):
                raise Unsayable(f"{step.op.name} of {step.outs[0].spec}")
            elsewhere = step.op.creates or step.op.is_view or step in self.sums.needless
            if not (elsewhere or step.outs[0] in self.repeated):
                self._place(step)
        self.stored = self._stored(graph)
        self.ended = self._ended(graph)

    def root(self, var: Any) -> tuple[Any, bool]:
        """Return what a variable is a view of, and whether it has the same elements in the same order."""
        straight = True
        while (step := self.makers.get(var)) is not None and step.op.is_view:
            straight = straight and _keeps_order(step)
            var = step.args[0]
        return var, straight

    def within(self, arg: Any, unit: int) -> Var | None:
        """Return the variable of a nest that an argument is; None where it is read from memory."""
        if type(arg) is not Var:
            return None
        root, straight = self.root(arg)
        home, inside = (unit, True) if (root, unit) in self.repeats else self.homes.get(root, (-1, False))
        fits = without_ones(arg.spec.shape) == self.units[unit].shape
        return root if home == unit and inside and straight and fits else None

    def _place(self, step: Step) -> None:
        fused = step.op.name in FUSED and not step.op.is_view
        reduces = step.op.name in REDUCTIONS
        shape = without_ones((step.args[0] if reduces else step.outs[0]).spec.shape) if fused else None
        first = max((self._earliest(a, shape) for a in variables(step.args)), default=0)
        number = next(
            (i for i in range(first, len(self.units)) if fused and self.units[i].shape == shape),
            len(self.units),
        )
        if number == len(self.units):
            self.units.append(Unit(shape))
        self._repeat(step, number)
        self.units[number].steps.append(step)
        self.homes |= dict.fromkeys(step.outs, (number, fused and not reduces))
        self.homes |= {v: (number, False) for v, _ in self.sums.taken.get(step, ())}

    def _ended(self, graph: Graph) -> list[list[Var]]:
        """Return, for each unit, the values that nothing reads after it."""
        last = {v: number for v, (number, _) in self.homes.items()}
        for number, unit in enumerate(self.units):
            for step in unit.steps:
                last |= dict.fromkeys((self.root(a)[0] for a in variables(step.args)), number)
        for x in variables(graph.outputs):
            last[self.root(x)[0]] = len(self.units)
        for step in graph.steps:
            if step.op.name in JOINING:  # what it joins may lie in it
                parts = (last.get(self.root(x)[0], 0) for x in variables(step.args))
                last[step.outs[0]] = max(last[step.outs[0]], *parts)
        ended: list[list[Var]] = [[] for _ in range(len(self.units) + 1)]
        for var, number in last.items():
            ended[number].append(var)
        return ended[:-1]

    def _repeat(self, step: Step, number: int) -> None:
        """Put the truths that a step reads into its nest, if they are not there."""
        for root, _ in map(self.root, variables(step.args)):
            if root in self.repeated and (root, number) not in self.repeats:
                self.repeats.add((root, number))
                self._repeat(self.makers[root], number)
                self.units[number].steps.append(self.makers[root])

    def _repeatable(self, graph: Graph) -> set[Var]:
        """Return the truths that steps of their own shape read, and nothing else does."""
        found = {
            s.outs[0]
            for s in graph.steps
            if s.op.name in FUSED
            and not s.op.is_view
            and s.op.name not in REDUCTIONS
            and s.outs[0].spec.dtype == "bool"
        }
        found -= {self.root(x)[0] for x in graph.outputs if type(x) is Var}
        for step in graph.steps:
            if step.op.is_view:
                continue
            made = step.args[0] if step.op.name in REDUCTIONS else step.outs[0]
            shape = without_ones(made.spec.shape) if step.op.name in FUSED else None
            for arg in variables(step.args):
                root, straight = self.root(arg)
                if not straight or without_ones(arg.spec.shape) != shape:
                    found.discard(root)
        return found

    def _earliest(self, arg: Var, shape: tuple[int, ...] | None) -> int:
        root, straight = self.root(arg)
        if root in self.repeated:
            return max((self._earliest(a, shape) for a in variables(self.makers[root].args)), default=0)
        if root not in self.homes:
            return 0
        number, inside = self.homes[root]
        return number if inside and straight and without_ones(arg.spec.shape) == shape else number + 1

    def _stored(self, graph: Graph) -> set[Var]:
        """Return the values that are read outside of their nests, by scans' sums apart."""
        stored = {self.root(x)[0] for x in graph.outputs if type(x) is Var}
        for number, unit in enumerate(self.units):
            for step in unit.steps:
                outside = (a for a in variables(step.args) if self.within(a, number) is None)
                stored |= {self.root(a)[0] for a in outside}
        return stored


def reduced_axes(step: Step) -> tuple[int, ...]:
    """Return the axes, not counting those of size 1, over which a reduction goes."""
    shape = step.args[0].spec.shape
    gone = as_axes(step.attrs["axis"], len(shape))
    longer = [i for i, n in enumerate(shape) if n != 1]
    return tuple(place for place, i in enumerate(longer) if i in gone)


def _keeps_order(step: Step) -> bool:
    shape, made = step.args[0].spec.shape, step.outs[0].spec.shape
    if without_ones(shape) != without_ones(made):
        return False
    if step.op.name in PERMUTING:
        moved = [a for a in axes_order(step) if shape[a] != 1]
        return moved == sorted(moved)
    if step.op.name == "flip":
        return all(shape[a] == 1 for a in as_axes(step.attrs["axis"], len(shape)))
    if step.op.name == "getitem":
        index = step.attrs["index"]
        parts = index if type(index) is tuple else (index,)
        return not any(map(runs_back, parts))
    return True


def axes_order(step: Step) -> tuple[int, ...]:
    """Return which axis of its argument each axis of a permuting step's result is."""
    ndim = len(step.args[0].spec.shape)
    if step.op.name == "matrix_transpose":
        return (*range(ndim - 2), ndim - 1, ndim - 2)
    return as_axes(tuple(step.attrs["axes"]), ndim)


def part_indices(step: Step) -> list[tuple]:
    """Return where each array of a sequence goes in their concatenation or stack."""
    shape, arrays, axis = step.outs[0].spec.shape, step.args[0], step.attrs["axis"]
    if axis is None:
        raise Unsayable("arrays laid flat")
    before = (slice(None),) * as_axis(axis, len(shape))
    if step.op.name == "stack":
        return [(*before, i) for i in range(len(arrays))]
    ends = [0]
    for x in arrays:
        ends.append(ends[-1] + (x.spec if type(x) is Var else x).shape[len(before)])
    return [(*before, slice(a, b)) for a, b in pairwise(ends)]
