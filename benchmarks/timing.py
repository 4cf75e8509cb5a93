"""How every script here times: on one core, contenders by turns in one process, ratios within a round.

No engine is imported here, so that `one_core` can be called before one is.
"""

import gc
import importlib.metadata
import os
import platform
import random
import statistics
import time
import timeit
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")
XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def one_core() -> None:
    """Pin the process to one core, and tell every pool of threads to be one; before engines are imported."""
    os.environ |= {**{f"{name}_NUM_THREADS": "1" for name in THREADS}, "XLA_FLAGS": XLA}
    os.environ["VECLIB_MAXIMUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def calls_in(call: Callable[[], Any], seconds: float) -> int:
    """Return how many calls fill so many seconds, at least one."""
    timer, calls = timeit.Timer(call, timer=time.process_time), 1
    timer.timeit(1)  # what the first call compiles is no part of it
    while (taken := timer.timeit(calls)) < seconds / 8:
        calls *= 2
    return max(1, round(calls * seconds / taken))


def alternate(
    ways: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    calls: Mapping[str, int] | int = 1,
    clock: Callable[[], Any] = time.process_time,
    untimed: int = 0,
) -> dict[str, list]:
    """Return the time of one call, by `clock`, of every way in every round, in an order shuffled each round.

    A way runs `calls` times in a round, after `untimed` calls that are not counted: what the way before it
    left in the cache is then no part of it. Garbage is collected, as in use.
    """
    timers = {name: timeit.Timer(call, gc.enable, clock) for name, call in ways.items()}
    seen: dict[str, list] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in random.sample(list(ways), len(ways)):
            for _ in range(untimed):
                ways[name]()
            count = calls if isinstance(calls, int) else calls[name]
            seen[name].append(timers[name].timeit(count) / count)
    return seen


def over(values: Iterable[float], base: Iterable[float]) -> list[float]:
    """Return the ratio of each round."""
    return [v / b for v, b in zip(values, base, strict=True)]


def spread(values: Iterable[float], digits: int = 2, scale: float = 1) -> str:
    """Return the median, and the quartiles around it, each times `scale`."""
    low, middle, high = (f"{scale * v:,.{digits}f}" for v in statistics.quantiles(values, n=4))
    return f"{middle} ({low} to {high})"


def columns(values: list[float], base: list[float], digits: int, scale: float) -> tuple[str, str, str]:
    """Return the columns of one way: its median and quartiles, its fastest round, its ratio to the base."""
    return spread(values, digits, scale), f"{scale * min(values):,.{digits}f}", spread(over(values, base))


def load() -> str:
    """Return how busy the machine is, as it says itself."""
    return ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


def processor() -> str:
    """Return the name of the processor."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.processor())


def version(package: str) -> str:
    """Return the installed version of a package, or that it is absent."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} absent"


def setting(packages: Iterable[str], *words: str) -> str:
    """Return what else has a say in the figures, `words` among it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = [f"{k}={os.environ.get(k, 'unset')}" for k in ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE")]
    return (
        f"Python {platform.python_version()}; {', '.join(map(version, packages))}\n"
        f"{processor()}, {platform.system()}, on {cores} of {os.cpu_count()} cores, load {load()}\n"
        f"{'; '.join((*told, *words))}; {time.strftime('%Y-%m-%d')}"
    )


def console() -> Console:
    """Return a console wide enough for the tables."""
    return Console(width=120, highlight=False)
