"""Ops that put values in order."""

from ember_ml.core.dtypes import REAL
from ember_ml.core.op import primitive
from ember_ml.core.rules import as_axis, index, kept, same, shape_of
from ember_ml.core.trace import constant


def _ordered(x, axis=-1, **_):
    as_axis(axis, len(shape_of(x)))
    return same(x)


@primitive(shape=_ordered, dtype=index, kinds=REAL, vjp=constant)
def argsort(x, /, axis=-1, descending=False):
    """The indices that would sort x along an axis; equal values keep their order."""


@primitive(shape=_ordered, dtype=kept, kinds=REAL)
def sort(x, /, axis=-1, descending=False):
    """The values in order along an axis."""
