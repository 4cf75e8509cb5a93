# ruff: noqa: E402 - how many threads there are is settled before the engines are imported
"""What planning saves and calling costs: `ops.rfftn` of 96 x 96 x 96 float32 against FFTW itself.

The yardstick is FFTW through pyFFTW with its plan and its aligned buffers made outside of the clock, so that
only `execute` is timed. Against it stand `ops.rfftn` with the extra `fftw` (its plan made, by as many calls
as that takes), `ops.rfftn` as it is without the extra, the pair of `backend.build_fft`, and functions of
others. All ways stand in one process, pinned to one core, and take turns in an order shuffled each round; the
clock is the CPU time of the calling thread; a ratio is taken within a round.

    python benchmarks/fft.py [rounds]
"""

from timing import alternate, columns, console, one_core, setting

one_core()

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyfftw
import scipy.fft
from rich.table import Table

from ember_ml import backend, ops
from ember_ml.backend import fourier

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 101
CALLS = 3  # of each way in a round
SHAPE, HALF = (96, 96, 96), (96, 96, 49)
PACKAGES = ("numpy", "scipy", "pyfftw", "torch")


def planned_directly(x: np.ndarray) -> Callable[[], Any]:
    """Return what runs FFTW's own plan on buffers that it owns."""
    given, made = pyfftw.empty_aligned(SHAPE, "float32"), pyfftw.empty_aligned(HALF, "complex64")
    plan = pyfftw.FFTW(given, made, axes=(0, 1, 2), flags=("FFTW_MEASURE",), threads=1)
    given[...] = x
    return plan.execute


def without_fftw(x: np.ndarray) -> Any:
    """Return the transform as it is computed where the extra is not installed."""
    installed, fourier.has_fftw = fourier.has_fftw, lambda: False
    try:
        return ops.rfftn(x)
    finally:
        fourier.has_fftw = installed


def ways(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return each way to the transform, as a function without arguments."""
    rfftn, _ = backend.get_backend("numpy").build_fft(SHAPE, HALF, "float32", "complex64")
    out = np.empty(HALF, "complex64")
    found = {
        "FFTW's plan, executed directly": planned_directly(x),
        "ops.rfftn, extra fftw": lambda: ops.rfftn(x),
        "build_fft, into an array": lambda: rfftn(x, out),
        "ops.rfftn, without": lambda: without_fftw(x),
        "scipy.fft.rfftn": lambda: scipy.fft.rfftn(x, workers=1),
        "numpy.fft.rfftn": lambda: np.fft.rfftn(x),
    }
    if "torch" in backend.available_backends():
        import torch

        torch.set_num_threads(1)
        tensor = torch.from_numpy(x)
        found["torch.fft.rfftn"] = lambda: torch.fft.rfftn(tensor)
    return found


def measure(every: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return seconds a call, one number a round, for each way."""
    for _ in range(fourier.OFTEN + 1):
        every["ops.rfftn, extra fftw"]()
    return alternate(every, ROUNDS, calls=CALLS, clock=time.thread_time, untimed=1)


def main() -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    every = ways(x)
    for way, call in every.items():
        made = call()
        if made is not None:
            np.testing.assert_allclose(np.asarray(made), np.fft.rfftn(x), rtol=1e-3, atol=1e-2, err_msg=way)
    seen = measure(every)
    base = seen["FFTW's plan, executed directly"]
    table = Table(
        "way", "ms, median (quartiles)", "fastest", "over FFTW's plan", title="rfftn of 96 x 96 x 96"
    )
    for way, values in seen.items():
        table.add_row(way, *columns(values, base, 2, 1e3))
    told = console()
    words = "FFTW planned by FFTW_MEASURE", f"one thread, float32; {ROUNDS} rounds of {CALLS} calls"
    told.print(setting(PACKAGES, *words))
    told.print(table)


if __name__ == "__main__":
    main()
