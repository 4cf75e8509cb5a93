"""Batching: what an op does to many arrays at once, one for each place along a new first axis.

`run` computes a graph on `Batched` values. An op's rule, `batch=`, says how it takes them: a function of its
`Step`, the arguments and the number of places, whose results have the places in front. Axes counted from the
end stay what they are then, which is all that most rules do. Without a rule, elementwise ops let the axes
meet from the end, composites dissolve into their bodies, and everything else goes from place to place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ember_ml.core import rules, tree
from ember_ml.core.dtypes import DType
from ember_ml.core.graph import Graph, Step, Var, lift, trace_graph
from ember_ml.core.op import TABLE, Op
from ember_ml.core.rules import as_axis, shape_of
from ember_ml.core.spec import Spec, spec_of
from ember_ml.core.trace import constant


@dataclass(frozen=True, slots=True, eq=False)
class Batched:
    """Arrays of one shape, one for each place along the first axis of `value`."""

    value: Any

    @property
    def shape(self) -> rules.Shape:
        """The shape of one of them."""
        return shape_of(self.value)[1:]

    @property
    def dtype(self) -> DType:
        """The dtype of all."""
        return spec_of(self.value).dtype


def dissolves(op: Op) -> bool:
    """Whether a composite batches by its body: it has no rule, and no gradient rule that would be lost."""
    whole = op.batch is not None or op.linearize is not None or op.vjp not in (None, constant)
    return op.body is not None and not whole


def run(graph: Graph, values: Sequence, size: int, anchor: Any = None) -> list:
    """Compute a graph, traced with `expands=dissolves`, on arrays of which some are `Batched`."""
    env: dict[Var, Any] = dict(zip(graph.inputs, values, strict=True))

    def given(x: Any) -> Any:
        return env[x] if type(x) is Var else [given(each) for each in x] if type(x) in (list, tuple) else x

    for step in graph.steps:
        args = [given(a) for a in step.args]
        if any(type(x) is Batched for x in tree.leaves(args)):
            found = rule_of(step.op)(step, args, size)
            boxed = [None if x is None else Batched(x) for x in (found if step.several else (found,))]
        else:
            attrs = {**step.attrs, "like": anchor} if step.op.creates else step.attrs
            found = step.op.apply(*args, **attrs)
            boxed = found if step.several else (found,)
        env.update(zip(step.outs, boxed, strict=True))
    return [given(x) for x in graph.outputs]


def batched_graph(graph: Graph, batched: Sequence[bool], size: int) -> Graph:
    """Return the graph of `size` places at once: all its outputs are, and the inputs that `batched` names."""
    plain = expanded(graph)

    def places(*values: Any) -> list:
        boxed = [Batched(x) if b else x for x, b in zip(values, batched, strict=True)]
        return [spread(x, size) for x in run(plain, boxed, size)]

    specs = [
        Spec((size, *v.spec.shape), v.spec.dtype) if b else v.spec
        for v, b in zip(graph.inputs, batched, strict=True)
    ]
    return trace_graph(places, specs)[0]


def expanded(graph: Graph) -> Graph:
    """Return a graph as `run` takes it: without the composites that batch by their bodies."""
    return trace_graph(graph, [v.spec for v in graph.inputs], expands=dissolves)[0]


def rule_of(op: Op) -> Callable:
    """Return how an op batches that does not dissolve."""
    if op.batch is not None:
        return op.batch
    return elementwise if op.body is None and op.shape in (rules.same, rules.broadcast) else one_by_one


# What rules are made of


def unboxed(x: Any) -> Any:
    """Return the arrays of a `Batched`, the places in front; anything else as it is."""
    return x.value if type(x) is Batched else x


def stretched(x: Any, ndim: int) -> Any:
    """Return `unboxed(x)` with axes of size 1 after the places, so that each array has `ndim` axes."""
    if type(x) is not Batched or len(x.shape) >= ndim:
        return unboxed(x)
    size, *shape = shape_of(x.value)
    return TABLE["reshape"](x.value, shape=(size, *(1,) * (ndim - len(shape)), *shape))


def spread(x: Any, size: int) -> Any:
    """Return `unboxed(x)`, repeated for every place if it is the same for all."""
    return x.value if type(x) is Batched else TABLE["broadcast_to"](x, shape=(size, *shape_of(x)))


def reshaped(x: Any, shape: Sequence[int]) -> Any:
    """Return x in this shape."""
    return x if shape_of(x) == tuple(shape) else TABLE["reshape"](x, shape=tuple(shape))


def moved(x: Any, source: Any, destination: Any) -> Any:
    """Return x with axes in other places, as `ops.moveaxis`."""
    return x if source == destination else TABLE["moveaxis"](x, source, destination)


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


# Rules


def elementwise(step: Step, args: list, size: int) -> Any:
    """Values meet one by one, their axes aligned from the end."""
    ndim = max(len(shape_of(x)) for x in args)
    return step.op.apply(*(stretched(x, ndim) for x in args), **step.attrs)


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


def with_shape(step: Step, args: list, size: int) -> Any:
    """Take the shape of the result as the setting `shape`."""
    shape = step.outs[0].spec.shape
    value = stretched(args[0], len(shape))
    return step.op.apply(value, **{**step.attrs, "shape": (size, *shape)})


def permuted(step: Step, args: list, size: int) -> Any:
    """Put all axes in the order of `axes`."""
    axes = rules.as_axes(tuple(step.attrs["axes"]), len(args[0].shape))
    return step.op.apply(args[0].value, axes=(0, *(a + 1 for a in axes)))


def indexed(step: Step, args: list, size: int) -> Any:
    """Read, or write, what a basic `index` names; what is written meets the region from the end."""
    index = step.attrs["index"]
    index = (slice(None), *(index if isinstance(index, tuple) else (index,)))
    if len(args) == 1:
        return step.op.apply(args[0].value, index=index)
    x, updates = spread(args[0], size), args[1]
    return step.op.apply(x, stretched(updates, len(rules.index_shape(x, index)) - 1), index=index)


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


def folded(step: Step, args: list, size: int) -> Any:
    """Work alike on every place of the first axis of the first array, which then holds all of them."""
    if type(args[0]) is not Batched or any(type(x) is Batched for x in args[1:]):
        return one_by_one(step, args, size)
    rows = reshaped(args[0].value, (size * args[0].shape[0], *args[0].shape[1:]))
    return _shaped(step, step.op.apply(rows, *args[1:], **step.attrs), size)


def one_by_one(step: Step, args: list, size: int) -> Any:
    """Compute one place after the other: right for every op, and slow."""
    leaves, structure = tree.flatten(args)
    rows = [x.value for x in leaves if type(x) is Batched]

    def place(*values: Any) -> Any:
        rest = iter(values)
        return step.op.apply(
            *tree.unflatten(structure, [next(rest) if type(x) is Batched else x for x in leaves]),
            **step.attrs,
        )

    specs = [Spec(shape_of(x)[1:], spec_of(x).dtype) for x in rows]
    body, consts, _ = trace_graph(place, specs)
    settings = {"consts": len(consts), "carry": 0, "length": size, "reverse": False}
    found = TABLE["flat_scan"](*consts, *rows, body=lift(body, consts), **settings)
    return found if step.several else found[0]
