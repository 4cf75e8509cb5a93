# ruff: noqa: E402 - how many threads there are is settled before the engines are imported
"""What compiling costs, and what a compiled program needs: first calls, depth, memory, an online step.

- `compile()` and the first call of model (b) of steps.py, without Numba: CPU ms in processes of their own,
  after the imports and the first arrays, and of the same once more in the same process.
- Building and compiling the training step of a chain of Linear(32, 32) and ReLU, 2 to 64 of them, batch 64;
  growth is the exponent of a power law fitted to depths of 8 and more: 1 is linear.
- Peak memory of a step of model (c) above what lay there before: parameters, batch, and arrays made in
  advance. tracemalloc sees Python's and NumPy's memory; not that which Numba, torch or XLA take.
- One online step of a CfC on AutoNCPMap(32, 4), batch 1, 8 inputs, against the cell of ncps on torch.

    python benchmarks/compiling.py [--only first,depth,memory,online] [--rounds 21]
"""

from timing import alternate, calls_in, columns, console, one_core, over, setting, spread

one_core()

import argparse
import gc
import json
import math
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rich.table import Table
from steps import CASES, CONTENDERS, ember_parts, engine_named, steps

from ember_ml import ops
from ember_ml.compiler import compile, value_and_grad
from ember_ml.nn import AutoNCPMap, Linear, ReLU, Sequential, WiredCfCCell, functional_call

DEPTHS = (2, 4, 8, 16, 32, 64)
WIDTH, BATCH, INPUTS = 32, 64, 8


def first_calls() -> list[float]:
    """Return the CPU ms of compile() and a call of (b), the first time in this process, and the second."""
    engine = engine_named("numpy")
    loss, given = ember_parts(CASES["b"], engine)
    seen = []
    for _ in range(2):
        start = time.process_time()
        compile(value_and_grad(loss), engine)(*given)
        seen.append((time.process_time() - start) * 1e3)
    return seen


def first_table(rounds: int) -> Table:
    command = [sys.executable, __file__, "--first-calls"]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(rounds)]
    times = zip(*(json.loads(done.stdout) for done in runs), strict=True)
    table = Table("compile() and a call of (b)", "CPU ms, median (quartiles)", "fastest")
    for what, values in zip(("first in its process", "once more"), times, strict=True):
        table.add_row(what, spread(values, 1), f"{min(values):.1f}")
    return table


def built(depth: int) -> Sequential:
    return Sequential([layer for _ in range(depth) for layer in (Linear(WIDTH, WIDTH), ReLU())])


def compiled(model: Sequential, x: np.ndarray) -> Any:
    """Return the loss and gradients of a new compiled function at its first call."""

    def loss(params, x):
        return ops.mean(ops.square(functional_call(model, params, x)[0]))

    params = {name: p.data for name, p in model.named_parameters()}
    return compile(value_and_grad(loss), engine_named("numpy"))(params, x)


def growth(medians: dict[int, float]) -> float:
    """Return the exponent of depth in the times of depths of 8 and more."""
    points = [(math.log(depth), math.log(t)) for depth, t in medians.items() if depth >= 8]
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def depth_table(rounds: int) -> Table:
    x = np.random.default_rng(0).normal(size=(BATCH, WIDTH)).astype("float32")
    models = {depth: built(depth) for depth in DEPTHS}
    compiled(models[2], x)  # what the first of a process loads is no part of it
    build = alternate({depth: partial(built, depth) for depth in DEPTHS}, rounds)
    whole = alternate({depth: partial(compiled, models[depth], x) for depth in DEPTHS}, rounds)
    table = Table("depth", "build, CPU ms", "compile and first call, CPU ms", "ms a layer")
    for depth in DEPTHS:
        each = statistics.median(whole[depth]) * 1e3 / depth
        table.add_row(str(depth), spread(build[depth], 1, 1e3), spread(whole[depth], 1, 1e3), f"{each:.2f}")
    exponents = (growth({d: statistics.median(seen[d]) for d in DEPTHS}) for seen in (build, whole))
    table.add_row("growth", *(f"depth ** {exponent:.2f}" for exponent in exponents), "")
    return table


def peak(step: Callable[[], Any]) -> float:
    """Return the most bytes that a step holds at once, its results included, above what was there before."""
    step()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    step()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most - before


def memory_table() -> Table:
    made = steps(CASES["c"], ["numpy", "tuned", "ember", "autograd"])
    table = Table("a step of (c)", "peak MB above parameters", "over NumPy")
    base = peak(made["numpy"])
    for name, step in made.items():
        table.add_row(CONTENDERS[name][0], f"{(most := peak(step)) / 1e6:.2f}", f"{most / base:.2f}")
    return table


def online_steps() -> dict[str, Callable[[], Any]]:
    """Return one step of each; ours are checked against the cell as it is called."""
    import ncps.torch
    import torch
    from ncps.wirings import AutoNCP

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x, state = (rng.normal(size=(1, n)).astype("float32") for n in (INPUTS, 32))
    cell = WiredCfCCell(AutoNCPMap(32, 4), input_size=INPUTS)
    params = {name: p.data for name, p in cell.named_parameters()}

    def step(params, x, state):
        return functional_call(cell, params, x, state)[0]

    found = {}
    for words, speed in (("NumPy", False), ("NumPy and Numba", True)):
        engine = engine_named("numpy", speed)
        fixed = compile(lambda x, state: step({}, x, state), engine)
        found[f"ember_ml, {words}, weights fixed"] = partial(fixed, x, state)
        found[f"ember_ml, {words}, weights given"] = partial(compile(step, engine), params, x, state)
    for name, call in found.items():
        for got, wanted in zip(call(), step(params, x, state), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=name)
    theirs = ncps.torch.CfC(INPUTS, AutoNCP(32, 4)).rnn_cell
    given = torch.from_numpy(x), torch.from_numpy(state), 1.0

    def of_ncps():
        with torch.inference_mode():
            return theirs(*given)

    return {"ncps on torch, its cell": of_ncps, **found}


def online_table(rounds: int) -> Table:
    made = online_steps()
    seen = alternate(made, rounds, calls={name: calls_in(call, 0.02) for name, call in made.items()})
    base = next(iter(seen.values()))
    table = Table("one online step", "CPU µs, median (quartiles)", "fastest", "over ncps", "ncps ÷ this")
    for name, values in seen.items():
        times = statistics.median(over(base, values))
        table.add_row(name, *columns(values, base, 1, 1e6), f"{times:.1f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="first,depth,memory,online")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--first-calls", action="store_true", help="print the times of this process, as JSON")
    options = parser.parse_args()
    if options.first_calls:
        print(json.dumps(first_calls()))
        return
    told = console()
    told.print(setting(("numpy", "numba", "ncps", "torch"), f"one thread; {options.rounds} rounds"))
    tables = {
        "first": partial(first_table, options.rounds),
        "depth": partial(depth_table, options.rounds),
        "memory": memory_table,
        "online": partial(online_table, options.rounds),
    }
    for name in options.only.split(","):
        told.print(tables[name]())


if __name__ == "__main__":
    main()
