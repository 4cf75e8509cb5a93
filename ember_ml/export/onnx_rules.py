"""What ONNX has no word for, said by other ops: rules as those of `algebra`.

Results stay what they were up to rounding and the sign of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ember_ml import ops
from ember_ml.core.rules import accumulated, as_axes, as_axis, expand_index, index_shape, shape_of
from ember_ml.ops.windows import padded, spread

RULES: dict[str, Callable] = {
    "copysign": lambda x, y: ops.where(ops.signbit(y), ops.negative(ops.abs(x)), ops.abs(x)),
    "expm1": lambda x: ops.multiply(ops.tanh(ops.multiply(x, 0.5)), ops.add(ops.exp(x), 1)),
    "imag": ops.zeros_like,
    "isfinite": lambda x: ops.logical_not(ops.logical_or(ops.isnan(x), ops.isinf(x))),
    "log2": lambda x: ops.divide(ops.log(x), math.log(2)),
    "log10": lambda x: ops.divide(ops.log(x), math.log(10)),
    "not_equal": lambda x, y: ops.logical_not(ops.equal(x, y)),
    "signbit": lambda x: ops.logical_or(ops.less(x, 0), ops.less(ops.divide(1, x), 0)),
    "square": lambda x: ops.multiply(x, x),
    "stop_gradient": lambda x: x,
}


def _rule(*names: str) -> Callable[[Callable], Callable]:
    return lambda function: RULES.update(dict.fromkeys(names, function)) or function


@_rule("log1p")
def _log1p(x: Any) -> Any:
    """log(1 + x); what 1 + x rounds off is made good by x / ((1 + x) - 1) (Goldberg 1991, theorem 4)."""
    raised = ops.add(x, 1)
    left = ops.subtract(raised, 1)
    exact = ops.where(ops.equal(left, 0), x, ops.multiply(ops.log(raised), ops.divide(x, left)))
    return ops.where(ops.greater(x, 1), ops.log(raised), exact)


@_rule("logaddexp")
def _logaddexp(x: Any, y: Any) -> Any:
    apart = ops.where(ops.equal(x, y), 0, ops.abs(ops.subtract(x, y)))  # infinities are not apart
    return ops.add(ops.maximum(x, y), ops.log1p(ops.exp(ops.negative(apart))))


@_rule("hypot")
def _hypot(x: Any, y: Any) -> Any:
    x, y = ops.abs(x), ops.abs(y)
    longer, shorter = ops.maximum(x, y), ops.minimum(x, y)
    ratio = ops.divide(shorter, longer)
    plain = ops.multiply(longer, ops.sqrt(ops.add(ops.multiply(ratio, ratio), 1)))
    return ops.where(ops.logical_or(ops.equal(longer, 0), ops.isinf(longer)), longer, plain)


@_rule("atan2")
def _atan2(y: Any, x: Any) -> Any:
    angle = ops.atan(ops.divide(y, x))
    turned = ops.where(ops.less(x, 0), ops.add(angle, ops.copysign(ops.full_like(y, math.pi), y)), angle)
    return ops.where(ops.equal(x, 0), ops.multiply(ops.sign(y), math.pi / 2), turned)


@_rule("where")
def _where_of_truths(condition: Any, x: Any, y: Any) -> Any:
    if any(getattr(each, "dtype", bool) not in ("bool", bool) for each in (x, y)):
        return None
    yes, no = ops.logical_and(condition, x), ops.logical_and(ops.logical_not(condition), y)
    return ops.logical_or(yes, no)  # onnxruntime chooses between numbers alone


@_rule("floor", "ceil", "round")
def _whole_already(x: Any) -> Any:
    return None if x.dtype.kind == "float" else x


@_rule("trunc")
def _trunc(x: Any) -> Any:
    return x if x.dtype.kind != "float" else ops.where(ops.less(x, 0), ops.ceil(x), ops.floor(x))


@_rule("isnan", "isinf")
def _never(x: Any) -> Any:
    return None if x.dtype.kind == "float" else ops.zeros_like(x, dtype="bool")


@_rule("bitwise_left_shift")
def _left(x: Any, places: Any) -> Any:
    return None if x.dtype.kind == "uint" else ops.multiply(x, _power_of_two(places))


@_rule("bitwise_right_shift")
def _right(x: Any, places: Any) -> Any:
    return None if x.dtype.kind == "uint" else ops.floor_divide(x, _power_of_two(places))


def _power_of_two(places: Any) -> Any:
    return 2**places if type(places) is int else ops.power(ops.full_like(places, 2), places)


@_rule("cumulative_prod")
def _running_product(x: Any, *, axis: Any, dtype: Any, include_initial: bool) -> Any:
    at = as_axis(axis or 0, x.ndim)
    rows = ops.moveaxis(ops.astype(x, dtype=accumulated((x,), {"dtype": dtype})[1]), at, 0)
    first = ops.full(shape_of(rows)[1:], 1, dtype=rows.dtype, like=rows)
    _, made = ops.scan(lambda so_far, row: (ops.multiply(so_far, row),) * 2, first, rows)
    made = ops.concat([ops.expand_dims(first, axis=0), made]) if include_initial else made
    return ops.moveaxis(made, 0, at)


@_rule("searchsorted")
def _searchsorted(x1: Any, x2: Any, sorter: Any = None, *, side: str) -> Any:
    known = x1 if sorter is None else ops.take(x1, sorter)
    before = ops.less if side == "left" else ops.less_equal
    return ops.sum(before(known, ops.expand_dims(x2, axis=-1)), axis=-1)


@_rule("flip")
def _flip(x: Any, *, axis: Any) -> Any:
    gone = as_axes(axis, x.ndim)
    return ops.getitem(x, index=tuple(slice(None, None, -1 if i in gone else 1) for i in range(x.ndim)))


@_rule("slice_update")
def _slice_update(x: Any, updates: Any, *, index: Any) -> Any:
    """Fetch for each place the update that lands there, axis by axis, and choose those that one lands on."""
    shape = shape_of(x)
    parts = [p for p in expand_index(index, len(shape)) if p is not None]
    places = [
        list(range(n))[p] if isinstance(p, slice) else [p % n] for p, n in zip(parts, shape, strict=True)
    ]
    made = ops.broadcast_to(_array(updates, x), shape=index_shape(x, index))
    made, hit = ops.reshape(made, shape=tuple(map(len, places))), True
    if not math.prod(map(len, places)):
        return x
    for axis, (known, n) in enumerate(zip(places, shape, strict=True)):
        if known == list(range(n)):
            continue
        source = {place: i for i, place in enumerate(known)}
        made = ops.take(made, ops.asarray([source.get(i, 0) for i in range(n)], like=x), axis=axis)
        row = ops.asarray([i in source for i in range(n)], like=x)
        row = ops.reshape(row, shape=(n, *(1,) * (len(shape) - axis - 1)))
        hit = row if hit is True else ops.logical_and(hit, row)
    return made if hit is True else ops.where(hit, made, x)


def _array(x: Any, like: Any) -> Any:
    return x if hasattr(x, "dtype") else ops.full((), x, dtype=like.dtype, like=like)


@_rule("convolution")
def _plain_convolution(x: Any, weight: Any, *, padding: Any, input_dilation: Any, **settings: Any) -> Any:
    """Put the zeros between the values of x first, and cut what is padded by a negative number."""
    if all(d == 1 for d in input_dilation) and min(n for pair in padding for n in pair) >= 0:
        return None
    none = {"padding": ((0, 0),) * len(padding), "input_dilation": (1,) * len(padding)}
    return ops.convolution(padded(spread(x, input_dilation), padding), weight, **none, **settings)
