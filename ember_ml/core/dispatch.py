"""Arguments choose who computes: the types of an op's arrays lead to one interpreter.

An interpreter gives ops meaning. A `Backend` computes (level 0), EmberTensor wraps one (1), `Specs` infers
shapes and dtypes (2), a trace records (3). The highest level among the arguments wins; two different
backends refuse to mix. What has no array argument goes to the innermost open trace, else to the active
backend.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ember_ml.core.op import Op

SCALARS = frozenset({bool, int, float, complex, type(None)})


class Misfit(ValueError):
    """Arguments of other types, shapes or dtypes than a program was made for; it finds out by itself."""


class Interpreter:
    """Gives ops meaning for the types that it owns."""

    level: int = 0
    scalar_types: tuple[type, ...] = ()  # its own; beside another engine's array they count as Python numbers

    def bind(self, op: Op, types: tuple[type, ...]) -> Callable:
        """Return what computes `op` on arguments of these types."""
        raise TypeError(f"{self} cannot interpret {op.name}")

    def owns(self, type_: type) -> bool:
        """Whether arrays of `type_` are its own."""
        return OWNERS.get(type_) is self

    def unwrap(self, x: Any) -> Any:
        """Return the native (or traced) array in what it owns, where it wraps one; else x itself."""
        return x

    def recover(self, op: Op, error: Exception, args: tuple, attrs: dict) -> Any:
        """Return the result of an op that failed with `error` though its rules find no fault, or raise it."""
        raise error


OWNERS: dict[type, Interpreter | None] = dict.fromkeys(SCALARS)
FINDERS: list[Callable[[type], Interpreter | None]] = []  # asked in order about a type met for the first time
AMBIENT: ContextVar[Any] = ContextVar("ember_ml_trace", default=None)  # the innermost open trace, or None


def register_type(type_: type, interpreter: Interpreter) -> None:
    """Let `interpreter` own the arguments of `type_` and its subclasses."""
    OWNERS[type_] = interpreter


def owner_of(type_: type) -> Interpreter | None:
    """Return the interpreter that owns arguments of `type_`; None for a Python scalar.

    Raises LookupError for a type that nobody owns.
    """
    if type_ in OWNERS:
        return OWNERS[type_]
    for find in FINDERS:
        if (found := find(type_)) is not None:
            return OWNERS.setdefault(type_, found)
    for base in type_.__mro__[1:]:
        if base in OWNERS:
            return OWNERS.setdefault(type_, OWNERS[base])
    raise LookupError(type_)


def owner(x: Any) -> Interpreter | None:
    """Return the interpreter that owns an argument; None for a Python scalar and for what is no array."""
    try:
        return owner_of(type(x))
    except LookupError:
        return None


def bare(x: Any) -> Any:
    """Return what a tensor wraps; anything else as it is."""
    found = owner(x)
    return x if found is None else found.unwrap(x)


def active() -> Interpreter:
    """Return who interprets an op without arrays: the innermost open trace, else the active backend."""
    return AMBIENT.get() or _active_backend()


def _active_backend() -> Interpreter:
    raise LookupError("no backend is loaded: import ember_ml.backend")


def set_active_backend(function: Callable[[], Interpreter]) -> None:
    """Let `function` say which backend is active. `ember_ml.backend` calls this once, when it is imported."""
    global _active_backend  # noqa: PLW0603 - the one seam through which core learns of backends
    _active_backend = function


def interpreter_of(name: str, types: tuple[type, ...]) -> Interpreter | None:
    """Return the highest interpreter among the owners of `types`; None when there are only Python scalars.

    Raises TypeError for a type that is no array, and for arrays of two backends; both name the op.
    """
    top: Interpreter | None = None
    for type_ in types:
        try:
            found = owner_of(type_)
        except LookupError:
            raise TypeError(
                f"{name}: expected arrays, got {_written(type_)}; make one with ember_ml.tensor.array(...)"
            ) from None
        if found is None or found is top:
            continue
        if top is None or found.level > top.level:
            top = found
        elif found.level == top.level:
            if _only_scalars(found, types):
                continue
            if not _only_scalars(top, types):
                raise TypeError(
                    f"{name}: arrays of different backends, {top} and {found}; "
                    f"move one over first: ember_ml.tensor.to_backend(x, {str(top)!r})"
                )
            top = found
    return top


def blamed(name: str, fault: Exception) -> Exception:
    """Return an error with the name of the op in front, unless it bears one already."""
    if getattr(fault, "op", None) is None:
        fault.args, fault.op = (f"{name}: {fault}",), name  # pyright: ignore[reportAttributeAccessIssue]
    return fault


def as_number(x: Any) -> Any:
    """Return another engine's scalar as the Python number it counts as beside arrays of the active one."""
    found = owner(x)
    foreign = found is not None and isinstance(x, found.scalar_types) and not _active_backend().owns(type(x))
    return x.item() if foreign else x


def _only_scalars(interpreter: Interpreter, types: tuple[type, ...]) -> bool:
    return all(issubclass(t, interpreter.scalar_types) for t in types if OWNERS.get(t) is interpreter)


def _written(type_: type) -> str:
    return type_.__name__ if type_.__module__ == "builtins" else f"{type_.__module__}.{type_.__qualname__}"
