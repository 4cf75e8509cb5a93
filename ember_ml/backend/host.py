"""NumPy as the host: where numbers from Python and arrays of other engines meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_ml.core.dtypes import Defaults, as_dtype

_NO_NUMBERS = "OSUMm"  # objects, texts and times


def host_engine() -> Any:
    """Return NumPy as a backend with no settings: what computes for engines that cannot."""
    from ember_ml.backend.selection import get_backend

    return get_backend("numpy")


def host_array(x: Any) -> np.ndarray:
    """Return any engine's array as a NumPy array, without a copy where the engine allows."""
    return np.asarray(x)


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
    return np.array(host, dtype=as_dtype(given).name, copy=True)
