"""`backend`, which stands for the active one, and the names under which engines' classes are found."""

import asyncio
import importlib
import threading

import numpy as np
import pytest

import ember_ml.backend as package
from conftest import ENGINES
from ember_ml.backend import (
    Backend,
    BackendManager,
    MatchingBackend,
    NumPyBackend,
    NumpyBackend,
    NumpyFFTWBackend,
    backend,
    get_backend,
    selection,
    use_backend,
)
from processes import in_a_new_process


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """What a test chooses is undone."""
    monkeypatch.setattr(selection._Choice, "asked", "numpy")


def test_the_proxy_stands_for_the_active_backend(be):
    assert isinstance(backend, BackendManager)
    assert backend == be
    assert backend == str(be)
    assert str(backend) == backend._backend_name == be.name
    assert be.owns(type(backend.zeros(2)))
    assert be.owns(type(backend.add(backend.ones(2), 1.0)))
    assert {"add", "change_backend"} <= set(dir(backend))
    with pytest.raises(AttributeError, match="has no 'nothing'"):
        backend.nothing


def test_the_proxy_follows_each_thread_and_each_task():
    seen = {}
    gate = threading.Barrier(len(ENGINES))

    def work(name):
        with backend.use_backend(name):
            gate.wait()
            seen[name] = (backend._backend_name, get_backend(name).owns(type(backend.zeros(2))))
            gate.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ENGINES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == {name: (name, True) for name in ENGINES}

    async def task(name):
        with use_backend(name):
            await asyncio.sleep(0.001)
            return backend._backend_name

    async def all_tasks():
        return await asyncio.gather(*map(task, ENGINES))

    assert asyncio.run(all_tasks()) == ENGINES
    assert backend._backend_name == "numpy"


def test_a_change_of_backend_is_the_processs_own():
    for name in ENGINES:
        assert backend.change_backend(name) is None
        assert backend._backend_name == name
    backend.change_backend("numpyfftw", dtype="float16")
    assert backend.zeros(2).dtype == "float16"
    assert np.zeros(1).dtype == "float64"
    with pytest.raises(ValueError, match=r"unknown backend 'mars'; known: numpy, torch"):
        backend.change_backend("mars")


def test_a_backend_of_ones_own_is_added():
    class MyBackend(MatchingBackend):
        array_types = (bytearray,)
        xp = np

    backend.add_backend("mine", MyBackend)
    try:
        assert "mine" in backend.available_backends()
        backend.change_backend("mine")
        assert type(get_backend()) is MyBackend
    finally:
        package.unregister_backend("mine")
    for wrong in (int, np.ndarray, "numpy"):
        with pytest.raises(ValueError, match="add_backend: expected a subclass of MatchingBackend"):
            backend.add_backend("mine", wrong)


def test_one_class_an_engine_under_its_names():
    assert MatchingBackend is Backend
    assert NumPyBackend is NumpyBackend is NumpyFFTWBackend
    assert type(get_backend("numpy")) is NumPyBackend
    others = {"torch": ["TorchBackend", "PytorchBackend"], "jax": ["JaxBackend"], "mlx": ["MLXBackend"]}
    for name, classes in others.items():
        if name in ENGINES:
            assert {getattr(package, each) for each in classes} == {type(get_backend(name))}
    assert "CupyBackend" in dir(package)
    with pytest.raises(AttributeError, match="has no attribute 'MarsBackend'"):
        package.MarsBackend


def test_each_engines_namespace_is_a_module():
    for name in ENGINES:
        module = importlib.import_module(f"ember_ml.backend.{name}")
        assert getattr(package, name) is module
        engine = get_backend(name)
        assert module.tanh is engine.namespace.tanh
    import ember_ml.backend.numpy as ours

    assert ours.linalg is np.linalg
    with pytest.raises(AttributeError):
        ours.nothing


def test_names_load_no_engine_before_they_are_used():
    code = """
    import sys
    import ember_ml.backend
    import ember_ml.backend.torch
    from ember_ml.backend import BackendManager, MatchingBackend, backend
    import ember_ml.compat.tme.backends
    print(sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "torch", "jax", "mlx", "cupy"}))
    from ember_ml.backend import NumpyBackend
    print(NumpyBackend(dtype="float32").add([1.0], [2.0]) if False else NumpyBackend().ones(2))
    """
    assert in_a_new_process(code) == "[]\n[1. 1.]"


def test_an_engine_that_is_not_installed_says_how_to_install_it():
    code = """
    import sys
    sys.modules["mlx"] = None
    from ember_ml import backend
    for ask in (lambda: backend.MLXBackend, lambda: backend.mlx.tanh):
        try:
            ask()
        except ImportError as error:
            print(error)
    """
    assert in_a_new_process(code) == "\n".join(["backend 'mlx' needs mlx: pip install 'ember-ml[mlx]'"] * 2)


def test_a_configured_instance_may_be_the_default_and_arrays_keep_their_engine():
    mine = NumPyBackend(dtype="float64")
    package.set_backend(mine)
    assert get_backend() is mine
    assert backend.zeros(1).dtype == "float64"
    from ember_ml import tensor

    assert tensor.ones(2).backend is get_backend("numpy")
    assert get_backend("numpy") is not mine
