"""A function applied along an axis, one row or one block at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ember_ml.core import tree
from ember_ml.core.rules import as_axis, shape_of
from ember_ml.ops.control import scan
from ember_ml.ops.indexing import part
from ember_ml.ops.shape import concat, permute_dims, reshape

__all__ = ["map", "map_blocks"]


def map(f: Callable, xs: Any) -> Any:
    """Return `f(x)` for each x along the first axis of `xs`, stacked; one after the other, as jax.lax.map.

    `xs` and the result are trees of arrays. It is a `scan` without a carry: traced once, differentiable.
    """
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]


def map_blocks(f: Callable, *arrays: Any, block_size: int, axis: int = 0) -> Any:
    """Return `f(*arrays)`, computed on blocks of `block_size` along an axis that all arrays share.

    The results, trees of arrays, are joined along the same axis; the last block may be smaller. For f that
    treats each row by itself that is f of the whole, in the memory of one block. f is traced at most twice,
    and not at all where one block suffices. A gradient keeps what it needs of all blocks.

    Raises ValueError when the arrays differ in size along the axis, or for a block of no rows.
    """
    if block_size < 1:
        raise ValueError(f"map_blocks: a block has at least one row, got block_size {block_size}")
    if not arrays:
        raise ValueError("map_blocks: expected at least one array, got none")
    places = [as_axis(axis, len(shape_of(x))) for x in arrays]
    sizes = {shape_of(x)[at] for x, at in zip(arrays, places, strict=True)}
    if len(sizes) > 1:
        raise ValueError(f"map_blocks: sizes along axis {axis} must agree, got {sorted(sizes)}")
    size = sizes.pop()
    count = size // block_size
    if size <= block_size:
        return f(*arrays)
    cut = count * block_size
    rows = [_blocks(part(x, at, 0, cut), at, count) for x, at in zip(arrays, places, strict=True)]
    whole = tree.map(lambda y: _joined(y, axis), map(lambda row: f(*row), rows))
    if cut == size:
        return whole
    rest = f(*(part(x, at, cut, size) for x, at in zip(arrays, places, strict=True)))
    return tree.map(lambda one, other: concat([one, other], axis=axis), whole, rest)


def _blocks(x: Any, at: int, count: int) -> Any:
    """Return x with its axis `at` in `count` parts, along a new first axis."""
    shape = shape_of(x)
    parts = reshape(x, shape=(*shape[:at], count, shape[at] // count, *shape[at + 1 :]))
    return permute_dims(parts, axes=(at, *(i for i in range(len(shape) + 1) if i != at)))


def _joined(y: Any, axis: int) -> Any:
    """Undo `_blocks`: y (count, ..., n, ...) -> (..., count * n, ...)."""
    count, *shape = shape_of(y)
    at = as_axis(axis, len(shape))
    ahead = tuple(range(1, at + 1))
    laid = permute_dims(y, axes=(*ahead, 0, *range(at + 1, len(shape) + 1)))
    return reshape(laid, shape=(*shape[:at], count * shape[at], *shape[at + 1 :]))
