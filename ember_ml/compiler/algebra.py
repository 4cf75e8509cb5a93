"""What says the same as an op with less work, as rules written in ops; `passes` says when they are asked.

"algebra" leaves out what changes nothing, and computes with a number where an array holds nothing else.
"strength" replaces slow operations by quick ones: small powers and division by a number by multiplication.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

from ember_ml.compiler.passes import rule
from ember_ml.core import TABLE, Op, Traced, spec_of
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.rules import as_axes, broadcast, broadcast_shapes, reduced, reshaped, shape_of
from ember_ml.core.trace import made_by
from ember_ml.ops.creation import full
from ember_ml.ops.elementwise import add, divide, multiply, negative, square, subtract
from ember_ml.ops.reduction import sum
from ember_ml.ops.shape import matrix_transpose, permute_dims, reshape

PRECISE = ("float32", "float64", "complex64", "complex128")


def _number(x: Any) -> Any:
    """Return the number that is all that x holds; None where it may hold others."""
    if type(x) in SCALARS:
        return x
    if (node := made_by(x, "full", "zeros", "ones")) is None:
        return None
    kind = {"bool": bool, "int": int, "uint": int, "complex": complex}.get(x.dtype.kind, float)
    return kind(node.attrs.get("fill_value", 0 if node.op.name == "zeros" else 1))


def _fills(x: Any) -> bool:
    return type(x) is Traced and _number(x) is not None


def _filled(value: Any, like: Any) -> Any:
    return full(shape_of(like), value, dtype=spec_of(like).dtype)


def _smaller(args: tuple) -> list:
    """Return arguments that broadcast: none larger than need be, numbers for arrays of one number."""
    out = list(args)
    for i, x in enumerate(args):
        node = made_by(x, "broadcast_to", "reshape")
        others = [shape_of(y) for j, y in enumerate(out) if j != i]
        if node is not None and (node.op.name == "broadcast_to" or math.prod(x.shape) == 1):
            inner = node.args[0]
            if broadcast_shapes(shape_of(inner), *others) == broadcast_shapes(x.shape, *others):
                out[i] = inner
    numbers = [_number(x) if _fills(x) else x for x in out]
    kept = [x for x in numbers if type(x) not in SCALARS]
    same = kept and broadcast_shapes(*map(shape_of, kept)) == broadcast_shapes(*map(shape_of, out))
    typed = any(spec_of(x).dtype.kind != "bool" for x in kept)  # a condition decides no dtype
    return numbers if same and typed else out


def _on_smaller(op: Op) -> Callable:
    """Return the rule of an op whose arguments broadcast: itself, on arguments as small as can be."""

    def shrunk(*args: Any, **attrs: Any) -> Any:
        small = _smaller(args)
        changed = any(a is not b for a, b in zip(small, args, strict=True))
        return op.apply(*small, **attrs) if changed else None  # recorded by way of all rules again

    return shrunk


def _on_one_number(op: Op) -> Callable:
    """Return the rule of an op that computes nothing: of an array of one number it makes another."""

    def filled(x: Any, **attrs: Any) -> Any:
        if not _fills(x):
            return None
        out = op.infer((x,), attrs)
        return full(out.shape, _number(x), dtype=out.dtype)

    return filled


for _op in TABLE.values():
    if _op.shape is broadcast and _op.body is None:
        rule("algebra", _op.name)(_on_smaller(_op))
    if _op.is_view or _op.name == "astype":
        rule("algebra", _op.name)(_on_one_number(_op))


@rule("algebra", "add")
def _add(x: Any, y: Any) -> Any:
    if _number(y) == 0:
        return x
    if _number(x) == 0:
        return y
    if (node := made_by(y, "negative")) is not None:
        return subtract(x, node.args[0])
    if (node := made_by(x, "negative")) is not None:
        return subtract(y, node.args[0])
    return None


@rule("algebra", "subtract")
def _subtract(x: Any, y: Any) -> Any:
    if _number(y) == 0:
        return x
    if (node := made_by(y, "negative")) is not None:
        return add(x, node.args[0])
    return None


@rule("algebra", "multiply")
def _multiply(x: Any, y: Any) -> Any:
    if type(x) in SCALARS:
        x, y = y, x
    if type(y) not in SCALARS:
        return None
    if y == 1:
        return x
    if y == -1:
        return negative(x)
    if x.dtype.kind not in FLOATING:
        return None
    if _fills(x):
        return _filled(_number(x) * y, x)
    if (node := made_by(x, "multiply", "divide")) is not None and type(node.args[1]) in SCALARS:
        inner = node.args[1]
        return multiply(node.args[0], y * inner if node.op.name == "multiply" else y / inner)
    if (node := made_by(x, "negative")) is not None:
        return multiply(node.args[0], -y)
    return None


@rule("algebra", "divide")
def _divide(x: Any, y: Any) -> Any:
    if type(y) not in SCALARS or type(x) in SCALARS or y == 0:
        return None
    if _fills(x) and x.dtype.kind in FLOATING:
        return _filled(_number(x) / y, x)
    return x if y == 1 else None


@rule("algebra", "negative")
def _negative(x: Any) -> Any:
    if _fills(x) and x.dtype.kind in FLOATING:
        return _filled(-_number(x), x)
    if (node := made_by(x, "negative")) is not None:
        return node.args[0]
    node = made_by(x, "multiply", "divide")
    if node is not None and type(node.args[1]) in (int, float) and x.dtype.kind in FLOATING:
        return node.op.function(node.args[0], -node.args[1])
    return None


@rule("algebra", "where")
def _where(condition: Any, x: Any, y: Any) -> Any:
    return x if x is y and type(x) is Traced else None


@rule("algebra", "power")
def _power(x: Any, y: Any) -> Any:
    return x if type(y) in SCALARS and y == 1 else None


@rule("algebra", "reshape")
def _reshape(x: Any, *, shape: Any, copy: Any) -> Any:
    node = made_by(x, "reshape")
    return None if node is None else reshape(node.args[0], shape=reshaped(x, shape))


@rule("algebra", "reshape", "broadcast_to", "astype", "stop_gradient")
def _unchanged(x: Any, **_: Any) -> Any:
    return x


@rule("algebra", "sum")
def _sum(x: Any, *, axis: Any, keepdims: bool, dtype: Any) -> Any:
    if x.dtype.kind not in FLOATING or dtype is not None:
        return None
    shape = reduced(x, axis, keepdims)
    count, left = math.prod(x.shape), math.prod(shape)
    if _fills(x):
        return full(shape, _number(x) * (count // max(1, left)), dtype=x.dtype)
    if count == left:
        return reshape(x, shape=shape)
    if (node := made_by(x, "negative")) is not None:
        return negative(sum(node.args[0], axis=axis, keepdims=keepdims))
    return None


@rule("algebra", "matrix_transpose")
def _matrix_transpose(x: Any) -> Any:
    node = made_by(x, "matrix_transpose")
    return None if node is None else node.args[0]


@rule("algebra", "permute_dims")
def _permute_dims(x: Any, *, axes: tuple) -> Any:
    axes = as_axes(axes, x.ndim)
    plain = tuple(range(x.ndim))
    if axes == plain:
        return x
    if x.ndim > 1 and axes == (*plain[:-2], plain[-1], plain[-2]):
        return matrix_transpose(x)
    if (node := made_by(x, "permute_dims")) is not None:
        inner = as_axes(node.attrs["axes"], x.ndim)
        return permute_dims(node.args[0], axes=tuple(inner[a] for a in axes))
    return None


@rule("algebra", "getitem")
def _getitem(x: Any, *, index: Any) -> Any:
    parts = index if type(index) is tuple else (index,)
    return x if all(type(p) is slice and p == slice(None) for p in parts) else None


@rule("algebra", "conj", "real")
def _real_already(x: Any) -> Any:
    return x if x.dtype.kind != "complex" else None


@rule("algebra", "exp")
def _softmax_of_parts(x: Any) -> Any:
    """exp(z - (log(s) + m)) with s = sum(exp(z - m)), the gradient of a cross-entropy, needs no new exp."""
    if (outer := made_by(x, "subtract")) is None or (both := made_by(outer.args[1], "add")) is None:
        return None
    for logarithm, m in (both.args, both.args[::-1]):
        if (log := made_by(logarithm, "log")) and (total := made_by(log.args[0], "sum")):
            exp = made_by(total.args[0], "exp")
            inner = exp and made_by(exp.args[0], "subtract")
            if inner and inner.args[0] is outer.args[0] and inner.args[1] is m:
                return divide(total.args[0], log.args[0])
    return None


@rule("strength", "power")
def _power_by_products(x: Any, y: Any) -> Any:
    if type(y) not in (int, float) or type(x) in SCALARS:
        return None
    if y in (2, 3, 4):
        twice = square(x)
        return twice if y == 2 else multiply(twice, x) if y == 3 else square(twice)
    if y in (-1, -2) and x.dtype.kind in FLOATING:
        return divide(1, x if y == -1 else square(x))
    return None


@rule("strength", "divide")
def _divide_by_product(x: Any, y: Any) -> Any:
    if type(y) not in SCALARS or type(x) in SCALARS or not x.shape or x.dtype not in PRECISE:
        return None
    return multiply(x, 1 / y) if 1e-30 < builtins.abs(y) < 1e30 else None
