"""Pages made from TABLE while the site is built: the reference of the ops, and what runs where."""

import inspect
import re
from collections import defaultdict
from importlib import import_module

from mkdocs.structure.files import File

from ember_ml import ops
from ember_ml.backend.selection import ENGINES, backend_class
from ember_ml.core import ALIASES, TABLE
from ember_ml.core.trace import constant


def on_files(files, config):
    for page, text in {"reference/ops.md": ops_page(), "reference/support.md": support_page()}.items():
        files.append(File.generated(config, page, content=text))
    return files


OPS_INTRODUCTION = """\
# Ops

The functions of `ember_ml.ops`: {count} ops, and what draws keys and runs loops. Arrays are positional,
settings are keywords. An op given arrays of one engine returns arrays of that engine; given tensors, it
returns tensors. Each engine supplies a *primitive*; a *composite* is written in other ops."""


def ops_page() -> str:
    modules = defaultdict(list)
    for name, function in vars(ops).items():
        if callable(function) and function.__module__.startswith("ember_ml.ops."):
            modules[function.__module__].append((name, function))
    sections = [section(import_module(module), sorted(modules[module])) for module in sorted(modules)]
    return "\n\n".join([OPS_INTRODUCTION.format(count=len(TABLE)), *sections])


def section(module, functions) -> str:
    title = module.__name__.rpartition(".")[2].capitalize()
    return "\n\n".join([f"## {title}", prose(module), *(entry(*each) for each in functions)])


def entry(name: str, function) -> str:
    code = f"```python\n{name}{signature(function)}\n```"
    facts = f"*{'; '.join(facts_of(TABLE[name]))}*" if name in TABLE else ""
    return "\n\n".join([f"### {name}", code, prose(function), facts])


def signature(function) -> inspect.Signature:
    """The signature without its types, which are long and mostly Any."""
    full = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in full.parameters.values()]
    return full.replace(parameters=bare, return_annotation=inspect.Signature.empty)


def prose(described) -> str:
    """A docstring as Markdown: its asterisks are powers and products, save in code."""
    text = inspect.getdoc(described) or ""
    code_or_star = r"`[^`]*`|^    .*|\*"
    return re.sub(code_or_star, lambda found: r"\*" if found[0] == "*" else found[0], text, flags=re.M)


def facts_of(op) -> list[str]:
    facts = ["composite" if op.body else "primitive"]
    if op.vjp is constant:
        facts.append("its gradient is zero")
    elif not op.differentiable:
        facts.append("no gradient")
    if others := sorted(alias for alias, name in ALIASES.items() if name == op.name):
        facts.append("also called " + ", ".join(f"`{alias}`" for alias in others))
    return facts


SUPPORT_INTRODUCTION = """\
# What runs where

Read off the backends when this page was built, with {present}{absent}. A tick says that the op is held to the
laws of `tests/test_table.py` there: its value agrees with NumPy's, its shape and dtype with the rules, its
gradient with finite differences, compiled code with eager code. A number leads to what it cannot do, and
why."""


def support_page() -> str:
    classes, absent = {}, []
    for name in ENGINES:
        try:
            classes[name] = backend_class(name)
        except ImportError:
            absent.append(name)
    notes: dict[str, int] = {}
    rows = [["op", *classes], ["---"] * (len(classes) + 1)]
    for name in sorted(TABLE):
        cells = [cell(name, cls.gaps, notes) for cls in classes.values()]
        rows.append([f"[`{name}`](ops.md#{name})", *cells])
    missing = f" ({', '.join(absent)} not installed)" if absent else ""
    introduction = SUPPORT_INTRODUCTION.format(present=", ".join(classes), absent=missing)
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    reasons = "\n".join(f"{number}. {note}" for note, number in notes.items())
    return "\n\n".join([introduction, table, reasons])


def cell(op: str, gaps, notes: dict[str, int]) -> str:
    """A tick, or the numbers of this op's gaps, which `notes` collects."""
    found = [note_of(gap) for gap in gaps if gap.op == op]
    return " ".join(f"({notes.setdefault(note, len(notes) + 1)})" for note in found) or "✓"


def note_of(gap) -> str:
    dtypes = ", ".join(gap.dtypes) if gap.dtypes else "every dtype"
    tolerance = "" if gap.tolerance is None else f", to {gap.tolerance:g}"
    return f"*{gap.when}, {dtypes}{tolerance}*: {gap.reason}"
