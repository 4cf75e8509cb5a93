"""Sums, products, running totals, quantiles and slopes against NumPy; gradients of products with zeros."""

from functools import partial

import numpy as np
import pytest

from conftest import close
from ember_ml import ops, tensor
from ember_ml.compiler import compile, grad
from ember_ml.core import as_dtype

RNG = np.random.default_rng(4)
X = RNG.normal(size=(3, 4, 5))
SETTINGS = [{}, {"axis": 1}, {"axis": (0, -1)}, {"axis": ()}, {"axis": -1, "keepdims": True}]
REDUCTIONS = [
    "sum",
    "prod",
    "mean",
    "var",
    "std",
    "max",
    "min",
    "median",
    "nansum",
    "nanmean",
    "count_nonzero",
]


def host(x):
    return np.asarray(x)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_reductions_agree_with_numpy(be, name, settings):
    if settings.get("axis") == () and name in ("median", "nanmean"):
        pytest.skip("NumPy itself takes () for all axes there")
    want = getattr(np, name)(X, **settings)
    for run in (
        lambda x: getattr(ops, name)(x, **settings),
        compile(lambda x: getattr(ops, name)(x, **settings), be),
    ):
        close(host(run(be.array(X))), want, "float64")


@pytest.mark.parametrize("given", ["bool", "int8", "int32", "uint8", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_integers_are_totalled_in_64_bits_of_their_kind(be, given, name):
    """The standard, sum: unsigned integers have the default unsigned dtype of the result."""
    if given == "bool" and name != "sum":
        pytest.skip("the standard has no product of truths")
    x = np.array([1, 1, 0, 1] if given == "bool" else [100, 3, 100, 2], given)
    want = "uint64" if given.startswith("uint") else "int64"
    for run in (getattr(ops, name), compile(getattr(ops, name), be)):
        got = run(be.array(x))
        assert as_dtype(got.dtype) == want
        np.testing.assert_array_equal(host(got), getattr(np, name)(x, dtype=want))


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", ["int8", "float32", "float64", "uint64"])
def test_totals_come_in_the_dtype_asked_for(be, name, dtype):
    x = np.array([[1, 2], [3, 4]], "int16")
    for given in (be.array(x), tensor.array(be.array(x))):
        got = getattr(ops, name)(given, axis=0, dtype=dtype)
        assert as_dtype(got.dtype) == dtype
        np.testing.assert_array_equal(host(got), getattr(np, name)(x, axis=0, dtype=dtype))


def test_a_total_in_another_dtype_hands_its_gradient_back_in_the_arguments(be):
    got = grad(lambda x: ops.sum(x, dtype="float64"))(be.array(X.astype("float32")))
    assert as_dtype(got.dtype) == "float32"
    np.testing.assert_array_equal(host(got), np.ones_like(X))


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_a_product_with_zeros_has_the_right_gradient(be, zeros):
    """Each factor's slope is the product of the others; torch's rule is the oracle."""
    torch = pytest.importorskip("torch")
    x = np.array([2.0, -1.5, 3.0, 0.5])
    x[:zeros] = 0.0
    for name, total in (("prod", torch.prod), ("cumulative_prod", lambda t: torch.cumprod(t, 0))):
        leaf = torch.tensor(x, requires_grad=True)
        out = total(leaf)
        (out * torch.arange(1.0, 1 + out.numel()).reshape(out.shape)).sum().backward()

        def loss(v, name=name):
            out = getattr(ops, name)(v)
            weights = np.arange(1.0, 1 + np.prod(out.shape)).reshape(out.shape)
            return ops.sum(ops.multiply(out, be.array(weights)))

        for run in (grad(loss), compile(grad(loss), be)):
            close(host(run(be.array(x))), leaf.grad.numpy(), "float64")


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("include_initial", [False, True])
def test_running_totals_agree_with_numpy(be, name, include_initial):
    for x, axis in ((X, 1), (X, -1), (X[0, 0], None), (X[:, :0], 1), (X[:, :0], 0)):
        settings = {"axis": axis, "include_initial": include_initial}
        want = getattr(np, name)(x, **settings)
        run = partial(getattr(ops, name), **settings)
        for total in (run, compile(run, be)):
            close(host(total(be.array(x))), want, "float64")


def test_running_totals_of_several_axes_want_one_named(be):
    for name in ("cumulative_sum", "cumulative_prod"):
        with pytest.raises(ValueError, match=f"{name}: name an axis of an array of 3 dimensions"):
            getattr(ops, name)(be.array(X))


def test_products_of_nothing(be):
    nothing = be.array(np.zeros((0, 3), "float32"))
    np.testing.assert_array_equal(host(ops.prod(nothing, axis=0)), np.ones(3))
    assert host(ops.count_nonzero(nothing)) == 0
    assert np.isnan(host(ops.nanmean(nothing)))
    for op in (ops.max, ops.min, ops.median, lambda x: ops.quantile(x, 0.5)):
        with pytest.raises(ValueError, match="no values to choose from"):
            op(nothing)


Q = [0.0, 0.1, 0.5, 0.77, 1.0]


@pytest.mark.parametrize("settings", [s for s in SETTINGS if s.get("axis") != ()], ids=str)
def test_quantiles_agree_with_numpy(be, settings):
    for q in (Q, 0.3, tuple(Q), np.array(Q)):
        for run in (
            lambda x: ops.quantile(x, q, **settings),  # noqa: B023
            compile(lambda x: ops.quantile(x, q, **settings), be),  # noqa: B023
        ):
            close(host(run(be.array(X))), np.quantile(X, q, **settings), "float64")
    want = np.percentile(X, [5, 95], **settings)
    close(host(ops.percentile(be.array(X), [5, 95], **settings)), want, "float64")


def test_the_median_of_an_even_number_lies_between_the_middle_two(be):
    assert host(ops.median(be.array(np.array([4.0, 1.0, 3.0, 2.0])))) == 2.5
    assert host(ops.median(be.array(np.array([4, 1, 3, 2])))) == 2.5
    assert np.isnan(host(ops.median(be.array(np.array([4.0, np.nan, 3.0])))))
    assert host(ops.median(be.array(np.array([np.inf, np.inf, 1.0, np.inf])))) == np.inf


def test_shares_outside_of_nought_to_one_are_refused(be):
    with pytest.raises(ValueError, match="quantile: a share lies between 0 and 1"):
        ops.quantile(be.array(X), 1.5)
    with pytest.raises(ValueError, match="a percentage between 0 and 100"):
        ops.percentile(be.array(X), [50, 101])


@pytest.mark.parametrize("edge_order", [1, 2])
def test_slopes_agree_with_numpy(be, edge_order):
    coordinates = np.array([0.0, 0.5, 2.0, 2.5, 4.0])
    for spacing, axis in (
        ((), -1),
        ((0.5,), 1),
        ((coordinates,), -1),
        ((2.0, coordinates), (0, 2)),
        ((), None),
    ):
        want = np.gradient(X, *spacing, axis=axis, edge_order=edge_order)
        given = [be.array(h) if isinstance(h, np.ndarray) else h for h in spacing]
        got = ops.gradient(be.array(X), *given, axis=axis, edge_order=edge_order)
        pairs = zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]
        for g, w in pairs:
            close(host(g), w, "float64", atol=1e-12)  # sums of differences, in another order
    with pytest.raises(ValueError, match="gradient: expected 0, 1 or 3 distances, got 2"):
        ops.gradient(be.array(X), 1.0, 2.0)
    with pytest.raises(ValueError, match="slope: expected at least 2 samples along axis 0, got 1"):
        ops.gradient(be.array(X[:1]), axis=0)


def test_slopes_of_unsigned_integers_do_not_wrap(be):
    x = np.array([5, 1, 0, 200], "uint8")
    np.testing.assert_array_equal(host(ops.gradient(be.array(x))), np.gradient(x))


def test_differences_agree_with_numpy(be):
    x = X[0]
    for settings in ({}, {"n": 2}, {"n": 0}, {"axis": 0, "n": 3}, {"n": 9}):
        close(host(ops.diff(be.array(x), **settings)), np.diff(x, **settings), "float64")
    before, after = X[1, :, :2], X[1, :, :1]
    got = ops.diff(be.array(x), prepend=be.array(before), append=be.array(after))
    close(host(got), np.diff(x, prepend=before, append=after), "float64")
    close(host(ops.diff(be.array(x), prepend=0.0)), np.diff(x, prepend=0.0), "float64")
    wrapped = tensor.array(be.array(x))
    close(host(ops.diff(wrapped, append=tensor.array(be.array(after)))), np.diff(x, append=after), "float64")
    with pytest.raises(ValueError, match="n counts differences"):
        ops.diff(be.array(x), n=-1)


def test_areas_agree_with_numpy(be):
    x = np.sort(RNG.random(5))
    for given, settings in ((None, {}), (None, {"dx": 0.5, "axis": 1}), (x, {}), (X + np.arange(5), {})):
        want = np.trapezoid(X, given, **settings)
        got = ops.trapezoid(be.array(X), None if given is None else be.array(given), **settings)
        close(host(got), want, "float64")


def test_the_variance_of_complex_numbers_is_real(be):
    z = (X[0] + 1j * X[1]).astype("complex64")
    close(host(ops.var(be.array(z), axis=0)), np.var(z, axis=0))
    assert as_dtype(ops.var(be.array(z)).dtype) == "float32"


def test_closeness_of_nans_and_of_unsigned_integers(be):
    x = be.array(np.array([np.nan, 1.0]))
    assert host(ops.isclose(x, x, equal_nan=True)).tolist() == [True, True]
    assert not host(ops.allclose(x, x))
    assert host(ops.allclose(x, x, equal_nan=True))
    one, two = (be.array(np.array([n], "uint8")) for n in (1, 2))
    assert host(ops.isclose(one, two, atol=1.0)).all()
    assert host(ops.isclose(two, one, atol=1.0)).all()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float32"])
def test_reducing_over_no_axis_keeps_every_value_in_the_dtype_of_the_sum(be, dtype):
    x = np.array([[0, 1, 1]], dtype)
    for op, reference in ((ops.sum, np.sum), (ops.count_nonzero, np.count_nonzero)):
        got = op(be.array(x), axis=())
        want = reference(x, axis=()) if op is ops.sum else (x != 0).astype("int64")
        assert as_dtype(got.dtype) == str(want.dtype)
        np.testing.assert_array_equal(np.asarray(got), want)
