"""Optimizers against torch.optim, pure and mutable."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops, tensor
from ember_ml.nn import Parameter
from ember_ml.training import SGD, Adam, cosine_decay

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
START = {"w": RNG.normal(size=(3, 2)).astype("float32"), "b": RNG.normal(size=(2,)).astype("float32")}
SLOPES = [{k: RNG.normal(size=v.shape).astype("float32") for k, v in START.items()} for _ in range(5)]

SETTINGS = [
    (SGD(learning_rate=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    (
        SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.05),
        lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.05),
    ),
    (
        SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    ),
    (Adam(learning_rate=0.05), lambda p: torch.optim.Adam(p, lr=0.05)),
    (Adam(learning_rate=0.05, weight_decay=0.1), lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.1)),
    (Adam(learning_rate=0.05, amsgrad=True), lambda p: torch.optim.Adam(p, lr=0.05, amsgrad=True)),
]
IDS = ["sgd", "momentum", "nesterov", "adam", "decay", "amsgrad"]


@pytest.mark.parametrize(("ours", "theirs"), SETTINGS, ids=IDS)
def test_five_steps_agree_with_torch(be, ours, theirs):
    params = {k: be.array(v) for k, v in START.items()}
    state = ours.init(params)
    native = {k: torch.tensor(v, requires_grad=True) for k, v in START.items()}
    oracle = theirs(list(native.values()))
    for slopes in SLOPES:
        params, state = ours.update(params, {k: be.array(v) for k, v in slopes.items()}, state)
        for k, p in native.items():
            p.grad = torch.tensor(slopes[k])
        oracle.step()
    for k, p in native.items():
        close(params[k], p.detach().numpy(), rtol=1e-5, atol=1e-6)  # five steps of rounding


def test_the_mutable_shell_descends(be):
    p = Parameter(be.array(np.array([3.0, -2.0], "float32")))
    optimizer = SGD([p], learning_rate=0.25)
    for _ in range(2):
        optimizer.zero_grad()
        tensor_loss = (p * p).sum()
        tensor_loss.backward()
        optimizer.step()
    close(p.to_numpy(), np.array([0.75, -0.5], "float32"))  # p - 0.25 * 2p halves it, twice
    assert isinstance(p.grad, tensor.EmberTensor)


def test_a_step_without_gradients_is_refused():
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        Adam([Parameter(np.ones(2, "float32"))]).step()


def test_cosine_decay_starts_at_its_value_and_ends_at_zero(be):
    schedule = cosine_decay(0.4, 10)
    rates = [float(np.asarray(schedule(be.array(np.float32(n))))) for n in (0, 5, 10, 20)]
    close(np.array(rates), np.array([0.4, 0.2, 0.0, 0.0]), "float32", atol=1e-7)


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_a_senseless_learning_rate_is_refused(wrong):
    with pytest.raises(ValueError, match="learning_rate must be a number >= 0"):
        SGD(learning_rate=wrong)


def test_a_nonnegative_parameter_stays_nonnegative(be):
    p = Parameter(be.array(np.array([0.1, 1.0], "float32")), nonnegative=True)
    (p * 1.0).sum().backward()
    SGD([p], learning_rate=0.5).step()
    close(p.to_numpy(), np.array([0.0, 0.5], "float32"))
    assert float(np.asarray(ops.min(p.data))) == 0.0


def test_steps_are_counted_on_where_float32_has_no_next_integer(be):
    params = {"w": be.array(np.ones(2, "float32"))}
    optimizer = SGD(learning_rate=cosine_decay(1.0, 2**26))
    state = optimizer.init(params)
    state["step"] = ops.add(state["step"], 2**24)
    _, after = optimizer.update(params, params, state)
    assert int(after["step"]) == 2**24 + 1
    close(optimizer.rate(after["step"]), np.float32((1 + np.cos(np.pi / 4)) / 2))
