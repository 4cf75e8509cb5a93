"""Large and deep programs: they compile, in time that grows as they do, and go without leaving a trace."""

import cProfile
import pickle

import numpy as np
import pytest

from ember_ml import ops
from ember_ml.compiler import compile, grad
from ember_ml.core import tree
from ember_ml.tensor import array

X = np.linspace(0.1, 1.0, 4)


def chain(n):
    """Return a function of n nodes, each the argument of the next."""

    def f(x):
        for i in range(n // 2):
            x = ops.sin(ops.add(x, 0.5 + i % 7))
        return ops.sum(x)

    return f


def pyramid(n):
    """Return a function of n nodes that meet two by two."""

    def f(x):
        level = [ops.sin(ops.multiply(x, 0.1 + 1e-4 * i)) for i in range(n // 3)]
        while len(level) > 1:
            odd = level[len(level) & ~1 :]
            level = [ops.add(*pair) for pair in zip(level[::2], level[1::2], strict=False)] + odd
        return ops.sum(level[0])

    return f


def fan(n):
    """Return a function of one argument with n results."""
    return lambda x: [ops.sin(ops.add(x, float(i))) for i in range(n // 2)]


PROGRAMS = {
    "a pyramid": pyramid,
    "the gradient of a chain": lambda n: grad(chain(n)),
    "many results": fan,
}


def calls(f):
    """Return how many calls of functions it takes to compile f and run it, and the steps that f has then."""
    run, profile = compile(f, "numpy"), cProfile.Profile()
    profile.runcall(run, X)
    return sum(entry.callcount for entry in profile.getstats()), len(run.graphs[0].steps)


@pytest.mark.parametrize("name", PROGRAMS)
def test_ten_times_the_nodes_take_ten_times_the_calls(name):
    """How long they take, `benchmarks/growth.py` says."""
    few, many = calls(PROGRAMS[name](300)), calls(PROGRAMS[name](3000))
    assert many[0] / many[1] < 1.05 * few[0] / few[1]


def test_a_gradient_of_ten_thousand_steps_is_right_compiled_and_pickled():
    slope = grad(chain(5000))
    run, want = compile(slope, "numpy"), slope(X)
    np.testing.assert_allclose(run(X), want, rtol=1e-10)
    (graph,) = run.graphs
    assert len(graph.steps) > 9900
    (again,) = pickle.loads(pickle.dumps(graph))(X)
    np.testing.assert_allclose(again, want, rtol=1e-10)


def test_ten_thousand_ops_on_tensors_go_backward_and_are_let_go():
    """A tape holds each node by the next: letting go of the last must not nest ten thousand deep."""
    x = array(X, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y * 1.0001
    ops.sum(y).backward()
    np.testing.assert_allclose(np.asarray(x.grad), 1.0001**10_000 * np.ones(4), rtol=1e-9)
    del y


VIEWS = {
    "slices": (lambda x: x[1:], np.arange(4000.0)),
    "turned slices": (lambda x: ops.permute_dims(x[:, :-1], axes=(1, 0)), np.ones((2100, 2100))),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_views_are_not_written_into_one_endless_line(name):
    view, x = VIEWS[name]

    def f(x):
        for _ in range(3000):
            x = view(x)
        return ops.sum(x)

    run = compile(f, "numpy")
    np.testing.assert_array_equal(run(x), f(x))
    assert max(map(len, run.source.splitlines())) < 200


@pytest.mark.parametrize("depth", [10, 100, 300])
def test_trees_may_be_nested_deep(depth):
    def nested(x, k):
        return x if k == 0 else [{"a": nested(x, k - 1), "b": None}, x] if k % 2 else (nested(x, k - 1),)

    given = nested(X, depth)
    run = compile(lambda given: tree.map(ops.sin, given), "numpy")
    for _ in range(2):  # by the long way and by the quick one
        got = run(given)
        assert tree.structure(got) == tree.structure(given)
        for x in tree.leaves(got):
            np.testing.assert_array_equal(x, np.sin(X))


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_loops_may_be_nested_deep(be, depth):
    def nested(k, x):
        if k == 0:
            return ops.sin(x)
        return ops.scan(lambda carry, _: (nested(k - 1, carry), None), x, length=1)[0]

    x = be.array(X)
    slope = compile(grad(lambda x: ops.sum(nested(depth, x))), be)(x)
    np.testing.assert_allclose(be.to_numpy(slope), np.cos(X), rtol=1e-6)
