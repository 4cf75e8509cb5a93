"""Runs the Python blocks of a page, in its order and in one scope: what a page shows works.

A ```text block right after a ```python block is what that one prints, to the letter.
"""

import contextlib
import importlib.util
import io
import linecache
import os
import re
import tempfile
import traceback
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np

from ember_ml.backend import set_backend, use_backend

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n+```text\n(?P<printed>.*?)^```$)?", re.M | re.S)
SHOWN = ("torch", "jax", "mlx", "ncps", "sklearn")  # what pages import beside what every installation has


class BrokenBlock(Exception):
    """A block that raises, warns, or prints something else than the page says."""


def blocks(text: str) -> list[tuple[str, str | None]]:
    """Return the Python blocks of a page, each with what it is said to print."""
    return [(found["code"], found["printed"]) for found in BLOCK.finditer(text)]


def missing(text: str) -> list[str]:
    """Return the packages that the blocks of a page name and that are not installed."""
    code = "\n".join(code for code, _ in blocks(text))
    return [name for name in SHOWN if re.search(rf"\b{name}\b", code) and not importlib.util.find_spec(name)]


def run_blocks(name: str, text: str) -> None:
    """Run the blocks of a page, NumPy active, warnings as errors. Raises BrokenBlock at the first to fail."""
    scope = {"__name__": "page"}
    with contextlib.ExitStack() as stack:
        folder = _folder(stack)
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(patch.dict(os.environ, EMBER_ML_HOME=f"{folder}/home"))
        stack.enter_context(use_backend("numpy"))
        stack.enter_context(np.errstate(all="raise"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        stack.callback(set_backend, "numpy")
        for number, (code, printed) in enumerate(blocks(text), 1):
            _run(f"{name}, block {number}", code, printed, scope)


def _folder(stack: contextlib.ExitStack) -> str:
    """Return an empty folder in which a page finds the examples and the README, as in a clone."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for each in ("examples", "README.md"):
        (folder / each).symlink_to(ROOT / each)
    return str(folder)


def _run(place: str, code: str, printed: str | None, scope: dict) -> None:
    linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(code, place, "exec"), scope)
    except Exception as error:  # whatever it is, it is the page's, and told with its place
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == place]
        where = f"{place}, line {lines[-1].lineno}: {lines[-1].line}" if lines else place
        raise BrokenBlock(f"{where}\n{type(error).__name__}: {error}") from error
    if printed is not None and output.getvalue() != printed:
        raise BrokenBlock(f"{place} prints\n{output.getvalue()}and the page says\n{printed}")
