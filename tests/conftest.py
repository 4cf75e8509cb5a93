"""What every test shares: the engines installed here, and how close numbers must be."""

import pytest

from ember_ml import backend
from ember_ml.cli.laws import TOLERANCE, close

__all__ = ["ENGINES", "TOLERANCE", "be", "close", "dtype"]

ENGINES = [name for name in ("numpy", "torch", "jax", "mlx") if name in backend.available_backends()]


@pytest.fixture(params=ENGINES)
def be(request):
    """Each engine installed here, active while the test runs."""
    with backend.use_backend(request.param) as chosen:
        yield chosen


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Each float dtype in which numbers must agree."""
    return request.param
