"""NumPy as the host: where numbers from Python and arrays of other engines meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_ml.core.dtypes import Defaults, DType, as_dtype

_NO_NUMBERS = "OSUMm"  # objects, texts and times


def host_engine() -> Any:
    """Return NumPy as a backend with no settings: what computes for engines that cannot."""
    from ember_ml.backend.selection import get_backend

    return get_backend("numpy")


def host_array(x: Any) -> np.ndarray:
    """Return any engine's array as a NumPy array, without a copy where the engine allows."""
    host = np.asarray(x)
    if host.dtype.kind in "iu" and host.dtype.num != np.dtype(host.dtype.name).num:
        host = host.view(host.dtype.name)  # MLX gives C's long long, an int64 that torch does not take
    return host


def host_array_from_dlpack(x: Any) -> np.ndarray:
    """Return an array of any library that speaks dlpack as a NumPy array on the same memory."""
    return np.from_dlpack(x)


def plain(host: np.ndarray) -> np.ndarray:
    """Return a NumPy array in the byte order and the layout that other libraries take."""
    return np.asarray(host, dtype=host.dtype.newbyteorder("="), order="C")


def host_dtype_of(obj: Any) -> DType:
    """Return the dtype of an array or, as NumPy sees it, of numbers in nested lists."""
    given = getattr(obj, "dtype", None)
    host = np.asarray(obj).dtype if given is None else given
    if given is None and host.kind in _NO_NUMBERS:
        raise TypeError(f"array: expected numbers in nested lists of equal length, got {obj!r}")
    return as_dtype(host)


def host_array_of(obj: Any, dtype: Any) -> np.ndarray:
    """Return nested lists or an array as a NumPy array; Python floats come as the default float."""
    given = obj.dtype if dtype is None and getattr(obj, "dtype", None) is not None else dtype
    host = np.asarray(obj)
    if host.dtype.kind in _NO_NUMBERS:
        raise TypeError(f"asarray: expected numbers in nested lists of equal length, got {obj!r}")
    if given is None:
        given = {"f": Defaults.float, "i": Defaults.int, "c": as_dtype(complex)}.get(
            host.dtype.kind, host.dtype
        )
    wanted = as_dtype(given)
    if host.dtype.kind == "f" and wanted.kind in ("int", "uint") and not hasattr(obj, "dtype"):
        host = obj  # NumPy sees floats in integers of both ends of 64 bits, unless it is told
    return np.array(host, dtype=wanted.name, copy=True).view(wanted.name)  # one of two names for 64 bits
