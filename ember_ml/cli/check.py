"""`ember-ml backends --check NAME`: a backend held to the laws that ours are held to."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Grid
from rich.text import Text

import ember_ml.ops  # noqa: F401  fills TABLE
from ember_ml.backend import Backend, get_backend, register_backend, selection, unregister_backend
from ember_ml.backend.adapters import Lacking
from ember_ml.cli.errors import CommandError
from ember_ml.cli.laws import LAWS, Case, all_cases, slopes_on_numpy, smooth, value_on_numpy
from ember_ml.cli.samples import sample
from ember_ml.core.op import FAULTS

GROUP = "ember_ml.backends"  # the entry points in which packages announce theirs
_SHOWN = 20  # broken cases; the others are counted


@dataclass
class Findings:
    """What the laws said: how often each was kept, broken, lacked its op or did not apply; what broke it."""

    counts: dict[str, Counter] = field(default_factory=lambda: {law: Counter() for law in LAWS})
    broken: list[tuple[str, str, str]] = field(default_factory=list)  # law, case, in which words

    @property
    def clean(self) -> bool:
        """Whether every law was kept."""
        return not self.broken


def check(name: str, ops: list[str] | None = None) -> bool:
    """Hold a backend to the laws, show what came of it, and return whether it kept them all.

    `name` is a known backend's, one that a package announces, or `module:Class`. Raises CommandError for
    what leads to no backend.
    """
    console = Console(highlight=False)
    cls = find(name)
    cases = [case for case in all_cases() if ops is None or case.op.name in ops]
    if not cases:
        raise CommandError(f"no op is named {' or '.join(ops or [])}")
    with Progress(console=console, transient=True) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step = progress.add_task("what NumPy says", total=len(cases))
        for case in cases:
            _remember(case)
            progress.advance(step)
        with entered(cls) as backend:
            step = progress.add_task(f"the laws on {backend}", total=len(cases) * len(LAWS))
            found = Findings()
            for case in cases:
                _hold(backend, case, found)
                progress.advance(step, len(LAWS))
    _show(console, name, found)
    return found.clean


@contextmanager
def entered(cls: type[Backend]) -> Iterator[Backend]:
    """Let a backend be found by its name, and by its arrays, within the context."""
    if selection.ENGINES.get(cls.name, ("", ""))[:2] == (cls.__module__, cls.__name__):
        yield get_backend(cls.name)
        return
    label = vars(cls).get("name") or cls.__name__
    register_backend(label, cls)
    try:
        yield get_backend(label)
    finally:
        unregister_backend(label)


def find(name: str) -> type[Backend]:
    """Return the class of a backend. Raises CommandError, ImportError for an engine that is not installed."""
    module, colon, attribute = name.partition(":")
    if colon:
        found = _import(module, attribute)
    elif announced := entry_points(group=GROUP, name=name):
        found = next(iter(announced)).load()
    else:
        try:
            return selection.backend_class(name)
        except ValueError as error:
            raise CommandError(f"{error}; or name a class: module:Class") from None
    if not (inspect.isclass(found) and issubclass(found, Backend)):
        raise CommandError(f"{name} is no subclass of ember_ml.backend.Backend")
    return found


def _import(module: str, attribute: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise CommandError(f"{error}, neither in {here} nor among what is installed") from None
    except AttributeError:
        raise CommandError(f"module {module} has no {attribute!r}") from None


def _remember(case: Case) -> None:
    value_on_numpy(case)
    if case.dtype == "float64" and smooth(case.op, sample(*case)[0]):
        slopes_on_numpy(case.op, case.number)


def _hold(backend: Backend, case: Case, found: Findings) -> None:
    for law, holds in LAWS.items():
        if law == "gradients" and case.dtype != "float64":
            continue  # it is a law of float64
        try:
            with backend.activated():
                reason = holds(backend, case)
        except Lacking:
            found.counts[law]["lacking"] += 1
        except (AssertionError, LookupError, *FAULTS) as error:
            found.counts[law]["broken"] += 1
            found.broken.append((law, str(case), _first_words(error)))
        else:
            found.counts[law]["does not apply" if reason else "kept"] += 1


def _first_words(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = " ".join(lines[:3]) if lines else ""
    return words if isinstance(error, AssertionError) else f"{type(error).__name__}: {words}"


def _show(console: Console, name: str, found: Findings) -> None:
    grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    grid.add_column("law")
    for column in ("kept", "broken", "lacking", "does not apply"):
        grid.add_column(column, justify="right")
    for law, counts in found.counts.items():
        style = "bold red" if counts["broken"] else "green"
        kept, broken, *rest = (
            f"{counts[word]:,}" for word in ("kept", "broken", "lacking", "does not apply")
        )
        grid.add_row(Text(law, style), kept, Text(broken, style), *(Text(word, "dim") for word in rest))
    console.print(grid)
    for law, case, words in found.broken[:_SHOWN]:
        console.print(Text.assemble((case, "bold"), f", {law}: {words}"), soft_wrap=True)
    if (more := len(found.broken) - _SHOWN) > 0:
        console.print(f"and {more} more", style="dim")
    verdict = "keeps every law" if found.clean else f"breaks a law in {len(found.broken)} cases"
    console.print(Text.assemble((name, "bold"), f" {verdict}"), soft_wrap=True)
