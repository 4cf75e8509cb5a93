"""The ops of the table as methods: `x.sum(axis=0)`, `x.reshape(2, 3)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ember_ml.core.op import ALIASES, TABLE, Op

_WRITTEN_OUT = {"reshape": "shape", "broadcast_to": "shape", "permute_dims": "axes", "transpose": "axes"}
_NOT_METHODS = frozenset({"where"})  # its first argument is a condition, and other libraries disagree


def methods() -> Iterator[tuple[str, Callable]]:
    """Yield every op whose first argument is one array, as a method of that array, under its aliases too.

    The function of an op is a method as it stands. (`__getattr__` instead would cost each attribute 50 ns.)
    """
    for name in [*TABLE, *ALIASES]:
        op = TABLE[ALIASES.get(name, name)]
        if not (op.creates or op.sequence or op.name in _NOT_METHODS):
            yield name, _written_out(op, _WRITTEN_OUT[op.name]) if op.name in _WRITTEN_OUT else op.function


def _written_out(op: Op, setting: str) -> Callable:
    def method(self: Any, *items: Any, **settings: Any) -> Any:
        if items:
            first, *others = items
            settings[setting] = items if others or isinstance(first, int) else first
        return op.function(self, **settings)

    method.__name__ = op.name
    method.__doc__ = f"{op.define.__doc__}\n\nThe {setting} may be written out: `x.{op.name}(0, 1)`."
    return method
