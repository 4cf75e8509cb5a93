"""Adam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ember_ml import ops
from ember_ml.training.optimizer.optimizer import Optimizer, Schedule


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, algorithm 1), as torch.optim.Adam.

    `weight_decay` adds that share of p to g; `amsgrad` divides by the largest second moment so far (Reddi et
    al. 2018).
    """

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        learning_rate: float | Schedule = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ):
        super().__init__(params, learning_rate)
        if not all(0 <= b < 1 for b in betas):
            raise ValueError(f"Adam: betas must be in [0, 1), got {betas}")
        self.betas, self.eps, self.weight_decay, self.amsgrad = betas, eps, weight_decay, amsgrad
        self.moments = ("mean", "square", "largest") if amsgrad else ("mean", "square")

    def direction(self, p: Any, g: Any, moments: list, step: Any) -> tuple[Any, list]:
        if self.weight_decay:
            g = ops.add(g, ops.multiply(p, self.weight_decay))
        first, second = self.betas
        mean = ops.add(ops.multiply(moments[0], first), ops.multiply(g, 1 - first))
        square = ops.add(ops.multiply(moments[1], second), ops.multiply(ops.square(g), 1 - second))
        kept = [mean, square]
        if self.amsgrad:
            kept.append(ops.maximum(moments[2], square))
        unbiased = ops.divide(kept[-1], ops.subtract(1.0, ops.power(second, step)))
        scale = ops.add(ops.sqrt(unbiased), self.eps)
        return ops.divide(ops.divide(mean, ops.subtract(1.0, ops.power(first, step))), scale), kept
