"""Elementwise functions at special numbers against NumPy and SciPy; parts of floats; corners of gradients."""

import numpy as np
import pytest
from scipy import special

from conftest import close
from ember_ml import ops, tensor
from ember_ml.compiler import compile, grad
from ember_ml.core import as_dtype

NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 2.5, -2.5, 3.0, 1e30, -1e30, np.inf, -np.inf, np.nan]
UNARY = """
    abs acos acosh asin asinh atan atanh ceil cos cosh exp expm1 floor isfinite isinf isnan log log10 log1p
    log2 negative reciprocal round sign signbit sin sinh sqrt square tan tanh trunc
"""
BINARY = """
    add subtract multiply divide power atan2 hypot copysign nextafter maximum minimum equal less remainder
"""
ZERO_SIGN_FREE = {"maximum", "minimum"}  # the standard leaves open which of 0 and -0 is larger


def host(x):
    return np.asarray(x)


def assert_special(got, want, *, signs=True):
    got = host(got)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    real = ~np.isnan(want)
    if want.dtype.kind == "f":
        close(got[real], want[real], want.dtype, rtol=1e-5)
        if signs:
            np.testing.assert_array_equal(np.signbit(got[real]), np.signbit(want[real]))
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", UNARY.split())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_special_numbers_give_what_the_standard_says(be, dtype, name):
    """NumPy passes the standard's own suite in these."""
    x = np.array(NUMBERS, dtype)
    for run in (getattr(ops, name), compile(getattr(ops, name), be)):
        assert_special(run(be.array(x)), getattr(np, name)(x))


@pytest.mark.parametrize("name", BINARY.split())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_pairs_of_special_numbers_give_what_the_standard_says(be, dtype, name):
    x1, x2 = (g.ravel().astype(dtype) for g in np.meshgrid(NUMBERS, NUMBERS, indexing="ij"))
    want = getattr(np, name)(x1, x2)
    if name == "remainder":  # the standard: a remainder of 0 has the sign of the divisor
        want = np.where(want == 0, np.copysign(want, x2), want)
    got = getattr(ops, name)(be.array(x1), be.array(x2))
    assert_special(got, want, signs=name not in ZERO_SIGN_FREE)


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "acos", "atanh", "log2", "log10", "asinh"])
def test_float64_is_computed_in_float64(be, name):
    x = np.linspace(-0.99, 0.99, 101) if name in ("acos", "atanh") else np.linspace(0.01, 100.0, 997)
    close(getattr(ops, name)(be.array(x)), getattr(np, name)(x), "float64", rtol=1e-13, atol=1e-15)


def test_special_functions_agree_with_scipy(be, dtype):
    x = np.array([-0.999, -0.5, -1e-6, 0.0, 0.3, 0.9999, 1.0, -1.0], dtype)
    for run in (ops.erfinv, compile(ops.erfinv, be)):
        close(run(be.array(x)), special.erfinv(x), dtype)
    assert np.isnan(host(ops.erfinv(be.array(np.array([1.5], dtype)))))
    x = np.array([0.1, 1.0, 2.0, 3.7, 40.0, -0.5, -2.3], dtype)
    close(ops.lgamma(be.array(x)), special.gammaln(x), dtype, rtol=1e-5 if dtype == "float32" else 1e-12)
    close(ops.digamma(be.array(x)), special.digamma(x), dtype, rtol=1e-5 if dtype == "float32" else 1e-12)
    x = np.array([0.0, -1.0, np.inf, -np.inf], dtype)
    np.testing.assert_array_equal(host(ops.lgamma(be.array(x))), np.full(4, np.inf))


def test_a_hypotenuse_does_not_overflow_and_is_flat_at_nought(be):
    big = be.array(np.array([2e38, 2e-38], "float32"))
    close(ops.hypot(big, big), np.array([2e38, 2e-38]) * np.sqrt(2.0), rtol=1e-6, atol=0)
    nought = be.array(np.array([0.0, 3.0]))
    other = be.array(np.array([0.0, 4.0]))
    got = grad(lambda a, b: ops.sum(ops.hypot(a, b)), (0, 1))(nought, other)
    close(host(got[0]), np.array([0.0, 0.6]), "float64")
    close(host(got[1]), np.array([0.0, 0.8]), "float64")


def test_nan_to_num_puts_numbers_in_their_place(be, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 1.5], dtype)
    for settings in ({}, {"nan": 7.0, "posinf": 1.0, "neginf": -1.0}):
        np.testing.assert_array_equal(
            host(ops.nan_to_num(be.array(x), **settings)), np.nan_to_num(x, **settings)
        )
    whole = be.array(np.array([1, 2]))
    np.testing.assert_array_equal(host(ops.nan_to_num(whole)), [1, 2])
    z = np.array([complex(np.nan, np.inf), 1 - 2j], "complex64")
    np.testing.assert_array_equal(host(ops.nan_to_num(be.array(z))), np.nan_to_num(z))


def test_parts_of_real_numbers(be):
    x = be.array(np.array([-1.5, 2.0, 0.0]))
    np.testing.assert_array_equal(host(ops.real(x)), host(x))
    np.testing.assert_array_equal(host(ops.imag(x)), [0, 0, 0])
    np.testing.assert_array_equal(host(ops.conj(x)), host(x))
    close(ops.angle(x), np.array([np.pi, 0, 0]), "float64")
    close(host(grad(lambda x: ops.sum(ops.add(ops.real(x), ops.imag(x))))(x)), np.ones(3), "float64")


@pytest.mark.parametrize(
    "name", ["acos", "atan2", "hypot", "copysign", "log2", "log10", "reciprocal", "angle"]
)
def test_functions_of_integers_are_the_default_float(be, name):
    """NumPy and MLX would give float64 or int."""
    args = [np.array([1, 1])] * (2 if name in ("atan2", "hypot", "copysign") else 1)
    for run in (getattr(ops, name), compile(getattr(ops, name), be)):
        if run is getattr(ops, name):
            got = run(*(tensor.array(be.array(a)) for a in args))
        else:
            got = run(*map(be.array, args))
        assert as_dtype(got.dtype) == "float32"
        close(host(got), getattr(np, name)(*(a.astype("float32") for a in args)))


@pytest.mark.parametrize("name", ["trunc", "floor", "ceil", "round", "sign", "conj", "real"])
def test_whole_numbers_stay_whole(be, name):
    for dtype in ("int32", "uint8"):
        got = getattr(ops, name)(tensor.array(be.array(np.array([3, 0], dtype))))
        assert as_dtype(got.dtype) == dtype


def test_numbers_may_stand_on_either_side(be):
    x = np.array([0.5, -2.0])
    for name in ("atan2", "hypot", "copysign", "nextafter"):
        close(getattr(ops, name)(be.array(x), 1.5), getattr(np, name)(x, 1.5), "float64")
        close(getattr(ops, name)(1.5, be.array(x)), getattr(np, name)(1.5, x), "float64")


def test_wrong_kinds_are_refused_by_tensors_and_compiled_code(be):
    truth = be.array(np.array([True, False]))
    whole = be.array(np.array([1, 2]))
    for op, x in ((ops.sin, truth), (ops.log2, truth), (ops.signbit, whole), (ops.nextafter, whole)):
        args = (x, x) if op is ops.nextafter else (x,)
        with pytest.raises(TypeError, match=r"expected .* arrays, got"):
            op(*(tensor.array(a) for a in args))
        with pytest.raises(TypeError, match=r"expected .* arrays, got"):
            compile(op, be)(*args)
