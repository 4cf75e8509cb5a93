"""NumPy arrays in memory that several processes see."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np


def write_shared(host: np.ndarray, handler: Any) -> tuple:
    """Return a copy of an array in shared memory of `handler`: the memory, the shape and the dtype."""
    memory = handler.SharedMemory(size=max(1, host.nbytes))
    shared = (memory, host.shape, host.dtype)
    read_shared(*shared)[...] = host
    return shared


def read_shared(memory: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return the array that lies in shared memory, which stays open as long as the array or a view of it.

    Raises ValueError where the memory is smaller than the array.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    if needed > memory.size:
        raise ValueError(
            f"from_sharedarr: an array of shape {shape} and dtype {dtype} needs {needed} bytes, "
            f"but the memory has {memory.size}"
        )
    array = np.ndarray(shape, dtype, buffer=memory.buf)
    weakref.finalize(array, lambda held: None, memory)  # closing would pull the memory from under the array
    return array
