"""vmap, jvp, jacobian and hessian: JAX's and torch.func's results for the same functions; closed forms."""

import numpy as np
import pytest

from conftest import close
from ember_ml import nn, ops, tensor
from ember_ml.backend import use_backend
from ember_ml.cli.samples import DATA_DEPENDENT
from ember_ml.compiler import compile, custom_vjp, grad, hessian, jacobian, jvp, vjp, vmap
from ember_ml.core import TABLE, batching, tree

RNG = np.random.default_rng(4)
X, Y, W = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))
ROWS = RNG.normal(size=(5, 3, 4))


def both(f, be):
    """Return a function and its compiled form; beside NumPy as printed, since engines compile slowly."""
    return f, compile(f, be, jit=be == "numpy")


def same_as(be, got, want):
    """Assert that two trees agree, at float64."""
    assert tree.structure(got) == tree.structure(want)
    loose = {"rtol": 2e-5, "atol": 2e-5} if be == "mlx" else {}  # its float64 exp and sin are good to 1e-6
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        close(be.to_numpy(g), np.asarray(w), "float64", **loose)


SEEN = {}  # what JAX returns, by the test and what it computes


def by_jax(case, transform, *args):
    """Return what JAX computes in float64, once for all engines."""
    jax = pytest.importorskip("jax")
    if case not in SEEN:
        with jax.enable_x64(True):
            SEEN[case] = tree.map(np.asarray, transform(jax)(*tree.map(jax.numpy.asarray, args)))
    return SEEN[case]


def dense(x, w):
    return ops.tanh(ops.matmul(x, w) + ops.sum(x))


def two_results(p, x):
    return {"a": ops.matmul(x, p["w"]) * p["s"], "b": (ops.max(x), x * 2.0)}


def steps(x):
    def body(carry, row):
        carry = ops.sin(carry) + row
        return carry, ops.sum(carry * row)

    return ops.scan(body, x[0], x, reverse=True)


def branches(x):
    return ops.cond(ops.sum(x) > 0, lambda x: ops.exp(x), lambda x: x * 2.0, x)


def halvings(x):
    """The number of times that a size must be halved to be below 1, and what it is then."""
    return ops.while_loop(lambda s: s[1] > 1.0, lambda s: (s[0] + 1, s[1] * 0.5), (0, ops.sum(ops.square(x))))


# vmap


@pytest.mark.parametrize(
    ("f", "args", "settings"),
    [
        (dense, (X, W), {"in_axes": (0, None)}),
        (dense, (X, ROWS[:, :2].transpose(0, 2, 1)), {"in_axes": (None, 0)}),
        (dense, (Y, W), {"in_axes": (1, None), "out_axes": 1}),
        (dense, (Y, W), {"in_axes": [-1, None], "out_axes": -1}),
        (two_results, ({"w": W, "s": np.array(3.0)}, X), {"in_axes": (None, 0)}),
        (
            two_results,
            ({"w": W, "s": np.arange(3.0)}, X),
            {"in_axes": ({"w": None, "s": 0}, 0), "out_axes": {"a": 1, "b": (0, -1)}},
        ),
        (lambda x, y: (x, ops.sum(y)), (X, Y), {"in_axes": (0, None), "out_axes": (0, None)}),
        (lambda x: (x, 1.0, None), (X,), {}),
        (steps, (ROWS,), {}),
        (lambda x, c: ops.scan(lambda c, row: (c + row, c), c, x), (X, ROWS[:, 0]), {"in_axes": (None, 0)}),
        (branches, (X,), {}),
        (lambda x, s: ops.cond(s > 0, ops.sin, ops.cos, x), (X, np.array(1.0)), {"in_axes": (0, None)}),
        (halvings, (X * 4,), {}),
        (lambda x, n: ops.while_loop(lambda c: ops.sum(c) < n, lambda c: c + x, x), (X**2, X[:, 0] ** 2), {}),
        (lambda x, i: ops.take(x, i), (X, np.array([3, 0, -1])), {}),
        (lambda x, i: ops.take(x, i, axis=1), (ROWS[:3], np.array([[3, 0], [-1, 1], [2, 2]])), {}),
        (lambda x, i: ops.take(x, i), (X, np.array([2, 0, -1])), {"in_axes": (None, 0)}),
        (lambda x, y: x[..., None, :2] * y, (X, np.array(2.0)), {"in_axes": (0, None)}),
    ],
)  # fmt: skip
def test_vmap_returns_what_jax_returns(be, f, args, settings):
    want = by_jax(("vmap", f, str(settings)), lambda jax: jax.vmap(f, **settings), *args)
    for run in both(vmap(f, **settings), be):
        same_as(be, run(*tree.map(be.array, args)), want)


def last_rows(x, w):
    return steps(ops.matmul(ops.stack([x, x * 2.0]), w))[1]


NESTED = {
    "twice": lambda vmap, grad, f: vmap(vmap(f, in_axes=(0, None)), in_axes=(0, None), out_axes=1),
    "a gradient each": lambda vmap, grad, f: vmap(
        vmap(grad(lambda x, w: ops.sum(f(x, w)), (0, 1)), (0, None)), (0, None)
    ),
    "a gradient of all": lambda vmap, grad, f: grad(
        lambda x, w: ops.sum(ops.square(vmap(vmap(f, (0, None)), (0, None))(x, w))), (0, 1)
    ),
    "around a gradient of all": lambda vmap, grad, f: vmap(
        lambda x, w: grad(lambda w: ops.sum(ops.sin(vmap(f, (0, None))(x, w))))(w), (0, None)
    ),
    "of what is outside": lambda vmap, grad, f: grad(
        lambda x, w: ops.sum(vmap(vmap(lambda row: f(row, w)))(x)), 1
    ),
}


@pytest.mark.parametrize("f", [dense, last_rows])
@pytest.mark.parametrize("nesting", NESTED)
def test_vmap_nests_with_itself_and_with_gradients(be, f, nesting):
    nest = NESTED[nesting]
    want = by_jax((nesting, f), lambda jax: nest(jax.vmap, jax.grad, f), ROWS, W)
    for run in both(nest(vmap, grad, f), be):
        same_as(be, run(be.array(ROWS), be.array(W)), want)


def test_a_function_over_many_runs_in_a_loop_and_is_compiled_within(be):
    def rows(c, x):
        c = c + vmap(compile(lambda x: ops.sum(ops.sin(x))))(x)
        return c, c

    args = [be.array(a) for a in (np.zeros(3), ROWS)]
    want = np.cumsum(np.sin(ROWS).sum(-1), axis=0)
    for run in both(lambda c, x: ops.scan(rows, c, x)[1], be):
        same_as(be, run(*args), want)


def test_gradient_rules_survive_batching(be):
    """The gradient of relu at 0 is 0; that of its body, a maximum, would be half."""
    x = be.array(np.array([[-1.0, 0.0, 2.0]]))
    same_as(be, grad(lambda x: ops.sum(vmap(ops.relu)(x)))(x), np.array([[0.0, 0.0, 1.0]]))

    @custom_vjp
    def f(x, n):
        return x * n

    f.defvjp(lambda x, n: (x * n, (x, n)), lambda kept, g: (g * 10.0 * kept[0], None))
    two, twos = be.array(np.array(2)), be.array(np.array([2]))
    for g in (
        grad(lambda x: ops.sum(vmap(f, in_axes=(0, None))(x, two))),
        grad(lambda x: ops.sum(vmap(f, in_axes=(0, None))(x, 2))),
        grad(lambda x: ops.sum(vmap(f)(x, twos))),
        vmap(grad(lambda x: ops.sum(f(x, two)))),
    ):
        for run in both(g, be):
            same_as(be, run(x), be.to_numpy(x) * 10)


def test_each_example_has_its_own_gradient_of_a_convolution():
    torch = pytest.importorskip("torch")
    x, w = RNG.normal(size=(3, 2, 5, 6)), RNG.normal(size=(4, 1, 3, 2))
    loss = lambda w, x: ops.sum(ops.sin(ops.conv2d(x[None], w, stride=2, padding=1, groups=2)))
    plain = lambda w, x: torch.sin(
        torch.nn.functional.conv2d(x[None], w, stride=2, padding=1, groups=2)
    ).sum()
    want = torch.func.vmap(torch.func.grad(plain), in_dims=(None, 0))(torch.tensor(w), torch.tensor(x))
    with use_backend("numpy") as be:
        for run in both(vmap(grad(loss), in_axes=(None, 0)), be):
            same_as(be, run(w, x), want)


def test_an_index_out_of_bounds_is_refused_at_its_own_place():
    x, i = np.arange(6.0).reshape(2, 3), np.array([0, 3])
    with pytest.raises(IndexError, match="index 3 is out of bounds for axis"):
        vmap(lambda x, i: ops.take(x, i))(x, i)
    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        vmap(lambda x, i: ops.index_add(x, i, 1.0))(x, i)


def test_keys_make_the_draws_differ(be):
    keys = ops.split_key(ops.key(1, like=be.array(np.zeros(1))), 3)
    got = vmap(lambda key: ops.normal((4,), key=key))(keys)
    for i in range(3):
        close(be.to_numpy(got)[i], be.to_numpy(ops.normal((4,), key=keys[i])))
    x = be.array(np.zeros((3, 4), "float32"))
    for run in both(vmap(lambda x: x + ops.uniform((4,), like=x)), be):
        first, second = be.to_numpy(run(x)), be.to_numpy(run(x))
        np.testing.assert_array_equal(first, np.broadcast_to(first[:1], (3, 4)))
        assert not np.array_equal(first, second)


def test_tensors_and_modules_are_mapped(be):
    layer = nn.Linear(4, 2)
    x = tensor.array(be.array(X.astype("float32")), requires_grad=True)
    got = vmap(layer)(x)
    close(got.numpy(), layer(x).numpy())
    ops.sum(vmap(lambda row: ops.sum(ops.square(row)))(x)).backward()
    close(x.grad.numpy(), 2 * X.astype("float32"))


def test_no_places_give_no_results(be):
    for run in both(vmap(lambda x: ops.sum(ops.sort(x))), be):
        assert tuple(run(be.array(np.zeros((0, 3)))).shape) == (0,)


def test_a_size_stands_for_places_where_nothing_is_mapped(be):
    got = vmap(lambda x: x * 2.0, in_axes=None, axis_size=3)(be.array(X[0]))
    same_as(be, got, np.tile(X[0] * 2, (3, 1)))


@pytest.mark.parametrize(
    ("f", "args", "settings", "error", "words"),
    [
        (ops.add, (X, Y), {}, ValueError, r"vmap: the mapped axes must have one size, got \[3, 4\]"),
        (ops.sin, (X,), {"axis_size": 2}, ValueError, r"must have one size, got \[3\] and axis_size 2"),
        (ops.sin, (X,), {"in_axes": None}, ValueError, "vmap: nothing is mapped; give an argument an axis"),
        (ops.sin, (X,), {"in_axes": 2}, ValueError, r"in_axes 2 is out of range .* of shape \(3, 4\)"),
        (ops.sin, (2.0,), {}, ValueError, r"in_axes 0 .* shape \(\); None leaves it as it is"),
        (ops.add, (X, X), {"in_axes": (0,)}, ValueError, r"in_axes must .* fits \(\*, \*,\), got \(0,\)"),
        (two_results, ({"w": W, "s": X}, X), {"in_axes": ({"w": 0}, 0)}, ValueError, "in_axes must be"),
        (ops.sin, (X,), {"in_axes": "0"}, ValueError, "in_axes must be an integer, None, or a tree"),
        (ops.sin, (X,), {"out_axes": (0, 0)}, ValueError, r"out_axes must be .* that fits \*, got \(0, 0\)"),
        (ops.sin, (X,), {"out_axes": None}, ValueError, "out_axes is None for a result that differs"),
        (ops.sin, (X,), {"out_axes": 3}, ValueError, "axis 3 is out of range for 2 dimensions"),
        (lambda x: x if x[0] > 0 else -x, (X,), {}, TypeError, "choose with ops.where or ops.cond"),
        (ops.nonzero, (X,), {}, TypeError, "nonzero: the shape of the result depends on values"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_refused(f, args, settings, error, words):
    with pytest.raises(error, match=words):
        vmap(f, **settings)(*args)


def test_few_ops_go_from_place_to_place():
    """Every other op that takes arrays has a rule, or a body of such ops."""
    alone = [op for op in TABLE.values() if not batching.dissolves(op) and not op.creates]
    slow = {op.name for op in alone if batching.rule_of(op) is batching.one_by_one}
    assert slow - DATA_DEPENDENT == {"lstsq", "searchsorted"}


# jvp, jacobian, hessian

DERIVED = {
    "dense": (dense, (X, W)),
    "trees": (two_results, ({"w": W, "s": np.array(3.0)}, X)),
    "scan": (lambda x: steps(x), (X,)),
    "cond": (branches, (X,)),
    "reductions": (lambda x: (ops.logsumexp(x, axis=1), ops.var(x), ops.prod(x, axis=0)), (X,)),
    "linear algebra": (lambda x: (ops.inv(x), ops.slogdet(x)[1]), (X[:, :3],)),
    "indexing": (lambda x: ops.concat([x[1:, ::2], ops.sort(x, axis=1)[:2, :2]]), (X,)),
    "softmax": (lambda x: ops.softmax(x, axis=0) * ops.log_softmax(x), (X,)),
}


@pytest.mark.parametrize("name", DERIVED)
def test_jvp_returns_what_jax_returns(be, name):
    f, primals = DERIVED[name]
    tangents = tree.map(lambda x: np.cos(np.arange(x.size).reshape(x.shape)), primals)
    want = by_jax(("jvp", name), lambda jax: lambda p, t: jax.jvp(f, p, t), primals, tangents)
    for run in both(lambda p, t: jvp(f, p, t), be):
        same_as(be, run(tree.map(be.array, primals), tree.map(be.array, tangents)), want)


@pytest.mark.parametrize("name", DERIVED)
def test_jacobian_returns_what_jax_returns(be, name):
    f, args = DERIVED[name]
    places = tuple(range(len(args)))
    want = by_jax(("jacobian", name), lambda jax: jax.jacrev(f, places), *args)
    for run in both(jacobian(f, places), be):
        same_as(be, run(*tree.map(be.array, args)), want)


@pytest.mark.parametrize("name", ["dense", "scan", "reductions", "softmax"])
def test_hessian_returns_what_jax_returns(be, name):
    f, args = DERIVED[name]
    loss = lambda *args: sum(ops.sum(ops.sin(x)) for x in tree.leaves(f(*args)))
    argnums = (0, 1) if name == "dense" else 0
    want = by_jax(("hessian", name), lambda jax: jax.hessian(loss, argnums), *args)
    for run in both(hessian(loss, argnums), be):
        same_as(be, run(*map(be.array, args)), want)


def test_jvp_and_jacobian_return_what_torch_returns():
    torch = pytest.importorskip("torch")
    x = torch.tensor(X)
    f = lambda x: torch.softmax(x, 0) * torch.erf(x)
    ours = lambda x: ops.softmax(x, axis=0) * ops.erf(x)
    with use_backend("numpy") as be:
        pushed = (torch.func.jacrev(f)(x) * torch.cos(x)).sum((-2, -1))
        same_as(be, jvp(ours, (X,), (np.cos(X),)), (f(x), pushed))
        same_as(be, jacobian(ours)(X), torch.func.jacrev(f)(x))
        loss, ours_loss = lambda x: f(x).sum(), lambda x: ops.sum(ours(x))
        same_as(be, hessian(ours_loss)(X), torch.func.jacrev(torch.func.jacrev(loss))(x))


def test_a_complex_derivative_is_the_complex_one():
    z, t = X + 1j * np.cos(X), np.sin(X) - 0.5j
    with use_backend("numpy") as be:
        same_as(be, jvp(lambda z: ops.square(z), (z,), (t,)), (z**2, 2 * z * t))
        same_as(
            be, jvp(lambda z: ops.real(ops.conj(z) * z), (z,), (t,)), (abs(z) ** 2, 2 * (z.conj() * t).real)
        )


def test_what_else_is_returned_comes_back(be):
    f = lambda x: (ops.square(x), {"n": ops.argmax(x), "two": 2})
    x, one = be.array(X[0]), be.array(np.ones(4))
    value, slope, aux = jvp(f, (x,), (one,), has_aux=True)
    same_as(be, (value, slope), (X[0] ** 2, 2 * X[0]))
    assert (int(aux["n"]), aux["two"]) == (X[0].argmax(), 2)
    found, aux = jacobian(f, has_aux=True)(x)
    same_as(be, found, np.diag(2 * X[0]))
    assert int(aux["n"]) == X[0].argmax()


def test_a_result_of_integers_does_not_move(be):
    value, slope = jvp(lambda x: (ops.argmax(x), x * x), (be.array(X[0]),), (be.array(X[1]),))
    assert int(value[0]) == X[0].argmax()
    assert int(slope[0]) == 0
    same_as(be, slope[1], 2 * X[0] * X[1])


def test_python_numbers_are_moved_too():
    value, slope = jvp(lambda x, y: x * y, (3.0, 2), (1.0, 10.0))
    close(value, 6.0)
    close(slope, 32.0)
    close(jacobian(lambda x: x * x)(3.0), 6.0)


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda: jvp(ops.sin, X, X), TypeError, "jvp: primals and tangents are tuples"),
        (lambda: jvp(ops.sin, (X,), (X, X)), ValueError, r"must have the structure .* \(\*,\), got"),
        (lambda: jvp(ops.sin, (X,), (Y,)), ValueError, r"its primal's shape \(3, 4\), got \(4, 3\)"),
        (lambda: jvp(ops.sin, (np.arange(3),), (X[0],)), TypeError, "jvp: gradients need floating-point"),
        (lambda: jacobian(ops.argmax)(X), TypeError, "jacobian: .* must return real floats, got int64"),
        (lambda: jacobian(ops.sin, 1)(X), ValueError, "jacobian: argument 1 was asked for, but 1 were given"),
        (lambda: hessian(ops.sin)(X), ValueError, r"must return a single number, got shape \(3, 4\)"),
        (lambda: jacobian(ops.sin)(np.arange(3)), TypeError, "gradients need floating-point arguments"),
    ],
)  # fmt: skip
def test_what_has_no_derivative_is_refused(run, error, words):
    with pytest.raises(error, match=words):
        run()


def test_a_transformed_function_keeps_its_name():
    for made in (vmap(dense), jacobian(dense), hessian(dense)):
        assert made.__name__ == "dense"


def test_a_pullback_is_mapped_over_cotangents(be):
    _, pull = vjp(ops.sin, be.array(X[0]))
    (got,) = vmap(pull)(be.array(np.eye(4)))
    same_as(be, got, np.diag(np.cos(X[0])))
