"""`vmap`: a function of one example becomes one of many, each op at all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from ember_ml.core import batching, tree
from ember_ml.core.batching import Batched
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.graph import trace_graph
from ember_ml.core.op import TABLE
from ember_ml.core.rules import as_axis, shape_of
from ember_ml.core.spec import Spec, spec_of
from ember_ml.ops.random import next_key


def vmap(f: Callable, in_axes: Any = 0, out_axes: Any = 0, axis_size: int | None = None) -> Callable:
    """Return the function that computes `f` at every place along an axis of its arguments; as jax.vmap.

    `in_axes` says which axis of each argument holds the places, None that the argument is the same at all of
    them; `out_axes` where they stand in the results. Both may be trees that stop above the leaves. What is
    given by keyword is mapped over its first axis. `axis_size` is needed only where nothing is mapped.

    f is traced, so it decides nothing by values. An `ops.cond` on a mapped truth computes both sides. A
    random op draws the same numbers at every place; for others, map over keys (`ops.split_key`).

    Raises ValueError when sizes differ or axes do not fit the arguments.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> vmap(ops.matmul, in_axes=(0, None))(np.ones((3, 2)), np.eye(2))
    array([[1., 1.],
           [1., 1.],
           [1., 1.]])
    """

    def run(*args: Any, **settings: Any) -> Any:
        leaves, structure = tree.flatten((args, settings))
        axes = [*_prefix(in_axes, tree.structure(args), "in_axes"), *([0] * len(tree.leaves(settings)))]
        axes = [None if a is None else _axis(a, x, f"in_axes {a}") for a, x in zip(axes, leaves, strict=True)]
        size = _size(axes, leaves, axis_size)
        places = [i for i, a in enumerate(axes) if a is not None]
        rows = [batching.moved(leaves[i], axes[i], 0) for i in places]

        def flat(*values: Any) -> Any:
            args, settings = tree.unflatten(structure, tree.merged(leaves, places, values))
            return f(*args, **settings)

        specs = [Spec(shape_of(x)[1:], spec_of(x).dtype) for x in rows]
        graph, _, random = trace_graph(flat, specs, expands=batching.dissolves)
        anchor = next((x for x in leaves if type(x) not in SCALARS), None)
        drawn = [next_key(like=anchor), TABLE["full"]((), 0, dtype="int32", like=anchor)] if random else []
        outs = batching.run(graph, [*map(Batched, rows), *drawn], size, anchor)
        ends = _prefix(out_axes, graph.structure, "out_axes")
        laid = [_laid(x, a, size, anchor) for x, a in zip(outs, ends, strict=True)]
        return tree.unflatten(graph.structure, laid)

    return update_wrapper(run, f) if getattr(f, "__name__", None) else run


def _prefix(axes: Any, structure: tuple, name: str) -> list:
    """Return an axis (or None) for every leaf of `structure`, of which `axes` is the upper part."""
    found = tree.spread(axes, structure, _is_axis)
    if found is None or not all(map(_is_axis, found)):
        raise ValueError(
            f"vmap: {name} must be an integer, None, or a tree of them that fits "
            f"{tree.describe(structure)}, got {axes!r}"
        )
    return found


def _is_axis(x: Any) -> bool:
    return x is None or type(x) is int


def _axis(axis: int, x: Any, said: str) -> int:
    shape = shape_of(x)
    if not -len(shape) <= axis < len(shape):
        raise ValueError(
            f"vmap: {said} is out of range for an argument of shape {shape}; None leaves it as it is"
        )
    return as_axis(axis, len(shape))


def _size(axes: list, leaves: list, axis_size: int | None) -> int:
    """Return how many places there are."""
    found = [shape_of(x)[a] for a, x in zip(axes, leaves, strict=True) if a is not None]
    sizes = sorted({*found} | (set() if axis_size is None else {axis_size}))
    if not sizes:
        raise ValueError("vmap: nothing is mapped; give an argument an axis in in_axes, or axis_size")
    if len(sizes) > 1:
        said = "" if axis_size is None else f" and axis_size {axis_size}"
        raise ValueError(f"vmap: the mapped axes must have one size, got {found}{said}")
    return sizes[0]


def _laid(x: Any, axis: int | None, size: int, anchor: Any) -> Any:
    """Return a result with its places at `axis`."""
    if axis is None:
        if type(x) is Batched:
            raise ValueError("vmap: out_axes is None for a result that differs from place to place")
        return x
    x = TABLE["full"]((), x, like=anchor) if type(x) in SCALARS else x
    return batching.moved(batching.spread(x, size), 0, as_axis(axis, len(shape_of(x)) + 1))
