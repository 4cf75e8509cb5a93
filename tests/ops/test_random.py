"""Random numbers: JAX's, bit for bit, on every engine; rightly distributed; the same after the same seed."""

import math

import numpy as np
import pytest
from scipy import stats

from conftest import ENGINES, close
from ember_ml import backend, ops
from ember_ml.compiler import compile, grad, vmap
from ember_ml.core import as_dtype
from ember_ml.ops.random import drawing_from

SEEDS = [0, 2**40 + 7]


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax", reason="jax is the oracle")
    with backend.use_backend("jax"):
        pass  # 64-bit mode, as our arrays of 64 bits need
    return jax


def jax_key(jax, seed):
    return jax.random.wrap_key_data(jax.numpy.asarray([seed >> 32, seed & 0xFFFFFFFF], dtype="uint32"))


def key(be, seed):
    return be.array(np.array([seed >> 32, seed & 0xFFFFFFFF], "uint32"))


def same(got, want):
    assert as_dtype(got.dtype) == as_dtype(want.dtype)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_key_is_that_of_jax(be, jax, seed):
    same(ops.key(seed), jax.random.key_data(jax.random.key(seed)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 0)])
def test_bits_are_those_of_jax(be, jax, seed, shape):
    same(ops.random_bits(key(be, seed), shape), jax.random.bits(jax_key(jax, seed), shape, "uint32"))


@pytest.mark.parametrize("data", [1, 2**31])
def test_fold_in_is_that_of_jax(be, jax, data):
    want = jax.random.key_data(jax.random.fold_in(jax_key(jax, 42), np.uint32(data)))
    same(ops.fold_in(key(be, 42), data), want)
    same(ops.fold_in(key(be, 42), be.array(np.array(data, "uint32"))), want)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_unit_uniforms_are_those_of_jax(be, jax, dtype):
    if not be.supports(dtype):
        pytest.skip(f"{be} has no {dtype}")
    got = ops.uniform((1000,), dtype=dtype, key=key(be, 7))
    assert as_dtype(got.dtype) == dtype
    if dtype in ("float16", "bfloat16"):  # JAX draws 16 bits for these; we cut 32, so that all dtypes agree
        fine = np.asarray(ops.uniform((1000,), key=key(be, 7)))
        coarse = np.asarray(ops.astype(got, dtype="float32"))
        assert (np.abs(fine - coarse) <= 2.0 ** (-10 if dtype == "float16" else -7)).all()
        return
    same(got, jax.random.uniform(jax_key(jax, 7), (1000,), dtype))


def test_uniforms_stay_in_their_bounds(be):
    x = np.asarray(ops.uniform((20000,), -3.0, 5.0, key=key(be, 1)))
    assert x.min() >= -3.0
    assert x.max() < 5.0
    assert stats.kstest(x, "uniform", (-3, 8)).pvalue > 1e-3


@pytest.mark.parametrize("n", [0, 2, 1000])
def test_a_permutation_is_that_of_jax(be, jax, n):
    same(ops.permutation(n, key=key(be, 3)), jax.random.permutation(jax_key(jax, 3), n).astype("int64"))


def test_a_permutation_of_rows_moves_whole_rows(be):
    x = np.arange(20.0).reshape(10, 2)
    got = np.asarray(ops.permutation(be.array(x), key=key(be, 3)))
    np.testing.assert_array_equal(got, x[np.asarray(ops.permutation(10, key=key(be, 3)))])
    assert sorted(got[:, 0]) == sorted(x[:, 0])


def test_normals_have_the_moments_and_the_shape_of_a_bell(be):
    x = np.asarray(ops.normal((20000,), key=key(be, 5)), "float64")
    n = len(x)
    assert abs(x.mean()) < 4 / math.sqrt(n)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs(stats.skew(x)) < 4 * math.sqrt(6 / n)
    assert abs(stats.kurtosis(x)) < 4 * math.sqrt(24 / n)
    assert stats.kstest(x, "norm").pvalue > 1e-3
    assert np.isfinite(x).all()
    close(
        ops.normal((20000,), 2.0, 3.0, key=key(be, 5)), (3 * x + 2).astype("float32"), rtol=1e-5, atol=1e-5
    )  # two roundings


def test_neighbouring_numbers_do_not_depend_on_each_other(be):
    x = np.asarray(ops.normal((20000,), key=key(be, 6)), "float64")
    y = np.asarray(ops.normal((20000,), key=key(be, 7)), "float64")
    for a, b in ((x[:-1], x[1:]), (x[::2], x[1::2]), (x, y)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(len(a))


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_truths_come_as_often_as_asked(be, p):
    hits = np.asarray(ops.bernoulli((20000,), p, key=key(be, 8)))
    assert hits.dtype == bool
    assert abs(hits.mean() - p) <= 4 * math.sqrt(p * (1 - p) / 20000)


def test_a_seed_gives_the_same_numbers_again_and_each_draw_others(be):
    def draws():
        ops.set_seed(11)
        return [
            np.asarray(x)
            for x in (ops.uniform((5,)), ops.uniform((5,)), ops.normal((5,)), ops.permutation(50))
        ]

    first, again = draws(), draws()
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != first[1]).all()
    assert ops.get_seed() == 11


def test_the_stream_is_the_same_on_every_engine():
    seen = []
    for name in ENGINES:
        with backend.use_backend(name):
            ops.set_seed(2**35 + 1)
            seen.append(
                [np.asarray(x) for x in (ops.uniform((9,)), ops.bernoulli((9,), 0.3), ops.permutation(9))]
            )
    for other in seen[1:]:
        for a, b in zip(seen[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_stream_can_be_left_and_taken_up_again(be):
    ops.set_seed(1)
    ops.uniform((2,))
    place = ops.get_stream()
    first = np.asarray(ops.uniform((2,)))
    ops.set_stream(place)
    np.testing.assert_array_equal(np.asarray(ops.uniform((2,))), first)


def test_a_compiled_function_draws_anew_at_each_call_and_the_same_after_a_seed(be):
    noisy = compile(lambda x: (ops.add(x, ops.uniform((4,), like=x)), ops.normal((4,))), be)
    x = be.array(np.zeros(4, "float32"))

    def draws():
        ops.set_seed(3)
        return [np.asarray(y) for _ in range(3) for y in noisy(x)]

    first, again = draws(), draws()
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(np.unique(np.concatenate(first))) == 24
    assert len(noisy.graphs) == 1


def test_engines_compiled_draws_agree():
    seen = []
    for name in ENGINES:
        with backend.use_backend(name) as be:
            ops.set_seed(9)
            seen.append(np.asarray(compile(lambda: ops.uniform((6,)), be)()))
    for other in seen[1:]:
        np.testing.assert_array_equal(seen[0], other)


def test_random_numbers_are_constants_to_a_gradient(be):
    def f(x):
        return ops.sum(ops.multiply(x, ops.uniform((3,), key=key(be, 1), like=x)))

    close(grad(f)(be.array(np.ones(3, "float32"))), np.asarray(ops.uniform((3,), key=key(be, 1))))


@pytest.mark.parametrize("dtype", ["int32", "complex64", "bool"])
def test_random_numbers_are_floats(be, dtype):
    with pytest.raises(TypeError, match=f"random numbers are floats, got dtype {dtype}"):
        ops.uniform((2,), dtype=dtype)


def draw(like):
    return ops.uniform((), like=like)


def scanned(x):
    return ops.scan(lambda c, row: (c, draw(row)), (), x)[1]


def chosen_in_a_scan(x):
    return ops.map(lambda row: ops.cond(ops.less(row, 1.0), draw, lambda x: x, row), x)


def repeated(x):
    """Four draws of a while loop, each written to its place."""

    def body(carry):
        i, found = carry
        return i + 1, ops.where(ops.equal(ops.arange(4, dtype="int32", like=x), i), draw(x), found)

    return ops.while_loop(lambda c: ops.less(c[0], 4), body, (ops.asarray(0, dtype="int32", like=x), x))[1]


@pytest.mark.parametrize("loop", [scanned, chosen_in_a_scan, repeated])
def test_in_a_loop_under_a_key_every_step_draws_anew(be, loop):
    def keyed(x, key):
        with drawing_from(key):
            return loop(x), loop(x)

    x = be.array(np.zeros(4, "float32"))
    one, two = map(np.asarray, keyed(x, key(be, 1)))
    assert len(np.unique([one, two])) == 8
    same(keyed(x, key(be, 1))[0], one)
    assert (np.asarray(keyed(x, key(be, 2))[0]) != one).all()
    for got, want in zip(compile(keyed)(x, key(be, 1)), (one, two), strict=True):
        same(got, want)


def test_in_vmap_under_a_key_every_call_draws_anew(be):
    x = be.array(np.zeros(4, "float32"))
    with drawing_from(key(be, 1)):
        one, two = (np.asarray(vmap(draw)(x)) for _ in range(2))
    assert len(np.unique([one, two])) == 2  # one number at every place, as vmap says
    with drawing_from(key(be, 1)):
        same(vmap(draw)(x), one)
