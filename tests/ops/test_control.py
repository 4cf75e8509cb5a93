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


def test_while_loop_runs_as_long_as_its_condition_holds(be):
    limit, step = be.array(np.float64(100.0)), be.array(np.float64(3.0))

    def grown(x):
        return ops.while_loop(
            lambda val: ops.less(val["x"], ops.multiply(limit, 2.0)),  # from outside, as is `step`
            lambda val: {"n": ops.add(val["n"], 1), "x": ops.multiply(val["x"], ops.square(step))},
            {"n": 0, "x": x},
        )

    for run in (grown, compile(grown)):
        last = run(be.array(np.float64(1.0)))
        assert (int(last["n"]), float(last["x"])) == (3, 729.0)
        never = run(be.array(np.float64(200.0)))
        assert (int(never["n"]), float(never["x"])) == (0, 200.0)


def test_while_loop_of_numbers_alone_belongs_to_the_active_engine(be):
    i, fib, _ = ops.while_loop(
        lambda v: ops.less(v[0], 10), lambda v: (ops.add(v[0], 1), v[2], ops.add(v[1], v[2])), (0, 0, 1)
    )
    assert be.owns(type(i))
    assert int(fib) == 55


def test_while_loops_nest_in_scans_and_read_values_of_outer_traces(be):
    rows, w = be.array(np.array([1.0, 5.0, 20.0])), be.array(np.float64(2.0))

    def f(w, rows):
        def step(total, x):
            x = ops.while_loop(lambda x: ops.less(x, 32.0), lambda x: ops.multiply(x, w), x)
            return ops.add(total, x), x

        return ops.scan(step, ops.zeros_like(w), rows)

    for run in (f, compile(f)):
        total, xs = run(w, rows)
        np.testing.assert_array_equal(np.asarray(xs), [32.0, 40.0, 40.0])
        assert float(total) == 112.0


def test_random_ops_in_a_while_loop_draw_anew_in_each_step(be):
    x = be.array(np.zeros((3,)))

    def draws(x):
        def body(val):
            i, rows = val
            drawn = ops.uniform((3,), dtype="float64", like=x)
            return ops.add(i, 1), ops.where(ops.equal(ops.arange(3, like=x)[:, None], i), drawn, rows)

        return ops.while_loop(lambda val: ops.less(val[0], 3), body, (0, ops.zeros((3, 3), dtype="float64")))

    ops.set_seed(1)
    for run in (draws, compile(draws)):
        count, rows = run(x)
        assert int(count) == 3
        assert len(np.unique(np.asarray(rows))) == 9
    with pytest.raises(TypeError, match="while_loop: the condition must draw no random numbers"):
        ops.while_loop(lambda v: ops.less(ops.uniform((), like=x), 0.5), lambda v: v, x)


def test_a_gradient_through_while_loop_is_refused_and_scan_named(be):
    x = be.array(np.array([1.0, 2.0]))

    def f(x):
        doubled = ops.while_loop(lambda v: ops.less(ops.sum(v), 50.0), lambda v: ops.multiply(v, 2.0), x)
        return ops.sum(doubled)

    for run in (grad(f), compile(grad(f))):
        with pytest.raises(TypeError, match=r"while_loop has no gradient.*use scan"):
            run(x)
    # what does not depend on the loop has its gradient still
    got = grad(lambda x: ops.sum(ops.multiply(x, ops.stop_gradient(f(x)))))(x)
    close(got, np.array([96.0, 96.0]), "float64")


def test_a_while_loop_that_cannot_be_is_refused_in_clear_words(be):
    x = be.array(np.zeros((2,), "float32"))
    with pytest.raises(TypeError, match=r"the condition must return a single truth, got bool \(2,\)"):
        ops.while_loop(lambda v: ops.less(v, 1.0), lambda v: v, x)
    with pytest.raises(ValueError, match=r"while_loop: the carry must stay float32 \(2,\), but the body"):
        ops.while_loop(lambda v: ops.less(ops.sum(v), 1.0), lambda v: ops.sum(v), x)


def test_map_stacks_what_a_function_gives_for_each_row(be):
    xs = {"a": be.array(X), "b": be.array(X[..., 0])}

    def f(row):
        return ops.sum(ops.square(row["a"]), axis=-1), ops.exp(row["b"])

    squares, powers = ops.map(f, xs)
    close(squares, (X**2).sum(-1), "float64")
    loose = {"rtol": 1e-6} if be == "mlx" else {}  # its float64 exp of a whole array, a declared gap
    close(powers, np.exp(X[..., 0]), "float64", **loose)


@pytest.mark.parametrize("block_size", [1, 2, 4, 7, 100])
@pytest.mark.parametrize("axis", [0, -2])
def test_map_blocks_equals_the_function_of_the_whole(be, block_size, axis):
    rows, w = np.moveaxis(RNG.normal(size=(7, 2, 3)), 0, axis), be.array(W)

    def f(x, y):
        return ops.tanh(ops.matmul(x, w)), ops.sum(ops.multiply(x, y), axis=-1, keepdims=True)

    def g(x, y):
        return ops.map_blocks(f, x, y, block_size=block_size, axis=axis)

    x, y = be.array(rows), be.array(np.cos(rows))
    for run in (g, compile(g)):
        for got, want in zip(run(x, y), f(x, y), strict=True):
            close(got, np.asarray(want), "float64")
    sliced = grad(lambda x: ops.sum(g(x, y)[0]))(x)
    close(sliced, np.asarray(grad(lambda x: ops.sum(f(x, y)[0]))(x)), "float64")


def test_map_blocks_never_shows_its_function_more_than_a_block():
    seen = []

    def f(x):
        seen.append(tuple(x.shape))
        return ops.negative(x)

    ops.map_blocks(f, np.ones((10, 2)), block_size=4)
    assert seen == [(4, 2), (2, 2)]


def test_map_blocks_refuses_what_does_not_fit(be):
    x = be.array(np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"map_blocks: sizes along axis 0 must agree, got \[3, 4\]"):
        ops.map_blocks(ops.add, x, x[:3], block_size=2)
    with pytest.raises(ValueError, match="a block has at least one row, got block_size 0"):
        ops.map_blocks(ops.negative, x, block_size=0)
