"""`ember-ml backends --check`: a user's backend held to the laws."""

import pytest

from ember_ml.cli import check

MINE = '''
from ember_ml.backend import Backend, NumPyBackend, override


class Faithful(NumPyBackend):
    """NumPy under another name."""


class Faulty(NumPyBackend):
    """Rounds a root, forgets a sine, and writes to its argument."""

    name = "faulty"

    @override
    def sqrt(self, x):
        return self.raw.sqrt(x).round(2)

    @override
    def sin(self, x):
        raise NotImplementedError("sin is not there yet")

    @override
    def exp(self, x):
        x += 0
        return self.raw.exp(x)


nothing = 3
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_faithful_backend_keeps_every_law(mine, capsys):
    assert check.check("mine:Faithful", ["add", "matmul", "softmax", "zeros", "normal", "sort"])
    told = capsys.readouterr().out
    assert "mine:Faithful keeps every law" in told
    assert all(law in told for law in check.LAWS)


def test_a_faulty_backend_is_told_what_it_breaks(mine, capsys):
    assert not check.check("mine:Faulty", ["sqrt", "sin", "exp", "add"])
    told = capsys.readouterr().out
    assert "sqrt-0 float32, values: Not equal to tolerance" in told
    assert "sqrt-0 float64, gradients" in told
    assert "sin-0 float64, values: NotImplementedError: sin is not there yet" in told
    assert "exp-0 float32, arguments unchanged" in told
    assert "add-0" not in told
    assert "mine:Faulty breaks a law in" in told


def test_what_was_checked_is_gone_afterwards(mine):
    import numpy as np

    from ember_ml import backend, ops

    check.check("mine:Faulty", ["add"])
    assert backend.get_backend("numpy").owns(np.ndarray)
    assert "faulty" not in backend.available_backends()
    assert ops.sqrt(np.array(0.25e-6)) == 0.5e-3


def test_our_own_engines_are_checked_by_name(capsys):
    assert check.check("numpy", ["add", "tanh"])
    assert check.check("numpyfftw", ["add"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("abacus", "unknown backend 'abacus'; known: numpy.*; or name a class: module:Class"),
        ("nowhere:Mine", "No module named 'nowhere', neither in"),
        ("mine:Absent", "module mine has no 'Absent'"),
        ("mine:nothing", "mine:nothing is no subclass of ember_ml.backend.Backend"),
    ],
)
def test_what_leads_to_no_backend_is_refused(mine, name, words):
    with pytest.raises(check.CommandError, match=words):
        check.check(name, ["add"])


def test_an_announced_backend_is_found(mine, monkeypatch):
    from importlib.metadata import EntryPoint

    announced = [EntryPoint("faithful", "mine:Faithful", check.GROUP)]
    monkeypatch.setattr(check, "entry_points", lambda group, name: announced if name == "faithful" else [])
    assert check.check("faithful", ["add"])


def test_the_command_ends_with_a_status(command):
    (command.folder / "mine.py").write_text(MINE)
    said = command("backends", "--check", "mine:Absent", status=1).stderr
    assert "module mine has no 'Absent'" in said
