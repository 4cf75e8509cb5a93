"""Differences, slopes and areas of sampled functions."""

from ember_ml.core.dtypes import NUMERIC, as_dtype, inexact
from ember_ml.core.op import composite
from ember_ml.core.rules import as_axes, as_axis, shape_of
from ember_ml.ops.creation import astype
from ember_ml.ops.elementwise import add, divide, multiply, subtract
from ember_ml.ops.indexing import part
from ember_ml.ops.reduction import sum
from ember_ml.ops.shape import broadcast_to, concat, upright

__all__ = ["diff", "gradient", "slope", "trapezoid"]


def _like(x, edge, at):
    """Return what is joined to x along an axis, broadcast in the other axes; a number is one row."""
    shape = shape_of(x)
    size = shape_of(edge)[at] if shape_of(edge) else 1
    return broadcast_to(edge, shape=(*shape[:at], size, *shape[at + 1 :]))


@composite(kinds=NUMERIC, arrays=("x", "prepend", "append"))
def diff(x, n=1, axis=-1, prepend=None, append=None):
    """The n-th difference of neighbours along an axis, after joining `prepend` and `append` to it."""
    at = as_axis(axis, len(shape_of(x)))
    if n < 0:
        raise ValueError(f"n counts differences and is not negative, got {n}")
    joined = [e if e is x else _like(x, e, at) for e in (prepend, x, append) if e is not None]
    x = concat(joined, axis=at) if len(joined) > 1 else x
    for _ in range(n):
        x = subtract(part(x, at, 1, None), part(x, at, None, -1))
    return x


@composite(kinds=NUMERIC, arrays=("y", "x"))
def trapezoid(y, /, x=None, dx=1.0, axis=-1):
    """The area under samples along an axis by the trapezoidal rule, at places `x` or `dx` apart."""
    at = as_axis(axis, len(shape_of(y)))
    means = multiply(add(part(y, at, 1, None), part(y, at, None, -1)), 0.5)
    if x is None:
        return multiply(sum(means, axis=at), dx)
    widths = diff(x, axis=at if len(shape_of(x)) > 1 else 0)
    if len(shape_of(x)) == 1:
        widths = upright(widths, at, len(shape_of(y)))
    return sum(multiply(means, widths), axis=at)


def gradient(f, /, *varargs, axis=None, edge_order=1):
    """Return the slope of sampled values, as `numpy.gradient`: along one axis an array, else a tuple of them.

    Inside by central differences of second order, at the ends one-sided of order `edge_order`, 1 or 2.
    `varargs`: the distance of samples, or their coordinates in one dimension; one for all axes or one each.
    Raises ValueError for another number of them, and for fewer than `edge_order` + 1 samples.
    """
    axes = as_axes(axis, len(shape_of(f)))
    if len(varargs) not in (0, 1, len(axes)):
        raise ValueError(f"gradient: expected 0, 1 or {len(axes)} distances, got {len(varargs)}")
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    slopes = [slope(f, h, axis=at, edge_order=edge_order) for at, h in zip(axes, spacings, strict=True)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


@composite(kinds=NUMERIC, domain=((-2.0, 2.0), (0.5, 2.0)))
def slope(f, spacing, /, axis=-1, edge_order=1):
    """The slope of sampled values along one axis, as `gradient` has it; `spacing`: a distance or coordinates.

    Of unequal distances a (left) and b (right), (a² f₊ + (b² − a²) f − b² f₋) / (ab (a + b)): the derivative
    of the parabola through the three points.
    """
    at, n = as_axis(axis, len(shape_of(f))), shape_of(f)[axis]
    dtype = inexact(as_dtype(f.dtype))
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order is 1 or 2, got {edge_order}")
    if n < edge_order + 1:
        raise ValueError(f"expected at least {edge_order + 1} samples along axis {axis}, got {n}")
    f = astype(f, dtype=dtype)
    if not shape_of(spacing):
        return divide(_unit_slope(f, at, edge_order), spacing)
    if shape_of(spacing) != (n,):
        raise ValueError(f"expected a distance or {n} coordinates, got shape {shape_of(spacing)}")
    widths = upright(astype(diff(spacing), dtype=dtype), at, len(shape_of(f)))
    steps = divide(diff(f, axis=at), widths)
    a, b = part(widths, at, None, -1), part(widths, at, 1, None)
    left, right = part(steps, at, None, -1), part(steps, at, 1, None)
    inner = divide(add(multiply(a, right), multiply(b, left)), add(a, b))
    first, last = part(steps, at, 0, 1), part(steps, at, -1, None)
    if edge_order == 2:
        bend = divide(subtract(right, left), add(a, b))
        first = subtract(first, multiply(part(a, at, 0, 1), part(bend, at, 0, 1)))
        last = add(last, multiply(part(b, at, -1, None), part(bend, at, -1, None)))
    return concat([first, inner, last], axis=at)


def _unit_slope(f, at, edge_order):
    steps = diff(f, axis=at)
    left, right = part(steps, at, None, -1), part(steps, at, 1, None)
    first, last = part(steps, at, 0, 1), part(steps, at, -1, None)
    if edge_order == 2:
        bend = multiply(subtract(right, left), 0.5)
        first, last = subtract(first, part(bend, at, 0, 1)), add(last, part(bend, at, -1, None))
    return concat([first, multiply(add(left, right), 0.5), last], axis=at)
