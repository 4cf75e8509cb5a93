"""Reverse mode: from an output's cotangent to its inputs', by the rules in the table.

Works on anything that carries a `Node`: traced values here, EmberTensor in `ember_ml.tensor`. Broadcasting is
undone here, once, for every rule.

Complex numbers: every rule multiplies by the transposed derivative, as for real numbers, and conjugates
nothing. What people see is the conjugate of that, torch's ∂f/∂x + i ∂f/∂y; `conjugated` stands at the doors
(`vjp`, `backward`, `custom_vjp`), so no rule and no real program knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ember_ml.core.op import TABLE, Op
from ember_ml.core.rules import shape_of
from ember_ml.core.spec import spec_of
from ember_ml.core.trace import Node, Traced, name_of, named, new_trace, traced_in


def dissolves(op: Op) -> bool:
    """Whether a composite's gradient follows from its body: it has no rule of its own."""
    return op.vjp is None and op.linearize is None


def linearize(f: Callable, primals: Sequence) -> tuple[list, Callable[[Sequence], list]]:
    """Return `f(*primals)`, a list of arrays, and the function from its cotangents to those of the primals.

    A cotangent may be None, for zero; so may a result.
    """
    with new_trace(typed=False, expands=dissolves) as trace:
        inputs = [trace.input(x) for x in primals]
        outs = [traced_in(x) for x in f(*inputs)]

    def pull(cotangents: Sequence) -> list:
        roots = [(x, g) for x, g in zip(outs, cotangents, strict=True) if g is not None and mine(x)]
        found = backpropagate(roots, mine)
        return [found.get(key_of(x)) for x in inputs]

    def mine(x: Any) -> bool:
        return type(x) is Traced and x.trace is trace

    return [x.value if mine(x) else x for x in outs], pull


def conjugated(g: Any) -> Any:
    """Return the conjugate of a complex array; a real one, or None, itself."""
    return TABLE["conj"](g) if g is not None and spec_of(g).dtype.kind == "complex" else g


def key_of(box: Any) -> tuple[int, int]:
    """Return what names a value on a tape: its node and place there, or itself."""
    return (id(box), -1) if box.node is None else (id(box.node), box.index)


def backpropagate(
    roots: Sequence[tuple[Any, Any]], mine: Callable[[Any], bool]
) -> dict[tuple[int, int], Any]:
    """Return the cotangents of all leaves that `roots`, pairs (value, cotangent), depend on; see `key_of`.

    `mine` says which arguments of a node are on this tape; all others are constants.
    """
    grads: dict[tuple[int, int], Any] = {}
    for box, g in roots:
        _accumulate(grads, box, g)
    for node in reversed(_order([box for box, _ in roots], mine)):
        given = [grads.pop((id(node), i), None) for i in range(node.count)]
        if all(g is None for g in given):
            continue
        for box, part in zip(node.boxes, _pull(node, given), strict=True):
            if part is not None and mine(box):
                _accumulate(grads, box, part)
    return grads


def _pull(node: Node, given: list) -> list:
    several = isinstance(node.value, tuple | list)
    if node.pull is not None:
        parts = node.pull(given if several else given[0])
    elif node.op.vjp is None:
        raise TypeError(f"{node.op.name} has no gradient rule")
    else:
        parts = node.op.vjp(given if several else given[0], node.value, *node.args, **node.attrs)
    flat: list = []
    for part, arg in zip(parts, node.args, strict=True):
        if type(arg) in (list, tuple):
            flat.extend([None] * len(arg) if part is None else part)
        else:
            flat.append(part)
    return flat


def _accumulate(grads: dict, box: Any, part: Any) -> None:
    shape, target = shape_of(part), spec_of(box)
    if shape != target.shape:
        part = sum_to(part, target.shape)
    if spec_of(part).dtype != target.dtype:
        part = _to_dtype(part, target.dtype)
    key = key_of(box)
    grads[key] = TABLE["add"](grads[key], part) if key in grads else part
    if name := name_of(box):
        named(grads[key], f"d_{name}")


def _to_dtype(part: Any, dtype: Any) -> Any:
    if spec_of(part).dtype.kind == "complex" and dtype.kind != "complex":
        part = TABLE["real"](part)
    return TABLE["astype"](part, dtype=dtype)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an array of `shape` was broadcast to it."""
    have = shape_of(g)
    extra = len(have) - len(shape)
    if extra < 0 or any(n not in (1, have[extra + i]) for i, n in enumerate(shape)):
        return TABLE["broadcast_to"](g, shape=shape)  # a rule that kept a factor smaller than its output
    axes = (*range(extra), *(extra + i for i, n in enumerate(shape) if n == 1 and have[extra + i] != 1))
    summed = TABLE["sum"](g, axis=axes) if axes else g
    return summed if shape_of(summed) == shape else TABLE["reshape"](summed, shape=shape)


def _order(roots: list, mine: Callable[[Any], bool]) -> list[Node]:
    """Return every node that `roots` depend on, each after those it depends on."""
    seen: set[int] = set()
    out: list[Node] = []
    stack: list[tuple[Node, bool]] = [(box.node, False) for box in roots if box.node is not None]
    while stack:
        node, done = stack.pop()
        if done:
            out.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((b.node, False) for b in node.boxes if mine(b) and b.node is not None)
    return out
