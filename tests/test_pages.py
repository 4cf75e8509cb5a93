"""Every Python block of the README and of the pages runs, in the order of its page."""

import re
from pathlib import Path

import numpy as np
import pytest

from ember_ml import backend

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path):
    return BLOCK.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_the_blocks_of_a_page_run(path, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the pages show torch")
    pytest.importorskip("jax", reason="the pages show jax")
    monkeypatch.chdir(tmp_path)
    for extra in ("examples", "README.md"):
        (tmp_path / extra).symlink_to(ROOT / extra)
    scope = {"__name__": "page"}
    with backend.use_backend("numpy"), np.errstate(all="raise"):
        for number, block in enumerate(blocks(path)):
            exec(compile(block, f"{path.name}, block {number + 1}", "exec"), scope)
    backend.set_backend("numpy")
