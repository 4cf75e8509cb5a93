"""What indexing, kernels and loops do to many arrays at once. The rules that ops share stand in core."""

from __future__ import annotations

import math
from typing import Any

from ember_ml.core.batching import (
    Batched,
    batched_graph,
    expanded,
    folded,
    from_end,
    moved,
    reshaped,
    run,
    spread,
    stretched,
    unboxed,
)
from ember_ml.core.graph import Graph, Step, trace_graph
from ember_ml.core.op import TABLE
from ember_ml.core.rules import axis_or_only, shape_of
from ember_ml.core.spec import spec_of


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
