"""From what was typed to settings and a folder: examples, defaults, and the run to go on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ember_ml.backend import get_backend
from ember_ml.cli.errors import CommandError
from ember_ml.cli.run_folder import RunFolder
from ember_ml.cli.settings import Settings, example_named


def chosen(asked: dict[str, Any]) -> tuple[Settings, RunFolder]:
    """Return the settings and the folder of the run that was asked for.

    `asked` holds the options of `ember-ml train` that were typed. With `resume`, what was not typed is as it
    was when the run in the folder was begun; CommandError where something typed differs from that.
    """
    typed = _typed(asked)
    folder = RunFolder(asked["out"] if "out" in asked else _usual_folder(typed, asked["resume"]))
    begun = folder.settings() if asked["resume"] else None
    if begun is None:
        for name, what in (
            ("data", "the data: a CSV file, or --example co2"),
            ("target", "the column to forecast: --target NAME"),
        ):
            if name not in typed:
                raise CommandError(f"name {what}")
        return Settings(**{"backend": (get_backend().name,), **typed}), folder
    if others := begun.differences(replace(begun, **typed)):
        raise CommandError(
            f"the run in {folder.path} was begun with {'; '.join(others)}: leave that out to go on with it, "
            "or begin anew with --overwrite"
        )
    return begun, folder


def _typed(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what was typed as fields of Settings, an example's among them."""
    own = {name: value for name, value in asked.items() if name in Settings.__dataclass_fields__}
    if "example" in asked:
        if "data" in asked:
            raise CommandError("--example brings its own data: leave the file out")
        example = example_named(asked["example"])
        own = {"data": example.path, **example.settings, **own}
    if "data" in own:
        own["data"] = str(Path(own["data"]).resolve())
    if "inputs" in own:
        own["inputs"] = tuple(own["inputs"])
    if "backend" in own:
        own["backend"] = tuple(name.strip() for name in own["backend"].split(",") if name.strip())
        if not own["backend"]:
            raise CommandError("--backend names no backend: wanted one, or several as in numpy,torch")
    return own


def _usual_folder(typed: dict[str, Any], resume: bool) -> Path:
    """Return runs/NAME, where NAME is that of the data and of the target."""
    if "data" not in typed or "target" not in typed:
        if resume:
            raise CommandError("name the run to go on with: --out DIR")
        return Path("runs")  # never written: `chosen` says what is missing
    stem, target = Path(typed["data"]).name.partition(".")[0], typed["target"]
    name = stem if stem == target else f"{stem}-{target}"
    return Path("runs") / "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
