"""Losses and activations against torch's, and what happens at their corners."""

import numpy as np
import pytest
from scipy import special

from conftest import close
from ember_ml import ops
from ember_ml.compiler import grad

torch = pytest.importorskip("torch", reason="torch is the oracle")
F = torch.nn.functional
RNG = np.random.default_rng(0)
TRUTH, GUESS = RNG.normal(size=(2, 3, 4)) * 2
X = np.concatenate([RNG.normal(size=22) * 4, [0.0, 1.0]]).reshape(4, 6)


def t(x):
    return torch.tensor(x)


LOSSES = {
    "mean_squared_error": lambda y, p: F.mse_loss(t(p), t(y)),
    "huber_loss": lambda y, p: F.huber_loss(t(p), t(y)),
    "log_cosh_loss": lambda y, p: torch.log(torch.cosh(t(p) - t(y))).mean(),
    "hinge": lambda y, p: (1 - t(y) * t(p)).clamp(min=0).mean(),
    "squared_hinge": lambda y, p: ((1 - t(y) * t(p)).clamp(min=0) ** 2).mean(),
    "quantile_loss": lambda y, p: (t(y) - t(p)).abs().mean() / 2,
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_its_formula(be, dtype, name):
    truth = np.sign(TRUTH) if "hinge" in name else TRUTH
    got = getattr(ops, name)(be.array(truth.astype(dtype)), be.array(GUESS.astype(dtype)))
    loose = {"rtol": 2e-6, "atol": 1e-6} if be == "mlx" else {}  # its float64 logaddexp, a declared gap
    close(got, LOSSES[name](truth, GUESS).numpy(), dtype, **loose)


def test_settings_of_losses_mean_what_their_formulas_say(be):
    y, p = be.array(TRUTH), be.array(GUESS)
    close(ops.huber_loss(y, p, delta=0.3), F.huber_loss(t(GUESS), t(TRUTH), delta=0.3).numpy(), "float64")
    e = TRUTH - GUESS
    close(ops.quantile_loss(y, p, quantile=0.9), np.maximum(0.9 * e, -0.1 * e).mean(), "float64")
    got = ops.huber_loss(y, p, axis=1, keepdims=True)
    assert tuple(got.shape) == (3, 1)
    with pytest.raises(ValueError, match=r"quantile_loss: quantile must be between 0 and 1, got 1\.5"):
        ops.quantile_loss(y, p, quantile=1.5)


def test_the_divergence_of_distributions_is_torchs_and_of_equal_ones_0(be):
    y, p = (np.exp(z) / np.exp(z).sum(-1, keepdims=True) for z in (TRUTH, GUESS))
    want = F.kl_div(t(p).log(), t(y), reduction="batchmean").numpy()
    close(ops.kl_divergence(be.array(y), be.array(p)), want, "float64", rtol=1e-6)
    close(ops.kl_divergence(be.array(y), be.array(y)), 0.0, "float64")
    sure = be.array(np.array([[1.0, 0.0, 0.0]]))
    close(ops.kl_divergence(sure, be.array(np.array([[0.5, 0.5, 0.0]]))), np.log(2), "float64")


def test_a_hinge_is_flat_at_its_corner_and_log_cosh_does_not_overflow(be):
    one = be.array(np.ones(1, "float32"))
    close(grad(lambda p: ops.hinge(one, p))(one), np.zeros(1))
    close(ops.log_cosh_loss(one * 0, one * 1000), 1000 - np.log(2))


ACTIVATIONS = {
    "celu": F.celu,
    "selu": F.selu,
    "elu": F.elu,
    "mish": F.mish,
    "softsign": F.softsign,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "swish": F.silu,
    "glu": F.glu,
    "gelu": F.gelu,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_torchs(be, dtype, name):
    loose = {"rtol": 2e-6, "atol": 2e-6} if be == "mlx" else {}  # float64 at float32 precision, declared
    close(getattr(ops, name)(be.array(X.astype(dtype))), ACTIVATIONS[name](t(X)).numpy(), dtype, **loose)


def test_the_settings_of_activations(be):
    x = be.array(X)
    close(ops.celu(x, alpha=0.5), F.celu(t(X), alpha=0.5).numpy(), "float64")
    close(ops.hard_tanh(x, -2.0, 3.0), F.hardtanh(t(X), -2.0, 3.0).numpy(), "float64")
    close(ops.glu(x, axis=0), F.glu(t(X), dim=0).numpy(), "float64", rtol=1e-6 if be == "mlx" else None)
    close(ops.gelu(x, approximate=True), F.gelu(t(X), approximate="tanh").numpy(), "float64", atol=1e-12)
    with pytest.raises(ValueError, match="glu: axis 1 has 3 values, which do not halve"):
        ops.glu(be.array(X[:, :3]), axis=1)


def test_elu_keeps_its_digits_near_0(be):
    close(ops.elu(be.array(np.array([-1e-6], "float32"))), np.expm1([-1e-6]))


def test_unsigned_integers_do_not_wrap_below_0(be):
    t, p = be.array(np.array([3, 1, 200], "uint8")), be.array(np.array([1, 2, 100], "uint8"))
    close(ops.mse(t, p), np.float32((4 + 1 + 100**2) / 3))
    close(ops.mean_absolute_error(t, p), np.float32(103 / 3))
    x = np.array([3, 1, 2], "uint8")
    close(ops.softmax(be.array(x)), special.softmax(x.astype("float32")))
    close(ops.log_softmax(be.array(x)), special.log_softmax(x.astype("float32")))
    close(ops.logsumexp(be.array(x)), np.float32(special.logsumexp(x.astype("float32"))))
