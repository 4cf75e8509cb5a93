"""Reading and writing at many places: torch, loops and closed forms as oracles; wrong places are named."""

import numpy as np
import pytest
from scipy import special

from conftest import close
from ember_ml import ops, tensor
from ember_ml.compiler import compile, grad

RNG = np.random.default_rng(5)
DATA = RNG.normal(size=(6, 3)).astype("float32")
SEGMENTS = np.array([2, 0, 2, 4, 0, 2])
REDUCTIONS = {"add": "sum", "mean": "mean", "max": "amax", "min": "amin"}


@pytest.mark.parametrize("aggr", REDUCTIONS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_segments_agree_with_torch(be, aggr, axis):
    torch = pytest.importorskip("torch")
    data = np.moveaxis(DATA, 0, axis)
    places = torch.tensor(np.moveaxis(np.broadcast_to(SEGMENTS[:, None], DATA.shape), 0, axis).copy())
    shape = tuple(5 if i == axis % 2 else n for i, n in enumerate(data.shape))
    want = torch.zeros(shape).scatter_reduce(
        axis, places, torch.tensor(data.copy()), REDUCTIONS[aggr], include_self=False
    )
    given = be.array(data), be.array(SEGMENTS)
    close(ops.scatter(*given, dim_size=5, aggr=aggr, axis=axis), want.numpy())
    close(ops.scatter(*given, aggr=aggr, axis=axis), want.numpy())
    compiled = compile(lambda x, i: ops.scatter(x, i, dim_size=5, aggr=aggr, axis=axis), be)
    close(compiled(*given), want.numpy())


def test_the_softmax_of_segments_is_scipys(be):
    want = np.empty_like(DATA)
    for segment in set(SEGMENTS):
        want[segment == SEGMENTS] = special.softmax(DATA[segment == SEGMENTS], axis=0)
    for shift in (0, 1000):
        close(
            ops.scatter(be.array(DATA + shift), be.array(SEGMENTS), aggr="softmax"),
            want,
            atol=1e-4 * (shift > 0) + 2e-6,
        )


def test_nothing_gives_nothing_and_empty_segments_are_zero(be):
    none = be.array(np.zeros((0, 2), "float32")), be.array(np.zeros(0, int))
    for aggr in REDUCTIONS:
        assert ops.scatter(*none, aggr=aggr).shape == (0, 2)
        close(ops.scatter(*none, dim_size=3, aggr=aggr), np.zeros((3, 2)))
    assert ops.scatter(*none, aggr="softmax").shape == (0, 2)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint64"])
def test_segments_of_integers_keep_their_dtype(be, dtype):
    data, places = ops.asarray([3, 1, 2], dtype=dtype), be.array(np.array([0, 0, 2]))
    for aggr, want in (("add", [4, 0, 2, 0]), ("max", [3, 0, 2, 0]), ("min", [1, 0, 2, 0])):
        got = np.asarray(ops.scatter(data, places, dim_size=4, aggr=aggr))
        assert (got.dtype, got.tolist()) == (dtype, want)
    close(ops.scatter(data, places, aggr="mean"), np.array([2.0, 0.0, 2.0]))


def test_equal_extremes_share_the_gradient(be):
    data, places = be.array(np.array([1.0, 3.0, 3.0, 3.0, 2.0])), be.array(np.array([0, 0, 0, 0, 1]))
    for aggr, want in (("max", [0, 1 / 3, 1 / 3, 1 / 3, 1]), ("min", [1, 0, 0, 0, 1])):
        got = grad(lambda x: ops.sum(ops.scatter(x, places, dim_size=3, aggr=aggr)))(data)  # noqa: B023
        close(got, np.array(want), "float64")
    x, one = be.array(np.array([3.0, 0.0])), be.array(np.array([0, 0]))
    old, new = grad(lambda x, y: ops.sum(ops.index_max(x, one, y)), (0, 1))(x, be.array(np.array([3.0, 3.0])))
    close(old, np.array([1 / 3, 1]), "float64")
    close(new, np.array([1 / 3, 1 / 3]), "float64")


def test_the_gradient_of_a_mean_and_a_softmax_agree_with_torch(be):
    torch = pytest.importorskip("torch")
    weights = RNG.normal(size=(6, 3))
    x = torch.tensor(DATA.astype("float64"), requires_grad=True)
    parts = [torch.softmax(x[torch.tensor(segment == SEGMENTS)], 0) for segment in (0, 2, 4)]
    rows = torch.cat([torch.tensor(weights)[torch.tensor(segment == SEGMENTS)] for segment in (0, 2, 4)])
    (torch.cat(parts) * rows).sum().backward()
    given, own = be.array(SEGMENTS), be.array(weights)
    got = grad(lambda x: ops.sum(ops.multiply(ops.scatter(x, given, dim_size=5, aggr="softmax"), own)))
    loose = {"rtol": 2e-6, "atol": 1e-6} if be == "mlx" else {}  # its exp is good to float32 alone
    close(got(be.array(DATA.astype("float64"))), x.grad.numpy(), "float64", **loose)


def test_of_several_writes_to_one_place_the_last_wins(be):
    x, places = be.array(np.zeros(4, "float32")), be.array(np.array([1, 3, 1, -3]))
    new = be.array(np.arange(4, dtype="float32") + 5)
    for run in (ops.index_update, compile(lambda *a: ops.index_update(*a), be)):
        close(run(x, places, new), np.array([0.0, 8.0, 0.0, 6.0]))
    at = be.array(np.array([[1], [3], [1], [-3]]))
    for run in (ops.tensor_scatter_nd_update, compile(lambda *a: ops.tensor_scatter_nd_update(*a), be)):
        close(run(x, at, new), np.array([0.0, 8.0, 0.0, 6.0]))
    old, fresh = grad(lambda x, y: ops.sum(ops.index_update(x, places, y)), (0, 1))(x, new)
    close(old, np.array([1.0, 0.0, 1.0, 0.0]))
    close(fresh, np.array([0.0, 1.0, 0.0, 1.0]))


ND = {
    "update": lambda a, i, v: a.__setitem__(i, v),
    "add": np.add.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


@pytest.mark.parametrize("how", ND)
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_coordinates_agree_with_numpy(be, how, depth):
    shape, count = (3, 4, 2), 5
    x = RNG.normal(size=shape).astype("float32")
    places = np.stack(
        [RNG.integers(-n, n, (count, 2)) for n in shape[:depth]] or [np.zeros((count, 2), int)], -1
    )
    places = places[..., :depth]
    new = RNG.normal(size=(count, 2, *shape[depth:])).astype("float32")
    want = x.copy()
    for row, value in zip(places.reshape(10, depth), new.reshape(10, *shape[depth:]), strict=True):
        ND[how](want, tuple(row), value)
    op = getattr(ops, f"tensor_scatter_nd_{how}")
    close(op(be.array(x), be.array(places), be.array(new)), want)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int32", "uint64", "int64"])
def test_places_may_be_integers_of_any_dtype(be, dtype):
    x, places = be.array(np.arange(4, dtype="float32")), ops.asarray([0, 3], dtype=dtype)
    close(ops.take(x, places), np.array([0.0, 3.0]))
    close(ops.index_add(x, places, be.array(np.ones(2, "float32"))), np.array([1.0, 1.0, 2.0, 4.0]))
    close(ops.index_update(x, places, 9.0), np.array([9.0, 1.0, 2.0, 9.0]))


def test_one_place_may_be_a_plain_number(be):
    x = be.array(DATA)
    close(ops.take(x, 2), DATA[2])
    close(ops.take(x, -1, axis=1), DATA[:, -1])
    close(ops.take(x, be.array(np.array(4))), DATA[4])
    close(ops.take(be.array(DATA[0]), be.array(np.array([1])), axis=None), DATA[0, [1]])
    close(ops.index_add(x, 2, 1.0), DATA + (np.arange(6) == 2)[:, None])


def test_writing_nothing_and_into_nothing(be):
    none, empty = be.array(np.zeros(0, int)), be.array(np.zeros((3, 0), "float32"))
    for op in (ops.index_add, ops.index_max, ops.index_min, ops.index_update):
        close(op(be.array(DATA), none, be.array(np.zeros((0, 3), "float32"))), DATA)
        assert op(empty, be.array(np.array([1])), be.array(np.zeros((1, 0), "float32"))).shape == (3, 0)
    assert ops.take(be.array(np.zeros((0, 2), "float32")), none).shape == (0, 2)


def outside(be):
    x, y = be.array(DATA), be.array(DATA[:2])
    at = lambda *values: be.array(np.array(values))
    return [
        (lambda: ops.take(x, at(0, 6)), "take: index 6 is out of bounds for axis 0 with size 6"),
        (lambda: ops.take(x, at(-4), axis=1), "take: index -4 is out of bounds for axis 1 with size 3"),
        (lambda: ops.take(x, 6), "take: index 6 is out of bounds for axis 0 with size 6"),
        (lambda: ops.take(x[:0], at(0)), "take: index 0 is out of bounds for axis 0 with size 0"),
        (lambda: ops.index_add(x, at(0, 9), y), "index_add: index 9 is out of bounds for axis 0 with size 6"),
        (lambda: ops.index_max(x, at(0, 9), y), "index_max: index 9 is out of bounds"),
        (lambda: ops.index_update(x, at(0, 9), y), "index_update: index 9 is out of bounds"),
        (lambda: ops.take_along_axis(x, at([9]), axis=0), "take_along_axis: index 9 is out of bounds"),
        (
            lambda: ops.tensor_scatter_nd_update(x, at([0, 3]), at(1.0)),
            "tensor_scatter_nd_update: index 3 is out of bounds for axis 1 with size 3",
        ),
        (lambda: ops.scatter(x, at(0, 1, 2, 3, 4, 5), 5), "scatter: index 5 is out of bounds for axis 0"),
        (lambda: ops.scatter(x, at(0, 1, 2, 3, 4, -1)), "scatter: expected no negative indices, got -1"),
    ]


@pytest.mark.parametrize("number", range(11))
def test_a_place_that_is_not_there_is_named_alike(be, number):
    call, words = outside(be)[number]
    with pytest.raises(IndexError, match=words):
        call()


def test_tensors_name_it_alike(be):
    x = tensor.convert_to_tensor(be.array(DATA))
    with pytest.raises(IndexError, match="scatter: index 5 is out of bounds for axis 0 with size 5"):
        ops.scatter(x, tensor.array([0, 1, 2, 3, 4, 5]), 5)
    with pytest.raises(IndexError, match="index_update: index 7 is out of bounds for axis 0 with size 6"):
        ops.index_update(x, tensor.array([7]), 0.0)


def test_faults_are_named(be):
    x, places = be.array(DATA), be.array(SEGMENTS)
    with pytest.raises(
        ValueError, match=r"scatter: expected one index for each of 3 slices along axis 1, got \(6,\)"
    ):
        ops.scatter(x, places, 5, axis=1)
    with pytest.raises(ValueError, match="scatter: aggr is one of add, max, min, mean, softmax, got 'sum'"):
        ops.scatter(x, places, 5, aggr="sum")
    for op in (ops.take, ops.take_along_axis):
        with pytest.raises(TypeError, match=f"{op.__name__}: indices must be integers, got float32"):
            op(x, x)
    with pytest.raises(ValueError, match="index_update: updates of shape"):
        ops.index_update(x, places, be.array(DATA[:4]))
    with pytest.raises(ValueError, match="must name the first axes"):
        ops.tensor_scatter_nd_update(x, be.array(np.zeros((1, 3), int)), x)
    with pytest.raises(ValueError, match="take: name an axis"):
        ops.take(x, places, axis=None)
    with pytest.raises(
        TypeError, match="scatter: dim_size must be given where the values of indices are not known"
    ):
        compile(lambda x, i: ops.scatter(x, i), be)(x, places)


def test_indices_that_a_function_of_jax_closes_over_are_looked_at():
    jax = pytest.importorskip("jax")
    x, places = jax.numpy.arange(4.0), jax.numpy.asarray([3, 0])
    np.testing.assert_array_equal(jax.jit(lambda x: ops.take(x, places))(x), [3, 0])
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        jax.jit(lambda x: ops.take(x[:2], places))(x)
