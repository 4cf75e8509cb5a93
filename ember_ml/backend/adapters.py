"""Ways to an engine's function for arguments that it does not take as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

from ember_ml.core import DType, Op, as_dtype, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.rules import expand_index

if TYPE_CHECKING:
    from ember_ml.backend.base import Backend


class Lacking(NotImplementedError):
    """An op that an engine does not have: its namespace has no such function, or a gap says so."""


def on_host(backend: Backend, op: Op, *args: Any, **attrs: Any) -> Any:
    """Compute by NumPy: the arrays go over, without a copy where that can be, and the results come back."""
    from ember_ml.backend.host import host_engine

    like = next((x for x in (*tree.leaves(args), attrs.get("like")) if backend.owns(type(x))), None)
    engine = host_engine()

    def over(x: Any) -> Any:
        return backend.to_numpy(x) if backend.owns(type(x)) else x

    out = engine.implementation(op)(*tree.map(over, args), **{k: over(v) for k, v in attrs.items()})
    return tree.map(lambda x: backend.from_host(engine.to_numpy(x), None, like), out)


def all_scalars(backend: Backend, implementation: Callable, *args: Any, **attrs: Any) -> Any:
    """Compute with Python numbers made arrays of the engine."""
    return implementation(*(None if a is None else backend.array(a) for a in args), **attrs)


def refused(backend: Backend, op: Op, implementation: Callable, *args: Any, **attrs: Any) -> Any:
    """Compute, but for dtypes in a declared gap, which the engine may take for others without a word."""
    backend.refuse(op.name, dtypes_of(args))
    return implementation(*args, **attrs)


def with_items(implementation: Callable, foreign: list[type], *args: Any, **attrs: Any) -> Any:
    """Compute with another engine's scalars made Python numbers."""
    return implementation(*tree.map(lambda a: a.item() if type(a) in foreign else a, args), **attrs)


def lifted(backend: Backend, implementation: Callable, *args: Any, **attrs: Any) -> Any:
    """Compute with Python numbers, of a sequence too, made arrays."""
    listed = type(args[0]) in (list, tuple)
    given = args[0] if listed else args
    like = next(a for a in given if type(a) not in SCALARS)
    arrays = [backend.lift(a, like) if type(a) in SCALARS and a is not None else a for a in given]
    return implementation(arrays, **attrs) if listed else implementation(*arrays, **attrs)


def checked(backend: Backend, op: Op, compute: Callable, *args: Any, **attrs: Any) -> Any:
    """Compute after looking at the indices, since engines differ in what they do with a wrong one."""
    backend.check_places(op, args, attrs)
    return compute(*args, **attrs)


def dtypes_of(args: tuple) -> list[DType]:
    """Return the dtypes of the arrays among arguments, in sequences too."""
    return [as_dtype(x.dtype) for x in tree.leaves(args) if type(x) not in SCALARS]


def forwards(index: Any, shape: Any) -> tuple[Any, list[int]]:
    """Return an index without negative steps, and the axes of its result that are to be turned round."""
    if not any(map(runs_back, index if type(index) is tuple else (index,))):
        return index, []
    ahead, turned, out, sizes = [], [], 0, iter(shape)
    for part in expand_index(index, len(shape)):
        size = 0 if part is None else next(sizes)
        if runs_back(part):
            places = range(*part.indices(size))[::-1]
            part = slice(places.start, places.stop, places.step)
            turned.append(out)
        ahead.append(part)
        out += type(part) is not int
    return tuple(ahead), turned


def runs_back(part: Any) -> TypeGuard[slice]:
    """Whether a part of an index is a slice from the end to the front."""
    return type(part) is slice and (part.step or 1) < 0
