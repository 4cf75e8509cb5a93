"""The rules an op may name: what happens to shapes, and what happens to dtypes.

A shape rule takes the op's arguments as `Spec`s and returns a shape, or a list of shapes for several outputs.
A dtype rule returns what each array argument is cast to (None: left alone) and the dtype of the result, or
a tuple of dtypes for several outputs.
Both raise in words that hold on every engine; the op's name is put in front by `infer`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

from ember_ml.core import tree
from ember_ml.core.dtypes import DType, as_dtype, bool_, inexact, int64, promote

Shape = tuple[int, ...]
DTypeRule = Callable[[tuple, dict], tuple[Any, Any]]


class AxisError(ValueError, IndexError):
    """An axis that the array does not have."""


class UnknownShape(TypeError):
    """A shape that depends on values, asked for where there are none."""


def shape_of(x: Any) -> Shape:
    """Return the shape of an array of any engine as plain integers; () for a scalar."""
    return tuple(map(int, getattr(x, "shape", ())))


# Shapes


def same(x: Any, *_: Any, **__: Any) -> Shape:
    """Return the shape of the first argument."""
    return shape_of(x)


def data_dependent(*_: Any, **__: Any) -> Shape:
    """Refuse: the shape depends on the values. Names such an op, which compiled code cannot have."""
    raise UnknownShape("the shape of the result depends on values, which compiled code does not know")


def steps(start: Any, stop: Any = None, step: Any = 1, **_: Any) -> tuple[Any, Any, int]:
    """Return the first number of a range, the step, and how many there are; NumPy's rule."""
    first, last = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ValueError("step must not be 0")
    if all(isinstance(n, int) for n in (first, last, step)):
        return first, step, len(range(first, last, step))
    return first, step, max(0, math.ceil((last - first) / step))


def as_shape(shape: Any) -> Shape:
    """Return a shape written as an integer or a sequence as a tuple of non-negative integers."""
    sizes = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
    if any(n < 0 for n in sizes):
        raise ValueError(f"sizes are not negative, got shape {sizes}")
    return sizes


def broadcast(*args: Any, **_: Any) -> Shape:
    """Return the shape to which all arguments broadcast."""
    return broadcast_shapes(*(shape_of(a) for a in args))


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape to which these broadcast, by NumPy's rule."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    out = []
    for i in range(-max(map(len, shapes)), 0):
        sizes = {s[i] for s in shapes if -i <= len(s)} - {1}
        if len(sizes) > 1:
            raise ValueError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


def stretches(shape: Shape, wanted: Shape) -> bool:
    """Whether an array of `shape` broadcasts to `wanted`."""
    pairs = zip(reversed(shape), reversed(wanted), strict=False)
    return len(shape) <= len(wanted) and all(n in (1, m) for n, m in pairs)


def reduced(x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Shape:
    """Return the shape without the reduced axes, or with size 1 there."""
    shape = shape_of(x)
    gone = as_axes(axis, len(shape))
    return tuple(1 if i in gone else n for i, n in enumerate(shape) if keepdims or i not in gone)


def reduced_not_empty(x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Shape:
    """Return the reduced shape of a reduction that has no identity: no reduced axis may be empty."""
    shape = shape_of(x)
    if 0 in (shape[i] for i in as_axes(axis, len(shape))):
        raise ValueError(f"no values to choose from along axis {axis} of shape {shape}")
    return reduced(x, axis, keepdims)


def as_axis(axis: int, ndim: int) -> int:
    """Return `axis` counted from the front."""
    if not -ndim <= axis < ndim:
        raise AxisError(f"axis {axis} is out of range for {ndim} dimension{'s' * (ndim != 1)}")
    return axis % ndim


def axis_or_only(x: Any, axis: int | None) -> int:
    """Return an axis counted from the front; None means the only one there is."""
    ndim = len(shape_of(x))
    if axis is None and ndim != 1:
        raise ValueError(f"name an axis of an array of {ndim} dimensions; only one of 1 dimension needs none")
    return as_axis(0 if axis is None else axis, ndim)


def as_axes(axis: Any, ndim: int) -> Shape:
    """Return an axis, a tuple of axes or None (all of them) as a tuple counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(as_axis(a, ndim) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) < len(axes):
        raise ValueError(f"an axis is named twice in {axis}")
    return axes


def reshaped(x: Any, shape: Any, **_: Any) -> Shape:
    """Return the new shape, with one -1 worked out."""
    old = shape_of(x)
    new = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
    size = math.prod(old)
    if new.count(-1) > 1:
        raise ValueError(f"only one size may be -1, got {new}")
    if -1 in new:
        rest = math.prod(n for n in new if n != -1)
        if rest == 0 or size % rest:
            raise ValueError(
                f"cannot reshape {old} to {new}: {size} values do not divide into rows of {rest}"
            )
        new = tuple(size // rest if n == -1 else n for n in new)
    if math.prod(new) != size:
        raise ValueError(f"cannot reshape {old} to {new}: {size} values do not fill {math.prod(new)} places")
    return new


def index_shape(x: Any, index: Any, **_: Any) -> Shape:
    """Return the shape of `x[index]` for integers, slices, None and one Ellipsis."""
    shape = shape_of(x)
    out: list[int] = []
    axis = 0
    for step in expand_index(index, len(shape)):
        if step is None:
            out.append(1)
            continue
        size = shape[axis]
        if isinstance(step, slice):
            out.append(len(range(*step.indices(size))))
        elif not isinstance(step, Integral):
            raise TypeError(
                "an index holds integers, slices, None and ... here; "
                "ops.take reads places given by an array, ops.where chooses by a mask"
            )
        elif not -size <= int(step) < size:
            raise IndexError(f"index {step} is out of bounds for axis {axis} with size {size}")
        axis += 1
    return tuple(out)


def expand_index(index: Any, ndim: int) -> tuple[Any, ...]:
    """Return a basic index as one entry an axis (an integer or a slice), plus None for each new axis."""
    parts = index if isinstance(index, tuple) else (index,)
    used = sum(p is not None and p is not Ellipsis for p in parts)
    if used > ndim:
        raise IndexError(f"too many indices: {used} for {ndim} dimension{'s' * (ndim != 1)}")
    fill = (slice(None),) * (ndim - used)
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
    return (*parts[:at], *fill, *parts[at + 1 :])


def view(out: Any, *_: Any, **__: Any) -> int:
    """Return the cost of what moves no number: results are read where the argument lies."""
    return 0


# Dtypes. A rule sees Specs, Python scalars and, for sequences, lists of them.


def operands(args: tuple) -> list[DType | type]:
    """Return the dtype of each array among the leaves of `args`, or the Python type of a weak scalar."""
    return [_operand(x) for x in tree.leaves(args)]


def _operand(x: Any) -> DType | type:
    if (dtype := getattr(x, "dtype", None)) is None:
        return type(x)
    if getattr(x, "weak", False):
        return {"bool": bool, "float": float, "complex": complex}.get(dtype.kind, int)
    return dtype


def promoted(args: tuple, attrs: dict) -> tuple[Any, DType]:
    """All arguments meet in one dtype, which the result has."""
    common = promote(*operands(args))
    return common, common


def floating(args: tuple, attrs: dict) -> tuple[Any, DType]:
    """All arguments meet in one dtype that holds fractions: integers become the default float."""
    common = inexact(promote(*operands(args)))
    return common, common


def truth(args: tuple, attrs: dict) -> tuple[Any, DType]:
    """The result is boolean, the arguments stay."""
    return None, bool_


def index(args: tuple, attrs: dict) -> tuple[Any, DType]:
    """The result counts or points: int64."""
    return None, int64


def kept(args: tuple, attrs: dict) -> tuple[Any, DType]:
    """The result has the dtype of the first argument."""
    return None, promote(_operand(tree.leaves(args)[0]))


def accumulated(args: tuple, attrs: dict) -> tuple[Any, DType]:
    """Sums of integers and truths are int64 (uint64 of unsigned ones), others keep theirs, unless asked."""
    if attrs.get("dtype") is not None:
        return None, as_dtype(attrs["dtype"])
    own = kept(args, attrs)[1]
    return None, {"bool": int64, "int": int64, "uint": as_dtype("uint64")}.get(own.kind, own)
