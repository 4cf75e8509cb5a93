"""The report: one page, complete in itself, that says what the numbers say."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from ember_ml.visualization import ReportData, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def results():
    times = np.datetime64("2000-01-01", "s") + np.arange(104) * np.timedelta64(7 * 86_400, "s")
    truth = np.sin(np.arange(104) / 8)
    losses = np.exp(-np.arange(60) / 20)
    return ReportData(
        title="river <level>, 4 weeks ahead",
        target="level",
        unit="m$ & $ft",
        horizon="4 steps of 7 days",
        model="CfC on AutoNCP(32, 4)",
        scores={
            "model": {"rmse": 0.25, "mae": 0.2},
            "last_value": {"rmse": 1.0, "mae": 0.75},
            "seasonal_drift": {"rmse": 0.5, "mae": 0.4},
        },
        times=times,
        truth=truth,
        forecasts={"model": truth + 0.25, "last_value": truth + 1, "seasonal_drift": truth - 0.5},
        training={"training": losses, "validation": losses + 0.1},
        engines={
            "numpy": {"steps_per_second": 200.0, "losses": losses},
            "torch": {"steps_per_second": 100.0, "losses": losses * (1 + 3e-6)},
        },
        data_facts={"rows": 1234},
        model_facts={"neurons": 32},
        settings={"data sha256": "0123abcd"},
        notes=("59 weeks are missing.",),
    )


class Page(HTMLParser):
    """Collects a page's elements, and checks that each is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def written(results, folder):
    return write_report(folder / "report.html", results).read_text(encoding="utf-8")


def test_the_page_says_the_result_first(results, tmp_path):
    text = " ".join("".join(Page(written(results, tmp_path)).words).split())
    assert (
        "4 steps of 7 days ahead, the root mean square error is 0.25 m$ & $ft, 50 % below the best baseline"
        in text
    )
    assert text.index("0.25 m$") < text.index("Errors on the test span")


def test_a_model_that_loses_is_said_to_lose(results, tmp_path):
    lost = replace(results, scores={**results.scores, "model": {"rmse": 0.6, "mae": 0.5}})
    assert "20 % above" in written(lost, tmp_path)


def test_scores_stand_from_best_to_worst_with_bars_in_proportion(results, tmp_path):
    text = written(results, tmp_path)
    order = [
        text.index(f"<td>{name}</td>") for name in ("This model", "One season ago + drift", "Last value")
    ]
    assert order == sorted(order)
    assert re.findall(r'class="bar" style="width:([\d.]+)%', text)[:3] == ["25.0", "50.0", "100.0"]


def test_every_fact_is_on_the_page(results, tmp_path):
    text = "".join(Page(written(results, tmp_path)).words)
    for fact in ("1234", "32", "0123abcd", "59 weeks are missing.", "200.0", "100.0"):
        assert fact in text
    assert "differ by at most 3e-06 (relative) over the first 50 steps, 3e-06 over all 60" in text


def test_the_page_loads_nothing(results, tmp_path):
    page = Page(written(results, tmp_path))
    links = [
        value
        for _, attrs in page.elements
        for name, value in attrs.items()
        if name in ("src", "href", "xlink:href")
    ]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not {"script", "iframe", "img"} & {tag for tag, _ in page.elements}
    assert "@import" not in written(results, tmp_path)


def test_figures_have_ids_of_their_own_and_take_the_page_s_colours(results, tmp_path):
    page = Page(written(results, tmp_path))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = {
        attrs[n][1:]
        for _, attrs in page.elements
        for n in ("href", "xlink:href")
        if attrs.get(n, "")[:1] == "#"
    }
    assert used <= set(ids)
    styles = " ".join(attrs.get("style") or "" for _, attrs in page.elements)
    assert not re.search(r"#0\d0\d0\d", styles)
    assert "var(--series-0)" in styles


def test_names_with_html_in_them_are_shown_and_not_obeyed(results, tmp_path):
    assert "<h1>river &lt;level&gt;, 4 weeks ahead</h1>" in written(results, tmp_path)


def test_the_same_results_give_the_same_bytes(results, tmp_path):
    assert written(results, tmp_path) == written(results, tmp_path)


def test_plain_numbers_as_times_and_nothing_else_make_a_page(results, tmp_path):
    bare = ReportData(
        title="x", target="x", horizon="1 row", model="m", scores={"model": {"rmse": 0.0, "mae": 0.0}},
        times=np.arange(5.0), truth=np.ones(5), forecasts={"model": np.ones(5)}, training={}, engines={},
    )  # fmt: skip
    text = written(bare, tmp_path)
    Page(text)
    assert "by month" not in text
    assert "Engine" not in text


def test_a_failure_leaves_the_old_page_and_no_other_file(results, tmp_path, monkeypatch):
    path = write_report(tmp_path / "report.html", results)
    before = path.read_bytes()

    def full(part, text, **_):
        part.write_bytes(text[:100].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(path, replace(results, title="another"))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_results_that_do_not_fit_together_are_refused(results):
    with pytest.raises(ValueError, match=r"differ in length, \[103, 104\]"):
        replace(results, truth=results.truth[1:])
    with pytest.raises(ValueError, match="wanted the model's under 'model'"):
        replace(results, scores={"ridge": {"rmse": 1.0, "mae": 1.0}})


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_chromium_opens_the_page_without_a_word_on_its_console(results, tmp_path):
    path = write_report(tmp_path / "report.html", results)
    switches = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --hide-scrollbars "
        f"--window-size=1100,2400 --user-data-dir={tmp_path / 'profile'} --screenshot={tmp_path / 'page.png'}"
    )
    done = subprocess.run(
        [CHROMIUM, *switches.split(), path.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert (tmp_path / "page.png").stat().st_size > 50_000  # a blank page has some 10 kB
