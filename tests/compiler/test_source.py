"""The printed program: its names, what it writes over, and what it lets go."""

import numpy as np
import pytest

from conftest import ENGINES, close
from ember_ml import ops
from ember_ml.backend import get_backend
from ember_ml.compiler import compile, value_and_grad
from ember_ml.core import as_dtype


def test_arguments_keep_their_names_and_gradients_are_named_after_them():
    run = compile(value_and_grad(lambda params, x: ops.sum(ops.tanh(x * params["scale"] + params["by"]))))
    run({"scale": np.ones(3, "float32"), "by": np.zeros(3, "float32")}, np.ones((2, 3), "float32"))
    assert "def evaluate(by, scale, x):" in run.source
    assert "d_scale = " in run.source
    assert "return (value, d_by, d_scale,)" in run.source


def test_names_that_are_shared_or_no_names_are_told_apart():
    run = compile(lambda a, b, *rest: a["x"] + b["x"] + rest[0][0] + a["class"])
    one = np.ones(2)
    close(run({"x": one, "class": one}, {"x": one}, [one]), 4 * one)
    assert "def evaluate(class_2, a_x, b_x, rest_0):" in run.source


@pytest.mark.parametrize("name", ["add", "dot", "array", "c1", "n1", "evaluate"])
def test_an_argument_may_be_called_as_a_function_is(name):
    x = np.ones((2, 2), "float32")
    run = compile(lambda p: ops.matmul(p[name], p[name]) + 2.0 + ops.arange(2, dtype="float32"))
    close(run({name: x}), x @ x + 2 + np.arange(2))


def test_temporaries_are_written_over_and_arguments_never():
    x = np.full((3, 4), 2.0, "float32")
    run = compile(lambda x: ops.exp(ops.tanh(x * 2.0) + x))
    got = run(x)
    close(got, np.exp(np.tanh(x * 2) + x))
    assert (x == 2).all()
    assert run.source.count("out=") == 3


def test_memory_is_not_used_again_where_nobody_plans_it():
    x = np.full((300, 300), 0.5, "float32")
    f = lambda x: ops.sum(ops.exp(ops.tanh(x) + 1.0))
    planned, plain = compile(f), compile(f, without=("memory",))
    assert planned(x) == plain(x)
    assert "out=" in planned.source
    assert "del " in planned.source
    assert "out=" not in plain.source
    assert "del " not in plain.source


def test_a_temporary_that_is_read_again_or_returned_is_kept():
    def f(x):
        h = x * 2.0
        return h, ops.exp(h), ops.tanh(h) + h

    x = np.full(4, 0.5, "float32")
    for got, want in zip(compile(f)(x), f(x), strict=True):
        close(got, want)


def test_a_temporary_seen_through_a_view_is_kept():
    def f(x):
        h = x * 2.0
        turned = ops.matrix_transpose(h)
        return ops.exp(h) + turned, h[0], ops.tanh(h) * ops.matrix_transpose(h)

    x = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    for got, want in zip(compile(f)(x), f(x), strict=True):
        close(got, want)


def test_an_array_and_its_own_transpose_are_not_mixed_up():
    def f(x):
        h = x * 1.5
        return h + ops.matrix_transpose(h)

    x = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(compile(f)(x), 1.5 * (x + x.T))


def test_results_share_no_memory_with_each_other_across_calls():
    run = compile(lambda x: (x * 2.0, ops.sum(x, axis=0)))
    x = np.ones((3, 4), "float32")
    first, second = run(x), run(x)
    for a, b in zip(first, second, strict=True):
        assert not np.shares_memory(a, b)


def test_the_text_is_written_to_a_file_as_it_is_made(tmp_path):
    run = compile(lambda x: ops.tanh(x) * 2.0, "numpy", file=tmp_path / "program.py")
    run(np.ones(3, "float32"))
    assert (tmp_path / "program.py").read_text(encoding="utf-8") == run.source
    run(np.ones((2, 3), "float32"))
    assert (tmp_path / "program.py").read_text(encoding="utf-8") == run.source
    assert run.source.count("def evaluate(x):") == 2


def test_large_arrays_are_let_go_after_their_last_use():
    run = compile(lambda x: ops.sum(ops.sort(ops.tanh(x) * x, axis=0), axis=0))
    x = np.ones((200, 200), "float32")
    close(run(x), np.full(200, 200 * np.tanh(1.0)), "float32", rtol=1e-5)
    assert "    del sort_1" in run.source


def test_the_peak_of_memory_is_two_arrays_not_ten():
    import tracemalloc

    def f(x):
        for _ in range(8):
            x = ops.tanh(x * 1.01) + 0.1
        return ops.sum(x)

    x = np.ones((512, 512), "float32")
    run = compile(f, "numpy")
    run(x)
    tracemalloc.start()
    run(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.1 * x.nbytes


def test_zeros_behind_a_mask_stay_zeros_whatever_is_masked():
    f = lambda x, y: ops.where(y > 0, x * 2.0, 0)
    x = np.array([[np.inf, np.nan, -np.inf, 3.0], [1.0, -2.0, 0.0, 5.0]], "float32")
    y = np.array([[-1, -1, 1, 1], [1, -1, 1, -1]], "float32")
    run = compile(f)
    np.testing.assert_array_equal(run(x, y), f(x, y))
    assert "where(" not in run.source
    for dtype in ("float16", "float64"):
        np.testing.assert_array_equal(run(x.astype(dtype), y), f(x.astype(dtype), y))


def test_a_choice_between_two_numbers_has_the_dtype_that_was_declared(be, dtype):
    x = be.array(np.array([[1.0, -2.0, 3.0]]), dtype=dtype)
    value, slope = compile(value_and_grad(lambda x: ops.mean(ops.relu(x))))(x)
    assert as_dtype(slope.dtype) == as_dtype(value.dtype) == dtype
    close(slope, np.array([[1, 0, 1]]) / 3)
    chosen = compile(lambda x: ops.where(x > 0, 1.0, 2.0))(x)
    assert as_dtype(chosen.dtype) == "float32"
    close(chosen, np.array([[1.0, 2.0, 1.0]]))


@pytest.mark.parametrize("engine", ENGINES)
def test_debugging_names_the_first_line_that_made_a_nan(engine):
    be = get_backend(engine)
    run = compile(lambda x, w: ops.sum(ops.log(ops.matmul(x, w)) * 0.0), be, debug=True)
    ones, zeros = (be.array(np.full((2, 2), n, "float32")) for n in (1.0, 0.0))
    close(run(ones, ones), np.array(0.0))
    with (
        np.errstate(divide="ignore"),
        pytest.raises(FloatingPointError, match=r"log\(.*\)` made 4 of 4 numbers"),
    ):
        run(ones, zeros)
    with pytest.raises(FloatingPointError, match="`x, an argument` made 1 of 4 numbers"):
        run(be.array(np.array([[np.nan, 1.0], [1.0, 1.0]], "float32")), ones)
