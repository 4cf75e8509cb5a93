"""Arrays in files: what is written comes back, whole, with its dtype, and nothing is pickled."""

import pickle

import numpy as np
import pytest

from ember_ml import backend, ops, tensor
from ember_ml.backend import files
from ember_ml.core import as_dtype

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"


def tree(be):
    return {
        "weights": be.array(np.arange(6.0, dtype="float32").reshape(2, 3)),
        "layer": {
            "bias": tensor.array([1, 2]),
            "deep": {"rate": 0.5, "file": be.array(np.zeros((0, 2), "float32"))},
        },
    }


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_tree_of_arrays_comes_back_as_it_was(be, tmp_path, suffix):
    path = tmp_path / "new folder" / f"x{suffix}"
    ops.save(path, tree(be))
    got = ops.load(path)
    assert list(got) == ["weights", "layer"] or set(got) == {"weights", "layer"}
    assert be.owns(type(got["weights"]))
    np.testing.assert_array_equal(np.asarray(got["weights"]), np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(np.asarray(got["layer"]["bias"]), [1, 2])
    assert float(got["layer"]["deep"]["rate"]) == 0.5
    assert tuple(got["layer"]["deep"]["file"].shape) == (0, 2)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_one_array_comes_back_as_one_in_its_dtype(be, tmp_path, suffix):
    for dtype in DTYPES.split():
        if not be.supports(dtype) or (dtype == "complex128" and suffix == ".safetensors"):
            continue
        x = be.array(np.array([[0, 1], [1, 0]]).astype(dtype))
        ops.save(tmp_path / f"x{suffix}", x)
        got = ops.load(tmp_path / f"x{suffix}")
        assert be.owns(type(got))
        assert as_dtype(got.dtype) == dtype
        np.testing.assert_array_equal(np.asarray(got), np.asarray(x))


def test_bfloat16_keeps_every_bit(be, tmp_path):
    if not be.supports("bfloat16"):
        pytest.skip(f"{be} has no bfloat16")
    x = ops.astype(be.array(np.array([1.5, -3.140625, 1e30, np.inf], "float32")), dtype="bfloat16")
    ops.save(tmp_path / "x.safetensors", x)
    got = ops.load(tmp_path / "x.safetensors")
    assert as_dtype(got.dtype) == "bfloat16"
    wide = [np.asarray(ops.astype(y, dtype="float32")) for y in (got, x)]
    np.testing.assert_array_equal(*wide)
    with pytest.raises(TypeError, match=r"NumPy's files have no bfloat16; use \.safetensors"):
        ops.save(tmp_path / "x.npz", x)
    with backend.use_backend("numpy"), pytest.raises(TypeError, match="no dtype bfloat16"):
        ops.load(tmp_path / "x.safetensors")


def test_other_libraries_read_and_write_the_same_files(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    x = {"a": np.arange(3, dtype="int8"), "b": np.eye(2), "file": np.ones(1, "float32")}
    ops.save(tmp_path / "x.safetensors", x)
    theirs = numpy_files.load_file(tmp_path / "x.safetensors")
    numpy_files.save_file(x, tmp_path / "y.safetensors")
    ops.save(tmp_path / "x.npz", x)
    np.savez(tmp_path / "y.npz", a=x["a"], b=x["b"])
    with np.load(tmp_path / "x.npz") as archive:
        for name, want in x.items():
            np.testing.assert_array_equal(theirs[name], want)
            np.testing.assert_array_equal(archive[name], want)
            np.testing.assert_array_equal(np.asarray(ops.load(tmp_path / "y.safetensors")[name]), want)
    np.testing.assert_array_equal(np.asarray(ops.load(tmp_path / "y.npz")["b"]), x["b"])


def test_like_says_whose_arrays_they_become(be, tmp_path):
    ops.save(tmp_path / "x.npz", {"a": np.ones(2, "float32")})
    with backend.use_backend("numpy"):
        got = ops.load(tmp_path / "x.npz", like=be.array(np.zeros(1, "float32")))
    assert be.owns(type(got["a"]))


def test_nothing_is_pickled_and_no_pickle_is_opened(tmp_path):
    for call in (
        lambda: ops.save(tmp_path / "x.npz", np.ones(1), allow_pickle=True),
        lambda: ops.load(tmp_path / "x.npz", allow_pickle=True),
    ):
        with pytest.raises(ValueError, match="pickles are neither written nor read"):
            call()
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "evil.npz", a=np.array([{"a": 1}], dtype=object))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1]))
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    (tmp_path / "torn.npz").write_bytes(b"PK")
    for name in ("evil.npy", "evil.npz", "pickle.npy", "torn.safetensors", "torn.npz"):
        with pytest.raises(ValueError, match=f"load: .*{name} holds no arrays that can be read"):
            ops.load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "obj", "error", "words"),
    [
        ("x.pkl", np.ones(1), ValueError, r"must end in \.npy, \.npz, \.safetensors, got"),
        ("x.npz", {"a": "text"}, TypeError, "save 'a': expected arrays and dicts of them, got str"),
        ("x.npz", {"a": None}, TypeError, "got NoneType"),
        ("x.npz", {"a/b": 1.0}, ValueError, "names are texts without '/', got 'a/b'"),
        ("x.npz", {"a": {}}, ValueError, "'a' is an empty dict"),
        ("x.npy", {"a": 1.0}, TypeError, r"\.npy holds one array, got a dict"),
        ("x.safetensors", np.ones(1, "complex128"), TypeError, r"safetensors has no complex128; use \.npz"),
    ],
)
def test_what_has_no_place_in_a_file_is_refused_and_the_old_file_stays(tmp_path, name, obj, error, words):
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(error, match=words):
        ops.save(path, obj)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_error_midway_leaves_the_old_file(tmp_path, monkeypatch):
    def full_disk(file, host):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(files, "_write_array", full_disk)
    path = tmp_path / "x.npz"
    path.write_text("old")
    with pytest.raises(OSError, match="no space left"):
        ops.save(path, np.ones(3))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load: there is no file .*gone\.npz"):
        ops.load(tmp_path / "gone.npz")
