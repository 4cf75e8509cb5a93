"""Windows and pooling: torch's values and gradients, on every engine."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(4)
SIZES = {1: (9,), 2: (7, 8), 3: (5, 4, 6)}
SETTINGS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 4, "stride": 1, "padding": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["plain", "padded", "overlapping"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pooling_and_its_gradient_are_torchs(be, kind, ndim, settings):
    name = f"{kind}_pool{ndim}d"
    x = RNG.normal(size=(2, 3, *SIZES[ndim]))
    oracle = torch.tensor(x, requires_grad=True)
    want = getattr(torch.nn.functional, name)(oracle, **settings)
    g = RNG.normal(size=tuple(want.shape))
    want.backward(torch.tensor(g))
    op = getattr(ops, name)
    close(op(be.array(x), **settings), want.detach().numpy(), "float64")

    def loss(x):
        return ops.sum(ops.multiply(op(x, **settings), be.array(g)))

    close(grad(loss)(be.array(x)), oracle.grad.numpy(), "float64", atol=1e-12)  # sums of up to 64 terms


def test_a_mean_may_leave_the_padding_out(be, dtype):
    x = RNG.normal(size=(2, 3, 6, 5)).astype(dtype)
    settings = {"kernel_size": (3, 2), "stride": 2, "padding": 1, "count_include_pad": False}
    want = torch.nn.functional.avg_pool2d(torch.tensor(x), **settings).numpy()
    close(ops.avg_pool2d(be.array(x), **settings), want, dtype)


def test_equal_values_of_a_window_share_the_gradient(be):
    x = be.array(np.array([[2.0, 2.0, 1.0, 3.0, 3.0, 3.0]]))
    slope = grad(lambda x: ops.sum(ops.max_pool1d(x, kernel_size=3)))(x)
    close(slope, np.array([[0.5, 0.5, 0.0, 1 / 3, 1 / 3, 1 / 3]]), "float64")


def test_integers_and_infinities_have_a_largest_value(be):
    x = np.array([[-5, -7, -6, -9]], "int32")
    np.testing.assert_array_equal(np.asarray(ops.max_pool1d(be.array(x), 2, 1, 1)), [[-5, -5, -6, -6, -9]])
    low = np.array([[-np.inf, -np.inf, 0.0, np.inf]], "float32")
    np.testing.assert_array_equal(np.asarray(ops.max_pool1d(be.array(low), 2)), [[-np.inf, np.inf]])


def test_windows_are_seen_and_added_up_again(be, dtype):
    x = RNG.normal(size=(2, 6, 7)).astype(dtype)
    seen = ops.sliding_windows(be.array(x), (2, 3), stride=(1, 2))
    want = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(1, 2))[:, :, ::2]
    np.testing.assert_array_equal(np.asarray(seen), want)
    back = ops.fold_windows(seen, (6, 7), stride=(1, 2))
    ones = np.lib.stride_tricks.sliding_window_view(np.arange(42).reshape(6, 7), (2, 3))[:, ::2]
    close(back, x * np.bincount(ones.ravel(), minlength=42).reshape(6, 7), dtype)


def test_second_derivative_of_pooling(be):
    x = RNG.normal(size=(1, 1, 6))

    def slope(x):
        inner = grad(lambda x: ops.sum(ops.power(ops.max_pool1d(x, kernel_size=3, stride=2), 3)))(x)
        return ops.sum(ops.square(inner))

    t = torch.tensor(x, requires_grad=True)
    (first,) = torch.autograd.grad(torch.nn.functional.max_pool1d(t, 3, 2).pow(3).sum(), t, create_graph=True)
    first.square().sum().backward()
    for run in (grad(slope), compile(grad(slope))):
        close(run(be.array(x)), t.grad.numpy(), "float64", atol=1e-12)


def test_windows_that_do_not_fit_are_refused_in_the_same_words(be):
    x = be.array(np.zeros((2, 3, 4), "float32"))
    with pytest.raises(ValueError, match=r"max_pool1d: windows that span \(5,\) do not fit in sizes \(4,\)"):
        ops.max_pool1d(x, 5)
    with pytest.raises(ValueError, match=r"padding \(2,\) must be at most half of kernel_size \(3,\)"):
        ops.max_pool1d(x, 3, padding=2)
    with pytest.raises(ValueError, match=r"max_pool3d: expected .* got shape"):
        ops.max_pool3d(x, 2)
    with pytest.raises(TypeError, match="avg_pool1d: expected floating-point arrays, got int32"):
        ops.avg_pool1d(be.array(np.zeros((2, 3, 4), "int32")), 2)
    with pytest.raises(ValueError, match=r"sliding_windows: windows that span \(5,\) do not fit"):
        ops.sliding_windows(x, (5,))
