"""`ember-ml backends` and what stands before a command."""

import subprocess
import sys

import ember_ml
import ember_ml.ops
from commands import WITHOUT
from ember_ml.core import TABLE

BARE = WITHOUT.format(["torch", "jax", "mlx"])  # and quick


def test_version_and_help(command):
    assert command("--version").stdout == f"ember-ml {ember_ml.__version__}\n"
    said = command("--help").stdout
    assert all(name in said for name in ("train", "predict", "backends"))
    assert "--early-stopping" in command("train", "--help").stdout


def test_help_loads_neither_an_engine_nor_what_an_extra_brings(command):
    code = "import atexit, sys; from ember_ml.cli import main; atexit.register(lambda: print(*sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; main()", "train", "--help"],
        capture_output=True, text=True, check=True, env=command.surroundings(),
    )  # fmt: skip
    assert not {"torch", "jax", "mlx", "pandas", "matplotlib", "scipy"} & set(done.stdout.split())


def test_each_backend_has_its_line_and_the_active_one_its_reason(command):
    said = command("backends").stdout
    line = next(line for line in said.splitlines() if "numpy" in line)
    assert line.strip().startswith("●")
    assert "yes" in line
    assert "active: numpy (the default" in said


def test_an_engine_that_is_not_installed_says_how_to_install_it(command):
    said = command("backends", first=BARE).stdout
    line = next(line for line in said.splitlines() if " mlx " in line)
    assert "pip install 'ember-ml[mlx]'" in line


def test_a_choice_is_saved_for_later_and_read_again(command):
    command("backends", "--use", "numpy")
    assert (command.folder / "home" / ".backend").read_text() == "numpy"
    assert ".backend)" in command("backends", first=BARE).stdout.replace("\n", "")
    assert "unknown backend 'abacus'" in command("backends", "--use", "abacus", status=1).stderr
    assert (command.folder / "home" / ".backend").read_text() == "numpy"


def test_a_choice_that_something_hides_is_said_to_be_hidden(command):
    said = command("backends", "--use", "numpy", EMBER_ML_BACKEND="nonesuch").stderr
    assert "EMBER_ML_BACKEND" in said
    assert "UserWarning" not in said


def test_a_saved_backend_that_is_unknown_warns_and_falls_back(command):
    done = command("backends", first=BARE, EMBER_ML_BACKEND="nonesuch")
    assert done.stderr.startswith("note: EMBER_ML_BACKEND asks for backend 'nonesuch'")
    assert "active: numpy" in done.stdout


def test_the_matrix_has_every_op_and_the_reason_of_each_gap(command):
    said = command("backends", "--ops").stdout
    words = {line.split()[0] for line in said.splitlines() if line.split()}
    assert set(TABLE) <= words
    assert f"{len(TABLE)} ops" in said
