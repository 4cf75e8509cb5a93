"""What random numbers cost that are the same on every engine, against NumPy's own generator: 2**20 of them.

Ours on NumPy with the `speed` extra (Numba) and without, and NumPy's PCG64, all allocating their result. They
stand in one process on one core, and take turns in an order shuffled each round; the clock is the CPU time of
the process, with all its threads. A ratio is taken within a round.

    python benchmarks/draws.py [rounds]
"""

import importlib.metadata
import os
import random
import statistics
import sys
import time
from collections.abc import Callable

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402 - after the threads are told
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from ember_ml import ops  # noqa: E402
from ember_ml.backend import threefry  # noqa: E402

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 61
SIZE = 2**20
CALLS = 5
KEY = np.array([0, 42], "uint32")


def without_numba(draw: Callable) -> Callable:
    """Return `draw` as it is where Numba is not installed."""

    def call() -> np.ndarray:
        found, threefry._numba = threefry._numba, lambda: None
        try:
            return draw()
        finally:
            threefry._numba = found

    return call


def ways() -> dict[str, dict[str, Callable]]:
    """Return what is drawn, and by whom."""
    generator = np.random.default_rng(42)
    ours = {
        "unit uniform, float32": lambda: ops.uniform((SIZE,), dtype="float32", key=KEY),
        "unit uniform, float64": lambda: ops.uniform((SIZE,), dtype="float64", key=KEY),
        "32-bit words": lambda: ops.random_bits(KEY, (SIZE,)),
        "normal, float32": lambda: ops.normal((SIZE,), dtype="float32", key=KEY),
    }
    theirs = {
        "unit uniform, float32": lambda: generator.random(SIZE, dtype=np.float32),
        "unit uniform, float64": lambda: generator.random(SIZE),
        "32-bit words": lambda: generator.integers(0, 2**32, SIZE, dtype=np.uint32),
        "normal, float32": lambda: generator.standard_normal(SIZE, dtype=np.float32),
    }
    return {
        what: {"numpy, PCG64": theirs[what], "ember_ml, speed": draw, "ember_ml": without_numba(draw)}
        for what, draw in ours.items()
    }


def measure(contenders: dict[str, Callable]) -> dict[str, list[float]]:
    """Return milliseconds a call, one number a round."""
    first = {way: call() for way, call in contenders.items()}
    np.testing.assert_array_equal(first["ember_ml"], first["ember_ml, speed"])
    seen: dict[str, list[float]] = {way: [] for way in contenders}
    order = list(contenders)
    for _ in range(ROUNDS):
        random.shuffle(order)
        for way in order:
            start = time.process_time()
            for _ in range(CALLS):
                contenders[way]()
            seen[way].append((time.process_time() - start) / CALLS * 1e3)
    return seen


def spread(values: list[float]) -> str:
    """Return the median, and the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def setting() -> str:
    """Return what else has a say in these numbers."""
    packages = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("numpy", "numba"))
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return (
        f"Python {sys.version.split()[0]}; {packages}; one core, one thread; load {load}; "
        f"{ROUNDS} rounds of {CALLS} calls, {time.strftime('%Y-%m-%d')}"
    )


def main() -> None:
    console = Console(width=120)
    console.print(setting())
    table = Table("what", "who", "ms, median (quartiles)", "fastest", "over PCG64", title=f"{SIZE:,} numbers")
    for what, contenders in ways().items():
        seen = measure(contenders)
        base = seen["numpy, PCG64"]
        for way, values in seen.items():
            ratio = [v / b for v, b in zip(values, base, strict=True)]
            table.add_row(what, way, spread(values), f"{min(values):.2f}", spread(ratio))
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    main()
