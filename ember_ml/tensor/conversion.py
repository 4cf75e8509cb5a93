"""From anything to an engine's array, and from one engine to another. Dtypes change only when asked."""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.backend import Backend, get_backend
from ember_ml.core import as_dtype, dispatch
from ember_ml.core.trace import Traced


def native(data: Any, dtype: Any = None, device: str | None = None) -> Any:
    """Return data as a native array: lists and numbers on the active backend, arrays on their own engine.

    An array that needs no change is returned itself, not a copy.
    """
    data = bare(data)
    owner = owner_of(data)
    if owner is None or isinstance(data, owner.scalar_types):
        if _lists_arrays(data):
            return native(ops.stack([native(each) for each in data]), dtype, device)
        return ops.asarray(data, dtype=dtype, device=device)
    if dtype is not None and as_dtype(data.dtype) != as_dtype(dtype):
        data = ops.astype(data, dtype=as_dtype(dtype))
    return data if device is None else moved(data, device)


def bare(x: Any) -> Any:
    """Return what a tensor wraps; anything else as it is."""
    owner = owner_of(x)
    return owner.unwrap(x) if owner is not None and owner.level == 1 else x


def owner_of(x: Any) -> Any:
    """Return the interpreter that owns x, None for numbers and for what is no array."""
    try:
        return dispatch.owner_of(type(x))
    except LookupError:
        return None


def _lists_arrays(data: Any) -> bool:
    """Whether nested lists hold arrays, judged by the first leaf."""
    nested = isinstance(data, list | tuple)
    while isinstance(data, list | tuple) and data:
        data = data[0]
    owner = owner_of(data)
    return nested and owner is not None and not isinstance(data, owner.scalar_types)


def engine_of(x: Any) -> Backend:
    """Return the backend of a native array, or the one for which a trace is made."""
    while type(x) is Traced:
        x = bare(x.value)
    owner = owner_of(x)
    return owner if isinstance(owner, Backend) else get_backend()


def host(x: Any) -> Any:
    """Return a native array as a NumPy array, without a copy where the engine allows; bfloat16 as float32."""
    owner = owner_of(x)
    if not isinstance(owner, Backend):
        raise TypeError("a traced value is no NumPy array; use ember_ml.ops on it")
    return owner.to_numpy(ops.astype(x, dtype="float32") if as_dtype(x.dtype) == "bfloat16" else x)


def moved(x: Any, device: str) -> Any:
    """Return a native array on a device of its engine."""
    return engine_of(x).to_device(x, device)


def to_engine(x: Any, engine: Backend, copy: bool | None = None) -> Any:
    """Return a native array as one of another engine, with the same dtype; see `Backend.receive`.

    Raises TypeError where the engine lacks the dtype, ValueError where `copy=False` cannot be.
    """
    if engine.owns(type(x)):
        return ops.slice_update(x, x, index=...) if copy else x
    source = owner_of(x)
    if not isinstance(source, Backend):
        raise TypeError(f"to_backend: expected an array of some engine, got {type(x).__name__}")
    return engine.receive(x, source, copy)
