"""Nested containers of arrays: taken apart into leaves, and put together again.

Lists, tuples, named tuples and dicts are nodes; `None` is an empty node; everything else is a leaf.
Dicts are walked by sorted key. A structure is plain data: it compares, hashes and pickles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

LEAF = ("leaf",)
NONE = ("none",)


def flatten(tree: Any) -> tuple[list, tuple]:
    """Return the leaves of `tree` in order, and its structure."""
    leaves: list = []
    return leaves, _take_apart(tree, leaves)


def leaves(tree: Any) -> list:
    """Return the leaves of `tree` in order."""
    return flatten(tree)[0]


def structure(tree: Any) -> tuple:
    """Return the structure of `tree`, without its leaves."""
    return flatten(tree)[1]


def unflatten(structure: tuple, leaves: Iterable) -> Any:
    """Return the tree of this `structure` with these `leaves`. Raises ValueError for too few or too many."""
    rest = iter(leaves)
    try:
        tree = _put_together(structure, rest)
    except StopIteration:
        raise ValueError(f"too few leaves for {describe(structure)}") from None
    if next(rest, NONE) is not NONE:
        raise ValueError(f"too many leaves for {describe(structure)}")
    return tree


def map(function: Callable, tree: Any, *rest: Any) -> Any:
    """Apply `function` to the leaves of trees of one structure."""
    first, shape = flatten(tree)
    others = [flatten(other) for other in rest]
    for _, other in others:
        if other != shape:
            raise ValueError(f"trees differ in structure: {describe(shape)} and {describe(other)}")
    return unflatten(shape, [function(*each) for each in zip(first, *(o for o, _ in others), strict=True)])


def merged(values: Sequence, places: Sequence[int], some: Sequence) -> list:
    """Return `values` with `some` in these places."""
    merged = list(values)
    for i, x in zip(places, some, strict=True):
        merged[i] = x
    return merged


def paths(structure: tuple) -> list[tuple]:
    """Return where each leaf stands: the keys and places that lead to it."""
    if structure == LEAF:
        return [()]
    if structure == NONE:
        return []
    kind, keys, children = structure
    steps = keys or getattr(kind, "_fields", None) or range(len(children))
    return [(step, *rest) for step, child in zip(steps, children, strict=True) for rest in paths(child)]


def spread(values: Any, structure: tuple, is_one: Callable[[Any], bool]) -> list | None:
    """Return a value for each leaf of `structure`, of which `values` is the upper part; None if it is none.

    What `is_one` stands for all leaves below it.
    """
    if structure == NONE:
        return []
    if structure == LEAF:
        return [values]
    _, keys, children = structure
    if is_one(values):
        parts = [values] * len(children)
    elif keys is not None and isinstance(values, dict) and values.keys() == set(keys):
        parts = [values[key] for key in keys]
    elif keys is None and isinstance(values, list | tuple) and len(values) == len(children):
        parts = values
    else:
        return None
    found = [spread(part, child, is_one) for part, child in zip(parts, children, strict=True)]
    return None if None in found else [x for each in found for x in each or ()]


def describe(structure: tuple) -> str:
    """Return a structure as one would write it, with `*` for a leaf."""
    if structure == LEAF:
        return "*"
    if structure == NONE:
        return "None"
    kind, keys, children = structure
    inside = [describe(child) for child in children]
    if issubclass(kind, dict):
        return "{" + ", ".join(f"{k!r}: {v}" for k, v in zip(keys, inside, strict=True)) + "}"
    return f"[{', '.join(inside)}]" if issubclass(kind, list) else f"({', '.join(inside)},)"


def _take_apart(tree: Any, out: list) -> tuple:
    if tree is None:
        return NONE
    kind = type(tree)
    if isinstance(tree, dict):
        try:
            keys = tuple(sorted(tree))
        except TypeError as error:
            raise TypeError(f"the keys of a dict must have an order, got {list(tree)}") from error
        return (kind, keys, tuple([_take_apart(tree[key], out) for key in keys]))
    if isinstance(tree, list | tuple):
        return (kind, None, tuple([_take_apart(child, out) for child in tree]))
    out.append(tree)
    return LEAF


def _put_together(structure: tuple, leaves: Iterator) -> Any:
    if structure is LEAF or structure == LEAF:
        return next(leaves)
    if structure == NONE:
        return None
    kind, keys, children = structure
    parts = [_put_together(child, leaves) for child in children]
    if keys is not None:
        return kind(zip(keys, parts, strict=True))
    return kind(*parts) if getattr(kind, "_fields", None) else kind(parts)
