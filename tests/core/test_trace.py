"""Recording: what a traced value can and cannot do, and traces within traces."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad, value_and_grad, vjp, vmap
from ember_ml.core import Spec, Traced, as_dtype, dispatch
from ember_ml.tensor import array


@pytest.mark.parametrize("ask", [bool, float, int, lambda x: x if x else -x, lambda x: [1, 2][int(x)]])
def test_a_value_has_no_number_while_it_is_compiled(be, ask):
    with pytest.raises(
        TypeError, match=r"a value of float32 \(\) has no number while it is traced; choose with ops.where"
    ):
        compile(lambda x: ask(ops.sum(x)), be)(be.array([1.0]))


def test_a_value_has_a_number_while_a_gradient_is_taken(be):
    """Gradients follow the numbers that are there, so Python's `if` works."""
    slope = grad(lambda x: ops.sum(x * 3.0) if float(x[0]) > 0 else ops.sum(x * 5.0))
    close(slope(be.array([1.0])), np.array([3.0]))
    close(slope(be.array([-1.0])), np.array([5.0]))


def test_numpy_is_told_to_keep_off(be):
    def f(x):
        return np.asarray(x)

    for transformed in (compile(f, be), grad(f)):
        with pytest.raises(TypeError, match=r"a traced value is no NumPy array; use ember_ml\.ops on it"):
            transformed(be.array([1.0]))


def test_an_array_beside_a_traced_value_leaves_the_operator_to_it():
    got = grad(lambda x: ops.sum(np.array([2.0, 3.0]) * x + np.array([1.0, 1.0])))(np.array([1.0, 1.0]))
    close(got, np.array([2.0, 3.0]))


def test_python_operators_record_the_ops_of_the_table(be):
    def f(x, y):
        return (
            x + y,
            x - y,
            x * y,
            x / y,
            x // y,
            x % y,
            x**y,
            -x,
            +x,
            abs(x),
            1 + x,
            1 - x,
            2 * x,
            1 / x,
            2**x,
        )

    x, y = np.array([1.5, 2.5], "float32"), np.array([2.0, 0.5], "float32")
    for got, want in zip(compile(f, be)(be.array(x), be.array(y)), f(x, y), strict=True):
        close(got, want)
    compared = compile(lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y), be)(
        be.array(x), be.array(y)
    )
    for got, want in zip(compared, (x < y, x <= y, x > y, x >= y, x == y, x != y), strict=True):
        np.testing.assert_array_equal(np.asarray(got), want)
    a, b = np.array([[1, 2]], "int32"), np.array([[3], [1]], "int32")
    bits = compile(lambda x, y: (x & 3, x | 4, x ^ 1, ~x, x << 2, x >> 1, x[0] & y[:, 0]), be)(
        be.array(a), be.array(b)
    )
    for got, want in zip(bits, (a & 3, a | 4, a ^ 1, ~a, a << 2, a >> 1, a[0] & b[:, 0]), strict=True):
        np.testing.assert_array_equal(np.asarray(got), want)
    (product,) = compile(lambda x: (x @ x.T,), be)(be.array(x.reshape(1, 2)))
    close(product, x.reshape(1, 2) @ x.reshape(2, 1))


def test_a_traced_value_knows_its_shape_and_dtype(be):
    seen = []

    def f(x):
        seen.append((x.shape, x.dtype, x.ndim, x.mT.shape, len(x), repr(x)))
        return ops.sum(x)

    for transformed in (compile(f, be), grad(f)):
        transformed(be.array(np.ones((2, 3), "float32")))
    want = ((2, 3), as_dtype("float32"), 2, (3, 2), 2, "Traced(float32 (2, 3))")
    assert seen == [want, want]


def test_nested_gradients_do_not_confuse_their_variables(be):
    """d/dx [x * d/dy (x + y)] is 1; 2 if both variables are taken for one (Siskind and Pearlmutter 2005)."""
    x = be.array(np.float64(1.0).reshape(()))
    close(grad(lambda x: x * grad(lambda y: x + y)(x))(x), 1.0)
    close(grad(lambda x: x * grad(lambda y: x * y)(x))(x), 2.0)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_derivatives_of_any_order(be, n):
    f = lambda x: ops.exp(x * 2.0)
    for _ in range(n):
        f = grad(f)
    loose = {"rtol": 1e-6} if be == "mlx" else {}  # its float64 exp is good to 1e-6
    close(f(be.array(np.array(0.3))), 2.0**n * np.exp(0.6), "float64", **loose)


def test_a_value_of_an_outer_gradient_flows_through_an_inner_one(be):
    """Both through the function that is differentiated and through the point at which it is."""

    def f(w):
        return ops.sum(grad(lambda x: ops.sum(w * x * x * x))(w))  # 3 w**3

    w = np.array([0.5, -2.0])
    close(grad(f)(be.array(w)), 9 * w**2, "float64")
    close(compile(grad(f), be)(be.array(w)), 9 * w**2, "float64")


def test_a_trace_captured_by_scan_keeps_its_gradient(be):
    def f(w):
        def step(c, _):
            return c * w, ops.sum(c)

        last, sums = ops.scan(step, ops.ones_like(w), length=3)
        return ops.sum(last) + ops.sum(sums)  # w**3 + (1 + w + w**2)

    w = np.array([0.5, -2.0])
    want = 3 * w**2 + 1 + 2 * w
    close(grad(f)(be.array(w)), want, "float64")
    close(compile(grad(f), be)(be.array(w)), want, "float64")
    close(grad(lambda w: ops.sum(grad(f)(w)))(be.array(w)), 6 * w + 2, "float64")


def test_values_that_leave_a_trace_are_arrays(be):
    value, (gradient,) = value_and_grad(lambda x: ops.sum(x), (0,))(be.array([1.0, 2.0]))
    out, pull = vjp(lambda x: {"twice": x * 2.0}, be.array([1.0]))
    for x in (value, gradient, out["twice"], *pull({"twice": be.array([1.0])})):
        assert be.owns(type(x))


def test_nothing_stays_open_after_an_error(be):
    def fails(x):
        raise KeyError("mine")

    for transformed in (compile(fails, be), grad(fails)):
        with pytest.raises(KeyError, match="mine"):
            transformed(be.array([1.0]))
    assert dispatch.AMBIENT.get() is None
    assert be.owns(type(ops.zeros((2,))))


def test_creation_within_a_compiled_function_is_recorded_not_computed(be):
    made = []

    def f(x):
        made.append(ops.ones((2,)))
        return x + made[0]

    compile(f, be)(be.array([1.0, 2.0]))
    assert type(made[0]) is Traced


def test_specs_are_inferred_without_computing():
    x = Spec((4, 3), as_dtype("float32"))
    out = ops.softmax(ops.matmul(x, Spec((3, 2), as_dtype("float64"))))
    assert (out.shape, out.dtype) == ((4, 2), "float64")


# Values that outlive their trace

KEEPERS = {
    "compile": lambda keep, x: compile(keep)(x),
    "grad": lambda keep, x: grad(lambda x: ops.sum(keep(x)))(x),
    "vmap": lambda keep, x: vmap(keep)(x),
    "scan": lambda keep, x: ops.scan(lambda c, _: (keep(c), None), x, length=2),
    "cond": lambda keep, x: ops.cond(ops.sum(x) > 0.0, keep, ops.cos, x),
    "while_loop": lambda keep, x: ops.while_loop(lambda c: ops.sum(c) < 1.0, keep, x),
}
USERS = {
    "alone": lambda kept, x: ops.cos(kept),
    "first": lambda kept, x: kept * x,
    "in a tensor": lambda kept, x: array(x) * kept,
    "in a gradient, first": lambda kept, x: grad(lambda y: ops.sum(kept * y))(x),
    "in a gradient, last": lambda kept, x: grad(lambda y: ops.sum(y * kept))(x),
    "as the point of a gradient": lambda kept, x: grad(lambda y: ops.sum(y * x))(kept),
    "in a program": lambda kept, x: compile(lambda y: y * kept)(x),
    "as an argument of a program": lambda kept, x: compile(ops.sin)(kept),
    "in a loop": lambda kept, x: ops.scan(lambda c, _: (c + kept, None), x, length=2),
    "in a branch": lambda kept, x: ops.cond(ops.sum(x) > 0.0, lambda x: x + kept, ops.cos, x),
    "at every place": lambda kept, x: vmap(lambda y: ops.sum(y * kept))(x),
}


@pytest.mark.parametrize("use", USERS.values(), ids=USERS)
@pytest.mark.parametrize("run", KEEPERS.values(), ids=KEEPERS)
def test_a_value_that_outlives_its_trace_is_refused(run, use):
    """It would be a constant to every later trace: a gradient through it would be 0, without a word."""
    kept = []
    x = np.array([0.1, 0.2], "float32")

    def keep(x):
        kept.append(ops.sin(x) * 2.0)
        return kept[-1]

    run(keep, x)
    with pytest.raises(
        RuntimeError, match=r"a value of float32 \(.*\) is used after the function .* has ended"
    ):
        use(kept[0], x)
    close(grad(lambda y: ops.sum(y * x))(x), np.array([0.1, 0.2]))


def test_a_generator_that_was_returned_unfinished_is_refused(be):
    (sines,) = compile(lambda x: [(ops.sin(row) for row in x)], be, jit=False)(be.array([1.0, 2.0]))
    with pytest.raises(RuntimeError, match=r"a value of float32 \(2,\) is used after .* not generators"):
        next(sines)


def test_a_gradient_taken_in_another_thread_captures_the_traces_of_this_one(be):
    v = be.array([3.0, 4.0])

    def slope_of(w):  # of w v**2 in v
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(grad(lambda v: ops.sum(w * v * v)), v).result()

    w = be.array([0.5, 2.0])
    close(compile(slope_of, be)(w), np.array([3.0, 16.0]))
    close(compile(grad(lambda w: ops.sum(slope_of(w))), be)(w), np.array([6.0, 8.0]))
