"""Compiled functions: what makes a new one, what their text says, threads, pickles, dtypes, random keys."""

import functools
import logging
import operator
import pickle
import threading

import numpy as np
import pytest

from conftest import ENGINES, close
from ember_ml import backend, ops
from ember_ml.backend.numpy_backend import NumPyBackend
from ember_ml.compiler import compile, grad, value_and_grad
from ember_ml.core import as_dtype

OTHERS = [name for name in ENGINES if name != "numpy"]


def number(be, x, dtype="float32"):
    return be.array(np.array(x, dtype))


def affine(x, w, b):
    return ops.tanh(ops.matmul(x, w) + b)


# Keys


def test_each_kind_of_arguments_is_traced_once(be):
    traced = []

    def f(p, scale, mode="plain"):
        traced.append(mode)
        return p["x"] * scale if mode == "plain" else -p["x"]

    run = compile(f, be)
    x = number(be, [1.0, 2.0])
    for _ in range(3):
        close(run({"x": x}, 2.0), np.array([2.0, 4.0]))
    close(run({"x": x}, 5.0), np.array([5.0, 10.0]))  # another number is no other kind
    assert len(traced) == 1
    close(run({"x": x}, 2), np.array([2.0, 4.0]))  # an integer is
    close(run({"x": number(be, [[1.0]])}, 2.0), np.array([[2.0]]))
    close(run({"x": number(be, [1.0, 2.0], "float64")}, 2.0), np.array([2.0, 4.0]))
    close(run({"x": x}, 2.0, "minus"), np.array([-1.0, -2.0]))
    close(run({"x": x}, 2.0, mode="minus"), np.array([-1.0, -2.0]))
    assert len(traced) == len(run.graphs) == 6


def test_truths_words_and_nothing_are_known_when_the_function_is_traced(be):
    def f(x, up, how, missing):
        assert up is True
        assert missing is None
        return ops.sum(x) if how == "sum" else ops.mean(x)

    run = compile(f, be)
    close(run(number(be, [1.0, 3.0]), True, "sum", None), np.array(4.0))
    close(run(number(be, [1.0, 3.0]), True, "mean", None), np.array(2.0))


def test_results_keep_their_structure(be):
    run = compile(lambda x: {"b": (x, None), "a": [x + x]}, be)
    out = run(number(be, [1.0]))
    assert list(out) == ["a", "b"]
    assert type(out["b"]) is tuple
    assert out["b"][1] is None
    close(out["a"][0], np.array([2.0]))


def test_a_method_and_a_partial_compile(be):
    class Scale:
        k = 3.0

        def __call__(self, x):
            return x * self.k

        def twice(self, x):
            return x * self.k * 2.0

    x = number(be, [1.0])
    close(compile(Scale().twice, be)(x), np.array([6.0]))
    close(compile(Scale(), be)(x), np.array([3.0]))
    close(compile(functools.partial(operator.add, 1.0), be)(x), np.array([2.0]))


# Dtypes


@pytest.mark.parametrize(
    ("f", "dtypes", "want"),
    [
        (ops.add, ("int32", "float32"), "float32"),
        (ops.add, ("int8", "uint8"), "int16"),
        (ops.add, ("float16", "float32"), "float32"),
        (ops.divide, ("int32", "int32"), "float32"),
        (ops.divide, ("int64", "int8"), "float32"),
        (lambda x, y: ops.sqrt(x), ("int32", "int32"), "float32"),
        (lambda x, y: x * 2.5, ("int32", "int32"), "float32"),
        (lambda x, y: x * 2, ("int8", "int8"), "int8"),
        (lambda x, y: ops.where(x > 1, x, y), ("int32", "float32"), "float32"),
        (lambda x, y: ops.concat([x, y]), ("int32", "float32"), "float32"),
        (lambda x, y: ops.mean(x), ("int32", "int32"), "float32"),
        (lambda x, y: ops.sum(x), ("int32", "int32"), "int64"),
        (lambda x, y: ops.argmax(x), ("float32", "float32"), "int64"),
        (lambda x, y: ops.matmul(x, y), ("int32", "float32"), "float32"),
    ],
)
def test_mixed_dtypes_meet_alike_on_every_engine(be, f, dtypes, want):
    x, y = (np.array(v, d) for v, d in zip(([4, 1], [2, 3]), dtypes, strict=True))
    got = compile(f, be)(be.array(x), be.array(y))
    assert as_dtype(got.dtype) == want
    close(got, np.asarray(f(x, y)).astype(want if want.startswith("float") else "int64").astype("float32"))


def test_numpy_scalars_within_a_compiled_function_act_as_beside_arrays(be):
    x = number(be, [1.0, 2.0])
    f = lambda x: ops.divide(x, np.sqrt(np.float64(4.0)))
    assert compile(f, be)(x).dtype == f(x).dtype
    close(compile(lambda x: x[np.int64(1)] + x[:: np.int64(-1)], be)(x), np.array([4.0, 3.0]))


# What is computed


def ops_of(run):
    return [step.op.name for step in run.graphs[-1].steps]


def test_repeated_work_is_done_once_and_unused_work_not_at_all(be):
    def f(x):
        unused = ops.exp(x)  # noqa: F841
        return (
            ops.tanh(x) * ops.tanh(x)
            + ops.tanh(x)
            + ops.max(x, axis=0) * ops.max(x, axis=0)
            - ops.max(x, axis=1)
        )

    run = compile(f, be)
    run(number(be, np.ones((2, 2))))
    names = ops_of(run)
    assert names.count("tanh") == 1
    assert names.count("max") == 2  # along two axes
    assert "exp" not in names


def test_numbers_that_look_alike_are_not_merged(be):
    run = compile(
        lambda x: (x * 1, x * 1.0, x * True, x * 0.0, x * -0.0), be, jit=False
    )  # mx.compile merges 0.0 and -0.0 itself
    out = run(number(be, [2], "int32"))
    assert [as_dtype(o.dtype).name for o in out] == ["int32", "float32", "int32", "float32", "float32"]
    assert np.signbit(np.asarray(out[4])).tolist() == [True]
    assert np.signbit(np.asarray(out[3])).tolist() == [False]


def test_the_gradient_of_what_nobody_asked_for_is_not_computed(be):
    run = compile(grad(lambda w, x: ops.sum(ops.matmul(x, w))), be)
    run(number(be, np.ones((3, 2))), number(be, np.ones((4, 3))))
    assert ops_of(run).count("matmul") == 1  # x's gradient would be a second; the value a third


def test_the_text_of_a_small_function():
    run = compile(lambda x, w: {"y": ops.tanh(ops.matmul(x, ops.transpose(w)) * 2 + 1.5)[:, 0], "w": w})
    run(np.ones((2, 3), "float32"), np.ones((4, 3), "float32"))
    assert run.source == (
        "n1 = array(2, 'float32')\n"
        "n2 = array(1.5, 'float32')\n\n\n"
        "def evaluate(x, w):\n"
        "    matmul_1 = dot(x, w.mT)  # float32 (2, 4)\n"
        "    multiply(matmul_1, n1, out=matmul_1)\n"
        "    add(matmul_1, n2, out=matmul_1)\n"
        "    tanh(matmul_1, out=matmul_1)\n"
        "    getitem_1 = matmul_1[:, 0]  # float32 (2,)\n"
        "    return (array(w), getitem_1,)\n"
    )


def test_the_text_runs_the_engines_own_functions():
    run = compile(lambda x: ops.exp(x) + 1.0, jit=False)
    run(np.ones(2))
    (made,) = run._made.values()
    assert made.run.__globals__["exp"] is np.exp
    assert made.run.__globals__["add"] is np.add


def test_verbose_logs_the_text(caplog):
    with caplog.at_level(logging.INFO, logger="ember_ml"):
        compile(lambda x: x + 1.0, verbose=True)(np.ones(2))
    assert "compiled for numpy, 1 steps:\n" in caplog.text
    assert "def evaluate(x):" in caplog.text


def test_an_error_in_the_text_shows_its_line():
    import traceback

    run = compile(lambda x, i: ops.take(x, i), "numpy", jit=False)
    x = np.ones(3)
    run(x, np.array([0]))
    with pytest.raises(IndexError) as told:
        run(x, np.array([5]))
    assert "take_1 = take(x, i, axis=0)" in "".join(traceback.format_tb(told.value.__traceback__))


# Engines


def test_the_arguments_choose_the_engine():
    run = compile(affine)
    shapes = ((2, 3), (3, 4), (4,))
    for name in ENGINES:
        be = backend.get_backend(name)
        out = run(*(number(be, np.full(s, 0.1)) for s in shapes))
        assert be.owns(type(out))
        close(out, np.full((2, 4), np.tanh(0.13), "float32"))
    assert len(run.graphs) == len(ENGINES)


@pytest.mark.parametrize("name", OTHERS)
def test_without_arrays_the_active_backend_computes(name):
    made = compile(lambda: ops.arange(3) + 1)
    with backend.use_backend(name) as be:
        assert be.owns(type(made()))
    with backend.use_backend("numpy"):
        assert type(made()) is np.ndarray
    fixed = compile(lambda: ops.ones((2,)), name)
    assert backend.get_backend(name).owns(type(fixed()))


@pytest.mark.parametrize("name", OTHERS)
def test_arrays_of_the_wrong_engine_are_refused(name):
    with pytest.raises(
        TypeError, match=f"compile: compiled for {name}, but the arguments are arrays of numpy"
    ):
        compile(lambda x: x, name)(np.ones(2))
    with pytest.raises(TypeError, match="compile: arrays of different backends"):
        compile(lambda x, y: x + y)(np.ones(2), number(backend.get_backend(name), [1.0]))


def test_a_configured_backend_compiles_for_its_engine():
    close(compile(lambda x: x + 1.0, NumPyBackend(dtype="float64"))(np.ones(2)), np.array([2.0, 2.0]))


def test_the_active_backend_decides_between_two_of_one_engine():
    class NumPyToo(type(backend.get_backend("numpy"))):
        name = "numpy_too"

    backend.register_backend("numpy_too", NumPyToo)
    try:
        run = compile(lambda x: x + 1.0)
        run(np.ones(2))
        with backend.use_backend("numpy_too"):
            run(np.ones(2))
        run(np.ones(2))
        assert [made.engine.name for made in run._made.values()] == ["numpy", "numpy_too"]
    finally:
        backend.unregister_backend("numpy_too")


# Nesting


def test_compiled_functions_may_stand_within_gradients_and_within_each_other(be):
    square = compile(lambda x: ops.square(x), be)
    x = number(be, [1.0, 2.0])
    close(grad(lambda x: ops.sum(square(x)))(x), np.array([2.0, 4.0]))
    close(compile(lambda x: ops.sum(square(x)), be)(x), np.array(5.0))
    last, _ = ops.scan(lambda c, _: (square(c), None), x, length=2)
    close(last, np.array([1.0, 16.0]))


# Threads and pickles


def test_eight_threads_on_first_use_make_one_specialisation(be):
    traced = []

    def f(x):
        traced.append(threading.get_ident())
        return ops.tanh(x) * 2.0

    run, x = compile(f, be), number(be, [0.5])
    gate, results, failed = threading.Barrier(8), [], []

    def work():
        gate.wait()
        try:
            results.append(np.asarray(run(x)).item())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    assert (len(traced), len(run.graphs), len(set(results)), len(results)) == (1, 1, 1, 8)


def loss(w, x):
    return ops.sum(ops.square(ops.matmul(x, w)))


def test_a_compiled_function_pickles_with_its_graphs(be):
    run = compile(loss, be)
    w, x = number(be, np.ones((3, 1))), number(be, np.arange(6.0).reshape(2, 3))
    want = run(w, x)
    back = pickle.loads(pickle.dumps(run))
    assert len(back.graphs) == 1
    close(back(w, x), np.asarray(want))
    assert back.source == run.source
    assert len(back.graphs) == 1  # it knew the arguments
    close(back(number(be, np.ones((3, 2))), x), np.asarray(want) * 2)


def test_a_closure_pickles_as_its_graphs_alone(be):
    k = 3.0
    run = compile(value_and_grad(lambda x: ops.sum(x * k)), be)
    x = number(be, [1.0, 2.0])
    run(x)
    back = pickle.loads(pickle.dumps(run))
    value, gradient = back(x)
    close(value, np.array(9.0))
    close(gradient, np.array([3.0, 3.0]))
    with pytest.raises(
        TypeError,
        match=r"compile: unpickled without its function, this knows only the arguments float32 \(2,\)",
    ):
        back(number(be, [1.0]))


def test_loops_and_random_draws_pickle_too(be):
    def f(x):
        return ops.scan(lambda c, _: (c + ops.uniform((2,), like=c), ops.sum(c)), x, length=3)

    run, x = compile(f, be), number(be, [0.0, 0.0])
    ops.set_seed(2)
    want = run(x)
    ops.set_seed(2)
    got = pickle.loads(pickle.dumps(run))(x)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


# torch through Inductor


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when Inductor is imported
def test_inductor_agrees_with_numpy_on_many_ops_in_one_graph():
    """One graph, since Inductor takes seconds to start and then under one an op."""
    import shutil

    if "torch" not in ENGINES or not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("needs torch and a C++ compiler")
    unary = "tanh sigmoid exp expm1 sin cos square abs relu softplus gelu erf negative floor sign softmax "
    unary += "log_softmax logsumexp"

    def f(x, w, rows):
        h = ops.matmul(x, w)
        out = [getattr(ops, name)(h) for name in unary.split()]
        out += [
            ops.where(h > 0, h, 0.5),
            ops.maximum(h, 0.1),
            ops.power(ops.abs(h), 1.5),
            ops.clip(h, -0.5, 0.5),
            h // 0.3,
        ]
        out += [
            ops.sum(h, axis=0),
            ops.mean(h),
            ops.max(h, axis=1),
            ops.std(h),
            ops.argmax(h, axis=1),
            ops.cumulative_sum(h, axis=1),
        ]
        out += [
            ops.concat([h, h]),
            ops.stack([h, h]),
            ops.transpose(h),
            ops.take(h, rows),
            ops.einsum("ij,kj->ik", h, h),
            ops.one_hot(rows, 4),
        ]
        out += [ops.random_bits(ops.key(3, like=rows), (5,)), ops.mse(h, x[:, :4])]
        return out, grad(lambda w: ops.sum(ops.square(ops.tanh(ops.matmul(x, w)))))(w)

    rng = np.random.default_rng(0)
    given = rng.normal(size=(3, 5)), rng.normal(size=(5, 4)), np.array([2, 0])
    want_values, want_gradient = compile(f, "numpy")(*given)
    engine = backend.get_backend("torch_optimized")
    with backend.use_backend("torch_optimized"):
        run = compile(f)
        got_values, got_gradient = run(*(engine.array(a) for a in given))
    assert next(iter(run._made.values())).engine == "torch_optimized"
    for got, want in zip([*got_values, got_gradient], [*want_values, want_gradient], strict=True):
        close(
            got, np.asarray(want), "float64", rtol=1e-6, atol=1e-7
        )  # Inductor vectorises exp and erf to float32's few ulps
