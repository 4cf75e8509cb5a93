"""Maps of scores: SciPy's filter, and the same peaks on every engine."""

import numpy as np
import pytest
from scipy import ndimage

from conftest import close
from ember_ml import ops

RNG = np.random.default_rng(6)


@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, (4, 1, 3)])
def test_a_maximum_filter_is_scipys(be, size, mode):
    x = RNG.normal(size=(6, 5, 7)) - 1.0
    want = ndimage.maximum_filter(x, size, mode=mode, cval=-0.5)
    np.testing.assert_array_equal(
        np.asarray(ops.maximum_filter(be.array(x), size, mode=mode, cval=-0.5)), want
    )


def test_peaks_are_the_same_on_every_engine_plateaus_and_all(be):
    scores = RNG.random((12, 12, 12)).astype("float32")
    scores[3:5, 3, 3] = 2.0  # a plateau of two places
    scores[0, 0, 0] = -1.0
    want = np.argwhere(ndimage.maximum_filter(scores, 3, mode="constant") == scores)
    found = np.asarray(ops.max_filter_coordinates(be.array(scores), 3))
    np.testing.assert_array_equal(found, want)
    assert {(3, 3, 3), (4, 3, 3)} <= set(map(tuple, found.tolist()))


def test_below_zero_nothing_at_the_border_is_a_peak(be):
    scores = np.full((5, 5), -2.0)
    scores[2, 2] = scores[0, 4] = -1.0
    np.testing.assert_array_equal(np.asarray(ops.max_filter_coordinates(be.array(scores), 3)), [[2, 2]])


def test_the_best_rotation_so_far_is_kept(be, dtype):
    old = np.array([0.5, 0.2, np.nan, 0.9], dtype)
    new = np.array([0.4, 0.3, 0.1, 0.9], dtype)
    index = np.array([3, 3, 3, 3], "int32")
    best, which = ops.max_score_over_rotations(be.array(new), be.array(old), be.array(index), 7)
    np.testing.assert_array_equal(np.asarray(best), np.array([0.5, 0.3, np.nan, 0.9], dtype))
    np.testing.assert_array_equal(np.asarray(which), [3, 7, 3, 3])
    assert str(which.dtype).endswith("int32")


def test_scores_are_normalised_by_what_the_mask_saw(be, dtype):
    places = RNG.normal(size=(4, 30)).astype(dtype)
    places[2] = 1.5  # flat: its standard deviation counts as 1
    template = RNG.normal(size=30).astype(dtype)
    arr, squares, sums = places @ template, (places**2).sum(-1), places.sum(-1)
    got = ops.norm_scores(be.array(arr), be.array(squares), be.array(sums), 30, eps=1e-2)
    std = places.std(-1)
    std[2] = 1.0
    # the difference of two means of size 1 keeps all but a few digits
    close(got, arr / (30 * std), dtype, rtol={"float32": 2e-5, "float64": 1e-12}[dtype])
