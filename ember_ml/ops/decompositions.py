"""Factors of matrices, and their gradients. Leading axes count matrices; a matrix is (n, m).

Singular or not positive definite input is told apart by its values: NumPy and PyTorch raise, JAX gives NaN,
MLX raises when the values are asked for or gives what it has.
"""

from typing import Any, NamedTuple

from ember_ml.core.dtypes import NUMERIC, as_dtype, real_of
from ember_ml.core.op import primitive
from ember_ml.core.reverse import conjugated
from ember_ml.core.rules import floating, shape_of
from ember_ml.ops.batching import last_axes
from ember_ml.ops.comparison import equal, greater, not_equal
from ember_ml.ops.costs import of_matrices
from ember_ml.ops.creation import arange, astype, eye, zeros_like
from ember_ml.ops.elementwise import add, is_complex, multiply, quotient_where, real, subtract
from ember_ml.ops.indexing import part
from ember_ml.ops.matrices import complex_of, floating_to, matrices, own, square_matrices
from ember_ml.ops.products import diagonal, matmul
from ember_ml.ops.shape import concat, expand_dims, matrix_transpose
from ember_ml.ops.solving import solve

__all__ = ["cholesky", "eig", "eigh", "eigvals", "eigvalsh", "qr", "svd", "svdvals"]


class EighResult(NamedTuple):
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n) in columns."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """Eigenvalues (..., n), in no order, and eigenvectors (..., n, n) in columns."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """An orthonormal Q (..., n, k) and an upper triangular R (..., k, m)."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """Left vectors U in columns, singular values S (..., k), descending, right vectors Vh in rows."""

    U: Any
    S: Any
    Vh: Any


# Gradients here follow papers, which write them as people see them, ∂f/∂x + i ∂f/∂y; the tape carries the
# conjugate.


def as_seen(rule):
    """Return a gradient rule for the tape from one written for gradients as people see them."""

    def vjp(g, out, *args, **attrs):
        g = [conjugated(each) for each in g] if isinstance(g, list | tuple) else conjugated(g)
        return tuple(conjugated(part) for part in rule(g, out, *args, **attrs))

    return vjp


def adjoint(x):
    """Return the conjugate transpose."""
    return conjugated(matrix_transpose(x))


def columns_times(x, factors):
    """Return each column of a matrix times its factor."""
    return multiply(x, expand_dims(factors, axis=-2))


def on_diagonal(values):
    """Return square matrices with these values (..., n) on the diagonal."""
    return columns_times(eye(shape_of(values)[-1], dtype=as_dtype(values.dtype), like=values), values)


def inverse_or_zero(x):
    """Return 1 / x, and 0 for 0."""
    return quotient_where(not_equal(x, 0), 1, x)


def _gaps_inverted(values):
    """Return 1 / (v_j - v_i) for every pair, and 0 where they are the same."""
    return inverse_or_zero(subtract(expand_dims(values, axis=-2), expand_dims(values, axis=-1)))


def _lower_and_half_diagonal(x):
    """Return the part of x below the diagonal and half of the diagonal."""
    places = arange(shape_of(x)[-1], like=x)
    rows, columns = expand_dims(places, axis=1), expand_dims(places, axis=0)
    dtype = real_of(as_dtype(x.dtype))
    below, on = astype(greater(rows, columns), dtype=dtype), astype(equal(rows, columns), dtype=dtype)
    return multiply(x, add(below, multiply(on, 0.5)))


def _values_and_vectors(x):
    shape = square_matrices(x)
    return [shape[:-1], shape]


def _values(x):
    return square_matrices(x)[:-1]


# Cholesky


def _cholesky_rule(g, out, x, upper):
    """Murray 2016, Differentiation of the Cholesky decomposition, equation 9."""
    lower = adjoint(out) if upper else out
    phi = _lower_and_half_diagonal(matmul(adjoint(lower), adjoint(g) if upper else g))
    half = solve(adjoint(lower), add(phi, adjoint(phi)))
    return (multiply(solve(adjoint(lower), adjoint(half)), 0.5),)


@primitive(
    shape=square_matrices,
    dtype=floating,
    kinds=NUMERIC,
    vjp=as_seen(_cholesky_rule),
    batch=last_axes,
    cost=of_matrices(lambda m, n, upper: n**3 / 3),
)
def cholesky(x, /, upper=False):
    """The triangular L with L @ L^H = x; with `upper` U = L^H, so that U^H @ U = x.

    x must be symmetric (Hermitian) and positive definite; one triangle alone is read, and the gradient is
    that of a symmetric x. Where x is not positive definite NumPy and PyTorch raise, JAX gives NaN.
    """


# Eigenvalues


def _eigh_rule(g, out, x):
    """Giles 2008, Collected matrix derivative results, 3.1; made symmetric, as x is."""
    g_values, g_vectors = g
    values, vectors = out
    inner = 0.0
    if g_values is not None:
        inner = on_diagonal(g_values)
    if g_vectors is not None:
        inner = add(multiply(matmul(adjoint(vectors), g_vectors), _gaps_inverted(values)), inner)
    whole = matmul(matmul(vectors, _like(inner, vectors)), adjoint(vectors))
    return (multiply(add(whole, adjoint(whole)), 0.5),)


def _like(x, y):
    return astype(x, dtype=as_dtype(y.dtype))


@primitive(
    shape=_values_and_vectors,
    dtype=floating_to(real_of, own),
    kinds=NUMERIC,
    returns=EighResult,
    vjp=as_seen(_eigh_rule),
    batch=last_axes,
    cost=of_matrices(lambda m, n: 9 * n**3),
)
def eigh(x, /):
    """The eigenvalues, ascending, and orthonormal eigenvectors of a symmetric (Hermitian) matrix.

    The lower triangle alone is read, and the gradient is that of a symmetric x. The sign (phase) of a vector
    is the engine's. Where eigenvalues coincide the vectors are any basis, and only what does not depend on
    its choice has a gradient.
    """


def _by_eigh(wanted, x):
    values, vectors = eigh(x)
    return values, lambda g: as_seen(_eigh_rule)((g, None), (values, vectors), x)


@primitive(
    shape=_values,
    dtype=floating_to(real_of),
    kinds=NUMERIC,
    linearize=_by_eigh,
    batch=last_axes,
    cost=of_matrices(lambda m, n: 4 * n**3 / 3),
)
def eigvalsh(x, /):
    """The eigenvalues, ascending, of a symmetric (Hermitian) matrix; the lower triangle alone is read."""


def _eig_rule(g, out, x):
    """Boeddeker et al. 2017, arXiv 1701.00392, equations 4.77 and 4.60; vectors keep their length of 1."""
    g_values, g_vectors = g
    values, vectors = out
    inner = 0.0
    if g_values is not None:
        inner = on_diagonal(g_values)
    if g_vectors is not None:
        turned = matmul(adjoint(vectors), g_vectors)
        lengths = real(diagonal(turned))
        turned = subtract(turned, columns_times(matmul(adjoint(vectors), vectors), lengths))
        inner = add(multiply(turned, conjugated(_gaps_inverted(values))), inner)
    return (solve(adjoint(vectors), matmul(inner, adjoint(vectors))),)


@primitive(
    shape=_values_and_vectors,
    dtype=floating_to(complex_of),
    kinds=NUMERIC,
    returns=EigResult,
    vjp=as_seen(_eig_rule),
    batch=last_axes,
    cost=of_matrices(lambda m, n: 25 * n**3),
)
def eig(x, /):
    """The eigenvalues and eigenvectors of any square matrix, complex always, in the engine's order.

    Vectors have length 1; their phase is the engine's, and only what does not depend on it has a gradient.
    """


def _by_eig(wanted, x):
    values, vectors = eig(x)
    return values, lambda g: as_seen(_eig_rule)((g, None), (values, vectors), x)


@primitive(
    shape=_values,
    dtype=floating_to(complex_of),
    kinds=NUMERIC,
    linearize=_by_eig,
    batch=last_axes,
    cost=of_matrices(lambda m, n: 10 * n**3),
)
def eigvals(x, /):
    """The eigenvalues of any square matrix, complex always, in the engine's order."""


# QR


def _qr_shapes(x, mode="reduced"):
    *batch, n, m = matrices(x)
    if mode not in ("reduced", "complete"):
        raise ValueError(f"mode must be 'reduced' or 'complete', got {mode!r}")
    k = min(n, m) if mode == "reduced" else n
    return [(*batch, n, k), (*batch, k, m)]


def _qr_rule(g, out, x, mode):
    """Walter and Lehmann 2012, arXiv 1009.6112; Roberts and Roberts 2020, arXiv 2009.10071, for wide ones."""
    q, r = out
    g_q, g_r = (zeros_like(o) if each is None else each for each, o in zip(g, out, strict=True))
    n, m = shape_of(x)[-2:]
    if n >= m:
        return (_tall_qr_rule(g_q, part(g_r, -2, 0, m), q, part(r, -2, 0, m)),)
    right, g_right = (part(each, -1, n, None) for each in (x, g_r))
    g_q = add(g_q, matmul(right, adjoint(g_right)))
    g_x = _tall_qr_rule(g_q, part(g_r, -1, 0, n), q, part(r, -1, 0, n))
    return (concat([g_x, matmul(q, g_right)], axis=-1),)


def _qr_flops(m, n, mode):
    triangle = 2 * n**2 * (m - n / 3)
    return 2 * triangle if mode == "reduced" else triangle + 4 * (m**2 * n - m * n**2 + n**3 / 3)


def _tall_qr_rule(g_q, g_r, q, r):
    """Of a Q with more columns than R, the others turn with the first as little as can be."""
    m, width = shape_of(r)[-1], shape_of(q)[-1]
    if width > m:
        rest, g_rest = (part(a, -1, m, None) for a in (q, g_q))
        q, g_q = (part(a, -1, 0, m) for a in (q, g_q))
        g_apart = subtract(g_q, matmul(rest, matmul(adjoint(g_rest), q)))
    else:
        g_apart = g_q
    turn = subtract(matmul(adjoint(q), g_q), matmul(g_r, adjoint(r)))
    inner = subtract(_lower_and_half_diagonal(subtract(turn, adjoint(turn))), turn)
    return adjoint(solve(r, adjoint(add(g_apart, matmul(q, inner)))))


@primitive(
    shape=_qr_shapes,
    dtype=floating,
    kinds=NUMERIC,
    returns=QRResult,
    vjp=as_seen(_qr_rule),
    batch=last_axes,
    cost=of_matrices(_qr_flops),
)
def qr(x, /, mode="reduced"):
    """Q @ R = x for an orthonormal Q and an upper triangular R; the signs (phases) are the engine's.

    x (..., n, m) gives Q (..., n, k), R (..., k, m) with k = min(n, m), or k = n for mode "complete". The
    gradient asks that the first min(n, m) columns of x are independent.
    """


# Singular values


def _svd_shapes(x, full_matrices=True):
    *batch, n, m = matrices(x)
    k = min(n, m)
    return [(*batch, n, n if full_matrices else k), (*batch, k), (*batch, m if full_matrices else k, m)]


def _svd_rule(g, out, x, full_matrices):
    """Wan and Zhang 2019, arXiv 1909.02659; the further vectors of full matrices turn as little as can be."""
    u, s, vh = out
    g_u, g_s, g_vh = g
    k = shape_of(s)[-1]
    v, g_v = adjoint(vh), None if g_vh is None else adjoint(g_vh)
    u1, v1 = (part(a, -1, 0, k) for a in (u, v))
    inner = 0.0 if g_s is None else on_diagonal(g_s)
    inverse, whole = inverse_or_zero(s), None
    gaps = None if g_u is None and g_v is None else _square_gaps_inverted(s)
    if g_u is not None:
        turn = _turn(u1, part(g_u, -1, 0, k))
        inner = add(columns_times(multiply(turn, gaps), s), inner)
        if is_complex(x):  # the phase that u and v share
            inner = add(multiply(turn, on_diagonal(multiply(inverse, 0.5))), inner)
        whole = matmul(columns_times(_apart(g_u, u, k), inverse), adjoint(v1))
    if g_v is not None:
        turn = _turn(v1, part(g_v, -1, 0, k))
        inner = add(multiply(multiply(turn, gaps), expand_dims(s, axis=-1)), inner)
        aside = matmul(columns_times(u1, inverse), adjoint(_apart(g_v, v, k)))
        whole = aside if whole is None else add(whole, aside)
    within = matmul(matmul(u1, _like(inner, u)), adjoint(v1))
    return (within if whole is None else add(within, whole),)


def _svd_flops(m, n, full_matrices):
    return 4 * m**2 * n + 8 * m * n**2 + 9 * n**3 if full_matrices else 14 * m * n**2 + 8 * n**3


def _square_gaps_inverted(s):
    total = add(expand_dims(s, axis=-2), expand_dims(s, axis=-1))
    return multiply(_gaps_inverted(s), inverse_or_zero(total))


def _turn(u, g):
    """Return the part of a gradient that turns orthonormal vectors among themselves."""
    inner = matmul(adjoint(u), g)
    return subtract(inner, adjoint(inner))


def _apart(g, u, k):
    """Return what a gradient of vectors asks of the first k outside of their own space."""
    u1, g1 = (part(a, -1, 0, k) for a in (u, g))
    out = subtract(g1, matmul(u1, matmul(adjoint(u1), g1)))
    if shape_of(u)[-1] == k:
        return out
    rest, g_rest = (part(a, -1, k, None) for a in (u, g))
    return subtract(out, matmul(rest, matmul(adjoint(g_rest), u1)))


@primitive(
    shape=_svd_shapes,
    dtype=floating_to(own, real_of, own),
    kinds=NUMERIC,
    returns=SVDResult,
    vjp=as_seen(_svd_rule),
    batch=last_axes,
    cost=of_matrices(_svd_flops),
)
def svd(x, /, full_matrices=True):
    """The singular value decomposition x = U @ diag(S) @ Vh, S descending.

    x (..., n, m) gives U (..., n, k), S (..., min(n, m)), Vh (..., l, m); k = n and l = m with full matrices,
    else both are min(n, m). The signs (phases) of vectors are the engine's, and only what does not depend on
    them has a gradient; the same holds for the basis where singular values coincide.
    """


def _by_svd(wanted, x):
    out = svd(x, full_matrices=False)
    return out.S, lambda g: as_seen(_svd_rule)((None, g, None), tuple(out), x, full_matrices=False)


@primitive(
    shape=lambda x: _svd_shapes(x)[1],
    dtype=floating_to(real_of),
    kinds=NUMERIC,
    linearize=_by_svd,
    batch=last_axes,
    cost=of_matrices(lambda m, n: 4 * m * n**2 - 4 * n**3 / 3),
)
def svdvals(x, /):
    """The singular values (..., min(n, m)), descending."""
