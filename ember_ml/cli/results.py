"""What a run found, and the five files that say so."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import ember_ml
from ember_ml.backend.selection import ENGINES
from ember_ml.cli.run_folder import CONFIG, FORMAT, METRICS, MODEL, PREDICTIONS, REPORT, RunFolder, to_json
from ember_ml.cli.settings import Settings, shown
from ember_ml.cli.table import Table, counted, forecast_csv, moment_text, steps_in_words
from ember_ml.data import ForecastProblem, baseline_forecasts, score
from ember_ml.models import Forecaster
from ember_ml.training import History
from ember_ml.visualization import ReportData, write_report

EARLY = 50  # steps over which engines must agree


@dataclass(frozen=True, eq=False)
class Fit:
    """The model as one engine trained it."""

    engine: str
    module: Forecaster
    history: History
    forecast: np.ndarray  # of the test part, in the target's unit


@dataclass(frozen=True, eq=False)
class Results:
    """Every engine's fit, and each forecast of the test part with its errors; "model": the first engine's."""

    problem: ForecastProblem
    fits: Sequence[Fit]
    forecasts: dict[str, np.ndarray]
    scores: dict[str, dict[str, float]]

    @classmethod
    def of(cls, problem: ForecastProblem, fits: Sequence[Fit]) -> Results:
        """Compare the first engine's model with the baselines."""
        forecasts = {"model": fits[0].forecast, **baseline_forecasts(problem)}
        scores = {name: score(values, problem.test.truth) for name, values in forecasts.items()}
        return cls(problem, fits, forecasts, scores)

    @property
    def steps_compared(self) -> int:
        """Over how many steps the engines' losses are compared."""
        return min(EARLY, *(len(fit.history.losses) for fit in self.fits))

    @property
    def disagreement(self) -> float:
        """The largest relative difference of any engine's loss from the first's, over those steps."""
        losses = np.array([fit.history.losses[: self.steps_compared] for fit in self.fits])
        return float(np.max(np.abs(losses - losses[0]) / np.maximum(np.abs(losses[0]), 1e-30), initial=0.0))


def write_results(folder: RunFolder, settings: Settings, table: Table, results: Results) -> None:
    """Write config.json, metrics.json, model.safetensors, predictions.csv and report.html, all or none."""
    module = results.fits[0].module
    forecasts = {"forecast": results.forecasts["model"], **results.forecasts}
    del forecasts["model"]
    with folder.finishing() as part:
        (part / CONFIG).write_text(to_json(config(settings, table, results)), encoding="utf-8")
        (part / METRICS).write_text(to_json(metrics(results)), encoding="utf-8")
        (part / PREDICTIONS).write_text(forecast_csv(results.problem.test, forecasts), encoding="utf-8")
        module.save(part / MODEL)
        write_report(part / REPORT, report_data(settings, table, results))


def config(settings: Settings, table: Table, results: Results) -> dict:
    """Return what it takes to use the model, and to make it again."""
    series = results.problem.series
    return {
        "format": FORMAT,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings.to_dict(),
        "seed": settings.seed,
        "data": {
            "file": str(table.path),
            "sha256": table.sha256,
            "rows": len(series),
            "first": moment_text(series.moments)[0],
            "last": moment_text(series.moments)[-1],
        },
        "versions": versions([fit.engine for fit in results.fits]),
        "plan": results.problem.plan.to_dict(),
    }


def metrics(results: Results) -> dict:
    """Return the numbers of the run, as design section 9.10 lays them out."""
    problem = results.problem
    return {
        "target": problem.plan.target,
        "horizon": problem.plan.horizon,
        "train_rows": len(problem.train),
        "test_rows": len(problem.test),
        "test": results.scores,
        "engines": {
            fit.engine: {"steps_per_second": fit.history.steps_per_second, "losses": fit.history.losses}
            for fit in results.fits
        },
    }


def versions(engines: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python, of this package and of what computed."""
    found = {"python": platform.python_version(), "ember_ml": ember_ml.__version__}
    for package in dict.fromkeys(["numpy", *(ENGINES[name].package for name in engines if name in ENGINES)]):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def report_data(settings: Settings, table: Table, results: Results) -> ReportData:
    """Return what the report tells."""
    problem, first = results.problem, results.fits[0]
    plan, test = problem.plan, problem.test
    ahead = steps_in_words(plan.horizon, plan.clock)
    epochs = first.history.epochs
    return ReportData(
        title=f"{plan.target}, {ahead} ahead",
        target=plan.target,
        unit=settings.unit,
        horizon=ahead,
        model=first.module.words,
        scores=results.scores,
        times=test.target_times,
        truth=test.truth,
        forecasts=results.forecasts,
        training={
            "training": [epoch["train"] for epoch in epochs],
            "validation": [epoch["validation"] for epoch in epochs],
        },
        engines={
            fit.engine: {"steps_per_second": fit.history.steps_per_second, "losses": fit.history.losses}
            for fit in results.fits
        },
        data_facts=data_facts(table, problem),
        model_facts=model_facts(settings, problem, first),
        settings=setting_facts(settings, table, results),
        notes=(*table.notes, *problem.notes),
    )


def data_facts(table: Table, problem: ForecastProblem) -> dict[str, object]:
    """Return what there is to know about the data, for people."""
    series, plan = problem.series, problem.plan
    moments = moment_text(series.moments)
    season = "none" if plan.season is None else steps_in_words(plan.season, plan.clock)
    parts = (("Training", problem.train), ("Validation", problem.validation), ("Test", problem.test))
    return {
        "File": table.path.name,
        "Rows": f"{len(series):,}, {series.missing:,} of them without a value",
        "Span": f"{moments[0]} to {moments[-1]}",
        "One row every": plan.clock.describe(),
        "Season": season,
        **{name: part_words(part) for name, part in parts},
    }


def part_words(part) -> str:
    """Return a part's size and span in words."""
    times = moment_text(part.target_times[[0, -1]])
    return f"{len(part):,} windows, for {times[0]} to {times[1]}"


def model_facts(settings: Settings, problem: ForecastProblem, fit: Fit) -> dict[str, object]:
    """Return what there is to know about the model and its training, for people."""
    history = fit.history
    stopped = f" of {settings.epochs}, stopped early" if history.stopped_early else ""
    steps = f"{len(history.losses):,} steps of {settings.batch_size} windows"
    return {
        "Network": fit.module.words,
        "Parameters": f"{fit.module.num_parameters():,}",
        "Window": f"{settings.window} observations, and the times between them",
        "Inputs": ", ".join(problem.plan.features),
        "Training": f"{counted(len(history.epochs), 'epoch')}{stopped}, {steps}",
        "Optimizer": f"Adam, learning rate {settings.learning_rate:g}, falling to 0 along a cosine",
        "Loss": "mean squared error",
        "Time": f"{history.seconds:.1f} s on {fit.engine}",
    }


def setting_facts(settings: Settings, table: Table, results: Results) -> dict[str, object]:
    """Return what it takes to do it again, for people."""
    names = ("target", "time", "horizon", "season", "window", "units", "seed", "backend")
    found = versions([fit.engine for fit in results.fits])
    return {
        **{
            name.capitalize(): shown(value)
            for name in names
            if (value := getattr(settings, name)) is not None
        },
        "Data, SHA-256": table.sha256,
        "Versions": ", ".join(f"{name} {number}" for name, number in found.items()),
    }
