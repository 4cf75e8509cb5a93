"""Gradients by the tape: `backward()`, and the switch that says whether ops are recorded.

There is no global tape: each result holds the op it came from, and with it all that led there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ember_ml import ops
from ember_ml.core.reverse import backpropagate, conjugated

RECORDING: ContextVar[bool] = ContextVar("ember_ml_recording", default=True)


@contextmanager
def _recording(on: bool) -> Iterator[None]:
    token = RECORDING.set(on)
    try:
        yield
    finally:
        RECORDING.reset(token)


def no_grad() -> Any:
    """Record nothing: a context, or a decorator `@no_grad()`. Threads and tasks have their own switch."""
    return _recording(False)


def enable_grad() -> Any:
    """Record again within `no_grad()`: a context, or with `@enable_grad()` a decorator."""
    return _recording(True)


def is_grad_enabled() -> bool:
    """Whether ops on tensors that require gradients are recorded here and now."""
    return RECORDING.get()


def backward(root: Any, cotangent: Any) -> list[tuple[Any, Any]]:
    """Return each leaf that requires a gradient and that `root` depends on, with its native gradient."""
    leaves: dict[tuple[int, int], Any] = {}

    def mine(box: Any) -> bool:
        if box is None or not box.requires_grad:
            return False
        if box.node is None:
            leaves[id(box), -1] = box
        return True

    mine(root)
    found = backpropagate([(root, conjugated(cotangent))], mine)
    return [(leaf, conjugated(found[key])) for key, leaf in leaves.items() if key in found]


def first_cotangent(root: Any, gradient: Any) -> Any:
    """Return the native array with which `backward` starts: ones for a single number, else the one given.

    Raises RuntimeError when there is nothing to differentiate, ValueError for a gradient that is missing or
    has another shape.
    """
    if not root.requires_grad:
        raise RuntimeError(
            "backward: this tensor depends on nothing that requires a gradient; "
            "make the leaves with requires_grad=True, and compute outside of no_grad()"
        )
    if gradient is None:
        if root.size != 1:
            said = f"got a tensor of shape {root.shape}"
            raise ValueError(f"backward: expected a single number or a gradient, {said}")
        return ops.ones_like(root.data)
    if gradient.shape != root.shape:
        raise ValueError(f"backward: expected a gradient of shape {root.shape}, got {gradient.shape}")
    return gradient.data
