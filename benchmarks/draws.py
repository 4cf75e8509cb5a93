# ruff: noqa: E402 - how many threads there are is settled before the engines are imported
"""What random numbers cost that are the same on every engine, against NumPy's own generator: 2**20 of them.

Ours on NumPy with the `speed` extra (Numba) and without, and NumPy's PCG64, all allocating their result. They
stand in one process on one core, and take turns in an order shuffled each round; the clock is the CPU time of
the process, with all its threads. A ratio is taken within a round.

    python benchmarks/draws.py [rounds]
"""

from timing import alternate, columns, console, one_core, setting

one_core()

import sys
from collections.abc import Callable

import numpy as np
from rich.table import Table

from ember_ml import ops
from ember_ml.backend import threefry

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
    """Return seconds a call, one number a round, of contenders of which ours agree bit for bit."""
    first = {way: call() for way, call in contenders.items()}
    np.testing.assert_array_equal(first["ember_ml"], first["ember_ml, speed"])
    return alternate(contenders, ROUNDS, calls=CALLS)


def main() -> None:
    told = console()
    told.print(setting(("numpy", "numba"), f"one thread; {ROUNDS} rounds of {CALLS} calls"))
    table = Table("what", "who", "ms, median (quartiles)", "fastest", "over PCG64", title=f"{SIZE:,} numbers")
    for what, contenders in ways().items():
        seen = measure(contenders)
        base = seen["numpy, PCG64"]
        for way, values in seen.items():
            table.add_row(what, way, *columns(values, base, 2, 1e3))
        table.add_section()
    told.print(table)


if __name__ == "__main__":
    main()
