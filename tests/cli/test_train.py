"""`ember-ml train`: what it says, what it writes, and that several engines agree."""

import csv
import hashlib
import json
import re

import pytest

from commands import SMALL, Command
from conftest import ENGINES

FILES = {"config.json", "metrics.json", "model.safetensors", "predictions.csv", "report.html"}
BASELINES = ["last_value", "seasonal_naive", "seasonal_drift", "ridge"]


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_five_files_and_nothing_else(trained):
    folder, _ = trained
    assert {path.name for path in (folder / "run").iterdir()} == FILES


def test_metrics_have_the_schema_of_the_design(trained):
    folder, _ = trained
    metrics = read(folder / "run" / "metrics.json")
    assert list(metrics) == ["target", "horizon", "train_rows", "test_rows", "test", "engines"]
    assert (metrics["target"], metrics["horizon"]) == ("level", 4)
    assert list(metrics["test"]) == ["model", *BASELINES]
    assert all(list(scores) == ["rmse", "mae"] for scores in metrics["test"].values())
    assert list(metrics["engines"]) == ["numpy"]
    engine = metrics["engines"]["numpy"]
    assert list(engine) == ["steps_per_second", "losses"]
    assert engine["steps_per_second"] > 0
    assert len(engine["losses"]) == 2 * -(-metrics["train_rows"] // 32)


def test_the_configuration_is_enough_to_do_it_again(trained):
    folder, _ = trained
    config = read(folder / "run" / "config.json")
    assert config["data"]["sha256"] == hashlib.sha256((folder / "river.csv").read_bytes()).hexdigest()
    assert config["seed"] == config["settings"]["seed"] == 0
    assert config["settings"]["data"] == str((folder / "river.csv").resolve())
    assert {"python", "ember_ml", "numpy"} <= set(config["versions"])
    assert config["plan"]["target"] == "level"


def test_predictions_have_truth_and_every_forecast_for_each_test_row(trained):
    folder, _ = trained
    metrics, rows = read(folder / "run" / "metrics.json"), rows_of(folder / "run" / "predictions.csv")
    assert list(rows[0]) == ["origin", "time", "truth", "forecast", *BASELINES]
    assert len(rows) == metrics["test_rows"]
    assert rows[-1]["time"] == "1999-12-18"
    for column, name in (("forecast", "model"), ("seasonal_drift", "seasonal_drift")):
        errors = [float(row[column]) - float(row["truth"]) for row in rows]
        mean_square = sum(error**2 for error in errors) / len(errors)
        assert mean_square**0.5 == pytest.approx(metrics["test"][name]["rmse"], rel=1e-6)


def test_the_report_is_a_page_with_the_result(trained):
    folder, _ = trained
    text = (folder / "run" / "report.html").read_text(encoding="utf-8")
    rmse = read(folder / "run" / "metrics.json")["test"]["model"]["rmse"]
    assert "level, 4 weeks ahead" in text
    assert f"{rmse:.3g} m" in text
    assert text.count("<svg") == 4


def test_it_says_what_it_does_in_lines(trained):
    _, said = trained
    assert "river.csv: 520 rows, 1990-01-06 to 1999-12-18, 3 without a value" in said
    assert "level, 4 weeks ahead" in said
    assert "CfC on AutoNCP(12, 4)" in said
    assert re.search(r"This model +[\d.]+ +[\d.]+", said)
    assert said.rstrip().endswith("run/report.html")
    assert "\x1b" not in said


def test_the_same_seed_gives_the_same_run_and_another_another(trained, command):
    first = trained[0] / "run"
    for seed in (0, 4):
        command("train", "river.csv", "--target", "level", *SMALL, "--seed", seed, "--out", f"run{seed}")
    folders = (first, command.folder / "run0", command.folder / "run4")
    a, b, c = (read(folder / "metrics.json")["engines"]["numpy"]["losses"] for folder in folders)
    assert a == b != c


def test_predict_gives_the_forecasts_of_the_run(trained, tmp_path):
    folder, _ = trained
    said = Command(folder)("predict", "run", "river.csv", "--out", tmp_path / "new.csv").stdout
    assert "RMSE" in said
    forecasts = {row["origin"]: row for row in rows_of(tmp_path / "new.csv")}
    own = rows_of(folder / "run" / "predictions.csv")
    assert own
    for row in own:
        again = forecasts[row["origin"]]
        assert (again["time"], again["truth"]) == (row["time"], row["truth"])
        assert float(again["forecast"]) == pytest.approx(float(row["forecast"]), rel=1e-6)
    last = list(forecasts.values())[-4:]
    assert [row["truth"] for row in last] == [""] * 4
    assert last[-1]["time"] == "2000-01-15"


def test_predict_writes_csv_to_a_pipe(trained):
    folder, _ = trained
    text = Command(folder)("predict", "run", "river.csv").stdout
    assert text.startswith("origin,time,truth,forecast\n")


def test_the_usual_horizon_is_a_quarter_of_the_season_and_the_usual_folder_has_the_target_s_name(command):
    small = ("--window", "6", "--units", "12", "--epochs", "1")
    command("train", "river.csv", "--target", "level", "--time", "day", *small)
    assert read(command.folder / "runs" / "river-level" / "metrics.json")["horizon"] == 13


@pytest.mark.parametrize("model", ["cfc-dense", "ltc"])
def test_other_models_train_and_predict(command, model):
    command(
        "train", "river.csv", "--target", "level", *SMALL, "--epochs", "1", "--model", model, "--out", "run"
    )
    assert command("predict", "run", "river.csv").stdout.count("\n") > 400


def test_a_column_without_times_counts_rows_and_inputs_can_be_chosen(command):
    text = (command.folder / "river.csv").read_text(encoding="utf-8").splitlines()
    plain = "\n".join(line.partition(",")[2] for line in text)
    (command.folder / "plain.csv").write_text(plain, encoding="utf-8")
    args = ("--season", "52", "--input", "other", *SMALL, "--out", "run")
    said = command("train", "plain.csv", "--target", "level", *args).stdout
    assert "level, 4 rows ahead" in said
    config = read(command.folder / "run" / "config.json")
    assert config["plan"]["season"] == 52
    assert config["plan"]["inputs"] == ["other"]


def test_the_example_beats_the_seasonal_drift_as_the_demo_promises(command):
    command("train", "--example", "co2", "--out", "run")
    test = read(command.folder / "run" / "metrics.json")["test"]
    assert test["model"]["rmse"] < 0.75 * test["seasonal_drift"]["rmse"]
    assert test["model"]["rmse"] < test["ridge"]["rmse"]


@pytest.mark.skipif("torch" not in ENGINES, reason="torch is not installed")
def test_two_engines_learn_alike_and_the_first_one_s_model_is_kept(command):
    args = ("--target", "level", *SMALL, "--epochs", "6", "--out", "run", "--backend")
    said = command("train", "river.csv", *args, "torch,numpy").stdout
    apart = re.search(r"losses differ by at most (\S+) \(relative\) over the first 50 steps", said)
    assert apart, said
    assert float(apart[1]) <= 1e-4
    engines = read(command.folder / "run" / "metrics.json")["engines"]
    assert list(engines) == ["torch", "numpy"]
    assert engines["torch"]["losses"][:50] == pytest.approx(engines["numpy"]["losses"][:50], rel=1e-4)
    assert "Loss by step, from the same weights" in (command.folder / "run" / "report.html").read_text()
