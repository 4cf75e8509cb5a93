"""Tables in and forecasts out, with the words for steps and moments."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ember_ml.cli.errors import CommandError
from ember_ml.data import Clock, Examples, GenericCSVLoader

if TYPE_CHECKING:
    import pandas

WEEK = 7 * 86_400.0
SHOWN = 5  # findings of the loader that a report repeats


@dataclass(frozen=True, eq=False)
class Table:
    """A CSV file: its rows, what reading it changed, and which bytes it held."""

    path: Path
    frame: pandas.DataFrame
    notes: tuple[str, ...]
    sha256: str


def read_table(path: str | Path) -> Table:
    """Read a CSV file. Raises DataError for one that cannot be read as a table."""
    path = Path(path)
    loader = GenericCSVLoader()
    frame = loader.load_csv(path)
    findings = list(loader.report.itertuples(index=False))
    notes = [_note(*finding) for finding in findings[:SHOWN]]
    if len(findings) > SHOWN:
        notes.append(f"Reading the file left {len(findings) - SHOWN} more notes like these.")
    return Table(path, frame, tuple(notes), hashlib.sha256(path.read_bytes()).hexdigest())


def _note(line: object, column: object, value: object, reason: object) -> str:
    place = f"line {line}" if isinstance(line, int) else ""
    where = ", ".join(part for part in (place, f"column {column!r}" if column else "") if part)
    return f"{where[:1].upper()}{where[1:]}: {reason} ({value})."


def steps_in_words(steps: int, clock: Clock) -> str:
    """Return a number of steps in words: "13 weeks", "1 day", "4 steps of 3 months", "2 rows"."""
    step = "1 week" if clock.unit == "seconds" and clock.step == WEEK else clock.describe()
    amount, _, noun = step.partition(" ")
    if amount != "1":
        return f"{counted(steps, 'step')} of {step}"
    return counted(steps, noun)


def counted(number: int, noun: str) -> str:
    """Return a number of things: "1 epoch", "1,175 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def moment_text(moments: np.ndarray) -> list[str]:
    """Return moments as text: ISO dates, with the time of day where any has one; else numbers."""
    if moments.dtype.kind != "M":
        return [f"{moment:.12g}" for moment in moments]
    whole = bool((moments.astype("datetime64[D]") == moments).all())
    return [str(moment) for moment in moments.astype("datetime64[D]" if whole else "datetime64[s]")]


def number_text(numbers: np.ndarray) -> list[str]:
    """Return numbers as text, nine significant figures; nothing where there is none."""
    return ["" if np.isnan(number) else f"{number:.9g}" for number in numbers]


def forecast_csv(examples: Examples, forecasts: Mapping[str, np.ndarray]) -> str:
    """Return a CSV table: origin (when made), time (for when), truth where known, and the forecasts."""
    columns = {
        "origin": moment_text(examples.origin_times),
        "time": moment_text(examples.target_times),
        "truth": number_text(examples.truth),
        **{name: number_text(values) for name, values in forecasts.items()},
    }
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def need_data(command: str, *extras: str) -> None:
    """Raise ImportError, with what to install, unless the packages that a command needs are here."""
    from ember_ml.core.optional import need

    packages = {"data": "pandas", "plot": "matplotlib"}
    for extra in extras:
        need(packages[extra], extra=",".join(extras), purpose=f"ember-ml {command}")


def same_times(given: str | None, wanted: str | None) -> None:
    """Raise CommandError where a table has its times elsewhere than the one a model was trained on."""
    if given != wanted:
        raise CommandError(f"the table has its times in {given!r}; the model was trained with {wanted!r}")
