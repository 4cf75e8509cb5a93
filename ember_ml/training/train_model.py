"""A model with what it is trained on: losses, penalties, metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from ember_ml import ops
from ember_ml.nn import Connection, Model, Module, node

Step = Module | Callable | str  # a module, a function of ops, or the name of an op


class TrainModel(Model):
    """The nodes of a model, and `final_cost`, the sum of its losses and penalties.

    It shares the model's modules, so it trains the model's parameters under their names; the outputs of the
    model stay outputs. Compiled, `evaluate(params, data, output_gradients=True)` is a training step.
    """

    cost_key = "final_cost"

    def __init__(self, model: Model | None = None):
        super().__init__()
        if model is None:
            return
        self._wired, self._writers, self._sizes = dict(model._wired), dict(model._writers), dict(model._sizes)
        self._exposed, self._hidden, self._called = model._exposed, model._hidden, dict(model._called)
        vars(self).update({name: vars(model)[name] for name in self._wired.values()})
        self.expose_keys(*model.output_keys)

    def add_loss(
        self,
        loss: Step,
        *,
        reduce_steps: Sequence[Step] = ("mean",),
        key_name: str | None = None,
        coef: float | None = None,
        **keys: Any,
    ) -> None:
        """Add a loss, wired at `keys`, reduced to a number step by step, times `coef`, to the cost.

        `key_name` makes an output of it.
        """
        self._add_term(self._reduced(loss, reduce_steps, keys), coef, key_name)

    def add_regularization(
        self,
        penalty: Step,
        *,
        coef: float | None = None,
        reg_key: str | re.Pattern | None = None,
        key_name: str | None = None,
        **keys: Any,
    ) -> None:
        """Add a penalty to the cost: of the parameter `reg_key`, of all whose name a pattern finds, or wired.

        Raises KeyError where nothing has such a name; parameters not made yet have none for a pattern.
        """
        names = [reg_key] if isinstance(reg_key, str) else []
        if isinstance(reg_key, re.Pattern):
            names = [name for name, _ in self.named_parameters() if reg_key.search(name)]
            if not names:
                known = ", ".join(name for name, _ in self.named_parameters()) or "none before the first run"
                raise KeyError(
                    f"add_regularization: {reg_key.pattern!r} finds no parameter; there are {known}"
                )
        terms = [self._reduced(penalty, (), {"input": name}) for name in names]
        self._add_term(total(terms) if terms else self._reduced(penalty, (), keys), coef, key_name)

    def add_metric(
        self, metric: Step, *, key_name: str, reduce_steps: Sequence[Step] = (), **keys: Any
    ) -> None:
        """Add an output that is computed beside the cost and does not change it."""
        made = self._reduced(metric, reduce_steps, keys)
        self |= made
        self.expose_keys(**{key_name: made})

    def _reduced(self, first: Step, steps: Sequence[Step], keys: dict[str, Any]) -> Connection:
        made: Connection = _module(first)(**keys)
        for step in steps:
            made = _module(step)(made)
        return made

    def _add_term(self, term: Connection, coef: float | None, key_name: str | None) -> None:
        term = term if coef is None else ops.multiply(term, coef)
        self |= term
        self.expose_keys(**({} if key_name is None else {key_name: term}))
        cost = next((wired for wired in self._wired if wired.name == self.cost_key), None)
        if cost is None:
            self |= node(total)(input=[term], output=self.cost_key)
        else:
            cost.inputs = {"input": [*cost.inputs["input"], term]}
            self._plan = None


def _module(step: Step) -> Module:
    return step if isinstance(step, Module) else node(step)


def total(input: Sequence[Any]) -> Any:
    """Return the sum of terms."""
    return reduce(ops.add, input)
