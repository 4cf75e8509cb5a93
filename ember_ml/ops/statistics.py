"""Ops that say where values lie: medians and other quantiles."""

import math

from ember_ml.core.dtypes import REAL
from ember_ml.core.op import composite
from ember_ml.core.rules import as_axes, reduced_not_empty, shape_of
from ember_ml.ops.creation import as_floating
from ember_ml.ops.elementwise import add, isnan, multiply, where
from ember_ml.ops.indexing import getitem
from ember_ml.ops.shape import permute_dims, reshape, stack
from ember_ml.ops.sorting import sort

__all__ = ["median", "percentile", "quantile"]


@composite(kinds=REAL)
def median(x, /, axis=None, keepdims=False):
    """The middle value, between the two middle ones of an even number; NaN where one is NaN."""
    return quantile(x, 0.5, axis=axis, keepdims=keepdims)


@composite(kinds=REAL)
def percentile(x, /, q, axis=None, keepdims=False):
    """The `quantile` at q percent, a number or a list of them."""
    return quantile(x, _scaled(q), axis=axis, keepdims=keepdims)


@composite(kinds=REAL)
def quantile(x, /, q, axis=None, keepdims=False):
    """The value below which the share q of all lies, by a straight line between neighbours; NaN where one is.

    A list of shares gives a new first axis. Raises ValueError for a share beyond [0, 1] and for no values.
    """
    shape = reduced_not_empty(x, axis, keepdims)
    rows = _sorted_rows(as_floating(x), axis)
    if isinstance(q, int | float):
        return reshape(_at(rows, q), shape=shape)
    return stack([reshape(_at(rows, share), shape=shape) for share in _numbers(q)], axis=0)


def _numbers(q):
    return list(q) if isinstance(q, list | tuple) else q.tolist()


def _scaled(q):
    return q / 100 if isinstance(q, int | float) else [each / 100 for each in _numbers(q)]


def _sorted_rows(x, axis):
    """Return the values of the axes named in order along one last axis, and all others before it."""
    gone = as_axes(axis, len(shape_of(x)))
    kept = [i for i in range(len(shape_of(x))) if i not in gone]
    moved = permute_dims(x, axes=(*kept, *gone))
    sizes = shape_of(moved)
    return sort(reshape(moved, shape=(*sizes[: len(kept)], math.prod(sizes[len(kept) :]))))


def _at(rows, share):
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1 (a percentage between 0 and 100), got {share}")
    n = shape_of(rows)[-1]
    below = min(int(share * (n - 1)), n - 1)
    part = share * (n - 1) - below
    value, last = getitem(rows, index=(..., below)), getitem(rows, index=(..., n - 1))
    if part > 0:
        above = getitem(rows, index=(..., below + 1))
        value = add(multiply(value, 1 - part), multiply(above, part))
    return where(isnan(last), last, value)
