"""Dtypes by name, and the lattice in which they meet."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from ember_ml.core import as_dtype, get_default_dtype, set_default_dtype
from ember_ml.core.dtypes import (
    DTYPES,
    DType,
    float32,
    float64,
    inexact,
    int8,
    int32,
    int64,
    promote,
    real_of,
    uint64,
)

STANDARD = [d for d in DTYPES.values() if d not in ("float16", "bfloat16")]
GROUPS = [{"int", "uint"}, {"float"}, {"complex"}, {"float", "complex"}, {"bool"}]


def standard_defines(a, b):
    """Whether the Array API standard says what a and b become: within integers, floats and complexes."""
    return any({a.kind, b.kind} <= group for group in GROUPS) and {a, b} not in (
        {"uint64", k} for k in signed()
    )


def signed():
    return ("int8", "int16", "int32", "int64")


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(STANDARD, 2)))
def test_promotion_is_the_standards_and_numpys_where_it_speaks(a, b):
    if not standard_defines(a, b):
        pytest.skip("the standard leaves it open")
    want = np.result_type(np.dtype(a), np.dtype(b)).name
    assert promote(a, b) == promote(b, a) == want


@pytest.mark.parametrize("whole", [d for d in STANDARD if d.kind in ("int", "uint", "bool")])
@pytest.mark.parametrize("fraction", [d for d in DTYPES.values() if d.kind in ("float", "complex")])
def test_an_integer_takes_the_dtype_of_the_float_that_it_meets(whole, fraction):
    assert promote(whole, fraction) == promote(fraction, whole) == fraction


@pytest.mark.parametrize("other", [d for d in DTYPES.values() if d != "bool"])
def test_a_truth_takes_the_dtype_of_the_number_that_it_meets(other):
    assert promote(DTYPES["bool"], other) == other


def test_half_floats_meet_in_float32_and_the_largest_integers_in_float64():
    assert promote(DTYPES["float16"], DTYPES["bfloat16"]) == float32
    assert promote(uint64, int8) == float64


def test_promotion_is_associative_but_where_signed_meets_unsigned_and_float():
    """Integers alone, and floats alone, give one answer however they are grouped."""
    for kinds in (("bool", "float", "complex"), ("bool", "int")):
        group = [d for d in DTYPES.values() if d.kind in kinds]
        for a, b, c in itertools.product(group, repeat=3):
            assert promote(promote(a, b), c) == promote(a, promote(b, c)), (a, b, c)


@pytest.mark.parametrize(
    ("dtype", "scalar", "want"),
    [
        ("float16", int, "float16"),
        ("float32", float, "float32"),
        ("float32", complex, "complex64"),
        ("float64", complex, "complex128"),
        ("bfloat16", complex, "complex64"),
        ("complex64", float, "complex64"),
        ("uint8", int, "uint8"),
        ("uint8", bool, "uint8"),
        ("int8", float, "float32"),
        ("int64", float, "float32"),
        ("int64", complex, "complex64"),
        ("bool", int, "int64"),
        ("bool", bool, "bool"),
        ("bool", float, "float32"),
    ],
)
def test_a_python_number_is_weak(dtype, scalar, want):
    assert promote(as_dtype(dtype), scalar) == promote(scalar, as_dtype(dtype)) == want


def test_python_numbers_alone_have_the_default_dtypes():
    assert (promote(int), promote(float), promote(bool), promote(int, float)) == (
        "int64",
        "float32",
        "bool",
        "float32",
    )


@pytest.mark.parametrize("name", list(DTYPES))
def test_a_dtype_knows_its_kind_and_size(name):
    dtype = DTYPES[name]
    wanted = ml_dtypes.bfloat16 if name == "bfloat16" else name
    assert dtype.itemsize == np.dtype(wanted).itemsize
    assert dtype.bits == 8 * dtype.itemsize
    assert (
        dtype.kind
        == {"b": "bool", "u": "uint", "i": "int", "f": "float", "c": "complex", "V": "float"}[
            np.dtype(wanted).kind
        ]
    )
    assert dtype == name
    assert type(dtype.name) is str


def test_engines_dtypes_are_found_by_what_they_call_themselves(be):
    for dtype in be.dtypes():
        assert as_dtype(be.native_dtype(dtype)) == dtype
        assert type(as_dtype(be.native_dtype(dtype))) is DType


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (np.dtype("float32"), "float32"),
        (np.float64, "float64"),
        (np.bool_, "bool"),
        ("double", "float64"),
        ("half", "float16"),
        ("torch.int32", "int32"),
        (int, "int64"),
        (float, "float32"),
        (bool, "bool"),
        (complex, "complex64"),
    ],
)
def test_other_spellings_are_understood(given, want):
    assert as_dtype(given) == want


@pytest.mark.parametrize(
    "given", ["float33", "", None, 5, [1, 2], object, np.dtype("O"), np.dtype("datetime64[s]"), "f4"]
)
def test_an_unknown_dtype_is_refused_with_the_known_ones(given):
    with pytest.raises(TypeError, match=r"unknown dtype .*; known: bool, int8, .*, complex128"):
        as_dtype(given)


def test_the_default_float_can_be_changed_to_a_float_alone():
    try:
        set_default_dtype("float64")
        assert get_default_dtype() == "float64"
        assert (promote(int64, float), inexact(int32), as_dtype(complex)) == (
            "float64",
            "float64",
            "complex128",
        )
    finally:
        set_default_dtype("float32")
    with pytest.raises(TypeError, match="set_default_dtype: expected a float dtype, got int32"):
        set_default_dtype("int32")
    assert get_default_dtype() == "float32"


def test_the_real_part_of_a_complex_number_has_half_its_size():
    assert (real_of(DTYPES["complex64"]), real_of(DTYPES["complex128"]), real_of(int8)) == (
        "float32",
        "float64",
        "int8",
    )
