"""What every test shares: the engines installed here, and how close numbers must be."""

import numpy as np
import pytest

from ember_ml import backend

ENGINES = [name for name in ("numpy", "torch", "jax", "mlx") if name in backend.available_backends()]
TOLERANCE = {"float32": (2e-5, 2e-6), "float64": (1e-12, 1e-13)}  # rtol, atol: a claim, stated once


@pytest.fixture(params=ENGINES)
def be(request):
    """Each engine installed here, active while the test runs."""
    with backend.use_backend(request.param) as chosen:
        yield chosen


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Each float dtype in which numbers must agree."""
    return request.param


def close(got, want, dtype="float32", *, rtol=None, atol=None):
    """Assert that numbers agree as closely as their dtype promises, unless the caller says why not."""
    default = TOLERANCE[str(dtype)]
    np.testing.assert_allclose(
        np.asarray(got, dtype=np.result_type(want)),
        want,
        rtol=default[0] if rtol is None else rtol,
        atol=default[1] if atol is None else atol,
    )
