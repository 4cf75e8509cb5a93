"""Dense and Linear: first values, and refusals. Values and gradients against torch are in test_functional."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.nn import Dense, Linear, get_activation
from ember_ml.nn.initializers import get_initializer
from ember_ml.tensor import set_seed

X = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")


def host(x):
    return np.asarray(x.data)


def test_dense_is_x_w_plus_b_along_the_last_axis(be):
    layer = Dense(3, 2, activation="relu")
    layer.load_state_dict({"kernel": np.arange(6.0).reshape(3, 2), "bias": np.array([1.0, -50.0])})
    want = np.maximum(X @ np.arange(6, dtype="float32").reshape(3, 2) + np.array([1, -50], "float32"), 0)
    close(np.asarray(layer(be.array(X))), want)
    close(np.asarray(layer(be.array(X[0, 0]))), want[0, 0])


def test_first_values_are_keras_for_dense_and_torch_for_linear(be):
    set_seed(3)
    dense, linear = Dense(300, 200), Linear(300, 200)
    limit = np.sqrt(6 / 500)
    assert limit * 0.99 < np.abs(host(dense.kernel)).max() <= limit
    np.testing.assert_array_equal(host(dense.bias), 0)
    for p in (linear.weight, linear.bias):
        assert 0.97 * 300**-0.5 < np.abs(host(p)).max() <= 300**-0.5
    for p in (dense.kernel, linear.weight):
        assert abs(host(p).mean()) < 5 * np.abs(host(p)).max() / np.sqrt(3 * 60000)


def test_a_seed_starts_every_engine_with_the_same_weights(be):
    from ember_ml.backend import use_backend

    set_seed(11)
    mine = Linear(3, 2)
    with use_backend("numpy"):
        set_seed(11)
        theirs = Linear(3, 2)
    np.testing.assert_array_equal(host(mine.weight), host(theirs.weight))


def test_linear_takes_a_dtype_and_may_lack_a_bias(be):
    layer = Linear(3, 2, bias=False, dtype="float64")
    assert str(layer.weight.dtype) == "float64"
    assert layer.bias is None
    close(
        np.asarray(layer(be.array(X.astype("float64")))),
        X.astype("float64") @ host(layer.weight).T,
        "float64",
    )


def test_data_in_float64_stay_float64(be):
    assert str(np.asarray(Dense(3, 2)(be.array(X.astype("float64")))).dtype) == "float64"


@pytest.mark.parametrize("kind", [Dense, Linear])
def test_a_wrong_width_names_the_layer(be, kind):
    words = rf"{kind.__name__}: expected inputs of 5 features in the last axis, got shape \(2, 4, 3\)"
    with pytest.raises(ValueError, match=words):
        kind(5, 2)(be.array(X))
    with pytest.raises(ValueError, match=rf"{kind.__name__}: expected inputs of 5 features"):
        kind(5, 2)(be.array(np.float32(3.0)))


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match=r"unknown activation 'rellu'; known: relu, sigmoid, tanh"):
        get_activation("rellu")
    with pytest.raises(ValueError, match=r"unknown initializer 'xavier'; known: zeros, ones, glorot_uniform"):
        get_initializer("xavier")


def test_an_activation_may_be_a_function_and_none_is_the_identity():
    assert get_activation(np.cos) is np.cos
    assert get_activation("tanh") is ops.tanh
    assert get_activation(None)(X) is X


@pytest.mark.parametrize("layer", [lambda: Dense(2, 1), lambda: Linear(2, 1), lambda: Linear(dimension=1)])
@pytest.mark.parametrize(("given", "kind"), [([[1.0, 2.0]], "list"), (3.0, "float"), (None, "NoneType")])
def test_what_is_no_array_is_refused_with_a_way_to_make_one(layer, given, kind):
    with pytest.raises(TypeError, match=rf"expected an array, got {kind}; make one with ember_ml\.tensor"):
        layer()(given)
