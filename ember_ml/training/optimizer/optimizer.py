"""Optimizers: a pure step on trees of arrays, and a thin shell around it for parameters with gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ember_ml import ops
from ember_ml.core import tree
from ember_ml.nn.modules.settings import Settings
from ember_ml.tensor.conversion import bare

Schedule = Callable[[Any], Any]  # from the number of steps taken to a learning rate, in ops


class Optimizer(Settings):
    """The base of optimizers.

    Pure: `state = init(params)`, then `params, state = update(params, grads, state)`, on trees of arrays of
    any engine, inside compiled functions too. Mutable: given `params`, tensors with gradients, `step()`
    changes them in place. A subclass defines `moments`, the names of its running averages, and `direction`.
    """

    moments: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any] | None = None, learning_rate: float | Schedule = 0.01):
        if not callable(learning_rate) and not (math.isfinite(learning_rate) and learning_rate >= 0):
            raise ValueError(
                f"{type(self).__name__}: learning_rate must be a number >= 0, got {learning_rate}"
            )
        self.learning_rate = learning_rate
        self.params = [] if params is None else list(params)
        self._state: Any = None

    def init(self, params: Any) -> dict[str, Any]:
        """Return the state before the first step."""
        zeros = tree.map(ops.zeros_like, params)
        first = tree.leaves(params)[0]
        return {"step": ops.zeros((), dtype="int32", like=first)} | dict.fromkeys(self.moments, zeros)

    def update(self, params: Any, grads: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the parameters after one step, and the state; `grads` has the structure of `params`."""
        taken = ops.add(state["step"], 1)
        step, rate = ops.astype(taken, dtype="float32"), self.rate(state["step"])
        flat, structure = tree.flatten(params)
        slopes = tree.leaves(grads)
        kept = [tree.leaves(state[name]) for name in self.moments]
        moved, after = [], []
        for i, (p, g) in enumerate(zip(flat, slopes, strict=True)):
            change, new = self.direction(p, g, [m[i] for m in kept], step)
            moved.append(ops.subtract(p, ops.astype(ops.multiply(change, rate), dtype=p.dtype)))
            after.append(new)
        moments = {
            name: tree.unflatten(structure, [new[k] for new in after]) for k, name in enumerate(self.moments)
        }
        return tree.unflatten(structure, moved), {"step": taken, **moments}

    def rate(self, steps: Any) -> Any:
        """Return the learning rate after a number of steps, an array of no dimensions."""
        rate = self.learning_rate
        return rate(ops.astype(steps, dtype="float32")) if callable(rate) else rate

    def direction(self, p: Any, g: Any, moments: list, step: Any) -> tuple[Any, list]:
        """Return what to subtract, but for the learning rate, and the new moments; `step` counts from 1."""
        raise TypeError(f"{type(self).__name__} has no direction method")

    def step(self) -> None:
        """Take one step on the constructor's parameters, by their gradients; those without one stay."""
        live = [p for p in self.params if p.grad is not None]
        if not live:
            raise ValueError(
                f"{type(self).__name__}.step: no parameter has a gradient; call backward() on a loss first"
            )
        if self._state is None:
            self._state = self.init([p.data for p in self.params])
        zeros = [ops.zeros_like(p.data) if p.grad is None else bare(p.grad) for p in self.params]
        values, self._state = self.update([p.data for p in self.params], zeros, self._state)
        for p, value in zip(self.params, values, strict=True):
            if p.grad is not None:
                p.data = ops.maximum(value, 0.0) if getattr(p, "nonnegative", False) else value

    def zero_grad(self) -> None:
        """Forget the gradients of the parameters."""
        for p in self.params:
            p.grad = None


def cosine_decay(initial: float, steps: int) -> Schedule:
    """Return the schedule from `initial` to 0 by half a cosine (Loshchilov and Hutter 2017, eq. 5)."""

    def rate(taken: Any) -> Any:
        share = ops.minimum(ops.divide(taken, float(max(steps, 1))), 1.0)
        return ops.multiply(ops.add(ops.cos(ops.multiply(share, math.pi)), 1.0), 0.5 * initial)

    return rate
