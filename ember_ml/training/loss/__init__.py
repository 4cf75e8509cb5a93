"""Losses as objects: called with the prediction first, then the truth, as torch's."""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.nn.modules.settings import Settings

REDUCTIONS = {"mean": ops.mean, "sum": ops.sum, "none": lambda x: x}


class Loss(Settings):
    """The base of losses: a subclass defines `each`, the loss of every value, and `reduction` joins them."""

    def __init__(self, reduction: str = "mean"):
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}"
            )
        self.reduction = reduction

    def each(self, y_pred: Any, y_true: Any) -> Any:
        """Return the loss of every value."""
        raise TypeError(f"{type(self).__name__} has no each method; define each(self, y_pred, y_true)")

    def __call__(self, y_pred: Any, y_true: Any) -> Any:
        """Return the loss of a batch. Raises ValueError where the shapes differ."""
        if tuple(y_pred.shape) != tuple(y_true.shape):
            raise ValueError(
                f"{type(self).__name__}: predictions and truth must have one shape, "
                f"got {tuple(y_pred.shape)} and {tuple(y_true.shape)}"
            )
        return REDUCTIONS[self.reduction](self.each(y_pred, y_true))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction={self.reduction!r})"


class MSELoss(Loss):
    """(y_pred - y_true)**2."""

    def each(self, y_pred: Any, y_true: Any) -> Any:
        return ops.square(y_pred - y_true)
