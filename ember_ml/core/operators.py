"""Python's operators and the ops as methods, derived from the table for every kind of array of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ember_ml.core.op import ALIASES, TABLE, Op

BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"
}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}

_WRITTEN_OUT = {"reshape": "shape", "broadcast_to": "shape", "permute_dims": "axes", "transpose": "axes"}
_NOT_METHODS = frozenset({"where"})  # its first argument is a condition, and other libraries disagree


class Operators:
    """`x + y`, `-x`, `x @ y`, `x < y`, `x[i]`, `x.sum(axis=0)`: each calls the op of the table."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        return TABLE["getitem"](self, index=index)

    @property
    def T(self) -> Any:
        """The axes reversed: the transpose of a matrix."""
        return TABLE["transpose"](self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return TABLE["matrix_transpose"](self)


def derive_operators() -> None:
    """Give `Operators` its methods, once the table is full; `ember_ml.ops` calls this.

    An op's function is a method as it stands, which saves a call: operators, and every op whose first
    argument is one array, under its aliases too.
    """
    for name, op in (BINARY | COMPARISONS | UNARY).items():
        setattr(Operators, f"__{name}__", TABLE[op].function)
    for name, op in BINARY.items():
        setattr(Operators, f"__r{name}__", _reflected(op))
    for name in [*TABLE, *ALIASES]:
        op = TABLE[ALIASES.get(name, name)]
        if not (op.creates or op.sequence or op.name in _NOT_METHODS):
            setting = _WRITTEN_OUT.get(op.name)
            setattr(Operators, name, _written_out(op, setting) if setting else op.function)


def _reflected(op: str) -> Any:
    def method(self: Any, other: Any) -> Any:
        return TABLE[op].function(other, self)

    return method


def _written_out(op: Op, setting: str) -> Callable:
    def method(self: Any, *items: Any, **settings: Any) -> Any:
        if items:
            first, *others = items
            settings[setting] = items if others or isinstance(first, int) else first
        return op.function(self, **settings)

    method.__name__ = op.name
    method.__doc__ = f"{op.define.__doc__}\n\nThe {setting} may be written out: `x.{op.name}(0, 1)`."
    return method
