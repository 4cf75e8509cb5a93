"""A Backend object spoken to in the words of NumPy, Mithril and pyTME."""

import inspect
import math
import pickle

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, ops
from ember_ml.backend import Gap, NumpyBackend
from ember_ml.core import as_dtype, keys

VALUES = np.arange(12.0, dtype="float32").reshape(3, 4)


def instance(be, **settings):
    """Another instance of the same engine."""
    return type(be)(**settings)


# A configured instance


def test_creation_takes_the_dtype_of_the_instance(be):
    half = instance(be, dtype="float16")
    made = [half.zeros(3, 4), half.ones((3, 4)), half.randn(3, 4), half.rand((3, 4)), half.array([[1, 2]])]
    assert [as_dtype(x.dtype) for x in made] == ["float16"] * 5
    assert [tuple(x.shape) for x in made[:4]] == [(3, 4)] * 4
    assert as_dtype(half.zeros(2, dtype="int32").dtype) == "int32"
    assert half.precision == 16


def test_arrays_are_converted_to_the_dtype_of_the_instance(be):
    single = instance(be, dtype=np.float32)
    assert as_dtype(single.array(VALUES.astype("float64")).dtype) == "float32"
    assert as_dtype(single.array(be.array(VALUES.astype("float64"))).dtype) == "float32"
    assert as_dtype(single.array([1, 2]).dtype) == "float32"
    assert as_dtype(single.array([1j]).dtype) == "complex64"
    assert as_dtype(single.array([True]).dtype) == "bool"
    same = single.array(VALUES)
    assert single.array(same) is same


def test_an_engines_own_dtypes_come_back_from_a_pickle(be):
    """Compiled functions keep them."""
    for dtype in be.dtypes():
        native = be.native_dtype(dtype)
        assert pickle.loads(pickle.dumps(native)) == native


def test_an_integer_backend_keeps_its_dtype_and_has_no_fractions(be):
    small = instance(be, dtype=np.int8)
    a = small.array([[1, 2], [3, 4]])
    for name in ("add", "subtract", "multiply"):
        assert as_dtype(getattr(small, name)(a, a).dtype) == "int8"
    assert as_dtype(small.sum(a).dtype) == "int64"  # as the standard has it
    for asked in (lambda: small.divide(a, a), lambda: small.randn(3), lambda: small.rand(3)):
        with pytest.raises(TypeError, match="int8"):
            asked()


def test_the_dtypes_and_constants_are_attributes(be):
    assert as_dtype(be.float32) == "float32"
    assert as_dtype(be.bool_) == "bool"
    assert (be.pi, be.e, be.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(be.nan)
    assert {"add", "matmul", "float32", "add_"[:-1]} <= set(dir(be))


# Random numbers


def test_a_seeded_instance_draws_its_own_numbers(be):
    draw = lambda b: [b.to_numpy(x).tolist() for x in (b.randn(3), b.rand(2), b.bernoulli((4,)))]
    first, second = instance(be, randomness_seed=42), instance(be, randomness_seed=42)
    keys.set_seed(1)
    place = keys.get_stream()
    want = draw(first)
    instance(be, randomness_seed=7).randn(5)  # another one in between
    ops.normal((3,))
    assert draw(second) == want
    assert draw(first) != want
    first.set_seed(42)
    assert draw(first) == want
    assert keys.get_stream() == (place[0], place[1] + 1)  # one number was drawn from the process's own


def test_an_instance_without_a_seed_draws_from_the_process(be):
    plain = instance(be)
    plain.set_seed(5)
    once = plain.to_numpy(plain.randn(3)).tolist()
    ops.set_seed(5)
    assert plain.to_numpy(plain.randn(3)).tolist() == once


def test_engines_of_one_seed_draw_the_same_uniforms():
    drawn = [backend.get_backend(name) for name in backend.available_backends()]
    rows = [np.asarray(b.to_numpy(type(b)(randomness_seed=3).rand(5))) for b in drawn]
    assert all((row == rows[0]).all() for row in rows)


# In place


def test_in_place_names_change_what_can_change(be):
    a, b = be.array(VALUES.copy()), be.array(VALUES + 1)
    if not be.mutable:
        with pytest.raises(TypeError, match=rf"add_: arrays of {be} do not change in place; write x = add"):
            be.add_(a, b)
        with pytest.raises(TypeError, match=rf"fill: arrays of {be} do not change in place; write full_like"):
            be.fill(a, 0)
        return
    assert be.add_(a, b) is a
    close(a, 2 * VALUES + 1)
    assert be.subtract_(a, b) is a
    assert be.multiply_(a, 2.0) is a
    assert be.divide_(a, 4.0) is a
    close(a, VALUES / 2)
    assert be.fill(a, 7) is a
    assert be.to_numpy(a).tolist() == np.full((3, 4), 7.0).tolist()
    counts = be.array([1, 2])
    with pytest.raises(TypeError, match="divide_: an array of int64 cannot hold a result of float"):
        be.divide_(counts, counts)
    with pytest.raises(ValueError, match=r"add_: a result of shape \(3, 4\) does not fit into \(4,\)"):
        be.add_(be.array(VALUES[0].copy()), be.array(VALUES))
    with pytest.raises(AttributeError):
        be.matmul_


def test_out_takes_the_result_where_arrays_can_change(be):
    a, out = be.array(VALUES), be.zeros(3, 4)
    for name in ("add", "subtract", "multiply", "maximum"):
        made = getattr(be, name)(a, 2.0, out=out)
        close(made, getattr(np, name)(VALUES, 2.0))
        assert (made is out) == be.mutable
    total = be.zeros(4)
    close(be.sum(a, axis=0, out=total), VALUES.sum(0))


# pyTME's words


def test_places_are_written_in_a_copy(be):
    x = be.array(VALUES)
    rows, columns = be.array(np.array([0, 2, 0])), be.array(np.array([1, 3, 1]))
    want = VALUES.copy()
    want[[0, 2], [1, 3]] = -1
    close(be.at(x, (rows, columns), -1.0), want)
    want = VALUES.copy()
    np.add.at(want, ([0, 2, 0], [1, 3, 1]), [1, 2, 3])
    close(be.addat(x, (rows, columns), be.array([1.0, 2.0, 3.0])), want)
    close(be.addat(x, ([0, 2, 0], [1, 3, 1]), [1, 2, 3]), want)
    want = VALUES.copy()
    np.add.at(want, [1, 1], 1)
    close(be.addat(x, [1, 1], 1.0), want)
    close(be.at(x, x > 5, 0.0), np.where(VALUES > 5, 0, VALUES))
    close(be.addat(x, x > 5, 1.0), VALUES + (VALUES > 5))
    close(be.at(x, (0, slice(1, 3)), [8.0, 9.0]), np.vstack([[0, 8, 9, 3], VALUES[1:]]))
    close(be.addat(x, 0, 1.0), np.vstack([VALUES[0] + 1, VALUES[1:]]))
    close(x, VALUES)


def test_what_arrays_are_is_asked_by_functions(be):
    x = be.array(VALUES)
    assert be.size(x) == 12
    assert be.size(be.array(3.0)) == 1
    assert be.tobytes(x) == VALUES.tobytes()
    assert be.tobytes(be.transpose(x)) == VALUES.T.tobytes()
    kinds = {"int32": int, "uint8": int, "float64": float, "complex64": complex}
    for dtype, kind in kinds.items():
        assert be.get_fundamental_dtype(be.zeros(2, dtype=dtype)) is kind
    assert be.datatype_bytes(be.float32) == be.datatype_bytes("float32") == 4
    assert be.datatype_bytes("complex64") == 8
    assert be.eps(be.float32) == np.finfo("float32").eps
    assert be.eps("float64") == np.finfo("float64").eps
    assert be.eps("float16") == np.finfo("float16").eps
    with pytest.raises(TypeError, match="eps: expected a float dtype, got int32"):
        be.eps("int32")


def test_arrays_come_and_go(be):
    for arrived in (be.to_backend_array(VALUES), be.to_cpu_array(be.to_backend_array(VALUES))):
        assert be.owns(type(arrived))
        assert type(be.to_numpy_array(arrived)) is np.ndarray
        close(be.to_numpy_array(arrived), VALUES)


def test_seed_001_keeps_float64(be):
    wide = NumpyBackend(dtype=np.float64, randomness_seed=42, enable_optimizations=True)
    assert wide.randn(3, 4).dtype == "float64"
    assert wide.array([0.1])[0] == 0.1  # not 0.1 rounded to float32 on the way


NAMES = (
    *("add", "subtract", "multiply", "divide", "mod", "sum", "einsum", "mean", "std", "max", "min"),
    *("maximum", "minimum", "sqrt", "square", "abs", "transpose", "tobytes", "size", "fill", "clip"),
    *("roll", "stack", "indices", "power", "astype", "concatenate", "repeat", "unique"),
    *("topk_indices", "argsort", "unravel_index", "tril_indices", "full", "zeros", "arange"),
    *("build_fft", "topleft_pad", "to_sharedarr", "from_sharedarr", "extract_center"),
    *("rigid_transform", "max_filter_coordinates", "compute_convolution_shapes", "to_cpu_array"),
    *("to_numpy_array", "to_backend_array", "eps", "free_cache", "datatype_bytes"),
    "get_available_memory",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_of_a_matching_backend_answers(be, name):
    method = getattr(be, name)
    assert callable(method)
    assert inspect.getdoc(method)


# What is missing


def test_a_gap_says_where_it_is_met():
    assert Gap("solve", "why").extent == "eager, every dtype"
    assert Gap("solve", "why", when="host").extent == "computed by NumPy, every dtype"
    gap = Gap("sin", "why", dtypes=("float64",), when="accuracy", tolerance=2e-6)
    assert gap.extent == "accuracy, float64, to 2e-06"
