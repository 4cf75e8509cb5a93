"""Our gradients against PyTorch's own, in float64 (JAX's: test_table); the ties and corners."""

import numpy as np
import pytest

from conftest import ENGINES, close
from ember_ml import backend, ops
from ember_ml.cli.laws import loss_of, smooth, weights_for
from ember_ml.cli.samples import cases, sample
from ember_ml.compiler import grad
from ember_ml.core import TABLE, tree

CASES = [(op, number) for op, number in cases() if smooth(op, sample(op, number, "float64")[0])]
# Bases with more vectors than the matrix determines: torch refuses to differentiate one, and chooses another.
COMPLETED = {("qr", 3), ("svd", 1), ("svd", 2), ("svd", 5)}
COARSE = {("digamma", 0)}  # torch's polygamma is good to 5e-10, SciPy's below and JAX's to the last bits
WITH_TORCH = [(op, number) for op, number in CASES if (op.name, number) not in COMPLETED | COARSE]


def arguments(op, number, be):
    args, settings = sample(op, number, "float64")
    weights = [be.array(w) for w in weights_for(op, number)]
    return loss_of(op, settings, tree.map(be.array, args), weights)


@pytest.mark.parametrize(("op", "number"), WITH_TORCH, ids=[f"{op.name}-{n}" for op, n in WITH_TORCH])
def test_our_gradient_is_that_of_torch(op, number):
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    with backend.use_backend("torch") as be:
        f, floats = arguments(op, number, be)
        ours = grad(f, tuple(range(len(floats))))(*floats)
        leaves = [x.clone().requires_grad_() for x in floats]
        value = f(*leaves)
        theirs = [None] * len(leaves)
        if value.requires_grad:  # truths and whole numbers do not
            theirs = torch.autograd.grad(value, leaves, allow_unused=True)
    for mine, other, x in zip(ours, theirs, floats, strict=True):
        close(mine, np.asarray(torch.zeros_like(x) if other is None else other), "float64")


def slope(f, *points):
    return [
        np.asarray(g).tolist() for g in grad(lambda *x: ops.sum(f(*x)), tuple(range(len(points))))(*points)
    ]


def test_ties_share_the_gradient(be):
    """Design 9.11: equally, as JAX's."""
    x, y = be.array(np.array([1.0, 2.0, 3.0])), be.array(np.array([1.0, 5.0, 0.0]))
    assert slope(ops.maximum, x, y) == [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]
    assert slope(ops.minimum, x, y) == [[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]
    z = be.array(np.array([[2.0, 2.0, 1.0], [2.0, 0.0, 0.0]]))
    assert slope(lambda z: ops.max(z, axis=1), z) == [[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]]
    assert slope(lambda z: ops.min(z, axis=1), z) == [[[0.0, 0.0, 1.0], [0.0, 0.5, 0.5]]]
    third = 1 / 3
    np.testing.assert_allclose(slope(lambda z: ops.max(z), z), [[[third, third, 0.0], [third, 0.0, 0.0]]])


@pytest.mark.parametrize(
    ("f", "want"),
    [
        (ops.relu, [0.0, 0.0, 1.0]),
        (ops.abs, [-1.0, 0.0, 1.0]),
        (ops.sign, [0.0, 0.0, 0.0]),
        (ops.floor, [0.0, 0.0, 0.0]),
        (lambda x: ops.clip(x, -1.0, 1.0), [0.5, 1.0, 0.5]),
        (lambda x: ops.mean_absolute_error(ops.zeros_like(x), x), [-1 / 3, 0.0, 1 / 3]),
    ],
    ids=["relu", "abs", "sign", "floor", "clip", "mean absolute error"],
)
def test_corners_have_the_slope_that_is_decided(be, f, want):
    np.testing.assert_allclose(slope(f, be.array(np.array([-1.0, 0.0, 1.0])))[0], want)


def test_a_guarded_argument_gives_a_clean_gradient(be):
    """The way around a NaN from a branch not taken: make the argument harmless first."""

    def f(x):
        positive = ops.greater(x, 0)
        return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)

    assert slope(f, be.array(np.array([-1.0, 0.0, 4.0]))) == [[0.0, 0.0, 0.25]]


def test_gradients_in_the_tails_are_finite(be):
    x = be.array(np.array([-800.0, -50.0, 0.0, 50.0, 800.0]))
    for f in (
        ops.sigmoid,
        ops.softplus,
        ops.log_sigmoid,
        ops.silu,
        ops.gelu,
        ops.elu,
        ops.tanh,
        ops.softmax,
        ops.log_softmax,
        ops.logsumexp,
    ):
        with np.errstate(all="raise", under="ignore"):
            (got,) = slope(f, x)
        assert np.isfinite(got).all(), f.__name__


@pytest.mark.parametrize("name", ENGINES)
def test_an_op_without_a_rule_says_so_by_name(name, monkeypatch):
    monkeypatch.setattr(TABLE["digamma"], "vjp", None)  # every op has one
    be = backend.get_backend(name)
    with pytest.raises(TypeError, match="digamma has no gradient rule"):
        grad(lambda x: ops.sum(ops.digamma(x)))(be.array(np.array([2.0, 1.0])))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_derivative_of_digamma_is_scipys_polygamma(dtype):
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.arange(-4.9, 0, 0.31), np.arange(0.05, 40, 0.37)]).astype(dtype)
    want = special.polygamma(1, x.astype("float64"))
    rtol = {"float32": 1e-4, "float64": 1e-12}[dtype]  # it grows as 1/x**2 at 0 and at every negative integer
    close(grad(lambda x: ops.sum(ops.digamma(x)))(x), want, dtype, rtol=rtol)
