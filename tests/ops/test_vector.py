"""Vectors and waves: by their formulas, and with defined answers where a formula has none."""

import numpy as np
import pytest
from scipy import stats

from conftest import close as close_to
from ember_ml import ops
from ember_ml.compiler import grad

RNG = np.random.default_rng(3)
A, B = RNG.normal(size=(2, 60)).astype("float32")


def close(got, want, dtype="float32", **loose):
    close_to(got, np.asarray(want), dtype, **loose)


def phases(a, b):
    return np.angle(np.fft.fft(a) * np.conj(np.fft.fft(b)))


def strength(a, b):
    return np.corrcoef(a, b)[0, 1] * (1 - np.abs(phases(a, b)).mean() / np.pi)


def sine(be, phase, n=64, periods=4):
    return be.array(np.sin(2 * np.pi * periods * np.arange(n) / n + phase).astype("float32"))


def test_a_vector_of_length_1_points_the_same_way(be):
    x = np.array([[3.0, 4.0], [0.0, 0.0]], "float32")
    close(ops.normalize_vector(be.array(x)), x / 5)
    close(ops.normalize_vector(be.array(x), axis=1), [[0.6, 0.8], [0, 0]])
    close(ops.normalize_vector(be.array(np.array([3e30, 4e30], "float32"))), [0.6, 0.8])
    close(ops.normalize_vector(be.array(np.array([3e-30, 4e-30], "float32"))), [0.6, 0.8])
    assert tuple(ops.normalize_vector(be.array(np.zeros((0, 3), "float32"))).shape) == (0, 3)


def test_gradients_are_finite_where_vectors_vanish(be):
    zero, one = be.array(np.zeros(3, "float32")), be.array(np.ones(3, "float32"))
    for f in (
        lambda x: ops.sum(ops.normalize_vector(x)),
        lambda x: ops.cosine_similarity(x, one),
        lambda x: ops.euclidean_distance(x, zero),
    ):
        close(grad(f)(zero), np.zeros(3))


def test_distances_and_angles(be):
    a, b = be.array(A.reshape(6, 10)), be.array(B.reshape(6, 10))
    close(ops.euclidean_distance(a, b), np.linalg.norm(A - B))
    close(ops.euclidean_distance(a, b, axis=1), np.linalg.norm((A - B).reshape(6, 10), axis=1))
    close(ops.cosine_similarity(a, b), A @ B / np.linalg.norm(A) / np.linalg.norm(B))
    close(ops.cosine_similarity(a, a, axis=1), np.ones(6))
    close(ops.cosine_similarity(a * 0, b), 0.0)


def test_decay_and_bell(be):
    x = be.array(np.array([2.0, 2.0, 4.0], "float32"))
    close(ops.exponential_decay(x, 0.5), [2, 2 * np.exp(-0.5), 4 * np.exp(-1.0)])
    close(ops.exponential_decay(x, rate=0.5, time_step=2.0), np.array([2, 2, 4]) * np.exp(-1.0))
    close(ops.exponential_decay(ops.ones((3, 2)), 1.0), np.exp(-np.arange(3.0))[:, None] * np.ones(2))
    points = np.linspace(-3, 4, 9).astype("float32")
    close(ops.gaussian(be.array(points)), stats.norm.pdf(points), atol=1e-7)
    close(ops.gaussian(be.array(points), 1.0, 2.5), stats.norm.pdf(points, 1, 2.5), atol=1e-7)


def test_energy_is_stable_where_windows_hold_the_same(be):
    energy = (A.reshape(6, 10).astype("float64") ** 2).sum(1)
    close(ops.compute_energy_stability(be.array(A), 10), 1 / (1 + energy.var() / energy.mean()))
    close(
        ops.compute_energy_stability(be.array(A[:59]), window_size=10),
        1 / (1 + energy[:5].var() / energy[:5].mean()),
    )
    close(ops.compute_energy_stability(sine(be, 0.0), 16), 1.0)
    for wave in (A, np.zeros(300, "float32")):
        close(ops.compute_energy_stability(be.array(wave)), 1.0)
    with pytest.raises(
        ValueError, match="compute_energy_stability: window_size must be a positive integer, got 0"
    ):
        ops.compute_energy_stability(be.array(A), 0)


def test_strength_is_correlation_less_phase(be):
    close(ops.compute_interference_strength(be.array(A), be.array(B)), strength(A, B), atol=1e-6)
    close(
        ops.compute_interference_strength(be.array(A[:50]), be.array(B)), strength(A[:50], B[:50]), atol=1e-6
    )
    stacked = ops.compute_interference_strength(be.array(np.stack([A, B])), be.array(B))
    close(stacked, [strength(A, B), 1.0], atol=1e-6)


def test_phases_of_pure_waves_are_not_drowned_in_rounding_errors(be):
    for phase in (0.0, 0.5, 3.0):
        got = ops.compute_interference_strength(sine(be, 0.0), sine(be, phase))
        close(got, np.cos(phase) * (1 - phase / np.pi), atol=1e-5)
        close(ops.compute_phase_coherence(sine(be, 0.0), sine(be, 0.0)), 1.0, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 1.1, 3.3])  # the computed mean of some is not exact
def test_constant_waves_have_a_defined_strength(be, value):
    steady = be.array(np.full(60, value, "float32"))
    for other in (steady, be.array(A)):
        assert float(ops.compute_interference_strength(steady, other)) == 0
        assert np.isfinite(float(ops.compute_phase_coherence(steady, other)))


def test_coherence_counts_the_frequencies_asked_for_alone(be):
    turns = np.exp(1j * phases(A, B))
    close(ops.compute_phase_coherence(be.array(A), be.array(B)), abs(turns.mean()), atol=1e-6)
    f = np.abs(np.fft.fftfreq(60))
    within = abs(turns[(f >= 0.1) & (f <= 0.25)].mean())
    close(ops.compute_phase_coherence(be.array(A), be.array(B), (0.1, 0.25)), within, atol=1e-6)
    with pytest.raises(
        ValueError, match=r"compute_phase_coherence: waves of 60 values have no frequency between"
    ):
        ops.compute_phase_coherence(be.array(A), be.array(B), (0.6, 0.9))


def test_windows_slide_by_one(be):
    got = np.asarray(ops.partial_interference(be.array(A), be.array(B), 20))
    assert got.shape == (41,)
    for i in (0, 7, 40):
        close(got[i], strength(A[i : i + 20], B[i : i + 20]), atol=1e-6)
    with pytest.raises(
        ValueError, match="partial_interference: a window of 100 values does not fit waves of 60"
    ):
        ops.partial_interference(be.array(A), be.array(B))
