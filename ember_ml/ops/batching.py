"""The rules that `batch=` names: what ops do to many arrays at once, one for each place along a first axis.

How they are called, and what an op without one does, stands in `ember_ml.core.batching`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ember_ml.core.batching import (
    Batched,
    batched_graph,
    expanded,
    moved,
    one_by_one,
    run,
    spread,
    stretched,
    unboxed,
)
from ember_ml.core.graph import Graph, Step, trace_graph
from ember_ml.core.op import TABLE
from ember_ml.core.rules import as_axes, as_axis, axis_or_only, index_shape, shape_of
from ember_ml.core.spec import spec_of

# Axes


def along(step: Step, args: list, size: int) -> Any:
    """Work along `axis`, one or several, of a single array; None lays it flat."""
    x, axis = args[0], step.attrs["axis"]
    if axis is None:
        value, axis = reshaped(x.value, (size, math.prod(x.shape))), -1
    else:
        value, axis = x.value, from_end(axis, len(x.shape))
    return _shaped(step, step.op.apply(value, **{**step.attrs, "axis": axis}), size)


def over_axes(step: Step, args: list, size: int) -> Any:
    """Work over `axes`: the last ones, as many as `s` says, or all of them unless given."""
    axes, s, ndim = step.attrs["axes"], step.attrs["s"], len(args[0].shape)
    axes = range(-(ndim if s is None else len(s)), 0) if axes is None else from_end(axes, ndim)
    return step.op.apply(args[0].value, **{**step.attrs, "axes": tuple(axes)})


def joined(step: Step, args: list, size: int) -> Any:
    """Put a sequence of arrays together along `axis`; None lays them flat."""
    arrays, axis = [spread(x, size) for x in args[0]], step.attrs["axis"]
    if axis is None:
        arrays, axis = [reshaped(x, (size, math.prod(shape_of(x)[1:]))) for x in arrays], -1
    else:
        axis = from_end(axis, len(step.outs[0].spec.shape))
    return step.op.apply(arrays, **{**step.attrs, "axis": axis})


def last_axes(step: Step, args: list, size: int) -> Any:
    """Work on the last axes of the first array, whatever stands before them."""
    if type(args[0]) is not Batched or any(type(x) is Batched for x in args[1:]):
        return one_by_one(step, args, size)
    return step.op.apply(args[0].value, *args[1:], **step.attrs)


def folded(step: Step, args: list, size: int) -> Any:
    """Work alike on every place of the first axis of the first array, which then holds all of them."""
    if type(args[0]) is not Batched or any(type(x) is Batched for x in args[1:]):
        return one_by_one(step, args, size)
    rows = reshaped(args[0].value, (size * args[0].shape[0], *args[0].shape[1:]))
    return _shaped(step, step.op.apply(rows, *args[1:], **step.attrs), size)


def with_shape(step: Step, args: list, size: int) -> Any:
    """Take the shape of the result as the setting `shape`."""
    shape = step.outs[0].spec.shape
    value = stretched(args[0], len(shape))
    return step.op.apply(value, **{**step.attrs, "shape": (size, *shape)})


def permuted(step: Step, args: list, size: int) -> Any:
    """Put all axes in the order of `axes`."""
    axes = as_axes(tuple(step.attrs["axes"]), len(args[0].shape))
    return step.op.apply(args[0].value, axes=(0, *(a + 1 for a in axes)))


# Indices


def indexed(step: Step, args: list, size: int) -> Any:
    """Read, or write, what a basic `index` names; what is written meets the region from the end."""
    index = step.attrs["index"]
    index = (slice(None), *(index if isinstance(index, tuple) else (index,)))
    if len(args) == 1:
        return step.op.apply(args[0].value, index=index)
    x, updates = spread(args[0], size), args[1]
    return step.op.apply(x, stretched(updates, len(index_shape(x, index)) - 1), index=index)


def taken(step: Step, args: list, size: int) -> Any:
    """Read slices: where each place has its own array and its own indices, by `take_along_axis`."""
    x, indices = args
    at = axis_or_only(x, step.attrs["axis"])
    if type(indices) is not Batched:
        return step.op.apply(x.value, indices, axis=at + 1)
    if type(x) is not Batched:
        return moved(step.op.apply(x, indices.value, axis=at), at, 0)
    count, *rest = (x.shape[at], *x.shape[:at], *x.shape[at + 1 :])
    rows = reshaped(moved(x.value, at + 1, 1), (size, count, math.prod(rest)))
    places = reshaped(indices.value, (size, math.prod(indices.shape), 1))
    found = reshaped(TABLE["take_along_axis"](rows, places, axis=1), (size, *indices.shape, *rest))
    return moved(found, _axes(1, indices), _axes(1 + at, indices))


def taken_along(step: Step, args: list, size: int) -> Any:
    """Read each row by its own indices."""
    ndim = len(args[0].shape)
    x, indices = (stretched(x, ndim) if type(x) is Batched else spread(x, 1) for x in args)
    return step.op.apply(x, indices, axis=from_end(step.attrs["axis"], ndim))


def put(step: Step, args: list, size: int) -> Any:
    """Write at indices; at each place its own ones point into one long array of all of them."""
    x, indices, updates = args
    at = axis_or_only(x, step.attrs["axis"])
    region = (*x.shape[:at], *shape_of(indices), *x.shape[at + 1 :])
    rows = spread(x, size)
    if type(indices) is not Batched:
        return step.op.apply(rows, indices, stretched(updates, len(region)), axis=at + 1)
    n = x.shape[at]
    first = moved(rows, at + 1, 1)
    count = TABLE["arange"](n, like=indices.value)
    starts = TABLE["multiply"](TABLE["arange"](size, like=indices.value), n)
    starts = TABLE["reshape"](starts, shape=(size, *(1,) * len(indices.shape)))
    inside = TABLE["take"](count, indices.value)  # it checks them, and counts from the front
    where = TABLE["add"](inside, starts)
    if shape_of(updates):
        wide = TABLE["broadcast_to"](stretched(updates, len(region)), shape=(size, *region))
        updates = moved(wide, _axes(1 + at, indices), _axes(1, indices))
    found = step.op.apply(reshaped(first, (size * n, *shape_of(first)[2:])), where, unboxed(updates), axis=0)
    return moved(reshaped(found, shape_of(first)), 1, at + 1)


def _axes(start: int, indices: Any) -> tuple[int, ...]:
    return tuple(range(start, start + len(shape_of(indices))))


# Products and kernels


def products(step: Step, args: list, size: int) -> Any:
    """Let (stacks of) matrices meet; one dimension is a row on the left and a column on the right."""
    left, right = args
    n1, n2 = len(shape_of(left)), len(shape_of(right))
    if type(right) is not Batched and n2 <= 2:
        return step.op.apply(left.value, right)
    if type(left) is not Batched and (n1, n2) == (2, 1):  # the places are the columns of one matrix
        return TABLE["matrix_transpose"](step.op.apply(left, TABLE["matrix_transpose"](right.value)))
    ndim = max(n1, n2, 2)
    left, right = (stretched(_as_matrix(x, at), ndim) for x, at in ((left, -2), (right, -1)))
    return _shaped(step, step.op.apply(left, right), size)


def _as_matrix(x: Any, new: int) -> Any:
    if len(shape_of(x)) != 1:
        return x
    wide = TABLE["expand_dims"](unboxed(x), axis=new)
    return Batched(wide) if type(x) is Batched else wide


def convolved(step: Step, args: list, size: int) -> Any:
    """Convolve: with one kernel a larger batch, with a kernel at each place as many more groups."""
    x, weight = args
    if type(weight) is not Batched:
        return folded(step, args, size)
    batch, *rest = shape_of(x)
    many = reshaped(moved(spread(x, size), 0, 1), (batch, size * rest[0], *rest[1:]))
    kernels = reshaped(weight.value, (size * weight.shape[0], *weight.shape[1:]))
    attrs = {**step.attrs, "groups": size * step.attrs["groups"]}
    found = step.op.apply(many, kernels, **attrs)
    return moved(reshaped(found, (batch, size, *step.outs[0].spec.shape[1:])), 1, 0)


# Loops and branches


def scanned(step: Step, args: list, size: int) -> Any:
    """Loop over all places at once: their axis stands behind that of the loop."""
    n_consts, n_carry = step.attrs["consts"], step.attrs["carry"]
    first_x = n_consts + n_carry
    carry = [Batched(spread(x, size)) for x in args[n_consts:first_x]]
    xs = [Batched(moved(x.value, 1, 0)) if type(x) is Batched else x for x in args[first_x:]]
    given = [*args[:n_consts], *carry, *xs]
    body = batched_graph(step.attrs["body"], [type(x) is Batched for x in given], size)
    outs = step.op.apply(*map(unboxed, given), **{**step.attrs, "body": body})
    return (*outs[:n_carry], *(moved(x, 1, 0) for x in outs[n_carry:]))


def branched(step: Step, args: list, size: int) -> Any:
    """Take one branch where the truth is the same for all places; else choose among the results of both."""
    truth, *given = args
    branches = step.attrs["branches"]
    if type(truth) is not Batched:
        batched = [type(x) is Batched for x in given]
        both = tuple(batched_graph(branch, batched, size) for branch in branches)
        return step.op.apply(truth, *map(unboxed, given), branches=both)
    yes, no = (run(expanded(branch), given, size, truth.value) for branch in branches)
    return tuple(_chosen(truth.value, spread(y, size), spread(n, size)) for y, n in zip(yes, no, strict=True))


def looped(step: Step, args: list, size: int) -> Any:
    """Loop as long as any place goes on; those that are done keep what they have."""
    n_test, n_step = step.attrs["test_consts"], step.attrs["consts"]
    carry = [Batched(spread(x, size)) for x in args[n_test + n_step :]]
    given = [*args[: n_test + n_step], *carry]
    batched = [type(x) is Batched for x in given]
    test = batched_graph(step.attrs["test"], [*batched[:n_test], *batched[n_test + n_step :]], size)
    body = batched_graph(step.attrs["body"], batched[n_test:], size)

    def any_goes_on(*values: Any) -> list:
        return [TABLE["any"](test(*values)[0])]

    def advance(*values: Any) -> list:
        own, old = values[:n_test], values[n_test + n_step :]
        goes_on = test(*own, *old)[0]
        return [_chosen(goes_on, new, x) for new, x in zip(body(*values[n_test:]), old, strict=True)]

    specs = [spec_of(unboxed(x)) for x in given]
    settings = {
        "test": _traced(any_goes_on, [*specs[:n_test], *specs[n_test + n_step :]]),
        "body": _traced(advance, specs),
        "consts": n_test + n_step,
    }
    values = [unboxed(x) for x in given]
    return step.op.apply(*values[:n_test], *values, **{**step.attrs, **settings})


def _traced(f: Any, specs: list) -> Graph:
    return trace_graph(f, specs)[0]


def _chosen(truths: Any, yes: Any, no: Any) -> Any:
    """Return at each place `yes` where its truth holds, else `no`."""
    return TABLE["where"](stretched(Batched(truths), len(shape_of(yes)) - 1), yes, no)


# What rules are made of


def reshaped(x: Any, shape: Sequence[int]) -> Any:
    """Return x in this shape."""
    return x if shape_of(x) == tuple(shape) else TABLE["reshape"](x, shape=tuple(shape))


def from_end(axis: Any, ndim: int) -> Any:
    """Return an axis, or a tuple of them, counted from the end."""
    if isinstance(axis, tuple | list):
        return tuple(from_end(a, ndim) for a in axis)
    return as_axis(axis, ndim) - ndim


def _shaped(step: Step, found: Any, size: int) -> Any:
    """Return results in the shapes that the step's have, the places in front."""
    if not step.several:
        return reshaped(found, (size, *step.outs[0].spec.shape))
    return tuple(reshaped(x, (size, *v.spec.shape)) for x, v in zip(found, step.outs, strict=True))
