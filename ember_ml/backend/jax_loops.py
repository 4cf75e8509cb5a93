"""JAX's loops and branches around functions of ours: a graph among them is compiled once for its text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax

from ember_ml.core import Graph


def run(loop: Callable, functions: Sequence[Callable], settings: tuple, arrays: tuple) -> tuple:
    """Run one of the loops below, compiled where all that it repeats are graphs."""
    if all(isinstance(function, Graph) for function in functions):
        return _compiled(loop, tuple(map(_Text, functions)), settings)(*arrays)
    return loop(*functions, *settings, *arrays)


def scan(body: Callable, consts: int, carry: int, length: int, reverse: bool, *arrays: Any) -> tuple:
    """Return the last state and the stacked results of a body; see `flat_scan`."""
    fixed, state, rows = arrays[:consts], arrays[consts : consts + carry], arrays[consts + carry :]

    def step(state: tuple, row: tuple) -> tuple:
        out = body(*fixed, *state, *row)
        return tuple(out[:carry]), tuple(out[carry:])

    last, ys = jax.lax.scan(step, state, rows, length=length, reverse=reverse)
    return (*last, *ys)


def cond(yes: Callable, no: Callable, truth: Any, *arrays: Any) -> tuple:
    """Return what one of two branches makes; see `flat_cond`."""
    return jax.lax.cond(truth, yes, no, *arrays)


def while_loop(test: Callable, body: Callable, test_consts: int, consts: int, *arrays: Any) -> tuple:
    """Return the first state that fails a test; see `flat_while`."""
    asked, fixed = arrays[:test_consts], arrays[test_consts : test_consts + consts]
    return jax.lax.while_loop(
        lambda state: test(*asked, *state)[0],
        lambda state: tuple(body(*fixed, *state)),
        tuple(arrays[test_consts + consts :]),
    )


class _Text:
    """A graph that equals another of its text, so that XLA compiles a loop once, not at each eager call."""

    def __init__(self, graph: Any):
        self.graph, self.text = graph, str(graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Text) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@lru_cache(maxsize=256)
def _compiled(loop: Callable, texts: tuple[_Text, ...], settings: tuple) -> Callable:
    return jax.jit(partial(loop, *(text.graph for text in texts), *settings))
