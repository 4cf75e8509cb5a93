"""How NumPy's programs are written: each step by the quickest words that NumPy has for arrays of its shapes.

A step without a phrase is written as a call of what the backend binds to the op.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ember_ml.core import TABLE
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import Step, Var
from ember_ml.core.rules import as_axes, reduced, reshaped, shape_of
from ember_ml.core.trace import made_by

SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
REDUCERS = {
    "sum": ("add_reduce", np.add.reduce),
    "prod": ("multiply_reduce", np.multiply.reduce),
    "max": ("maximum_reduce", np.maximum.reduce),
    "min": ("minimum_reduce", np.minimum.reduce),
    "any": ("logical_or_reduce", np.logical_or.reduce),
    "all": ("logical_and_reduce", np.logical_and.reduce),
}
MOST = 1 << 16  # numbers added up by a matrix product, which does not add in pairs
BITS = {2: np.dtype("int16"), 4: np.dtype("int32"), 8: np.dtype("int64")}


class Phrase(NamedTuple):
    """The text of a step: `{0}`, `{1}` … stand for its arguments, other names for what is in `scope`."""

    text: str
    scope: dict[str, Any] = {}  # noqa: RUF012 - a named tuple's defaults are never written to
    fresh: bool = True  # the result shares no memory with an argument
    into: str = ""  # the statement that writes the result into the array `{out}`, maybe one of the arguments
    numbers: Any = None  # the dtype in which numbers among the arguments are held ready


def phrase(step: Step) -> Phrase | None:
    """Return the words for a step; None where there are no better than a call."""
    if step.op.name in WORDS:
        return WORDS[step.op.name](*step.args, out=step.outs[0].spec, **step.attrs)
    bound = getattr(np, step.op.name, None)
    return _ufunc(step, bound) if isinstance(bound, np.ufunc) and step.op.body is None else None


def _ufunc(step: Step, bound: np.ufunc) -> Phrase:
    name, out = step.op.name, step.outs[0].spec
    if not out.shape and out.dtype.kind in FLOATING:  # NumPy's numbers: a tenth of a ufunc's time
        if name in SIGNS:
            return Phrase(f"{{0}} {SIGNS[name]} {{1}}")
        if name == "negative":
            return Phrase("-{0}")
    inside = ", ".join(f"{{{i}}}" for i in range(len(step.args)))
    dtypes = {a.spec.dtype for a in step.args if type(a) is Var}
    held = dtypes.pop() if len(dtypes) == 1 else None
    numbers = held if held is not None and held.kind in FLOATING and step.outs[0].spec.shape else None
    call = f"{{{name}}}({inside}"
    return Phrase(f"{call})", {name: bound}, into=f"{call}, out={{out}})", numbers=numbers)


def _matmul(x1: Any, x2: Any, *, out: Any) -> Phrase | None:
    ndims = {len(shape_of(x.spec if type(x) is Var else x)) for x in (x1, x2)}
    return Phrase("{dot}({0}, {1})", {"dot": np.dot}) if ndims <= {1, 2} else None


def _matrix_transpose(x: Any, *, out: Any) -> Phrase:
    return Phrase("{0}.mT", fresh=False)


def _permute_dims(x: Any, *, out: Any, axes: Any) -> Phrase:
    return Phrase(f"{{0}}.transpose({', '.join(map(str, axes))})", fresh=False)


def _reshape(x: Any, *, out: Any, shape: Any, copy: Any) -> Phrase | None:
    flat = (
        "{0}.ravel()" if len(out.shape) == 1 else f"{{0}}.reshape({', '.join(map(str, out.shape)) or '()'})"
    )
    return Phrase(flat, fresh=False) if copy is None else None


def _astype(x: Any, *, out: Any, dtype: Any) -> Phrase | None:
    return Phrase(f"{{0}}.astype({{{out.dtype}}})", {str(out.dtype): np.dtype(out.dtype)})


def _reduced(x: Any, *, out: Any, name: str, axis: Any, keepdims: bool, dtype: Any = None) -> Phrase | None:
    word, function = REDUCERS[name]
    over = as_axes(axis, x.spec.ndim)
    if dtype is not None or (name in ("sum", "prod") and x.spec.dtype.kind not in FLOATING):
        return None
    if name in ("max", "min") and 0 in x.spec.shape:
        return None
    written = "None" if len(over) == x.spec.ndim else str(over[0] if len(over) == 1 else over)
    return Phrase(f"{{{word}}}({{0}}, {written}{', keepdims=True' if keepdims else ''})", {word: function})


def _where(condition: Any, x1: Any, x2: Any, *, out: Any) -> Phrase | None:
    """x's bits times the truth: where(condition, x, 0) without a branch, a tenth of its time."""
    given = type(condition) is Var and type(x1) is Var and type(x2) in (int, float) and x2 == 0
    if not given or out.dtype.kind != "float" or not condition.spec.shape == x1.spec.shape == out.shape:
        return None
    bits, dtype = BITS[out.dtype.itemsize], np.dtype(out.dtype)
    scope = {"multiply": np.multiply, bits.name: bits, dtype.name: dtype}
    bits_of = f"{{multiply}}({{1}}.view({bits.name}), {{0}}"
    return Phrase(f"{bits_of}).view({dtype.name})", scope, into=f"{bits_of}, out={{out}}.view({bits.name}))")


def _as_reducer(name: str) -> Callable:
    return lambda x, **settings: _reduced(x, name=name, **settings)


WORDS: dict[str, Callable] = {
    "matmul": _matmul,
    "matrix_transpose": _matrix_transpose,
    "permute_dims": _permute_dims,
    "reshape": _reshape,
    "astype": _astype,
    "where": _where,
    **{name: _as_reducer(name) for name in REDUCERS},
}


def _sum_by_product(x: Any, *, axis: Any, keepdims: bool, dtype: Any) -> Any:
    """Sums as matrix products, which BLAS takes a third of the time for, and rounds less."""
    over, size = sorted(as_axes(axis, x.ndim)), math.prod(x.shape)
    if x.dtype not in ("float32", "float64") or dtype is not None or 0 in x.shape or not over:
        return None
    first, last = over == list(range(len(over))), over == list(range(x.ndim - len(over), x.ndim))
    count = math.prod(x.shape[a] for a in over)
    if count > MOST or not (first or last):
        return None
    if len(over) == x.ndim:
        if (squared := made_by(x, "square")) is None:
            return None
        flat = _shaped(squared.args[0], (-1,))
        total = _op("matmul")(flat, flat)
    elif x.ndim == 2 or first:  # a view, unless x is one itself
        ones = _op("full")((count,), 1.0, dtype=x.dtype)
        rows = _shaped(x, (count, size // count) if first else (size // count, count))
        total = _op("matmul")(ones, rows) if first else _op("matmul")(rows, ones)
    else:
        return None
    return _shaped(total, reduced(x, axis, keepdims))


def _product_of_rows(x1: Any, x2: Any) -> Any:
    """A stack of products with one matrix as one product over all rows."""
    if type(x1) is not type(x2) or x1.ndim < 3 or x2.ndim != 2 or 0 in x1.shape:
        return None
    rows = _op("matmul")(_shaped(x1, (-1, x1.shape[-1])), x2)
    return _shaped(rows, (*x1.shape[:-1], x2.shape[-1]))


def _op(name: str) -> Callable:
    return TABLE[name].function


def _shaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x if x.shape == reshaped(x, shape) else _op("reshape")(x, shape=shape)


REWRITES: dict[str, Callable] = {"sum": _sum_by_product, "matmul": _product_of_rows}
