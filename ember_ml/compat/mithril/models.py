"""Mithril's nodes: its names where they differ from ours, every module of ours, every op by its name.

`Relu()`, `Softmax(axis=-1)`, `LogSumExp(axis=0)` are ops of the table; settings are those of the op.
"""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Callable
from functools import partial

from ember_ml import nn, ops
from ember_ml.core import TABLE
from ember_ml.nn import Operation
from ember_ml.nn.modules.operation import item, shape
from ember_ml.training import TrainModel

IOKey = nn.Connection
__all__ = ["IOKey", "TrainModel"]  # and what `__getattr__` finds


def l1(input: typing.Any) -> typing.Any:
    """Return the sum of |x|."""
    return ops.sum(ops.abs(input))


def l2(input: typing.Any) -> typing.Any:
    """Return half the sum of x**2."""
    return ops.multiply(ops.sum(ops.square(input)), 0.5)


def scaled_dot_product(
    query: typing.Any, key: typing.Any, value: typing.Any, mask: typing.Any = None, is_causal: bool = False
) -> typing.Any:
    """Return softmax(Q K' / sqrt(d)) V; where `mask` is False, nothing is attended to (Vaswani 2017, (1)).

    Shapes: query (..., n, d), key (..., m, d), value (..., m, e) -> (..., n, e). `is_causal` lets a query
    attend to the keys up to its own place.
    """
    scores = ops.matmul(query, ops.matrix_transpose(key)) * (1.0 / math.sqrt(query.shape[-1]))
    if is_causal:
        mask = ops.tril(ops.ones(tuple(scores.shape[-2:]), dtype="bool", like=scores))
    if mask is not None:
        scores = ops.where(mask, scores, -math.inf)
    return ops.matmul(ops.softmax(scores, axis=-1), value)


_LOSS = {"input": "y_pred", "target": "y_true"}
_EACH: dict[str, typing.Any] = {
    "axis": ()
}  # Mithril's losses are of every value, and TrainModel reduces them
_SCORES = {**_EACH, "from_logits": True}

# name -> what computes it, keys that are named otherwise, settings that differ
EQUIVALENTS: dict[str, tuple[str | Callable, dict[str, str], dict[str, typing.Any]]] = {
    "SquaredError": ("mse", _LOSS, _EACH),
    "AbsoluteError": ("mean_absolute_error", _LOSS, _EACH),
    "CrossEntropy": ("sparse_categorical_crossentropy", _LOSS, _SCORES),
    "BinaryCrossEntropy": ("binary_crossentropy", _LOSS, _SCORES),
    "KLDivergence": ("kl_divergence", _LOSS, _EACH),
    "HingeLoss": ("hinge", _LOSS, _EACH),
    "QuadHingeLoss": ("squared_hinge", _LOSS, _EACH),
    "QuantileLoss": ("quantile_loss", _LOSS, _EACH),
    "L1": (l1, {}, {}),
    "L2": (l2, {}, {}),
    "ScaledDotProduct": (scaled_dot_product, {}, {}),
    "Shape": (shape, {}, {}),
    "Indexer": (item, {}, {}),
    **{
        name: (op, {}, {})
        for name, op in {
            "Absolute": "abs",
            "Buffer": "positive",
            "Cast": "astype",
            "Clamp": "clip",
            "Cosine": "cos",
            "Exponential": "exp",
            "Flatten": "ravel",
            "MatrixMultiply": "matmul",
            "Negate": "negative",
            "PermuteTensor": "permute_dims",
            "ShiftLeft": "bitwise_left_shift",
            "ShiftRight": "bitwise_right_shift",
            "Sine": "sin",
            "Variance": "var",
        }.items()
    },
}


def __getattr__(name: str) -> typing.Any:
    """Return the class of nodes of this name. Raises AttributeError with the nearest names."""
    if name in EQUIVALENTS:
        return partial(_equivalent, name)
    if isinstance(module := getattr(nn, name, None), type) and issubclass(module, nn.Module):
        return module
    plain = {op.replace("_", ""): op for op in TABLE}
    if name[:1].isupper() and (op := plain.get(name.lower())) is not None:
        return partial(nn.node, op)
    near = difflib.get_close_matches(name, __dir__(), 3)
    raise AttributeError(f"mithril has no {name!r} here" + (f"; is it {' or '.join(near)}?" if near else ""))


def __dir__() -> list[str]:
    ops_ = ("".join(word.capitalize() for word in op.split("_")) for op in TABLE)
    return sorted({*globals(), *EQUIVALENTS, *dir(nn), *ops_})


def _equivalent(name: str, **settings: typing.Any) -> Operation:
    function, keys, own = EQUIVALENTS[name]
    return Operation(function, {**own, **settings}, keys)
