"""Ctrl-C in mid-training: a checkpoint remains, and the run that goes on ends in the same numbers."""

import json
import signal
import time

from commands import SMALL

TRAIN = ("train", "river.csv", "--target", "level", *SMALL, "--epochs", "40", "--seed", "5", "--out")


def test_an_interrupted_run_goes_on_to_the_numbers_of_an_uninterrupted_one(command):
    run = command.folder / "run"
    running = command.start(*TRAIN, "run")
    until = time.monotonic() + 120
    while not (run / "checkpoint" / "numpy" / "checkpoint.safetensors").exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert said == "stopped: go on with: ember-ml train --resume --out run\n"
    assert [path.name for path in run.iterdir()] == ["checkpoint"]
    again = command(*TRAIN, "run", status=1).stderr
    assert "holds an unfinished run: --resume goes on with it, --overwrite begins anew" in again
    assert "unfinished: ember-ml train --resume" in command("predict", "run", "river.csv", status=1).stderr
    other = command("train", "--resume", "--out", "run", "--epochs", "41", status=1).stderr
    assert "the run in run was begun with --epochs 40, not 41" in other

    command("train", "--resume", "--out", "run")
    command(*TRAIN, "whole")
    resumed, whole = (
        json.loads((command.folder / name / "metrics.json").read_text()) for name in ("run", "whole")
    )
    assert resumed["engines"]["numpy"]["losses"] == whole["engines"]["numpy"]["losses"]
    assert resumed["test"] == whole["test"]
    texts = [(command.folder / name / "predictions.csv").read_text() for name in ("run", "whole")]
    assert texts[0] == texts[1]
    assert not (run / "checkpoint").exists()


def test_data_that_changed_are_not_gone_on_with(command):
    running = command.start(*TRAIN, "run")
    while not (command.folder / "run" / "checkpoint" / "numpy" / "checkpoint.safetensors").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    with (command.folder / "river.csv").open("a") as file:
        file.write("1999-12-25,30.0,1\n")
    said = command("train", "--resume", "--out", "run", status=1).stderr
    assert "has changed since the run was begun" in said
    assert (command.folder / "run" / "checkpoint" / "numpy" / "checkpoint.safetensors").exists()
