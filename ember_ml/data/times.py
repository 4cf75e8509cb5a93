"""Times of a table: how a column becomes moments, and how moments are counted in sampling steps.

Moments are `datetime64[s]`, or plain numbers where the column holds no dates. Everything above counts in
steps, so that "thirteen weeks ahead" is 13 on weekly data whatever the file's spelling of time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError, load_pandas

if TYPE_CHECKING:
    import pandas

EARLIEST, LATEST = 1800, 2200  # years in which an eight-digit integer is believed to be a date
DAY = 86_400.0
YEAR = 365.2425 * DAY
MONTHLY = 27 * DAY  # from here on steps are counted in calendar months, which differ in length
DATE_SHARE = 0.99  # of the values must be dates for a column to be one
TIME_NAMES = {"time", "timestamp", "epoch", "unix", "unixtime", "unix_time", "ts"}
DATE_TEXT = re.compile(r"\s*\d{4}-\d{1,2}(-\d{1,2}([T ]\d|\s*$)|\s*$)|\s*\d{4}/\d{1,2}/\d{1,2}")


def parse_times(column: pandas.Series) -> pandas.Series:
    """The column as datetime64; what is no date becomes NaT. A column without any date is a DataError.

    Understood: dates, eight-digit integers (yyyymmdd), ISO 8601 text (an offset is turned into UTC), and
    seconds since 1970.
    """
    pd = load_pandas()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _without_zone(column).astype("datetime64[s]")
    days = eight_digit_dates(column)
    if days is not None:
        return days
    numbers = pd.to_numeric(column, errors="coerce")
    if pd.api.types.is_bool_dtype(column.dtype) or not numbers.notna().any():
        moments = _without_zone(
            pd.to_datetime(column.astype("string"), errors="coerce", format="ISO8601", utc=True)
        )
        if moments.notna().any():
            return moments.astype("datetime64[s]")
    elif in_epoch_range(numbers):
        return pd.to_datetime(numbers, unit="s").astype("datetime64[s]")
    shown = next((repr(value) for value in column.dropna()[:1]), "no value at all")
    raise DataError(
        f"column {column.name!r} holds no times: it starts with {shown}; wanted ISO dates (2001-12-29), "
        "yyyymmdd integers or seconds since 1970: convert the column or name another as the time"
    )


def eight_digit_dates(column: pandas.Series) -> pandas.Series | None:
    """The column as dates if 99 % of its values are yyyymmdd between 1800 and 2200, else None."""
    pd = load_pandas()
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return None
    numbers = pd.to_numeric(column, errors="coerce")
    whole = numbers.where(
        (numbers >= EARLIEST * 10_000) & (numbers < LATEST * 10_000 + 1_232) & (numbers % 1 == 0)
    )
    if whole.notna().sum() < DATE_SHARE * max(column.notna().sum(), 1):
        return None
    moments = pd.to_datetime(whole.astype("Int64").astype("string"), format="%Y%m%d", errors="coerce")
    return (
        moments.astype("datetime64[s]")
        if moments.notna().sum() >= DATE_SHARE * column.notna().sum()
        else None
    )


def text_dates(column: pandas.Series) -> pandas.Series | None:
    """A text column as dates if 99 % of its values are ISO dates, else None."""
    pd = load_pandas()
    text = column.astype("string")
    if (
        not text.str.match(DATE_TEXT).mean() >= DATE_SHARE
    ):  # also without any value, where the mean is missing
        return None
    slashes = text.str.replace("/", "-", regex=False)
    moments = _without_zone(pd.to_datetime(slashes, errors="coerce", format="ISO8601", utc=True))
    return (
        moments.astype("datetime64[s]") if moments.notna().sum() >= DATE_SHARE * text.notna().sum() else None
    )


def named_epoch(column: pandas.Series) -> bool:
    """Whether the column's name and its range say that it holds seconds since 1970."""
    pd = load_pandas()
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    return numeric and str(column.name).strip().lower() in TIME_NAMES and in_epoch_range(column)


def in_epoch_range(numbers: pandas.Series) -> bool:
    """Whether all numbers lie between 1973 and 2200 when read as seconds since 1970."""
    return bool(((numbers.dropna() >= 1e8) & (numbers.dropna() < (LATEST - 1970) * YEAR)).all())


@dataclass(frozen=True)
class Clock:
    """Counts moments in sampling steps since 1970 (or since 0, for plain numbers and row numbers)."""

    unit: str  # "seconds", "months", "number" or "row"
    step: float  # one sampling step in that unit

    @classmethod
    def of(cls, moments: np.ndarray) -> Clock:
        """The clock whose step is the median gap between the moments (sorted, all different)."""
        if len(moments) < 2:
            raise DataError(
                f"{len(moments)} row(s) have a time; wanted at least two, to find the sampling step"
            )
        if moments.dtype.kind != "M":
            return cls("number", float(np.median(np.diff(moments))))
        gap = float(np.median(np.diff(moments.astype("datetime64[s]").astype(np.int64))))
        if gap < MONTHLY:
            return cls("seconds", gap)
        return cls("months", float(max(1, round(np.median(np.diff(_months(moments)))))))

    def count(self, moments: np.ndarray) -> np.ndarray:
        """The moments in steps, float64."""
        if self.unit == "months":
            return _months(moments) / self.step
        if self.unit == "seconds":
            return moments.astype("datetime64[s]").astype(np.int64) / self.step
        return np.asarray(moments, np.float64) / self.step

    def moment(self, count: np.ndarray) -> np.ndarray:
        """The inverse of `count`, to the second (of months, to the day)."""
        if self.unit == "months":
            return _from_months(np.asarray(count) * self.step)
        if self.unit == "seconds":
            return np.round(np.asarray(count) * self.step).astype(np.int64).astype("datetime64[s]")
        return np.asarray(count, np.float64) * self.step

    @property
    def seconds(self) -> float | None:
        """One step in seconds, or None where time has no unit."""
        return {"seconds": self.step, "months": self.step * YEAR / 12}.get(self.unit)

    def season(self) -> int | None:
        """Steps in the season that such data usually has: a day, a week (daily data), a year; or None."""
        if self.seconds is None:
            return None
        for low, high, cycle in SEASONS:
            steps = cycle / self.seconds
            if low <= self.seconds <= high and steps >= 3:
                return int(steps + 0.01)
        return None

    def period(self, season: int) -> float:
        """The season's exact length in steps: 52.18 weeks where `season` says 52, since that is a year."""
        year = YEAR / self.seconds if self.seconds else float("nan")
        return year if abs(year - season) <= 0.01 * season else float(season)

    def describe(self) -> str:
        """One step in words: "7 days", "1 hour", "3 months", "1 row"."""
        if self.unit != "seconds":
            noun = {"months": "month", "row": "row", "number": "unit"}[self.unit]
            return _counted(self.step, noun)
        for size, noun in ((DAY, "day"), (3600.0, "hour"), (60.0, "minute")):
            if self.step >= size:
                return _counted(self.step / size, noun)
        return _counted(self.step, "second")


# From, to (one step in seconds) and the cycle: sub-daily data cycles daily, daily weekly, slower data yearly.
SEASONS = (
    (0.0, DAY / 3, DAY),
    (0.9 * DAY, 1.5 * DAY, 7 * DAY),
    (6 * DAY, 200 * DAY, YEAR),
)


def _without_zone(column: pandas.Series) -> pandas.Series:
    return column if column.dt.tz is None else column.dt.tz_convert("UTC").dt.tz_localize(None)


def _months(moments: np.ndarray) -> np.ndarray:
    """Months since 1970, with the day as a fraction of its month."""
    month = moments.astype("datetime64[M]")
    begin = month.astype("datetime64[s]").astype(np.int64)
    length = (month + 1).astype("datetime64[s]").astype(np.int64) - begin
    return month.astype(np.int64) + (moments.astype("datetime64[s]").astype(np.int64) - begin) / length


def _from_months(months: np.ndarray) -> np.ndarray:
    whole = np.floor(months + 1e-9)
    month = whole.astype(np.int64).astype("datetime64[M]")
    days = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
    day = np.round(np.clip(months - whole, 0.0, None) * days).astype(np.int64)
    return (month.astype("datetime64[D]") + np.minimum(day, days - 1)).astype("datetime64[s]")


def _counted(amount: float, noun: str) -> str:
    return f"{amount:.6g} {noun}{'' if amount == 1 else 's'}"
