"""`x[index]` beyond the basic: arrays of integers and masks, as in NumPy, made of `take` and `where`.

A mask's shape depends on its values, so it needs them: masks are for eager code, `ops.where` for compiled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ember_ml import ops
from ember_ml.core import as_dtype
from ember_ml.core.rules import broadcast_shapes, shape_of
from ember_ml.core.trace import Traced
from ember_ml.tensor.conversion import bare, owner_of

_BASIC = (int, slice, type(None), type(Ellipsis))


class Places(NamedTuple):
    """An index taken apart: a basic one with a full slice where arrays stand, their axes, and the arrays."""

    basic: tuple
    axes: tuple[int, ...]
    arrays: tuple
    together: bool  # whether the arrays stand side by side; if not, NumPy puts their axes in front


def is_basic(index: Any) -> bool:
    """Whether an index is made of Python's integers, slices, None and Ellipsis alone."""
    if type(index) is tuple:
        return all(type(part) in _BASIC for part in index)
    return type(index) in _BASIC


def get(x: Any, index: Any) -> Any:
    """Return x[index] for an index with arrays in it."""
    places = _take_apart(x, index)
    if not places.arrays:
        return ops.getitem(x, index=places.basic)
    if not _is_full(places.basic):
        x = ops.getitem(x, index=places.basic)
    if len(places.arrays) == 1:
        return ops.take(x, places.arrays[0], axis=places.axes[0])
    rows, _, _ = _rows(x, places.axes)
    chosen, ndim = _row_numbers(x, places)
    found = ops.take(rows, chosen, axis=0)
    if not places.together:
        return found
    return _with_axes_at(found, ndim, places.axes[0])


def put(x: Any, updates: Any, index: Any) -> Any:
    """Return a copy of x in which x[index] is `updates`, for an index with arrays; the last write wins."""
    if _is_mask_of(x, index) and shape_of(updates) in ((), shape_of(x)):
        return ops.where(index, ops.astype(updates, dtype=x.dtype), x)
    places = _take_apart(x, index)
    if not places.arrays:
        return ops.slice_update(x, updates, index=places.basic)
    if not _is_full(places.basic):
        region = ops.getitem(x, index=places.basic)
        inner = _put(region, places, updates)
        return ops.slice_update(x, inner, index=places.basic)
    return _put(x, places, updates)


def _put(x: Any, places: Places, updates: Any) -> Any:
    if len(places.arrays) == 1:
        return ops.index_update(x, places.arrays[0], updates, axis=places.axes[0])
    rows, order, sizes = _rows(x, places.axes)
    chosen, ndim = _row_numbers(x, places)
    rest = shape_of(rows)[1:]
    at = places.axes[0] if places.together else 0
    shape = shape_of(chosen)
    wanted = (*rest[:at], *shape, *rest[at:])
    updates = ops.broadcast_to(ops.astype(updates, dtype=x.dtype), shape=wanted)
    to_front = (*range(at, at + ndim), *range(at), *range(at + ndim, len(wanted)))
    rows = ops.index_update(rows, chosen, ops.permute_dims(updates, axes=to_front))
    whole = ops.reshape(rows, shape=(*sizes, *rest))
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return ops.permute_dims(whole, axes=back)


def _take_apart(x: Any, index: Any) -> Places:
    """Return the parts of an index. Raises IndexError for too many, TypeError for what is no index."""
    parts = [_part(p, x) for p in (index if isinstance(index, tuple) else (index,))]
    shape = shape_of(x)
    used = sum(_width(p) for p in parts)
    if used > len(shape):
        raise IndexError(f"too many indices: {used} for {len(shape)} dimensions")
    if (at := next((i for i, p in enumerate(parts) if p is Ellipsis), None)) is not None:
        parts[at : at + 1] = [slice(None)] * (len(shape) - used)
    advanced = any(_is_array(p) for p in parts)
    basic: list = []
    axes: list[int] = []
    arrays: list = []
    for part in parts:
        if _is_array(part) and as_dtype(part.dtype) == "bool":
            _fits(part, shape, basic)
            found, is_truth = _truths(part), not shape_of(part)
        elif _is_array(part) or (advanced and isinstance(part, int)):
            found, is_truth = [part], False
        else:
            basic.append(part)
            continue
        axes += range(len(basic), len(basic) + len(found))
        arrays += found
        basic += [None if is_truth else slice(None)] * len(found)  # a single truth has an axis of its own
    together = not axes or axes == list(range(axes[0], axes[-1] + 1))
    return Places(tuple(basic), tuple(axes), tuple(arrays), together)


def _part(part: Any, x: Any) -> Any:
    """Return one part of an index as an integer, slice, None, Ellipsis or array."""
    part = bare(part)
    if isinstance(part, list):
        part = _array(part, x)
    if isinstance(part, slice):
        return slice(*(None if n is None else _integer(n) for n in (part.start, part.stop, part.step)))
    if isinstance(part, bool) or not (type(part) in _BASIC or owner_of(part) is not None):
        known = "integers, slices, None, ... or arrays of integers or truths"
        raise TypeError(f"index: expected {known}, got {part!r}")
    if type(part) in _BASIC:
        return part
    dtype = as_dtype(part.dtype)
    if dtype.kind not in ("bool", "int", "uint"):
        raise TypeError(f"index: expected an array of integers or truths, got {dtype}")
    return int(part) if dtype.kind != "bool" and not shape_of(part) and type(part) is not Traced else part


def _integer(n: Any) -> int:
    return n if isinstance(n, int) else int(bare(n))


def _array(values: Any, x: Any) -> Any:
    """Return integers or truths as an array beside x."""
    if isinstance(values, list) and not values:
        return ops.asarray(values, dtype="int64", like=x.data)
    return bare(ops.asarray(values, like=x.data))


def _is_array(part: Any) -> bool:
    return type(part) not in _BASIC


def _width(part: Any) -> int:
    """Return how many axes of the array a part of the index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return len(shape_of(part)) if _is_array(part) and as_dtype(part.dtype) == "bool" else 1


def _is_full(basic: tuple) -> bool:
    return all(part == slice(None) for part in basic)


def _is_mask_of(x: Any, index: Any) -> bool:
    inner = bare(index)
    return owner_of(inner) is not None and shape_of(inner) == shape_of(x) and as_dtype(inner.dtype) == "bool"


def _fits(mask: Any, shape: tuple, before: Sequence) -> None:
    at = sum(part is not None for part in before)
    region, sizes = shape[at : at + len(shape_of(mask))], shape_of(mask)
    # As in NumPy and the standard's tests, an axis of size 0 fits every axis: nothing is chosen.
    if len(region) != len(sizes) or any(m not in (n, 0) for m, n in zip(sizes, region, strict=True)):
        raise IndexError(f"index: a mask of shape {shape_of(mask)} does not fit the axes of shape {region}")


def _truths(mask: Any) -> list:
    """Return the places where a mask is true, as an array of integers for each of its axes."""
    return list(ops.nonzero(mask if shape_of(mask) else ops.reshape(mask, shape=(1,))))


def _rows(x: Any, axes: tuple[int, ...]) -> tuple[Any, tuple[int, ...], list[int]]:
    """Return x with `axes` in front, laid flat into one, the order of axes that it took, and their sizes."""
    shape = shape_of(x)
    order = (*axes, *(i for i in range(len(shape)) if i not in axes))
    sizes = [shape[i] for i in axes]
    front = ops.permute_dims(x, axes=order)
    rest = [shape[i] for i in order[len(axes) :]]
    return ops.reshape(front, shape=(math.prod(sizes), *rest)), order, sizes


def _row_numbers(x: Any, places: Places) -> tuple[Any, int]:
    """Return where the arrays of an index point among the rows of `_rows`, and in how many dimensions."""
    shape = shape_of(x)
    try:
        ndim = len(broadcast_shapes(*map(shape_of, places.arrays)))
    except ValueError as fault:
        raise IndexError(f"index: arrays of {fault}") from None
    number: Any = 0
    for axis, part in zip(places.axes, places.arrays, strict=True):
        inside = _counted_from_front(part, axis, shape[axis], x)
        number = inside if type(number) is int and not number else _add(_times(number, shape[axis]), inside)
    return number, ndim


def _counted_from_front(part: Any, axis: int, size: int, x: Any) -> Any:
    """Return an integer or an array of them with negative ones counted from the end. Raises IndexError."""
    if _is_array(part):
        return ops.take(ops.arange(size, like=x.data), part)
    if not -size <= part < size:
        raise IndexError(f"index {part} is out of bounds for axis {axis} with size {size}")
    return part % size


def _times(number: Any, size: int) -> Any:
    return number * size if isinstance(number, int) else ops.multiply(number, size)


def _add(number: Any, other: Any) -> Any:
    return number + other if isinstance(number, int) and isinstance(other, int) else ops.add(number, other)


def _with_axes_at(x: Any, count: int, at: int) -> Any:
    """Return x with its first `count` axes moved to place `at`."""
    ndim = len(shape_of(x))
    order = (*range(count, count + at), *range(count), *range(count + at, ndim))
    return ops.permute_dims(x, axes=order)
