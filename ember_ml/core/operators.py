"""Python's operators, derived from the table for every kind of array of ours."""

from __future__ import annotations

from typing import Any

from ember_ml.core.op import TABLE

BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


class Operators:
    """`x + y`, `-x`, `x @ y`, `x < y`, `x[i]`: each calls the op of the table."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        return TABLE["getitem"](self, index=index)


def _binary(op: str) -> Any:
    def method(self: Any, other: Any) -> Any:
        return TABLE[op].function(self, other)

    return method


def _reflected(op: str) -> Any:
    def method(self: Any, other: Any) -> Any:
        return TABLE[op].function(other, self)

    return method


def _unary(op: str) -> Any:
    def method(self: Any) -> Any:
        return TABLE[op].function(self)

    return method


for _name, _op in BINARY.items():
    setattr(Operators, f"__{_name}__", _binary(_op))
    setattr(Operators, f"__r{_name}__", _reflected(_op))
for _name, _op in COMPARISONS.items():
    setattr(Operators, f"__{_name}__", _binary(_op))
for _name, _op in UNARY.items():
    setattr(Operators, f"__{_name}__", _unary(_op))
