"""What a training run was asked to do: all it takes to go on with it, or to do it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import ember_ml
from ember_ml.cli.errors import CommandError


@dataclass(frozen=True)
class Settings:
    """The options of `ember-ml train`, by their names there."""

    data: str  # the CSV file, absolute
    target: str
    time: str | None = None  # None: the first column of times
    inputs: tuple[str, ...] | None = None  # None: every other numeric column
    unit: str = ""
    horizon: int | None = None  # steps; None: a quarter of the season
    season: int | None = None  # steps; None: what such data usually has, 0: none
    model: str = "cfc"
    units: int = 32
    window: int = 16  # observations
    epochs: int = 25
    batch_size: int = 32
    learning_rate: float = 0.01  # at first; it falls to 0 along a cosine
    early_stopping: int | None = None  # epochs without a better validation loss
    seed: int = 0
    backend: tuple[str, ...] = ("numpy",)  # the first one's model is kept

    def to_dict(self) -> dict[str, Any]:
        """Return the settings in types that JSON has."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """The inverse of `to_dict`."""
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **tuples})

    def differences(self, other: Settings) -> list[str]:
        """Return the settings in which the two differ, each in words."""
        pairs = [(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return [f"--{name.replace('_', '-')} {shown(a)}, not {shown(b)}" for name, a, b in pairs if a != b]


def shown(value: Any) -> str:
    """Return a setting as it is typed on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else "unset" if value is None else str(value)


@dataclass(frozen=True)
class Example:
    """A file that comes with the package, and what it is used for."""

    file: str
    settings: dict[str, Any]

    @property
    def path(self) -> Path:
        """Where it is: in the installed package, or in a clone."""
        places = [
            Path(str(files("ember_ml.data"))) / "examples",
            Path(ember_ml.__file__).parents[1] / "examples" / "data",
        ]
        for place in places:
            if (place / self.file).is_file():
                return place / self.file
        raise CommandError(f"{self.file} is in neither {places[0]} nor {places[1]}: install ember-ml again")


EXAMPLES = {"co2": Example("co2.csv", {"target": "co2", "time": "date", "horizon": 13, "unit": "ppm"})}


def example_named(name: str) -> Example:
    """Return an example. Raises CommandError for one that there is not."""
    if name not in EXAMPLES:
        raise CommandError(f"there is no example {name!r}; there is {', '.join(EXAMPLES)}")
    return EXAMPLES[name]
