"""Mithril's names: `ember_ml.compat.mithril`."""

import numpy as np
import pytest

import ember_ml.backend
import ember_ml.compat.mithril as ml
from ember_ml.compat.mithril.backends import NumpyBackend


def test_the_numpy_backend_starts_at_float64():
    assert NumpyBackend().randn(3, 4).dtype == "float64"
    assert NumpyBackend().array([0.1])[0] == 0.1
    assert NumpyBackend(dtype=np.float32).ones(2).dtype == "float32"
    assert ember_ml.backend.NumpyBackend().ones(2).dtype == "float32"
    assert isinstance(NumpyBackend(), ember_ml.backend.NumPyBackend)
    assert NumpyBackend() == "numpy"


def test_the_other_backends_are_ours():
    pytest.importorskip("torch")
    assert ml.backends.TorchBackend is ember_ml.backend.TorchBackend
    assert {"JaxBackend", "MlxBackend", "NumpyBackend"} <= set(dir(ml.backends))
    with pytest.raises(AttributeError):
        ml.backends.GGMLBackend
