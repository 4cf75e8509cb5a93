"""What a graph costs: arithmetic operations, and bytes moved, by the shapes of its steps.

An elementwise op counts 1 for each number that it makes, exp and tanh too; so does a complex one. A product
and its sum count 2; a reduction one less than it joins. Views, and what only moves numbers, count 0. Bytes
are those of the arguments read and of the results written, as if nothing stayed in a cache; views move none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ember_ml.core import Graph, Spec, spec_of, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.graph import Step, Var, trace_graph
from ember_ml.core.rules import broadcast, reduced, reduced_not_empty, same
from ember_ml.core.transforms import transformed


@dataclass(frozen=True, order=True)
class Cost:
    """Arithmetic operations and bytes moved. Costs add up, and are multiplied by a number of turns."""

    flops: int = 0
    bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.bytes + other.bytes)

    def __mul__(self, turns: int) -> Cost:
        return Cost(self.flops * turns, self.bytes * turns)


def graph_cost(graph: Graph) -> Cost:
    """Return what one run of a graph costs."""
    return sum(map(cost, graph.steps), Cost())


def cost(step: Step) -> Cost:
    """Return what one run of a step costs: a composite what its body does, a loop all its turns.

    Of two branches the dearer one counts, of a `while_loop` a single turn, since how many there will be is
    not known. Factorisations count as in Golub and Van Loan 2013, transforms 5 n log2(n).
    """
    name, made = step.op.name, [v.spec for v in step.outs]
    if name in CONTROL:
        return CONTROL[name](step)
    if name in VIEWS:
        return Cost()
    read = [*(made if name in FETCHES else _arrays(step.args[:1])), *_arrays(step.args[1:])]
    return Cost(round(_flops(step)), sum(math.prod(s.shape) * s.dtype.itemsize for s in (*read, *made)))


def _flops(step: Step) -> float:
    op, made = step.op, _size(step.outs[0])
    if op.name in FORMULAS:
        return FORMULAS[op.name](step)
    if op.creates or op.name in MOVES or op.name in FETCHES:
        return 0
    if op.body is not None:
        return _body_flops(step)
    if op.shape in (reduced, reduced_not_empty):
        return max(0, _size(step.args[0]) - made)
    if op.shape in (same, broadcast):
        return made
    raise TypeError(f"cost: no one has said what {op.name} costs")


def _body_flops(step: Step) -> int:
    def body(*given: Any) -> Any:
        values = iter(given)
        args = tree.map(lambda x: x if type(x) in SCALARS else next(values), list(step.args))
        return step.op.apply(*args, **step.attrs)

    graph, _, _ = trace_graph(body, _arrays(step.args), expands=lambda op: op.name not in FORMULAS)
    return graph_cost(graph).flops


def _arrays(args: Iterable) -> list[Spec]:
    leaves = (x for x in tree.leaves(list(args)) if type(x) not in SCALARS)
    return [x.spec if type(x) is Var else spec_of(x) for x in leaves]


def _shape(x: Any) -> tuple[int, ...]:
    return () if type(x) in SCALARS else _arrays([x])[0].shape


def _size(x: Any) -> int:
    return math.prod(_shape(x))


def _einsum(step: Step) -> int:
    """One product less than there are operands for each turn of a loop over all indices, and a sum."""
    inputs = step.attrs["subscripts"].replace(" ", "").partition("->")[0]
    letters = "".join(sorted(set(inputs) - set(".,")))
    every = f"{inputs}->{'...' * ('...' in inputs)}{letters}"
    turns = math.prod(step.op.shape(*_arrays(step.args), subscripts=every))
    return turns * (len(step.args) - 1 + (turns > _size(step.outs[0])))


def _transform(step: Step) -> float:
    name, shape = step.op.name, _shape(step.args[0])
    sizes, axes = transformed(shape, step.attrs["s"], step.attrs["axes"], halved=name == "irfftn")
    points, rows = math.prod(sizes), math.prod(n for i, n in enumerate(shape) if i not in axes)
    return rows * 5 * points * math.log2(points) / (2 if "rfft" in name else 1)


def _ordered(step: Step) -> int:
    shape = _shape(step.args[0])
    return math.prod(shape) * _depth(shape[step.attrs["axis"]]) if shape else 0


def _depth(n: int) -> int:
    """Return how often n things can be halved."""
    return max(0, n - 1).bit_length()


def _matrices(formula: Callable[..., float]) -> Callable[[Step], float]:
    """Return the rule of an op on matrices with a longer side m and a shorter side n, and on its settings."""

    def rule(step: Step) -> float:
        *batch, rows, columns = _shape(step.args[0])
        m, n = max(rows, columns), min(rows, columns)
        return math.prod(batch) * formula(m, n, **step.attrs)

    return rule


def _qr(m: int, n: int, mode: str) -> float:
    triangle = 2 * n**2 * (m - n / 3)
    return 2 * triangle if mode == "reduced" else triangle + 4 * (m**2 * n - m * n**2 + n**3 / 3)


def _svd(m: int, n: int, full_matrices: bool) -> float:
    return 4 * m**2 * n + 8 * m * n**2 + 9 * n**3 if full_matrices else 14 * m * n**2 + 8 * n**3


def _solve(step: Step) -> float:
    *batch, n, _ = _shape(step.args[0])
    return math.prod(batch) * 2 * n**3 / 3 + 2 * n * _size(step.outs[0])


VIEWS = frozenset(
    {"broadcast_to", "flip", "getitem", "matrix_transpose", "permute_dims", "reshape", "stop_gradient"}
)
MOVES = frozenset({"astype", "concat", "slice_update", "stack"})
FETCHES = frozenset({"take", "take_along_axis"})  # they read of their first argument what they return
FORMULAS: dict[str, Callable[[Step], float]] = {
    "matmul": lambda step: 2 * _size(step.outs[0]) * _shape(step.args[0])[-1],
    "einsum": _einsum,
    # each number of the result joins a kernel's worth of others, the zeros of padding and spreading too
    "convolution": lambda step: 2 * _size(step.outs[0]) * math.prod(_shape(step.args[1])[1:]),
    **dict.fromkeys(("fftn", "ifftn", "rfftn", "irfftn"), _transform),
    **dict.fromkeys(("sort", "argsort"), _ordered),
    "searchsorted": lambda step: _size(step.args[1]) * _depth(_size(step.args[0]) + 1),
    **dict.fromkeys(("cumulative_sum", "cumulative_prod"), lambda step: _size(step.outs[0])),
    **dict.fromkeys(("index_add", "index_max", "index_min"), lambda step: _size(step.args[2])),
    "cholesky": _matrices(lambda m, n, upper: n**3 / 3),
    "inv": _matrices(lambda m, n: 2 * n**3),
    **dict.fromkeys(("det", "slogdet"), _matrices(lambda m, n: 2 * n**3 / 3)),
    "solve": _solve,
    "qr": _matrices(_qr),
    "svd": _matrices(_svd),
    "svdvals": _matrices(lambda m, n: 4 * m * n**2 - 4 * n**3 / 3),
    "eigh": _matrices(lambda m, n: 9 * n**3),
    "eigvalsh": _matrices(lambda m, n: 4 * n**3 / 3),
    "eig": _matrices(lambda m, n: 25 * n**3),
    "eigvals": _matrices(lambda m, n: 10 * n**3),
}
CONTROL: dict[str, Callable[[Step], Cost]] = {
    "flat_scan": lambda step: graph_cost(step.attrs["body"]) * step.attrs["length"],
    "flat_cond": lambda step: max(map(graph_cost, step.attrs["branches"])),
    "flat_while": lambda step: graph_cost(step.attrs["test"]) + graph_cost(step.attrs["body"]),
}
