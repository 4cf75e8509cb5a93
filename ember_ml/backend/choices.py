"""What was chosen earlier: by the environment, and by the files in the folder of a user's settings."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path


def home() -> Path:
    """Return the folder of a user's settings: `EMBER_ML_HOME`, else `~/.ember_ml`."""
    return Path(os.environ.get("EMBER_ML_HOME") or Path.home() / ".ember_ml")


def found() -> Iterator[tuple[str, str | None, str]]:
    """Yield each choice, the first to be followed first: the name of a backend, a device, where it stands."""
    for prefix in ("EMBER_ML", "ember_ml"):
        if name := os.environ.get(f"{prefix}_BACKEND"):
            yield name, os.environ.get(f"{prefix}_DEVICE"), f"{prefix}_BACKEND"
    config, saved = home() / "config", home() / ".backend"
    settings = _settings(config)
    if name := settings.get("backend"):
        yield name, settings.get("device"), str(config)
    if name := _word(saved):
        yield name, _word(home() / ".device"), str(saved)


def save(name: str, device: str | None) -> None:
    """Write a choice for later processes; warn where another is followed before it."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    words = {".backend": name, ".device": device or ""}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving") as written:
        for file, word in words.items():  # both are written before either is seen
            (Path(written) / file).write_text(word, encoding="utf-8")
        for file in words:
            (Path(written) / file).replace(folder / file)
    first = next(found(), None)
    if first is not None and first[2] != str(folder / ".backend") and first[:2] != (name, device):
        asks = f"{first[2]} asks for {first[0]!r} and is read first"
        warnings.warn(f"saved backend {name!r}, but {asks}", stacklevel=3)


def _settings(path: Path) -> dict[str, str]:
    lines = (_word(path) or "").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}


def _word(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
