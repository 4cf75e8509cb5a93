"""Gradients of functions, on any engine, by the rules in the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from ember_ml.compiler.vmap import vmap
from ember_ml.core import Op, Spec, spec_of, tree
from ember_ml.core.batching import spread
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import Step, trace_graph
from ember_ml.core.op import TABLE
from ember_ml.core.reverse import conjugated, linearize
from ember_ml.core.trace import named
from ember_ml.core.tree import merged


def vjp(f: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """Return `f(*primals)` and the function from its cotangents to those of the primals.

    Primals and results are trees of arrays; cotangents have the structure of the result, None standing for
    zero. With `has_aux`, f returns a pair whose second part comes back untouched, as a third result; as
    jax.vjp.
    """
    leaves, structure = tree.flatten(primals)
    leaves = [as_float_array(x, "vjp") for x in leaves]
    found: list[tuple] = []

    def flat(*values: Any) -> list:
        result = f(*tree.unflatten(structure, values))
        outs, shape = tree.flatten(result if has_aux else (result, None))
        found.append(shape)
        return outs

    values, pull = linearize(flat, leaves)
    result, aux = tree.unflatten(found[0], values)
    outs, shape = tree.flatten(result)
    specs, extra = [spec_of(x) for x in outs], [None] * (len(values) - len(outs))

    def pullback(cotangents: Any) -> tuple:
        given = map(conjugated, _cotangents(cotangents, shape, specs))
        slopes = map(conjugated, pull([*given, *extra]))
        parts = [TABLE["zeros_like"](x) if p is None else p for p, x in zip(slopes, leaves, strict=True)]
        return tree.unflatten(structure, parts)

    return (result, pullback, aux) if has_aux else (result, pullback)


def value_and_grad(f: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Return the function that gives the value of scalar `f` and its gradient in the arguments `argnums`.

    Arguments are trees of arrays; the gradient has their structure. With `has_aux`, f returns (value, aux)
    and so does the result: ((value, aux), gradient). As jax.value_and_grad.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> value_and_grad(lambda x: ops.sum(ops.square(x)))(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """

    def run(*args: Any, **settings: Any) -> tuple:
        of_chosen, chosen = with_chosen(f, argnums, args, settings, "grad")
        result = vjp(of_chosen, *chosen, has_aux=has_aux)
        value, pull = named(result[0], "value"), result[1]
        if spec_of(value).shape != ():
            raise ValueError(
                f"grad: the function must return a single number, got shape {spec_of(value).shape}"
            )
        if spec_of(value).dtype.kind != "float":
            raise TypeError(f"grad: the function must return a real float, got {spec_of(value).dtype}")
        gradient = pull(TABLE["ones_like"](value))
        gradient = gradient[0] if isinstance(argnums, int) else gradient
        return ((value, result[2]), gradient) if has_aux else (value, gradient)

    return update_wrapper(run, f) if getattr(f, "__name__", None) else run


def grad(f: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Return the function for the gradient of scalar `f`; with `has_aux`, for (gradient, aux); as jax.grad.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> grad(lambda x: ops.sum(ops.sin(x)))(np.array([0.0]))
    array([1.])
    """
    both = value_and_grad(f, argnums, has_aux)

    def run(*args: Any, **settings: Any) -> Any:
        value, gradient = both(*args, **settings)
        return (gradient, value[1]) if has_aux else gradient

    return update_wrapper(run, f) if getattr(f, "__name__", None) else run


def with_chosen(
    f: Callable, argnums: int | tuple[int, ...], args: tuple, settings: dict, name: str
) -> tuple[Callable, list]:
    """Return `f` as a function of the arguments `argnums` alone, and these."""
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for place in places:
        if not -len(args) <= place < len(args):
            raise ValueError(f"{name}: argument {place} was asked for, but {len(args)} were given")

    def of_chosen(*chosen: Any) -> Any:
        return f(*merged(args, places, chosen), **settings)

    return of_chosen, [args[i] for i in places]


class custom_vjp:
    """A function with a gradient of your own: `@custom_vjp`, then `f.defvjp(forward, backward)`.

    `forward(*args)` returns (result, residuals); `backward(residuals, cotangent)` returns a tuple with the
    cotangent of each argument, None for zero. Arguments and results are trees of arrays. As jax.custom_vjp.
    """

    def __init__(self, f: Callable):
        self.f = f
        self.forward: Callable | None = None
        self.backward: Callable | None = None
        self._structures: dict[tuple, tuple] = {}  # of the result, by that of the arguments
        update_wrapper(self, f, updated=())

        def definition(*arrays: Any, structure: tuple) -> None: ...

        name = f.__name__ if f.__name__.isidentifier() else "function"
        definition.__name__ = f"custom_vjp_{name}"
        rules = {"spec": self._specs, "linearize": self._linearize, "batch": self._batch}
        self._op = Op(define=definition, body=self._compute, **rules)

    def defvjp(self, forward: Callable, backward: Callable) -> None:
        """Set the forward and the backward rule."""
        self.forward, self.backward = forward, backward

    def __call__(self, *args: Any) -> Any:
        """Compute `f(*args)`."""
        if self.forward is None or self.backward is None:
            raise TypeError(
                f"custom_vjp: {self.f.__name__} has no rules yet; call its defvjp(forward, backward)"
            )
        leaves, structure = tree.flatten(args)
        outs = self._op.function(*leaves, structure=structure)
        return tree.unflatten(self._structures[structure], outs)

    def _compute(self, *values: Any, structure: tuple) -> tuple:
        outs, self._structures[structure] = tree.flatten(self.f(*tree.unflatten(structure, values)))
        return tuple(outs)

    def _specs(self, *values: Any, structure: tuple) -> tuple:
        places = [i for i, x in enumerate(values) if type(x) is Spec]

        def flat(*given: Any) -> tuple:
            return self._compute(*merged(values, places, given), structure=structure)

        # recorded and not inferred, since f may use operators, which specs have not
        return trace_graph(flat, [values[i] for i in places])[0].out_specs

    def _batch(self, step: Step, args: list, size: int) -> tuple:
        assert self.forward is not None and self.backward is not None
        of_all = custom_vjp(vmap(self.f))
        of_all.defvjp(vmap(self.forward), vmap(self.backward))
        rows = [spread(x, size) for x in args]
        return tuple(tree.leaves(of_all(*tree.unflatten(step.attrs["structure"], rows))))

    def _linearize(self, wanted: list[bool], *values: Any, structure: tuple) -> tuple:
        assert self.forward is not None
        args = tree.unflatten(structure, values)
        result, residuals = self.forward(*args)
        outs, shape = tree.flatten(result)
        self._structures[structure] = shape

        def pull(cotangents: list) -> list:
            assert self.backward is not None
            filled = [
                TABLE["zeros_like"](o) if g is None else conjugated(g)
                for g, o in zip(cotangents, outs, strict=True)
            ]
            return _aligned(self.backward(residuals, tree.unflatten(shape, filled)), args)

        return tuple(outs), pull


def _aligned(parts: tuple, args: tuple) -> list:
    """Return the cotangents of each leaf of `args`, None for a whole argument that has none."""
    if len(parts) != len(args):
        raise ValueError(
            f"custom_vjp: the backward rule must return {len(args)} cotangents, got {len(parts)}"
        )
    out: list = []
    for part, arg in zip(parts, args, strict=True):
        size = len(tree.leaves(arg))
        out.extend([None] * size if part is None else map(conjugated, tree.leaves(part)))
    return out


def as_float_array(x: Any, name: str) -> Any:
    """Return x, a Python number as an array. Raises TypeError for what has no gradient."""
    if type(x) in SCALARS:
        x = TABLE["full"]((), float(x) if type(x) is int else x)
    if (dtype := spec_of(x).dtype).kind not in FLOATING:
        raise TypeError(f"{name}: gradients need floating-point arguments, got {dtype}")
    return x


def _cotangents(given: Any, structure: tuple, specs: list) -> list:
    """Return the leaves of a tree of cotangents, in which None may stand for any part."""
    flat = tree.spread(given, structure, lambda g: g is None)
    if flat is None:
        raise ValueError(f"vjp: cotangents must have the structure {tree.describe(structure)}")
    for g, spec in zip(flat, specs, strict=True):
        if g is not None and spec_of(g).shape != spec.shape:
            raise ValueError(
                f"vjp: a cotangent must have its output's shape {spec.shape}, got {spec_of(g).shape}"
            )
    return flat
