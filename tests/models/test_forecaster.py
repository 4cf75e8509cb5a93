"""The forecaster: shapes, reproducibility, saving, and that time matters to it."""

import numpy as np
import pytest

from conftest import close
from ember_ml.backend import use_backend
from ember_ml.core.keys import get_stream
from ember_ml.models import MODELS, Forecaster
from ember_ml.nn import load

X = np.random.default_rng(0).normal(size=(5, 7, 3)).astype("float32")
ELAPSED = np.ones((5, 7), "float32")


def made(model="cfc", **settings):
    with use_backend("numpy"):
        return Forecaster(3, model, units=settings.pop("units", 12), **settings)


@pytest.mark.parametrize("model", MODELS)
def test_a_window_gives_one_number(model):
    assert made(model)(X, ELAPSED).shape == (5,)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_saved_computes_the_same_when_loaded(model, tmp_path):
    module = made(model, seed=3)
    module.save(tmp_path / "model.safetensors")
    with use_backend("numpy"):
        again = load(tmp_path / "model.safetensors")
    assert again.get_config() == module.get_config()
    np.testing.assert_array_equal(again(X, ELAPSED), module(X, ELAPSED))


def test_the_seed_decides_on_wiring_and_weights_and_leaves_the_process_s_stream_alone():
    before = get_stream()
    one, same, other = made(seed=1), made(seed=1), made(seed=2)
    assert get_stream() == before
    np.testing.assert_array_equal(one(X, ELAPSED), same(X, ELAPSED))
    assert np.abs(one(X, ELAPSED) - other(X, ELAPSED)).max() > 1e-3
    wirings = [m.network.neuron_map.adjacency_matrix for m in (one, other)]
    assert (wirings[0] != wirings[1]).any()


@pytest.mark.parametrize("model", MODELS)
def test_the_time_between_observations_matters(model):
    module = made(model)
    assert np.abs(module(X, ELAPSED) - module(X, 3 * ELAPSED)).max() > 1e-4


def test_the_readout_sees_the_last_step_and_the_last_output():
    module = made()
    state = module.state_dict()
    weight = np.zeros_like(state["readout.weight"])
    weight[0, 4] = 1.0  # behind the four motor neurons, the first feature
    module.load_state_dict({**state, "readout.weight": weight, "readout.bias": np.zeros(1, "float32")})
    close(module(X, ELAPSED), X[:, -1, 0])


def test_every_engine_gives_the_same_numbers_from_the_same_weights(be):
    reference = made()
    module = made().to(backend=be)
    close(be.to_numpy(module(be.array(X), be.array(ELAPSED))), reference(X, ELAPSED))


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown model 'lstm'; known: cfc, cfc-dense, ltc, ltc-dense"):
        Forecaster(3, "lstm")
