# ruff: noqa: E402 - how many threads there are is settled before the engines are imported
"""What grows: the time to compile with the size of a graph, and memory with the number of calls.

- CPU µs of `compile` and the first call for each node of a graph, on NumPy: a chain, each node the argument
  of the next, and a pyramid, nodes that meet two by two; both and their gradients, of 1,000 and 10,000 nodes.
  Sizes take turns; the ratio is that of a node of the larger to one of the smaller in the same round.
- Bytes that a call leaves behind, on each engine: those that Python allocates (tracemalloc), and the resident
  memory of the process, after as many calls again have warmed it up.

    python benchmarks/growth.py [--only nodes,memory] [--rounds 7] [--calls 1000000] [--compiles 1000]
"""

from timing import alternate, console, one_core, over, setting, spread

one_core()

import argparse
import gc
import resource
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ember_ml import ops
from ember_ml.backend import available_backends, use_backend
from ember_ml.compiler import compile, grad
from ember_ml.tensor import array

FEW, MANY = 1_000, 10_000
ENGINES = [name for name in ("numpy", "torch", "jax", "mlx") if name in available_backends()]
X = np.linspace(0.1, 1.0, 4)


def chain(nodes: int) -> Callable:
    def f(x: Any) -> Any:
        for i in range(nodes // 2):
            x = ops.sin(ops.add(x, 0.5 + i % 7))
        return ops.sum(x)

    return f


def pyramid(nodes: int) -> Callable:
    def f(x: Any) -> Any:
        level = [ops.sin(ops.multiply(x, 0.1 + 1e-4 * i)) for i in range(nodes // 3)]
        while len(level) > 1:
            odd = level[len(level) & ~1 :]
            level = [ops.add(*pair) for pair in zip(level[::2], level[1::2], strict=False)] + odd
        return ops.sum(level[0])

    return f


def nodes_table(rounds: int) -> Table:
    table = Table("a graph", f"µs a node of {FEW:,}", f"µs a node of {MANY:,}", "ratio (must ≤ 1.3)")
    for name, make in {"chain": chain, "pyramid": pyramid}.items():
        for word, change in {name: lambda f: f, f"gradient of a {name}": grad}.items():
            ways = {n: partial(lambda f: compile(f, "numpy")(X), change(make(n))) for n in (FEW, MANY)}
            seen = alternate(ways, rounds, calls={FEW: 3, MANY: 1})
            each = {n: [1e6 * t / n for t in values] for n, values in seen.items()}
            table.add_row(
                word, *(spread(each[n], 0) for n in (FEW, MANY)), spread(over(each[MANY], each[FEW]))
            )
    return table


def resident() -> int:
    """Return the bytes of this process that lie in memory, or the most that ever did."""
    told = Path("/proc/self/statm")
    if told.exists():
        return int(told.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def left_behind(call: Callable[[], Any], count: int) -> tuple[float, float]:
    """Return the bytes that a call leaves, of Python's and of the process's, after as many calls before."""
    found = []
    for traced in (True, False):
        for _ in range(count):
            call()
        if traced:
            tracemalloc.start()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0] if traced else resident()
        for _ in range(count if not traced else count // 10):
            call()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0] if traced else resident()
        tracemalloc.stop()
        found.append((after - before) / (count if not traced else count // 10))
    return found[0], found[1]


def line(x: Any) -> Any:
    return ops.sum(ops.tanh(x * 2.0))


def memory_table(calls: int, compiles: int) -> Table:
    table = Table("engine", "what is called", "times", "Python's bytes a call", "resident bytes a call")
    for name in ENGINES:
        with use_backend(name) as engine:
            x = engine.array(np.ones(4, "float32"))
            t, slope = array(x), grad(lambda x: ops.sum(ops.sin(x)))
            ways = {
                "ops.add": (calls, lambda x=x: ops.add(x, x)),
                "EmberTensor +": (calls, lambda t=t: t + t),
                "a gradient": (calls // 100, lambda slope=slope, x=x: slope(x)),
                "compile, the same shape": (compiles, lambda x=x, e=engine: compile(line, e, jit=False)(x)),
            }
            for what, (count, call) in ways.items():
                traced, lies = left_behind(call, count)
                table.add_row(name, what, f"{count:,}", f"{traced:.1f}", f"{lies:.1f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="nodes,memory")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--compiles", type=int, default=1_000)
    options = parser.parse_args()
    told = console()
    told.print(setting(("numpy", "torch", "jax", "mlx"), f"one thread; {options.rounds} rounds"))
    tables = {
        "nodes": partial(nodes_table, options.rounds),
        "memory": partial(memory_table, options.calls, options.compiles),
    }
    for name in options.only.split(","):
        told.print(tables[name]())


if __name__ == "__main__":
    main()
