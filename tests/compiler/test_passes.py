"""What each pass does to a graph, that it says the same, and that it can be left out."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import PASSES, compile, grad, value_and_grad

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def steps(f, *args, backend="numpy", **options):
    """Return the names of the ops that a compiled function is left with, after checking its values."""
    run = compile(f, backend, **options)
    got = run(*args)
    if backend == "numpy":
        for one, other in zip(np.atleast_1d(got), np.atleast_1d(f(*args)), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)
    return [step.op.name for step in run.graphs[-1].steps]


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: x * 1.0, []),
        (lambda x: x / 1, []),
        (lambda x: x - 0.0, []),
        (lambda x: x + ops.zeros((4, 3)), []),
        (lambda x: x * 2.0 * 3.0 / 4.0, ["multiply"]),
        (lambda x: ops.negative(-x), []),
        (lambda x: x - (-x), ["add"]),
        (lambda x: -x + x * 2.0, ["multiply", "subtract"]),
        (lambda x: (-x) * 3.0, ["multiply"]),
        (lambda x: ops.matrix_transpose(ops.matrix_transpose(x)), []),
        (lambda x: ops.permute_dims(ops.permute_dims(x, (1, 0)), (1, 0)), []),
        (lambda x: ops.reshape(ops.reshape(x, (2, 6)), (4, 3)), []),
        (lambda x: ops.reshape(ops.reshape(x, (2, 6)), (12,)), ["reshape"]),
        (lambda x: x[:], []),
        (lambda x: ops.broadcast_to(x, (4, 3)), []),
        (lambda x: x * ops.broadcast_to(ops.full((), 2.0), (4, 3)), ["multiply"]),
        (lambda x: ops.maximum(x, ops.zeros((1, 3))), ["maximum"]),
        (lambda x: ops.where(ops.greater(x, 0), x, x), []),
        (lambda x: ops.sum(ops.ones((5, 4)), axis=0) + ops.sum(x), ["sum", "add"]),
        (lambda x: ops.sum(ops.reshape(x, (12, 1)), axis=1), ["reshape"]),
        (lambda x: ops.astype(x, "float32"), []),
        (lambda x: ops.stop_gradient(x) + 1.0, ["add"]),
        (lambda x: x**1, []),
    ],
)
def test_algebra_leaves_only_what_does_something(f, left):
    assert [s for s in steps(f, X, without=("engine",)) if s not in ("full", "ones", "zeros")] == left


def test_a_cross_entropy_and_its_gradient_take_one_exponential():
    labels = np.array([0, 2, 1, 1])

    def loss(x):
        return ops.sparse_categorical_crossentropy(labels, x, from_logits=True)

    run = compile(value_and_grad(loss), "numpy")
    value, slope = run(X)
    assert [step.op.name for step in run.graphs[-1].steps].count("exp") == 1
    x = X.astype("float64")
    chances = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    close(value, -np.log(chances[np.arange(4), labels]).mean())
    close(slope, (chances - np.eye(3)[labels]) / 4)
    far = run(X + np.float32(1e4))[1]  # no overflow
    np.testing.assert_allclose(far, slope, atol=2e-3)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_algebra_keeps_what_infinities_and_nan_become(value):
    x = np.array([value, 1.0], "float32")
    with np.errstate(invalid="ignore"):
        for f in (lambda x: x * 0.0, lambda x: x - x, lambda x: x / x, lambda x: ops.where(x > 0, x, 0)):
            np.testing.assert_array_equal(compile(f)(x), f(x))


def test_integers_are_not_rounded_together():
    x = np.array([5, 7], "int32")
    assert compile(lambda x: x // 2 * 2)(x).tolist() == [4, 6]
    assert compile(lambda x: x * 3 * 5)(x).tolist() == [75, 105]


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: x**2, ["square"]),
        (lambda x: x**3, ["square", "multiply"]),
        (lambda x: x**4, ["square", "square"]),
        (lambda x: x**-1, ["divide"]),
        (lambda x: x / 3.0, ["multiply"]),
        (lambda x: x**2.5, ["power"]),
    ],
)
def test_small_powers_and_divisions_become_products(f, left):
    x = np.abs(X) + 0.5
    assert steps(f, x) == left
    assert steps(f, x, without=("strength",)) != left or left == ["power"]


def test_half_precision_still_divides():
    x = np.array([1.0, 3.0], "float16")
    assert steps(lambda x: x / 3.0, x) == ["divide"]


def test_negative_bases_keep_their_sign():
    np.testing.assert_allclose(compile(lambda x: x**3)(X), X.astype("float64") ** 3, rtol=1e-5)


def test_the_gradient_of_a_weight_is_computed_as_the_weight_is_stored():
    w = np.ones((2, 3), "float32")
    f = grad(lambda w, x: ops.sum(ops.tanh(ops.matmul(x, ops.matrix_transpose(w)))))
    run = compile(f, "numpy")
    got = run(w, X)
    assert got.flags.c_contiguous
    slope = 1 - np.tanh(X @ w.T) ** 2
    np.testing.assert_allclose(got, slope.T @ X, rtol=1e-5)
    assert ".mT @" not in run.source
    assert "d_w = dot(" in run.source
    turned = compile(f, "numpy", without=("layout",))(w, X)
    assert not turned.flags.c_contiguous
    np.testing.assert_allclose(turned, got, rtol=1e-6)


def test_a_product_that_is_read_twice_stays_as_it_is():
    f = lambda x, y: (ops.matmul(x, y), ops.matrix_transpose(ops.matmul(x, y)))
    run = compile(f, "numpy")
    one, other = run(X, X.T.copy())
    np.testing.assert_array_equal(one, other.T)
    assert run.source.count("dot(") == 1


@pytest.mark.parametrize("axis", [0, 1, None, (0, 1), -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_by_products_are_sums(axis, keepdims):
    f = lambda x: (
        ops.sum(x, axis=axis, keepdims=keepdims),
        ops.sum(ops.square(x), axis=axis, keepdims=keepdims),
    )
    for got, want in zip(compile(f, "numpy")(X), f(X.astype("float64")), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_batch_of_products_with_one_matrix_is_one_product():
    x = np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")
    f = lambda x, w: ops.matmul(x, w)
    run = compile(f, "numpy")
    np.testing.assert_allclose(run(x, X.T.copy()), x @ X.T, rtol=1e-5)
    assert "matmul(" not in run.source.replace("matmul_", "")


def test_what_is_the_same_at_each_call_is_made_once():
    run = compile(lambda x: x + ops.arange(3, dtype="float32") * 2.0)
    close(run(X), X + np.arange(3) * 2)
    assert [step.op.name for step in run.graphs[-1].steps] == ["add"]
    assert "# c1: float32 (3,)" in run.source


def test_a_constant_result_is_a_new_array_each_time():
    run = compile(lambda x: (x, ops.arange(3)), "numpy")
    first, second = run(X)[1], run(X)[1]
    first[:] = 7
    assert second.tolist() == run(X)[1].tolist() == [0, 1, 2]


def test_every_pass_can_be_left_out_and_none_changes_a_value():
    def loss(w, x):
        h = ops.tanh(ops.matmul(x, ops.matrix_transpose(w)) / 3.0) ** 3
        return ops.mean(ops.square(h - ops.ones((4, 2)) * 0.5))

    w = np.random.default_rng(2).normal(size=(2, 3)).astype("float32")
    want, want_slope = compile(value_and_grad(loss))(w, X)
    for name in PASSES:
        got, slope = compile(value_and_grad(loss), without=(name,))(w, X)
        np.testing.assert_allclose(got, want, rtol=1e-5)
        np.testing.assert_allclose(slope, want_slope, rtol=1e-4, atol=1e-6)
    got, slope = compile(value_and_grad(loss), without=PASSES)(w, X)
    np.testing.assert_allclose(slope, want_slope, rtol=1e-4, atol=1e-6)


def test_a_pass_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no pass fuse to leave out; there are strength, algebra"):
        compile(lambda x: x, without=("fuse",))(X)
