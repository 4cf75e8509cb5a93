"""CuPy. Where a GPU answers, every law; elsewhere its code on arrays that behave as a GPU's do."""

import numpy as np
import pytest

from ember_ml import backend, ops, tensor
from ember_ml.backend import Backend, selection
from ember_ml.cli import laws
from ember_ml.cli.laws import Case
from ember_ml.cli.samples import cases
from ember_ml.compiler.codegen import build
from ember_ml.core import TABLE, Spec, as_dtype
from ember_ml.core.graph import trace_graph

pytest.importorskip("cupy", reason="CuPy is not installed here")
HERE = "cupy" in backend.available_backends()
CASES = cases()
IDS = [f"{op.name}-{number}" for op, number in CASES]


def test_an_import_alone_is_no_engine():
    engine = backend.get_backend("cupy")
    assert engine.works() == HERE
    assert ("cupy" in backend.available_backends()) == HERE
    assert type(engine) is backend.CupyBackend
    assert engine.devices() == ["cuda"]
    with pytest.raises(ValueError, match="backend cupy has no device 'cpu' here; it has cuda"):
        engine.check_device("cpu")
    with pytest.raises(ValueError, match="backend cupy has no device 'cpu' here"):
        backend.CupyBackend(device="cpu")


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
def test_cupy_has_what_each_op_is_looked_for_under(op):
    assert callable(backend.get_backend("cupy").implementation(op))


def test_each_override_replaces_an_op_and_each_rename_leads_somewhere():
    cls = backend.CupyBackend
    assert set(cls.overrides) <= set(TABLE)
    for name, target in cls.renames.items():
        assert name in TABLE or name in dir(cls.raw)
        assert callable(getattr(cls.raw, target))


@pytest.mark.parametrize("law", laws.LAWS.values(), ids=list(laws.LAWS))
@pytest.mark.parametrize(("op", "number"), CASES if HERE else [], ids=IDS if HERE else [])
def test_the_laws_hold_on_a_gpu(op, number, law):
    for dtype in laws.TOLERANCE:
        law(backend.get_backend("cupy"), Case(op, number, dtype))


@pytest.mark.skipif(not HERE, reason="no GPU answers here")
def test_arrays_move_to_the_gpu_and_back():
    x = np.arange(3.0)
    moved = tensor.to_backend(x, "cupy")
    assert ops.get_device(moved) == "cuda:0"
    assert tensor.to_backend(moved, "numpy").tolist() == x.tolist()
    with pytest.raises(ValueError, match="a copy alone"):
        tensor.to_backend(x, "cupy", copy=False)
    engine = backend.get_backend("cupy")
    assert 0 < engine.get_available_memory() <= engine.memory_info()["total"]
    engine.free_cache()


# Without a GPU


class Remote(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that is elsewhere, as CuPy's is: NumPy's functions find it, its memory is nobody else's."""

    def __init__(self, inner):
        self.inner = inner

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, ufunc, method, *args, **settings):
        return remote(getattr(ufunc, method))(*args, **settings)

    def __array_function__(self, function, types, args, settings):
        return remote(function)(*args, **settings)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.inner, name)
        return remote(found) if callable(found) and not isinstance(found, np.dtype) else there(found)

    def __getitem__(self, index):
        return there(self.inner[here(index)])

    def __setitem__(self, index, values):
        self.inner[here(index)] = here(values)

    def __len__(self):
        return len(self.inner)

    def __bool__(self):
        return bool(self.inner)

    def __int__(self):
        return int(self.inner)

    def __float__(self):
        return float(self.inner)

    def __index__(self):
        return self.inner.__index__()

    device = None


def here(x):
    if isinstance(x, Remote):
        return x.inner
    if isinstance(x, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(x, list | tuple):
        return type(x)(map(here, x)) if type(x) in (list, tuple) else x
    return x


def there(x):
    if isinstance(x, np.ndarray | np.generic):
        return Remote(np.asarray(x))
    if isinstance(x, list | tuple):
        return tuple(map(there, x)) if not hasattr(x, "_fields") else type(x)(*map(there, x))
    return x


def remote(function):
    return lambda *args, **settings: there(
        function(*map(here, args), **{k: here(v) for k, v in settings.items() if k != "device"})
    )


class Namespace:
    """A module whose functions take and give remote arrays."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        found = getattr(self.inner, name)
        if isinstance(found, np.ufunc):
            return Ufunc(found)
        if isinstance(found, type) or not callable(found):
            return Namespace(found) if type(found).__name__ == "module" else found
        return remote(found)


class Ufunc:
    """A ufunc on remote arrays."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, *args, **settings):
        return remote(self.inner)(*args, **settings)

    def __getattr__(self, name):
        return remote(getattr(self.inner, name))


class RemoteBackend(backend.CupyBackend):
    """CuPy's backend on remote arrays."""

    name = "remote"
    array_types = (Remote,)
    xp = Namespace(np)
    raw = Namespace(np)

    def scipy(self, part):
        return Namespace(super(backend.CupyBackend, self).scipy(part))

    def native_dtype(self, dtype):
        return backend.get_backend("numpy").native_dtype(dtype)

    def place(self, dtype, device, like):
        return {"dtype": self.native_dtype(dtype)}

    def from_host(self, host, device, like):
        return Remote(np.array(host))

    def to_numpy(self, x):
        return x.inner.copy()

    def device_of(self, x):
        return "cuda:0"


@pytest.fixture(scope="module")
def stand_in():
    backend.register_backend("remote", RemoteBackend)
    yield backend.get_backend("remote")
    backend.unregister_backend("remote")


@pytest.mark.parametrize(("op", "number"), CASES, ids=IDS)
def test_what_cupy_shares_with_numpy_stays_on_its_device(op, number, stand_in):
    with stand_in.activated():
        laws.value_agrees_with_numpy(stand_in, Case(op, number, "float32"))


def test_the_stand_in_refuses_what_a_gpu_refuses(stand_in):
    x = stand_in.array([1.0])
    assert isinstance(stand_in, Backend)
    assert selection.ENGINES["cupy"].cls == "CupyBackend"
    with pytest.raises(TypeError, match="Unsupported type"):
        np.add(x, np.ones(1))
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(x)


def test_a_compiled_program_is_written_in_none_of_numpys_words():
    engine = backend.CupyBackend(enable_optimizations=True)
    spec = Spec((2, 2), as_dtype("float32"))
    graph, _, _ = trace_graph(lambda x: ops.tanh(ops.matmul(x, x)), [spec])
    built = build(graph, engine)
    for name in ("tanh", "matmul"):
        assert built.function.__globals__[name] is engine.implementation(TABLE[name])
        assert built.function.__globals__[name] is not getattr(np, name)
    assert "out=" not in built.source
    assert not engine.programs
    assert not engine.rewrites
