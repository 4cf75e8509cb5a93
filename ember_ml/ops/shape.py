"""Ops that move values about and change none."""

import math

from ember_ml.core.dtypes import as_dtype, promote
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import (
    as_axes,
    as_axis,
    as_shape,
    broadcast_shapes,
    kept,
    reshaped,
    same,
    shape_of,
    stretches,
    view,
)
from ember_ml.ops.batching import along, joined, last_axes, permuted, with_shape
from ember_ml.ops.costs import moved
from ember_ml.ops.creation import zeros
from ember_ml.ops.indexing import getitem, part

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_to", "concat", "expand_dims",
    "flip", "hstack", "matrix_transpose", "moveaxis", "permute_dims", "ravel", "reshape", "split",
    "squeeze", "stack", "swapaxes", "transpose", "unstack", "vstack",
]  # fmt: skip


def sequence_shapes(arrays, *, axis, but_axis):
    """Return the shapes of a sequence that must agree, except along `axis` when `but_axis`."""
    shapes = [shape_of(a) for a in as_sequence(arrays)]
    for s in shapes[1:]:
        others = [
            (m, n) for i, (m, n) in enumerate(zip(shapes[0], s, strict=False)) if not (but_axis and i == axis)
        ]
        if len(s) != len(shapes[0]) or any(m != n for m, n in others):
            but = f" except along axis {axis}" if but_axis else ""
            raise ValueError(f"shapes must agree{but}, got {', '.join(map(str, shapes))}")
    return shapes


def as_sequence(arrays):
    """Return a sequence of arrays itself, if that is what it is and not empty."""
    if not isinstance(arrays, list | tuple):
        raise TypeError(f"expected a list or tuple of arrays, got one array of shape {shape_of(arrays)}")
    if not arrays:
        raise ValueError("expected at least one array, got none")
    return arrays


@primitive(
    shape=reshaped,
    dtype=kept,
    vjp=lambda g, out, x, shape, copy: (reshape(g, shape=shape_of(x)),),
    batch=with_shape,
    cost=view,
)
def reshape(x, /, shape, *, copy=None):
    """The same values, row by row, in another shape; one size may be -1 and is worked out.

    `copy=True` never shares memory with x; `copy=False` always does, or raises ValueError where it cannot.
    """


def upright(x, axis, ndim):
    """Return one dimension as axis `axis` of `ndim`; the others have size 1."""
    return reshape(x, shape=tuple(-1 if i == axis else 1 for i in range(ndim)))


def _permuted(x, axes, **_):
    shape = shape_of(x)
    order = as_axes(tuple(axes), len(shape))
    if len(order) != len(shape):
        raise ValueError(f"axes {tuple(axes)} must name each of {len(shape)} dimensions once")
    return tuple(shape[i] for i in order)


def inverse_order(axes, ndim):
    """Return the order of axes that undoes this one."""
    order = as_axes(tuple(axes), ndim)
    return tuple(sorted(range(ndim), key=order.__getitem__))


@primitive(
    shape=_permuted,
    dtype=kept,
    vjp=lambda g, out, x, axes: (permute_dims(g, axes=inverse_order(axes, len(shape_of(x)))),),
    batch=permuted,
    cost=view,
)
def permute_dims(x, /, axes):
    """The axes in another order: axis i of the result is axis axes[i] of x."""


@composite()
def transpose(x, /, axes=None):
    """The axes reversed, or in the order of `axes`, as NumPy's."""
    return permute_dims(x, axes=tuple(reversed(range(len(shape_of(x))))) if axes is None else axes)


@composite()
def swapaxes(x, /, axis1, axis2):
    """Two axes exchanged."""
    order = list(range(len(shape_of(x))))
    one, other = as_axis(axis1, len(order)), as_axis(axis2, len(order))
    order[one], order[other] = other, one
    return permute_dims(x, axes=tuple(order))


@composite()
def moveaxis(x, /, source, destination):
    """The axes `source` moved to the places `destination`, integers or as many of them; the rest in order."""
    ndim = len(shape_of(x))
    old, new = (as_axes(tuple(a) if isinstance(a, tuple | list) else a, ndim) for a in (source, destination))
    if len(old) != len(new):
        raise ValueError(f"source {source} and destination {destination} differ in number")
    rest = iter([i for i in range(ndim) if i not in old])
    chosen = dict(zip(new, old, strict=True))
    return permute_dims(x, axes=tuple(chosen[i] if i in chosen else next(rest) for i in range(ndim)))


def _last_two_exchanged(x, **_):
    shape = shape_of(x)
    if len(shape) < 2:
        raise ValueError(f"expected at least 2 dimensions, got shape {shape}")
    return (*shape[:-2], shape[-1], shape[-2])


@primitive(
    shape=_last_two_exchanged,
    dtype=kept,
    vjp=lambda g, out, x: (matrix_transpose(g),),
    batch=last_axes,
    cost=view,
)
def matrix_transpose(x, /):
    """The last two axes exchanged."""


@composite()
def expand_dims(x, /, axis: int | tuple[int, ...] = 0):
    """A new axis of size 1 at the place `axis` of the result; several for a tuple."""
    shape = list(shape_of(x))
    new = axis if isinstance(axis, tuple | list) else (axis,)
    for i in sorted(as_axes(tuple(new), len(shape) + len(new))):
        shape.insert(i, 1)
    return reshape(x, shape=tuple(shape))


@composite()
def ravel(x, /):
    """The values row by row along a single axis."""
    return reshape(x, shape=(-1,)) if math.prod(shape_of(x)) else reshape(x, shape=(0,))


@composite()
def atleast_1d(x, /):
    """x itself, or a single number as an array of one."""
    return x if shape_of(x) else reshape(x, shape=(1,))


@composite()
def atleast_2d(x, /):
    """x itself, or with axes put in front as a matrix: shapes () -> (1, 1), (n,) -> (1, n)."""
    return x if len(shape_of(x)) > 1 else reshape(x, shape=(1, *(shape_of(x) or (1,))))


@composite()
def atleast_3d(x, /):
    """x itself, or with three axes: shapes () -> (1, 1, 1), (n,) -> (1, n, 1), (m, n) -> (m, n, 1)."""
    shape = shape_of(x)
    return x if len(shape) > 2 else reshape(x, shape=(*((1,) * (len(shape) < 2)), *(shape or (1,)), 1))


@composite()
def squeeze(x, /, axis=None):
    """The axes of size 1 removed: the named ones, or all. Raises ValueError for one that has another size."""
    shape = shape_of(x)
    gone = tuple(i for i, n in enumerate(shape) if n == 1) if axis is None else as_axes(axis, len(shape))
    for i in gone:
        if shape[i] != 1:
            raise ValueError(f"axis {i} has size {shape[i]}, not 1")
    return reshape(x, shape=tuple(n for i, n in enumerate(shape) if i not in gone))


def _stretched(x, shape, **_):
    wanted = as_shape(shape)
    if not stretches(shape_of(x), wanted):
        raise ValueError(f"shape {shape_of(x)} does not broadcast to {wanted}")
    return wanted


@primitive(shape=_stretched, dtype=kept, vjp=lambda g, out, x, shape: (g,), batch=with_shape, cost=view)
def broadcast_to(x, /, shape):
    """The array repeated along axes of size 1 and along new leading axes."""


@composite()
def broadcast_arrays(*arrays):
    """Each array in the shape to which all of them broadcast, as a tuple."""
    shape = broadcast_shapes(*map(shape_of, arrays)) if arrays else ()
    return tuple(broadcast_to(x, shape=shape) for x in arrays)


def _concatenated(arrays, axis=0, **_):
    if axis is None:
        return (sum(math.prod(shape_of(x)) for x in as_sequence(arrays)),)
    first = shape_of(as_sequence(arrays)[0])
    at = as_axis(axis, len(first))
    shapes = sequence_shapes(arrays, axis=at, but_axis=True)
    return (*shapes[0][:at], sum(s[at] for s in shapes), *shapes[0][at + 1 :])


def _cut(g, out, arrays, axis):
    if axis is None:
        flat = _cut(g, out, [zeros(math.prod(shape_of(x)), like=g) for x in arrays], 0)[0]
        return ([reshape(part, shape=shape_of(x)) for part, x in zip(flat, arrays, strict=True)],)
    at = as_axis(axis, len(shape_of(out)))
    parts, start = [], 0
    for x in arrays:
        stop = start + shape_of(x)[at]
        parts.append(part(g, at, start, stop))
        start = stop
    return (parts,)


@primitive(shape=_concatenated, sequence=True, vjp=_cut, batch=joined, cost=moved)
def concat(arrays, /, axis=0):
    """A sequence of arrays joined along an axis that they have; None lays each flat first."""


def _stacked(arrays, axis=0, **_):
    shapes = sequence_shapes(arrays, axis=0, but_axis=False)
    at = as_axis(axis, len(shapes[0]) + 1)
    return (*shapes[0][:at], len(shapes), *shapes[0][at:])


def _slices(g, out, arrays, axis):
    return (list(unstack(g, axis=axis)),)


@primitive(shape=_stacked, sequence=True, vjp=_slices, batch=joined, cost=moved)
def stack(arrays, /, axis=0):
    """A sequence of arrays of one shape joined along a new axis."""


def _rows_up(arrays):
    return [reshape(x, shape=(1, *(shape_of(x) or (1,)))) if len(shape_of(x)) < 2 else x for x in arrays]


@composite(sequence=True)
def vstack(arrays, /):
    """A sequence of arrays joined along their first axis; single numbers and vectors are rows."""
    return concat(_rows_up(as_sequence(arrays)), axis=0)


@composite(sequence=True)
def hstack(arrays, /):
    """A sequence of arrays joined along their second axis; single numbers and vectors along the first."""
    columns = [reshape(x, shape=(1,)) if not shape_of(x) else x for x in as_sequence(arrays)]
    return concat(columns, axis=0 if len(shape_of(columns[0])) == 1 else 1)


def _filled_up(g, out):
    """Return the cotangents of several results, with zeros for those that nothing depends on."""
    dtype = promote(*(as_dtype(part.dtype) for part in g if part is not None))
    return [zeros(shape_of(o), dtype=dtype, like=o) if p is None else p for p, o in zip(g, out, strict=True)]


@composite(vjp=lambda g, out, x, axis: (stack(_filled_up(g, out), axis=axis),), batch=along)
def unstack(x, /, *, axis=0):
    """The slices of an array along an axis, as a tuple; `stack` puts them together again."""
    at = as_axis(axis, len(shape_of(x)))
    return tuple(getitem(x, index=(*(slice(None),) * at, i)) for i in range(shape_of(x)[at]))


def _joined(g, out, x, indices_or_sections, axis):
    return (concat(_filled_up(g, out), axis=axis),)


@composite(vjp=_joined, batch=along)
def split(x, /, indices_or_sections, axis=0):
    """The parts of an array along an axis, as a tuple: that many equal ones, or cut at the places given."""
    at = as_axis(axis, len(shape_of(x)))
    size = shape_of(x)[at]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or size % indices_or_sections:
            raise ValueError(
                f"axis {axis} of size {size} does not split into {indices_or_sections} equal parts"
            )
        width = size // indices_or_sections
        places = list(range(width, size, width)) if width else [0] * (indices_or_sections - 1)
    else:
        places = list(indices_or_sections)
    edges = zip([0, *places], [*places, size], strict=True)
    return tuple(part(x, at, a, b) for a, b in edges)


def _flippable(x, axis=None, **_):
    as_axes(axis, len(shape_of(x)))
    return same(x)


@primitive(
    shape=_flippable, dtype=kept, vjp=lambda g, out, x, axis: (flip(g, axis=axis),), batch=along, cost=view
)
def flip(x, /, axis=None):
    """The values along an axis (or along all) in reverse order."""
