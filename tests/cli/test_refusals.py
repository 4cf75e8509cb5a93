"""Bad input: one clear message, a status that is not 0, nothing half-written, no traceback."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from commands import LIMITED, SMALL, WITHOUT, Command

TRAIN = ("train", "river.csv", "--target", "level", *SMALL, "--out", "run")


def refused(command, *args, status=1, **more):
    """What the command says on stderr when it refuses; it leaves no run behind."""
    done = command(*args, status=status, **more)
    said = [line for line in done.stderr.splitlines() if line]
    assert len(said) == 1, done.stderr
    assert not (command.folder / "run").exists()
    return said[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--backend", "pytroch"), "unknown backend 'pytroch'; known: numpy, torch"),
        (("--backend", ","), "--backend names no backend"),
        (("--target", "depth"), "no column 'depth' to forecast; the columns are day, level, other"),
        (("--time", "date"), "no time column 'date'; the columns are day, level, other"),
        (("--input", "colour"), "no input column 'colour'"),
        (("--model", "lstm"), "unknown model 'lstm'; known: cfc, cfc-dense, ltc, ltc-dense"),
        (("--units", "5"), "give units >= 7"),
        (("--horizon", "500"), "500"),
        (("--learning-rate", "0"), "--learning-rate is 0.0; wanted a number above 0"),
        (("--learning-rate", "1e30", "--epochs", "5"), "give a smaller --learning-rate"),
        (("--overwrite", "--resume"), "give one of them"),
        (("--example", "co2"), "--example brings its own data"),
    ],
)
def test_a_wrong_option_is_named(command, change, words):
    assert words in refused(command, *TRAIN, *change)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "missing.csv: No such file"),
        ("", "is empty: wanted a line of column names"),
        ("1990-01-06,1.5\n1990-01-13,1.6\n", "has no header: its first line is '1990-01-06,1.5'"),
        ("day,level\n1990-01-06,high\n1990-01-13,1.6\n", "column 'level' holds text in data row 1: 'high'"),
        ("day,level\n", "has column names but no rows"),
        ("day,level\n1990-01-06,1\n1990-01-13,2\n", "give more rows"),
    ],
)
def test_a_wrong_file_is_described(command, text, words):
    path = command.folder / "missing.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    said = refused(command, "train", "missing.csv", *TRAIN[2:])
    assert words in said


def test_what_is_missing_is_asked_for(command):
    assert "name the data: a CSV file, or --example co2" in refused(command, "train")
    assert "--target NAME" in refused(command, "train", "river.csv")
    assert "there is no example 'mars'; there is co2" in refused(command, "train", "--example", "mars")
    assert "name the run to go on with: --out DIR" in refused(command, "train", "--resume")


def test_an_unknown_option_is_a_usage_error(command):
    assert "No such option" in command("train", "river.csv", "--colour", "red", status=2).stderr


@pytest.mark.parametrize(
    ("without", "args", "words"),
    [
        (["mlx"], (*TRAIN, "--backend", "numpy,mlx"), "backend 'mlx' needs mlx: pip install 'ember-ml[mlx]'"),
        (["pandas"], TRAIN, "ember-ml train needs pandas: pip install 'ember-ml[data,plot]'"),
        (["matplotlib"], TRAIN, "ember-ml train needs matplotlib: pip install 'ember-ml[data,plot]'"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_remedy(command, without, args, words):
    assert words in refused(command, *args, first=WITHOUT.format(without))


def test_a_run_that_exists_is_refused_unless_told_to_overwrite(command):
    command(*TRAIN)
    before = (command.folder / "run" / "metrics.json").read_bytes()
    said = command(*TRAIN, status=1).stderr
    assert "run holds a run: --overwrite replaces it, --out names another folder" in said
    assert (command.folder / "run" / "metrics.json").read_bytes() == before
    command(*TRAIN, "--overwrite", "--seed", "1")
    assert (command.folder / "run" / "metrics.json").read_bytes() != before
    said = command(*TRAIN, "--resume", "--seed", "0", status=1).stderr
    assert "was begun with --seed 1, not 0" in said
    assert "is finished" in command("train", "--resume", "--out", "run").stdout


def test_a_folder_with_other_files_is_never_written_to(command):
    own = command.folder / "own"
    own.mkdir()
    (own / "report.html").write_text("mine", encoding="utf-8")
    said = command(*TRAIN[:-1], "own", "--overwrite", status=1).stderr
    assert "own holds other files and no run" in said
    assert [path.name for path in own.iterdir()] == ["report.html"]
    assert "is a file: name a folder" in command(*TRAIN[:-1], "river.csv", status=1).stderr


def test_predict_refuses_what_is_no_run_and_what_does_not_fit(trained, tmp_path):
    folder, _ = trained
    command = Command(folder)
    assert "there is no run in" in command("predict", tmp_path, "river.csv", status=1).stderr
    assert "cannot read none.csv" in command("predict", "run", "none.csv", status=1).stderr
    (tmp_path / "short.csv").write_text("day,level,other\n2001-01-06,1,2\n2001-01-13,2,2\n", encoding="utf-8")
    assert "too short" in command("predict", "run", tmp_path / "short.csv", status=1).stderr
    (tmp_path / "bare.csv").write_text("day,level\n2001-01-06,1\n2001-01-13,2\n", encoding="utf-8")
    assert "no input column 'other'" in command("predict", "run", tmp_path / "bare.csv", status=1).stderr
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert "was not written by this version" in command("predict", tmp_path, "river.csv", status=1).stderr
    (tmp_path / "config.json").write_bytes((folder / "run" / "config.json").read_bytes())
    assert "model" in command("predict", tmp_path, "river.csv", status=1).stderr


def test_a_limit_on_files_stops_a_run_with_a_message_and_leaves_the_old_results(command):
    command(*TRAIN)
    before = {path.name: path.read_bytes() for path in (command.folder / "run").iterdir()}
    limit = LIMITED.format(50_000)  # less than the report has
    said = command(*TRAIN, "--overwrite", "--seed", "1", status=1, first=limit).stderr
    assert "file too large" in said.lower()
    after = {path.name: path.read_bytes() for path in (command.folder / "run").iterdir() if path.is_file()}
    assert after == before
    assert json.loads(before["metrics.json"])["target"] == "level"


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 48 kB. Needs the right to mount."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", place]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("mounting needs rights that this process has not")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_told_and_what_was_trained_is_kept(command, tiny_disk):
    said = command(*TRAIN[:-1], tiny_disk / "run", status=1).stderr
    assert "no space left on device" in said.lower()
    assert len(said.splitlines()) == 1
    assert not list((tiny_disk / "run").glob("*.*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_device_is_told_and_stays_a_device(trained):
    folder, _ = trained
    command = Command(folder)
    said = command("predict", "run", "river.csv", "--out", "/dev/full", status=1).stderr
    assert "no space left on device" in said
    assert not Path("/dev/full").is_file()
    with Path("/dev/full").open("w") as full:
        said = command("backends", status=1, stdout=full).stderr
    assert "no space left on device" in said


def test_a_closed_pipe_is_no_error_worth_a_word(trained):
    folder, _ = trained
    command = Command(folder)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = command("predict", "run", "river.csv", status=1, stdout=pipe)
    assert done.stderr == ""
