"""When the values of a program come and go: what may be written over, and what can be let go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ember_ml.compiler.passes import variables
from ember_ml.core.graph import Graph, Step, Var

LARGE = 1 << 15  # bytes from which it pays to say that an array is done with


class Lifetimes:
    """For each variable of a graph: whose memory it shares, and the last step that reads that memory.

    `shares[i]` says of step i: False, its result has memory of its own; True, it may be a view of its first
    argument; None, nothing is known of it.
    """

    def __init__(self, graph: Graph, shares: Sequence[bool | None]):
        self.uses = Counter(v for step in graph.steps for v in variables(step.args))
        self.uses.update(variables(graph.outputs))
        self.root: dict[Var, Var] = {v: v for v in graph.inputs}
        self.last: dict[Var, int] = {}
        self.given = set(graph.inputs)
        self.kept = set(graph.inputs)  # memory that is not the program's to write over
        for i, (step, shared) in enumerate(zip(graph.steps, shares, strict=True)):
            read = {self.root[v] for v in variables(step.args)}
            self.last.update(dict.fromkeys(read, i))
            if shared is None:
                self.kept |= read
            for out in step.outs:
                source: Any = step.args[0] if shared else None
                self.root[out] = self.root[source] if type(source) is Var else out
                self.last[self.root[out]] = i
                if shared is None or (shared and type(source) is not Var):
                    self.kept.add(out)
        self.results = set(variables(graph.outputs))
        self.kept |= {self.root[v] for v in self.results}

    def writable(self, place: int, step: Step) -> Var | None:
        """Return the argument of step `place` over which its result may be written; None if there is none."""
        given, made = variables(step.args), step.outs[0].spec
        for v in given:
            mine = self.root[v] is v and v not in self.kept and self.last[v] == place
            alone = all(w is v or self.root[w] is not v for w in given)
            if mine and alone and made.shape and (v.spec.shape, v.spec.dtype) == (made.shape, made.dtype):
                return v
        return None

    def ended(self, place: int, step: Step) -> list[Var]:
        """Return the large variables among a step's arguments that no later step reads."""
        large = [v for v in dict.fromkeys(variables(step.args)) if _size(v) >= LARGE and v not in self.given]
        return [v for v in large if self.root[v] is v and self.last[v] == place and v not in self.results]


def _size(v: Var) -> int:
    size = v.spec.dtype.itemsize
    for n in v.spec.shape:
        size *= n
    return size
