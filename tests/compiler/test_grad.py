"""Gradients of functions: signatures and returns as JAX's, trees, errors, rules of one's own."""

from collections import namedtuple

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, custom_vjp, grad, value_and_grad, vjp

Weights = namedtuple("Weights", "w b")


def number(be, x, dtype="float32"):
    return be.array(np.array(x, dtype))


def both(f, be):
    """Return a function and its compiled form."""
    return f, compile(f, be)


def test_argnums_choose_the_arguments(be):
    f = lambda x, y, z: ops.add(ops.multiply(ops.square(y), x), z)
    x, y, z = (number(be, v) for v in (2.0, 3.0, 5.0))
    close(grad(f)(x, y, z), np.array(9.0))
    close(grad(f, 1)(x, y, z), np.array(12.0))
    close(grad(f, -1)(x, y, z), np.array(1.0))
    (dx,) = grad(f, (0,))(x, y, z)
    close(dx, np.array(9.0))
    dz, dx = grad(f, (2, 0))(x, y, z)
    close(dz, np.array(1.0))
    close(dx, np.array(9.0))


def test_a_value_comes_with_its_gradient_and_with_what_else_was_returned(be):
    f = lambda x: (ops.sum(x * x), {"seen": x, "n": 3, "none": None})
    x = number(be, [1.0, 2.0])
    (value, aux), gradient = value_and_grad(f, has_aux=True)(x)
    close(value, np.array(5.0))
    close(gradient, np.array([2.0, 4.0]))
    close(aux["seen"], np.array([1.0, 2.0]))
    assert be.owns(type(aux["seen"]))
    assert (aux["n"], aux["none"]) == (3, None)
    gradient, aux = grad(f, has_aux=True)(x)
    close(gradient, np.array([2.0, 4.0]))
    assert aux["n"] == 3


def test_gradients_have_the_structure_of_the_arguments(be):
    def f(p, x):
        return ops.sum(ops.matmul(x, p["layer"].w) + p["layer"].b) + ops.sum(p["scales"][0]) * 3.0

    p = {
        "scales": [number(be, [1.0, 1.0]), None],
        "layer": Weights(number(be, np.ones((2, 3))), number(be, np.zeros(3))),
    }
    x = number(be, [[1.0, 2.0]])
    for run in both(grad(f), be):
        g = run(p, x)
        assert type(g["layer"]) is Weights
        assert g["scales"][1] is None
        close(g["layer"].w, np.array([[1.0] * 3, [2.0] * 3]))
        close(g["layer"].b, np.ones(3))
        close(g["scales"][0], np.array([3.0, 3.0]))


def test_what_is_not_used_has_a_zero_gradient_of_its_own_shape(be):
    gx, gy = grad(lambda x, y: ops.sum(x), (0, 1))(number(be, [1.0]), number(be, [[1.0, 2.0]]))
    close(gx, np.ones(1))
    close(gy, np.zeros((1, 2)))


def test_an_argument_used_twice_collects_both_parts(be):
    x = number(be, [1.0, 2.0])
    close(grad(lambda p: ops.sum(p[0] * p[1]))((x, x))[0], np.array([1.0, 2.0]))
    close(grad(lambda x: ops.sum(x * x + ops.concat([x, x])[1:3]))(x), np.array([3.0, 5.0]))


def test_numpys_own_numbers_have_gradients():
    """np.float64 is a Python float, and an array all the same."""
    x = np.float64(4.0)
    close(grad(lambda x: ops.power(ops.add(x, 5.0), 0.5))(x), 1 / 6, "float64")
    close(grad(lambda x: ops.power(2.0, ops.add(x, -1.0)))(x), 8 * np.log(2), "float64")


def test_broadcasting_is_undone(be):
    a, b = number(be, np.ones((2, 1, 3))), number(be, np.ones((4, 1)))
    ga, gb = grad(lambda a, b: ops.sum(a * b), (0, 1))(a, b)
    close(ga, np.full((2, 1, 3), 4.0))
    close(gb, np.full((4, 1), 6.0))


def test_vjp_returns_the_result_and_its_pullback(be):
    f = lambda x, y: {"sum": x + y, "product": x * y}
    out, pull = vjp(f, number(be, [2.0, 3.0]), number(be, [5.0, 7.0]))
    close(out["product"], np.array([10.0, 21.0]))
    gx, gy = pull({"sum": number(be, [1.0, 0.0]), "product": number(be, [0.0, 1.0])})
    close(gx, np.array([1.0, 7.0]))
    close(gy, np.array([1.0, 3.0]))
    gx, gy = pull({"sum": None, "product": number(be, [1.0, 1.0])})
    close(gx, np.array([5.0, 7.0]))
    out, pull, aux = vjp(lambda x: (x * 2.0, "word"), number(be, 1.0), has_aux=True)
    assert aux == "word"


def test_dtypes_of_gradients_are_those_of_the_arguments(be):
    single, double = number(be, [1.0]), number(be, [2.0], "float64")
    f = lambda x, y: ops.sum(ops.astype(x, dtype="float64") * y)
    for run in both(grad(f, (0, 1)), be):
        gx, gy = run(single, double)
        assert (gx.dtype, gy.dtype) == (single.dtype, double.dtype)


def test_second_derivatives_are_those_of_jax(be):
    jax = pytest.importorskip("jax")
    x = np.array([0.3, -0.7, 1.1])

    def f(x):
        return ops.sum(ops.tanh(ops.matmul(ops.reshape(x, (1, 3)), ops.reshape(x, (3, 1))))) + ops.sum(
            ops.softplus(x) * ops.log_softmax(x)
        )

    ours = lambda x: grad(lambda x: ops.sum(ops.square(grad(f)(x))))(x)
    with jax.enable_x64(True):
        want = jax.grad(lambda x: ops.sum(ops.square(jax.grad(f)(x))))(jax.numpy.asarray(x))
    loose = {"rtol": 1e-5} if be == "mlx" else {}  # its float64 exp and cos are good to 1e-6
    for run in both(ours, be):
        close(run(be.array(x)), np.asarray(want), "float64", **loose)


def test_a_constant_stops_the_gradient(be):
    x = number(be, [2.0])
    f = lambda x: ops.sum(x * ops.stop_gradient(x))
    for run in both(grad(f), be):
        close(run(x), np.array([2.0]))
    close(grad(lambda x: ops.sum(grad(f)(x)))(x), np.array([0.0]))  # even for the second derivative


@pytest.mark.parametrize(
    ("f", "args", "error", "words"),
    [
        (
            lambda x: x,
            ([1.0, 2.0],),
            ValueError,
            r"grad: the function must return a single number, got shape \(2,\)",
        ),
        (
            lambda x: ops.argmax(x),
            ([1.0, 2.0],),
            TypeError,
            r"grad: the function must return a real float, got int64",
        ),
        (
            lambda x: ops.sum(x),
            (np.array([1, 2]),),
            TypeError,
            r"vjp: gradients need floating-point arguments, got int64",
        ),
    ],
)
def test_wrong_functions_and_arguments_are_refused(be, f, args, error, words):
    with pytest.raises(error, match=words):
        grad(f)(*(be.array(np.asarray(a)) for a in args))


def test_an_argument_that_is_not_there_is_named(be):
    with pytest.raises(ValueError, match="grad: argument 2 was asked for, but 1 were given"):
        grad(lambda x: ops.sum(x), 2)(number(be, [1.0]))


def test_wrong_cotangents_are_refused(be):
    _, pull = vjp(lambda x: {"y": x}, number(be, [1.0, 2.0]))
    with pytest.raises(ValueError, match=r"vjp: a cotangent must have its output's shape \(2,\), got \(1,\)"):
        pull({"y": number(be, [1.0])})


def test_python_numbers_are_arguments_too(be):
    close(grad(lambda x: x * x)(3), np.array(6.0))
    close(grad(lambda x: ops.sin(x))(0.0), np.array(1.0))


# Rules of one's own


def clipped(be=None):
    @custom_vjp
    def f(x, limit):
        """The exponential, whose gradient is cut at a limit."""
        return ops.exp(x)

    f.defvjp(
        lambda x, limit: (ops.exp(x), (ops.exp(x), limit)),
        lambda kept, g: (ops.multiply(g, ops.minimum(kept[0], kept[1])), None),
    )
    return f


def test_a_rule_of_ones_own_is_used_eagerly_compiled_and_in_a_loop(be):
    f = clipped()
    x, limit = number(be, [0.0, 5.0]), number(be, 10.0)
    want = np.minimum(np.exp([0.0, 5.0]), 10.0)
    close(f(x, limit), np.exp(np.array([0.0, 5.0], "float32")))
    for run in both(grad(lambda x: ops.sum(f(x, limit) * 2.0)), be):
        close(run(x), (2 * want).astype("float32"))

    def looped(x):
        last, _ = ops.scan(lambda c, _: (c + f(x, limit), None), ops.zeros_like(x), length=3)
        return ops.sum(last)

    for run in both(grad(looped), be):
        close(run(x), (3 * want).astype("float32"))
    for run in both(
        grad(lambda x: ops.sum(ops.cond(ops.sum(x) > 0, lambda x: f(x, limit), lambda x: x, x))), be
    ):
        close(run(x), want.astype("float32"))


def test_a_rule_of_ones_own_holds_beside_another_dtype_and_with_operators(be):
    @custom_vjp
    def f(x, n):
        return x * 1.0 + n * 0

    f.defvjp(lambda x, n: (x * 1.0, None), lambda kept, g: (g * 10.0, None))
    x, n = number(be, [1.0, 2.0]), number(be, 2, "int32")

    def looped(x):
        last, _ = ops.scan(lambda c, _: (f(c, n), None), x, length=2)
        return ops.sum(last)

    for run in both(looped, be):
        close(run(x), np.array(3.0))
    for run in both(grad(looped), be):
        close(run(x), np.full(2, 100.0))


def test_a_rule_of_ones_own_takes_trees(be):
    @custom_vjp
    def f(p):
        return {"y": p["a"] * p["b"]}

    f.defvjp(lambda p: (f.f(p), None), lambda kept, g: ({"a": g["y"] * 10.0, "b": g["y"] * 20.0},))
    g = grad(lambda p: ops.sum(f(p)["y"]))({"a": number(be, [1.0]), "b": number(be, [2.0])})
    close(g["a"], np.array([10.0]))
    close(g["b"], np.array([20.0]))


def test_a_rule_of_ones_own_has_a_second_derivative(be):
    @custom_vjp
    def cube(x):
        return x * x * x

    cube.defvjp(lambda x: (x * x * x, x), lambda x, g: (ops.multiply(g, 3.0 * x * x),))
    for run in both(grad(lambda x: ops.sum(grad(lambda x: ops.sum(cube(x)))(x))), be):
        close(run(number(be, [2.0])), np.array([12.0]))


def test_rules_that_do_not_fit_are_refused(be):
    f = custom_vjp(lambda x: x)
    with pytest.raises(TypeError, match=r"has no rules yet; call its defvjp\(forward, backward\)"):
        f(number(be, [1.0]))
    f.defvjp(lambda x: (x, None), lambda kept, g: (g, g))
    with pytest.raises(ValueError, match="custom_vjp: the backward rule must return 1 cotangents, got 2"):
        grad(lambda x: ops.sum(f(x)))(number(be, [1.0]))


def test_mlx_does_not_take_a_traced_value_for_a_number():
    """Its operators would: the product would be complex, and the gradient gone without a word."""
    mx = pytest.importorskip("mlx.core")
    with pytest.raises(
        ValueError, match=r"Cannot perform multiplication on an mlx\.core\.array and .*Traced"
    ):
        grad(lambda w: mx.array(2.0) * w)(mx.array(3.0))
    close(grad(lambda w: w * mx.array(2.0))(mx.array(3.0)), np.array(2.0))


def test_a_transformed_function_keeps_its_name():
    def loss(x):
        """A loss."""
        return ops.sum(x)

    for made in (grad(loss), value_and_grad(loss), compile(loss), custom_vjp(loss)):
        assert (made.__name__, made.__doc__) == ("loss", "A loss.")
