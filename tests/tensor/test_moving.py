"""Arrays that move from engine to engine: what shares memory, what is copied, and no dtype that changes."""

import numpy as np
import pytest

from conftest import ENGINES
from ember_ml import backend, ops, tensor
from ember_ml.core import as_dtype
from ember_ml.core.dtypes import DTYPES
from ember_ml.tensor import to_backend

PAIRS = [(a, b) for a in ENGINES for b in ENGINES if a != b]
SHARED = {("numpy", "torch"), ("torch", "numpy"), ("jax", "numpy"), ("mlx", "numpy")}  # by default
SHARED_WHEN_ASKED = SHARED | {("numpy", "jax"), ("torch", "jax"), ("jax", "torch"), ("mlx", "torch")}


def aligned(dtype="float32", size=48):
    """A NumPy array at an address that is a multiple of 64, as JAX wants it."""
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)
    out[:] = np.arange(size)
    return out


def made(engine, dtype="float32"):
    x = aligned(dtype)
    return x if engine == "numpy" else backend.get_backend(engine).array(x, dtype=dtype)


def address(x):
    kind = type(x).__module__.partition(".")[0]
    if kind == "torch":
        return x.data_ptr()
    if kind == "numpy":
        return x.ctypes.data
    return np.asarray(x).ctypes.data  # of a JAX or MLX array it is a view


@pytest.fixture(autouse=True)
def wide():
    """JAX with its 64-bit mode on, as choosing it leaves it."""
    if "jax" in ENGINES:
        with backend.use_backend("jax"):
            pass


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_memory_is_shared_where_nothing_unchangeable_would_change(source, target):
    x = made(source)
    moved = to_backend(x, target)
    assert backend.get_backend(target).owns(type(moved))
    assert (address(moved) == address(x)) == ((source, target) in SHARED)
    np.testing.assert_array_equal(np.asarray(moved), np.asarray(x))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_copy_can_be_had_or_forbidden(source, target):
    x = made(source)
    assert address(to_backend(x, target, copy=True)) != address(x)
    if (source, target) in SHARED_WHEN_ASKED:
        assert address(to_backend(x, target, copy=False)) == address(x)
    else:
        with pytest.raises(ValueError, match=f"to_backend: from {source} to {target} .* a copy alone"):
            to_backend(x, target, copy=False)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e in ("jax", "mlx")])
def test_what_does_not_change_does_not_change(engine):
    x = made(engine)
    view = to_backend(x, "numpy")
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 99
    if "torch" in ENGINES:
        to_backend(x, "torch")[0] = 99
    values = aligned()
    there = to_backend(values, engine)
    values[0] = 99
    assert np.asarray(there)[0] == np.asarray(x)[0] == 0


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_dtype_changes_on_the_way(source, target, dtype):
    here, there = backend.get_backend(source), backend.get_backend(target)
    if not here.supports(dtype):
        pytest.skip(f"{source} has no {dtype}")
    x = ops.astype(here.array([0, 1, 3]), dtype=dtype)
    if not there.supports(dtype):
        with pytest.raises(TypeError, match=f"{target} has no dtype {dtype}"):
            to_backend(x, target)
        return
    moved = to_backend(x, target)
    assert as_dtype(moved.dtype) == dtype
    back = to_backend(moved, source)
    assert as_dtype(back.dtype) == dtype
    assert ops.astype(back, dtype="bool").tolist() == ops.astype(x, dtype="bool").tolist()
    if dtype != "bool" and not dtype.startswith("complex"):
        assert [int(v) for v in ops.astype(back, dtype="int32").tolist()] == [0, 1, 3]


def test_float64_survives_to_the_last_bit():
    x = np.array([0.1, 1 / 3])
    for name in ENGINES:
        assert np.array_equal(np.asarray(to_backend(x, name)), x)


@pytest.mark.parametrize("target", [e for e in ENGINES if e != "numpy"])
def test_unusual_numpy_arrays_arrive(target):
    plain = np.arange(12.0).reshape(3, 4)
    fixed = plain.copy()
    fixed.flags.writeable = False
    strided = (plain.T, plain[::-1, ::2], plain[:, :0])
    for x in (*strided, np.array(3.0), fixed, plain.astype(">f8"), np.float64(2.5)):
        moved = to_backend(x, target)
        assert tuple(moved.shape) == x.shape
        assert as_dtype(moved.dtype) == "float64"
        np.testing.assert_array_equal(np.asarray(moved), x)
    assert fixed[0, 0] == 0
    if target == "torch":
        moved = to_backend(fixed, "torch")
        moved[0, 0] = 9
        assert fixed[0, 0] == 0
        with pytest.raises(ValueError, match="a copy alone"):
            to_backend(fixed, "torch", copy=False)
    if target == "jax":
        with pytest.raises(ValueError, match="a copy alone"):
            to_backend(aligned()[1:], "jax", copy=False)  # it does not start where JAX wants it


@pytest.mark.parametrize("engine", ENGINES)
def test_arrays_of_every_engine_are_taken_by_array_and_asarray(engine):
    here = backend.get_backend(engine)
    for name in ENGINES:
        x = made(name, "float64")
        taken = here.array(x)
        assert here.owns(type(taken))
        assert as_dtype(taken.dtype) == "float64"
        np.testing.assert_array_equal(np.asarray(taken), aligned("float64"))
        with backend.use_backend(engine):
            assert tensor.convert_to_tensor(x).data is x  # wrapped where it is
            half = ops.asarray(ops.astype(x, dtype="float32"), dtype="float16")
            assert as_dtype(half.dtype) == "float16"


def test_torch_does_not_read_others_memory_as_floats():
    """torch.asarray of a JAX or MLX array is garbage of another shape."""
    if "torch" not in ENGINES:
        pytest.skip("torch is not installed here")
    for name in ENGINES:
        x = backend.get_backend(name).array(np.array([[1, 2], [3, 4]], "int32"))
        for copy in (None, True) if name == "numpy" else (None, True, False):
            assert to_backend(x, "torch", copy=copy).tolist() == [[1, 2], [3, 4]]


def test_tensors_move_too_and_say_where_they_cannot():
    x = tensor.convert_to_tensor(aligned())
    for name in ENGINES[1:]:
        moved = x.to_backend(name, copy=True)
        assert moved.backend == name
        assert address(moved.data) != address(x.data)
    with pytest.raises(TypeError, match="to_backend: expected an array of some engine, got list"):
        to_backend([1.0], "numpy")
    same = to_backend(x.data, "numpy", copy=True)
    assert address(same) != address(x.data)
    assert to_backend(x.data, "numpy") is x.data


@pytest.mark.parametrize("target", [e for e in ENGINES if e != "numpy"])
def test_bfloat16_is_taken_from_where_numpy_cannot_look(target):
    here = backend.get_backend(target)
    for name in ENGINES[1:]:
        x = ops.astype(backend.get_backend(name).array([1.5, 2.0]), dtype="bfloat16")
        taken = here.array(x)
        assert as_dtype(taken.dtype) == "bfloat16"
        assert ops.astype(taken, dtype="float32").tolist() == [1.5, 2.0]
