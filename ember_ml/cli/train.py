"""`ember-ml train`: a CSV file becomes a forecasting model, compared with what has to be beaten."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ember_ml.backend import get_backend, use_backend
from ember_ml.cli.errors import CommandError, Stopped
from ember_ml.cli.results import Fit, Results, write_results
from ember_ml.cli.run_folder import RunFolder
from ember_ml.cli.screen import TrainingScreen
from ember_ml.cli.settings import Settings
from ember_ml.cli.table import Table, need_data, read_table
from ember_ml.data import ForecastProblem, forecasting_problem, read_series
from ember_ml.models import Forecaster
from ember_ml.training import Adam, Trainer, cosine_decay


@dataclass(frozen=True, eq=False)
class Task:
    """All that is known before training begins."""

    settings: Settings
    table: Table
    problem: ForecastProblem
    module: Forecaster  # as it starts, on NumPy


def train(settings: Settings, folder: RunFolder, *, overwrite: bool, resume: bool) -> None:
    """Train as asked, and write the results to the folder.

    Raises CommandError, DataError, ImportError or OSError, each with what to do about it.
    """
    folder.claim(overwrite=overwrite, resume=resume)
    need_data("train", "data", "plot")
    engines = check_engines(settings.backend)
    task = prepare(settings)
    screen = TrainingScreen(task)
    if resume and folder.is_finished and not folder.is_under_way:
        _same_data(task, folder.config()["data"]["sha256"])
        screen.finished_before(folder)
        return
    if resume and folder.is_under_way:
        _same_data(task, folder.begun()["sha256"])
    screen.opening()
    try:
        folder.begin({"settings": settings.to_dict(), "sha256": task.table.sha256})
        fits = [fit(task, engine, folder, resume=resume, screen=screen) for engine in engines]
        results = Results.of(task.problem, fits)
        write_results(folder, settings, task.table, results)
    except KeyboardInterrupt:
        raise Stopped(_how_to_go_on(folder)) from None
    finally:
        if folder.is_under_way and not folder.has_steps:
            folder.give_up()
    screen.closing(results, folder)


def check_engines(names: tuple[str, ...]) -> list[str]:
    """Return the names of the backends, each once. Raises CommandError or ImportError where one is no use."""
    found = []
    for name in names:
        try:
            backend = get_backend(name)
        except ValueError as error:
            raise CommandError(str(error)) from error
        if not backend.works():
            raise CommandError(
                f"backend {name!r} is installed but does not compute here; see `ember-ml backends`"
            )
        found.append(backend.name)
    return list(dict.fromkeys(found))


def prepare(settings: Settings) -> Task:
    """Read the data, cut it into parts, and make the module."""
    table = read_table(settings.data)
    series = read_series(table.frame, target=settings.target, time=settings.time, inputs=settings.inputs)
    season = "auto" if settings.season is None else settings.season or None
    usual = series.clock.season() if season == "auto" else season
    horizon = settings.horizon or max(1, (usual or 0) // 4)
    problem = forecasting_problem(series, horizon=horizon, season=season, length=settings.window)
    if not (math.isfinite(settings.learning_rate) and settings.learning_rate > 0):
        raise CommandError(f"--learning-rate is {settings.learning_rate}; wanted a number above 0")
    try:
        with use_backend("numpy"):
            width = problem.train.x.shape[-1]
            module = Forecaster(width, settings.model, units=settings.units, seed=settings.seed)
    except ValueError as error:
        raise CommandError(str(error)) from error
    return Task(settings, table, problem, module)


def fit(task: Task, engine: str, folder: RunFolder, *, resume: bool, screen: TrainingScreen) -> Fit:
    """Train a copy of the module on one engine, with checkpoints, and forecast the test part."""
    settings, problem = task.settings, task.problem
    steps = settings.epochs * -(-len(problem.train) // settings.batch_size)
    optimizer = Adam(learning_rate=cosine_decay(settings.learning_rate, steps))
    module = copy.deepcopy(task.module)
    trainer = Trainer(module, optimizer, backend=engine, seed=settings.seed)
    try:
        history = trainer.fit(
            (inputs(problem.train), problem.train.y),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            validation=(inputs(problem.validation), problem.validation.y),
            early_stopping=settings.early_stopping,
            checkpoint=folder.checkpoint / engine,
            resume=resume,
            progress=f"{engine:<8}",
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    wrong = np.flatnonzero(~np.isfinite(history.losses))
    if len(wrong):
        folder.give_up()
        raise CommandError(
            f"the loss was no longer a number in step {wrong[0] + 1} of {len(history.losses)}: "
            f"give a smaller --learning-rate than {settings.learning_rate:g}"
        )
    screen.trained(engine, history)
    forecast = problem.plan.to_values(trainer.predict(inputs(problem.test)), problem.test)
    return Fit(engine, module, history, forecast)


def inputs(examples: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what the module takes."""
    return examples.x, examples.elapsed


def _same_data(task: Task, sha256: str) -> None:
    if task.table.sha256 != sha256:
        raise CommandError(f"{task.table.path} has changed since the run was begun: --overwrite begins anew")


def _how_to_go_on(folder: RunFolder) -> str:
    if not folder.has_steps:
        return "before the first step was done; nothing is kept"
    return f"go on with: ember-ml train --resume --out {folder.path}"
