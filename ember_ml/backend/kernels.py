"""Loops compiled by Numba (extra `speed`), where NumPy would make a hundred passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ember_ml.core.keys import PARITY

_PARITY = np.uint32(PARITY)


def _compiled(function: Callable) -> Any:
    """Compile at the first call, and keep the result on disk where there is a place for it."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # Numba finds no folder that it may write to
        return njit(nogil=True)(function)


@njit(inline="always")
def _turn(x0, x1, distance):
    x0 = np.uint32(x0 + x1)
    turned = np.uint32((x1 << np.uint32(distance)) | (x1 >> np.uint32(32 - distance)))
    return x0, np.uint32(turned ^ x0)


@njit(inline="always")
def _odd_turns(x0, x1):  # the rotations of `keys.ROTATIONS`, written out so that the loop vectorises
    x0, x1 = _turn(x0, x1, 13)
    x0, x1 = _turn(x0, x1, 15)
    x0, x1 = _turn(x0, x1, 26)
    return _turn(x0, x1, 6)


@njit(inline="always")
def _even_turns(x0, x1):
    x0, x1 = _turn(x0, x1, 17)
    x0, x1 = _turn(x0, x1, 29)
    x0, x1 = _turn(x0, x1, 16)
    return _turn(x0, x1, 24)


@njit(inline="always")
def _words(k0, k1, k2, place):
    """Two words of threefry2x32 for the counter (0, place)."""
    x0, x1 = _odd_turns(k0, np.uint32(place + k1))
    x0, x1 = _even_turns(np.uint32(x0 + k1), np.uint32(x1 + k2 + np.uint32(1)))
    x0, x1 = _odd_turns(np.uint32(x0 + k2), np.uint32(x1 + k0 + np.uint32(2)))
    x0, x1 = _even_turns(np.uint32(x0 + k0), np.uint32(x1 + k1 + np.uint32(3)))
    x0, x1 = _odd_turns(np.uint32(x0 + k1), np.uint32(x1 + k2 + np.uint32(4)))
    return np.uint32(x0 + k2), np.uint32(x1 + k0 + np.uint32(5))


@_compiled
def fill_pairs(k0, k1, first, second):
    """Write the two words of each place."""
    k2 = np.uint32(k0 ^ k1 ^ _PARITY)
    for i in range(first.size):
        first[i], second[i] = _words(k0, k1, k2, np.uint32(i))


@_compiled
def fill_bits(k0, k1, out):
    """Write one word for each place, both words folded together."""
    k2 = np.uint32(k0 ^ k1 ^ _PARITY)
    for i in range(out.size):
        x0, x1 = _words(k0, k1, k2, np.uint32(i))
        out[i] = np.uint32(x0 ^ x1)


@_compiled
def fill_unit_float32(k0, k1, out):
    """Write uniform numbers in [0, 1): 23 bits each."""
    k2 = np.uint32(k0 ^ k1 ^ _PARITY)
    for i in range(out.size):
        x0, x1 = _words(k0, k1, k2, np.uint32(i))
        out[i] = np.float32(np.int32((x0 ^ x1) >> np.uint32(9))) * np.float32(2.0**-23)


@_compiled
def fill_unit_float64(k0, k1, out):
    """Write uniform numbers in [0, 1): 52 bits each, the first word above the second."""
    k2 = np.uint32(k0 ^ k1 ^ _PARITY)
    for i in range(out.size):
        x0, x1 = _words(k0, k1, k2, np.uint32(i))
        low = np.float64(np.int32(x1 >> np.uint32(12)))
        out[i] = (np.float64(x0) * np.float64(2.0**20) + low) * np.float64(2.0**-52)
