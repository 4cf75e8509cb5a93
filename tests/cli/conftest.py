"""A folder to run the command in, and a run that is finished."""

import pytest

from commands import SMALL, Command, write_table

pytest.importorskip("pandas")
pytest.importorskip("matplotlib")


@pytest.fixture
def command(tmp_path):
    """`ember-ml`, in a folder that holds river.csv."""
    write_table(tmp_path / "river.csv")
    return Command(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with river.csv and a finished run in `run`, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    write_table(folder / "river.csv")
    done = Command(folder)("train", "river.csv", "--target", "level", "--unit", "m", *SMALL, "--out", "run")
    return folder, done.stdout
