"""The README runs; so do the blocks of the pages, when they are built: both by docs/blocks.py."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("blocks", ROOT / "docs" / "blocks.py")
pages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pages)


def page(*blocks):
    return "\n\n".join(f"```{kind}\n{text}\n```" for kind, text in blocks)


def test_the_blocks_of_the_readme_run():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if absent := pages.missing(readme):
        pytest.skip(f"the README shows {', '.join(absent)}, not installed here")
    pages.run_blocks("README.md", readme)


def test_every_page_has_its_blocks_found():
    for path in (ROOT / "docs").rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert len(pages.blocks(text)) == text.count("```python"), path.name


def test_blocks_share_a_scope_and_print_what_the_page_says():
    pages.run_blocks("page", page(("python", "x = 2"), ("python", "print(x + 1)"), ("text", "3")))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\nraise ValueError('no')", "page, block 2, line 2: raise ValueError('no')\nValueError: no"),
        ("import warnings\nwarnings.warn('old')", "UserWarning: old"),
        ("x = = 1", "page, block 2\nSyntaxError"),
    ],
)
def test_a_broken_block_is_named(code, words):
    with pytest.raises(pages.BrokenBlock) as broken:
        pages.run_blocks("page", page(("python", "import numpy"), ("python", code)))
    assert str(broken.value).startswith("page, block 2")
    assert words in str(broken.value)


def test_a_block_that_prints_something_else_is_broken():
    with pytest.raises(pages.BrokenBlock, match="block 1 prints\n3\nand the page says\n4"):
        pages.run_blocks("page", page(("python", "print(3)"), ("text", "4")))


def test_what_a_page_shows_and_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(pages, "SHOWN", ("numpy", "no_such_engine"))
    text = page(("python", "import no_such_engine"), ("python", "import numpy"))
    assert pages.missing(text) == ["no_such_engine"]
    assert pages.missing("no_such_engine, in prose alone") == []
