"""Ops that look for values: where they are, where they belong, which there are and how often.

The shape of most results depends on the values, so most are not for compiled code.
"""

from typing import Any, NamedTuple

from ember_ml.core.dtypes import REAL, int64, promote
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import UnknownShape, data_dependent, kept, operands, shape_of
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import equal, logical_not
from ember_ml.ops.costs import halvings, size
from ember_ml.ops.creation import zeros_like
from ember_ml.ops.elementwise import minimum
from ember_ml.ops.indexing import take
from ember_ml.ops.shape import reshape, stack
from ember_ml.ops.sorting import sort

__all__ = [
    "argwhere", "bincount", "isin", "nonzero", "searchsorted", "unique", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
]  # fmt: skip


def _places(x, **_):
    if not shape_of(x):
        raise ValueError("expected at least one dimension, got a single number")
    return data_dependent()


@primitive(shape=data_dependent, spec=_places, vjp=constant)
def nonzero(x, /):
    """Where the values are that are not 0, in order: a tuple of an index array for each axis."""


@composite(shape=data_dependent, vjp=constant)
def argwhere(x, /):
    """Where the values are that are not 0, in order: an array of a row for each, (n, dimensions)."""
    return stack(nonzero(x), axis=-1)


def _inserted(x1, x2, sorter=None, **_):
    if len(shape_of(x1)) != 1:
        raise ValueError(f"x1 must have one dimension, got shape {shape_of(x1)}")
    if sorter is not None and shape_of(sorter) != shape_of(x1):
        raise ValueError(f"sorter must have x1's shape {shape_of(x1)}, got {shape_of(sorter)}")
    return shape_of(x2)


def _searched(out, x1, x2, *_, **__):
    return size(x2) * halvings(size(x1) + 1)


def _compared_places(args, attrs):
    common = promote(*operands(args[:2]))
    return (common, common, *(None for x in args[2:] if x is not None)), int64


@primitive(
    shape=_inserted,
    dtype=_compared_places,
    kinds=REAL,
    arrays=("x1", "x2", "sorter"),
    vjp=constant,
    cost=_searched,
)
def searchsorted(x1, x2, /, side="left", sorter=None):
    """The places in sorted x1 before which x2 would be put in: before equal values, or after ("right").

    `sorter` is the argsort of an x1 that is not sorted.
    """


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def _values_and_places(args, attrs):
    return None, (kept(args, attrs)[1], int64, int64, int64)


@primitive(shape=data_dependent, dtype=_values_and_places, vjp=constant, returns=UniqueAll)
def unique_all(x, /):
    """The different values, rising; where each is first; which one each place holds; how often each occurs.

    "First" counts through the flattened array; the third result has x's shape. NaNs all differ.
    """


@composite(shape=data_dependent, vjp=constant, returns=UniqueCounts)
def unique_counts(x, /):
    """The different values, rising, and how often each occurs. NaNs all differ."""
    found = unique_all(x)
    return found.values, found.counts


@composite(shape=data_dependent, vjp=constant, returns=UniqueInverse)
def unique_inverse(x, /):
    """The different values, rising, and which one each place holds, in x's shape. NaNs all differ."""
    found = unique_all(x)
    return found.values, found.inverse_indices


@composite(shape=data_dependent, vjp=constant)
def unique_values(x, /):
    """The different values, rising. NaNs all differ."""
    return unique_all(x).values


@composite(shape=data_dependent, vjp=constant)
def unique(x, /, return_index=False, return_inverse=False, return_counts=False):
    """The different values, rising, and on request what else `unique_all` returns. NaNs all differ."""
    found = unique_all(x)
    asked = zip((return_index, return_inverse, return_counts), found[1:], strict=True)
    extra = [each for wanted, each in asked if wanted]
    return (found.values, *extra) if extra else found.values


@composite(kinds=REAL, vjp=constant)
def isin(x1, x2, /, *, invert=False):
    """Whether each value of x1 is among those of x2, or is not when `invert`. NaN is among none."""
    known = sort(reshape(x2, shape=(-1,)))
    size = shape_of(known)[0]
    if size:
        places = minimum(searchsorted(known, x1), size - 1)
        found = equal(take(known, places), x1)
    else:
        found = zeros_like(x1, dtype="bool")
    return logical_not(found) if invert else found


def _counted(x, weights=None, **_):
    if len(shape_of(x)) != 1 or (weights is not None and shape_of(weights) != shape_of(x)):
        shapes = " and ".join(str(shape_of(a)) for a in (x, weights) if a is not None)
        raise ValueError(f"expected one dimension, and as many weights, got shapes {shapes}")
    raise UnknownShape("the largest value decides on the shape, and compiled code does not know it")


@primitive(shape=data_dependent, spec=_counted, arrays=("x", "weights"), vjp=constant)
def bincount(x, /, weights=None, minlength=0):
    """How often each of 0, 1, 2 ... occurs in x, or the sum of its weights; at least `minlength` of them."""
