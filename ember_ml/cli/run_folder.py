"""The folder of a run: results that appear together or not at all, and the checkpoint of one under way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ember_ml.cli.errors import CommandError
from ember_ml.cli.settings import Settings
from ember_ml.core.files import written_whole

FORMAT = "ember_ml run 1"
CONFIG, METRICS, MODEL = "config.json", "metrics.json", "model.safetensors"
PREDICTIONS, REPORT = "predictions.csv", "report.html"


class RunFolder:
    """A folder that `ember-ml train` writes.

    While a run trains it only touches `checkpoint/`; an earlier run's results stay until there are new ones.
    """

    path: Path
    checkpoint: Path  # one folder in it for each engine, and `run.json`: what the run was asked to do

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoint"

    @property
    def is_finished(self) -> bool:
        """Whether it holds the results of a run."""
        return (self.path / CONFIG).is_file()

    @property
    def is_under_way(self) -> bool:
        """Whether it holds a run that was begun and not finished."""
        return (self.checkpoint / "run.json").is_file()

    @property
    def has_steps(self) -> bool:
        """Whether a checkpoint was written."""
        return any(self.checkpoint.glob("*/checkpoint.safetensors"))

    def claim(self, *, overwrite: bool, resume: bool) -> None:
        """Raise CommandError unless a run may be written here; with `overwrite`, drop an unfinished one."""
        if self.path.exists() and not self.path.is_dir():
            raise CommandError(f"{self.path} is a file: name a folder with --out")
        if overwrite and resume:
            raise CommandError("--overwrite begins anew and --resume goes on: give one of them")
        known = self.is_finished or self.is_under_way
        if not known and self.path.is_dir() and any(not p.name.startswith(".") for p in self.path.iterdir()):
            raise CommandError(f"{self.path} holds other files and no run: name another folder with --out")
        if known and not overwrite and not resume:
            if self.is_under_way:
                raise CommandError(
                    f"{self.path} holds an unfinished run: --resume goes on with it, --overwrite begins anew"
                )
            raise CommandError(
                f"{self.path} holds a run: --overwrite replaces it, --out names another folder"
            )
        if overwrite:
            shutil.rmtree(self.checkpoint, ignore_errors=True)

    def begin(self, facts: dict[str, Any]) -> None:
        """Note what the run was asked to do."""
        self.checkpoint.mkdir(parents=True, exist_ok=True)
        write_whole(self.checkpoint / "run.json", to_json({"format": FORMAT, **facts}))

    def give_up(self) -> None:
        """Drop the checkpoints; the folder too, if nothing else is in it."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def begun(self) -> dict[str, Any]:
        """Return what `begin` noted."""
        return read_json(self.checkpoint / "run.json")

    def settings(self) -> Settings | None:
        """Return the settings of the run here, finished or not; None where there is none."""
        if self.is_under_way:
            return Settings.from_dict(self.begun()["settings"])
        return Settings.from_dict(read_json(self.path / CONFIG)["settings"]) if self.is_finished else None

    def config(self) -> dict[str, Any]:
        """Return the configuration of a finished run. Raises CommandError where there is none."""
        if not (self.is_finished and (self.path / MODEL).is_file()):
            wanted = f"wanted a folder with {CONFIG} and {MODEL}, which `ember-ml train` writes"
            if self.is_under_way:
                wanted = f"the one begun there is unfinished: ember-ml train --resume --out {self.path}"
            raise CommandError(f"there is no run in {self.path}: {wanted}")
        return read_json(self.path / CONFIG)

    @contextmanager
    def finishing(self) -> Iterator[Path]:
        """Yield a folder for the results: moved into place if the context ends well, else dropped."""
        part = self.path / f".results.{os.getpid()}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            for name in (PREDICTIONS, REPORT, METRICS, MODEL, CONFIG):
                (part / name).replace(self.path / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(self.checkpoint, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all; a pipe directly."""
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def to_json(values: dict[str, Any]) -> str:
    """Return values as JSON, which has no NaN."""
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file of ours holds. Raises CommandError for one that is not."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandError(f"{path} is damaged ({error}): train again with --overwrite") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise CommandError(f"{path} was not written by this version of `ember-ml train`: train again")
    return values
