"""The training steps that steps.py has by hand in Numba: fused loops around BLAS, into arrays made before.

Weights are (out, in), inputs (batch, in). A head turns the network's result into the loss's slope, in place.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

FAST = {"fastmath": True, "error_model": "numpy"}


@njit(**FAST, cache=True)
def shallow(w: Any, b: Any, x: Any, y: Any, dw: Any, db: Any) -> Any:
    """Write the gradients of one layer with one output, in one pass; return the mean square."""
    batch, inputs = x.shape
    dw[:] = 0
    total, slopes, factor = np.float32(0), np.float32(0), np.float32(2 / batch)
    for n in range(batch):
        error = b[0] - y[n, 0]
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
def square_head(out: Any, y: Any) -> Any:
    """Return the mean square of out (batch, 1) less y."""
    total, batch = np.float32(0), np.float32(out.size)
    for n in range(len(out)):
        error = out[n, 0] - y[n, 0]
        total += error * error
        out[n, 0] = 2 * error / batch
    return total / batch


@njit(**FAST)
def label_head(out: Any, y: Any) -> Any:
    """Return the mean cross-entropy of the softmax of out (batch, classes) to the classes y (batch,)."""
    loss, batch = np.float32(0), np.float32(len(out))
    for n in range(len(out)):
        row = out[n]
        row -= row.max()
        loss -= row[y[n]]
        row[:] = np.exp(row)
        total = row.sum()
        loss += np.log(total)
        row /= total * batch
        row[y[n]] -= 1 / batch
    return loss / batch


@njit(**FAST)
def activate(out: Any, b: Any) -> None:
    """Write relu(out + b) over out."""
    for n in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[n, j] = max(out[n, j] + b[j], np.float32(0))


@njit(**FAST)
def behind(slope: Any, x: Any, db: Any) -> None:
    """Write 0 where x is not positive, and the sum over the batch into db."""
    db[:] = 0
    for n in range(x.shape[0]):
        for j in range(x.shape[1]):
            slope[n, j] = slope[n, j] if x[n, j] > 0 else np.float32(0)
            db[j] += slope[n, j]


def deep_with(head: Callable) -> Callable:
    """Return the step of three layers with relu between them under a head."""

    @njit(**FAST, cache=True)
    def deep(
        w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, x: Any, y: Any,
        dw1: Any, db1: Any, dw2: Any, db2: Any, dw3: Any, db3: Any,
    ) -> Any:  # fmt: skip
        h1 = np.dot(x, w1.T)
        activate(h1, b1)
        h2 = np.dot(h1, w2.T)
        activate(h2, b2)
        d3 = np.dot(h2, w3.T)
        d3 += b3
        loss = head(d3, y)
        np.dot(d3.T, h2, dw3)
        db3[:] = d3.sum(0)
        d2 = np.dot(d3, w3)
        behind(d2, h2, db2)
        np.dot(d2.T, h1, dw2)
        d1 = np.dot(d2, w2)
        behind(d1, h1, db1)
        np.dot(d1.T, x, dw1)
        return loss

    return deep
