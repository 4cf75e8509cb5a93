"""Transforms that learn from samples, thin over the ops. Samples are the rows of an array (n, f).

What they return is what they were given: native arrays of any engine, tensors; lists become tensors on the
engine that `get_features` names.
"""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.core.dtypes import as_dtype, inexact
from ember_ml.features.selection import as_features
from ember_ml.ops import PCAState
from ember_ml.ops.feature import scale_of


class PCA:
    """Principal component analysis; `fit` keeps a `PCAState` in `state`."""

    n_components: int | None  # how many; None: as many as there can be
    state: PCAState | None  # what `fit` found

    def __init__(self, n_components: int | None = None):
        self.n_components, self.state = n_components, None

    def fit(self, x: Any, n_components: int | None = None) -> PCA:
        """Learn the components of samples; `n_components` stands above the constructor's."""
        asked = self.n_components if n_components is None else n_components
        self.state = ops.pca(as_features(x), n_components=asked)
        return self

    def transform(self, x: Any) -> Any:
        """Return the coordinates (n, k) of samples along the components."""
        return ops.transform(as_features(x), self._found())

    def fit_transform(self, x: Any, n_components: int | None = None) -> Any:
        """Learn the components of samples, and return their coordinates."""
        return self.fit(x, n_components).transform(x)

    def inverse_transform(self, x: Any) -> Any:
        """Return the samples (n, f) that have these coordinates."""
        return ops.inverse_transform(as_features(x), self._found())

    @property
    def components(self) -> Any:
        """The directions, (k, f)."""
        return self._found().components

    @property
    def mean(self) -> Any:
        """The mean of each feature."""
        return self._found().mean

    @property
    def explained_variance(self) -> Any:
        """The variance along each component."""
        return self._found().explained_variance

    @property
    def explained_variance_ratio(self) -> Any:
        """Each component's share of the variance."""
        return self._found().explained_variance_ratio

    @property
    def singular_values(self) -> Any:
        """The singular values of the centred samples."""
        return self._found().singular_values

    def _found(self) -> PCAState:
        if self.state is None:
            raise ValueError("PCA: it has learned nothing yet; call fit first")
        return self.state


class Standardize:
    """Features brought to mean 0 and standard deviation 1; one that is constant is only moved."""

    with_mean: bool  # whether the mean is taken away
    with_std: bool  # whether the deviation is divided by
    mean: Any  # (f,), what `fit` found; None before
    scale: Any  # (f,)

    def __init__(self, with_mean: bool = True, with_std: bool = True):
        self.with_mean, self.with_std, self.mean, self.scale = with_mean, with_std, None, None

    def fit(self, x: Any) -> Standardize:
        """Learn the mean and the standard deviation (correction 0) of each feature."""
        x = as_features(x)
        x = ops.astype(x, dtype=inexact(as_dtype(x.dtype)))
        self.mean = ops.mean(x, axis=0)
        self.scale = scale_of(ops.var(x, axis=0), self.mean, x.shape[0])
        return self

    def transform(self, x: Any) -> Any:
        """Return samples on the scale learned."""
        self._check()
        x = as_features(x)
        moved = ops.subtract(x, self.mean) if self.with_mean else x
        return ops.divide(moved, self.scale) if self.with_std else moved

    def fit_transform(self, x: Any) -> Any:
        """Learn the scale of samples, and return them on it."""
        return self.fit(x).transform(x)

    def inverse_transform(self, x: Any) -> Any:
        """Return samples from the scale learned to their own."""
        self._check()
        x = as_features(x)
        wide = ops.multiply(x, self.scale) if self.with_std else x
        return ops.add(wide, self.mean) if self.with_mean else wide

    def _check(self) -> None:
        if self.mean is None:
            raise ValueError("Standardize: it has learned nothing yet; call fit first")


class Normalize:
    """Samples scaled to length 1, each by itself; one of zeros stays zeros."""

    norm: str  # "l2", "l1" or "max"
    axis: int

    def __init__(self, norm: str = "l2", axis: int = -1):
        self.norm, self.axis = norm, axis

    def fit(self, x: Any) -> Normalize:
        """Return itself: there is nothing to learn."""
        return self

    def transform(self, x: Any) -> Any:
        """Return samples of length 1."""
        return ops.normalize(as_features(x), norm=self.norm, axis=self.axis)

    def fit_transform(self, x: Any) -> Any:
        """Return samples of length 1."""
        return self.transform(x)


class TensorFeatures:
    """Features of class numbers and of segments."""

    def one_hot(self, indices: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
        """Return 1 at each index and 0 elsewhere, along a new axis of size `num_classes`."""
        return ops.one_hot(as_features(indices), num_classes, axis=axis, dtype=dtype)

    def scatter(
        self, data: Any, indices: Any, dim_size: int | None = None, aggr: str = "add", axis: int = 0
    ) -> Any:
        """Return the slices of `data` gathered into the segments that `indices` name; see `ops.scatter`."""
        return ops.scatter(as_features(data), as_features(indices), dim_size=dim_size, aggr=aggr, axis=axis)
