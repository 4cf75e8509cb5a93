"""Dropout."""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.nn.modules.module import Module


class Dropout(Module):
    """Sets values to 0 with probability `rate` while training, and scales the others by 1 / (1 - rate).

    A fresh mask at every call, in compiled functions too, from the seeded stream; layers with different
    `seed` draw differently from the same key.
    """

    def __init__(self, rate: float = 0.5, seed: int | None = None):
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate must be in [0, 1), got {rate}")
        self.rate, self.seed = rate, seed

    def forward(self, x: Any, training: bool | None = None) -> Any:
        """Return x with values dropped; `training=None` follows the module's mode."""
        if not (self.training if training is None else training) or self.rate == 0:
            return x
        key = ops.next_key(like=x)
        if self.seed is not None:
            key = ops.fold_in(key, self.seed)
        keep = ops.bernoulli(tuple(x.shape), 1.0 - self.rate, key=key)
        return ops.where(keep, x * (1.0 / (1.0 - self.rate)), 0.0)
