"""Equations of matrices: solving, inverting, and the determinant that tells whether that can be done.

A singular matrix shows in its values alone: NumPy and PyTorch raise, JAX gives inf and NaN, MLX raises when
the values are asked for. Determinants are 0 everywhere.
"""

import math
from typing import Any, NamedTuple

from ember_ml.core.dtypes import NUMERIC, real_of
from ember_ml.core.op import primitive
from ember_ml.core.rules import broadcast_shapes, floating, shape_of
from ember_ml.ops.batching import last_axes, products
from ember_ml.ops.costs import of_matrices, size
from ember_ml.ops.elementwise import add, imag, is_complex, multiply, negative
from ember_ml.ops.indexing import getitem
from ember_ml.ops.matrices import floating_to, own, square_matrices
from ember_ml.ops.products import matmul
from ember_ml.ops.shape import expand_dims, matrix_transpose

__all__ = ["det", "inv", "slogdet", "solve"]


class SlogdetResult(NamedTuple):
    """The sign (a phase for complex matrices) of determinants, and the logarithm of their size."""

    sign: Any
    logabsdet: Any


def _solved(x1, x2):
    shape1, shape2 = square_matrices(x1), shape_of(x2)
    if not shape2:
        raise ValueError("expected right-hand sides of at least 1 dimension, got shape ()")
    rows = shape2[-1] if len(shape2) == 1 else shape2[-2]
    if rows != shape1[-1]:
        raise ValueError(f"matrices of shape {shape1} and right-hand sides of shape {shape2} do not fit")
    if len(shape2) == 1:
        return shape1[:-1]
    return (*broadcast_shapes(shape1[:-2], shape2[:-2]), rows, shape2[-1])


def _solve_vjp(g, out, x1, x2):
    by_right = solve(matrix_transpose(x1), g if len(shape_of(x2)) > 1 else expand_dims(g, axis=-1))
    rows = matrix_transpose(out) if len(shape_of(x2)) > 1 else expand_dims(out, axis=-2)
    by_matrix = negative(matmul(by_right, rows))
    if len(shape_of(x2)) == 1:
        by_right = getitem(by_right, index=(..., 0))
    return by_matrix, by_right


def _solve_flops(out, x1, x2):
    *batch, n, _ = shape_of(x1)
    return math.prod(batch) * 2 * n**3 / 3 + 2 * n * size(out)


@primitive(shape=_solved, dtype=floating, kinds=NUMERIC, vjp=_solve_vjp, batch=products, cost=_solve_flops)
def solve(x1, x2, /):
    """The solution x of x1 @ x = x2 for square x1 (..., n, n).

    x2 (n,) is one right-hand side for all matrices, x2 (..., n, k) a matrix of them each; others broadcast.
    Raises where x1 is singular, or gives inf and NaN, as the engine has it.
    """


def _inv_vjp(g, out, x):
    turned = matrix_transpose(out)
    return (negative(matmul(matmul(turned, g), turned)),)


@primitive(
    shape=square_matrices,
    dtype=floating,
    kinds=NUMERIC,
    vjp=_inv_vjp,
    batch=last_axes,
    cost=of_matrices(lambda m, n: 2 * n**3),
)
def inv(x, /):
    """The inverse of square matrices (..., n, n). Raises where one is singular, or gives inf and NaN."""


def _by_matrix(factors, x):
    """Return matrices with a factor each, which d log det x is the trace of with dx."""
    return multiply(expand_dims(factors, axis=(-2, -1)), matrix_transpose(inv(x)))


@primitive(
    shape=lambda x: square_matrices(x)[:-2],
    dtype=floating,
    kinds=NUMERIC,
    vjp=lambda g, out, x: (_by_matrix(multiply(g, out), x),),
    batch=last_axes,
    cost=of_matrices(lambda m, n: 2 * n**3 / 3),
)
def det(x, /):
    """The determinant of square matrices (..., n, n) -> (...,); its gradient asks for invertible ones."""


def _slogdet_vjp(g, out, x):
    g_sign, factors = g
    if g_sign is not None and is_complex(x):  # a phase turns with the imaginary part of d log det x
        turn = multiply(imag(multiply(g_sign, out[0])), 1j)
        factors = turn if factors is None else add(factors, turn)
    return (None if factors is None else _by_matrix(factors, x),)


@primitive(
    shape=lambda x: [square_matrices(x)[:-2]] * 2,
    dtype=floating_to(own, real_of),
    kinds=NUMERIC,
    returns=SlogdetResult,
    vjp=_slogdet_vjp,
    batch=last_axes,
    cost=of_matrices(lambda m, n: 2 * n**3 / 3),
)
def slogdet(x, /):
    """The sign and the logarithm of the size of the determinant, where the determinant itself would overflow.

    A singular matrix gives sign 0 and logarithm -inf. The gradient asks for an invertible matrix.
    """
