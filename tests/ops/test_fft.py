"""Fourier transforms against NumPy, SciPy, and their own definition; FFTW's plans and SciPy's path alike."""

import threading
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.fft

from conftest import close
from ember_ml import backend, ops
from ember_ml.backend import fourier
from ember_ml.compiler import compile, grad

planned = pytest.mark.skipif(find_spec("pyfftw") is None, reason="FFTW is not installed (extra fftw)")
COMPLEX = ("fft", "ifft", "irfft", "hfft")
SINGLE = {"rtol": 2e-5, "atol": 2e-5}  # sums of up to 60 values of size 1


@pytest.fixture
def at_once(monkeypatch):
    """Plans made at the first transform, however small."""
    monkeypatch.setattr(fourier, "OFTEN", 0)
    monkeypatch.setattr(fourier, "SMALLEST", 0)
    monkeypatch.setattr(fourier, "_PLANS", fourier._Plans())


@pytest.fixture
def without(monkeypatch):
    """The extra not installed."""
    monkeypatch.setattr(fourier, "has_fftw", lambda: False)


def drawn(shape, kind="complex64"):
    rng = np.random.default_rng(7)
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if np.dtype(kind).kind == "c" else 0)
    return x.astype(kind)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 4, 7])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_transforms_along_an_axis_are_numpys(be, name, n, norm):
    x = drawn((3, 5, 2), "complex64" if name in COMPLEX else "float32")
    got = getattr(ops, name)(be.array(x), n=n, axis=1, norm=norm)
    want = getattr(np.fft, name)(x, n=n, axis=1, norm=norm)
    close(got, want, **SINGLE)
    assert str(np.asarray(got).dtype) == ("float32" if name in ("irfft", "hfft") else "complex64")


@pytest.mark.parametrize(("s", "axes"), [(None, None), ((4, 6), (2, 0)), ((3, 4), (-1, -2)), (None, (1,))])
@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_transforms_over_axes_are_scipys(be, name, s, axes):
    x = drawn((3, 4, 5), "float32" if name == "rfftn" else "complex64")
    close(
        getattr(ops, name)(be.array(x), s=s, axes=axes), getattr(scipy.fft, name)(x, s=s, axes=axes), **SINGLE
    )


def test_float64_stays_double(be):
    if be == "mlx":
        with pytest.raises(TypeError, match="MLX has no complex128"):
            ops.fft(be.array(drawn(5, "float64")))
        return
    x = drawn((4, 6), "float64")
    for name in ("fft", "rfft", "irfft", "fft2", "rfft2"):
        close(getattr(ops, name)(be.array(x)), getattr(np.fft, name)(x), "float64")


def test_the_inverse_comes_back(be):
    want = drawn((3, 5, 7), "float32")
    x = be.array(want)
    close(ops.irfftn(ops.rfftn(x), s=(3, 5, 7)), want, **SINGLE)
    close(ops.irfft2(ops.rfft2(x), s=(5, 7)), want, **SINGLE)
    close(ops.real(ops.ifft2(ops.fft2(x))), want, **SINGLE)
    close(ops.hfft(ops.ihfft(x), n=7), want, **SINGLE)


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_frequencies_and_shifts_are_numpys(be, n):
    close(ops.fftfreq(n, d=0.1), np.fft.fftfreq(n, 0.1))
    close(ops.rfftfreq(n, d=0.1, dtype="float64"), np.fft.rfftfreq(n, 0.1), "float64")
    x = np.arange(3.0 * n, dtype="float32").reshape(3, n)
    for axes in (None, 1, (0,), (0, -1)):
        close(ops.fftshift(be.array(x), axes=axes), np.fft.fftshift(x, axes))
        close(ops.ifftshift(be.array(x), axes=axes), np.fft.ifftshift(x, axes))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.fft(x, n=0), r"fftn: the transform along axis 1 has 0 points"),
        (lambda x: ops.fft(x, axis=2), r"fftn: axis 2 is out of range for 2 dimensions"),
        (lambda x: ops.fftn(x, s=(3, 4, 5)), r"fftn: 3 sizes \(3, 4, 5\) for 2 dimensions"),
        (
            lambda x: ops.rfftn(x, s=(3,), axes=(0, 1)),
            r"rfftn: sizes \(3,\) and axes \(0, 1\) differ in number",
        ),
        (lambda x: ops.fftn(x, axes=(0, -2)), r"fftn: an axis is named twice"),
        (
            lambda x: ops.irfft(x, norm="loud"),
            r"irfftn: norm must be 'backward', 'ortho' or 'forward', got 'loud'",
        ),
        (lambda x: ops.irfft(x[:, :1]), r"irfftn: the transform along axis 1 has 0 points"),
        (lambda x: ops.fft(x[:0].reshape(4, 0)), r"fftn: the transform along axis 1 has 0 points"),
    ],
)
def test_what_cannot_be_transformed_is_refused_in_the_same_words(be, call, words):
    x = be.array(drawn((3, 4), "float32"))
    with pytest.raises(ValueError, match=words):
        call(x)


def test_a_real_transform_of_complex_numbers_is_refused(be):
    with pytest.raises(TypeError, match="rfftn: expected"):
        ops.rfft(be.array(drawn(4)))


def test_frequencies_of_nothing_are_refused():
    with pytest.raises(ValueError, match="expected at least 1 sample, got 0"):
        ops.fftfreq(0)
    with pytest.raises(TypeError, match="frequencies are floating-point, got dtype int32"):
        ops.rfftfreq(3, dtype="int32")


@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "rfft", "ihfft"])
def test_float32_gradients_are_those_of_float64(be, name):
    """By the law of finite differences float64 is right; engines without complex128 are held to it here."""
    x = drawn((2, 5), "complex64" if name in COMPLEX else "float32")
    shape = np.shape(getattr(np.fft, name)(x, n=6))
    w = drawn(shape, "float32" if name in ("irfft", "hfft") else "complex64")

    def loss(x, w):
        return ops.sum(ops.real(ops.multiply(getattr(ops, name)(x, n=6), w)))

    wide = {"complex64": "complex128", "float32": "float64"}
    want = grad(loss)(x.astype(wide[str(x.dtype)]), w.astype(wide[str(w.dtype)]))
    close(grad(loss)(be.array(x), be.array(w)), want, **SINGLE)


def test_compiled_transforms_are_the_eager_ones(be):
    x = be.array(drawn((4, 6), "float32"))
    smooth = compile(lambda x: ops.irfft(ops.multiply(ops.rfft(x), 0.5), n=6), be)
    close(smooth(x), 0.5 * np.asarray(x), **SINGLE)


def test_fast_lengths_are_scipys():
    for n in range(1, 700):
        assert ops.next_fast_len(n) == scipy.fft.next_fast_len(n)
        assert ops.next_fast_len(n, real=True) == scipy.fft.next_fast_len(n, real=True)
    with pytest.raises(ValueError, match="expected a length of at least 1, got 0"):
        ops.next_fast_len(0)


def test_convolution_shapes_hold_the_whole_convolution():
    conv, fast, ft = ops.compute_convolution_shapes((97, 101, 103), (23, 23, 23))
    assert (conv, fast, ft) == ([119, 123, 125], [120, 125, 125], [120, 125, 63])
    assert backend.get_backend("numpy").compute_convolution_shapes((3,), (2,)) == ([4], [4], [3])
    with pytest.raises(ValueError, match="expected as many dimensions"):
        ops.compute_convolution_shapes((3,), (2, 2))


# The planned pair


def test_a_planned_pair_convolves(be):
    a, b = drawn((5, 6), "float32"), drawn((3, 4), "float32")
    conv, fast, ft = be.compute_convolution_shapes(a.shape, b.shape)
    rfftn, irfftn = be.build_fft(fast, ft, "float32", "complex64")
    padded = [be.array(np.pad(x, [(0, n - m) for n, m in zip(fast, x.shape, strict=True)])) for x in (a, b)]
    product = ops.multiply(rfftn(padded[0]), rfftn(padded[1]))
    before = np.asarray(product).copy()
    out = irfftn(product)
    from scipy.signal import convolve

    close(np.asarray(out)[: conv[0], : conv[1]], convolve(a, b), **SINGLE)
    np.testing.assert_array_equal(product, before)


def test_a_planned_pair_writes_where_it_may(be):
    x = drawn((4, 5), "float32")
    rfftn, irfftn = be.build_fft((4, 5), (4, 3), "float32", "complex64")
    out = be.array(np.zeros((4, 3), "complex64"))
    made = rfftn(be.array(x), out)
    close(made, np.fft.rfft2(x), **SINGLE)
    assert (made is out) == be.mutable
    close(irfftn(made, be.array(np.zeros((4, 5), "float32"))), x, **SINGLE)


def test_a_planned_pair_keeps_to_its_axes_and_shapes(be):
    x = drawn((4, 5, 3), "float32")
    rfftn, irfftn = be.build_fft(x.shape, (4, 3, 3), "float32", "complex64", fwd_axes=(0, 1), inv_axes=(0, 1))
    close(rfftn(be.array(x)), np.fft.rfftn(x, axes=(0, 1)), **SINGLE)
    close(irfftn(rfftn(be.array(x))), x, **SINGLE)
    with pytest.raises(
        ValueError, match=r"rfftn: planned for an array of shape \(4, 5, 3\), got \(4, 5, 2\)"
    ):
        rfftn(be.array(x[..., :2]))
    with pytest.raises(ValueError, match=r"irfftn to points of shape \(4, 5\) takes \(4, 3\), got \(4, 4\)"):
        be.build_fft((4, 5), (4, 4), "float32", "complex64")


def test_arrays_may_stand_for_the_shapes_of_a_pair(be):
    want = drawn((4, 6), "float32")
    x = be.array(want)
    rfftn, irfftn = be.build_fft(
        (9, 9), (9, 9), "float32", "complex64", temp_fwd=x, temp_inv=ops.rfftn(x), fftargs={"threads": 1}
    )
    close(irfftn(rfftn(x)), want, **SINGLE)


# FFTW's plans


@planned
@pytest.mark.parametrize("kind", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(("s", "axes"), [(None, None), ((4, 6), (2, 0)), ((9, 2), (-1, -2)), (None, (1,))])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_plans_give_what_scipy_gives(at_once, monkeypatch, kind, s, axes, norm):
    x = drawn((3, 4, 5), kind)
    x.flags.writeable = False
    names = ("rfftn",) if x.dtype.kind == "f" else ("fftn", "ifftn", "irfftn")
    for name in names:
        got = getattr(ops, name)(x, s=s, axes=axes, norm=norm)
        assert any(isinstance(plan, fourier.Plan) for plan in fourier._PLANS.known.values())
        want = getattr(scipy.fft, name)(x, s=s, axes=axes, norm=norm)
        assert got.dtype == want.dtype
        again = getattr(ops, name)(x, s=s, axes=axes, norm=norm)
        tight = (
            {"rtol": 1e-12, "atol": 1e-13} if kind.endswith(("64", "128")) and kind != "complex64" else SINGLE
        )
        close(got, want, "float64", **tight)
        close(again, want, "float64", **tight)


@planned
def test_plans_take_arrays_that_are_not_in_order(at_once):
    x = drawn((6, 8, 5), "float32")
    crooked = np.frombuffer(b"\0" * 4 + x.tobytes(), np.uint8)[4:].view("float32").reshape(x.shape)
    for given in (x.T, x[::2], x[..., ::-1], np.asfortranarray(x), crooked):
        close(ops.rfftn(given), scipy.fft.rfftn(given), **SINGLE)


@planned
def test_a_plan_is_made_for_what_comes_often(monkeypatch):
    monkeypatch.setattr(fourier, "_PLANS", fourier._Plans())
    monkeypatch.setattr(fourier, "OFTEN", 2)
    x, known = drawn((16, 16, 16), "float32"), fourier._PLANS.known
    kinds = []
    for _ in range(4):
        ops.rfftn(x)
        kinds.append(type(next(iter(known.values()))).__name__)
    assert kinds == ["int", "int", "Plan", "Plan"]
    ops.rfftn(drawn((4, 4), "float32"))
    assert len(known) == 1  # too small to pay


@planned
def test_plans_are_bounded_and_keep_no_arrays(at_once, monkeypatch):
    monkeypatch.setattr(fourier, "KEPT", 3)
    for n in range(2, 9):
        ops.fft(drawn(n))
    assert len(fourier._PLANS.known) == 3
    x = drawn((4, 4))
    y = ops.fft(x)
    for plan in fourier._PLANS.known.values():
        for held in (plan.fftw.input_array, plan.fftw.output_array):
            assert not np.shares_memory(held, x)
            assert not np.shares_memory(held, y)


@planned
def test_threads_do_not_disturb_each_other(at_once):
    inputs = [drawn((8, 9, 10), "float32") * k for k in range(1, 5)]
    wrong = []

    def work(x):
        want = scipy.fft.rfftn(x)
        wrong.extend(k for k in range(50) if not np.allclose(ops.rfftn(x), want, rtol=1e-4, atol=1e-3))

    threads = [threading.Thread(target=work, args=(x,)) for x in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_the_extra_scipy_computes(without):
    x = drawn((4, 6), "float32")
    np.testing.assert_array_equal(ops.rfftn(x), scipy.fft.rfftn(x))
    rfftn, irfftn = backend.get_backend("numpy").build_fft((4, 6), (4, 4), "float32", "complex64")
    close(irfftn(rfftn(x)), x, **SINGLE)
