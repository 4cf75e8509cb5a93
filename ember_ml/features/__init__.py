"""Features: principal components, scales, classes and segments, on every engine."""

from ember_ml.features.interfaces import NormalizeInterface as NormalizeInterface
from ember_ml.features.interfaces import PCAInterface as PCAInterface
from ember_ml.features.interfaces import StandardizeInterface as StandardizeInterface
from ember_ml.features.interfaces import TensorFeaturesInterface as TensorFeaturesInterface
from ember_ml.features.selection import get_features as get_features
from ember_ml.features.selection import set_features as set_features
from ember_ml.features.transforms import PCA as PCA
from ember_ml.features.transforms import Normalize as Normalize
from ember_ml.features.transforms import Standardize as Standardize
from ember_ml.features.transforms import TensorFeatures as TensorFeatures
from ember_ml.ops import PCAState as PCAState
from ember_ml.ops import inverse_transform as inverse_transform
from ember_ml.ops import normalize as normalize
from ember_ml.ops import one_hot as one_hot
from ember_ml.ops import pca as pca
from ember_ml.ops import scatter as scatter
from ember_ml.ops import standardize as standardize
from ember_ml.ops import transform as transform


def pca_features() -> PCA:
    """Return a principal component analysis that has learned nothing yet."""
    return PCA()


def standardize_features() -> Standardize:
    """Return a scale that has learned nothing yet."""
    return Standardize()


def normalize_features() -> Normalize:
    """Return a transform to samples of length 1."""
    return Normalize()


def tensor_features() -> TensorFeatures:
    """Return the maker of features of classes and segments."""
    return TensorFeatures()
