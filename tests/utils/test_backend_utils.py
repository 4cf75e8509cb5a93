"""The names that the terabyte extractor's code looks for."""

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, tensor
from ember_ml.utils import backend_utils


def test_a_seed_starts_the_stream_anew(be):
    backend_utils.initialize_random_seed(7)
    first = backend_utils.random_uniform((3, 2), low=2.0, high=5.0)
    backend_utils.initialize_random_seed(7)
    again = backend_utils.random_uniform((3, 2), low=2.0, high=5.0)
    values = first.to_numpy()
    assert first.backend == be
    np.testing.assert_array_equal(values, again.to_numpy())
    assert ((values >= 2) & (values < 5)).all()


def test_sine_and_cosine_of_a_cycle(be):
    sine, cosine = backend_utils.sin_cos_transform([0.0, 6.0, 12.0, 18.0], period=24.0)
    close(sine.to_numpy(), np.array([0.0, 1.0, 0.0, -1.0], "float32"))
    close(cosine.to_numpy(), np.array([1.0, 0.0, -1.0, 0.0], "float32"))


def test_vstack_safe_stacks_rows_and_loses_none(be):
    stacked = backend_utils.vstack_safe([tensor.ones((2, 3)), tensor.zeros((3,)), tensor.ones((1, 3))])
    np.testing.assert_array_equal(stacked.to_numpy(), [[1] * 3, [1] * 3, [0] * 3, [1] * 3])
    assert backend_utils.vstack_safe([]) is None
    with pytest.raises(ValueError, match="shapes must agree except along axis 0"):
        backend_utils.vstack_safe([tensor.ones((2, 3)), tensor.ones((2, 4))])


def test_a_preference_that_is_not_there_warns_and_keeps_the_backend(monkeypatch):
    before = backend_utils.get_current_backend()
    with pytest.warns(UserWarning, match="unknown backend 'abacus'"):
        assert backend_utils.set_preferred_backend("abacus") == before
    assert backend_utils.set_preferred_backend(None) == before


def test_information_about_the_backend(capsys):
    with backend.use_backend("numpy"):
        assert backend_utils.get_backend_info() == {"name": "numpy", "device": "cpu"}
        backend_utils.print_backend_info()
    assert capsys.readouterr().out == "backend numpy on cpu\n"
    np.testing.assert_array_equal(
        backend_utils.tensor_to_numpy_safe(backend_utils.convert_to_tensor_safe([1, 2])), [1, 2]
    )
