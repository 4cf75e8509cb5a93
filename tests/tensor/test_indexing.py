"""`x[index]` and `x[index] = value`: NumPy's answers, and values instead of views."""

import numpy as np
import pytest

from ember_ml import backend, tensor
from ember_ml.tensor import EmberTensor, no_grad

CUBE = np.arange(60, dtype="float32").reshape(3, 4, 5)
MASK = CUBE % 7 == 3
ROWS = CUBE[:, 0, 0] > 10
TWO, GRID = np.array([2, 0]), np.array([[1, -1], [0, 2]])
INDICES = {
    "one row": 1,
    "negative": -1,
    "slices": (slice(1, None), slice(None, None, 2)),
    "backwards": (..., slice(None, None, -1)),
    "new axes": (None, 0, ..., None),
    "everything": (),
    "an array": TWO,
    "an array of two dimensions": (slice(None), GRID),
    "a list": [2, 0, 2],
    "two arrays": (TWO, np.array([1, 3])),
    "two arrays that broadcast": (TWO[:, None], np.array([1, 3, 0])),
    "an array beside an integer": (slice(None), TWO, 1),
    "arrays apart": (TWO, slice(None), np.array([4, 0])),
    "arrays apart after a new axis": (None, TWO, slice(None), np.array([4, 0])),
    "an integer apart from an array": (0, slice(None), TWO),
    "an array after a slice": (slice(1, None), slice(None, 2), TWO),
    "an array and a new axis": (None, TWO),
    "a full mask": MASK,
    "a mask of rows": ROWS,
    "a mask of two axes": MASK[:, :, 0],
    "a mask of the last axis": (..., np.array([True, False, True, True, False])),
    "a mask that chooses nothing": np.zeros(3, bool),
    "a mask as a list": [True, False, True],
    "a mask beside a slice": (slice(None), np.array([False, True, True, False]), slice(1, 3)),
}


def made(values):
    """Return a tensor on the active engine, with the shape and dtype of the NumPy array given."""
    return EmberTensor(backend.get_backend().array(values))


def own(index):
    """Return an index with its arrays on the active engine."""
    if isinstance(index, tuple):
        return tuple(map(own, index))
    return made(index) if isinstance(index, np.ndarray) else index


@pytest.fixture(params=INDICES.values(), ids=INDICES.keys())
def index(request):
    return request.param


def test_reading_agrees_with_numpy(be, index):
    got = made(CUBE)[own(index)]
    assert got.shape == CUBE[index].shape
    assert got.backend is be
    np.testing.assert_array_equal(np.asarray(got), CUBE[index])


def test_writing_agrees_with_numpy(be, index):
    want = CUBE.copy()
    values = np.arange(want[index].size, dtype="float32").reshape(want[index].shape) - 100
    x = made(CUBE)
    x[own(index)] = made(values)
    want[index] = values
    np.testing.assert_array_equal(np.asarray(x), want)
    x[own(index)] = -1
    want[index] = -1
    np.testing.assert_array_equal(np.asarray(x), want)


def test_the_gradient_of_reading_falls_on_what_was_read(be, index):
    x = made(CUBE)
    x.requires_grad = True
    x[own(index)].sum().backward()
    want = np.zeros_like(CUBE)
    np.add.at(want, index, 1)
    np.testing.assert_array_equal(np.asarray(x.grad), want)


def test_the_gradient_of_writing_falls_on_old_and_new(be, index):
    base, new = made(CUBE), made(np.ones(CUBE[index].shape, "float32"))
    base.requires_grad = new.requires_grad = True
    x = base * 1
    x[own(index)] = new * 2
    (x * 3).sum().backward()
    want = np.full_like(CUBE, 3)
    want[index] = 0
    np.testing.assert_array_equal(np.asarray(base.grad), want)
    if index is not INDICES["a list"]:  # the first of two writers of a row is overwritten
        np.testing.assert_array_equal(np.asarray(new.grad), np.full(new.shape, 6.0))


SMALL = {
    "a number, by nothing": ((), ...),
    "a number, by a new axis": ((), None),
    "a number, by a truth": ((), np.array(True)),
    "a number, by an untruth": ((), np.array(False)),
    "a cube, by a truth": ((2, 3), np.array(True)),
    "a truth beside a slice": ((2, 3), (np.array(False), slice(1, None))),
    "a truth beside an array": ((2, 3), (np.array(True), np.array([1, -1]))),
    "no rows, by a mask": ((0, 3), np.zeros(0, bool)),
    "no rows, by no integers": ((0, 3), np.zeros(0, int)),
    "no rows, backwards": ((0, 3), slice(None, None, -1)),
    "no columns, by rows": ((2, 0), np.array([1, 1, 0])),
    "no columns, by a mask": ((2, 0), np.zeros((2, 0), bool)),
    "far beyond the ends": ((4,), slice(-9, 9, 3)),
    "backwards from beyond": ((4,), slice(9, -9, -2)),
    "nothing left, backwards": ((4,), slice(1, 3, -1)),
    "no places of two axes": ((2, 3), (np.zeros((0, 2), int), np.zeros((1, 2), int))),
}


@pytest.mark.parametrize(("shape", "index"), SMALL.values(), ids=SMALL)
def test_small_and_empty_arrays_are_numpys_too(be, shape, index):
    base = np.arange(np.prod(shape, dtype=int), dtype="float32").reshape(shape)
    got, want = made(base)[own(index)], base[index]
    assert got.shape == want.shape
    np.testing.assert_array_equal(np.asarray(got), want)
    for values in (np.full(want.shape, -2, "float32"), -5.0):
        x, changed = made(base), base.copy()
        x[own(index)] = made(values) if isinstance(values, np.ndarray) else values
        changed[index] = values
        np.testing.assert_array_equal(np.asarray(x), changed)


def drawn(rng):
    """Return a shape and an index of any mixture for it."""
    shape = tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 4)))
    parts, axis = [], 0
    while axis < len(shape) and rng.random() < 0.85:
        n = shape[axis]
        kind = rng.integers(0, 7)
        if kind == 0:
            start, stop = (None if rng.random() < 0.3 else int(rng.integers(-5, 6)) for _ in range(2))
            parts.append(slice(start, stop, int(rng.choice([1, 2, -1, -2]))))
        elif kind == 1 and n:
            parts.append(int(rng.integers(-n, n)))
        elif kind in (2, 3) and n:
            parts.append(rng.integers(-n, n, [(2,), (1,), (2, 1), (1, 2)][rng.integers(0, 4)]))
        elif kind == 4:
            parts.append(rng.random(n) < 0.5)
        elif kind == 5 and axis + 1 < len(shape):
            parts.append(rng.random(shape[axis : axis + 2]) < 0.5)
            axis += 1
        else:
            parts.append(slice(None))
        axis += 1
        if rng.random() < 0.1:
            parts.append([None, np.array(rng.random() < 0.5)][rng.integers(0, 2)])
    if rng.random() < 0.3:
        parts.append(...)
    return shape, tuple(parts)


@pytest.mark.parametrize("seed", range(4))
def test_any_mixture_reads_and_writes_as_numpy_has_it(be, seed):
    rng = np.random.default_rng(seed)
    for _ in range(25 if be != "jax" else 8):  # JAX compiles each shape
        shape, index = drawn(rng)
        base = np.arange(np.prod(shape, dtype=int), dtype="float32").reshape(shape)
        try:
            want = base[index]
        except IndexError:
            with pytest.raises(IndexError, match=r"do not broadcast|out of bounds"):
                made(base)[own(index)]
            continue
        got = made(base)[own(index)]
        assert got.shape == want.shape, (shape, index)
        np.testing.assert_array_equal(np.asarray(got), want)
        values = rng.normal(size=want.shape).astype("float32")
        x, changed = made(base), base.copy()
        x[own(index)] = made(values)
        changed[index] = values
        np.testing.assert_array_equal(np.asarray(x), changed)


def test_arrays_that_do_not_fit_together_are_an_error_of_the_index(be):
    with pytest.raises(IndexError, match=r"index: arrays of shapes \(2,\) and \(3,\) do not broadcast"):
        made(CUBE)[tensor.array([0, 1]), tensor.array([0, 1, 2])]


def test_single_integers_may_be_tensors_and_numpy_scalars(be):
    x = made(CUBE)
    np.testing.assert_array_equal(np.asarray(x[tensor.array(2)]), CUBE[2])
    np.testing.assert_array_equal(np.asarray(x[np.int64(2), tensor.array(-1)]), CUBE[2, -1])
    np.testing.assert_array_equal(np.asarray(x[tensor.array(1) : np.int64(3)]), CUBE[1:3])
    assert [10, 20, 30][tensor.array(1)] == 20


def test_of_places_written_twice_the_last_wins(be):
    x = tensor.zeros(3)
    x[tensor.array([1, 1, 2, 1])] = tensor.array([1.0, 2.0, 3.0, 4.0])
    assert x.tolist() == [0, 4, 3]


def test_writing_rebinds_and_never_reaches_another_name(be):
    x = made(CUBE)
    native, view, same = x.data, x[0], x
    x[0] = -5.0
    assert same is x
    np.testing.assert_array_equal(np.asarray(view), CUBE[0])
    np.testing.assert_array_equal(be.to_numpy(native), CUBE)
    assert x[0, 0, 0].item() == -5
    rows = x.reshape(12, 5)
    view[:] = 9
    rows[0] = 7
    np.testing.assert_array_equal(np.asarray(x[0]), np.full((4, 5), -5))


def test_written_values_take_the_dtype_of_the_tensor(be):
    x = tensor.array([1, 2, 3])
    x[0] = 7.9
    x[1:] = [8, 9]
    assert x.dtype == "int64"
    assert x.tolist() == [7, 8, 9]


def test_in_place_operators_rebind(be):
    x = tensor.array([1.0, 2.0])
    native, same, twin = x.data, x, x + 0
    x += 1
    x *= tensor.array([2.0, 3.0])
    x -= 0.5
    x /= 2
    assert same is x
    assert x.tolist() == [1.75, 4.25]
    assert twin.tolist() == be.to_numpy(native).tolist() == [1, 2]
    x **= 2
    x @= tensor.array([[1.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(x.tolist(), [3.0625, 36.125])


def test_in_place_keeps_shape_and_kind_of_dtype(be):
    x, i = tensor.ones(3), tensor.arange(3)
    with pytest.raises(ValueError, match=r"in place: shape \(3,\) cannot become \(2, 3\)"):
        x += tensor.ones((2, 3))
    with pytest.raises(TypeError, match="in place: int64 cannot become float32; write x = x"):
        i += 0.5
    x += tensor.ones(3, dtype="float64")
    assert x.dtype == "float32"
    assert x.tolist() == [2, 2, 2]
    assert i.tolist() == [0, 1, 2]


def test_a_leaf_that_requires_a_gradient_changes_only_within_no_grad(be):
    x = tensor.array([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"within no_grad\(\)"):
        x[0] = 5.0
    with pytest.raises(RuntimeError, match=r"within no_grad\(\)"):
        x += 1
    assert x.tolist() == [1, 2]
    with no_grad():
        x[0] = 5.0
        x += 1
    assert x.tolist() == [6, 3]
    assert x.requires_grad
    assert x.node is None


def test_a_constant_written_with_a_leaf_carries_its_gradient(be):
    w, x = tensor.array(2.0, requires_grad=True), tensor.zeros(3)
    x[1] = w * 3
    (x * x).sum().backward()
    assert w.grad.item() == 36


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (3, IndexError, "index 3 is out of bounds for axis 0 with size 3"),
        ((0, 0, 0, 0), IndexError, "too many indices: 4 for 3 dimensions"),
        ((TWO, 0, 0, 0), IndexError, "too many indices: 4 for 3 dimensions"),
        (np.array([0, 3]), IndexError, "index 3 is out of bounds for axis 0 with size 3"),
        ((TWO, np.array([0, 4])), IndexError, "index 4 is out of bounds"),
        (
            np.array([True, False]),
            IndexError,
            r"a mask of shape \(2,\) does not fit the axes of shape \(3,\)",
        ),
        (np.array([0.0, 1.0]), TypeError, "an array of integers or truths, got float"),
        ("a", TypeError, "expected integers, slices, None, ... or arrays of integers or truths, got 'a'"),
        (True, TypeError, "expected integers, slices"),
        (1.5, TypeError, "expected integers, slices"),
    ],
)
def test_a_wrong_index_is_named(be, index, error, words):
    x = made(CUBE)
    with pytest.raises(error, match=words):
        x[own(index)]
    with pytest.raises(error, match=words):
        x[own(index)] = 0.0
    np.testing.assert_array_equal(np.asarray(x), CUBE)


def test_updates_that_do_not_fit_are_refused(be):
    x = made(CUBE)
    with pytest.raises(ValueError, match="slice_update: updates of shape"):
        x[0] = tensor.ones((3, 3))
    with pytest.raises(ValueError, match="index_update: updates of shape"):
        x[tensor.array([0, 1])] = tensor.ones((3, 4, 5))


def test_iteration_gives_rows(be):
    x = made(CUBE)
    assert len(x) == len(list(x)) == 3
    for got, want in zip(x, CUBE, strict=True):
        np.testing.assert_array_equal(np.asarray(got), want)
    a, b = tensor.array([1.5, 2.5])
    assert (a.item(), b.item()) == (1.5, 2.5)
    assert 4.0 in tensor.array([3.0, 4.0])
    with pytest.raises(TypeError, match="no dimensions"):
        iter(tensor.array(1.0))
    with pytest.raises(TypeError, match="no dimensions has no length"):
        len(tensor.array(1.0))


def test_an_index_of_another_engine_is_refused():
    x = tensor.to_backend(tensor.array([1.0, 2.0]), "torch")
    with pytest.raises(TypeError, match="take: arrays of different backends"):
        x[np.array([0])]


@pytest.mark.parametrize("sizes", [(0, 3), (2, 0), (0, 0), (0,)])
def test_a_mask_with_an_axis_of_size_0_chooses_nothing(be, sizes):
    """As in NumPy, and as the standard's own tests ask."""
    values = np.arange(6.0, dtype="float32").reshape(2, 3)
    x, mask = EmberTensor(be.array(values)), EmberTensor(be.array(np.zeros(sizes, bool)))
    got = x[mask]
    np.testing.assert_array_equal(np.asarray(got), values[np.zeros(sizes, bool)])
    x[mask] = 7.0
    np.testing.assert_array_equal(np.asarray(x), values)
    with pytest.raises(IndexError, match=r"a mask of shape \(1, 3\) does not fit the axes of shape \(2, 3\)"):
        x[EmberTensor(be.array(np.zeros((1, 3), bool)))]
