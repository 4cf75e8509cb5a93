"""NumPy: the default engine, and the host on which files and other engines meet."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ember_ml.backend.base import Backend, override
from ember_ml.core.rules import as_axis


class NumPyBackend(Backend):
    """NumPy on the CPU, with special functions from SciPy."""

    name = "numpy"
    array_types = (np.ndarray, np.generic)
    scalar_types = (np.generic,)
    xp = np
    renames: ClassVar[dict[str, str]] = {"absolute": "abs"}

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        if (self.device or "cpu") != "cpu":
            raise ValueError(f"NumPy computes on the cpu alone, not on {self.device!r}")

    def to_numpy(self, x):
        return np.asarray(x)

    def extremes(self, indices: Any) -> tuple[int, int] | None:
        return (int(indices.min()), int(indices.max())) if indices.size else None

    @override
    def astype(self, x, dtype):
        return x.astype(self.native_dtype(dtype))

    @override
    def negative(self, x):
        return np.negative(x)

    @override
    def sum(self, x, axis, keepdims):
        return np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=_WIDE.get(x.dtype.kind))

    @override
    def erf(self, x):
        from scipy.special import erf

        return erf(x)

    @override
    def sigmoid(self, x):
        with np.errstate(over="ignore"):  # e**-x is inf far left, where the answer is 0
            e = np.exp(np.negative(x))
        e = e + 1
        return np.reciprocal(e)

    @override
    def argsort(self, x, axis, descending):
        if not descending:
            return np.argsort(x, axis=axis, stable=True)
        return np.flip(
            x.shape[axis] - 1 - np.argsort(np.flip(x, axis=axis), axis=axis, stable=True), axis=axis
        )

    @override
    def sort(self, x, axis, descending):
        ordered = np.sort(x, axis=axis)
        return np.flip(ordered, axis=axis) if descending else ordered

    @override
    def slice_update(self, x, updates, index):
        out = np.array(x)
        out[index] = updates
        return out

    @override
    def index_add(self, x, indices, updates, axis):
        out = np.array(x)
        at = as_axis(axis, x.ndim)
        places: Any = (*(slice(None),) * at, indices)
        np.add.at(out, places, updates)
        return out

    @override
    def einsum(self, *operands, subscripts):
        return np.einsum(subscripts, *operands, optimize=len(operands) > 2)

    @override
    def flat_scan(self, *arrays, body, consts, carry, length, reverse):
        fixed, state, rows = arrays[:consts], arrays[consts : consts + carry], arrays[consts + carry :]
        columns = [np.empty((length, *s.shape), s.dtype) for s in body.out_specs[carry:]]
        for i in reversed(range(length)) if reverse else range(length):
            out = body(*fixed, *state, *[x[i] for x in rows])
            state = out[:carry]
            for column, y in zip(columns, out[carry:], strict=True):
                column[i] = y
        return (*state, *columns)


_WIDE = {"b": np.int64, "i": np.int64, "u": np.uint64}  # sums of integers, as the standard has them
