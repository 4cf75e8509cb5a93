"""What the build of the site adds: pages made from TABLE, and a run of every block that a person wrote."""

import inspect
import logging
import os
import re
import textwrap
from collections import defaultdict
from importlib import import_module
from typing import NamedTuple

from blocks import BrokenBlock, missing, run_blocks
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from ember_ml import ops
from ember_ml.backend.selection import ENGINES, backend_class
from ember_ml.core import ALIASES, TABLE
from ember_ml.core.dtypes import BITS, DTYPES, FLOATING, KINDS, NUMERIC, REAL
from ember_ml.core.trace import constant

log = logging.getLogger("mkdocs.hooks.blocks")

# How sections are called whose module's name is not a title.
TITLES = {
    "device": "Devices",
    "feature": "Features",
    "fft": "Fourier transforms",
    "linalg": "Linear algebra",
    "loss": "Losses",
}

# The section of functions of `ember_ml.ops` that come from elsewhere, by their module.
HOMES = {
    "ember_ml.backend.device": "device",
    "ember_ml.backend.files": "files",
    "ember_ml.backend.selection": "device",
    "ember_ml.core.keys": "random",
    "ember_ml.core.rules": "shape",
    "ember_ml.core.transforms": "fft",
}


class Section(NamedTuple):
    """The public functions of one module of `ember_ml.ops`."""

    name: str
    functions: dict  # name -> function

    @property
    def title(self) -> str:
        return TITLES.get(self.name, self.name.replace("_", " ").capitalize())

    @property
    def page(self) -> str:
        return f"reference/ops/{self.name}.md"

    @property
    def ops(self) -> list[str]:
        return [name for name in self.functions if name in TABLE]


def sections() -> list[Section]:
    public = {**vars(ops), **{name: getattr(ops, name) for name in ops._OF_THE_BACKEND}}
    modules = defaultdict(dict)
    for name, function in sorted(public.items()):
        module = getattr(function, "__module__", None) or ""
        home = (
            module.removeprefix("ember_ml.ops.") if module.startswith("ember_ml.ops.") else HOMES.get(module)
        )
        if callable(function) and home:
            modules[home][name] = function
    return sorted((Section(*each) for each in modules.items()), key=lambda each: each.title)


def on_startup(**_):
    """Let SciPy take tensors: it looks for this once, when it is first imported."""
    os.environ["SCIPY_ARRAY_API"] = "1"


def on_config(config):
    """List the made pages in the navigation, each section of the ops under its title."""
    reference = next(part["Reference"] for part in config.nav if "Reference" in part)
    every = next(entry for entry in reference if "Ops" in entry)
    every["Ops"] = [{"All ops": "reference/ops.md"}, *({each.title: each.page} for each in sections())]
    return config


def on_files(files, config):
    pages = {each.page: section_page(each) for each in sections()}
    pages |= {"reference/ops.md": ops_page(sections()), "reference/support.md": support_page(sections())}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, **_):
    """Run the blocks of a page that a person wrote."""
    if page.file.generated_by is not None:
        return
    if absent := missing(markdown):
        log.info("%s not run: it shows %s, not installed here", page.file.src_uri, ", ".join(absent))
        return
    try:
        run_blocks(page.file.src_uri, markdown)
    except BrokenBlock as broken:
        raise PluginError(str(broken)) from broken


# The reference of the ops

OPS_INTRODUCTION = """\
# Ops

The functions of `ember_ml.ops`: {count} ops, and what draws keys and runs loops. Arrays are positional,
settings may be keywords. An op given arrays of one engine returns arrays of that engine; given tensors, it
returns tensors. Each engine supplies a *primitive*; a *composite* is written in other ops, and so runs
wherever they do.
"""


def ops_page(parts: list[Section]) -> str:
    tables = [OPS_INTRODUCTION.format(count=len(TABLE))]
    for part in parts:
        path = part.page.removeprefix("reference/")
        rows = [f"| [`{name}`]({path}#{name}) | {summary(f)} |" for name, f in part.functions.items()]
        lines = [f"## [{part.title}]({path}) {{: #{part.name} }}", "", "| op | |", "| --- | --- |", *rows]
        tables.append("\n".join(lines))
    return "\n\n".join([*tables, other_spellings(parts)])


def other_spellings(parts: list[Section]) -> str:
    pages = {name: part.page.removeprefix("reference/") for part in parts for name in part.functions}
    known = [(alias, name) for alias, name in sorted(ALIASES.items()) if name in pages]
    rows = [f"| `{alias}` | [`{name}`]({pages[name]}#{name}) |" for alias, name in known]
    return "\n".join(["## Other spellings", "", "| also called | is |", "| --- | --- |", *rows])


def section_page(part: Section) -> str:
    own = any(function.__module__ == f"ember_ml.ops.{part.name}" for function in part.functions.values())
    module = import_module(f"ember_ml.{'ops' if own else 'backend'}.{part.name}")
    opening = [f"# {part.title}", prose(module)]
    if part.ops:
        opening.append(f"[Where they run](../support.md#{slug(part.title)})")
    return "\n\n".join([*opening, *(entry(*each) for each in part.functions.items())])


def entry(name: str, function) -> str:
    code = f"```python\n{signature(name, function)}\n```"
    facts = f"*{'; '.join(facts_of(TABLE[name]))}*{{: .facts }}" if name in TABLE else ""
    return "\n\n".join([f"## {name}", code, prose(function), facts])


def signature(name: str, function) -> str:
    """The signature without its types, which are long and mostly Any; on several lines if need be."""
    full = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in full.parameters.values()]
    written = f"{name}{full.replace(parameters=bare, return_annotation=inspect.Signature.empty)}"
    return textwrap.fill(
        written, 76, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def summary(function) -> str:
    first = prose(function).partition("\n\n")[0].replace("\n", " ")
    return first.replace("|", r"\|").rstrip(":")


def prose(described) -> str:
    """A docstring as Markdown: its asterisks are powers and products, save in code."""
    text = inspect.getdoc(described) or ""
    code_or_star = r"`[^`]*`|^    .*|\*"
    return re.sub(code_or_star, lambda found: r"\*" if found[0] == "*" else found[0], text, flags=re.M)


KIND_WORDS = {
    NUMERIC: "numbers",
    REAL: "real numbers",
    FLOATING: "floats and complex numbers",
    BITS: "integers and truth values",
    ("int", "uint"): "integers",
    ("bool",): "truth values",
    ("float",): "floats",
}


def facts_of(op) -> list[str]:
    facts = ["composite" if op.body else "primitive"]
    if op.kinds != KINDS:
        facts.append("takes " + KIND_WORDS.get(op.kinds, ", ".join(op.kinds)))
    if op.vjp is constant:
        facts.append("its gradient is zero")
    else:
        facts.append("has a gradient" if op.differentiable else "no gradient")
    if others := sorted(alias for alias, name in ALIASES.items() if name == op.name):
        facts.append("also called " + ", ".join(f"`{alias}`" for alias in others))
    return facts


# What runs where

SUPPORT_INTRODUCTION = """\
# What runs where

Read off the backends when this page was built, with {present}{absent}. A ✓ says that the op is held to the
laws of `tests/test_table.py` there: its value agrees with NumPy's, its shape and dtype with the rules, its
gradient with finite differences, compiled code with eager code.{remarks}

| | |
| --- | --- |
| ✓ | in every dtype that the engine has and the op takes |
| ✓ [1](#note-1) | with the exception, or the detour, of the note |
| host [1](#note-1) | NumPy computes it, and the result goes back: right, but not fast on an accelerator |
| – [1](#note-1) | not there: an error that says why |

A composite op meets the notes of the ops that it is made of.
"""

UNTESTED = " CuPy needs a GPU: where none answers, its column says what is written, and no test has run."


class Notes(dict):
    """The notes of the matrix, numbered in the order in which they are first met: what is said -> engines."""

    def mark(self, engine: str, gap) -> str:
        said = f"{gap.extent} | {gap.reason}"
        self.setdefault(said, {})[engine] = None
        number = list(self).index(said) + 1
        tooltip = f"{gap.extent}: {gap.reason}".replace('"', "'")
        return f'[{number}](#note-{number} "{tooltip}")'

    def __str__(self) -> str:
        rows = [["", "engine", "what", "why"], ["--:", "---", "---", "---"]]
        for number, (said, engines) in enumerate(self.items(), 1):
            rows.append([f'<span id="note-{number}">{number}</span>', ", ".join(engines), said])
        return "## Notes\n\n" + table(rows)


def support_page(parts: list[Section]) -> str:
    classes, absent, alike = {}, [], []
    for name in ENGINES:
        try:
            cls = backend_class(name)
        except ImportError:
            absent.append(name)
            continue
        same = [each for each, other in classes.items() if differences(cls) == differences(other)]
        if same:
            alike.append(f" `{name}` is as `{same[0]}`.")
        else:
            classes[name] = cls
    notes = Notes()
    introduction = SUPPORT_INTRODUCTION.format(
        present=", ".join(classes),
        absent=f" ({', '.join(absent)} not installed)" if absent else "",
        remarks="".join(alike) + (UNTESTED if "cupy" in classes else ""),
    )
    tables = [dtype_table(classes, notes), section_table(parts, classes)]
    tables += [section_support(part, classes, notes) for part in parts if part.ops]
    return "\n\n".join([introduction, *tables, str(notes)])


def differences(cls) -> tuple:
    return cls.array_types, cls.gaps


def dtype_table(classes: dict, notes: Notes) -> str:
    rows = [["dtype", *classes], ["---"] + [":-:"] * len(classes)]
    engines = {name: {str(d) for d in cls().dtypes()} for name, cls in classes.items()}
    for dtype in DTYPES:
        cells = []
        for name, cls in classes.items():
            everywhere = [gap for gap in cls.gaps if gap.op == "*" and gap.covers("*", [dtype])]
            marks = " ".join(notes.mark(name, gap) for gap in everywhere)
            cells.append(f"{'✓' if dtype in engines[name] else '–'} {marks}".strip())
        rows.append([f"`{dtype}`", *cells])
    return "## Dtypes\n\n" + table(rows)


def section_table(parts: list[Section], classes: dict) -> str:
    """How many of each section's ops an engine has without a note."""
    rows = [["section", "ops", *classes], ["---", "--:"] + [":-:"] * len(classes)]
    for part in (each for each in parts if each.ops):
        counts = []
        for cls in classes.values():
            noted = sum(bool(gaps_of(name, cls)) for name in part.ops)
            counts.append("✓" if not noted else f"{len(part.ops) - noted} of {len(part.ops)}")
        rows.append([f"[{part.title}](#{slug(part.title)})", str(len(part.ops)), *counts])
    return "## Ops\n\nHow many of each section's ops have no note:\n\n" + table(rows)


def section_support(part: Section, classes: dict, notes: Notes) -> str:
    """The ops that every engine has without a note in one line, the others in a table."""
    path = part.page.removeprefix("reference/")
    plain, rows = [], [["op", *classes], ["---"] + [":-:"] * len(classes)]
    for name in part.ops:
        gaps = {engine: gaps_of(name, cls) for engine, cls in classes.items()}
        link = f"[`{name}`]({path}#{name})"
        if any(gaps.values()):
            rows.append([link, *(cell(found, engine, notes) for engine, found in gaps.items())])
        else:
            plain.append(link)
    ticked = [f"✓ on every engine: {', '.join(plain)}"] if plain else []
    return "\n\n".join([f"### {part.title}", *ticked, *([table(rows)] if len(rows) > 2 else [])])


def gaps_of(op: str, cls) -> list:
    return [gap for gap in cls.gaps if gap.op == op]


def cell(gaps: list, engine: str, notes: Notes) -> str:
    """A tick, or how far it goes, with the numbers of the notes."""
    whole = {gap.when for gap in gaps if gap.dtypes is None}
    sign = "–" if "eager" in whole else "host" if "host" in whole else "✓"
    return " ".join([sign, *(notes.mark(engine, gap) for gap in gaps)])


def table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def slug(title: str) -> str:
    return title.lower().replace(" ", "-")
