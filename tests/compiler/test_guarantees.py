"""What compiled functions promise: right in threads, whole when pickled, shared with none."""

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.backend import use_backend
from ember_ml.compiler import compile, grad, value_and_grad, vmap
from ember_ml.core import tree
from processes import in_a_new_process

RNG = np.random.default_rng(8)
W1, B1, W2 = RNG.normal(size=(5, 8)), RNG.normal(size=8), RNG.normal(size=(8, 3))
PARAMS = {"w1": W1.astype("float32"), "b1": B1.astype("float32"), "w2": W2.astype("float32")}
INPUTS = [RNG.normal(size=(4, 5)).astype("float32") for _ in range(8)]


def network(params, x):
    hidden = ops.tanh(ops.matmul(x, params["w1"]) + params["b1"])
    return ops.softmax(ops.matmul(hidden, params["w2"]))


def loss(params, x):
    return ops.mean(ops.square(network(params, x) - 0.25)) + 0.01 * ops.sum(ops.square(params["w1"]))


def on(be, x):
    return tree.map(be.array, x)


def expected(x):
    """Return the loss and its gradient at float64, by NumPy written by hand."""
    params, x = tree.map(lambda a: a.astype("float64"), PARAMS), x.astype("float64")
    hidden = np.tanh(x @ params["w1"] + params["b1"])
    shifted = np.exp(hidden @ params["w2"])
    out = shifted / shifted.sum(-1, keepdims=True)
    g = 2 * (out - 0.25) / out.size
    g = out * (g - (g * out).sum(-1, keepdims=True))
    back = g @ params["w2"].T * (1 - hidden**2)
    gradient = {"w1": x.T @ back + 0.02 * params["w1"], "b1": back.sum(0), "w2": hidden.T @ g}
    return ((out - 0.25) ** 2).mean() + 0.01 * (params["w1"] ** 2).sum(), gradient


def agree(be, got, want):
    assert tree.structure(got) == tree.structure(want)
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        close(be.to_numpy(g), w, "float32", atol=1e-5)  # the network's sums of terms near 1


def test_two_threads_a_thousand_times_give_only_right_results(be):
    step = compile(value_and_grad(loss), be)
    params, inputs = on(be, PARAMS), on(be, INPUTS)
    want = [expected(x) for x in INPUTS]
    start, wrong = threading.Barrier(2), []

    def work(first):
        try:
            with use_backend(be.name):
                start.wait()
                for i in range(first, first + 1000):
                    agree(be, step(params, inputs[i % 8]), want[i % 8])
        except Exception as error:  # noqa: BLE001 - a thread's failure must reach the test
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(step.graphs) == 1


def test_a_new_batch_size_is_a_new_program_and_not_an_error(be):
    step = compile(value_and_grad(loss), be)
    for x in (INPUTS[0][:1], INPUTS[1], INPUTS[2][:1]):
        agree(be, step(on(be, PARAMS), be.array(x)), expected(x))
    assert [g.inputs[-1].spec.shape for g in step.graphs] == [(1, 5), (4, 5)]


def test_a_compiled_function_survives_pickling(be):
    step = compile(value_and_grad(loss), be)
    agree(be, step(on(be, PARAMS), be.array(INPUTS[0])), expected(INPUTS[0]))
    again = pickle.loads(pickle.dumps(step))
    agree(be, again(on(be, PARAMS), be.array(INPUTS[1])), expected(INPUTS[1]))
    assert again.source == step.source


def test_a_compiled_function_computes_in_a_new_process(tmp_path):
    step = compile(value_and_grad(loss), "numpy")
    want = step(PARAMS, INPUTS[0])
    file = str(tmp_path / "step")
    Path(file).write_bytes(pickle.dumps((step, PARAMS, INPUTS[0], want)))
    told = in_a_new_process(
        f"""
        import pathlib, pickle
        step, params, x, (value, gradient) = pickle.loads(pathlib.Path({file!r}).read_bytes())
        found, slopes = step(params, x)
        print(bool(found == value), all((slopes[name] == gradient[name]).all() for name in params))
        try:
            step(params, x[:1])
        except TypeError as error:
            print(error)
        """
    )
    assert told.splitlines()[0] == "True True"
    assert "unpickled without its function, this knows only the arguments float32 (8,)" in told


# What is shared

ALIASES = {
    "an input": lambda x: x,
    "an input twice": lambda x: (x, x),
    "a reshaped input": lambda x: ops.reshape(x, (-1,)),
    "a slice of an input": lambda x: x[1:],
    "a transposed input": lambda x: ops.transpose(x),
    "a stretched input": lambda x: ops.broadcast_to(x, (2, *x.shape)),
    "a cast that casts nothing": lambda x: ops.astype(x, "float32"),
    "a sum over nothing": lambda x: ops.sum(x, axis=()),
    "a new value twice": lambda x: (y := ops.sin(x), y),
    "a value computed twice": lambda x: (ops.sin(x) * 2.0, ops.sin(x) * 2.0),
    "a value and a view of it": lambda x: (y := ops.sin(x), ops.transpose(y), y[0], ops.cos(y)),
    "a constant": lambda x: ops.zeros_like(x),
    "a constant and what is made of it": lambda x: (c := ops.ones((3, 3), like=x), c + x),
    "temporaries of one shape": lambda x: ops.exp(ops.sin(ops.cos(x) + x) * x) + ops.tanh(x) * 2.0,
    "a temporary and a result": lambda x: (y := ops.sin(x) + 1.0, ops.square(y) * y),
    "a gradient": lambda x: grad(lambda x: ops.sum(ops.sin(x) * x))(x),
    "a gradient that is an input": lambda x: grad(lambda y: ops.sum(y * x))(x),
    "a loop": lambda x: ops.scan(lambda c, row: (ops.sin(c) + row, c), x[0], x),
    "a loop that carries its inputs": lambda x: ops.scan(lambda c, row: (row, c), x[0], x),
    "a loop that runs": lambda x: ops.while_loop(lambda c: ops.sum(c) < 40.0, lambda c: c + 1.0, x),
    "a branch": lambda x: ops.cond(ops.sum(x) > 0, lambda x: x, lambda x: x + 1.0, x),
    "rows": lambda x: vmap(lambda row: (row, ops.sin(row)))(x),
}
SQUARE = np.arange(9, dtype="float32").reshape(3, 3) / 4


@pytest.mark.parametrize("name", ALIASES)
def test_numpy_shares_memory_compiled_only_where_it_does_eagerly(name):
    """A view of an argument, or of another result, may be one here too; nothing else shares a byte."""
    f = ALIASES[name]
    run, x, y = compile(f, "numpy"), SQUARE.copy(), SQUARE.copy()
    first, second, eager = ([*tree.leaves(g(z)), z] for g, z in ((run, x), (run, y), (f, x)))
    for i, one in enumerate(first):
        assert not any(np.shares_memory(one, other) for other in second)
        for k in range(i):
            assert np.shares_memory(eager[i], eager[k]) or not np.shares_memory(one, first[k])


@pytest.mark.parametrize("name", ALIASES)
def test_what_was_returned_stays_as_it_is(name):
    """Neither the next call nor writing into its results changes a result; no call changes arguments."""
    f = ALIASES[name]
    run, want = compile(f, "numpy"), [np.array(x) for x in tree.leaves(f(SQUARE.copy()))]
    x, y = SQUARE.copy(), SQUARE + 1.0
    x.flags.writeable = y.flags.writeable = False
    first, second = tree.leaves(run(x)), tree.leaves(run(y))
    for result in second:
        if result.flags.writeable:
            result[...] = -1.0
    third = tree.leaves(run(x))
    for one, other, wanted in zip(first, third, want, strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-6)
        np.testing.assert_array_equal(one, other)


def test_arguments_stay_what_they_are(be):
    step = compile(value_and_grad(loss), be)
    params, x = on(be, PARAMS), be.array(INPUTS[0])
    step(params, x)
    for name, kept in PARAMS.items():
        np.testing.assert_array_equal(be.to_numpy(params[name]), kept)
    np.testing.assert_array_equal(be.to_numpy(x), INPUTS[0])


def test_a_seed_makes_random_functions_repeat(be):
    noisy = compile(lambda x: x + ops.normal((3, 3), like=x), be)
    x = be.array(SQUARE)
    runs = []
    for seed in (5, 5, 6):
        ops.set_seed(seed)
        runs.append([be.to_numpy(noisy(x)) for _ in range(2)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_a_function_without_chance_returns_the_same_bits(be):
    step = compile(value_and_grad(loss), be)
    params, x = on(be, PARAMS), be.array(INPUTS[0])
    first, second = (tree.leaves(step(params, x)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(be.to_numpy(one), be.to_numpy(other))


def test_compiled_functions_compile_each_other(be):
    """A compiled function may be called while another is traced, and by itself."""
    inner = compile(loss, be)
    outer = compile(grad(inner), be)
    agree(be, outer(on(be, PARAMS), be.array(INPUTS[0])), expected(INPUTS[0])[1])
    agree(be, inner(on(be, PARAMS), be.array(INPUTS[0])), expected(INPUTS[0])[0])
