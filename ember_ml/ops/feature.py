"""Features: principal components, and columns or rows brought to one scale. Rows are samples."""

from typing import Any, NamedTuple

from ember_ml.core.dtypes import REAL, as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import as_axis, shape_of
from ember_ml.ops.comparison import equal, less_equal, not_equal
from ember_ml.ops.control import stop_gradient
from ember_ml.ops.creation import as_floating
from ember_ml.ops.decompositions import svd
from ember_ml.ops.elementwise import (
    abs,
    add,
    divide,
    multiply,
    quotient_where,
    sign,
    sqrt,
    square,
    subtract,
    where,
)
from ember_ml.ops.indexing import getitem
from ember_ml.ops.limits import step_of
from ember_ml.ops.products import matmul
from ember_ml.ops.reduction import argmax, max, mean, sum, var
from ember_ml.ops.shape import expand_dims, matrix_transpose
from ember_ml.ops.sorting import take_along_axis
from ember_ml.ops.vector import normalize_vector

__all__ = ["PCAState", "inverse_transform", "normalize", "pca", "standardize", "transform"]


class PCAState(NamedTuple):
    """What `pca` found in k components of f features."""

    components: Any  # (k, f): directions of length 1, that of the largest variance first
    mean: Any  # (f,), of each feature
    explained_variance: Any  # (k,), of the samples along each component, with n - 1 in the denominator
    explained_variance_ratio: Any  # (k,), its share of the variance of all features
    singular_values: Any  # (k,), of the centred samples


@composite(kinds=REAL, returns=PCAState)
def pca(x, /, n_components=None):
    """The principal components of samples x (n, f), as many as asked for, else min(n, f) of them.

    Of each component the loading that is largest in size (the first of equals) is positive, on every engine.
    Raises ValueError for fewer than two samples, or for more components than there can be.
    """
    shape = shape_of(x)
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 1:
        raise ValueError(f"expected at least 2 samples of 1 feature, (n, f), got shape {shape}")
    n, most = shape[0], min(shape)
    k = most if n_components is None else n_components
    if not isinstance(k, int) or not 1 <= k <= most:
        raise ValueError(f"n_components must be an integer from 1 to {most} for shape {shape}, got {k}")
    x = as_floating(x)
    middle = mean(x, axis=0)
    _, found, rows = svd(subtract(x, middle), full_matrices=False)
    rows, values = getitem(rows, index=slice(0, k)), getitem(found, index=slice(0, k))
    places = expand_dims(argmax(abs(rows), axis=1), axis=1)
    rows = multiply(rows, stop_gradient(sign(take_along_axis(rows, places, axis=1))))
    total = sum(square(found))
    share = divide(square(values), where(equal(total, 0), 1.0, total))
    return PCAState(rows, middle, divide(square(values), float(n - 1)), share, values)


def transform(x, state):
    """Return samples x (..., f) as coordinates (..., k) along the components of a `PCAState`."""
    return matmul(subtract(x, state.mean), matrix_transpose(state.components))


def inverse_transform(x, state):
    """Return the samples (..., f) that have the coordinates x (..., k) and lie among the components."""
    return add(matmul(x, state.components), state.mean)


@composite(kinds=REAL)
def standardize(x, /, axis=0, with_mean=True, with_std=True):
    """x less its mean, over its standard deviation (correction 0), along an axis.

    What is constant is not scaled; that is what varies no more than rounding makes it, as in scikit-learn.
    """
    n = shape_of(x)[as_axis(axis, len(shape_of(x)))]
    x = as_floating(x)
    middle = mean(x, axis=axis, keepdims=True)
    out = subtract(x, middle) if with_mean else x
    return divide(out, scale_of(var(x, axis=axis, keepdims=True), middle, n)) if with_std else out


def scale_of(variance, middle, n):
    """Return the standard deviation of n values with this variance and mean; 1 for what is constant."""
    step = n * step_of(as_dtype(variance.dtype))
    limit = add(multiply(variance, step), square(multiply(middle, step)))
    is_constant = stop_gradient(less_equal(variance, limit))
    return where(is_constant, 1.0, sqrt(where(is_constant, 1.0, variance)))


@composite(kinds=REAL)
def normalize(x, /, norm="l2", axis=-1):
    """x scaled along an axis to length 1, to a sum of sizes of 1 ("l1") or a largest size of 1 ("max").

    By default each row. Zeros stay zeros.
    """
    if norm == "l2":
        return normalize_vector(x, axis=axis)
    if norm not in ("l1", "max"):
        raise ValueError(f"norm must be 'l1', 'l2' or 'max', got {norm!r}")
    x = as_floating(x)
    size = (sum if norm == "l1" else max)(abs(x), axis=axis, keepdims=True)
    return quotient_where(not_equal(size, 0), x, size)
