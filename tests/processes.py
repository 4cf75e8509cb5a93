"""Code in a process of its own, for what depends on a fresh one."""

import os
import subprocess
import sys
import textwrap


def in_a_new_process(code, **environment):
    """Run code in a process of its own, warnings as errors; return what it printed."""
    settings = {
        k: v for k, v in os.environ.items() if not k.lower().startswith("ember_ml_") and k != "JAX_ENABLE_X64"
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**settings, "EMBER_ML_HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()
