"""Values against torch.nn.functional, SciPy and NumPy; closed forms; sums of integers; rare einsums."""

import numpy as np
import pytest
from scipy import special

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad
from ember_ml.core import as_dtype

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 5)) * 3
EDGES = np.array([-1e4, -800.0, -90.0, -20.0, -1e-9, 0.0, 1e-9, 20.0, 90.0, 800.0, 1e4])


@pytest.fixture
def functional():
    return pytest.importorskip("torch").nn.functional


def loosened(be, dtype="float64"):
    """MLX computes some float64 functions at float32 precision, a declared gap."""
    return {"rtol": 4e-6, "atol": 4e-6} if be == "mlx" and dtype == "float64" else {}


ACTIVATIONS = [
    (ops.relu, "relu", {}),
    (ops.leaky_relu, "leaky_relu", {}),
    (ops.sigmoid, "sigmoid", {}),
    (ops.softplus, "softplus", {}),
    (ops.log_sigmoid, "logsigmoid", {}),
    (ops.silu, "silu", {}),
    (ops.gelu, "gelu", {}),
    (ops.elu, "elu", {}),
    (ops.softmax, "softmax", {"dim": -1}),
    (ops.log_softmax, "log_softmax", {"dim": -1}),
    (ops.tanh, "tanh", {}),
]


@pytest.mark.parametrize(("op", "name", "settings"), ACTIVATIONS, ids=[name for _, name, _ in ACTIVATIONS])
@pytest.mark.parametrize("x", [X, EDGES], ids=["usual", "extreme"])
def test_activations_agree_with_torch(be, dtype, functional, op, name, settings, x):
    import torch

    x = x.astype(dtype)
    want = getattr(functional, name)(torch.tensor(x), **settings).numpy()
    for run in (op, compile(op, be)):
        close(run(be.array(x)), want, dtype, **loosened(be, dtype))


def test_lecuns_tanh_maps_one_to_one(be):
    """LeCun et al. 1998, section 4.4: f(±1) = ±1."""
    close(
        ops.lecun_tanh(be.array(np.array([-1.0, 0.0, 1.0]))), np.array([-1.0, 0.0, 1.0]), "float64", rtol=2e-5
    )


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_settings_of_activations_agree_with_torch(be, functional, alpha):
    import torch

    close(
        ops.elu(be.array(X), alpha=alpha),
        functional.elu(torch.tensor(X), alpha).numpy(),
        "float64",
        **loosened(be),
    )
    close(
        ops.leaky_relu(be.array(X), alpha), functional.leaky_relu(torch.tensor(X), alpha).numpy(), "float64"
    )


def losses(functional):
    import torch

    target, classes = RNG.random((4, 5)), np.array([0, 3, 4, 1])
    p = special.softmax(X, axis=-1)
    one_hot = np.eye(5)[classes]
    t, logits = torch.tensor, {"from_logits": True}
    binary, classed, by_number = (
        ops.binary_crossentropy,
        ops.categorical_crossentropy,
        ops.sparse_categorical_crossentropy,
    )
    likelihood = functional.nll_loss(t(np.log(p)), t(classes))
    cross_entropy = functional.cross_entropy(t(X), t(classes))
    binary_of_logits = functional.binary_cross_entropy_with_logits(t(X), t(target))
    return [
        ("mse", ops.mse, target, X, {}, functional.mse_loss(t(X), t(target))),
        ("mean absolute", ops.mean_absolute_error, target, X, {}, functional.l1_loss(t(X), t(target))),
        ("binary", binary, target, p, {}, functional.binary_cross_entropy(t(p), t(target))),
        ("binary, logits", binary, target, X, logits, binary_of_logits),
        ("classes", classed, one_hot, p, {}, likelihood),
        ("classes, logits", classed, one_hot, X, logits, cross_entropy),
        ("soft classes, logits", classed, p, X, logits, functional.cross_entropy(t(X), t(p))),
        ("numbers of classes", by_number, classes, p, {}, likelihood),
        ("numbers of classes, logits", by_number, classes, X, logits, cross_entropy),
    ]


def test_losses_agree_with_torch(be, functional):
    for name, op, truth, guess, settings, want in losses(functional):
        for run in (lambda a, b: op(a, b, **settings), compile(lambda a, b: op(a, b, **settings), be)):  # noqa: B023
            got = run(be.array(truth), be.array(guess))
            close(got, want.numpy(), "float64", **loosened(be)), name


def test_sure_and_wrong_probabilities_cost_a_finite_amount(be, dtype):
    """p is kept 1e-7 away from 0 and 1, where float32 can still tell it from 1."""
    truth, guess = be.array(np.array([1.0, 0.0], dtype)), be.array(np.array([0.0, 1.0], dtype))
    loss, slope = (
        float(ops.binary_crossentropy(truth, guess)),
        np.asarray(grad(ops.binary_crossentropy, 1)(truth, guess)),
    )
    assert 15 < loss < 17
    assert np.isfinite(slope).all()


def test_logits_far_out_lose_nothing(be, dtype):
    truth, scores = (
        be.array(np.array([1.0, 0.0, 1.0], dtype)),
        be.array(np.array([800.0, 800.0, -800.0], dtype)),
    )
    close(ops.binary_crossentropy(truth, scores, from_logits=True), np.array(1600 / 3, dtype), dtype)
    row = be.array(np.array([[1000.0, 0.0, -1000.0]], dtype))
    close(
        ops.sparse_categorical_crossentropy(be.array(np.array([1])), row, from_logits=True),
        np.array(1000.0, dtype),
        dtype,
    )
    assert np.isfinite(
        np.asarray(
            grad(lambda r: ops.sparse_categorical_crossentropy(be.array(np.array([2])), r, from_logits=True))(
                row
            )
        )
    ).all()


EINSUMS = [
    ("i->", [(3,)]),
    ("ii->i", [(3, 3)]),
    ("ii->", [(3, 3)]),
    ("ij->ji", [(2, 3)]),
    ("ij->i", [(2, 3)]),
    ("ij", [(2, 3)]),
    ("ji", [(2, 3)]),
    ("i,i->", [(3,), (3,)]),
    ("i,j->ij", [(3,), (2,)]),
    ("i,j", [(3,), (2,)]),
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bij,jk->bik", [(2, 3, 4), (4, 5)]),
    ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
    ("...ij,jk->...ik", [(2, 2, 3, 4), (4, 5)]),
    ("...i,...i->...", [(2, 3), (3,)]),
    ("i...->...", [(3, 2)]),
    ("...,...->...", [(2, 3), (3,)]),
    ("ij,ij,ij->ij", [(2, 3), (2, 3), (2, 3)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("ij,kl->ijkl", [(2, 3), (4, 5)]),
    ("abc,cb->a", [(2, 3, 4), (4, 3)]),
    ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
    ("i,ij,j->", [(2,), (2, 3), (3,)]),
    (" i j , j k -> i k ", [(2, 3), (3, 4)]),
    ("ij,jk->", [(2, 3), (3, 4)]),
    ("ba,ca", [(2, 3), (4, 3)]),
    (",i->i", [(), (3,)]),
]


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS, ids=[s for s, _ in EINSUMS])
def test_einsum_agrees_with_numpy(be, subscripts, shapes):
    args = [RNG.normal(size=s) for s in shapes]
    want = np.einsum(subscripts, *args)
    given = [be.array(a) for a in args]
    close(ops.einsum(subscripts, *given), want, "float64")
    close(compile(lambda *a: ops.einsum(subscripts, *a), be)(*given), want, "float64")


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [e for e in EINSUMS if "ii" not in e[0]],
    ids=[s for s, _ in EINSUMS if "ii" not in s],
)
def test_the_gradient_of_einsum_agrees_with_torch(subscripts, shapes):
    torch = pytest.importorskip("torch")
    args = [RNG.normal(size=s) for s in shapes]
    leaves = [torch.tensor(a, requires_grad=True) for a in args]
    torch.einsum(subscripts, *leaves).square().sum().backward()
    ours = grad(lambda *a: ops.sum(ops.square(ops.einsum(subscripts, *a))), tuple(range(len(args))))(*args)
    for mine, leaf in zip(ours, leaves, strict=True):
        close(mine, leaf.grad.numpy(), "float64")


def test_a_repeated_index_has_no_gradient_and_says_so(be):
    with pytest.raises(
        TypeError, match="einsum has no gradient rule for an index repeated in one operand, as in 'ii'"
    ):
        grad(lambda x: ops.einsum("ii->", x))(be.array(np.eye(2)))


TENSORDOTS = [
    ((3, 4), (4, 5), 1),
    ((2, 3, 4), (3, 4, 5), 2),
    ((2,), (3,), 0),
    ((2, 3, 4), (4, 3, 5), ([2, 1], [0, 1])),
    ((2, 3), (2, 3), ([0, 1], [0, 1])),
    ((3, 4), (5, 4), (1, 1)),
    ((3, 4), (5, 4), ([-1], [-1])),
]


@pytest.mark.parametrize(("a", "b", "axes"), TENSORDOTS, ids=str)
def test_tensordot_agrees_with_numpy(be, a, b, axes):
    x, y = RNG.normal(size=a), RNG.normal(size=b)
    close(ops.tensordot(be.array(x), be.array(y), axes=axes), np.tensordot(x, y, axes=axes), "float64")


@pytest.mark.parametrize("given", ["bool", "int8", "int16", "int32", "int64"])
def test_small_integers_are_summed_in_64_bits(be, given):
    """The standard: the sum of integers has the default integer's dtype, so that it does not overflow."""
    largest = np.ones(300, given) if given == "bool" else np.full(300, min(np.iinfo(given).max, 2**40), given)
    x = be.array(largest)
    for op, want in (
        (ops.sum, largest.sum(dtype="int64")),
        (ops.cumulative_sum, np.cumsum(largest, dtype="int64")),
    ):
        if op is ops.cumulative_sum and given == "bool":
            continue  # the standard has no running sum of truths
        for run in (op, compile(op, be)):
            got = run(x)
            assert as_dtype(got.dtype) == "int64"
            np.testing.assert_array_equal(np.asarray(got), want)


@pytest.mark.parametrize("descending", [False, True])
def test_equal_values_keep_their_order(be, descending):
    x = RNG.integers(0, 4, size=(3, 50)).astype("float32")
    order = np.asarray(ops.argsort(be.array(x), descending=descending))
    np.testing.assert_array_equal(order, np.argsort(-x if descending else x, axis=-1, stable=True))


@pytest.mark.parametrize("wide", ["float32", "float64"])
def test_nan_and_infinity_go_where_numpy_lets_them(be, wide):
    x, y = (
        np.array([np.nan, np.inf, -np.inf, 1.0, np.nan], wide),
        np.array([1.0, 1.0, 1.0, np.nan, np.nan], wide),
    )
    with np.errstate(all="ignore"):
        for name in ("add", "maximum", "minimum", "logaddexp", "equal", "less", "greater_equal"):
            np.testing.assert_array_equal(
                np.asarray(getattr(ops, name)(be.array(x), be.array(y))), getattr(np, name)(x, y), name
            )
    assert np.asarray(ops.isnan(be.array(x))).tolist() == [True, False, False, False, True]
    assert np.asarray(ops.isfinite(be.array(x))).tolist() == [False, False, False, True, False]
    with np.errstate(all="ignore"):
        assert np.asarray(ops.isclose(be.array(x), be.array(x))).tolist() == [False, True, True, True, False]
    assert np.isnan(np.asarray(ops.max(be.array(x))))
    with np.errstate(all="ignore"):
        assert np.asarray(ops.logsumexp(be.array(np.array([-np.inf, -np.inf], wide)))) == -np.inf


def test_reductions_of_nothing(be):
    nothing = be.array(np.zeros((0, 3), "float32"))
    np.testing.assert_array_equal(np.asarray(ops.sum(nothing, axis=0)), np.zeros(3))
    assert np.isnan(np.asarray(ops.mean(nothing, axis=0))).all()
    assert np.asarray(ops.all(nothing)).item() is True
    assert np.asarray(ops.any(nothing)).item() is False


def test_division_of_integers_rounds_down_and_remainders_follow_the_divisor(be):
    a, b = np.array([-7, 7, -7, 7], "int32"), np.array([2, 2, -2, -2], "int32")
    np.testing.assert_array_equal(np.asarray(ops.floor_divide(be.array(a), be.array(b))), a // b)
    np.testing.assert_array_equal(np.asarray(ops.remainder(be.array(a), be.array(b))), a % b)
    x, y = a.astype("float32") / 3, b.astype("float32")
    close(ops.remainder(be.array(x), be.array(y)), x % y)
    close(ops.floor_divide(be.array(x), be.array(y)), x // y)
