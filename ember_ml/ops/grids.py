"""Ops that make coordinates, and that cut triangles."""

from ember_ml.core.dtypes import as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import as_shape, shape_of
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import greater_equal, less_equal
from ember_ml.ops.creation import arange, zeros_like
from ember_ml.ops.cumulative import cumulative_sum
from ember_ml.ops.elementwise import add, clip, subtract, where
from ember_ml.ops.indexing import take
from ember_ml.ops.repetition import row_numbers
from ember_ml.ops.shape import broadcast_to, reshape, stack, upright

__all__ = ["indices", "meshgrid", "tril", "tril_indices", "triu", "triu_indices"]


@composite()
def meshgrid(*arrays, indexing="xy"):
    """The coordinates of a grid from those along each of its axes, as a tuple of arrays.

    Shapes: n vectors (s_1,), ..., (s_n,) -> n arrays (s_1, ..., s_n) for "ij"; for "xy" the first two axes
    of the results are exchanged. A single number counts as a vector of one.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing is 'xy' or 'ij', got {indexing!r}")
    if any(len(shape_of(x)) > 1 for x in arrays):
        raise ValueError(f"expected vectors, got shapes {', '.join(str(shape_of(x)) for x in arrays)}")
    sizes = [(shape_of(x) or (1,))[0] for x in arrays]
    order = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        order[:2] = 1, 0
    whole = tuple(sizes[i] for i in order)
    lines = [tuple(sizes[i] if i == k else 1 for i in order) for k in range(len(arrays))]
    return tuple(
        broadcast_to(reshape(x, shape=line), shape=whole) for x, line in zip(arrays, lines, strict=True)
    )


@composite(arrays=("like",), vjp=constant)
def indices(shape, *, dtype=None, device=None, like=None):
    """The coordinates of every place of an array of this shape: shapes (d numbers) -> (d, *shape)."""
    sizes = as_shape(shape)
    kind = as_dtype(int if dtype is None else dtype)
    numbers = [arange(n, dtype=kind, device=device, like=like) for n in sizes]
    if not sizes:
        return reshape(arange(0, dtype=kind, device=device, like=like), shape=(0,))
    lines = [upright(x, i, len(sizes)) for i, x in enumerate(numbers)]
    return stack([broadcast_to(x, shape=sizes) for x in lines])


@composite()
def tril(x, /, *, k=0):
    """The lower triangle of a (stack of) matrices, up to the k-th diagonal above the main one; else zeros."""
    return where(greater_equal(_diagonals(x, k), 0), x, zeros_like(x))


@composite()
def triu(x, /, *, k=0):
    """The upper triangle of a (stack of) matrices, from the k-th diagonal above the main one; else zeros."""
    return where(less_equal(_diagonals(x, k), 0), x, zeros_like(x))


def _diagonals(x, k):
    """Return how far below the k-th diagonal each place of a matrix lies."""
    if len(shape_of(x)) < 2:
        raise ValueError(f"expected at least 2 dimensions, got shape {shape_of(x)}")
    rows, columns = (arange(n, dtype=as_dtype(int), like=x) for n in shape_of(x)[-2:])
    return subtract(reshape(add(rows, k), shape=(-1, 1)), columns)


@composite(arrays=("like",), vjp=constant)
def tril_indices(n, k=0, m=None, *, device=None, like=None):
    """Rows and columns of the lower triangle of an n by m matrix (m is n unless given), to diagonal k."""
    width = n if m is None else m
    rows = arange(n, device=device, like=like)
    return _places(clip(add(rows, k + 1), 0, width), sum(min(max(i + k + 1, 0), width) for i in range(n)))


@composite(arrays=("like",), vjp=constant)
def triu_indices(n, k=0, m=None, *, device=None, like=None):
    """Rows and columns of the upper triangle of an n by m matrix (m is n unless given), from diagonal k."""
    width = n if m is None else m
    first = clip(add(arange(n, device=device, like=like), k), 0, width)
    total = sum(width - min(max(i + k, 0), width) for i in range(n))
    rows, columns = _places(subtract(width, first), total)
    return rows, add(columns, take(first, rows))


def _places(counts, total):
    """Return the rows and, from 0 in each, the columns of `counts` places a row, `total` in all."""
    rows = row_numbers(counts, total)
    starts = subtract(cumulative_sum(counts), counts)
    return rows, subtract(arange(total, like=counts), take(starts, rows))
