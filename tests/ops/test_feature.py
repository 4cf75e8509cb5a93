"""Feature ops against scikit-learn."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops

decomposition = pytest.importorskip("sklearn.decomposition")
preprocessing = pytest.importorskip("sklearn.preprocessing")
RNG = np.random.default_rng(5)
SAMPLES = RNG.normal(size=(30, 5)) @ RNG.normal(size=(5, 5)) + 3


@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES[:4]], ids=["tall", "wide"])
def test_components_are_those_of_scikit_learn(be, samples):
    want = decomposition.PCA(3).fit(samples)
    state = ops.pca(be.array(samples), n_components=3)
    close(state.components, want.components_, "float64", rtol=1e-9, atol=1e-10)
    close(state.mean, want.mean_, "float64")
    close(state.explained_variance, want.explained_variance_, "float64", rtol=1e-9, atol=1e-12)
    close(state.explained_variance_ratio, want.explained_variance_ratio_, "float64", rtol=1e-9, atol=1e-12)
    close(state.singular_values, want.singular_values_, "float64", rtol=1e-9, atol=1e-12)
    there = ops.transform(be.array(samples), state)
    close(there, want.transform(samples), "float64", rtol=1e-9, atol=1e-9)
    back = ops.inverse_transform(there, state)
    close(back, want.inverse_transform(want.transform(samples)), "float64", rtol=1e-9, atol=1e-9)


def test_all_components_keep_everything_and_point_to_their_largest_loading(be):
    state = ops.pca(be.array(SAMPLES.astype("float32")))
    rows = np.asarray(state.components)
    assert rows.shape == (5, 5)
    close(rows @ rows.T, np.eye(5), atol=1e-5)
    assert (np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], 1) > 0).all()
    close(np.asarray(state.explained_variance_ratio).sum(), 1.0)
    x = be.array(SAMPLES.astype("float32"))
    close(ops.inverse_transform(ops.transform(x, state), state), SAMPLES.astype("float32"), atol=1e-4)


def test_samples_that_are_all_the_same_have_no_variance(be):
    state = ops.pca(be.array(np.ones((4, 3), "float32")))
    assert (np.asarray(state.explained_variance_ratio) == 0).all()


@pytest.mark.parametrize(
    ("shape", "asked", "words"),
    [
        ((1, 3), None, r"expected at least 2 samples of 1 feature, \(n, f\), got shape \(1, 3\)"),
        ((4,), None, r"got shape \(4,\)"),
        ((4, 3), 4, r"n_components must be an integer from 1 to 3 for shape \(4, 3\), got 4"),
        ((4, 3), 0.9, r"n_components must be an integer from 1 to 3"),
    ],
)
def test_components_that_cannot_be_are_refused(be, shape, asked, words):
    with pytest.raises(ValueError, match="pca: .*" + words):
        ops.pca(be.array(np.ones(shape, "float32")), n_components=asked)


def test_scales_are_those_of_scikit_learn(be):
    x = SAMPLES.copy()
    x[:, 2] = 0.1  # constant, though its computed variance is not exactly 0
    close(
        ops.standardize(be.array(x)), preprocessing.StandardScaler().fit_transform(x), "float64", atol=1e-12
    )
    moved = preprocessing.StandardScaler(with_std=False).fit_transform(x)
    close(ops.standardize(be.array(x), with_std=False), moved, "float64", atol=1e-12)
    scaled = preprocessing.StandardScaler(with_mean=False).fit_transform(x)
    close(ops.standardize(be.array(x), with_mean=False), scaled, "float64", atol=1e-12)
    across = preprocessing.scale(SAMPLES, axis=1)
    close(ops.standardize(be.array(SAMPLES), axis=1), across, "float64", atol=1e-12)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_rows_are_scaled_as_by_scikit_learn(be, norm):
    x = SAMPLES.copy()
    x[3] = 0
    close(ops.normalize(be.array(x), norm=norm), preprocessing.normalize(x, norm), "float64")
    close(ops.normalize(be.array(x), norm=norm, axis=0), preprocessing.normalize(x, norm, axis=0), "float64")


def test_an_unknown_norm_is_refused(be):
    with pytest.raises(ValueError, match="normalize: norm must be 'l1', 'l2' or 'max', got 'l3'"):
        ops.normalize(be.array(SAMPLES), norm="l3")
