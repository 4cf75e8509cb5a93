"""`ember-ml predict`: forecasts from a table by a model that `ember-ml train` made."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table as Grid

from ember_ml.backend import use_backend
from ember_ml.cli.errors import CommandError
from ember_ml.cli.run_folder import CONFIG, MODEL, RunFolder, write_whole
from ember_ml.cli.table import forecast_csv, moment_text, need_data, read_table, same_times, steps_in_words
from ember_ml.cli.train import check_engines, inputs
from ember_ml.data import DataError, Examples, ForecastPlan, forecast_windows, read_series, score
from ember_ml.models import Forecaster
from ember_ml.nn import load
from ember_ml.training import SGD, Trainer

LAST = 12  # forecasts that a terminal shows


def predict(folder: RunFolder, data: Path, *, out: Path | None, backend: str) -> None:
    """Forecast from every window of the table: into a file, or on stdout."""
    need_data("predict", "data")
    (engine,) = check_engines((backend,))
    plan, module = read_model(folder, engine)
    table = read_table(data)
    series = read_series(
        table.frame, target=plan.target, time=plan.time, inputs=plan.inputs, clock=plan.clock
    )
    same_times(series.time, plan.time)
    windows = forecast_windows(series, plan)
    if not len(windows):
        season = f" and a season of {steps_in_words(plan.season, plan.clock)}" if plan.season else ""
        raise DataError(
            f"{data} is too short to forecast from: the model wants {plan.length} observations{season} before"
        )
    outputs = Trainer(module, SGD(), backend=engine).predict(inputs(windows))
    forecast = plan.to_values(outputs, windows)
    text = forecast_csv(windows, {"forecast": forecast})
    said = summary(windows, forecast)
    if folder.config()["data"]["sha256"] == table.sha256:
        said += "; it was trained on some of these"
    if out is not None:
        write_whole(out, text)
        Console(highlight=False).print(f"{out}: {said}", soft_wrap=True)
    elif sys.stdout.isatty():
        show(plan, windows, forecast, said)
    else:
        sys.stdout.write(text)


def read_model(folder: RunFolder, engine: str) -> tuple[ForecastPlan, Forecaster]:
    """Return what a run's folder holds: the plan and the module. Raises CommandError where it does not."""
    config = folder.config()
    try:
        plan = ForecastPlan.from_dict(config["plan"])
        with use_backend(engine):
            module = load(folder.path / MODEL)
    except (KeyError, TypeError, ValueError) as error:
        raise CommandError(
            f"{folder.path} is damaged ({CONFIG} or {MODEL}: {error}): train again with --overwrite"
        ) from error
    if not isinstance(module, Forecaster):
        raise CommandError(
            f"{folder.path / MODEL} holds a {type(module).__name__}; wanted what `ember-ml train` wrote"
        )
    return plan, module


def summary(windows: Examples, forecast: np.ndarray) -> str:
    """Return in words how many forecasts there are, up to when, and how good the known ones."""
    known = ~np.isnan(windows.truth)
    words = f"{len(windows):,} forecasts, up to {moment_text(windows.target_times[-1:])[0]}"
    if not known.any():
        return words
    rmse = score(forecast[known], windows.truth[known])["rmse"]
    return f"{words}; RMSE {rmse:.4g} on the {int(known.sum()):,} whose truth is known"


def show(plan: ForecastPlan, windows: Examples, forecast: np.ndarray, said: str) -> None:
    """Show the last forecasts on a terminal, and what there is to say of all."""
    console = Console(highlight=False)
    grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for name, side in (
        ("made", "left"),
        ("for", "left"),
        (f"{plan.target}, forecast", "right"),
        ("truth", "right"),
    ):
        grid.add_column(name, justify=side)  # pyright: ignore[reportArgumentType]
    last = windows[-LAST:]
    rows = zip(
        moment_text(last.origin_times),
        moment_text(last.target_times),
        forecast[-LAST:],
        last.truth,
        strict=True,
    )
    for made, when, value, truth in rows:
        grid.add_row(made, when, f"{value:.6g}", "" if np.isnan(truth) else f"{truth:.6g}")
    console.print(grid)
    console.print(said, soft_wrap=True)
    console.print("The last ones are shown; --out FILE, or a pipe, takes them all as CSV.", style="dim")
