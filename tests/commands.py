"""The command as people run it: in a process of its own, which must never show a traceback."""

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

SMALL = ("--horizon", "4", "--window", "6", "--units", "12", "--epochs", "2")
MAIN = "from ember_ml.cli import main; main()"
WITHOUT = "import sys; sys.modules.update(dict.fromkeys({!r})); "  # as if these were not installed
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "


@dataclass
class Command:
    """Runs `ember-ml` in a folder, with settings of its own and one thread."""

    folder: object

    def line(self, args, first=""):
        """What to run; `first` is Python that goes before it."""
        start = ["-c", first + MAIN] if first else ["-m", "ember_ml.cli"]
        return [sys.executable, *start, *map(str, args)]

    def surroundings(self, **env):
        kept = {name: value for name, value in os.environ.items() if not name.lower().startswith("ember_ml")}
        home = {"EMBER_ML_HOME": str(self.folder / "home"), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        return {**kept, **home, **env}

    def __call__(self, *args, first="", status=0, stdout=subprocess.PIPE, **env):
        done = subprocess.run(
            self.line(args, first), cwd=self.folder, env=self.surroundings(**env), text=True, check=False,
            stdout=stdout, stderr=subprocess.PIPE, timeout=300,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == status, f"{done.returncode}: {done.stdout or ''}{done.stderr}"
        return done

    def start(self, *args):
        """Begin, and leave it running; Ctrl-C reaches it even if this process ignores it."""
        return subprocess.Popen(
            self.line(args, HEARS_CTRL_C), cwd=self.folder, env=self.surroundings(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


def write_table(path):
    """A weekly record of ten years: trend, season, noise, and three weeks without a value."""
    days = np.datetime64("1990-01-06") + 7 * np.arange(520)
    weeks, noise = np.arange(520), np.random.default_rng(0).normal(size=520)
    level = 20 + 0.02 * weeks + 3 * np.sin(2 * np.pi * weeks / 52.18) + 0.1 * noise
    lines = [
        f"{day},{'' if i in (100, 101, 300) else f'{x:.3f}'},{2 * x + i:.2f}"
        for i, (day, x) in enumerate(zip(days, level, strict=True))
    ]
    path.write_text("day,level,other\n" + "\n".join(lines) + "\n", encoding="utf-8")
