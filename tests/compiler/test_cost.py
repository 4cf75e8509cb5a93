"""Costs, against what one counts by hand."""

import math

import numpy as np
import pytest

from ember_ml import ops
from ember_ml.cli.samples import DATA_DEPENDENT, ELSEWHERE, call, cases, sample
from ember_ml.compiler import value_and_grad
from ember_ml.compiler.cost import Cost, cost, graph_cost
from ember_ml.core import TABLE, Spec, as_dtype, tree
from ember_ml.core.graph import trace_graph


def graph_of(f, *shapes, dtype="float32"):
    return trace_graph(f, [Spec(shape, as_dtype(dtype)) for shape in shapes])[0]


def cost_of(f, *shapes, **settings):
    return graph_cost(graph_of(f, *shapes, **settings))


@pytest.mark.parametrize(
    ("f", "shapes", "flops", "numbers"),
    [
        (ops.add, [(3, 4), (4,)], 12, 12 + 4 + 12),
        (lambda x: x + 1, [(3, 4)], 12, 24),
        (ops.tanh, [(3, 4)], 12, 24),
        (lambda x: ops.sum(x, axis=1), [(3, 4)], 3 * 3, 12 + 3),
        (ops.max, [(3, 4)], 11, 12 + 1),
        (ops.matmul, [(3, 4), (4, 5)], 2 * 3 * 4 * 5, 12 + 20 + 15),
        (ops.matmul, [(7, 3, 4), (4,)], 7 * 3 * 4 * 2, 84 + 4 + 21),
        (lambda x, y: ops.einsum("bij,bjk->bik", x, y), [(2, 3, 4), (2, 4, 5)], 240, 24 + 40 + 30),
        (lambda x, y: ops.einsum("...i,...j->...ij", x, y), [(2, 3), (2, 4)], 24, 6 + 8 + 24),
        (lambda x: ops.einsum("...ij->...", x), [(5, 3, 4)], 60, 65),
        (lambda x, k: ops.conv2d(x, k, padding=1), [(2, 3, 8, 8), (6, 3, 3, 3)], 768 * 54, 384 + 162 + 768),
        (lambda x: ops.take(x, np.int32([2, 0])), [(9, 5)], 0, 10 + 2 + 10),
        (lambda x: ops.concat([x, x]), [(9, 5)], 0, 180),
        (lambda x: ops.sort(x, axis=0), [(8, 5)], 40 * 3, 80),
        (lambda x: ops.cumulative_sum(x, axis=0), [(8, 5)], 40, 80),
        (lambda x: x.mT[0, 1:], [(8, 5)], 0, 0),
        (ops.stop_gradient, [(8, 5)], 0, 0),
        (ops.inv, [(7, 3, 3)], 7 * 54, 126),
        (ops.cholesky, [(6, 6)], 72, 72),
        (ops.solve, [(3, 3), (3, 2)], 18 + 36, 9 + 6 + 6),
        (ops.softmax, [(3, 4)], 9 + 12 + 12 + 9 + 12, 24),  # max, subtract, exp, sum, divide
        (ops.sigmoid, [(10,)], 8 * 10, 20),  # -x, max, -, exp; >, where, +, /
        (lambda x: ops.ones(5) * x, [(5,)], 5, 5 + 15),
    ],
)  # fmt: skip
def test_a_step_costs_what_one_counts(f, shapes, flops, numbers):
    assert cost_of(f, *shapes) == Cost(flops, 4 * numbers)
    assert cost_of(f, *shapes, dtype="float64").flops == flops


def test_a_transform_costs_five_n_log_n():
    assert cost_of(ops.fft, (3, 64)).flops == 3 * 5 * 64 * 6
    assert cost_of(ops.rfft, (3, 64)).flops == 3 * 5 * 64 * 6 / 2
    assert cost_of(lambda x: ops.irfftn(ops.rfftn(x)), (8, 16)).flops == 5 * 128 * 7


def test_a_factorisation_costs_what_the_book_says():
    m, n = 9, 6
    assert cost_of(lambda x: ops.qr(x), (m, n)).flops == 4 * m * n**2 - 4 * n**3 / 3
    assert cost_of(ops.svdvals, (n, m)).flops == 4 * m * n**2 - 4 * n**3 / 3
    assert cost_of(lambda x: ops.svd(x, full_matrices=False), (m, n)).flops == 14 * m * n**2 + 8 * n**3
    assert cost_of(ops.eigh, (n, n)).flops == 9 * n**3


def test_a_loop_costs_its_turns():
    def turn(h, x):
        h = ops.tanh(x + h @ w)
        return h, h

    w = np.zeros((4, 4), "float32")
    body = Cost(2 * 3 * 4 * 4 + 12 + 12, 4 * ((12 + 16 + 12) + (12 + 12 + 12) + (12 + 12)))
    assert cost_of(lambda x: ops.scan(turn, x[0], x), (10, 3, 4)) == body * 10


def test_a_branch_costs_as_the_dearer_one():
    graph = graph_of(lambda x: ops.cond(x[0] > 0, lambda v: v @ v, lambda v: ops.sum(v), x), (5,))
    assert graph_cost(graph).flops == 1 + 10


def test_a_training_step_costs_about_three_times_its_forward_pass():
    sizes = [(784, 512), (512, 256), (256, 10)]

    def loss(params, x, y):
        for i, w in enumerate(params):
            x = x @ w if i == 2 else ops.relu(x @ w)
        return ops.mean(ops.square(x - y))

    step = graph_of(lambda *a: value_and_grad(loss)(list(a[:3]), *a[3:]), *sizes, (256, 784), (256, 10))
    products = sum(n * m for n, m in sizes)
    wanted = 2 * 256 * (3 * products - 784 * 512)  # no gradient for the first layer's input
    small = graph_cost(step).flops - wanted
    assert 0 < small < 0.01 * wanted


def test_costs_add_up_and_compare():
    assert Cost(1, 2) + Cost(3, 4) * 2 == Cost(7, 10)
    assert max(Cost(1, 9), Cost(2, 1)) == Cost(2, 1)


SEEN = [(op, i) for op, i in cases() if op.name not in DATA_DEPENDENT]


@pytest.mark.parametrize(("op", "number"), [pytest.param(o, i, id=f"{o.name}-{i}") for o, i in SEEN])
def test_every_op_has_a_cost(op, number):
    args, settings = sample(op, number, "float32")
    flat, structure = tree.flatten(args)
    specs = [Spec(x.shape, as_dtype(x.dtype)) for x in flat]
    key = {"key": np.array([3, 4], "uint32")} if op.creates and "key" in op.arrays else {}
    graph, _, _ = trace_graph(
        lambda *given: call(op, tree.unflatten(structure, given), {**settings, **key}),
        specs,
        expands=lambda op: False,
    )
    for step in graph.steps:
        found = cost(step)
        assert type(found.flops) is type(found.bytes) is int
        assert found.flops >= 0
        written = sum(math.prod(v.spec.shape) * v.spec.dtype.itemsize for v in step.outs)
        assert found == Cost() or found.bytes >= written


def test_every_primitive_is_among_them():
    seen = {op.name for op, _ in SEEN} | DATA_DEPENDENT | ELSEWHERE
    assert {name for name, op in TABLE.items() if op.body is None} <= seen
