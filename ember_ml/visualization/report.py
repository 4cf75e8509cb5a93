"""The report of a training run: one HTML file that needs nothing but itself.

Scores against the baselines, forecast against truth, the curves of learning and of each engine, and every
setting that it takes to do it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ember_ml.core.files import written_whole

from .figures import curve_figure, forecast_figure, month_figure

Facts = Mapping[str, object]
NAMES = {
    "model": "This model",
    "last_value": "Last value",
    "seasonal_naive": "One season ago",
    "seasonal_drift": "One season ago + drift",
    "ridge": "Ridge regression, same inputs",
}
HARD_TO_BEAT = "seasonal_drift"  # the baseline that is drawn beside the model, where there is one
SHOWN = 120  # steps drawn of each engine: in more, curves that lie on each other cannot be told apart
ALL_SEASONS = 10  # months that must occur for errors by month to say anything


@dataclass(frozen=True, eq=False)
class ReportData:
    """What the report tells. Forecasts and scores go by the names of metrics.json; "model" is ours."""

    title: str  # "co2, 13 weeks ahead"
    target: str
    horizon: str  # in words: "13 steps of 7 days"
    model: str  # in words: "CfC on AutoNCP(32, 4)"
    scores: Mapping[str, Mapping[str, float]]  # name -> {"rmse", "mae"} on the test part
    times: np.ndarray  # (n,) moments forecast, datetime64 or numbers
    truth: np.ndarray  # (n,)
    forecasts: Mapping[str, np.ndarray]  # name -> (n,); "model" among them
    training: Mapping[str, Sequence[float]]  # "training" and "validation" -> loss of each epoch
    engines: Mapping[str, Mapping[str, Any]]  # name -> {"steps_per_second", "losses": of each step}
    data_facts: Facts = field(default_factory=dict)  # rows, span, step, missing, …
    model_facts: Facts = field(default_factory=dict)  # units, parameters, window, …
    settings: Facts = field(default_factory=dict)  # seed, versions, hash of the data, …
    unit: str = ""  # of the target; its name where it has none
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.times), len(self.truth), *(len(values) for values in self.forecasts.values())}
        if len(lengths) != 1:
            raise ValueError(f"times, truth and forecasts differ in length, {sorted(lengths)}: wanted one")
        for where, names in (("scores", self.scores), ("forecasts", self.forecasts)):
            if "model" not in names:
                raise ValueError(f"{where} has {sorted(names)}; wanted the model's under 'model'")


def write_report(path: str | Path, results: ReportData) -> Path:
    """Write the page to `path`, by a temporary name, so that a failure leaves what was there before."""
    path = Path(path)
    text = report_html(results)
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def report_html(results: ReportData) -> str:
    """The page as text."""
    template = Template(files("ember_ml.visualization").joinpath("report.html").read_text(encoding="utf-8"))
    sections = (_scores(results), _forecast(results), _learning(results), _engines(results), _facts(results))
    return template.substitute(
        title=escape(results.title),
        kicker=escape(f"Forecast report · {results.model}"),
        lead=_lead(results),
        sections="\n".join(section for section in sections if section),
        footer="Written by ember_ml. This page is complete in itself: it loads nothing.",
    )


def _lead(results: ReportData) -> str:
    """The result in one or two sentences."""
    ours = results.scores["model"]["rmse"]
    others = {name: scores["rmse"] for name, scores in results.scores.items() if name != "model"}
    unit = f" {escape(results.unit)}" if results.unit else ""
    said = f"{escape(results.horizon)} ahead, the root mean square error is <strong>{ours:.3g}{unit}</strong>"
    if not others:
        return f"{said}."
    best = min(others, key=lambda name: others[name])
    label = escape(NAMES.get(best, best)).lower()
    change = 100 * (1 - ours / others[best]) if others[best] else 0.0
    compared = f"<strong>{abs(change):.0f} % {'below' if change >= 0 else 'above'}</strong>"
    return f"{said}, {compared} the best baseline ({label}, {others[best]:.3g}{unit})."


def _scores(results: ReportData) -> str:
    most = max(scores["rmse"] for scores in results.scores.values()) or 1.0
    rows = []
    for name, scores in sorted(results.scores.items(), key=lambda item: item[1]["rmse"]):
        kind = "model" if name == "model" else "baseline"
        rows.append(
            f'<tr class="{kind}"><td>{escape(NAMES.get(name, name))}</td>'
            f'<td class="number">{_figures(scores["rmse"])}</td>'
            f'<td class="number">{_figures(scores["mae"])}</td>'
            f"{_bar(scores['rmse'] / most)}</tr>"
        )
    unit = f", {escape(results.unit)}" if results.unit else ""
    head = (
        f'<tr><th>Forecast</th><th class="number">RMSE{unit}</th><th class="number">MAE{unit}</th>'
        '<th class="wide">RMSE, shorter is better</th></tr>'
    )
    table = f'<div class="card"><table>{head}{"".join(rows)}</table></div>'
    return _section("Errors on the test span", table + _notes(results))


def _bar(share: float) -> str:
    return f'<td class="wide"><div class="bar" style="width:{100 * share:.1f}%"></div></td>'


def _figures(value: float) -> str:
    """Three decimals, or four significant figures where that says more (or less)."""
    return f"{value:.3f}" if 0.1 <= abs(value) < 1000 or value == 0 else f"{value:.4g}"


def _notes(results: ReportData) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in results.notes)
    return f"<ul>{items}</ul>" if items else ""


def _forecast(results: ReportData) -> str:
    drawn = {NAMES["model"]: np.asarray(results.forecasts["model"])}
    if HARD_TO_BEAT in results.forecasts:
        drawn[NAMES[HARD_TO_BEAT]] = np.asarray(results.forecasts[HARD_TO_BEAT])
    unit = results.unit or results.target
    figure = forecast_figure(results.times, results.truth, drawn, unit)
    caption = "Each forecast was made from what was known the horizon before. Below: forecast − observed."
    body = f'<figure class="card">{figure}<figcaption>{caption}</figcaption></figure>'
    return _section("Forecast against truth", body)


def _learning(results: ReportData) -> str:
    parts = []
    curves = {name: np.asarray(losses) for name, losses in results.training.items() if len(losses)}
    if curves:
        figure = curve_figure(curves, xlabel="epoch", ylabel="loss (scaled)", name="learning")
        parts.append(f'<figure class="card"><h3>Loss by epoch</h3>{figure}</figure>')
    if results.times.dtype.kind == "M" and len({str(t)[5:7] for t in results.times}) >= ALL_SEASONS:
        both = [name for name in ("model", HARD_TO_BEAT) if name in results.forecasts]
        drawn = {NAMES[name]: results.forecasts[name] for name in both}
        figure = month_figure(results.times, results.truth, drawn, results.unit or results.target)
        parts.append(f'<figure class="card"><h3>Error by month of the year</h3>{figure}</figure>')
    title = "Learning" if len(parts) == 1 and curves else "Learning, and errors by season"
    return _section(title, f'<div class="pair">{"".join(parts)}</div>') if parts else ""


def _engines(results: ReportData) -> str:
    if not results.engines:
        return ""
    most = max(engine["steps_per_second"] for engine in results.engines.values()) or 1.0
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{engine["steps_per_second"]:.1f}</td>'
        f"{_bar(engine['steps_per_second'] / most)}</tr>"
        for name, engine in results.engines.items()
    )
    head = (
        '<tr><th>Engine</th><th class="number">Steps per second</th>'
        '<th class="wide">longer is better</th></tr>'
    )
    losses = {name: np.asarray(engine["losses"], float) for name, engine in results.engines.items()}
    parts = [f'<div class="card"><h3>Speed</h3><table>{head}{rows}</table>{_agreement(losses)}</div>']
    drawn = {name: values[:SHOWN] for name, values in losses.items() if len(values)}
    if drawn:
        figure = curve_figure(drawn, xlabel="step", ylabel="loss (scaled)", name="engines")
        parts.append(f'<figure class="card"><h3>Loss by step, from the same weights</h3>{figure}</figure>')
    return _section("Engines" if len(losses) > 1 else "Engine", f'<div class="pair">{"".join(parts)}</div>')


def _agreement(losses: Mapping[str, np.ndarray]) -> str:
    """How far the engines' losses part in the steps that all of them took."""
    steps = min((len(values) for values in losses.values()), default=0)
    if len(losses) < 2 or steps == 0:
        return ""
    first, *others = (values[:steps] for values in losses.values())
    apart = np.max(np.abs(np.stack(others) - first) / np.maximum(np.abs(first), 1e-30), axis=0)
    early = min(50, steps)
    return (
        f'<p class="quiet">The losses differ by at most {apart[:early].max():.1g} (relative) '
        f"over the first {early} steps"
        + (f", {apart.max():.1g} over all {steps}.</p>" if steps > early else ".</p>")
    )


def _facts(results: ReportData) -> str:
    parts = []
    for title, facts in (("Data", results.data_facts), ("Model", results.model_facts)):
        if facts:
            parts.append(f'<div class="card"><h3>{title}</h3>{_facts_table(facts)}</div>')
    body = f'<div class="pair">{"".join(parts)}</div>' if parts else ""
    if results.settings:
        body += f'<div class="card"><h3>Settings and versions</h3>{_facts_table(results.settings)}</div>'
    return _section("How it was made", body) if body else ""


def _facts_table(facts: Facts) -> str:
    rows = (
        f'<tr><td class="key">{escape(str(key))}</td><td class="value">{escape(str(value))}</td></tr>'
        for key, value in facts.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}\n</section>"
