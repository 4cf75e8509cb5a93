"""Distributions: rightly shaped, of the parameters asked for, the same on every engine as far as is said."""

import math

import numpy as np
import pytest
from scipy import stats

from conftest import ENGINES, close
from ember_ml import backend, ops
from ember_ml.compiler import compile, grad
from ember_ml.core import as_dtype

LARGE, SMALL = 200_000, 4_000  # draws on NumPy, and on the other engines


def key(be, seed):
    return be.array(np.array([seed >> 32, seed & 0xFFFFFFFF], "uint32"))


def count(be):
    return LARGE if be == "numpy" else SMALL


def param(be, value, dtype="float32"):
    return be.array(np.asarray(value, dtype))


def has_moments_of(x, law):
    """Assert that mean and variance are the law's within four standard errors."""
    n, (mean, var, kurtosis) = len(x), (float(law.mean()), float(law.var()), float(law.stats(moments="k")))
    assert abs(x.mean() - mean) < 4 * math.sqrt(var / n)
    assert abs(x.var() - var) < 4 * var * math.sqrt((kurtosis + 2) / n)


def comes_as_often_as(x, law):
    """Assert by a chi-square test that whole numbers come as often as a law says."""
    values, counts = np.unique(x, return_counts=True)
    expected = law.pmf(values) * len(x)
    enough = expected > 5
    rest = len(x) - counts[enough].sum(), max(len(x) - expected[enough].sum(), 1e-9)
    distance = ((counts[enough] - expected[enough]) ** 2 / expected[enough]).sum()
    distance += (rest[0] - rest[1]) ** 2 / rest[1] if rest[1] > 5 else 0
    assert stats.chi2.sf(distance, enough.sum() - 1 + (rest[1] > 5)) > 1e-3


CONTINUOUS = {
    "exponential": (lambda n, k: ops.exponential((n,), 2.0, key=k), stats.expon(scale=2)),
    "gamma": (lambda n, k: ops.gamma((n,), 2.5, 2.0, key=k), stats.gamma(2.5, scale=0.5)),
    "gamma at 1": (lambda n, k: ops.gamma((n,), key=k), stats.gamma(1)),
    "gamma below 1": (lambda n, k: ops.gamma((n,), 0.3, key=k), stats.gamma(0.3)),
    "gamma far up": (lambda n, k: ops.gamma((n,), 500.0, 10.0, key=k), stats.gamma(500, scale=0.1)),
    "uniform": (lambda n, k: ops.uniform((n,), -3.0, 5.0, key=k), stats.uniform(-3, 8)),
    "truncated normal": (lambda n, k: ops.truncated_normal((n,), -1.0, 2.5, key=k), stats.truncnorm(-1, 2.5)),
    "normal": (lambda n, k: ops.normal((n,), 1.0, 2.0, key=k), stats.norm(1, 2)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_numbers_are_spread_as_the_law_says(be, name):
    draw, law = CONTINUOUS[name]
    x = draw(count(be), key(be, 17))
    assert as_dtype(x.dtype) == "float32"
    x = np.asarray(x, "float64")
    assert stats.kstest(x, law.cdf).pvalue > 1e-3
    has_moments_of(x, law)


DISCRETE = {
    "poisson, by its table": (lambda n, k, p: ops.poisson((n,), 3.5, key=k), stats.poisson(3.5)),
    "poisson of many, by its table": (lambda n, k, p: ops.poisson((n,), 700, key=k), stats.poisson(700)),
    "poisson beyond its table": (lambda n, k, p: ops.poisson((n,), 3e4, key=k), stats.poisson(3e4)),
    "poisson of an array": (lambda n, k, p: ops.poisson((n,), p([3.5]), key=k), stats.poisson(3.5)),
    "poisson of a large array": (lambda n, k, p: ops.poisson((n,), p([40.0]), key=k), stats.poisson(40)),
    "binomial, by its table": (lambda n, k, p: ops.binomial((n,), 30, 0.2, key=k), stats.binom(30, 0.2)),
    "binomial of an array": (lambda n, k, p: ops.binomial((n,), 5, p([0.2]), key=k), stats.binom(5, 0.2)),
    "integers": (lambda n, k, p: ops.randint((n,), -4, 9, key=k), stats.randint(-4, 9)),
    "integers of arrays": (
        lambda n, k, p: ops.randint((n,), p([-4], "int32"), p([9], "int32"), key=k),
        stats.randint(-4, 9),
    ),
    "categories": (
        lambda n, k, p: ops.categorical(p(np.log([0.1, 0.2, 0.7])), n, key=k),
        stats.rv_discrete(values=([0, 1, 2], [0.1, 0.2, 0.7])),
    ),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_whole_numbers_come_as_often_as_the_law_says(be, name):
    draw, law = DISCRETE[name]
    x = draw(count(be), key(be, 18), lambda *given: param(be, *given))
    assert as_dtype(x.dtype) == "int64"
    x = np.asarray(x)
    comes_as_often_as(x, law)
    has_moments_of(x, law)


def test_integers_of_wide_ranges_fill_them(be):
    for high in (2**15, 2**30, 2**31, 2**40 + 12345, 2**62):
        x = np.asarray(ops.randint((SMALL,), high, key=key(be, 19)))
        assert 0 <= x.min() and x.max() < high
        assert stats.kstest(x / high, "uniform").pvalue > 1e-3
    # every bit turns: no integer is left out because of too few random bits
    assert np.bitwise_or.reduce(x) == 2**62 - 1
    assert np.bitwise_and.reduce(x) == 0


def test_each_end_of_a_range_is_reached_and_the_upper_bound_is_not(be):
    assert set(np.asarray(ops.randint((200,), 3, 5, key=key(be, 1))).tolist()) == {3, 4}
    assert set(np.asarray(ops.randint((20,), 7, 8, key=key(be, 1))).tolist()) == {7}
    whole = np.asarray(ops.randint((5000,), -128, 128, dtype="int8", key=key(be, 1)))
    assert (whole.min(), whole.max()) == (-128, 127)


def test_parameters_that_are_arrays_broadcast(be):
    k = key(be, 20)
    scale = param(be, [[1.0], [100.0]])
    assert np.asarray(ops.exponential((2, 500), scale, key=k)).mean(axis=1) == pytest.approx(
        [1, 100], rel=0.2
    )
    assert np.asarray(ops.gamma((2, 500), scale, key=k)).mean(axis=1) == pytest.approx([1, 100], rel=0.2)
    assert np.asarray(ops.poisson((2, 500), scale, key=k)).mean(axis=1) == pytest.approx([1, 100], rel=0.2)
    p = param(be, [[0.1], [0.9]])
    assert np.asarray(ops.bernoulli((2, 500), p, key=k)).mean(axis=1) == pytest.approx([0.1, 0.9], abs=0.06)
    u = np.asarray(ops.uniform((2, 500), scale, param(be, [[2.0], [101.0]]), key=k))
    assert ((u >= [[1], [100]]) & (u < [[2], [101]])).all()
    n = np.asarray(ops.normal((2, 500), scale, key=k))
    assert n.mean(axis=1) == pytest.approx([1, 100], abs=0.2)


def test_an_array_alone_says_where_and_in_which_dtype_to_draw(be):
    got = ops.exponential((3,), param(be, [1.0, 2.0, 3.0], "float64"))
    assert be.owns(type(got))
    assert as_dtype(got.dtype) == "float64"
    if be != "numpy":
        with backend.use_backend("numpy"):
            assert be.owns(type(ops.gamma((3,), param(be, [1.0, 2.0, 3.0]))))


def same_on_every_engine(draw):
    seen = []
    for name in ENGINES:
        with backend.use_backend(name) as be:
            seen.append(np.asarray(draw(be)))
    for other in seen[1:]:
        np.testing.assert_array_equal(seen[0], other)
    return seen[0]


@pytest.mark.parametrize(
    "draw",
    [
        lambda be: ops.randint((300,), -5, 1000, key=key(be, 3)),
        lambda be: ops.randint((300,), 0, 2**50, key=key(be, 3)),
        lambda be: ops.randint((4,), param(be, [0, 5, -9, 2], "int64"), 2**40, key=key(be, 3)),
        lambda be: ops.poisson((300,), 12.0, key=key(be, 3)),
        lambda be: ops.binomial((300,), 50, 0.3, key=key(be, 3)),
        lambda be: ops.bernoulli((300,), param(be, [0.3]), key=key(be, 3)),
        lambda be: ops.split_key(key(be, 3), 5),
        lambda be: ops.unit_uniform(key(be, 3), (300,), "float64"),
        lambda be: ops.shuffle(be.array(np.arange(30.0)), key=key(be, 3)),
    ],
)
def test_what_is_said_to_agree_bitwise_does(draw):
    same_on_every_engine(draw)


def test_rejection_may_flip_a_draw_and_flips_few():
    """A last bit of a logarithm decides: of 4,000 draws no more than two may differ, the rest to rounding."""
    for draw in (
        lambda be: ops.gamma((SMALL,), 1.3, key=key(be, 4)),
        lambda be: ops.poisson((SMALL,), param(be, [30.0]), key=key(be, 4)),
    ):
        seen = []
        for name in ENGINES:
            with backend.use_backend(name) as be:
                seen.append(np.asarray(draw(be), "float64"))
        for other in seen[1:]:
            assert (~np.isclose(seen[0], other, rtol=1e-5, atol=1e-6)).sum() <= 2


@pytest.mark.parametrize("num", [1, 4])
def test_a_key_splits_as_in_jax(be, num):
    jax = pytest.importorskip("jax")
    theirs = jax.random.split(jax.random.wrap_key_data(jax.numpy.asarray([5, 6], dtype="uint32")), num)
    np.testing.assert_array_equal(
        np.asarray(ops.split_key(be.array(np.array([5, 6], "uint32")), num)), jax.random.key_data(theirs)
    )


def test_categories_keep_their_rows_and_never_draw_what_cannot_be(be):
    logits = param(be, [[0.0, -np.inf, 0.0], [-np.inf, 5.0, -np.inf]])
    one = np.asarray(ops.categorical(logits, key=key(be, 5)))
    assert one.shape == (2,)
    many = np.asarray(ops.categorical(logits, 300, key=key(be, 5)))
    assert many.shape == (2, 300)
    assert set(many[0].tolist()) == {0, 2}
    assert set(many[1].tolist()) == {1}


def test_compiled_draws_are_those_drawn_at_once(be):
    k = key(be, 6)
    alpha = param(be, [0.5, 3.0, 30.0])

    def draw(k, a):
        return ops.gamma((3,), a, key=k)

    close(compile(draw, be)(k, alpha), np.asarray(draw(k, alpha)), "float32")


def test_a_scale_has_the_gradient_of_the_draw_and_a_rejected_one_none(be):
    k, scale = key(be, 7), param(be, [2.0])
    drawn = np.asarray(ops.exponential((1,), scale, key=k))
    close(grad(lambda s: ops.sum(ops.exponential((1,), s, key=k)))(scale), drawn / 2)
    close(
        grad(lambda a: ops.sum(ops.gamma((1,), a, a, key=k)))(scale),
        -np.asarray(ops.gamma((1,), 2.0, 2.0, key=k)) / 2,
    )


def test_the_corners_are_what_they_must_be(be):
    k = key(be, 8)
    for drawn in (ops.poisson((9,), 0.0, key=k), ops.poisson((9,), param(be, [0.0]), key=k)):
        assert (np.asarray(drawn) == 0).all()
    assert (np.asarray(ops.binomial((9,), 7, 1.0, key=k)) == 7).all()
    assert (np.asarray(ops.binomial((9,), 0, 0.4, key=k)) == 0).all()
    assert (np.asarray(ops.exponential((9,), 0.0, key=k)) == 0).all()
    assert np.asarray(ops.gamma((0, 3), 2.0, key=k)).shape == (0, 3)
    assert np.isfinite(np.asarray(ops.gamma((SMALL,), 1e-3, key=k))).all()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: ops.randint((2,), 5, 5), r"randint: expected a range of 1 to 2\*\*63 - 1 integers"),
        (lambda: ops.randint((2,), 0, 300, dtype="int8"), "randint: integers from 0 to 299 do not fit int8"),
        (lambda: ops.gamma((2,), 0.0), "gamma: alpha must be positive, got 0.0"),
        (lambda: ops.gamma((2,), 1.0, -1.0), "gamma: beta must be positive, got -1.0"),
        (lambda: ops.poisson((2,), -1.0), "poisson: lam must not be negative, got -1.0"),
        (lambda: ops.poisson((2,), math.nan), "poisson: lam must not be negative, got nan"),
        (lambda: ops.exponential((2,), -1.0), "exponential: scale must not be negative, got -1.0"),
        (lambda: ops.binomial((2,), 3, 1.5), "binomial: p must be between 0 and 1, got 1.5"),
        (lambda: ops.binomial((2,), -3, 0.5), "binomial: n must be an integer and not negative, got -3"),
        (lambda: ops.uniform((2**17, 2**17)), r"random numbers come in arrays of less than 2\*\*32"),
    ],
)
def test_parameters_without_a_meaning_are_refused(be, draw, words):
    with pytest.raises(ValueError, match=words):
        draw()


def test_a_parameter_must_fit_the_shape(be):
    with pytest.raises(ValueError, match=r"a parameter of shape \(3,\) does not broadcast to shape \(2,\)"):
        ops.normal((2,), param(be, [1.0, 2.0, 3.0]))


def test_integers_are_asked_for_as_integers(be):
    with pytest.raises(TypeError, match="got dtype float32"):
        ops.randint((2,), 0, 5, dtype="float32")
    with pytest.raises(TypeError, match=r"bounds are integers, got 0.5"):
        ops.randint((2,), 0.5, 5)
