"""Products of matrices and of higher arrays, and what stands on their diagonals."""

import math

from ember_ml.core.batching import Batched, unboxed
from ember_ml.core.dtypes import NUMERIC, as_dtype
from ember_ml.core.op import composite, primitive
from ember_ml.core.reverse import conjugated
from ember_ml.core.rules import as_axis, broadcast_shapes, shape_of
from ember_ml.ops.batching import products
from ember_ml.ops.costs import size
from ember_ml.ops.creation import astype, zeros
from ember_ml.ops.elementwise import multiply, subtract
from ember_ml.ops.indexing import getitem, slice_update
from ember_ml.ops.matrices import matrices
from ember_ml.ops.reduction import sum
from ember_ml.ops.shape import (
    broadcast_to,
    expand_dims,
    matrix_transpose,
    permute_dims,
    reshape,
    stack,
    unstack,
)

__all__ = [
    "cross", "diag", "diagonal", "dot", "einsum", "inner", "kron", "matmul", "outer", "tensordot", "trace",
    "vecdot",
]  # fmt: skip

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def contracted(x1, x2, **_):
    """Return the shape of a (stack of) matrix product(s)."""
    a, b = shape_of(x1), shape_of(x2)
    if not a or not b:
        raise ValueError(f"expected at least one dimension on each side, {a} @ {b}")
    left, right = (a if len(a) > 1 else (1, *a)), (b if len(b) > 1 else (*b, 1))
    if left[-1] != right[-2]:
        raise ValueError(f"inner sizes differ, {a} @ {b}")
    try:
        batch = broadcast_shapes(left[:-2], right[:-2])
    except ValueError:
        raise ValueError(f"batch sizes do not broadcast, {a} @ {b}") from None
    return (*batch, *left[-2:-1][: len(a) > 1], *right[-1:][: len(b) > 1])


def _matmul_vjp(g, out, x1, x2):
    n1, n2 = len(shape_of(x1)), len(shape_of(x2))
    if n1 == 1 and n2 == 1:
        return multiply(g, x2), multiply(g, x1)
    if n1 == 1:
        g = expand_dims(g, axis=-2)
        left = reshape(matmul(g, matrix_transpose(x2)), shape=(*shape_of(x2)[:-2], -1))
        return left, matmul(expand_dims(x1, axis=-1), g)
    if n2 == 1:
        g = expand_dims(g, axis=-1)
        right = reshape(matmul(matrix_transpose(x1), g), shape=(*shape_of(x1)[:-2], -1))
        return matmul(g, expand_dims(x2, axis=0)), right
    left = matmul(g, matrix_transpose(x2))
    if n1 > 2 and n2 == 2:  # one product over all rows instead of a stack that is summed
        rows, cotangents = (reshape(a, shape=(-1, shape_of(a)[-1])) for a in (x1, g))
        return left, matmul(matrix_transpose(rows), cotangents)
    return left, matmul(matrix_transpose(x1), g)


def _product_flops(out, x1, x2):
    return 2 * size(out) * shape_of(x1)[-1]


@primitive(shape=contracted, kinds=NUMERIC, vjp=_matmul_vjp, batch=products, cost=_product_flops)
def matmul(x1, x2, /):
    """The matrix product (..., n, k) @ (..., k, m) -> (..., n, m); leading axes broadcast.

    One dimension on the left is a row, on the right a column, and is gone from the result.
    """


def _indices(subscripts, ndims):
    """Return the index letters of each operand and of the result, the ellipsis written out."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    names = inputs.split(",")
    if len(names) != len(ndims):
        raise ValueError(f"{subscripts!r} names {len(names)} operands, got {len(ndims)}")
    free = [c for c in _LETTERS if c not in subscripts]
    widest = max((n - len(s) + 3 for s, n in zip(names, ndims, strict=True) if "..." in s), default=0)
    dots = "".join(free[:widest])
    full = []
    for s, n in zip(names, ndims, strict=True):
        s = s.replace("...", dots[len(dots) - (n - len(s) + 3) :]) if "..." in s else s
        if len(s) != n:
            raise ValueError(f"{subscripts!r} names {len(s)} indices for an operand of {n} dimensions")
        full.append(s)
    every = "".join(full)
    if arrow:
        out = output.replace("...", dots)
    else:
        out = dots + "".join(sorted(c for c in set(every) - set(dots) if every.count(c) == 1))
    if unknown := set(out) - set(every):
        raise ValueError(f"{subscripts!r}: the result names {''.join(sorted(unknown))}, which no operand has")
    return full, out


def _einsum_shape(*operands, subscripts):
    shapes = [shape_of(x) for x in operands]
    names, out = _indices(subscripts, [len(s) for s in shapes])
    sizes: dict[str, int] = {}
    for name, shape in zip(names, shapes, strict=True):
        for letter, n in zip(name, shape, strict=True):
            if 1 not in (n, sizes.get(letter, 1)) and sizes[letter] != n:
                raise ValueError(f"{subscripts!r}: index {letter} has sizes {sizes[letter]} and {n}")
            sizes[letter] = max(n, sizes.get(letter, 0)) if n != 1 else sizes.get(letter, 1)
    return tuple(sizes[letter] for letter in out)


def _einsum_vjp(g, out, *operands, subscripts):
    names, result = _indices(subscripts, [len(shape_of(x)) for x in operands])
    parts = []
    for i, (name, x) in enumerate(zip(names, operands, strict=True)):
        if len(set(name)) < len(name):
            raise TypeError(
                f"einsum has no gradient rule for an index repeated in one operand, as in {name!r}"
            )
        others = [n for j, n in enumerate(names) if j != i]
        known = set(result).union(*others)
        target = "".join(c for c in name if c in known)
        rest = (o for j, o in enumerate(operands) if j != i)
        part = einsum(f"{','.join([result, *others])}->{target}", g, *rest)
        lone = tuple(at for at, c in enumerate(name) if c not in known)
        parts.append(broadcast_to(expand_dims(part, axis=lone), shape=shape_of(x)) if lone else part)
    return tuple(parts)


def _einsum_at_places(step, args, size):
    names, out = _indices(step.attrs["subscripts"], [len(shape_of(x)) for x in args])
    new = next(c for c in _LETTERS if not any(c in name for name in names))
    full = (new + name if type(x) is Batched else name for x, name in zip(args, names, strict=True))
    return einsum(f"{','.join(full)}->{new}{out}", *map(unboxed, args))


def _einsum_flops(out, *operands, subscripts):
    """One product less than there are operands for each turn of a loop over all indices, and a sum."""
    names, _ = _indices(subscripts, [len(shape_of(x)) for x in operands])
    every = "".join(sorted(set("".join(names))))
    turns = math.prod(_einsum_shape(*operands, subscripts=f"{','.join(names)}->{every}"))
    return turns * (len(operands) - 1 + (turns > size(out)))


@primitive(
    shape=_einsum_shape,
    kinds=NUMERIC,
    vjp=_einsum_vjp,
    arrays=("operands",),
    batch=_einsum_at_places,
    cost=_einsum_flops,
)
def einsum(subscripts, /, *operands):
    """The sum of products that `subscripts` describes, as in `einsum("ij,jk->ik", x, y)`."""


@composite(kinds=NUMERIC)
def tensordot(x1, x2, /, axes: int | tuple = 2):
    """The product summed over axes: the last `axes` of x1 with the first of x2, or two lists of axes."""
    n1, n2 = len(shape_of(x1)), len(shape_of(x2))
    if isinstance(axes, int):
        over1, over2 = tuple(range(n1 - axes, n1)), tuple(range(axes))
    else:
        over1, over2 = ((a,) if isinstance(a, int) else tuple(a) for a in axes)
    over1, over2 = tuple(as_axis(a, n1) for a in over1), tuple(as_axis(a, n2) for a in over2)
    sizes1, sizes2 = ([shape_of(x)[a] for a in over] for x, over in ((x1, over1), (x2, over2)))
    if sizes1 != sizes2:
        raise ValueError(f"summed axes differ in size, {sizes1} and {sizes2}")
    left, right = ([a for a in range(n) if a not in over] for n, over in ((n1, over1), (n2, over2)))
    rows = reshape(permute_dims(x1, axes=(*left, *over1)), shape=(-1, math.prod(sizes1)))
    columns = reshape(permute_dims(x2, axes=(*over2, *right)), shape=(math.prod(sizes2), -1))
    return reshape(
        matmul(rows, columns), shape=(*(shape_of(x1)[a] for a in left), *(shape_of(x2)[a] for a in right))
    )


def _aligned(x1, x2, axis):
    """Return two arrays of one size along `axis` broadcast against each other, and that axis."""
    shape1, shape2 = shape_of(x1), shape_of(x2)
    size1, size2 = (shape[as_axis(axis, len(shape))] for shape in (shape1, shape2))
    if size1 != size2:
        raise ValueError(f"sizes along axis {axis} differ, {shape1} and {shape2}")
    shape = broadcast_shapes(shape1, shape2)
    x1, x2 = (x if shape_of(x) == shape else broadcast_to(x, shape=shape) for x in (x1, x2))
    return x1, x2, as_axis(axis, len(shape))


@composite(kinds=NUMERIC)
def vecdot(x1, x2, /, axis=-1):
    """The sum of conj(x1) * x2 along one axis, which has one size in both; the others broadcast."""
    x1, x2, at = _aligned(x1, x2, axis)
    products = multiply(conjugated(x1), x2)
    return astype(sum(products, axis=at), dtype=as_dtype(products.dtype))


@composite(kinds=NUMERIC)
def outer(x1, x2, /):
    """Every product of a value of x1 with one of x2, both laid flat: (n,), (m,) -> (n, m)."""
    return multiply(reshape(x1, shape=(-1, 1)), reshape(x2, shape=(1, -1)))


@composite(kinds=NUMERIC)
def inner(x1, x2, /):
    """The product summed over the last axis of both, as NumPy's: (..., k), (*m, k) -> (..., *m)."""
    if not shape_of(x1) or not shape_of(x2):
        return multiply(x1, x2)
    return tensordot(x1, x2, axes=((-1,), (-1,)))


@composite(kinds=NUMERIC)
def dot(x1, x2, /):
    """The product summed over the last axis of x1 and the last but one of x2, as NumPy's.

    Of two vectors the sum of products, of two matrices their product, with a number the plain product.
    """
    n1, n2 = len(shape_of(x1)), len(shape_of(x2))
    if n1 == 0 or n2 == 0:
        return multiply(x1, x2)
    return matmul(x1, x2) if n2 <= 2 else tensordot(x1, x2, axes=((-1,), (-2,)))


@composite(kinds=NUMERIC)
def kron(x1, x2, /):
    """The Kronecker product: x2 once for each value of x1, times it; (n, m), (k, l) -> (n k, m l)."""
    shape1, shape2 = shape_of(x1), shape_of(x2)
    ndim = max(len(shape1), len(shape2))
    shape1, shape2 = ((1,) * (ndim - len(shape)) + shape for shape in (shape1, shape2))
    spread1 = reshape(x1, shape=tuple(n for size in shape1 for n in (size, 1)))
    spread2 = reshape(x2, shape=tuple(n for size in shape2 for n in (1, size)))
    return reshape(
        multiply(spread1, spread2), shape=tuple(n * m for n, m in zip(shape1, shape2, strict=True))
    )


@composite(kinds=NUMERIC)
def cross(x1, x2, /, axis=-1):
    """The cross product of vectors of 3 along one axis; the others broadcast."""
    x1, x2, at = _aligned(x1, x2, axis)
    if shape_of(x1)[at] != 3:
        raise ValueError(f"expected size 3 along axis {axis}, got shape {shape_of(x1)}")
    a, b = (unstack(x, axis=at) for x in (x1, x2))
    parts = [subtract(multiply(a[i - 2], b[i - 1]), multiply(a[i - 1], b[i - 2])) for i in range(3)]
    return stack(parts, axis=at)


@composite()
def diagonal(x, /, offset=0):
    """The values of matrices (..., n, m) `offset` places right of (left, if negative) the main diagonal."""
    *batch, n, m = matrices(x)
    start = offset if offset >= 0 else -offset * m
    count = max(0, min(n, m - offset) if offset >= 0 else min(n + offset, m))
    flat = reshape(x, shape=(*batch, n * m))
    return getitem(flat, index=(..., slice(start, start + max(0, count - 1) * (m + 1) + (count > 0), m + 1)))


@composite(kinds=NUMERIC)
def trace(x, /, offset=0, dtype=None):
    """The sum of a diagonal of matrices (..., n, m) -> (...,). Integers are summed in 64 bits."""
    values = diagonal(x, offset=offset)
    return sum(values if dtype is None else astype(values, dtype=dtype), axis=-1)


@composite()
def diag(x, /, k=0):
    """The k-th diagonal of a matrix, or the matrix that has these values (n,) there, as NumPy's."""
    shape = shape_of(x)
    if len(shape) == 2:
        return diagonal(x, offset=k)
    if len(shape) != 1:
        raise ValueError(f"expected a vector or a matrix, got shape {shape}")
    size = shape[0] + (k if k >= 0 else -k)
    start = k if k >= 0 else -k * size
    flat = zeros((size * size,), dtype=as_dtype(x.dtype), like=x)
    if shape[0] == 0:
        return reshape(flat, shape=(size, size))
    places = slice(start, start + (shape[0] - 1) * (size + 1) + 1, size + 1)
    return reshape(slice_update(flat, x, index=places), shape=(size, size))
