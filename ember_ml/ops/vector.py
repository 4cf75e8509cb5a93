"""Vectors and waves: lengths, likenesses, and how two waves go together. Waves lie along the last axis.

Phases are compared as e**i(phi1 - phi2), so that they never wrap. A frequency whose share in either wave is
no more than rounding errors (n times the dtype's step of its largest one) has no phase, and is left out.
"""

import math

from ember_ml.core.dtypes import NUMERIC, REAL, as_dtype, inexact
from ember_ml.core.op import composite
from ember_ml.core.rules import shape_of
from ember_ml.ops.comparison import equal, greater, logical_and, not_equal
from ember_ml.ops.control import stop_gradient
from ember_ml.ops.creation import arange, as_floating, asarray, astype
from ember_ml.ops.elementwise import (
    abs,
    add,
    conj,
    divide,
    exp,
    imag,
    multiply,
    quotient_where,
    real,
    square,
    subtract,
    where,
)
from ember_ml.ops.fft import fft
from ember_ml.ops.indexing import part, take
from ember_ml.ops.limits import step_of
from ember_ml.ops.linalg import vector_norm
from ember_ml.ops.reduction import max, mean, sum, var
from ember_ml.ops.shape import reshape, stack
from ember_ml.ops.trigonometry import atan2, cos, sin

__all__ = [
    "compute_energy_stability", "compute_interference_strength", "compute_phase_coherence",
    "cosine_similarity", "euclidean_distance", "exponential_decay", "gaussian", "normalize_vector",
    "partial_interference",
]  # fmt: skip


@composite(kinds=NUMERIC)
def normalize_vector(x, /, axis=None):
    """x / |x|, of the length of the whole array or along an axis. 0 stays 0, with a gradient of 0."""
    if 0 in shape_of(x):
        return x
    largest = stop_gradient(max(abs(x), axis=axis, keepdims=True))
    scaled = divide(x, where(equal(largest, 0), 1.0, largest))  # so that no square is too large or too small
    length = vector_norm(scaled, axis=axis, keepdims=True)
    return quotient_where(not_equal(length, 0), scaled, length)


@composite(kinds=NUMERIC)
def euclidean_distance(x1, x2, /, axis=None, keepdims=False):
    """|x1 - x2|, over all elements or along an axis. Its gradient is 0 where they are the same."""
    return vector_norm(subtract(x1, x2), axis=axis, keepdims=keepdims)


@composite(kinds=REAL)
def cosine_similarity(x1, x2, /, axis=None, keepdims=False):
    """The cosine of the angle between vectors, over all elements or along an axis; 0 with a zero vector."""
    together = multiply(normalize_vector(x1, axis=axis), normalize_vector(x2, axis=axis))
    return sum(together, axis=axis, keepdims=keepdims)


@composite(kinds=REAL, arrays=("initial", "rate", "time_step"))
def exponential_decay(initial, /, rate, time_step=None):
    """initial * e**(-rate * t) for t = `time_step`; without one, t is 0, 1, 2 … along the first axis."""
    if time_step is None:
        size, *rest = shape_of(initial) or (1,)
        steps = arange(size, dtype=inexact(as_dtype(initial.dtype)), like=initial)
        time_step = reshape(steps, shape=(size, *[1] * len(rest)) if shape_of(initial) else ())
    return multiply(initial, exp(multiply(multiply(rate, -1.0), time_step)))


@composite(kinds=REAL, arrays=("x", "mu", "sigma"), domain=((-2.0, 2.0), (-2.0, 2.0), (0.5, 2.0)))
def gaussian(x, /, mu=0.0, sigma=1.0):
    """The density of the normal distribution of mean mu and standard deviation sigma at x."""
    height = divide(1 / math.sqrt(2 * math.pi), sigma)
    return multiply(exp(multiply(square(divide(subtract(x, mu), sigma)), -0.5)), height)


@composite(kinds=REAL)
def compute_energy_stability(wave, /, window_size=100):
    """1 / (1 + var(E) / mean(E)), where E is the energy (sum of squares) of windows that do not overlap.

    Shapes: wave (..., n) -> (...). It is 1 for a wave of fewer than two windows, and for one of no energy;
    the end that fills no window does not count. The variance is the population's (correction 0).
    """
    _check_window(window_size)
    count = shape_of(wave)[-1] // window_size
    if count < 2:
        return add(multiply(sum(wave, axis=-1), 0.0), 1.0)
    whole = part(wave, -1, 0, count * window_size)
    windows = reshape(whole, shape=(*shape_of(wave)[:-1], count, window_size))
    energy = sum(square(windows), axis=-1)
    middle = mean(energy, axis=-1)
    spread = divide(var(energy, axis=-1), where(equal(middle, 0), 1.0, middle))
    return divide(1.0, add(spread, 1.0))


def _check_window(size):
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"window_size must be a positive integer, got {size}")


def _trimmed(wave1, wave2):
    """Return two waves of one length: what is longer loses its end."""
    sizes = [shape_of(wave)[-1] if shape_of(wave) else 0 for wave in (wave1, wave2)]
    n = sizes[0] if sizes[0] < sizes[1] else sizes[1]
    if n == 0:
        shapes = " and ".join(str(shape_of(wave)) for wave in (wave1, wave2))
        raise ValueError(f"expected waves of at least one value along their last axis, got shapes {shapes}")
    return [part(wave, -1, 0, n) for wave in (wave1, wave2)]


def _phases(wave1, wave2):
    """Return the cross spectrum of two waves as real and imaginary part, and where it has a phase."""
    spectra, live = [], None
    for wave in (wave1, wave2):
        spectrum = fft(as_floating(wave))
        size = stop_gradient(abs(spectrum))
        step = shape_of(wave)[-1] * step_of(as_dtype(spectrum.dtype))
        here = greater(size, multiply(max(size, axis=-1, keepdims=True), step))
        live = here if live is None else logical_and(live, here)
        spectra.append(spectrum)
    cross = multiply(spectra[0], conj(spectra[1]))
    return where(live, real(cross), 1.0), where(live, imag(cross), 0.0), live


def _mean_where(live, x):
    """Return the mean along the last axis of what is live; 0 where nothing is."""
    weight = astype(live, dtype=x.dtype)
    count = sum(weight, axis=-1)
    return divide(sum(multiply(weight, x), axis=-1), where(equal(count, 0), 1.0, count))


@composite(kinds=REAL)
def compute_interference_strength(wave1, wave2, /):
    """Pearson's correlation of two waves times 1 - mean |phase difference| / pi: 1 for a wave with itself.

    Shapes: (..., n), (..., n) -> (...); the longer wave loses its end. Phase differences lie within pi, and
    the mean is over all frequencies that have a phase. A constant wave goes with nothing: 0.
    """
    return _strength(*_trimmed(wave1, wave2))


def _strength(wave1, wave2):
    across, up, live = _phases(wave1, wave2)
    away = _mean_where(live, abs(atan2(up, across)))
    return multiply(_correlation(wave1, wave2), subtract(1.0, divide(away, math.pi)))


def _correlation(wave1, wave2):
    directions = []
    for wave in (wave1, wave2):
        centred = subtract(wave, mean(wave, axis=-1, keepdims=True))
        step = shape_of(wave)[-1] * step_of(as_dtype(centred.dtype))
        varies = greater(_largest(centred), multiply(_largest(wave), step))
        directions.append(normalize_vector(where(varies, centred, 0.0), axis=-1))
    return sum(multiply(*directions), axis=-1)


def _largest(wave):
    return stop_gradient(max(abs(wave), axis=-1, keepdims=True))


@composite(kinds=REAL)
def compute_phase_coherence(wave1, wave2, /, freq_range=None):
    """|mean e**(i (phi1 - phi2))| over frequencies: 1 where the phases keep one distance, near 0 by chance.

    Shapes: (..., n), (..., n) -> (...); the longer wave loses its end. `freq_range` (low, high), in cycles a
    value, keeps the frequencies f with low <= |f| <= high. Raises ValueError where there is none.
    """
    wave1, wave2 = _trimmed(wave1, wave2)
    across, up, live = _phases(wave1, wave2)
    if freq_range is not None:
        bins = asarray(_bins_between(freq_range, shape_of(live)[-1]), dtype="int64", like=wave1)
        across, up, live = (take(x, bins, axis=-1) for x in (across, up, live))
    angles = atan2(up, across)
    return vector_norm(stack([_mean_where(live, f(angles)) for f in (cos, sin)]), axis=0)


def _bins_between(freq_range, n):
    low, high = freq_range
    found = [k for k in range(n) if low <= (k if 2 * k < n else n - k) / n <= high]
    if not found:
        raise ValueError(f"waves of {n} values have no frequency between {low} and {high} cycles a value")
    return found


@composite(kinds=REAL)
def partial_interference(wave1, wave2, /, window_size=100):
    """The interference strength of each window of two waves, one value after the other.

    Shapes: (..., n), (..., n) -> (..., n - window_size + 1); the longer wave loses its end. Raises ValueError
    for a window longer than the waves.
    """
    _check_window(window_size)
    wave1, wave2 = _trimmed(wave1, wave2)
    n = shape_of(wave1)[-1]
    if window_size > n:
        raise ValueError(f"a window of {window_size} values does not fit waves of {n}")
    starts = reshape(arange(n - window_size + 1, like=wave1), shape=(-1, 1))
    places = add(starts, arange(window_size, like=wave1))
    return _strength(take(wave1, places, axis=-1), take(wave2, places, axis=-1))
