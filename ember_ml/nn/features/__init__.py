"""`ember_ml.features` under the name that it has in the original."""

from ember_ml.features import PCA as PCA
from ember_ml.features import Normalize as Normalize
from ember_ml.features import NormalizeInterface as NormalizeInterface
from ember_ml.features import PCAInterface as PCAInterface
from ember_ml.features import PCAState as PCAState
from ember_ml.features import Standardize as Standardize
from ember_ml.features import StandardizeInterface as StandardizeInterface
from ember_ml.features import TensorFeatures as TensorFeatures
from ember_ml.features import TensorFeaturesInterface as TensorFeaturesInterface
from ember_ml.features import get_features as get_features
from ember_ml.features import inverse_transform as inverse_transform
from ember_ml.features import normalize as normalize
from ember_ml.features import normalize_features as normalize_features
from ember_ml.features import one_hot as one_hot
from ember_ml.features import pca as pca
from ember_ml.features import pca_features as pca_features
from ember_ml.features import scatter as scatter
from ember_ml.features import set_features as set_features
from ember_ml.features import standardize as standardize
from ember_ml.features import standardize_features as standardize_features
from ember_ml.features import tensor_features as tensor_features
from ember_ml.features import transform as transform
