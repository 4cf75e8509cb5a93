"""threefry2x32 on the host: the words of `ember_ml.ops.random`, in blocks that stay in the cache.

Numba's kernels take over for large arrays where it is installed (extra `speed`); the bits are the same.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from ember_ml.core.keys import PARITY, ROTATIONS, drawn_size, mixed
from ember_ml.core.rules import as_shape

UNIT_DTYPES = ("float32", "float64")
_BLOCK = 2**15  # three arrays of so many words fit a second-level cache
_LARGE = 2**16  # from here on, importing Numba is worth it
_MASK = 0xFFFFFFFF


def fold(key: Any, data: Any) -> np.ndarray:
    """Return the key with an integer folded in."""
    count = data if isinstance(data, int) else int(np.asarray(data).item())
    return np.array(mixed(*_key(key), count), np.uint32)


def pairs(key: Any, shape: Any) -> np.ndarray:
    """Return two words for each place: uint32, (2, *shape)."""
    shape, size = _asked(shape)
    out = np.empty((2, size), np.uint32)
    k0, k1 = _key(key)
    if (kernels := _kernels(out[0].size)) is not None:
        kernels.fill_pairs(np.uint32(k0), np.uint32(k1), out[0], out[1])
    else:
        for start in range(0, out.shape[1], _BLOCK):
            part = out[:, start : start + _BLOCK]
            _mix(k0, k1, start, part[0], part[1], np.empty_like(part[0]))
    return out.reshape(2, *shape)


def bits(key: Any, shape: Any) -> np.ndarray:
    """Return one word for each place."""
    shape, size = _asked(shape)
    out = np.empty(size, np.uint32)
    k0, k1 = _key(key)
    if (kernels := _kernels(out.size)) is not None:
        kernels.fill_bits(np.uint32(k0), np.uint32(k1), out)
    else:
        for part, x0, x1 in _blocks(k0, k1, out):
            np.bitwise_xor(x0, x1, out=part)
    return out.reshape(shape)


def unit(key: Any, shape: Any, dtype: Any) -> np.ndarray:
    """Return uniform numbers in [0, 1) of one of UNIT_DTYPES."""
    shape, size = _asked(shape)
    out = np.empty(size, dtype)
    k0, k1 = _key(key)
    single = out.dtype == np.float32
    if (kernels := _kernels(out.size)) is not None:
        fill = kernels.fill_unit_float32 if single else kernels.fill_unit_float64
        fill(np.uint32(k0), np.uint32(k1), out)
    else:
        for part, x0, x1 in _blocks(k0, k1, out):
            (_single if single else _double)(x0, x1, part)
    return out.reshape(shape)


def _asked(shape: Any) -> tuple[tuple[int, ...], int]:
    shape = as_shape(shape)
    return shape, drawn_size(shape)


def _single(x0: np.ndarray, x1: np.ndarray, out: np.ndarray) -> None:
    np.bitwise_xor(x0, x1, out=x0)
    np.right_shift(x0, np.uint32(9), out=x0)
    np.multiply(x0.view(np.int32), np.float32(2.0**-23), out=out, casting="unsafe", dtype=np.float32)


def _double(x0: np.ndarray, x1: np.ndarray, out: np.ndarray) -> None:
    np.multiply(x0, 2.0**20, out=out, dtype=np.float64)
    np.add(out, x1 >> np.uint32(12), out=out)
    np.multiply(out, 2.0**-52, out=out)


def _blocks(k0: int, k1: int, out: np.ndarray) -> Any:
    """Yield the parts of `out`, each with its two words, in scratch that the next part overwrites."""
    scratch = np.empty((3, min(out.size, _BLOCK)), np.uint32)
    for start in range(0, out.size, _BLOCK):
        part = out[start : start + _BLOCK]
        x0, x1, turned = scratch[:, : part.size]
        _mix(k0, k1, start, x0, x1, turned)
        yield part, x0, x1


def _mix(k0: int, k1: int, start: int, x0: np.ndarray, x1: np.ndarray, turned: np.ndarray) -> None:
    """Write the words of the places from `start` on into x0 and x1."""
    keys = (k0, k1, k0 ^ k1 ^ PARITY)
    x0.fill(k0)
    x1[:] = np.arange(start, start + x1.size, dtype=np.uint32)
    np.add(x1, np.uint32(k1), out=x1)
    for i in range(5):
        for distance in ROTATIONS[i % 2]:
            np.add(x0, x1, out=x0)
            np.left_shift(x1, np.uint32(distance), out=turned)
            np.right_shift(x1, np.uint32(32 - distance), out=x1)
            np.bitwise_or(x1, turned, out=x1)
            np.bitwise_xor(x1, x0, out=x1)
        np.add(x0, np.uint32(keys[(i + 1) % 3]), out=x0)
        np.add(x1, np.uint32((keys[(i + 2) % 3] + i + 1) & _MASK), out=x1)


def _key(key: Any) -> tuple[int, int]:
    first, second = np.asarray(key).tolist()
    return first, second


def _kernels(size: int) -> Any:
    return _numba() if size >= _LARGE else None


@cache
def _numba() -> Any:
    """Return the compiled kernels; None without Numba."""
    if find_spec("numba") is None:
        return None
    from ember_ml.backend import kernels

    return kernels
