"""What finding the engine costs: `ops.add` on 3 x 4 arrays against the engine's own add, and other libraries.

A row of its own is `a + b` on tensors of ours, which wrap such arrays.

All ways stand in one process and take turns, in an order shuffled each round, and the clock is the CPU time
of the calling thread, so that a busy machine slows all alike. What counts is the median over rounds of the
difference to the engine's own add in the same round. Then: what `import ember_ml` costs over `import numpy`,
in CPU time of processes of their own, their start included.

    python benchmarks/dispatch.py [rounds]
"""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from rich.table import Table
from timing import alternate, console, over, setting, spread

from ember_ml import backend, ops, tensor

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 61
CALLS = {"numpy": 2000, "torch": 1000, "jax": 200, "mlx": 1000}
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
PACKAGES = ("numpy", "torch", "jax", "mlx", "autoray", "keras", "array_api_compat")
IMPORTS = {
    "nothing": "pass",
    "numpy": "import numpy",
    "ember_ml": "import ember_ml",
    "numpy and ember_ml": "import numpy, ember_ml",
    "ember_ml.ops on NumPy": "import numpy; from ember_ml import ops; ops.zeros((1,))",
}


def own_add(name: str) -> Callable:
    """Return the engine's own add, called by a name that holds it."""
    return {
        "numpy": lambda: np.add,
        "torch": lambda: __import__("torch").add,
        "jax": lambda: __import__("jax").numpy.add,
        "mlx": lambda: __import__("mlx.core").core.add,
    }[name]()


def ways(name: str, x: Any) -> dict[str, Callable[[], Any]]:
    """Return each way to add, as a function without arguments."""
    add, ours = own_add(name), ops.add
    a = tensor.EmberTensor(x)
    found = {
        "the engine's own": lambda: add(x, x),
        "ember_ml": lambda: ours(x, x),
        "EmberTensor a + b": lambda: a + a,
    }
    if find_spec("autoray"):
        import autoray

        found["autoray.do"] = lambda: autoray.do("add", x, x)
    if find_spec("array_api_compat") and name != "mlx":
        from array_api_compat import array_namespace

        found["array_api_compat"] = lambda: array_namespace(x, x).add(x, x)
    if keras := keras_for(name):
        found["keras.ops"] = lambda: keras.ops.add(x, x)
    return found


def keras_for(name: str) -> Any:
    """Return Keras where it is installed and runs on this engine; it has one engine a process."""
    if not find_spec("keras") or os.environ.get("KERAS_BACKEND", "numpy") != name:
        return None
    os.environ["KERAS_BACKEND"] = name
    import keras

    return keras


def measure(name: str) -> dict[str, list[float]]:
    """Return nanoseconds a call, one number a round, for each way."""
    x = backend.get_backend(name).array(np.ones((3, 4), "float32"))
    seen = alternate(ways(name, x), ROUNDS, calls=CALLS[name], clock=time.thread_time, untimed=20)
    return {way: [1e9 * seconds for seconds in values] for way, values in seen.items()}


def dispatch_table() -> Table:
    """Return the table of what each way costs on each engine."""
    table = Table(
        "engine",
        "way",
        "ns a call",
        "ns more",
        "ratio",
        title="add of two (3, 4) float32 arrays: median (quartiles)",
    )
    for name in CALLS:
        if name not in backend.available_backends():
            continue
        seen = measure(name)
        base = seen["the engine's own"]
        for way, values in seen.items():
            more = [v - b for v, b in zip(values, base, strict=True)]
            ratio = statistics.median(over(values, base))
            less = "" if values is base else spread(more, 0)
            table.add_row(name, way, spread(values, 0), less, f"{ratio:.2f}")
        table.add_section()
    return table


def cpu_seconds(code: str) -> float:
    """Return the CPU time of a Python process that runs `code`, from its start to its end."""
    told = f"{code}\nimport time; print(time.process_time())"
    done = subprocess.run(
        [sys.executable, "-c", told], check=True, capture_output=True, text=True, env=ONE_THREAD
    )
    return float(done.stdout)


def import_table(rounds: int) -> Table:
    """Return the table of what imports cost."""
    seen: dict[str, list[float]] = {what: [] for what in IMPORTS}
    for _ in range(rounds):
        for what in random.sample(list(IMPORTS), len(IMPORTS)):
            seen[what].append(cpu_seconds(IMPORTS[what]) * 1e3)
    table = Table(
        "process that imports",
        "CPU ms",
        "over numpy",
        title="imports: median (quartiles) of processes of their own",
    )
    for what, values in seen.items():
        ratio = statistics.median(over(values, seen["numpy"]))
        table.add_row(what, spread(values, 0), f"{ratio:.2f}")
    return table


def main() -> None:
    told = console()
    told.print(setting(PACKAGES, f"one Python thread; {ROUNDS} rounds"))
    told.print(dispatch_table())
    told.print(import_table(max(7, ROUNDS // 3)))


if __name__ == "__main__":
    main()
