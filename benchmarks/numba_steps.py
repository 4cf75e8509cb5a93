"""The training steps that steps.py has by hand in Numba: one pass over the batch, into arrays made before.

Only mean squares over one output, where calling NumPy costs more than the arithmetic. Weights are (out, in);
within, arrays are (features, batch), so that every inner loop runs along the batch, through vector units.
"""

from typing import Any

import numpy as np
from numba import njit

FAST = {"fastmath": True, "cache": True, "error_model": "numpy"}


@njit(**FAST)
def shallow(w: Any, b: Any, x: Any, y: Any, dw: Any, db: Any) -> Any:
    """Write the gradients of w (1, inputs) and b (1,) for x (batch, inputs), y (batch,); return the loss."""
    batch, inputs = x.shape
    dw[:] = 0
    total, slopes, factor = np.float32(0), np.float32(0), np.float32(2 / batch)
    for n in range(batch):
        error = b[0] - y[n]
        for i in range(inputs):
            error += x[n, i] * w[0, i]
        total += error * error
        slopes += error
        for i in range(inputs):
            dw[0, i] += error * x[n, i]
    for i in range(inputs):
        dw[0, i] *= factor
    db[0] = slopes * factor
    return total / np.float32(batch)


@njit(**FAST)
def forward(w: Any, b: Any, x: Any, out: Any, floor: Any) -> None:
    """Write the larger of w @ x + b and floor."""
    for j in range(w.shape[0]):
        row = out[j]
        row[:] = b[j]
        for i in range(w.shape[1]):
            for n in range(row.size):
                row[n] += w[j, i] * x[i, n]
        for n in range(row.size):
            row[n] = max(row[n], floor)


@njit(**FAST)
def gradients(slope: Any, x: Any, dw: Any, db: Any) -> None:
    """Write slope @ x.T, and the sum of slope over the batch."""
    for j in range(dw.shape[0]):
        db[j] = slope[j].sum()
        for i in range(dw.shape[1]):
            total = np.float32(0)
            for n in range(slope.shape[1]):
                total += slope[j, n] * x[i, n]
            dw[j, i] = total


@njit(**FAST)
def behind(w: Any, slope: Any, x: Any, out: Any) -> None:
    """Write w.T @ slope where x is positive, and 0 elsewhere."""
    for i in range(w.shape[1]):
        row = out[i]
        row[:] = 0
        for j in range(w.shape[0]):
            for n in range(row.size):
                row[n] += w[j, i] * slope[j, n]
        for n in range(row.size):
            row[n] = row[n] if x[i, n] > 0 else np.float32(0)


@njit(**FAST)
def deep(
    w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, x: Any, y: Any,
    dw1: Any, db1: Any, dw2: Any, db2: Any, dw3: Any, db3: Any,
) -> Any:  # fmt: skip
    """Write the gradients of three layers with relu between them, the last of one output; return the loss."""
    batch = len(x)
    given, error = np.ascontiguousarray(x.T), np.empty((1, batch), x.dtype)
    h1, h2 = np.empty((len(b1), batch), x.dtype), np.empty((len(b2), batch), x.dtype)
    d1, d2 = np.empty_like(h1), np.empty_like(h2)
    forward(w1, b1, given, h1, np.float32(0))
    forward(w2, b2, h1, h2, np.float32(0))
    forward(w3, b3, h2, error, np.float32(-np.inf))
    total, factor = np.float32(0), np.float32(2 / batch)
    for n in range(batch):
        away = error[0, n] - y[n]
        total += away * away
        error[0, n] = factor * away
    gradients(error, h2, dw3, db3)
    behind(w3, error, h2, d2)
    gradients(d2, h1, dw2, db2)
    behind(w2, d2, h1, d1)
    gradients(d1, given, dw1, db1)
    return total / np.float32(batch)
