"""What a transform of features can do, for those who write their own: nothing need derive from these."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class StandardizeInterface(Protocol):
    """Learns a scale from samples, and brings others to it and back."""

    def fit(self, x: Any) -> Any:
        """Learn from samples (n, f) and return itself."""
        ...

    def transform(self, x: Any) -> Any:
        """Return samples in their new form."""
        ...

    def fit_transform(self, x: Any) -> Any:
        """Learn from samples, and return them in their new form."""
        ...

    def inverse_transform(self, x: Any) -> Any:
        """Return samples from their new form."""
        ...


@runtime_checkable
class PCAInterface(StandardizeInterface, Protocol):
    """Learns principal components from samples."""


@runtime_checkable
class NormalizeInterface(Protocol):
    """Scales each sample by itself."""

    def fit(self, x: Any) -> Any:
        """Return itself: there is nothing to learn."""
        ...

    def transform(self, x: Any) -> Any:
        """Return samples of length 1."""
        ...

    def fit_transform(self, x: Any) -> Any:
        """Return samples of length 1."""
        ...


@runtime_checkable
class TensorFeaturesInterface(Protocol):
    """Makes features of class numbers and of segments."""

    def one_hot(self, indices: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
        """Return 1 at each index and 0 elsewhere."""
        ...

    def scatter(
        self, data: Any, indices: Any, dim_size: int | None = None, aggr: str = "add", axis: int = 0
    ) -> Any:
        """Return slices gathered into segments."""
        ...
