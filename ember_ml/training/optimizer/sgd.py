"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ember_ml import ops
from ember_ml.training.optimizer.optimizer import Optimizer, Schedule


class SGD(Optimizer):
    """Gradient descent with momentum (Sutskever et al. 2013), as torch.optim.SGD.

    v = momentum v + g; p -= rate v. `weight_decay` adds that share of p to g; `nesterov` steps along
    g + momentum v.
    """

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(params, learning_rate)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs momentum > 0")
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov
        self.moments = ("velocity",) if momentum else ()

    def direction(self, p: Any, g: Any, moments: list, step: Any) -> tuple[Any, list]:
        if self.weight_decay:
            g = ops.add(g, ops.multiply(p, self.weight_decay))
        if not self.momentum:
            return g, []
        velocity = ops.add(ops.multiply(moments[0], self.momentum), g)
        return (ops.add(g, ops.multiply(velocity, self.momentum)) if self.nesterov else velocity), [velocity]
