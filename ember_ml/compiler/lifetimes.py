"""When the values of a program come and go: what may be written over, and what can be let go."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ember_ml.backend.phrases import Phrase
from ember_ml.core.graph import Graph, Step, Var, variables

LARGE = 1 << 15  # bytes from which it pays to say that an array is done with


class Lifetimes:
    """Whose memory each variable of a graph shares, the last step that reads it, what is written over it.

    A phrase says whether its result has memory of its own, or is a view of its first argument. Of a step
    without one nothing is known: its results may be views of any argument. Unless it `plans`, nothing is
    written over anything and nothing let go.
    """

    def __init__(self, graph: Graph, phrases: Sequence[Phrase | None], *, plans: bool = True):
        self.uses = Counter(v for step in graph.steps for v in variables(step.args))
        self.uses.update(variables(graph.outputs))
        self.results, self.given = set(variables(graph.outputs)), set(graph.inputs)
        self.root: dict[Var, Var] = {v: v for v in graph.inputs}
        self.last: dict[Var, int] = {}
        self.kept = set(graph.inputs)  # memory that is not the program's to write over
        for place, (step, phrase) in enumerate(zip(graph.steps, phrases, strict=True)):
            self._follow(place, step, phrase)
        self.kept |= {self.root[v] for v in self.results}
        self.over: dict[Var, Var] = {}  # result -> the argument into whose memory it is written
        self.plans = plans
        for place, (step, phrase) in enumerate(zip(graph.steps, phrases, strict=True)):
            target = self._writable(place, step) if plans and phrase is not None and phrase.into else None
            if target is not None:
                self.over[step.outs[0]] = target

    def _follow(self, place: int, step: Step, phrase: Phrase | None) -> None:
        read = {self.root[v] for v in variables(step.args)}
        self.last.update(dict.fromkeys(read, place))
        if phrase is None:
            self.kept |= {*read, *step.outs}
        for out in step.outs:
            source: Any = step.args[0] if phrase is not None and not phrase.fresh else None
            self.root[out] = self.root[source] if type(source) is Var else out
            self.last[self.root[out]] = place
            if source is not None and type(source) is not Var:
                self.kept.add(out)

    def _writable(self, place: int, step: Step) -> Var | None:
        given, made = variables(step.args), step.outs[0].spec
        for v in given:
            mine = self.root[v] is v and v not in self.kept and self.last[v] == place
            alone = all(w is v or self.root[w] is not v for w in given)
            if mine and alone and made.shape and (v.spec.shape, v.spec.dtype) == (made.shape, made.dtype):
                return v
        return None

    def ended(self, place: int, step: Step) -> list[Var]:
        """Return the large variables among a step's arguments that nothing after it reads or writes over."""
        over = {self.over.get(out) for out in step.outs}
        done = [v for v in dict.fromkeys(variables(step.args)) if self.root[v] is v and self.last[v] == place]
        own = [v for v in done if not (v in over or v in self.given or v in self.results)]
        return [v for v in own if self.plans and math.prod(v.spec.shape) * v.spec.dtype.itemsize >= LARGE]
