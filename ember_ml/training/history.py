"""What a training run leaves behind, and how it shows while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

import numpy as np


@dataclass
class History:
    """Losses of every step, a line for every epoch, and the speed."""

    losses: list[float] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(
        default_factory=list
    )  # epoch, train, validation, learning_rate, steps, seconds
    seconds: float = 0.0
    stopped_early: bool = False

    @property
    def steps_per_second(self) -> float:
        """The speed of the median epoch; the first, in which programs are compiled, counts only if alone."""
        warm = self.epochs[1:] or self.epochs
        return float(np.median([e["steps"] / e["seconds"] for e in warm])) if warm else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        return {**asdict(self), "steps_per_second": self.steps_per_second}

    def __repr__(self) -> str:
        last = f", train {self.epochs[-1]['train']:.6g}" if self.epochs else ""
        speed = f"{self.steps_per_second:.0f} steps/s"
        return f"History({len(self.epochs)} epochs, {len(self.losses)} steps{last}, {speed})"

    def _repr_html_(self) -> str:
        names = ("epoch", "train", "validation", "learning_rate")
        head = "".join(f"<th>{escape(n.replace('_', ' '))}</th>" for n in names)
        rows = "".join(
            "<tr>" + "".join(f"<td>{_shown(e.get(n))}</td>" for n in names) + "</tr>" for e in self.epochs
        )
        return f"<table><caption>{escape(repr(self))}</caption><tr>{head}</tr>{rows}</table>"


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


@contextmanager
def progress_bar(steps: int, done: int, wanted: bool | str | None) -> Iterator[Callable[[int, str], None]]:
    """Show a bar on a terminal or in a notebook; elsewhere, or with `wanted` False, show nothing.

    A string as `wanted` is the name that stands before the bar. When the run is over, the bar is taken away.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (wanted if isinstance(wanted, bool) else console.is_terminal or console.is_jupyter):
        yield lambda advance, text: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    name = wanted if isinstance(wanted, str) else "training"
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=steps, completed=done, note="")
        yield lambda advance, text: progress.update(task, advance=advance, note=text)
