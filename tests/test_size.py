"""How large the library may grow: raising a number here is a reviewed act."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ember_ml"
CEILING = 21_500  # lines of code in all; the compiler (models, transforms, loops, ONNX) took 5,500 of them
PER_ENGINE = 450  # lines of code in the file that says how one engine differs


def code_lines(source):
    """Return how many lines hold code: no blanks, no comments, no docstrings."""
    passed_over = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in passed_over:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node):
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_code_lines_are_counted_without_what_is_no_code():
    assert (
        code_lines(
            '"""Doc.\n\nMore."""\n\n# why\nx = [\n    1,\n]\n\n\ndef f():\n    """Doc."""\n    return x\n'
        )
        == 5
    )


def test_the_library_stays_below_its_ceiling():
    total = sum(code_lines(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py"))
    assert total <= CEILING


@pytest.mark.parametrize("path", sorted((PACKAGE / "backend").glob("*_backend*.py")), ids=lambda p: p.stem)
def test_an_engine_costs_one_short_file(path):
    assert code_lines(path.read_text(encoding="utf-8")) <= PER_ENGINE
