"""A table becomes a series: one target, its other inputs, and a clock that counts in sampling steps.

Nothing is filled in here: a row without a value stays without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError, load_pandas
from .kinds import GenericTypeDetector, column_kind
from .times import Clock, parse_times

if TYPE_CHECKING:
    import pandas

GAP = 1.5  # steps between two rows from which rows are missing


@dataclass(frozen=True, eq=False)
class Series:
    """Rows in the order of time.

    `values` and `inputs` are NaN where the file has no value. `counts` are the times in steps of `clock`.
    """

    target: str
    time: str | None  # the time column; None where rows are counted
    input_names: tuple[str, ...]
    moments: np.ndarray  # (n,) datetime64[s], or numbers
    counts: np.ndarray  # (n,) float64
    values: np.ndarray  # (n,) float64
    inputs: np.ndarray  # (n, len(input_names)) float64
    clock: Clock
    notes: tuple[str, ...] = ()  # what a reader should know, in sentences

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> int:
        """Rows without a value of the target."""
        return int(np.isnan(self.values).sum())

    @property
    def absent(self) -> int:
        """Rows that the regular grid would have and the file does not."""
        gaps = np.diff(self.counts)
        return int(np.round(gaps[gaps > GAP] - 1).sum())

    @property
    def is_regular(self) -> bool:
        """Whether every gap is a whole number of steps, to within a twentieth."""
        gaps = np.diff(self.counts)
        return bool(np.all(np.abs(gaps - np.round(gaps)) < 0.05))


def read_series(
    frame: pandas.DataFrame,
    *,
    target: str,
    time: str | None = None,
    inputs: Sequence[str] | None = None,
    clock: Clock | None = None,
) -> Series:
    """The series of `target` in the table.

    Without `time` the only (or the first) datetime column is taken; without one, rows are counted. Without
    `inputs` every other numeric and boolean column becomes an input; naming a column of text is a DataError,
    for it is not known how its words should count. `clock` keeps the step that a model was trained with.
    """
    if target not in frame.columns:
        raise DataError(
            f"no column {target!r} to forecast; the columns are {', '.join(map(str, frame.columns))}"
        )
    if len(frame) == 0:
        raise DataError(f"the table has no rows: wanted values of {target!r}")
    kinds = GenericTypeDetector().detect_column_types(frame)
    time, notes = _time_column(frame, target, time, kinds["datetime"])
    names, left_out = _input_columns(frame, target, time, inputs, kinds)
    notes += left_out
    moments, order, moved = _moments(frame, time)
    if moved:
        notes.append("The rows were not in the order of time and were sorted.")
    values = _numbers(frame[target])[order]
    columns = [_numbers(frame[name])[order] for name in names]
    if np.isnan(values).all():
        raise DataError(
            f"column {target!r} has no value in any of its {len(values)} rows: wanted numbers to forecast"
        )
    clock = clock or (Clock.of(moments) if time else Clock("row", 1.0))
    inputs_array = np.stack(columns, axis=1) if columns else np.zeros((len(values), 0))
    return Series(
        target, time, tuple(names), moments, clock.count(moments), values, inputs_array, clock, tuple(notes)
    )


def _time_column(
    frame: pandas.DataFrame, target: str, time: str | None, candidates: list[str]
) -> tuple[str | None, list[str]]:
    if time is not None:
        if time not in frame.columns:
            raise DataError(f"no time column {time!r}; the columns are {', '.join(map(str, frame.columns))}")
        if time == target:
            raise DataError(f"column {time!r} is both the time and the target: name two columns")
        return time, []
    candidates = [name for name in candidates if name != target]
    if not candidates:
        return None, ["No column holds times: rows are counted as equally spaced."]
    if len(candidates) > 1:
        return candidates[0], [f"Several columns hold times; {candidates[0]!r} is taken."]
    return candidates[0], []


def _input_columns(
    frame: pandas.DataFrame,
    target: str,
    time: str | None,
    inputs: Sequence[str] | None,
    kinds: dict[str, list[str]],
) -> tuple[list[str], list[str]]:
    if inputs is None:
        numeric = set(kinds["numeric"]) | set(kinds["boolean"])
        names = [name for name in frame.columns if name in numeric and name not in (target, time)]
        names = [name for name in names if frame[name].notna().any()]
        left = [str(name) for name in frame.columns if name not in (target, time, *names)]
        return names, [f"Not used as inputs, for they hold no numbers: {', '.join(left)}."] if left else []
    for name in inputs:
        if name not in frame.columns:
            raise DataError(f"no input column {name!r}; the columns are {', '.join(map(str, frame.columns))}")
        if name in (target, time):
            raise DataError(f"input {name!r} is the target or the time already: leave it out")
        if column_kind(frame[name]) in ("categorical", "datetime"):
            raise DataError(
                f"input {name!r} is {column_kind(frame[name])}, and inputs are numbers: leave it out, or "
                "make one column of 0 and 1 for each of its values"
            )
    return list(inputs), []


def _moments(frame: pandas.DataFrame, time: str | None) -> tuple[np.ndarray, np.ndarray, bool]:
    """The moments in order, the order, and whether it differs from the table's."""
    if time is None:
        order = np.arange(len(frame))
        return order.astype(np.float64), order, False
    pd = load_pandas()
    column = frame[time]
    plain = pd.api.types.is_numeric_dtype(column.dtype) and column_kind(column) != "datetime"
    if plain and not _is_epoch(column):
        moments = column.to_numpy(np.float64, na_value=np.nan)
    else:
        moments = parse_times(column).to_numpy("datetime64[s]")
    nothing = np.isnat(moments) if moments.dtype.kind == "M" else np.isnan(moments)
    if nothing.any():
        row = int(nothing.argmax())
        raise DataError(f"time column {time!r} has no time in data row {row + 1}: wanted one in every row")
    order = np.argsort(moments, kind="stable")
    moments = moments[order]
    same = moments[1:] == moments[:-1]
    if same.any():
        raise DataError(
            f"{int(same.sum()) + 1} or more rows share a time, first {moments[int(same.argmax())]}: "
            "wanted one row a moment: choose one series or average them"
        )
    return moments, order, bool((order[1:] < order[:-1]).any())


def _is_epoch(column: pandas.Series) -> bool:
    """Numbers named as the time: seconds since 1970 if they are large enough to be, else plain numbers."""
    present = column.dropna()
    return len(present) > 0 and bool(present.between(1e8, 7.3e9).all())


def _numbers(column: pandas.Series) -> np.ndarray:
    """The column as float64, NaN where missing or infinite. Text in it is a DataError that names its row."""
    pd = load_pandas()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise DataError(f"column {column.name!r} holds times; wanted numbers: name another column")
    truth = column_kind(column) == "boolean" and not pd.api.types.is_numeric_dtype(column.dtype)
    if truth and not pd.api.types.is_bool_dtype(column.dtype):
        positive = column.astype("string").str.strip().str.lower().isin({"true", "yes", "t", "y", "1"})
        column = positive.astype("float64").where(column.notna())
    numbers = pd.to_numeric(column, errors="coerce")
    text = (numbers.isna() & column.notna()).to_numpy(bool)
    if text.any():
        row = int(text.argmax())
        more = f" (and {int(text.sum()) - 1} more)" if text.sum() > 1 else ""
        raise DataError(
            f"column {column.name!r} holds text in data row {row + 1}: {str(column.iloc[row])!r}{more}; "
            "wanted numbers: mend these cells or leave them empty"
        )
    values = numbers.to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)
