"""A parameter: a tensor that belongs to a module and is trained."""

from __future__ import annotations

from typing import Any

from ember_ml.tensor import EmberTensor


class Parameter(EmberTensor):
    """A tensor that a module trains. `nonnegative` asks the trainer to keep every value at 0 or above."""

    nonnegative: bool

    def __init__(self, data: Any, requires_grad: bool = True, *, nonnegative: bool = False):
        super().__init__(data, requires_grad=requires_grad)
        self.nonnegative = nonnegative
