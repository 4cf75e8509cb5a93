"""Ops that compare and combine truths. Their results are boolean and have no gradient."""

from ember_ml.core.dtypes import REAL, bool_, promote
from ember_ml.core.op import primitive
from ember_ml.core.rules import broadcast, operands, truth
from ember_ml.core.trace import constant

__all__ = [
    "equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "not_equal",
]  # fmt: skip


def compared(args, attrs):
    """All arguments meet in one dtype; the result is boolean."""
    return promote(*operands(args)), bool_


@primitive(shape=broadcast, dtype=compared, vjp=constant)
def equal(x1, x2, /):
    """Whether x1 and x2 are the same; NaN equals nothing."""


@primitive(shape=broadcast, dtype=compared, vjp=constant)
def not_equal(x1, x2, /):
    """Whether x1 and x2 differ."""


@primitive(shape=broadcast, dtype=compared, kinds=REAL, vjp=constant)
def less(x1, x2, /):
    """Whether x1 < x2."""


@primitive(shape=broadcast, dtype=compared, kinds=REAL, vjp=constant)
def less_equal(x1, x2, /):
    """Whether x1 <= x2."""


@primitive(shape=broadcast, dtype=compared, kinds=REAL, vjp=constant)
def greater(x1, x2, /):
    """Whether x1 > x2."""


@primitive(shape=broadcast, dtype=compared, kinds=REAL, vjp=constant)
def greater_equal(x1, x2, /):
    """Whether x1 >= x2."""


@primitive(shape=broadcast, dtype=truth, kinds=("bool",), vjp=constant)
def logical_and(x1, x2, /):
    """Whether both hold."""


@primitive(shape=broadcast, dtype=truth, kinds=("bool",), vjp=constant)
def logical_or(x1, x2, /):
    """Whether either holds."""


@primitive(shape=broadcast, dtype=truth, kinds=("bool",), vjp=constant)
def logical_xor(x1, x2, /):
    """Whether exactly one holds."""


@primitive(dtype=truth, kinds=("bool",), vjp=constant)
def logical_not(x, /):
    """Whether it does not hold."""
