"""The command `ember-ml`: train on a CSV file, forecast with what was trained, see what runs here.

An edge: it may import anything, nothing imports it. typer and rich are loaded when the command runs.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command, and end the process with its status."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # or torch is 8 times slower on a busy machine
    try:
        from ember_ml.cli.app import app

        app(prog_name="ember-ml")
    except KeyboardInterrupt:
        status = 130
    except SystemExit as done:
        status = done.code
    else:
        status = 0
    try:
        sys.stdout.flush()
    except (
        OSError
    ):  # a full disk or a closed pipe behind stdout: said already, and not to be said again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = status or 1
    sys.exit(status)
