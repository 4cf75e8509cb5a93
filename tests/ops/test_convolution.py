"""Convolutions: values and gradients are torch's, on every engine."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad

torch = pytest.importorskip("torch", reason="torch is the oracle")

SIZES = {1: (9,), 2: (8, 7), 3: (5, 6, 4)}
KERNELS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}
SETTINGS = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": 2, "dilation": 2, "groups": 2},
    {"stride": 3, "dilation": 1, "padding": 1, "groups": 4},
    {"padding": "same", "dilation": 2},
    {"padding": "valid"},
]
BACK = [
    {},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"stride": 3, "padding": 0, "groups": 2, "output_padding": 2},
    {"padding": 2, "dilation": 3, "output_padding": 1},
]


def arrays(name, ndim, groups, dtype="float64"):
    """Return x, weight and bias that fit an op of ndim axes."""
    rng = np.random.default_rng(ndim)
    shape = (4, 8 // groups, *KERNELS[ndim]) if "transpose" not in name else (8, 4 // groups, *KERNELS[ndim])
    drawn = (rng.normal(size=s) for s in ((2, 8, *SIZES[ndim]), shape, (4,)))
    return [a.astype(dtype) for a in drawn]


CASES = [(f"conv{n}d", n, s) for n in (1, 2, 3) for s in SETTINGS] + [
    (f"conv_transpose{n}d", n, s) for n in (1, 2, 3) for s in BACK
]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in s.items()) or 'plain'}" for name, _, s in CASES]


@pytest.mark.parametrize(("name", "ndim", "settings"), CASES, ids=IDS)
def test_convolution_and_its_gradients_are_torchs(be, name, ndim, settings):
    given = arrays(name, ndim, settings.get("groups", 1))
    native = [be.array(a) for a in given]
    oracle = [torch.tensor(a, requires_grad=True) for a in given]
    want = getattr(torch.nn.functional, name)(*oracle, **settings)
    got = getattr(ops, name)(*native, **settings)
    close(got, want.detach().numpy(), "float64", atol=1e-12)  # sums of up to 96 terms of size 1
    g = np.random.default_rng(5).normal(size=tuple(want.shape))
    want.backward(torch.tensor(g))

    def loss(*args):
        return ops.sum(ops.multiply(getattr(ops, name)(*args, **settings), be.array(g)))

    for slope, each in zip(grad(loss, (0, 1, 2))(*native), oracle, strict=True):
        close(slope, each.grad.numpy(), "float64", rtol=1e-11, atol=1e-11)  # sums of up to 1000 terms


def test_second_derivative_of_a_convolution_is_torchs(be):
    x, w, _ = arrays("conv2d", 2, 2)
    settings = {"stride": 2, "padding": 1, "groups": 2}

    def slope(x, w):
        inner = grad(lambda w: ops.sum(ops.square(ops.conv2d(x, w, **settings))))(w)
        return ops.sum(ops.tanh(ops.multiply(inner, 0.01)))  # not sin, which MLX has at float32 precision

    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    (first,) = torch.autograd.grad(
        torch.nn.functional.conv2d(tx, tw, **settings).square().sum(), tw, create_graph=True
    )
    (first * 0.01).tanh().sum().backward()
    got = grad(slope, (0, 1))(be.array(x), be.array(w))
    for mine, want in zip(got, (tx.grad, tw.grad), strict=True):
        close(mine, want.numpy(), "float64", rtol=1e-9, atol=1e-9 * float(want.abs().max()))  # two long sums


def test_compiled_gradient_of_a_convolution_equals_eager(be, dtype):
    x, w, b = (be.array(a) for a in arrays("conv2d", 2, 1, dtype))

    def slope(x, w, b):
        return grad(lambda *a: ops.sum(ops.square(ops.conv2d(*a, stride=2, padding=1))), (0, 1, 2))(x, w, b)

    for got, want in zip(compile(slope)(x, w, b), slope(x, w, b), strict=True):
        want = np.asarray(want)
        # sums of 200 terms, which a compiler may add in another order: relative to the largest
        close(got, want, dtype, atol={"float32": 1e-5, "float64": 1e-13}[dtype] * np.abs(want).max())


def test_a_batch_is_not_needed(be):
    x, w, b = (be.array(a) for a in arrays("conv1d", 1, 1))
    close(ops.conv1d(x[0], w, b), np.asarray(ops.conv1d(x, w, b))[0], "float64")


@pytest.mark.parametrize("padding", [((3, 1), (-1, 2)), ((-2, -1), (0, 0))])
@pytest.mark.parametrize("spread", [1, 2])
def test_a_convolution_pads_each_side_by_itself_and_cuts(be, padding, spread):
    x, w, _ = arrays("conv2d", 2, 1)
    settings = {"stride": (1, 2), "dilation": (1, 1), "groups": 1}
    wide = np.zeros((2, 8, (8 - 1) * spread + 1, (7 - 1) * spread + 1))
    wide[:, :, ::spread, ::spread] = x
    (top, bottom), (left, right) = padding
    cut = torch.nn.functional.pad(torch.tensor(wide), (left, right, top, bottom))
    want = torch.nn.functional.conv2d(cut, torch.tensor(w), stride=(1, 2)).numpy()
    got = ops.convolution(
        be.array(x), be.array(w), padding=padding, input_dilation=(spread, spread), **settings
    )
    close(got, want, "float64", atol=1e-12)


def test_what_cannot_be_convolved_is_refused_in_the_same_words(be):
    x, w, b = (be.array(a) for a in arrays("conv2d", 2, 1))
    whole = be.array(np.ones((2, 8, 8, 7), "int32"))
    with pytest.raises(TypeError, match="conv2d: expected floating-point arrays, got int32"):
        ops.conv2d(whole, w)
    with pytest.raises(
        ValueError, match=r"x \(2, 8, 8, 7\) has 8 channels, but weight \(4, 8, 3, 2\) in 2 gro"
    ):
        ops.conv2d(x, w, groups=2)
    with pytest.raises(ValueError, match="a kernel that spans 3 does not fit in 1 places"):
        ops.conv2d(x[:, :, :1], w)
    with pytest.raises(ValueError, match="conv2d: padding 'same' needs a stride of 1"):
        ops.conv2d(x, w, padding="same", stride=2)
    with pytest.raises(ValueError, match=r"bias must have the shape \(4,\) of the channels made, got \(8,\)"):
        ops.conv2d(x, w, be.array(np.ones(8)))
    with pytest.raises(ValueError, match="stride must be an integer of at least 1, or 2 of them, got 0"):
        ops.conv2d(x, w, b, stride=0)
    with pytest.raises(ValueError, match="output_padding 2 must be smaller than the stride 2"):
        ops.conv_transpose2d(x, be.array(np.ones((8, 4, 3, 2))), stride=2, output_padding=2)


@pytest.mark.parametrize(("x", "w"), [((0, 2, 4), (3, 2, 2)), ((1, 0, 4), (3, 0, 2)), ((1, 2, 4), (0, 2, 2))])
def test_nothing_convolved_is_nothing_or_zeros(be, x, w):
    got = ops.conv1d(be.array(np.ones(x, "float32")), be.array(np.ones(w, "float32")))
    np.testing.assert_array_equal(np.asarray(got), np.zeros((x[0], w[0], 3)))
