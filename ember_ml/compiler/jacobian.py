"""Derivatives beyond the gradient: along a direction, of every result, of the gradient itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

from ember_ml.compiler.grad import as_float_array, grad, vjp, with_chosen
from ember_ml.compiler.vmap import vmap
from ember_ml.core import spec_of, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.op import TABLE
from ember_ml.core.rules import shape_of


def jvp(f: Callable, primals: Sequence, tangents: Sequence, has_aux: bool = False) -> tuple:
    """Return `f(*primals)` and how it changes as the primals move along `tangents`; as jax.jvp.

    Tangents have the structure and the shapes of the primals. With `has_aux`, f returns a pair whose second
    part comes back untouched, as a third result. A result that holds no fractions changes by 0.

    It is the gradient rules twice: the pullback is linear, and its own pullback is what we want. So it works
    for all that has a gradient, and `ops.while_loop` has none.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> jvp(ops.sin, (np.array(0.0),), (np.array(2.0),))
    (np.float64(0.0), np.float64(2.0))
    """
    if not all(isinstance(x, list | tuple) for x in (primals, tangents)):
        raise TypeError(
            "jvp: primals and tangents are tuples, with one entry for each argument of the function"
        )
    point = tree.map(lambda x: as_float_array(x, "jvp"), tuple(primals))
    directions = _as_tangents(point, tuple(tangents))
    value, pull, *aux = vjp(f, *point, has_aux=has_aux)
    outs, structure = tree.flatten(value)
    smooth = [i for i, x in enumerate(outs) if spec_of(x).dtype.kind in FLOATING]

    def slopes(*cotangents: Any) -> tuple:
        return pull(tree.unflatten(structure, tree.merged([None] * len(outs), smooth, cotangents)))

    moves = [TABLE["zeros_like"](x) for x in outs]
    if smooth:
        _, push = vjp(slopes, *(moves[i] for i in smooth))
        moves = tree.merged(moves, smooth, push(directions))
    return value, tree.unflatten(structure, moves), *aux


def jacobian(f: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Return the function for the derivative of every result of `f` in each of the arguments `argnums`.

    For trees it returns the structure of the result, with that of the argument in place of each array (a
    tuple of them for several `argnums`); shapes: result (*m), argument (*n) -> (*m, *n). With `has_aux`, f
    returns (result, aux) and this returns (derivative, aux). As jax.jacrev: one pullback, at every unit
    cotangent at once. Raises TypeError for a result that is no real float.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> jacobian(ops.square)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def run(*args: Any, **settings: Any) -> Any:
        of_chosen, chosen = with_chosen(f, argnums, args, settings, "jacobian")
        value, pull, *aux = vjp(of_chosen, *chosen, has_aux=has_aux)
        outs, structure = tree.flatten(value)
        rows = []
        for i, out in enumerate(outs):
            spec = spec_of(out)
            if spec.dtype.kind != "float":
                raise TypeError(f"jacobian: the function must return real floats, got {spec.dtype}")

            def row(g: Any, i: int = i) -> Any:
                return pull(tree.unflatten(structure, [g if k == i else None for k in range(len(outs))]))

            size = math.prod(spec.shape)
            basis = TABLE["eye"](size, dtype=spec.dtype, like=out)
            slopes = vmap(row)(TABLE["reshape"](basis, shape=(size, *spec.shape)))
            laid = tree.map(
                lambda x, m=spec.shape: TABLE["reshape"](x, shape=(*m, *spec_of(x).shape[1:])), slopes
            )
            rows.append(laid[0] if isinstance(argnums, int) else laid)
        found = tree.unflatten(structure, rows)
        return (found, *aux) if has_aux else found

    return update_wrapper(run, f) if getattr(f, "__name__", None) else run


def hessian(f: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Return the function for the second derivatives of scalar `f`: the Jacobian of its gradient.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> hessian(lambda x: ops.prod(x))(np.array([2.0, 3.0]))
    array([[0., 1.],
           [1., 0.]])
    """
    return jacobian(grad(f, argnums, has_aux), argnums, has_aux)


def _as_tangents(primals: tuple, tangents: tuple) -> tuple:
    """Return tangents as arrays. Raises ValueError where structure or shapes are not those of the primals."""
    if tree.structure(primals) != tree.structure(tangents):
        one, other = (tree.describe(tree.structure(x)) for x in (primals, tangents))
        raise ValueError(f"jvp: tangents must have the structure of the primals {one}, got {other}")

    def fitted(x: Any, t: Any) -> Any:
        if shape_of(x) != shape_of(t):
            raise ValueError(f"jvp: a tangent must have its primal's shape {shape_of(x)}, got {shape_of(t)}")
        return TABLE["full"]((), float(t), like=x) if type(t) in SCALARS else t

    return tree.map(fitted, primals, tangents)
