"""Totals so far, along an axis."""

from ember_ml.core.dtypes import NUMERIC
from ember_ml.core.op import primitive
from ember_ml.core.rules import accumulated, axis_or_only, shape_of
from ember_ml.ops.batching import along
from ember_ml.ops.control import scan
from ember_ml.ops.creation import ones_like, zeros_like
from ember_ml.ops.elementwise import add, multiply
from ember_ml.ops.indexing import getitem, part
from ember_ml.ops.shape import concat, flip, inverse_order, permute_dims

__all__ = ["cumulative_prod", "cumulative_sum"]


def _so_far(x, axis=None, include_initial=False, **_):
    shape = shape_of(x)
    at = axis_or_only(x, axis)
    return (*shape[:at], shape[at] + bool(include_initial), *shape[at + 1 :])


def _sum_vjp(g, out, x, axis, dtype, include_initial):
    at = axis_or_only(x, axis)
    late = part(g, at, 1, None) if include_initial else g
    return (flip(cumulative_sum(flip(late, axis=at), axis=at), axis=at),)


@primitive(
    shape=_so_far,
    dtype=accumulated,
    kinds=NUMERIC,
    vjp=_sum_vjp,
    batch=along,
)
def cumulative_sum(x, /, axis=None, *, dtype=None, include_initial=False):
    """The running sum along an axis, the value at that place included; 0 first if `include_initial`.

    Only an array of one dimension needs no axis. Integers are summed in 64 bits unless `dtype` says
    otherwise.
    """


def _prod_vjp(g, out, x, axis, dtype, include_initial):
    """With all[k] the product before k: g_x[k] = all[k] r[k], where r[k] = g[k] + x[k + 1] r[k + 1]."""
    at = axis_or_only(x, axis)
    late = part(g, at, 1, None) if include_initial else g
    order = (at, *(i for i in range(len(shape_of(x))) if i != at))
    rows, slopes = permute_dims(x, axes=order), permute_dims(late, axes=order)
    if not shape_of(rows)[0]:
        return (late,)
    after = concat([part(rows, 0, 1, None), ones_like(part(rows, 0, 0, 1))], axis=0)
    before = part(cumulative_prod(rows, axis=0, include_initial=True), 0, None, -1)

    def step(later, at_place):
        slope, factor = at_place
        total = add(slope, multiply(factor, later))
        return total, total

    start = zeros_like(getitem(multiply(slopes, after), index=0))
    _, sums = scan(step, start, (slopes, after), reverse=True)
    return (permute_dims(multiply(before, sums), axes=inverse_order(order, len(order))),)


@primitive(
    shape=_so_far,
    dtype=accumulated,
    kinds=NUMERIC,
    domain=(0.5, 1.5),
    vjp=_prod_vjp,
    batch=along,
)
def cumulative_prod(x, /, axis=None, *, dtype=None, include_initial=False):
    """The running product along an axis, the value at that place included; 1 first if `include_initial`.

    Only an array of one dimension needs no axis. Integers are multiplied in 64 bits unless `dtype` says
    otherwise.
    """
