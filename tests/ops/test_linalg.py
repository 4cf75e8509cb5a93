"""Products, factors and solutions of matrices, against NumPy, SciPy and torch, and put together again."""

import numpy as np
import pytest
import scipy.linalg

from conftest import close
from ember_ml import backend, ops, tensor
from ember_ml.compiler import compile, grad
from ember_ml.core import Spec, as_dtype

KINDS = ["float32", "complex64"]
SINGLE = {"rtol": 1e-4, "atol": 2e-5}  # factors of 4 x 4 matrices lose a digit


def drawn(shape, kind="float32", seed=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if np.dtype(kind).kind == "c" else 0)
    return x.astype(kind)


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def hermitian(shape, kind):
    x = drawn(shape, kind)
    return x + adjoint(x)


def definite(shape, kind):
    x = drawn(shape, kind)
    return x @ adjoint(x) + np.eye(shape[-1], dtype=kind)


def hosts(results):
    return [np.asarray(x) for x in results]


# Factors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_factors_are_triangular_and_multiply_back(be, kind, upper):
    x = definite((2, 4, 4), kind)
    factor = np.asarray(ops.cholesky(be.array(x), upper=upper))
    lower = adjoint(factor) if upper else factor
    close(lower, np.tril(lower), **SINGLE)
    close(lower @ adjoint(lower), x, **SINGLE)


@pytest.mark.parametrize("kind", KINDS)
def test_eigh_puts_a_hermitian_matrix_together(be, kind):
    x = hermitian((2, 4, 4), kind)
    found = ops.eigh(be.array(x))
    values, vectors = hosts(found)
    assert values.dtype == "float32"
    assert found.eigenvalues is found[0]
    close(vectors * values[..., None, :] @ adjoint(vectors), x, **SINGLE)
    close(ops.eigvalsh(be.array(x)), np.linalg.eigvalsh(x), **SINGLE)


@pytest.mark.parametrize("name", ["eigh", "eigvalsh", "cholesky"])
def test_one_triangle_of_a_symmetric_matrix_is_read_on_every_engine(be, name):
    x = definite((4, 4), "float32")
    found = [getattr(ops, name)(be.array(y)) for y in (x, np.tril(x))]
    first, second = (y[0] if isinstance(y, tuple) else y for y in found)
    close(first, np.asarray(second), **SINGLE)


@pytest.mark.parametrize("kind", KINDS)
def test_eig_gives_complex_vectors_of_length_one(be, kind):
    x = drawn((2, 4, 4), kind)
    values, vectors = hosts(ops.eig(be.array(x)))
    assert values.dtype == vectors.dtype == "complex64"
    close(x @ vectors, vectors * values[..., None, :], **SINGLE)
    close(np.linalg.norm(vectors, axis=-2), np.ones((2, 4)), **SINGLE)
    close(np.sort_complex(np.asarray(ops.eigvals(be.array(x)))), np.sort_complex(values), **SINGLE)


def test_eigenvalues_are_complex_even_where_they_are_real(be):
    assert str(np.asarray(ops.eigvals(be.array(np.diag([1.0, 2.0]).astype("float32")))).dtype) == "complex64"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 4, 3), (3, 5), (4, 4)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr_multiplies_back(be, kind, shape, mode):
    x = drawn(shape, kind)
    q, r = hosts(ops.qr(be.array(x), mode=mode))
    size = shape[-2] if mode == "complete" else min(shape[-2:])
    assert q.shape[-2:] == (shape[-2], size)
    close(q @ r, x, **SINGLE)
    close(adjoint(q) @ q, np.broadcast_to(np.eye(size, dtype=kind), (*shape[:-2], size, size)), **SINGLE)
    close(r, np.triu(r), **SINGLE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 4, 3), (3, 5), (4, 4)])
@pytest.mark.parametrize("full", [False, True])
def test_svd_multiplies_back(be, kind, shape, full):
    x = drawn(shape, kind)
    u, s, vh = hosts(ops.svd(be.array(x), full_matrices=full))
    n, m = shape[-2:]
    k = min(n, m)
    assert (u.shape[-1], vh.shape[-2]) == ((n, m) if full else (k, k))
    close(u[..., :k] * s[..., None, :] @ vh[..., :k, :], x, **SINGLE)
    close(s, np.linalg.svd(x, compute_uv=False), **SINGLE)
    close(ops.svdvals(be.array(x)), s, **SINGLE)


# Solving


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shapes", [((2, 3, 3), (3,)), ((2, 3, 3), (2, 3, 2)), ((3, 3), (2, 3, 1)), ((2, 3, 3), (3, 3))]
)
def test_solve_is_numpys(be, kind, shapes):
    a, b = definite(shapes[0], kind), drawn(shapes[1], kind)
    close(ops.solve(be.array(a), be.array(b)), np.linalg.solve(a, b), **SINGLE)


@pytest.mark.parametrize("kind", KINDS)
def test_inverse_and_determinants_are_numpys(be, kind):
    x = drawn((2, 3, 3), kind)
    close(ops.inv(be.array(x)), np.linalg.inv(x), **SINGLE)
    close(ops.det(be.array(x)), np.linalg.det(x), **SINGLE)
    sign, logabsdet = ops.slogdet(be.array(x))
    close(sign, np.linalg.slogdet(x).sign, **SINGLE)
    close(logabsdet, np.linalg.slogdet(x).logabsdet, **SINGLE)


def test_a_singular_matrix_has_determinant_0(be):
    x = be.array(np.array([[1.0, 2.0], [2.0, 4.0]], "float32"))
    close(ops.det(x), np.float32(0))
    found = ops.slogdet(x)
    assert (float(found.sign), float(found.logabsdet)) == (0.0, -np.inf)


@pytest.mark.parametrize("kind", KINDS)
def test_pseudo_inverses_ranks_and_powers_are_numpys(be, kind):
    x = drawn((2, 4, 3), kind)
    low = (x[0, :, :1] @ x[0, :1]).astype(kind)
    close(ops.pinv(be.array(x)), np.linalg.pinv(x), **SINGLE)
    close(ops.pinv(be.array(low)), np.linalg.pinv(low, rtol=1e-5), **SINGLE)
    close(ops.pinv(be.array(x[0]), rtol=0.6), np.linalg.pinv(x[0], rtol=0.6), **SINGLE)
    np.testing.assert_array_equal(np.asarray(ops.matrix_rank(be.array(np.stack([x[0], low])))), [3, 1])
    square = definite((3, 3), kind)
    for n in (-3, -1, 0, 1, 2, 7):
        close(
            ops.matrix_power(be.array(square / 9), n),
            np.linalg.matrix_power(square / 9, n),
            rtol=1e-3,
            atol=1e-3,
        )


def test_tolerances_may_be_arrays(be):
    x = np.stack([np.diag([1.0, 0.1, 0.01]), np.diag([1.0, 0.1, 0.01])]).astype("float32")
    rtol = be.array(np.array([0.05, 0.5], "float32"))
    np.testing.assert_array_equal(np.asarray(ops.matrix_rank(be.array(x), rtol=rtol)), [2, 1])
    close(ops.pinv(be.array(x), rtol=rtol), np.linalg.pinv(x, rtol=np.array([0.05, 0.5])), **SINGLE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "right"), [((5, 3), (5,)), ((5, 3), (5, 2)), ((3, 5), (3, 2)), ((4, 4), (4,))]
)
def test_least_squares_are_numpys(be, kind, shape, right):
    a, b = drawn(shape, kind), drawn(right, kind)
    found = ops.lstsq(be.array(a), be.array(b))
    solution, residuals, rank, values = np.linalg.lstsq(a, b)
    close(found.solution, solution, **SINGLE)
    close(found.residuals, residuals, **SINGLE)
    assert int(found.rank) == rank
    close(found.singular_values, values, **SINGLE)


def test_least_squares_of_a_matrix_of_low_rank_is_the_shortest(be):
    a = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], "float32")
    b = np.array([1.0, 2.0, 4.0], "float32")
    found = ops.lstsq(be.array(a), be.array(b))
    close(found.solution, np.linalg.lstsq(a, b)[0], **SINGLE)
    assert int(found.rank) == 1
    a = drawn((5, 3))
    cut = ops.lstsq(be.array(a), be.array(drawn(5)), rcond=0.7)
    close(cut.solution, np.linalg.lstsq(a, drawn(5), rcond=0.7)[0], **SINGLE)


# Norms and diagonals


@pytest.mark.parametrize("kind", KINDS)
def test_norms_are_numpys(be, kind):
    x = drawn((2, 3, 4), kind)
    given = be.array(x)
    for ord in (2, 1, 0, 3, 0.5, np.inf, -np.inf, -1):
        for axis, keepdims in ((None, False), (1, True), ((0, 2), False)):
            want = np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
            close(ops.vector_norm(given, axis=axis, keepdims=keepdims, ord=ord), want, **SINGLE)
    for ord in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        for keepdims in (False, True):
            want = np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims)
            close(ops.matrix_norm(given, ord=ord, keepdims=keepdims), want, **SINGLE)
            want = np.linalg.norm(x, ord=ord, axis=(0, 1), keepdims=keepdims)
            close(ops.norm(given, ord=ord, axis=(0, 1), keepdims=keepdims), want, **SINGLE)
    close(ops.norm(given), np.linalg.norm(x), **SINGLE)
    close(ops.norm(given, axis=-1, ord=1), np.linalg.norm(x, axis=-1, ord=1), **SINGLE)
    close(ops.norm(given[0, 0], ord=3), np.linalg.norm(x[0, 0], ord=3), **SINGLE)


def test_the_largest_of_no_sizes_is_0(be):
    """As NumPy 2.4 has it; the smallest of none is still an error."""
    nothing, flat = be.array(np.zeros((0, 3), "float32")), be.array(np.zeros((2, 3, 0), "float32"))
    assert float(ops.vector_norm(nothing, ord=np.inf)) == 0
    assert np.asarray(ops.vector_norm(nothing, axis=0, ord=np.inf)).tolist() == [0, 0, 0]
    for ord in (np.inf, 1, 2):
        assert np.asarray(ops.matrix_norm(nothing, ord=ord)).tolist() == 0
        assert np.asarray(ops.matrix_norm(flat, ord=ord)).tolist() == [0, 0]
    with pytest.raises(ValueError, match="no values to choose from"):
        ops.vector_norm(nothing, ord=-np.inf)


def test_the_length_of_nothing_has_no_slope(be):
    slope = grad(lambda x: ops.sum(ops.vector_norm(x, axis=1)))(be.array(np.array([[0.0, 0.0], [3.0, 4.0]])))
    close(slope, np.array([[0.0, 0.0], [0.6, 0.8]]), "float64")


@pytest.mark.parametrize("offset", [-4, -2, -1, 0, 1, 3, 9])
def test_diagonals_are_numpys(be, offset):
    x = drawn((2, 3, 4))
    close(ops.diagonal(be.array(x), offset=offset), np.linalg.diagonal(x, offset=offset))
    close(ops.trace(be.array(x), offset=offset), np.linalg.trace(x, offset=offset), **SINGLE)
    close(ops.diag(be.array(x[0]), k=offset), np.diag(x[0], offset))
    close(ops.diag(be.array(x[0, 0]), k=offset), np.diag(x[0, 0], offset))


def test_traces_of_small_integers_are_summed_in_64_bits(be):
    x = be.array(np.full((3, 3), 100, "int8"))
    assert str(np.asarray(ops.trace(x)).dtype) == "int64"
    assert int(ops.trace(x)) == 300


# Products


@pytest.mark.parametrize("kind", ["float32", "complex64", "int32"])
def test_products_are_numpys(be, kind):
    a = (4 * drawn((2, 3, 4), "complex64" if kind == "complex64" else "float32")).astype(kind)
    b = (a[:, ::-1] + 1).astype(kind)
    x, y = be.array(a), be.array(b)
    one, other = be.array(a[0, 0]), be.array(b[0, 1])
    close(ops.matmul(x, ops.matrix_transpose(y)), a @ np.swapaxes(b, 1, 2), **SINGLE)
    close(ops.einsum("bij,bkj->bik", x, y), np.einsum("bij,bkj->bik", a, b), **SINGLE)
    close(ops.vecdot(x, y, axis=1), np.linalg.vecdot(a, b, axis=1), **SINGLE)
    close(ops.vecdot(x, other), np.vecdot(a, b[0, 1]), **SINGLE)
    close(ops.outer(one, other), np.outer(a[0, 0], b[0, 1]), **SINGLE)
    close(ops.inner(x, y), np.inner(a, b), **SINGLE)
    close(ops.dot(x, ops.matrix_transpose(y)), np.dot(a, np.swapaxes(b, 1, 2)), **SINGLE)
    close(ops.dot(one, other), np.dot(a[0, 0], b[0, 1]), **SINGLE)
    close(ops.kron(x, other), np.kron(a, b[0, 1]), **SINGLE)
    close(ops.tensordot(x, y, axes=((1, 2), (1, 2))), np.tensordot(a, b, axes=((1, 2), (1, 2))), **SINGLE)
    close(ops.cross(x, y, axis=1), np.cross(a, b, axis=1), **SINGLE)
    for made in (ops.matmul(x, ops.matrix_transpose(y)), ops.vecdot(x, y), ops.outer(one, other)):
        assert str(np.asarray(made).dtype) == kind


def test_a_cross_product_stands_upright_on_both(be):
    a, b = drawn((2, 3)), drawn((3,), seed=5)
    c = ops.cross(be.array(a), be.array(b))
    close(ops.vecdot(c, be.array(a)), np.zeros(2), atol=1e-5)
    close(c, np.cross(a, b), **SINGLE)


# What is refused


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.inv(x), r"inv: expected square matrices, got shape \(2, 3\)"),
        (lambda x: ops.det(x[0]), r"det: expected square matrices, got shape \(3,\)"),
        (lambda x: ops.eigh(x), r"eigh: expected square matrices, got shape \(2, 3\)"),
        (lambda x: ops.cholesky(x), r"cholesky: expected square matrices, got shape \(2, 3\)"),
        (lambda x: ops.svd(x[0]), r"svd: expected a matrix, or an array of them, got shape \(3,\)"),
        (lambda x: ops.qr(x[0]), r"qr: expected a matrix, or an array of them, got shape \(3,\)"),
        (lambda x: ops.qr(x, mode="whole"), r"qr: mode must be 'reduced' or 'complete', got 'whole'"),
        (
            lambda x: ops.solve(x[:, :2], x[0]),
            r"solve: matrices of shape \(2, 2\) and right-hand sides of shape \(3,\)",
        ),
        (lambda x: ops.matmul(x, x), r"matmul: inner sizes differ, \(2, 3\) @ \(2, 3\)"),
        (lambda x: ops.matrix_power(x, 2), r"matrix_power: expected square matrices, got shape \(2, 3\)"),
        (lambda x: ops.matrix_norm(x, ord=3), r"matrix_norm: ord must be 'fro', 'nuc', 1, 2, inf"),
        (
            lambda x: ops.norm(ops.expand_dims(x), ord=2),
            r"norm: a norm is over one axis or two, got 3 of shape",
        ),
        (lambda x: ops.diagonal(x[0]), r"diagonal: expected a matrix, or an array of them, got shape \(3,\)"),
        (lambda x: ops.cross(x, x, axis=0), r"cross: expected size 3 along axis 0, got shape \(2, 3\)"),
        (lambda x: ops.vecdot(x, x[:, :2]), r"vecdot: sizes along axis -1 differ, \(2, 3\) and \(2, 2\)"),
        (
            lambda x: ops.lstsq(x, x[0]),
            r"lstsq: matrices of shape \(2, 3\) and right-hand sides of shape \(3,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_the_same_words(call, words):
    """Of specs the rules alone speak; that engines' own errors become theirs is the next test's."""
    with pytest.raises(ValueError, match=words):
        call(_Sliced((2, 3)))


class _Sliced:
    """Specs that can be cut, for the lambdas above."""

    def __new__(cls, shape):
        spec = Spec(shape, as_dtype("float32"))
        return _Cut(spec)


def _Cut(spec):
    class Cut(Spec):
        __slots__ = ()

        def __getitem__(self, index):
            return _Cut(Spec(np.empty(self.shape)[index].shape, self.dtype))

    return Cut(spec.shape, spec.dtype)


@pytest.mark.parametrize(
    ("name", "shapes", "words"),
    [
        ("inv", [(2, 3)], "inv: expected square matrices"),
        ("cholesky", [(2, 3)], "cholesky: expected square matrices"),
        ("eigh", [(2, 3)], "eigh: expected square matrices"),
        ("svd", [(3,)], "svd: expected a matrix"),
        ("solve", [(3, 3), (2,)], "solve: matrices of shape"),
        ("pinv", [(3,)], "expected a matrix"),
        ("trace", [(3,)], "expected a matrix"),
    ],
)
def test_engines_errors_become_the_rules(be, name, shapes, words):
    with pytest.raises(ValueError, match=words):
        getattr(ops, name)(*(be.array(drawn(shape)) for shape in shapes))


# Tensors, programs and slopes


def test_tensors_of_integers_have_factors_in_the_default_float(be):
    x = tensor.array([[2, 1], [1, 3]])
    assert str(ops.det(x).dtype) == "float32"
    found = ops.eigh(x)
    assert type(found).__name__ == "EighResult"
    assert type(found.eigenvalues) is tensor.EmberTensor
    close(np.asarray(found.eigenvalues), np.linalg.eigvalsh([[2.0, 1.0], [1.0, 3.0]]), **SINGLE)
    sign, size = ops.slogdet(x)
    assert (str(sign.dtype), str(size.dtype)) == ("float32", "float32")


def test_named_results_come_out_of_programs(be):
    x = be.array(drawn((4, 3)))
    found = compile(lambda x: ops.svd(x, full_matrices=False).S, be)(x)
    close(found, np.linalg.svd(drawn((4, 3)), compute_uv=False), **SINGLE)


def test_slopes_of_sums_of_singular_values_know_no_basis(be):
    """At the identity all singular values coincide; the nuclear norm is smooth there all the same."""
    one = be.array(np.eye(3))
    close(grad(lambda x: ops.matrix_norm(x, ord="nuc"))(one), np.eye(3), "float64", atol=1e-12)

    def rebuilt(x):
        u, s, vh = ops.svd(x)
        return ops.sum(ops.square(ops.matmul(ops.multiply(u, ops.expand_dims(s, axis=-2)), vh)))

    close(grad(rebuilt)(one), 2 * np.eye(3), "float64", atol=1e-12)


def test_second_slopes_of_log_det_are_known(be):
    """d2 log det x = -tr(x^-1 dx x^-1 dx); Boyd and Vandenberghe, A.4.3."""
    x, w = definite((3, 3), "float64"), drawn((3, 3), "float64", seed=9)
    inverse = np.linalg.inv(x)

    def along(x, w):
        slope = grad(lambda x: ops.slogdet(x).logabsdet)(x)
        return ops.sum(ops.multiply(slope, w))

    want = -(inverse @ w @ inverse).T
    close(grad(lambda x: along(x, be.array(w)))(be.array(x)), want, "float64", rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["matmul", "einsum", "solve", "vecdot", "inv", "eigh"])
def test_complex_slopes_are_torchs(be, name):
    torch = pytest.importorskip("torch")
    a, b = drawn((3, 3), "complex64"), drawn((3, 3), "complex64", seed=4)
    w = drawn((3, 3), "complex64", seed=5)
    ours = {
        "matmul": lambda a, b: ops.matmul(a, b),
        "einsum": lambda a, b: ops.einsum("ij,kj->ik", a, b),
        "solve": lambda a, b: ops.solve(a, b),
        "vecdot": lambda a, b: ops.vecdot(a, b),
        "inv": lambda a, b: ops.matmul(ops.inv(a), b),
        "eigh": lambda a, b: ops.multiply(
            ops.abs(ops.eigh(ops.add(a, ops.conj(ops.matrix_transpose(a))))[1]), b
        ),
    }[name]
    theirs = {
        "matmul": lambda a, b: a @ b,
        "einsum": lambda a, b: torch.einsum("ij,kj->ik", a, b),
        "solve": lambda a, b: torch.linalg.solve(a, b),
        "vecdot": lambda a, b: torch.linalg.vecdot(a, b),
        "inv": lambda a, b: torch.linalg.inv(a) @ b,
        "eigh": lambda a, b: torch.linalg.eigh(a + a.mH)[1].abs() * b,
    }[name]
    x, y = (torch.tensor(v, requires_grad=True) for v in (a, b))
    made = theirs(x, y)
    weights = w[: made.shape[0]] if made.ndim == 2 else w[0]
    torch.sum((made * torch.tensor(weights)).real).backward()

    def loss(a, b):
        return ops.sum(ops.real(ops.multiply(ours(a, b), be.array(weights))))

    got = grad(loss, (0, 1))(be.array(a), be.array(b))
    for g, want in zip(got, (x.grad, y.grad), strict=True):
        want = want.resolve_conj().numpy()
        close(g, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


def test_what_is_not_positive_definite_is_told_by_numpy_and_torch():
    x = -np.eye(2, dtype="float32")
    with pytest.raises(np.linalg.LinAlgError):
        ops.cholesky(x)
    if "torch" in backend.available_backends():
        with pytest.raises(RuntimeError, match="positive-definite"):
            ops.cholesky(backend.get_backend("torch").array(x))


def test_no_matrices_have_no_factors(be):
    none = be.array(np.zeros((0, 3, 3), "float32"))
    assert tuple(ops.inv(none).shape) == (0, 3, 3)
    assert tuple(ops.svd(none).S.shape) == (0, 3)
    assert tuple(ops.pinv(none).shape) == (0, 3, 3)
    assert tuple(ops.matrix_rank(be.array(np.zeros((2, 0, 3), "float32"))).shape) == (2,)


def test_polar_factors_are_scipys(be):
    """A use of the whole: x = (u vh) (v s vh)."""
    x = drawn((3, 3))
    u, _, vh = ops.svd(be.array(x))
    close(ops.matmul(u, vh), scipy.linalg.polar(x)[0], **SINGLE)
