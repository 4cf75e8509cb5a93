"""Figures as SVG text that takes its colours from the page, so that one figure serves light, dark and print.

matplotlib draws with stand-in colours; each is replaced by the CSS variable it stands for.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ember_ml.core.optional import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#010101", "#020202", "#030303"
SERIES = ("#040404", "#050505", "#060606", "#070707", "#080808")
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    **{color: f"var(--series-{i})" for i, color in enumerate(SERIES)},
}
STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "ember-ml",  # the same figure is the same file
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def forecast_figure(
    times: np.ndarray, truth: np.ndarray, forecasts: Mapping[str, np.ndarray], unit: str
) -> str:
    """What was forecast, on what came. Below it the errors, in the same order of colours."""
    with _drawing() as new:
        figure = new(figsize=(10, 5.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        above.plot(times, truth, color=INK, linewidth=1, label="observed")
        below.axhline(0, color=MUTED, linewidth=0.8)
        for i, (name, values) in reversed(list(enumerate(forecasts.items()))):
            width = 1.6 if i == 0 else 0.9
            above.plot(times, values, color=SERIES[i], linewidth=width, label=name)
            below.plot(times, values - truth, color=SERIES[i], linewidth=width)
        above.set_ylabel(_plain(unit))
        below.set_ylabel(f"error, {_plain(unit)}")
        handles, labels = above.get_legend_handles_labels()
        handles[1:], labels[1:] = handles[:0:-1], labels[:0:-1]
        above.legend(handles, labels, loc="upper left", ncols=len(labels))
        above.margins(x=0.01)
        return _svg(figure, "forecast")


def month_figure(times: np.ndarray, truth: np.ndarray, forecasts: Mapping[str, np.ndarray], unit: str) -> str:
    """The root mean square error by calendar month of the moment forecast."""
    month = times.astype("datetime64[M]").astype(int) % 12
    present = [m for m in range(12) if (month == m).any()]
    with _drawing() as new:
        figure = new(figsize=(5, 2.9), layout="constrained")
        axes = figure.subplots()
        width = 0.8 / len(forecasts)
        for i, (name, values) in enumerate(forecasts.items()):
            heights = [np.sqrt(np.mean((values - truth)[month == m] ** 2)) for m in present]
            place = np.arange(len(present)) + (i - (len(forecasts) - 1) / 2) * width
            axes.bar(place, heights, width * 0.9, color=SERIES[i], label=name)
        axes.set_xticks(range(len(present)), ["JFMAMJJASOND"[m] for m in present])
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(f"RMSE, {_plain(unit)}")
        _legend_above(axes, len(forecasts))
        return _svg(figure, "months")


def curve_figure(curves: Mapping[str, np.ndarray], *, xlabel: str, ylabel: str, name: str) -> str:
    """Losses over epochs or steps, on a logarithmic scale. Dashes let curves that lie on each other show."""
    dashes = ("solid", (0, (6, 4)), (3, (2, 4)), (0, (1, 3)), (2, (8, 2, 1, 2)))
    with _drawing() as new:
        figure = new(figsize=(5, 2.9), layout="constrained")
        axes = figure.subplots()
        for i, (label, losses) in enumerate(curves.items()):
            place = i % len(SERIES)
            style: dict[str, Any] = {"color": SERIES[place], "linestyle": dashes[place], "label": label}
            axes.plot(np.arange(1, len(losses) + 1), losses, linewidth=2.2 - 0.25 * place, **style)
        values = np.concatenate([np.asarray(losses, float) for losses in curves.values()])
        if (values > 0).all():
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}" if values.max() < 10 * values.min() else "")
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        _legend_above(axes, len(curves))
        return _svg(figure, name)


def _legend_above(axes: Axes, columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderaxespad=0, fontsize=9)


@contextmanager
def _drawing() -> Iterator[type[Figure]]:
    """Figures in our style that no screen and no global list knows of."""
    matplotlib = need("matplotlib", extra="plot", purpose="drawing figures")
    with matplotlib.rc_context(STYLE):
        yield need("matplotlib.figure", extra="plot", purpose="drawing figures").Figure


def _plain(text: str) -> str:
    """The text as it is: a pair of dollar signs would be read as mathematics."""
    return text.replace("$", r"\$")


def _svg(figure: Figure, name: str) -> str:
    """The figure as an <svg> element whose ids begin with its name."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for fixed in ("width", "height"):  # the page decides; the view box keeps the shape
        text = re.sub(rf'(<svg[^>]*?) {fixed}="[^"]*"', r"\1", text, count=1)
    for color, variable in VARIABLES.items():
        text = text.replace(color, variable)
    return text
