"""Products of matrices and of higher arrays."""

import math

from ember_ml.core.dtypes import NUMERIC
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import as_axis, contracted, shape_of
from ember_ml.ops.elementwise import multiply
from ember_ml.ops.reduction import sum
from ember_ml.ops.shape import broadcast_to, expand_dims, matrix_transpose, permute_dims, reshape


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


@primitive(shape=contracted, kinds=NUMERIC, vjp=_matmul_vjp)
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
    free = [c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in subscripts]
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


@primitive(shape=_einsum_shape, kinds=NUMERIC, vjp=_einsum_vjp, arrays=("operands",))
def einsum(subscripts, /, *operands):
    """The sum of products that `subscripts` describes, as in `einsum("ij,jk->ik", x, y)`."""


@composite(kinds=NUMERIC)
def tensordot(x1, x2, /, axes=2):
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


@composite(kinds=NUMERIC)
def vecdot(x1, x2, /, axis=-1):
    """The sum of products along one axis."""
    return sum(multiply(x1, x2), axis=axis)


@composite(kinds=NUMERIC)
def outer(x1, x2, /):
    """Every product of a value of x1 with one of x2, both laid flat: (n,), (m,) -> (n, m)."""
    return multiply(reshape(x1, shape=(-1, 1)), reshape(x2, shape=(1, -1)))
