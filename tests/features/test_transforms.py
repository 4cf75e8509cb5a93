"""The classes of features: thin over the ops, in the seed's words, on the engine of what they are given."""

from contextvars import copy_context

import numpy as np
import pytest

from conftest import ENGINES, close
from ember_ml import backend, features, nn, tensor

preprocessing = pytest.importorskip("sklearn.preprocessing")
decomposition = pytest.importorskip("sklearn.decomposition")
SAMPLES = np.random.default_rng(2).normal(size=(20, 4)).astype("float32")


def test_the_original_path_leads_here():
    assert nn.features.PCA is features.PCA
    for name in ("get_features", "set_features", "pca_features", "one_hot", "scatter", "PCAInterface"):
        assert getattr(nn.features, name) is getattr(features, name)


def test_pca_learns_transforms_and_returns(be):
    want = decomposition.PCA(2).fit(SAMPLES)
    pca = features.pca_features()
    got = pca.fit_transform(be.array(SAMPLES), 2)
    assert be.owns(type(got))
    close(got, want.transform(SAMPLES), atol=2e-5)
    close(pca.inverse_transform(got), want.inverse_transform(want.transform(SAMPLES)), atol=2e-5)
    close(pca.components, want.components_, atol=2e-5)
    close(pca.mean, want.mean_, atol=1e-6)
    close(pca.explained_variance, want.explained_variance_)
    close(pca.explained_variance_ratio, want.explained_variance_ratio_)
    close(pca.singular_values, want.singular_values_)
    close(
        features.PCA(2).fit(be.array(SAMPLES)).transform(be.array(SAMPLES[:3])),
        np.asarray(got)[:3],
        atol=2e-5,
    )


def test_a_scale_is_learned_from_some_samples_and_put_on_others(be):
    want = preprocessing.StandardScaler().fit(SAMPLES[:10])
    scale = features.standardize_features().fit(be.array(SAMPLES[:10]))
    got = scale.transform(be.array(SAMPLES[10:]))
    close(got, want.transform(SAMPLES[10:]), rtol=1e-4, atol=1e-5)
    close(scale.inverse_transform(got), SAMPLES[10:], atol=1e-5)
    close(features.Standardize(with_mean=False, with_std=False).fit_transform(be.array(SAMPLES)), SAMPLES)
    close(features.normalize_features().fit_transform(be.array(SAMPLES)), preprocessing.normalize(SAMPLES))


@pytest.mark.parametrize("make", [features.PCA, features.Standardize])
def test_what_has_learned_nothing_says_so(make):
    for method in ("transform", "inverse_transform"):
        with pytest.raises(ValueError, match="it has learned nothing yet; call fit first"):
            getattr(make(), method)(SAMPLES)


def test_tensors_come_back_as_tensors(be):
    got = features.PCA(1).fit_transform(tensor.array(SAMPLES))
    assert type(got) is tensor.EmberTensor


def test_classes_and_segments(be):
    made = features.tensor_features()
    close(made.one_hot(be.array(np.array([0, 2])), 3), np.array([[1.0, 0, 0], [0, 0, 1]]))
    data, segments = be.array(SAMPLES[:3]), be.array(np.array([0, 1, 1]))
    close(made.scatter(data, segments, aggr="mean"), np.stack([SAMPLES[0], SAMPLES[1:3].mean(0)]))


@pytest.mark.parametrize("name", ENGINES)
def test_choosing_features_moves_lists_and_not_the_active_backend(name):
    def check():
        features.set_features(name)
        assert features.get_features() == name
        assert backend.get_backend() == "numpy"
        made = features.normalize_features().transform([[3.0, 4.0]])
        assert str(made.backend) == name
        assert isinstance(features.normalize_features().transform(SAMPLES), np.ndarray)

    with backend.use_backend("numpy"):
        copy_context().run(check)
        assert features.get_features() == "numpy"
    with pytest.raises(ValueError, match="unknown"):
        features.set_features("abacus")


def test_interfaces_are_claims_that_hold():
    assert isinstance(features.pca_features(), features.PCAInterface)
    assert isinstance(features.standardize_features(), features.StandardizeInterface)
    assert isinstance(features.normalize_features(), features.NormalizeInterface)
    assert isinstance(features.tensor_features(), features.TensorFeaturesInterface)
