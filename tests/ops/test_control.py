"""Loops and branches: values, gradients of everything captured, compiled and eager."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad, value_and_grad

RNG = np.random.default_rng(0)
W, H, X = RNG.normal(size=(3, 3)) * 0.5, RNG.normal(size=(2, 3)), RNG.normal(size=(5, 2, 3))


def rnn_loss(w, h, xs):
    def step(h, x):
        h = ops.tanh(ops.add(ops.matmul(h, w), x))
        return h, ops.square(h)

    last, ys = ops.scan(step, h, xs)
    return ops.add(ops.sum(ys), ops.sum(last))


def unrolled(w, h, xs):
    total = 0.0
    for x in xs:
        h = np.tanh(h @ w + x)
        total = total + (h**2).sum()
    return total + h.sum()


def numeric(f, args, k):
    out = np.empty_like(args[k])
    for i in np.ndindex(out.shape):
        moved = [[a.copy() for a in args] for _ in range(2)]
        moved[0][k][i] += 1e-6
        moved[1][k][i] -= 1e-6
        out[i] = (f(*moved[0]) - f(*moved[1])) / 2e-6
    return out


def test_scan_gives_what_a_loop_gives(be):
    close(rnn_loss(*map(be.array, (W, H, X))), unrolled(W, H, X), "float64")


def test_gradient_flows_through_scan_to_captured_weights_first_carry_and_rows(be):
    args = [be.array(a) for a in (W, H, X)]
    for k, got in enumerate(grad(rnn_loss, (0, 1, 2))(*args)):
        close(got, numeric(unrolled, [W, H, X], k), "float64", rtol=1e-6, atol=1e-7)  # central differences


def test_compiled_gradient_through_scan_equals_eager(be):
    args = [be.array(a) for a in (W, H, X)]
    both = value_and_grad(rnn_loss, (0, 1, 2))
    value, gradient = both(*args)
    compiled_value, compiled_gradient = compile(both)(*args)
    close(compiled_value, np.asarray(value), "float64")
    for got, want in zip(compiled_gradient, gradient, strict=True):
        close(got, np.asarray(want), "float64")


def test_second_derivative_through_scan(be):
    def slope(w, h, xs):
        return ops.sum(ops.square(grad(rnn_loss)(w, h, xs)))

    def host_slope(w, h, xs):
        return (numeric(unrolled, [w, h, xs], 0) ** 2).sum()

    got = grad(slope)(*map(be.array, (W, H, X[:2])))
    # differences of differences are good to about 1e-4 of the largest value
    want = np.empty_like(W)
    for i in np.ndindex(W.shape):
        up, down = W.copy(), W.copy()
        up[i] += 1e-4
        down[i] -= 1e-4
        want[i] = (host_slope(up, H, X[:2]) - host_slope(down, H, X[:2])) / 2e-4
    close(got, want, "float64", rtol=1e-4, atol=1e-4 * np.abs(want).max())


def test_scan_backwards_without_rows_and_with_trees(be):
    one = be.array(np.float64(1.0).reshape(1))

    def step(carry, _):
        return {"n": ops.add(carry["n"], one), "double": ops.multiply(carry["double"], 2.0)}, (carry["n"],)

    carry, (ns,) = ops.scan(step, {"n": ops.multiply(one, 0.0), "double": one}, length=4)
    assert (np.asarray(carry["n"]).item(), np.asarray(carry["double"]).item()) == (4.0, 16.0)
    np.testing.assert_array_equal(np.asarray(ns).ravel(), [0, 1, 2, 3])
    rows = be.array(np.arange(4.0).reshape(4, 1))
    last, seen = ops.scan(lambda c, x: (x, ops.subtract(c, x)), one, rows, reverse=True)
    assert np.asarray(last).item() == 0.0
    np.testing.assert_array_equal(np.asarray(seen).ravel(), [1.0, 1.0, 1.0, -2.0])


def test_scan_of_no_steps_returns_the_first_carry(be):
    x = be.array(np.ones((2,)))
    last, ys = ops.scan(lambda c, row: (ops.add(c, row), c), x, be.array(np.zeros((0, 2))))
    np.testing.assert_array_equal(np.asarray(last), [1.0, 1.0])
    assert tuple(ys.shape) == (0, 2)


def test_random_ops_in_a_scan_draw_anew_in_each_step(be):
    ops.set_seed(5)
    x = be.array(np.zeros((4,)))
    _, draws = ops.scan(lambda c, _: (c, ops.uniform((4,), like=x)), x, length=3)
    rows = np.asarray(draws)
    assert len(np.unique(rows)) == 12


def test_a_carry_that_changes_is_refused_in_clear_words(be):
    x = be.array(np.zeros((2,), "float32"))
    with pytest.raises(
        ValueError, match=r"scan: the carry must stay float32 \(2,\), but the body returned float32 \(1, 2\)"
    ):
        ops.scan(lambda c, r: (ops.expand_dims(c), r), x, x)
    with pytest.raises(ValueError, match="scan: the carry must keep its structure"):
        ops.scan(lambda c, r: ((c, c), r), x, x)
    with pytest.raises(ValueError, match="scan: xs and length must agree on one length"):
        ops.scan(lambda c, r: (c, r), x, (x, be.array(np.zeros((3,)))))


@pytest.mark.parametrize("truth", [True, False])
def test_cond_takes_one_branch_and_its_gradient(be, truth):
    w, x = be.array(np.array([2.0, 3.0])), be.array(np.array([0.5, -1.0]))
    pred = be.array(np.array(truth))

    def f(w, x):
        return ops.sum(ops.cond(pred, lambda x: ops.multiply(ops.square(w), x), lambda x: ops.sin(x), x))

    want = (np.array([4.0, 9.0]) * [0.5, -1.0]).sum() if truth else np.sin([0.5, -1.0]).sum()
    dw = 2 * np.array([2.0, 3.0]) * [0.5, -1.0] if truth else np.zeros(2)
    dx = np.array([4.0, 9.0]) if truth else np.cos([0.5, -1.0])
    for run in (value_and_grad(f, (0, 1)), compile(value_and_grad(f, (0, 1)))):
        value, (gw, gx) = run(w, x)
        loose = {"rtol": 1e-6, "atol": 1e-6} if be == "mlx" else {}  # MLX's sin at float64, a declared gap
        close(value, want, "float64", **loose)
        close(gw, dw, "float64", **loose)
        close(gx, dx, "float64", **loose)


def test_branches_that_differ_are_refused(be):
    x = be.array(np.zeros((2,), "float32"))
    with pytest.raises(ValueError, match="cond: both branches must return the same"):
        ops.cond(be.array(np.array(True)), lambda x: x, lambda x: ops.sum(x), x)


def test_nested_scans_differentiate(be):
    def f(w, xs):
        def outer(c, x):
            inner, _ = ops.scan(lambda d, row: (ops.tanh(ops.add(ops.multiply(d, w), row)), None), c, x)
            return inner, ops.sum(inner)

        last, sums = ops.scan(outer, xs[0, 0], xs)
        return ops.add(ops.sum(sums), ops.sum(last))

    def host(w, xs):
        c, total = xs[0, 0], 0.0
        for x in xs:
            for row in x:
                c = np.tanh(c * w + row)
            total = total + c.sum()
        return total + c.sum()

    w, xs = RNG.normal(size=(3,)), RNG.normal(size=(2, 4, 3))
    got = grad(f)(be.array(w), be.array(xs))
    close(got, numeric(host, [w, xs], 0), "float64", rtol=1e-6, atol=1e-7)
    close(compile(grad(f))(be.array(w), be.array(xs)), np.asarray(got), "float64")
