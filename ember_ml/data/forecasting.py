"""A series becomes a forecasting problem: windows of what was known, and the value some steps later.

At each observed moment (the *origin*) the model sees the last `length` observed values, and has to say how
far the value `horizon` steps later lies from the one at the origin (the *anchor*). Nothing in a window is
later than its origin, a row without a value is never filled in, and every scale comes from the training part.
Extra inputs carry their last observation forward.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from .errors import DataError
from .series import Series
from .times import Clock

LENGTH = 16  # observations in a window
TEST, VALIDATION = 0.2, 0.1  # shares of the record, cut down to whole seasons
HARMONICS = 2
SEASONS_BACK = 3  # seasons whose change is averaged
NEAR = 0.5  # steps by which the moment forecast may miss origin + horizon on an irregular grid
FEWEST = 8  # examples that each part must have
SMALL = 1e-12


@dataclass(frozen=True)
class ForecastPlan:
    """How windows are made and scaled: all that is needed to forecast from another table later."""

    target: str
    time: str | None
    inputs: tuple[str, ...]
    clock: Clock
    horizon: int  # steps
    season: int | None  # steps
    period: float | None  # the season's exact length in steps
    length: int  # observations in a window
    features: tuple[str, ...]  # what the last axis of a window holds
    center: tuple[float, ...]  # of each feature, over the training windows
    scale: tuple[float, ...]
    output_scale: float  # the root mean square of (value - anchor) over the training part

    @property
    def seasonal_lag(self) -> int | None:
        """The season, or the fewest whole seasons that reach back to the origin or before."""
        return None if self.season is None else self.season * -(-self.horizon // self.season)

    def to_dict(self) -> dict[str, Any]:
        """The plan in types that JSON has."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ForecastPlan:
        """The inverse of `to_dict`."""
        tuples = {name: tuple(value) for name, value in fields.items() if isinstance(value, list | tuple)}
        return cls(**{**fields, **tuples, "clock": Clock(**fields["clock"])})

    def to_values(self, outputs: np.ndarray, examples: Examples) -> np.ndarray:
        """What the model said, in the target's own unit: anchor + output · output_scale. Both (n,)."""
        return examples.anchor + np.asarray(outputs, np.float64).reshape(-1) * self.output_scale


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows in the order of time. Where the future is not known yet, `y` and `truth` are NaN."""

    x: np.ndarray  # (n, length, features) float32, scaled
    elapsed: np.ndarray  # (n, length) float32: steps since the observation before
    y: np.ndarray  # (n,) float32: (truth - anchor) / output_scale
    truth: np.ndarray  # (n,) float64, in the target's unit
    anchor: np.ndarray  # (n,) float64: the value at the origin
    season_ago: np.ndarray  # (n,) float64: the value one season before the target; NaN without a season
    season_ago_origin: np.ndarray  # (n,) float64: the value one season before the origin
    origin_times: np.ndarray  # (n,) moments
    target_times: np.ndarray  # (n,) moments
    target_counts: np.ndarray  # (n,) float64: the same in steps

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | np.ndarray) -> Examples:
        """Some of the examples."""
        return Examples(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


@dataclass(frozen=True, eq=False)
class ForecastProblem:
    """The three parts, in the order of time, and the plan that made them."""

    series: Series
    plan: ForecastPlan
    train: Examples
    validation: Examples
    test: Examples
    notes: tuple[str, ...] = ()


def forecasting_problem(
    series: Series,
    *,
    horizon: int,
    season: int | Literal["auto"] | None = "auto",
    length: int = LENGTH,
    shares: tuple[float, float] = (VALIDATION, TEST),
) -> ForecastProblem:
    """Training, validation and test examples for forecasts `horizon` steps ahead.

    `shares` are those of validation and test in the record's time; each is cut down to whole seasons when it
    has one. Of 44 years of weekly data the last eight are the test. The parts do not touch: a training target
    is known before the first validation forecast is made. DataError where a part would have fewer than eight
    examples.
    """
    if horizon < 1 or int(horizon) != horizon:
        raise DataError(f"horizon is {horizon}; wanted a whole number of steps, 1 or more")
    if length < 1:
        raise DataError(f"length is {length}; wanted at least one observation in a window")
    if not (0 < min(shares) and sum(shares) < 1):
        raise DataError(
            f"shares of validation and test are {shares}; wanted two positive numbers, less than 1 together"
        )
    span = float(series.counts[-1] - series.counts[0])
    season, notes = _season(series.clock, span, horizon, season)
    plan = _unscaled(series, int(horizon), season, int(length))
    windows = make_windows(series, plan)
    parts = _split(windows, span, plan, shares)
    plan = _fit(plan, parts[0])
    train, validation, test = (_scaled(part, plan) for part in parts)
    return ForecastProblem(series, plan, train, validation, test, (*series.notes, *notes))


def forecast_windows(series: Series, plan: ForecastPlan) -> Examples:
    """Every window that the series allows, scaled by the plan, also those whose future is not known yet."""
    if series.target != plan.target or series.input_names != plan.inputs:
        raise DataError(
            f"the table gives target {series.target!r} and inputs {list(series.input_names)}; the model was "
            f"trained on {plan.target!r} and {list(plan.inputs)}: give it a table with these columns"
        )
    return _scaled(make_windows(series, plan, unknown=True), plan)


def make_windows(series: Series, plan: ForecastPlan, *, unknown: bool = False) -> Examples:
    """Unscaled windows at every origin that has `length` observations, a season behind it and a target.

    With `unknown`, origins without a target (yet) are kept too.
    """
    observed = np.flatnonzero(~np.isnan(series.values))
    counts, values = series.counts[observed], series.values[observed]
    origin = np.arange(len(observed))
    target, hit = _nearest(counts, counts + plan.horizon)
    hit &= target > origin
    lag = plan.seasonal_lag
    keep = (origin >= plan.length - 1) & (hit | unknown)
    if lag is not None:
        keep &= (
            counts[np.maximum(origin + 1 - plan.length, 0)] - lag >= counts[0]
        )  # a season before the whole window
    origin, target, hit = origin[keep], target[keep], hit[keep]
    target_counts = np.where(hit, counts[target], counts[origin] + plan.horizon)
    rows = origin[:, None] + np.arange(1 - plan.length, 1)
    truth = np.where(hit, values[target], np.nan)
    missing = np.full(len(origin), np.nan)
    moments = series.moments[observed]
    future = series.clock.moment(target_counts).astype(moments.dtype)
    return Examples(
        x=_features(series, plan, observed, rows),
        elapsed=np.diff(counts, prepend=counts[0] - 1)[rows].astype(np.float32),
        y=truth - values[origin],
        truth=truth,
        anchor=values[origin],
        season_ago=missing if lag is None else _known(counts, values, target_counts - lag, counts[origin]),
        season_ago_origin=missing
        if lag is None
        else _known(counts, values, counts[origin] - lag, counts[origin]),
        origin_times=moments[origin],
        target_times=np.where(hit, moments[target], future),
        target_counts=target_counts,
    )


def _features(series: Series, plan: ForecastPlan, observed: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n, length, features): in the order of `plan.features`."""
    counts, values = series.counts[observed], series.values[observed]
    channels = [values[rows] - values[rows[:, -1:]]]
    if plan.season is not None and plan.seasonal_lag is not None and plan.period is not None:
        lags = plan.seasonal_lag + plan.season * np.arange(SEASONS_BACK)
        channels.append(_seasonal_change(counts, values, counts[rows], lags, plan.horizon))
        phase = 2 * np.pi * (counts[rows] + plan.horizon) / plan.period
        channels += [wave(k * phase) for k in range(1, HARMONICS + 1) for wave in (np.sin, np.cos)]
    carried = _carried(series.inputs)[observed]
    channels += [carried[rows, i] for i in range(carried.shape[1])]
    return np.stack(channels, axis=-1)


def _seasonal_change(
    counts: np.ndarray, values: np.ndarray, at: np.ndarray, lags: np.ndarray, horizon: int
) -> np.ndarray:
    """How far the value moved in `horizon` steps in seasons past: the mean of those on record."""
    begin = at[None] - lags.reshape(-1, *[1] * at.ndim)
    changes = _known(counts, values, begin + horizon, at) - _known(counts, values, begin, at)
    on_record = begin >= counts[0] - NEAR
    on_record[0] = True  # `make_windows` has seen to the first
    return np.sum(changes * on_record, axis=0) / np.sum(on_record, axis=0)


def _feature_names(series: Series, season: int | None) -> tuple[str, ...]:
    seasonal = [f"{wave} {k}" for k in range(1, HARMONICS + 1) for wave in ("sin", "cos")]
    names = ["change since", *(["change in seasons past", *seasonal] if season else []), *series.input_names]
    return tuple(names)


def _season(
    clock: Clock, span: float, horizon: int, season: int | Literal["auto"] | None
) -> tuple[int | None, list[str]]:
    """The season in steps, and what was decided about it."""
    asked = season not in ("auto", None)
    season = clock.season() if season == "auto" else season
    if season is None:
        return None, []
    if int(season) != season or season < 2:
        raise DataError(f"season is {season}; wanted a whole number of steps, 2 or more, or None")
    if span >= 3 * max(season, horizon):
        return int(season), []
    if asked:
        raise DataError(
            f"the record spans {span:.0f} steps; a season of {season} wants at least {3 * season}"
        )
    return None, [f"The record is too short for a season of {season} steps, so none is used."]


def _unscaled(series: Series, horizon: int, season: int | None, length: int) -> ForecastPlan:
    names = _feature_names(series, season)
    period = None if season is None else series.clock.period(season)
    ones, zeros = (1.0,) * len(names), (0.0,) * len(names)
    return ForecastPlan(
        series.target,
        series.time,
        series.input_names,
        series.clock,
        horizon,
        season,
        period,
        length,
        names,
        zeros,
        ones,
        1.0,
    )


def _split(
    windows: Examples, span: float, plan: ForecastPlan, shares: tuple[float, float]
) -> tuple[Examples, Examples, Examples]:
    """Training, validation and test by the time of the target, a horizon apart."""
    if len(windows) == 0:
        raise DataError(
            f"no forecast can be made {plan.horizon} steps ahead from windows of {plan.length} observations"
            f"{f' and a season of {plan.season}' if plan.season else ''}: the record spans {span:.0f} steps; "
            "give more rows, or a smaller horizon, length or season"
        )
    when, last = windows.target_counts, windows.target_counts[-1]
    test_start = last - _whole_seasons(shares[1] * span, plan.period)
    gap = plan.horizon - 1e-6  # so that a target is known when the next part's first forecast is made
    validation_start = test_start - gap - _whole_seasons(shares[0] * span, plan.period)
    masks = {
        "training": when <= validation_start - gap,
        "validation": (when > validation_start) & (when <= test_start - gap),
        "test": when > test_start,
    }
    for name, mask in masks.items():
        if mask.sum() < FEWEST:
            raise DataError(
                f"the {name} part has {int(mask.sum())} examples; wanted at least {FEWEST}: give more rows, "
                f"or a smaller horizon ({plan.horizon}), length ({plan.length}) or season ({plan.season})"
            )
    train, validation, test = (windows[mask] for mask in masks.values())
    return train, validation, test


def _whole_seasons(steps: float, period: float | None) -> float:
    return steps if period is None or steps < period else period * np.floor(steps / period)


def _fit(plan: ForecastPlan, train: Examples) -> ForecastPlan:
    """The plan with the scales of the training windows."""
    center, spread = np.nanmean(train.x, axis=(0, 1)), np.nanstd(train.x, axis=(0, 1))
    spread = np.where(spread > SMALL, spread, 1.0)
    output = float(np.sqrt(np.mean((train.truth - train.anchor) ** 2)))
    return replace(
        plan,
        center=tuple(np.where(np.isfinite(center), center, 0.0).tolist()),
        scale=tuple(np.where(np.isfinite(spread), spread, 1.0).tolist()),
        output_scale=output if output > SMALL else 1.0,
    )


def _scaled(windows: Examples, plan: ForecastPlan) -> Examples:
    x = (windows.x - np.asarray(plan.center)) / np.asarray(plan.scale)
    return replace(
        windows,
        x=np.nan_to_num(x, nan=0.0).astype(np.float32),  # an input that was never seen yet stands at its mean
        y=((windows.truth - windows.anchor) / plan.output_scale).astype(np.float32),
    )


def _nearest(counts: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The observation nearest to each wanted time, and whether it is within half a step."""
    after = (
        np.clip(np.searchsorted(counts, wanted), 1, len(counts) - 1)
        if len(counts) > 1
        else np.zeros(len(wanted), int)
    )
    before = np.maximum(after - 1, 0)
    index = np.where(wanted - counts[before] <= counts[after] - wanted, before, after)
    return index, np.abs(counts[index] - wanted) < NEAR


def _known(counts: np.ndarray, values: np.ndarray, at: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The last observation at `at` (to within half a step) or before it, and never later than `now`."""
    limit = np.minimum(at + NEAR - 1e-6, now)
    return values[np.maximum(np.searchsorted(counts, limit, side="right") - 1, 0)]


def _carried(inputs: np.ndarray) -> np.ndarray:
    """Each column with its last observation carried forward; NaN before the first."""
    rows = np.arange(len(inputs))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(inputs), -1, rows), axis=0)
    return np.where(last < 0, np.nan, np.take_along_axis(inputs, np.maximum(last, 0), axis=0))
