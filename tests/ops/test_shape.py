"""Shapes, repetition, grids and ranges against NumPy, on every engine; empty ones and single numbers too."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad
from ember_ml.core import tree

CUBE = np.arange(24, dtype="float32").reshape(2, 3, 4)
ROW, NONE, ONE = CUBE[0, 0], np.zeros((0, 3), "float32"), np.float32(7)
TRUTHS = CUBE[0] % 3 == 0

# name: our op, NumPy's, and the arrays and settings with which both are called
CALLS = {
    "swapaxes": (ops.swapaxes, np.swapaxes, [CUBE], {"axis1": 0, "axis2": -1}),
    "ravel": (ops.ravel, np.ravel, [CUBE], {}),
    "ravel nothing": (ops.ravel, np.ravel, [NONE], {}),
    "ravel a number": (ops.ravel, np.ravel, [ONE], {}),
    "atleast_1d": (ops.atleast_1d, np.atleast_1d, [ONE], {}),
    "atleast_2d": (ops.atleast_2d, np.atleast_2d, [ROW], {}),
    "atleast_2d of a number": (ops.atleast_2d, np.atleast_2d, [ONE], {}),
    "atleast_3d of a number": (ops.atleast_3d, np.atleast_3d, [ONE], {}),
    "atleast_3d of a row": (ops.atleast_3d, np.atleast_3d, [ROW], {}),
    "atleast_3d of a matrix": (ops.atleast_3d, np.atleast_3d, [CUBE[0]], {}),
    "flip": (ops.flip, np.flip, [CUBE], {"axis": (0, 2)}),
    "flip a number": (ops.flip, np.flip, [ONE], {}),
    "expand_dims": (ops.expand_dims, np.expand_dims, [CUBE], {"axis": (0, -1, 2)}),
    "roll": (ops.roll, np.roll, [CUBE], {"shift": 5}),
    "roll along axes": (ops.roll, np.roll, [CUBE], {"shift": (1, -2), "axis": (0, 2)}),
    "roll by one for two axes": (ops.roll, np.roll, [CUBE], {"shift": 1, "axis": (0, 2)}),
    "roll an axis twice": (ops.roll, np.roll, [CUBE], {"shift": (1, 2), "axis": (2, 2)}),
    "roll nothing": (ops.roll, np.roll, [NONE], {"shift": 2}),
    "tril": (ops.tril, np.tril, [CUBE], {"k": 1}),
    "triu": (ops.triu, np.triu, [CUBE], {"k": -1}),
    "tril of truths": (ops.tril, np.tril, [TRUTHS], {}),
    "triu far out": (ops.triu, np.triu, [CUBE], {"k": 9}),
    "meshgrid": (ops.meshgrid, np.meshgrid, [ROW, ROW[:2], ROW[:3]], {}),
    "meshgrid ij": (ops.meshgrid, np.meshgrid, [ROW, ROW[:2]], {"indexing": "ij"}),
    "meshgrid of one": (ops.meshgrid, np.meshgrid, [ROW], {}),
    "meshgrid of nothing and a number": (ops.meshgrid, np.meshgrid, [ROW[:0], ONE], {}),
    "broadcast_arrays": (ops.broadcast_arrays, np.broadcast_arrays, [CUBE, ROW, ONE], {}),
    "unstack": (ops.unstack, np.unstack, [CUBE], {"axis": 1}),
    "unstack nothing": (ops.unstack, np.unstack, [NONE], {}),
}
SEQUENCES = {
    "concat flat": (ops.concat, np.concatenate, [CUBE, ROW, ONE], {"axis": None}),
    "concat nothing": (ops.concat, np.concatenate, [NONE, CUBE[0, :, :3]], {}),
    "stack": (ops.stack, np.stack, [ROW, ROW + 1], {"axis": -1}),
    "vstack": (ops.vstack, np.vstack, [ROW, CUBE[0]], {}),
    "vstack numbers": (ops.vstack, np.vstack, [ONE, ONE], {}),
    "hstack": (ops.hstack, np.hstack, [CUBE, CUBE], {}),
    "hstack rows and numbers": (ops.hstack, np.hstack, [ROW, ONE], {}),
}


def same_as(got, want):
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert tuple(g.shape) == np.shape(w)
        np.testing.assert_array_equal(np.asarray(g), w)


@pytest.mark.parametrize(("op", "numpy", "arrays", "settings"), CALLS.values(), ids=CALLS)
def test_values_agree_with_numpy(be, op, numpy, arrays, settings):
    same_as(op(*(be.array(a) for a in arrays), **settings), numpy(*arrays, **settings))


@pytest.mark.parametrize(("op", "numpy", "arrays", "settings"), SEQUENCES.values(), ids=SEQUENCES)
def test_joining_agrees_with_numpy(be, op, numpy, arrays, settings):
    same_as(op([be.array(a) for a in arrays], **settings), numpy(arrays, **settings))


MOVES = [(0, -1), ((0, 1), (2, 0)), ((2, -3), (0, 1)), ((), ())]


@pytest.mark.parametrize(("source", "destination"), MOVES)
def test_moving_axes_agrees_with_numpy(be, source, destination):
    same_as(ops.moveaxis(be.array(CUBE), source, destination), np.moveaxis(CUBE, source, destination))


@pytest.mark.parametrize("times", [2, (2,), (1, 2), (2, 1, 1, 3), (0, 2), ()])
def test_tiles_agree_with_numpy(be, times):
    for x in (CUBE, ROW, ONE, NONE):
        same_as(ops.tile(be.array(x), times), np.tile(x, times))


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_repeats_agree_with_numpy(be, axis):
    sizes = {None: 24, 0: 2, -1: 4}
    for times in (0, 1, 3, np.arange(sizes[axis]) % 3, np.arange(sizes[axis])[::-1] % 2, np.array([2])):
        given = times if isinstance(times, int) else be.array(times)
        same_as(ops.repeat(be.array(CUBE), given, axis=axis), np.repeat(CUBE, times, axis=axis))
    same_as(ops.repeat(be.array(ROW[:0]), be.array(np.zeros(0, int))), ROW[:0])


def test_the_gradient_of_a_repeat_adds_up(be):
    weights = be.array(np.arange(6, dtype="float32"))
    times = be.array(np.array([2, 0, 1, 3]))
    got = grad(lambda x: ops.sum(ops.multiply(ops.repeat(x, times), weights)))(be.array(ROW))
    close(got, np.array([1.0, 0.0, 2.0, 12.0]))


MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
def test_padding_agrees_with_numpy_at_any_width(be, mode):
    """NumPy repeats reflections and rounds as often as the width asks for."""
    for size in (1, 2, 3, 5):
        x = np.arange(size, dtype="float32") + 1
        for width in [(0, 0), (1, 0), (0, 2), (3, 4), (9, 13)]:
            same_as(ops.pad(be.array(x), width, mode=mode), np.pad(x, width, mode=mode))


@pytest.mark.parametrize("width", [1, (2, 1), ((1, 2),), ((0, 1), (2, 0), (3, 3))])
@pytest.mark.parametrize("mode", MODES)
def test_widths_are_numpys(be, mode, width):
    same_as(ops.pad(be.array(CUBE), width, mode), np.pad(CUBE, width, mode))


def test_padding_fills_in_the_dtype_of_the_array(be):
    whole = be.array(np.array([[1, 2]], "int32"))
    same_as(
        ops.pad(whole, ((1, 0), (0, 2)), constant_values=-3),
        np.pad([[1, 2]], ((1, 0), (0, 2)), constant_values=-3),
    )
    assert ops.pad(whole, 1).dtype == whole.dtype
    same_as(ops.pad(be.array(np.array([True])), 1), np.array([False, True, False]))
    same_as(ops.pad(be.array(NONE), 1), np.pad(NONE, 1))


def test_the_gradient_of_padding_counts_what_each_value_became(be):
    x = be.array(np.arange(3, dtype="float32"))
    counted = {
        mode: np.asarray(grad(lambda a: ops.sum(ops.pad(a, (1, 2), mode)))(x)).tolist()  # noqa: B023
        for mode in MODES
    }
    assert counted == {
        "constant": [1, 1, 1],
        "edge": [2, 1, 3],
        "reflect": [2, 3, 1],
        "symmetric": [2, 2, 2],
        "wrap": [2, 2, 2],
    }


@pytest.mark.parametrize("k", [-5, -1, 0, 2, 7])
@pytest.mark.parametrize(("n", "m"), [(4, None), (3, 5), (5, 2), (0, 3), (1, 1)])
def test_triangles_have_numpys_places(be, n, m, k):
    for op, numpy in ((ops.tril_indices, np.tril_indices), (ops.triu_indices, np.triu_indices)):
        same_as(op(n, k, m), numpy(n, k, m))


def test_coordinates_are_numpys(be):
    for shape in ((2, 3), (4,), (), (0, 2)):
        same_as(ops.indices(shape), np.indices(shape))
    assert ops.indices((2, 2), dtype="float32").dtype == be.array(ROW).dtype


RANGES = [
    (0, 10, 3),
    (10, 0, -3),
    (5, 5, 1),
    (5, 0, 1),
    (0, -1, 2),
    (0.0, 1.0, 0.1),
    (1.0, 2.0, 0.1),
    (0, 1, 0.3),
]
RANGES += [(1.0, 1.0, 0.5), (2.5, -1.0, -0.7), (0.0, 0.9999, 0.3333), (-3, 3.5, 1)]


@pytest.mark.parametrize("given", RANGES)
def test_ranges_have_numpys_length_everywhere(be, given):
    got, want = ops.arange(*given), np.arange(*given)
    close(got, want.astype(str(np.asarray(got).dtype)))
    first = be.array(ROW)
    assert compile(lambda x: ops.arange(*given, like=x), be)(first).shape == got.shape


def test_ranges_count_in_the_dtype_asked_for(be):
    for dtype in ("uint8", "int16", "float64", "float32"):
        same_as(ops.arange(5, 0, -2, dtype=dtype), np.arange(5, 0, -2, dtype=dtype))
        same_as(ops.arange(0, dtype=dtype), np.arange(0, dtype=dtype))
    with pytest.raises(ValueError, match="arange: step must not be 0"):
        ops.arange(3, 5, 0)


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("num", [0, 1, 2, 5])
def test_spacing_agrees_with_numpy_for_complex_numbers_too(be, num, endpoint):
    for start, stop in ((0.0, 1.0), (3, -2), (1 + 2j, -1.0), (0, 4j)):
        want = np.linspace(start, stop, num, endpoint=endpoint)
        got = ops.linspace(start, stop, num, endpoint=endpoint)
        assert np.asarray(got).dtype == ("complex64" if want.dtype.kind == "c" else "float32")
        np.testing.assert_allclose(np.asarray(got), want, rtol=2e-5, atol=2e-6)


FILLS = [(True, "bool"), (3, "int64"), (2.5, "float32"), (1 - 2j, "complex64")]


@pytest.mark.parametrize(("value", "dtype"), FILLS)
def test_a_full_array_has_the_kind_of_its_number(be, value, dtype):
    got = ops.full((2, 0, 1), value)
    assert got.shape == (2, 0, 1)
    got = ops.full((2,), value)
    assert np.asarray(got).dtype == dtype
    same_as(got, np.full((2,), value))
    same_as(ops.full_like(be.array(ROW), 3), np.full_like(ROW, 3))


def test_the_largest_integers_fill_arrays(be):
    for value, dtype in ((2**64 - 1, "uint64"), (-(2**63), "int64"), (2**63 - 1, "int64")):
        same_as(ops.full((2,), value, dtype=dtype), np.full((2,), value, dtype=dtype))


def test_what_is_made_like_an_array_takes_another_dtype_and_device(be):
    x = be.array(ROW)
    for op in (ops.zeros_like, ops.ones_like, ops.empty_like):
        made = op(x, dtype="int32", device="cpu")
        assert (made.shape, np.asarray(made).dtype) == (x.shape, "int32")
    same_as(ops.identity(3), np.identity(3))
    same_as(ops.empty((2, 1)), np.zeros((2, 1)))


def test_an_array_of_the_engine_is_copied_only_when_asked(be):
    x = be.array(ROW)
    assert ops.asarray(x) is x
    assert ops.asarray(x, copy=False) is x
    assert ops.asarray(x, copy=True) is not x
    same_as(ops.asarray(x, copy=True), ROW)
    for obj, dtype in (([1.0], None), (x, "int32")):
        with pytest.raises(ValueError, match="only by a copy"):
            ops.asarray(obj, dtype=dtype, copy=False)


def test_bfloat16_is_made_of_lists(be):
    if not be.supports("bfloat16"):
        pytest.skip(f"{be} has no bfloat16")
    got = ops.asarray([1.5, -2.0], dtype="bfloat16")
    assert "bfloat16" in str(got.dtype)
    close(ops.astype(got, "float32"), np.array([1.5, -2.0]))


def test_reshaping_copies_when_asked(be):
    x = be.array(CUBE)
    for copy in (None, True, False):
        same_as(ops.reshape(x, (6, 4), copy=copy), CUBE.reshape(6, 4))
    same_as(ops.reshape(x, -1), CUBE.reshape(-1))


def test_shapes_broadcast_without_arrays():
    assert ops.broadcast_shapes((2, 1, 3), (4, 1), ()) == (2, 4, 3)
    with pytest.raises(ValueError, match="do not broadcast"):
        ops.broadcast_shapes((2,), (3,))


FAULTS = {
    "moveaxis": (lambda x: ops.moveaxis(x, (0, 1), 0), ValueError, "differ in number"),
    "roll": (lambda x: ops.roll(x, (1, 2), axis=0), ValueError, "2 shifts for 1 axes"),
    "repeat by less than nothing": (lambda x: ops.repeat(x, -1), ValueError, "not negative, got -1"),
    "tile by less than nothing": (lambda x: ops.tile(x, -1), ValueError, "not negative"),
    "pad mode": (lambda x: ops.pad(x, 1, "soft"), ValueError, "mode is one of constant, edge, wrap"),
    "pad widths": (lambda x: ops.pad(x, ((1, 1), (2, 2))), ValueError, "a pair for each of 3 axes"),
    "pad by less than nothing": (lambda x: ops.pad(x, -1), ValueError, "not negative"),
    "pad an empty axis": (lambda x: ops.pad(x[:0], 1, "edge"), ValueError, "axis 0 is empty"),
    "meshgrid of matrices": (lambda x: ops.meshgrid(x, x), ValueError, "expected vectors"),
    "meshgrid order": (lambda x: ops.meshgrid(x, indexing="yx"), ValueError, "indexing is 'xy' or 'ij'"),
    "tril of a vector": (lambda x: ops.tril(x[0, 0]), ValueError, "at least 2 dimensions"),
    "slice out of bounds": (
        lambda x: ops.slice_tensor(x, (0, 2, 0), (2, 2, 1)),
        IndexError,
        "places 2 to 4 are out of bounds for axis 1 with size 3",
    ),
    "slice of too few": (lambda x: ops.slice_tensor(x, (0,), (2,)), ValueError, "each of 3 axes"),
}


@pytest.mark.parametrize(("call", "error", "words"), FAULTS.values(), ids=FAULTS)
def test_faults_have_the_same_words_everywhere(be, call, error, words):
    with pytest.raises(error, match=words):
        call(be.array(CUBE))


def test_the_size_of_a_repeat_by_an_array_is_not_known_in_compiled_code(be):
    with pytest.raises(TypeError, match="repeat: an array of repeats gives a size that depends on values"):
        compile(lambda x, n: ops.repeat(x, n), be)(be.array(ROW), be.array(np.array([1, 2, 0, 1])))


def test_slices_are_blocks(be):
    same_as(ops.slice_tensor(be.array(CUBE), (0, 1, 2), (1, -1, 0)), CUBE[0:1, 1:, 2:2])
