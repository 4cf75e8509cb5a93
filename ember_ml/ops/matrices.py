"""Rules of shape and dtype that ops on matrices and on complex numbers name. Leading axes count matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ember_ml.core.dtypes import DType, complex64, complex128, real_of
from ember_ml.core.rules import DTypeRule, Shape, floating, shape_of


def matrices(x: Any, **_: Any) -> Shape:
    """Return the shape of an array of matrices."""
    shape = shape_of(x)
    if len(shape) < 2:
        raise ValueError(f"expected a matrix, or an array of them, got shape {shape}")
    return shape


def square_matrices(x: Any, **_: Any) -> Shape:
    """Return the shape of an array of square matrices."""
    shape = shape_of(x)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"expected square matrices, got shape {shape}")
    return shape


def own(dtype: DType) -> DType:
    """Return the dtype itself."""
    return dtype


def complex_of(dtype: DType) -> DType:
    """Return the complex dtype whose parts have the precision of `dtype`, at least that of float32."""
    return complex128 if real_of(dtype) == "float64" else complex64


def floating_to(*results: Callable[[DType], DType]) -> DTypeRule:
    """Return a dtype rule: all arguments meet in one dtype that holds fractions, of which results follow."""

    def rule(args: tuple, attrs: dict) -> tuple[Any, Any]:
        common, _ = floating(args, attrs)
        made = tuple(result(common) for result in results)
        return common, made if len(made) > 1 else made[0]

    return rule
