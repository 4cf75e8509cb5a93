"""What is computed from factors of matrices: pseudo-inverses, least squares, ranks, powers and norms."""

import math
from functools import reduce
from operator import index as as_integer
from typing import Any, NamedTuple

from ember_ml.core.dtypes import NUMERIC, as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import as_axes, reduced, shape_of
from ember_ml.core.trace import constant
from ember_ml.ops.batching import last_axes
from ember_ml.ops.comparison import equal, greater, not_equal
from ember_ml.ops.creation import astype, eye, with_fractions, zeros
from ember_ml.ops.decompositions import adjoint, as_seen, columns_times, svd, svdvals
from ember_ml.ops.elementwise import (
    abs,
    add,
    imag,
    is_complex,
    multiply,
    power,
    quotient_where,
    real,
    sqrt,
    square,
    subtract,
    where,
)
from ember_ml.ops.indexing import getitem, part
from ember_ml.ops.limits import step_of
from ember_ml.ops.matrices import matrices, square_matrices
from ember_ml.ops.products import matmul
from ember_ml.ops.reduction import max, min, sum
from ember_ml.ops.shape import broadcast_to, expand_dims, permute_dims, reshape
from ember_ml.ops.solving import inv

__all__ = ["lstsq", "matrix_norm", "matrix_power", "matrix_rank", "norm", "pinv", "vector_norm"]


class LstsqResult(NamedTuple):
    """What `lstsq` finds."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def _cutoff(x, s, rtol):
    """Return the size up to which singular values (..., k) count as 0, as (..., 1)."""
    if rtol is None:
        n, m = shape_of(x)[-2:]
        rtol = (n if n > m else m) * step_of(as_dtype(s.dtype))
    elif shape_of(rtol):
        rtol = expand_dims(rtol, axis=-1)
    largest = (
        max(s, axis=-1, keepdims=True) if shape_of(s)[-1] else zeros((), dtype=as_dtype(s.dtype), like=s)
    )
    return multiply(largest, rtol)


def _inverted(x, s, rtol):
    """Return 1 / s, and 0 for what counts as 0."""
    return quotient_where(greater(s, _cutoff(x, s, rtol)), 1, s)


def _pinv_rule(g, out, x, rtol):
    """Golub and Pereyra 1973, The differentiation of pseudo-inverses, equation 4.12."""
    far, near = adjoint(out), adjoint(g)
    outside = subtract(near, matmul(x, matmul(out, near)))
    aside = subtract(near, matmul(matmul(near, out), x))
    both = add(matmul(matmul(outside, out), far), matmul(matmul(far, out), aside))
    return subtract(both, matmul(matmul(far, g), far)), None


@composite(kinds=NUMERIC, arrays=("x", "rtol"), vjp=as_seen(_pinv_rule), batch=last_axes)
def pinv(x, /, rtol=None):
    """The pseudo-inverse (Moore-Penrose) of matrices (..., n, m) -> (..., m, n).

    Singular values up to `rtol` times the largest count as 0; it is max(n, m) times the dtype's epsilon
    unless given. The gradient takes them to be 0 and to stay so.
    """
    matrices(x)
    x = with_fractions(x)
    u, s, vh = svd(x, full_matrices=False)
    return matmul(columns_times(adjoint(vh), _inverted(x, s, rtol)), adjoint(u))


def _least_squares(a, b, rcond):
    """Return the solution of `lstsq`, the factors of a, and what is left over, for b (..., n, k)."""
    u, s, vh = svd(a, full_matrices=False)
    inverse = _inverted(a, s, rcond)
    solution = matmul(adjoint(vh), multiply(expand_dims(inverse, axis=-1), matmul(adjoint(u), b)))
    return solution, (u, s, vh, inverse), subtract(b, matmul(a, solution))


def _lstsq(a, b, rcond):
    n, m = matrices(a)[-2:]
    one = len(shape_of(b)) == 1
    if not shape_of(b) or shape_of(b)[-1 if one else -2] != n:
        raise ValueError(
            f"matrices of shape {shape_of(a)} and right-hand sides of shape {shape_of(b)} do not fit"
        )
    a, right = with_fractions(a), with_fractions(expand_dims(b, axis=-1) if one else b)
    solution, factors, left = _least_squares(a, right, rcond)
    squares = sum(_squared_size(left), axis=-2)
    if n <= m:
        squares = part(squares, -1, 0, 0)
    values = factors[1]
    rank = sum(greater(values, _cutoff(a, values, rcond)), axis=-1)
    if one:
        solution = getitem(solution, index=(..., 0))
    return LstsqResult(solution, squares, rank, values), (solution, factors, left)


def _linear_lstsq(wanted, a, b, rcond):
    out, (solution, factors, left) = _lstsq(a, b, rcond)
    return out, lambda g: (*as_seen(_lstsq_rule)(g, (solution, factors, left), a, b), None)


def _lstsq_rule(g, out, a, b):
    """The rule of `pinv`, applied to the right-hand sides without making the pseudo-inverse."""
    solution, (u, _, vh, inverse), left = out
    g_solution, g_squares, _, g_values = g
    one = len(shape_of(b)) == 1
    x = expand_dims(solution, axis=-1) if one else solution
    inverse = expand_dims(inverse, axis=-1)
    by_a, by_b = [], []
    if g_solution is not None:
        given = expand_dims(g_solution, axis=-1) if one else g_solution
        y = matmul(u, multiply(inverse, matmul(vh, given)))
        back = matmul(adjoint(vh), multiply(inverse, matmul(adjoint(u), y)))
        far = matmul(u, multiply(inverse, matmul(vh, x)))
        by_a += [matmul(left, adjoint(back)), matmul(far, adjoint(subtract(given, matmul(adjoint(a), y))))]
        by_a += [multiply(matmul(y, adjoint(x)), -1)]
        by_b += [y]
    if g_squares is not None and shape_of(g_squares)[-1]:
        slope = multiply(columns_times(left, g_squares), 2)
        by_a += [multiply(matmul(slope, adjoint(x)), -1)]
        by_b += [slope]
    if g_values is not None:
        by_a += [matmul(columns_times(u, g_values), vh)]
    total_b = _total(by_b)
    return _total(by_a), getitem(total_b, index=(..., 0)) if one and total_b is not None else total_b


def _total(parts):
    return reduce(add, parts) if parts else None


@composite(kinds=NUMERIC, arrays=("a", "b", "rcond"), returns=LstsqResult, linearize=_linear_lstsq)
def lstsq(a, b, /, rcond=None):
    """The x for which |a @ x - b| is least, and of those the shortest, with what else comes out.

    a (..., n, m), b (n,) or (..., n, k) -> solution (..., m) or (..., m, k); residuals, the squared lengths
    of what is left over (..., k), (..., 0) where n <= m; rank (...,); singular values (..., min(n, m)).
    Singular values up to `rcond` times the largest (max(n, m) epsilon unless given) count as 0; the gradient
    takes them to be 0.
    """
    return _lstsq(a, b, rcond)[0]


@composite(kinds=NUMERIC, arrays=("x", "rtol"), vjp=constant)
def matrix_rank(x, /, rtol=None):
    """How many singular values are larger than `rtol` times the largest; the default is that of `pinv`."""
    matrices(x)
    s = svdvals(with_fractions(x))
    return sum(greater(s, _cutoff(x, s, rtol)), axis=-1)


@composite(kinds=NUMERIC)
def matrix_power(x, /, n):
    """The product of n square matrices x; the identity for 0, powers of the inverse below."""
    shape, count = square_matrices(x), as_integer(n)
    if count == 0:
        return broadcast_to(eye(shape[-1], dtype=as_dtype(x.dtype), like=x), shape=shape)
    result, factor, left = None, x if count > 0 else inv(x), count if count > 0 else -count
    while left:
        if left % 2:
            result = factor if result is None else matmul(result, factor)
        left //= 2
        factor = matmul(factor, factor) if left else factor
    return multiply(result, 1) if result is x else result


def _squared_size(x):
    return add(square(real(x)), square(imag(x))) if is_complex(x) else square(x)


@composite(kinds=NUMERIC)
def vector_norm(x, /, axis=None, keepdims=False, ord=2):
    """The length of vectors along an axis, or several together (all without one): (sum |x|**ord)**(1/ord).

    `ord` inf gives the largest |x| (0 of nothing), -inf the smallest, 0 the number of values that are not 0.
    The gradient of the length (ord 2) of a vector of zeros is 0.
    """
    if isinstance(ord, str):
        raise ValueError(f"ord must be a number for vectors, got {ord!r}")
    x = with_fractions(x)
    if ord == 2:
        total = sum(_squared_size(x), axis=axis, keepdims=keepdims)
        nothing = equal(total, 0)
        return where(nothing, 0, sqrt(where(nothing, 1, total)))
    size = abs(x)
    if ord in (math.inf, -math.inf):
        return (_largest if ord > 0 else min)(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum(astype(not_equal(size, 0), dtype=as_dtype(size.dtype)), axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum(size, axis=axis, keepdims=keepdims)
    return power(sum(power(size, ord), axis=axis, keepdims=keepdims), 1 / ord)


@composite(kinds=NUMERIC)
def matrix_norm(x, /, keepdims=False, ord="fro"):
    """A norm of matrices (..., n, m) -> (...,).

    "fro" is the length of all values, "nuc" the sum of singular values; 2 the largest singular value, -2 the
    smallest; 1 the largest sum of |x| down a column, inf along a row, -1 and -inf the smallest ones.
    """
    *batch, _, _ = matrices(x)
    if ord not in _MATRIX_NORMS:
        raise ValueError(f"ord must be 'fro', 'nuc', 1, 2, inf, -1, -2 or -inf, got {ord!r}")
    x = with_fractions(x)
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        choose = {"nuc": sum, 2: _largest, -2: min}[ord]
        found = choose(svdvals(x), axis=-1)
    else:
        sums = sum(abs(x), axis=-2 if ord in (1, -1) else -1)
        found = (_largest if ord > 0 else min)(sums, axis=-1)
    return reshape(found, shape=(*batch, 1, 1)) if keepdims else found


def _largest(sizes, axis, keepdims=False):
    """Return the largest of numbers that are not negative; 0 of none."""
    shape = shape_of(sizes)
    empty = 0 in [shape[i] for i in as_axes(axis, len(shape))]
    return (sum if empty else max)(sizes, axis=axis, keepdims=keepdims)


_MATRIX_NORMS = ("fro", "nuc", 1, 2, math.inf, -1, -2, -math.inf)


@composite(kinds=NUMERIC)
def norm(x, /, ord=None, axis=None, keepdims=False):
    """A norm of vectors or matrices, as NumPy's: along one axis a `vector_norm`, over two a `matrix_norm`.

    Without an axis: of a vector or a matrix, and the length of all values where `ord` is None too.
    """
    shape = shape_of(x)
    if axis is None and (ord is None or len(shape) == 1):
        return vector_norm(x, keepdims=keepdims, ord=2 if ord is None else ord)
    over = as_axes(axis, len(shape))
    if len(over) == 1:
        return vector_norm(x, axis=over[0], keepdims=keepdims, ord=2 if ord is None else ord)
    if len(over) != 2:
        raise ValueError(f"a norm is over one axis or two, got {len(over)} of shape {shape}")
    others = tuple(i for i in range(len(shape)) if i not in over)
    found = matrix_norm(permute_dims(x, axes=(*others, *over)), ord="fro" if ord is None else ord)
    return reshape(found, shape=reduced(x, over, keepdims=True)) if keepdims else found
