"""How a printed loop computes one element: the text of each elementwise op, and of each reduction.

Numba promotes int32 to int64 and, beside an integer, float32 to float64. So every number is written with its
dtype, and every result of integers is cast to its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ember_ml.core.dtypes import DType

WIDTHS = {"float32": "32", "float64": "64"}
WHOLE = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
DTYPES = frozenset({*WIDTHS, *WHOLE, "bool"})


class Unsayable(ValueError):
    """What the printer has no words for. The graph stays with NumPy."""

    def __init__(self, what: str):
        super().__init__(f"loops: no words for {what}")


def literal(value: Any, dtype: DType) -> str:
    """Return a Python number as text of a dtype."""
    if dtype == "bool" and type(value) is bool:
        return str(value)
    if dtype in WHOLE and int(value) == value and -(2**63) <= value < 2**63:
        low, high = bounds(dtype)
        if low <= value <= high:
            return f"np.{dtype}({int(value)})"
    if dtype in WIDTHS and type(value) in (bool, int, float):
        number = float(value)
        text = repr(number) if math.isfinite(number) else f"np.{number}".replace("np.-", "-np.")
        return f"np.{dtype}({text})"
    raise Unsayable(f"{value!r} as {dtype}")


def bounds(dtype: DType) -> tuple[int, int]:
    """Return the least and the greatest number of a dtype of integers."""
    bits = dtype.bits
    return (0, 2**bits - 1) if dtype.kind == "uint" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def cast(text: str, source: DType, target: DType) -> str:
    """Return the text of a value of one dtype as another."""
    if source == target:
        return text
    return f"({text} != {literal(0, source)})" if target == "bool" else f"np.{target}({text})"


def _infix(sign: str) -> Callable:
    return lambda dtype, x, y: f"{x} {sign} {y}"


def _of_floats(form: str) -> Callable:
    """Return the writer of a function of floats; `{w}` in `form` is their width."""

    def write(dtype: DType, *given: str) -> str:
        if dtype not in WIDTHS:
            raise Unsayable(f"{form} of {dtype}")
        return form.format(*given, w=WIDTHS[dtype], t=dtype)

    return write


def _of_numbers(form: str) -> Callable:
    def write(dtype: DType, *given: str) -> str:
        if dtype == "bool" or dtype.startswith("u"):
            raise Unsayable(f"{form} of {dtype}")
        return form.format(*given, t=dtype)

    return write


def _of_truths(form: str) -> Callable:
    return lambda dtype, *given: form.format(*(cast(x, dtype, DType("bool")) for x in given))


def _kept_if_whole(form: str) -> Callable:
    return lambda dtype, x: x if dtype in WHOLE else _of_floats(form)(dtype, x)


# The dtype is that of the arguments. What it returns is cast to that of the result.
ELEMENTWISE: dict[str, Callable[..., str]] = {
    "add": _infix("+"),
    "subtract": _infix("-"),
    "multiply": _infix("*"),
    "divide": _of_floats("{0} / {1}"),
    "negative": _of_numbers("-{0}"),
    "square": lambda dtype, x: f"{x} * {x}",
    "abs": _of_numbers("abs({0})"),
    "sign": _of_floats("({0} if {0} != {0} else np.{t}({0} > 0) - np.{t}({0} < 0))"),
    "maximum": lambda dtype, x, y: f"larger({x}, {y})",
    "minimum": lambda dtype, x, y: f"smaller({x}, {y})",
    "sqrt": _of_floats("np.sqrt({0})"),
    "floor": _kept_if_whole("np.floor({0})"),
    "ceil": _kept_if_whole("np.ceil({0})"),
    "trunc": _kept_if_whole("np.trunc({0})"),
    "round": _kept_if_whole("np.rint({0})"),
    "isnan": _of_floats("{0} != {0}"),
    "isinf": _of_floats("abs({0}) == np.inf"),
    "isfinite": _of_floats("abs({0}) < np.inf"),
    "logical_and": _of_truths("{0} & {1}"),
    "logical_or": _of_truths("{0} | {1}"),
    "logical_xor": _of_truths("{0} != {1}"),
    "logical_not": _of_truths("not {0}"),
    "logaddexp": _of_floats("logaddexp{w}({0}, {1})"),
    "stop_gradient": lambda dtype, x: x,
}
COMPARISONS = {
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
}
ELEMENTWISE |= {name: _infix(sign) for name, sign in COMPARISONS.items()}
ELEMENTWISE |= {
    name: _of_floats(f"{name}{{w}}({{0}})") for name in ("exp", "log", "log1p", "tanh", "sigmoid")
}

# Numba calls the C library for these, one number at a time: right, but no faster than NumPy.
ONE_BY_ONE = {
    *("expm1", "sin", "cos", "tan", "sinh", "cosh", "acosh", "asinh", "acos", "asin", "atan", "atanh"),
    *("atan2", "erf", "lgamma", "log10", "log2", "hypot", "power"),
}
OF_TWO = {"atan2": "atan2", "hypot": "hypot", "power": "pow"}
ELEMENTWISE |= {name: _of_floats(f"math.{name}({{0}})") for name in ONE_BY_ONE.difference(OF_TWO)}
ELEMENTWISE |= {name: _of_floats(f"math.{word}({{0}}, {{1}})") for name, word in OF_TWO.items()}
WITHOUT_BOOL = frozenset({"add", "subtract", "multiply", "square"})


class Reduction(NamedTuple):
    """The number to begin with, and the text of the next from the one so far and an element."""

    first: Callable[[DType], str]
    following: str


def _end(dtype: DType, *, least: bool) -> str:
    """Return the number below, or above, all others of a dtype."""
    if dtype in WIDTHS:
        return literal(-math.inf if least else math.inf, dtype)
    if dtype == "bool":
        return str(not least)
    return literal(bounds(dtype)[0 if least else 1], dtype)


REDUCTIONS = {
    "sum": Reduction(lambda dtype: literal(0, dtype), "plus({0}, {1})"),
    "prod": Reduction(lambda dtype: literal(1, dtype), "times({0}, {1})"),
    "max": Reduction(lambda dtype: _end(dtype, least=True), "larger({0}, {1})"),
    "min": Reduction(lambda dtype: _end(dtype, least=False), "smaller({0}, {1})"),
    "any": Reduction(lambda dtype: "False", "{0} | {1}"),
    "all": Reduction(lambda dtype: "True", "{0} & {1}"),
}


def element(name: str, arguments: Sequence[tuple[str, DType]], result: DType) -> str:
    """Return the text of one element of an elementwise op, from that of its arguments and their dtypes."""
    dtypes = {dtype for _, dtype in arguments}
    if name == "astype":
        return cast(*arguments[0], result)
    if name == "where":
        (truth, kind), *branches = arguments
        yes, no = (cast(text, dtype, result) for text, dtype in branches)
        return f"{yes} if {cast(truth, kind, DType('bool'))} else {no}"
    if len(dtypes) != 1 or (name in WITHOUT_BOOL and "bool" in dtypes):
        raise Unsayable(f"{name} of {sorted(dtypes)}")
    given = dtypes.pop()
    text = ELEMENTWISE[name](given, *(text for text, _ in arguments))
    own = result if name in COMPARISONS or given in WIDTHS else given
    return f"np.{own}({text})" if own in WHOLE else text
