"""pyTME's names for the backends: `ember_ml.compat.tme.backends`."""

import numpy as np
import pytest

import ember_ml.backend
from conftest import ENGINES
from ember_ml.backend import selection, use_backend
from ember_ml.compat import tme
from ember_ml.compat.tme.backends import BackendManager, MatchingBackend, NumpyFFTWBackend
from ember_ml.compat.tme.backends import backend as be
from ember_ml.tensor import to_backend

NAMES = {"numpy": "numpyfftw", "torch": "pytorch", "jax": "jax", "mlx": "mlx"}


@pytest.fixture(params=ENGINES)
def changed(request, monkeypatch):
    """Each engine, chosen as pyTME's programs do."""
    monkeypatch.setattr(selection._Choice, "asked", "numpy")
    be.change_backend(NAMES[request.param])
    return request.param


def test_the_classes_are_ours():
    assert isinstance(be, BackendManager)
    assert be is ember_ml.backend.backend
    assert tme.backends.NumpyFFTWBackend is NumpyFFTWBackend is ember_ml.backend.NumPyBackend
    assert issubclass(NumpyFFTWBackend, MatchingBackend)
    for name, cls in {"torch": "PytorchBackend", "jax": "JaxBackend", "mlx": "MLXBackend"}.items():
        if name in ENGINES:
            assert getattr(tme.backends, cls) is type(ember_ml.backend.get_backend(name))
    assert {"CupyBackend", "MLXBackend", "backend"} <= set(dir(tme.backends))
    with pytest.raises(AttributeError):
        tme.backends.MarsBackend


def test_a_program_written_for_one_backend_runs_on_each(changed):
    """A normalised correlation, written as pyTME's scores are: out= where it may be, always rebound."""
    rng = np.random.default_rng(0)
    target, template = rng.normal(size=(8, 8)).astype("float32"), rng.normal(size=(8, 8)).astype("float32")
    f, g = be.to_backend_array(target), be.to_backend_array(template)
    f = be.subtract(f, be.mean(f), out=f)
    g = be.subtract(g, be.mean(g), out=g)
    top = be.sum(be.multiply(f, g))
    norm = be.sqrt(be.multiply(be.sum(be.square(f)), be.sum(be.square(g))))
    score = be.maximum(be.divide(top, norm), be.eps(f.dtype))
    want = np.corrcoef(target.ravel(), template.ravel())[0, 1]
    np.testing.assert_allclose(be.to_numpy_array(score), max(want, np.finfo("float32").eps), rtol=1e-5)
    assert be._backend_name == changed
    assert changed in be.available_backends()
    assert be.get_available_memory() > 0
    be.free_cache()
    with be.set_device(0):
        assert be.size(be.zeros((2, 3), dtype=be.float32)) == 6


def test_each_task_sees_its_own_backend():
    with use_backend(ENGINES[-1]):
        assert be._backend_name == ENGINES[-1]
        assert be.owns(type(to_backend(np.ones(2), str(be))))
