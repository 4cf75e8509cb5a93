# ruff: noqa: E402 - how many threads there are is settled before the engines are imported
"""One training step of a liquid network: ours on every engine, ncps on torch, a jax.jit scan by hand.

Batch 32, 64 steps, 8 inputs, wiring AutoNCP(32, 4), float32, mean squared error of all outputs, SGD. All
run in one process on one core, in turn; a ratio is that of one round. What counts is the process's CPU time,
that of all its threads: on an idle machine it is the time on the wall; on a busy one it leaves others out.

    python benchmarks/liquid.py [--rounds 40] [--json FILE]
"""

from timing import alternate, console, one_core, over, setting, spread

one_core()

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import ncps.torch
import ncps.wirings
import numpy as np
import torch
from rich.table import Table

from ember_ml import backend, ops
from ember_ml.compiler import compile, value_and_grad
from ember_ml.core import tree
from ember_ml.nn import LTC, AutoNCPMap, CfC, functional_call
from ember_ml.tensor import set_seed
from ember_ml.training.optimizer import SGD

torch.set_num_threads(1)
BATCH, LENGTH, INPUTS, UNITS, OUTPUTS, RATE = 32, 64, 8, 32, 4, 0.01
RNG = np.random.default_rng(0)
X = RNG.normal(size=(BATCH, LENGTH, INPUTS)).astype("float32")
Y = RNG.normal(size=(BATCH, LENGTH, OUTPUTS)).astype("float32") * 0.5
MODELS = {"CfC": CfC, "LTC": LTC}
PINNED = {  # keep freed memory, instead of giving it back to the system and asking for it again
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
}


QUICK = "numpy and Numba"  # with the extra `speed`


def ours(model, engine):
    """Return a step that trains our layer on an engine: compiled gradient and update in one program."""
    be = backend.NumpyBackend(enable_optimizations=True) if engine == QUICK else backend.get_backend(engine)
    optimizer = SGD(learning_rate=RATE)
    with backend.use_backend(be):
        set_seed(0)
        layer = MODELS[model](AutoNCPMap(UNITS, OUTPUTS), return_sequences=True, input_size=INPUTS)
        params = {name: p.data for name, p in layer.named_parameters()}
        carry = [params, optimizer.init(params)]
        x, y = be.array(X), be.array(Y)

        @partial(compile, backend=be)
        def step(params, state, x, y):
            def objective(params):
                return ops.mean(ops.square(functional_call(layer, params, x)[0] - y))

            loss, slopes = value_and_grad(objective)(params)
            return loss, *optimizer.update(params, slopes, state)

    def run():
        loss, *carry[:] = step(*carry, x, y)
        be.synchronize([loss, *tree.leaves(carry)])
        return float(np.asarray(loss))

    return run


def of_ncps(model):
    """Return a step that trains ncps's layer with torch's own optimizer."""
    torch.manual_seed(0)
    wiring = ncps.wirings.AutoNCP(UNITS, OUTPUTS)
    layer = getattr(ncps.torch, model)(INPUTS, wiring, return_sequences=True)
    optimizer = torch.optim.SGD(layer.parameters(), RATE)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)

    def run():
        optimizer.zero_grad()
        loss = (layer(x)[0] - y).square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def by_hand(model):
    """Return a step of a jax.jit scan over dense matrices with masks."""
    wiring = AutoNCPMap(UNITS, OUTPUTS)
    wiring.build(INPUTS)
    params, forward = {"CfC": hand_cfc, "LTC": hand_ltc}[model](wiring)
    carry, x, y = [params], jnp.asarray(X.swapaxes(0, 1)), jnp.asarray(Y.swapaxes(0, 1))

    @jax.jit
    def step(params, x, y):
        loss, slopes = jax.value_and_grad(lambda p: jnp.mean((forward(p, x) - y) ** 2))(params)
        return loss, jax.tree.map(lambda p, g: p - RATE * g, params, slopes)

    def run():
        loss, carry[0] = jax.block_until_ready(step(carry[0], x, y))
        return float(loss)

    return run


def hand_cfc(wiring):
    groups = [wiring.get_neurons_of_layer(i) for i in range(wiring.num_layers)]
    params, masks = [], []
    for i, neurons in enumerate(groups):
        source = wiring.adjacency_matrix[groups[i - 1]] if i else wiring.sensory_adjacency_matrix
        n = len(neurons)
        seen = np.concatenate([np.abs(source[:, neurons]), np.ones((n, n))])
        masks.append(jnp.asarray(np.concatenate([seen, seen, np.ones((len(seen), 2 * n))], 1), "float32"))
        limit = np.sqrt(6 / (len(seen) + n))
        params.append(
            (jnp.asarray(RNG.uniform(-limit, limit, masks[-1].shape), "float32"), jnp.zeros(4 * n, "float32"))
        )

    def forward(params, x):
        weights = [(w * mask, b) for (w, b), mask in zip(params, masks, strict=True)]

        def step(states, x):
            new = []
            for (w, b), h in zip(weights, states, strict=True):
                first, second, slope, offset = jnp.split(jnp.concatenate([x, h], 1) @ w + b, 4, axis=1)
                gate = jax.nn.sigmoid(slope + offset)
                x = jnp.tanh(first) * (1 - gate) + gate * jnp.tanh(second)
                new.append(x)
            return new, x

        return jax.lax.scan(step, [jnp.zeros((BATCH, len(g)), "float32") for g in groups], x)[1]

    return params, forward


def hand_ltc(wiring):
    sizes = {"": (UNITS, UNITS), "sensory_": (INPUTS, UNITS)}
    matrices = {"": wiring.adjacency_matrix, "sensory_": wiring.sensory_adjacency_matrix}
    masks = {prefix: jnp.asarray(np.abs(m), "float32") for prefix, m in matrices.items()}
    ranges = {"w": (0.001, 1.0), "sigma": (3, 8), "mu": (0.3, 0.8)}
    params = {
        p + n: jnp.asarray(RNG.uniform(*r, sizes[p]), "float32") for p in sizes for n, r in ranges.items()
    }
    params |= {f"{p}erev": jnp.asarray(m, "float32") for p, m in matrices.items()}
    singles = {"gleak": (0.001, 1.0), "vleak": (-0.2, 0.2), "cm": (0.4, 0.6)}
    params |= {name: jnp.asarray(RNG.uniform(*r, UNITS), "float32") for name, r in singles.items()}
    params |= {"input_w": jnp.ones(INPUTS, "float32"), "input_b": jnp.zeros(INPUTS, "float32")}
    params |= {"output_w": jnp.ones(OUTPUTS, "float32"), "output_b": jnp.zeros(OUTPUTS, "float32")}

    def forward(p, x):
        def activity(v, prefix):
            sigmoid = jax.nn.sigmoid(p[prefix + "sigma"] * (v[..., None] - p[prefix + "mu"]))
            active = p[prefix + "w"] * masks[prefix] * sigmoid
            return (active * p[prefix + "erev"]).sum(-2), active.sum(-2)

        def step(v, x):
            drive, pull = activity(x * p["input_w"] + p["input_b"], "sensory_")
            for _ in range(6):
                more_drive, more_pull = activity(v, "")
                top = 6 * p["cm"] * v + p["gleak"] * p["vleak"] + drive + more_drive
                v = top / (6 * p["cm"] + p["gleak"] + pull + more_pull + 1e-8)
            return v, v[:, :OUTPUTS] * p["output_w"] + p["output_b"]

        return jax.lax.scan(step, jnp.zeros((BATCH, UNITS), "float32"), x)[1]

    return params, forward


def contenders(model):
    """Return the steps by name, with the seconds that each took the first time, and check that ours agree."""
    made = {
        f"ember_ml {name}": partial(ours, model, name) for name in ("numpy", QUICK, "torch", "jax", "mlx")
    }
    made |= {"ncps on torch": partial(of_ncps, model), "jax.jit by hand": partial(by_hand, model)}
    runs, first, losses = {}, {}, {}
    for name, make in made.items():
        started = time.perf_counter()
        runs[name] = make()
        losses[name] = runs[name]()
        first[name] = time.perf_counter() - started
    mine = [loss for name, loss in losses.items() if name.startswith("ember_ml")]
    np.testing.assert_allclose(mine, mine[0], rtol=1e-5)
    return runs, first


def clocks():
    """Return the seconds of CPU, of all threads, and of the wall."""
    return np.array([time.process_time(), time.perf_counter()])


def report(model, times, first, told):
    """Print the table of one model, and return its medians."""
    table = Table(title=f"{model}, one training step")
    for column in (
        "",
        "CPU ms (quartiles)",
        "fastest",
        "wall ms",
        "ncps ÷ this (quartiles)",
        "first step, s",
    ):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    rows, cpu = {}, {name: [each[0] for each in pairs] for name, pairs in times.items()}
    for name, seconds in cpu.items():
        wall = 1e3 * statistics.median(each[1] for each in times[name])
        ratios = over(cpu["ncps on torch"], seconds)
        rows[name] = {
            "cpu_ms": 1e3 * statistics.median(seconds),
            "wall_ms": wall,
            "ratio": statistics.median(ratios),
            "first_s": first[name],
        }
        table.add_row(
            *(name, spread(seconds, 2, 1e3), f"{1e3 * min(seconds):.2f}", f"{wall:.1f}"),
            *(spread(ratios, 1), f"{first[name]:.1f}"),
        )
    told.print(table)
    return rows


def alone(settings, rounds):
    """Return ncps's medians in ms from a process of its own with these settings of malloc."""
    command = [sys.executable, __file__, "--ncps-alone", "--rounds", str(rounds)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the medians here too")
    parser.add_argument("--ncps-alone", action="store_true", help="print ncps's medians alone, as JSON")
    options = parser.parse_args()
    if options.ncps_alone:
        cpu = {m: alternate({"it": of_ncps(m)}, options.rounds)["it"][3:] for m in MODELS}
        print(json.dumps({model: 1e3 * statistics.median(seconds) for model, seconds in cpu.items()}))
        return
    told = console()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    words = (
        f"BLAS of NumPy: {blas['name']} {blas['version']}",
        f"one thread, float32; {options.rounds} rounds",
    )
    where = setting(("numpy", "torch", "jax", "mlx", "ncps"), *words)
    told.print(where)
    results = {"circumstances": where}
    for model in MODELS:
        runs, first = contenders(model)
        alternate(runs, 2)
        results[model] = report(model, alternate(runs, options.rounds, clock=clocks), first, told)
    for kind, settings in (("as it is", {}), ("pinned", PINNED)):
        results[f"ncps alone, malloc {kind}"] = found = alone(settings, options.rounds)
        figures = ", ".join(f"{model} {ms:.0f} ms" for model, ms in found.items())
        told.print(f"ncps in a process of its own, malloc {kind}, CPU: {figures}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
