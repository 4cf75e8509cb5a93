"""Order, search and sets against NumPy; ties, NaNs, extreme integers; gradients against torch's."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops, tensor
from ember_ml.compiler import compile, grad

RNG = np.random.default_rng(8)
X = RNG.normal(size=(4, 5))
TIES = np.array([2.0, np.nan, -1.0, 2.0, np.inf, -np.inf, np.nan, -1.0, 0.0])
EDGES = {
    "int8": [-128, 127, 0, -128, 5],
    "uint8": [0, 255, 7, 0, 7],
    "int64": [-(2**63), 2**63 - 1, 0, -1, 0],
    "uint64": [0, 2**64 - 1, 2**63, 7, 7],
    "float32": [np.inf, -0.0, 0.0, -np.inf, 1e-30],
}


def host(x):
    return np.asarray(x)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_nans_come_last_and_ties_keep_their_order(be, descending, compiled):
    x = be.array(TIES)
    numbers = np.flatnonzero(~np.isnan(TIES))
    key = -TIES[numbers] if descending else TIES[numbers]
    order = [*numbers[np.argsort(key, kind="stable")], *np.flatnonzero(np.isnan(TIES))]

    def argsort(x):
        return ops.argsort(x, descending=descending)

    def sort(x):
        return ops.sort(x, descending=descending)

    if compiled:
        argsort, sort = compile(argsort, be), compile(sort, be)
    np.testing.assert_array_equal(host(argsort(x)), order)
    np.testing.assert_array_equal(host(sort(x)), TIES[order])


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("descending", [False, True])
def test_every_kind_of_number_is_sorted(be, name, descending):
    x = np.array(EDGES[name], name)
    want = np.sort(x)[::-1] if descending else np.sort(x)
    for run in (ops.sort, lambda x, descending: ops.sort(tensor.array(x), descending=descending)):
        got = run(be.array(x), descending=descending)
        np.testing.assert_array_equal(host(got), want)
        assert str(host(got).dtype) == name


@pytest.mark.parametrize("descending", [False, True])
def test_the_gradient_of_a_sort_goes_where_the_values_came_from(be, descending):
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    weights = RNG.normal(size=X.shape)
    leaf = torch.tensor(X, requires_grad=True)
    (torch.sort(leaf, dim=0, descending=descending).values * torch.tensor(weights)).sum().backward()

    def loss(x):
        return ops.sum(ops.multiply(ops.sort(x, axis=0, descending=descending), be.array(weights)))

    for run in (grad(loss), compile(grad(loss), be)):
        close(host(run(be.array(X))), leaf.grad.numpy(), "float64")


def test_gradients_of_values_taken_twice_add_up(be):
    places = np.array([[0, 0, 1], [2, -1, 2], [4, 4, 4], [0, 1, 2]])
    got = grad(lambda x: ops.sum(ops.take_along_axis(x, be.array(places))))(be.array(X))
    want = np.zeros_like(X)
    np.add.at(want, (np.arange(4)[:, None], places), 1.0)
    close(host(got), want, "float64")


def test_an_index_out_of_bounds_along_an_axis_is_refused(be):
    with pytest.raises(IndexError, match="take_along_axis: index 5 is out of bounds for axis"):
        ops.take_along_axis(be.array(X), be.array(np.full((4, 1), 5)))
    with pytest.raises(ValueError, match="take_along_axis: expected indices of 2 dimensions"):
        ops.take_along_axis(be.array(X), be.array(np.array([0])))


@pytest.mark.parametrize("k", [0, 1, 4, 9])
def test_topk_is_the_head_of_a_falling_sort(be, k):
    for x in (TIES, X.ravel()[:9], np.array([3, 1, 3, 3, 0, 3, 2, 1, 1])):
        order = np.argsort(np.where(np.isnan(x), -np.inf, x) * -1.0, kind="stable")
        if np.isnan(x).any():
            order = np.asarray(
                [i for i in order if not np.isnan(x[i])] + [i for i in order if np.isnan(x[i])]
            )
        values, places = ops.topk(be.array(x), k)
        np.testing.assert_array_equal(host(places), order[:k])
        np.testing.assert_array_equal(host(values), x[order[:k]])
        (flat,) = ops.topk_indices(be.array(x), k)
        np.testing.assert_array_equal(host(flat), order[:k])


def test_topk_indices_lie_in_the_array(be):
    got = ops.topk_indices(be.array(X), k=3)
    assert len(got) == 2
    np.testing.assert_array_equal(X[tuple(map(host, got))], np.sort(X, axis=None)[::-1][:3])
    with pytest.raises(ValueError, match="k must lie between 0 and the size 5 of axis -1, got 6"):
        ops.topk(be.array(X), 6)


def test_topk_has_a_gradient(be):
    got = grad(lambda x: ops.sum(ops.topk(x, 2).values))(be.array(X))
    want = np.zeros_like(X)
    np.put_along_axis(want, np.argsort(-X)[:, :2], 1.0, axis=1)
    close(host(got), want, "float64")


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4)])
def test_unravelled_places_are_a_tuple_of_one_for_each_axis(be, shape):
    places = np.arange(int(np.prod(shape)))
    got = ops.unravel_index(be.array(places), shape)
    assert isinstance(got, tuple)
    assert len(got) == len(shape)
    for g, w in zip(got, np.unravel_index(places, shape), strict=True):
        np.testing.assert_array_equal(host(g), w)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_agrees_with_numpy(be, side):
    x1, x2 = np.array([-1.0, 0.0, 0.0, 2.0]), np.array([[0.0, 3.0, -5.0], [2.0, -1.0, np.inf]])
    want = np.searchsorted(x1, x2, side=side)
    sorter = np.array([3, 0, 1, 2])
    mixed = x1[[1, 2, 3, 0]]
    for run in (
        lambda a, b, s: ops.searchsorted(a, b, side=side),
        compile(lambda a, b, s: ops.searchsorted(a, b, side=side), be),
        lambda a, b, s: ops.searchsorted(be.array(mixed), b, side=side, sorter=s),
        compile(lambda a, b, s: ops.searchsorted(be.array(mixed), b, side=side, sorter=s), be),
    ):
        got = run(be.array(x1), be.array(x2), be.array(sorter))
        np.testing.assert_array_equal(host(got), want)
        assert str(host(got).dtype) == "int64"


def test_searchsorted_wants_one_dimension(be):
    with pytest.raises(ValueError, match="searchsorted: x1 must have one dimension"):
        ops.searchsorted(be.array(X), be.array(X))


@pytest.mark.parametrize("name", ["float32", "int64", "bool", "uint8", "uint16", "uint64"])
def test_nonzero_agrees_with_numpy(be, name):
    x = (RNG.random((4, 5)) < 0.4).astype(name)
    got = ops.nonzero(be.array(x))
    for g, w in zip(got, np.nonzero(x), strict=True):
        np.testing.assert_array_equal(host(g), w)
    np.testing.assert_array_equal(host(ops.argwhere(be.array(x))), np.argwhere(x))
    np.testing.assert_array_equal(host(tensor.array(be.array(x)).nonzero()[1]), np.nonzero(x)[1])


def test_nonzero_of_a_single_number_is_refused(be):
    with pytest.raises(ValueError, match="nonzero: expected at least one dimension"):
        ops.nonzero(be.array(np.array(3.0)))


SETS = [
    np.array([[3, 1, 1], [0, 3, 7]]),
    np.array([0.5, np.nan, -1.0, 0.5, np.nan]),
    np.array([True, False, True]),
    np.array([2, 2, 5], "uint16"),
    np.array([1 + 1j, 1 - 1j, 1 + 1j], "complex64"),
    np.zeros((0, 2)),
]


@pytest.mark.parametrize("x", SETS, ids=lambda x: f"{x.dtype}{x.shape}")
def test_unique_values_agree_with_numpy(be, x):
    want = np.unique_all(x)
    got = ops.unique_all(be.array(x))
    for name in ("values", "indices", "inverse_indices", "counts"):
        np.testing.assert_array_equal(host(getattr(got, name)), getattr(want, name), err_msg=name)
    counts, inverse = ops.unique_counts(be.array(x)), ops.unique_inverse(be.array(x))
    np.testing.assert_array_equal(host(counts.counts), want.counts)
    np.testing.assert_array_equal(host(inverse.inverse_indices), want.inverse_indices)
    np.testing.assert_array_equal(host(ops.unique_values(be.array(x))), want.values)
    values, first, how_often = ops.unique(be.array(x), return_index=True, return_counts=True)
    np.testing.assert_array_equal(host(first), want.indices)
    np.testing.assert_array_equal(host(how_often), want.counts)
    np.testing.assert_array_equal(host(ops.unique(tensor.array(be.array(x)))), host(values))


def test_compiled_code_refuses_what_depends_on_values(be):
    for op in (ops.nonzero, ops.unique_values, ops.unique, ops.argwhere):
        with pytest.raises(TypeError, match="depends on values, which compiled code does not know"):
            compile(op, be)(be.array(X))


def test_isin_agrees_with_numpy(be):
    x1, x2 = np.array([[1.0, np.nan], [3.0, -2.0]]), np.array([3.0, np.nan, -2.0, 9.0])
    for invert in (False, True):

        def isin(a, b, invert=invert):
            return ops.isin(a, b, invert=invert)

        for run in (isin, compile(isin, be)):
            got = run(be.array(x1), be.array(x2))
            np.testing.assert_array_equal(host(got), np.isin(x1, x2, invert=invert))
    assert not host(ops.isin(be.array(x1), be.array(x2[:0]))).any()


def test_bincount_agrees_with_numpy(be):
    x, weights = np.array([3, 1, 1, 0]), np.array([0.5, 1.0, 2.0, -1.0])
    np.testing.assert_array_equal(host(ops.bincount(be.array(x))), np.bincount(x))
    np.testing.assert_array_equal(
        host(ops.bincount(be.array(x), be.array(weights), minlength=6)), np.bincount(x, weights, 6)
    )
    with pytest.raises(ValueError, match="bincount: expected one dimension"):
        ops.bincount(be.array(x.reshape(2, 2)))


def test_the_largest_of_many_are_the_same_on_every_engine(be):
    """NumPy partitions instead of sorting, and must treat ties and NaNs alike."""
    x = np.random.default_rng(0).integers(0, 50, 1000).astype("float32")
    x[::7] = np.nan
    for k in (1, 20, 200, 900):
        want = np.lexsort((np.arange(x.size), -x))[:k]
        np.testing.assert_array_equal(host(ops.topk(be.array(x), k).indices), want)
