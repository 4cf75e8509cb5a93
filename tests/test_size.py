"""How large the library may grow, and what the file of an engine says: raising a number is a reviewed act."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from ember_ml.backend import Backend

PACKAGE = Path(__file__).parents[1] / "ember_ml"
CEILING = 20_800  # lines of code in all
CENTRE = 3_000  # of core/, compiler/, and the two files of the backends that all engines share
PER_ENGINE = 450  # lines of code in the file that says how one engine differs
SHARE = 0.9  # of these that say so: renames, overrides, gaps; the rest are helpers
FOR_ALL = 390  # lines of code in what engines have in common, and in what chooses one

ENGINES = {
    path.stem: path.read_text(encoding="utf-8") for path in (PACKAGE / "backend").glob("*_backend*.py")
}
CLASSES = {
    node.name: node
    for text in ENGINES.values()
    for node in ast.parse(text).body
    if type(node) is ast.ClassDef
}
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that hold code: no blanks, no comments, no docstrings."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node):
            lines -= span(node.body[0])
    return lines


def span(node: ast.AST) -> set[int]:
    """Return the numbers of a statement's lines, decorators included."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    return set(range(first, node.end_lineno + 1))


def differences(source: str) -> set[int]:
    """Return the numbers of the lines that say how an engine differs from the others.

    They are the declarations of a backend's class, with the constants of the module that they read; the ops
    that it overrides; and the methods of its base classes that it overrides.
    """
    module = ast.parse(source)
    backends = [node for node in module.body if type(node) is ast.ClassDef and inherited(node)]
    found, read = set(), set()
    for backend in backends:
        found |= set(range(backend.lineno, backend.body[0].lineno))
        for node in backend.body:
            if type(node) is not ast.FunctionDef:
                found |= span(node)
                read |= names_in(node)
            elif node.name in inherited(backend) or "override" in map(ast.unparse, node.decorator_list):
                found |= span(node)
    for node in reversed(module.body):  # a constant stands below those that it reads
        if isinstance(node, ast.Assign | ast.AnnAssign) and read & set(targets(node)):
            found |= span(node)
            read |= names_in(node)
    return found & code_lines(source)


def inherited(node: ast.ClassDef) -> set[str]:
    """Return the names of what the base classes of a backend have; none for another class."""
    found = set()
    for base in map(ast.unparse, node.bases):
        if base == "Backend":
            found |= set(dir(Backend))
        elif base in CLASSES:
            found |= inherited(CLASSES[base]) | set(members(CLASSES[base]))
    return found


def members(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        yield from [each.name] if type(each) is ast.FunctionDef else targets(each)


def targets(node: ast.AST) -> list[str]:
    given = getattr(node, "targets", [getattr(node, "target", None)])
    return [target.id for target in given if type(target) is ast.Name]


def names_in(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if type(each) is ast.Name}


def without_imports(source: str) -> set[int]:
    imports = (n for n in ast.parse(source).body if isinstance(n, ast.Import | ast.ImportFrom))
    return code_lines(source).difference(*map(span, imports))


def test_code_lines_are_counted_without_what_is_no_code():
    source = '"""Doc.\n\nMore."""\n\n# why\nx = [\n    1,\n]\n\n\ndef f():\n    """Doc."""\n    return x\n'
    assert code_lines(source) == {6, 7, 8, 11, 13}


def test_differences_are_told_from_helpers():
    source = """\
import engine
_FEW = "sin cos"
_HELD = 1
class Own(Backend):
    name = "own"
    plain = _FEW
    def device_of(self, x):
        return _HELD
    @override
    def exp(self, x):
        return _exp(x)
    def helper(self):
        return 1
def _exp(x):
    return x
"""
    assert differences(source) == {2, 4, 5, 6, 7, 8, 9, 10, 11}
    assert without_imports(source) - differences(source) == {3, 12, 13, 14, 15}


def test_the_library_stays_below_its_ceiling():
    total = sum(len(code_lines(path.read_text(encoding="utf-8"))) for path in PACKAGE.rglob("*.py"))
    assert total <= CEILING


def test_the_centre_is_small_enough_to_be_read_in_one_go():
    files = [*PACKAGE.glob("core/*.py"), *PACKAGE.glob("compiler/*.py")]
    files += [PACKAGE / "backend" / name for name in ("base.py", "selection.py")]
    assert sum(len(code_lines(path.read_text(encoding="utf-8"))) for path in files) <= CENTRE


def test_what_all_engines_share_and_what_chooses_one_is_short():
    texts = [(PACKAGE / "backend" / name).read_text(encoding="utf-8") for name in ("base.py", "selection.py")]
    assert sum(len(code_lines(text)) for text in texts) <= FOR_ALL


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_engine_costs_one_short_file(engine):
    assert len(code_lines(ENGINES[engine])) <= PER_ENGINE


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_engines_file_says_how_it_differs(engine):
    said, all_ = differences(ENGINES[engine]), without_imports(ENGINES[engine])
    rest = ", ".join(map(str, sorted(all_ - said)))
    assert len(said) >= SHARE * len(all_), f"{len(said)} of {len(all_)}; lines {rest} say something else"
