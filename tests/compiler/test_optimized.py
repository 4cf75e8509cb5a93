"""Programs that Numba compiles as loops, as people meet them: `NumpyBackend(enable_optimizations=True)`."""

import importlib.util
import pickle
import threading

import numpy as np
import pytest

from conftest import close
from ember_ml import ops, tensor
from ember_ml.backend import NumpyBackend, use_backend
from ember_ml.compiler import compile, value_and_grad
from ember_ml.nn import CfC, functional_call
from ember_ml.nn.modules.wiring import AutoNCPMap

pytest.importorskip("numba")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 5)).astype("float32")
PARAMS = {
    "w1": RNG.normal(size=(8, 5)).astype("float32"),
    "b1": RNG.normal(size=8).astype("float32"),
    "w2": RNG.normal(size=(1, 8)).astype("float32"),
}


@pytest.fixture(autouse=True)
def quick(tmp_path_factory, monkeypatch):
    """A backend that optimises, and a folder of this run for what it compiles."""
    monkeypatch.setenv("EMBER_ML_HOME", str(tmp_path_factory.getbasetemp() / "home"))
    return NumpyBackend(enable_optimizations=True)


def loss(params, x):
    hidden = ops.tanh(ops.matmul(x, ops.matrix_transpose(params["w1"])) + params["b1"])
    return ops.mean(ops.square(ops.matmul(hidden, ops.matrix_transpose(params["w2"]))))


def same(got, want):
    for name in want[1]:
        np.testing.assert_allclose(got[1][name], want[1][name], rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-5)


def test_a_small_training_step_runs_as_loops_with_the_numbers_of_numpy(quick):
    run = compile(value_and_grad(loss), quick)
    same(run(PARAMS, X), compile(value_and_grad(loss), NumpyBackend())(PARAMS, X))
    assert "@njit" in run.source
    assert "matmul -> float32 (16, 8)" in run.explain()


def test_other_shapes_dtypes_and_layouts_are_met_as_ever(quick):
    run, plain = compile(value_and_grad(loss), quick), compile(value_and_grad(loss), NumpyBackend())
    turned = np.asfortranarray(X)
    wide = {name: p.astype("float64") for name, p in PARAMS.items()}
    for args in (
        (PARAMS, X),
        (PARAMS, X[:4]),
        (PARAMS, turned),
        (PARAMS, X[::2]),
        (wide, X.astype("float64")),
    ):
        for _ in range(2):
            same(run(*args), plain(*args))
    assert run(wide, X.astype("float64"))[0].dtype == "float64"
    assert len(run.graphs) == 4
    X.flags.writeable = False
    same(run(PARAMS, X), plain(PARAMS, X))
    X.flags.writeable = True


def test_wrong_arguments_are_told_of_as_ever(quick):
    run = compile(value_and_grad(loss), quick)
    run(PARAMS, X)
    with pytest.raises(ValueError, match=r"matmul: inner sizes differ, \(16, 4\) @ \(5, 8\)"):
        run(PARAMS, X[:, :4])


def test_tensors_come_back_as_tensors_and_keep_their_gradients(quick):
    run = compile(lambda x: ops.sum(ops.tanh(x) * x), quick)
    want = (np.tanh(X) * X).sum()
    close(run(X), want, rtol=1e-5)
    x = tensor.array(X, requires_grad=True)
    run(x).backward()
    close(x.grad.to_numpy(), np.tanh(X) + X * (1 - np.tanh(X) ** 2), rtol=1e-4)
    assert type(run(tensor.array(X))) is tensor.EmberTensor


def test_numbers_and_choices_are_arguments_too(quick):
    run = compile(lambda x, scale, up=True: ops.sum(x * scale + x) if up else ops.sum(x - scale), quick)
    close(run(X, 2.0), 3 * X.sum(), rtol=1e-4)
    close(run(X, 5.0), 6 * X.sum(), rtol=1e-4)
    close(run(X, 1.0, False), (X - 1).sum(), rtol=1e-4)


def test_a_loop_over_time_and_its_gradient_are_one_program(quick):
    with use_backend("numpy"):
        layer = CfC(AutoNCPMap(12, 2, seed=0), return_sequences=True)
        x = RNG.normal(size=(3, 7, 4)).astype("float32")
        layer(x)
    params = {name: np.asarray(p.data) for name, p in layer.named_parameters()}
    of = value_and_grad(lambda p, x: ops.mean(ops.square(functional_call(layer, p, x)[0])))
    run = compile(of, quick)
    same(run(params, x), compile(of, NumpyBackend())(params, x))
    assert run.source.count("@njit") == 1


def test_random_numbers_stay_new_at_each_call_and_come_back_with_a_seed(quick):
    from ember_ml import set_seed

    run = compile(lambda x: x + ops.uniform((16, 5)), quick)
    set_seed(3)
    first, second = run(X), run(X)
    assert not np.array_equal(first, second)
    set_seed(3)
    np.testing.assert_array_equal(run(X), first)


def test_threads_and_pickles(quick):
    run = compile(value_and_grad(loss), quick)
    want, wrong = run(PARAMS, X), []

    def work():
        for _ in range(300):
            got = run(PARAMS, X)
            wrong.extend(n for n in PARAMS if not np.array_equal(got[1][n], want[1][n]))

    threads = [threading.Thread(target=work) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong
    again = pickle.loads(pickle.dumps(run))
    same(again(PARAMS, X), want)
    assert "@njit" in again.source


def test_without_numba_numpy_runs_it(quick, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find(name))
    run = compile(value_and_grad(loss), quick)
    run(PARAMS, X)
    assert "@njit" not in run.source
