"""`ember-ml backends`: which engines are installed, which work, which is active and why; what each can do."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

import ember_ml.ops  # noqa: F401  fills TABLE
from ember_ml.backend import get_backend, set_backend
from ember_ml.backend.base import Gap
from ember_ml.backend.choices import home
from ember_ml.backend.selection import ENGINES, backend_class, is_installed, why_active
from ember_ml.cli.errors import CommandError
from ember_ml.core import TABLE


@dataclass(frozen=True)
class Finding:
    """What was found out about one engine."""

    name: str
    version: str  # empty where it is not installed
    works: bool
    devices: str
    remark: str


def show_backends() -> None:
    """Show a line for each engine, and which is active and why."""
    console = Console(highlight=False)
    active, why = get_backend().name, why_active()
    grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for name in ("", "backend", "installed", "works", "devices", ""):
        grid.add_column(name)
    for name in ENGINES:
        found = examine(name)
        here, style = name == active, "" if found.works else "dim"
        works = Text("yes", "green") if found.works else Text("no")
        grid.add_row(
            Text("●" if here else " ", "bold orange3"), Text(name, "bold" if here else style),
            Text(found.version or "no", style), works if found.version else "", found.devices,
            Text(found.remark, style),
        )  # fmt: skip
    console.print(grid)
    reason = {
        "the default": "the default, since nothing says otherwise",
        "fallback": "since what was asked for does not work",
    }
    console.print(
        Text.assemble(("active: ", "dim"), (active, "bold"), f" ({reason.get(why, f'from {why}')})"),
        soft_wrap=True,
    )


def examine(name: str) -> Finding:
    """Return what there is to know about an engine; it is loaded for that."""
    engine = ENGINES[name]
    if not is_installed(name):
        return Finding(name, "", False, "", f"pip install 'ember-ml[{engine.extra}]'")
    try:
        number = version(engine.package)
    except PackageNotFoundError:
        number = "yes"
    try:
        backend = get_backend(name)
    except ImportError as error:
        return Finding(name, number, False, "", str(error))
    if not backend.works():
        return Finding(name, number, False, "", "loads, but does not compute here")
    gaps = len({gap.op for gap in backend.gaps})
    return Finding(
        name,
        number,
        True,
        ", ".join(backend.devices()),
        f"{gaps} op{'' if gaps == 1 else 's'} with a gap" if gaps else "",
    )


def use(name: str) -> None:
    """Save a backend as the choice of later processes. Raises CommandError or ImportError."""
    try:
        set_backend(name, persist=True)
    except ValueError as error:
        raise CommandError(str(error)) from error
    path = home() / ".backend"
    Console(highlight=False).print(
        f"{get_backend().name} is the backend from now on; saved in {path}", soft_wrap=True
    )


def show_ops() -> None:
    """Show what runs where: a line for each op, a column for each engine, and the gaps with their reasons."""
    console = Console(highlight=False)
    classes = {name: backend_class(name) for name in ENGINES if is_installed(name)}
    notes: dict[str, int] = {}
    grid = Grid(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    grid.add_column("op")
    for name in classes:
        grid.add_column(name, justify="center")
    for op in sorted(TABLE):
        cells = [[gap for gap in cls.gaps if gap.op in (op, "*")] for cls in classes.values()]
        grid.add_row(op, *(_cell(gaps, notes) for gaps in cells))
    console.print(grid)
    for note, number in notes.items():
        console.print(f"({number}) {note}", soft_wrap=True)
    missing = [name for name in ENGINES if name not in classes]
    absent = f"; not installed, so not shown: {', '.join(missing)}" if missing else ""
    console.print(
        f"{len(TABLE)} ops; ✓ is held to every law of the tests{absent}", style="dim", soft_wrap=True
    )


def _cell(gaps: list[Gap], notes: dict[str, int]) -> Text:
    if not gaps:
        return Text("✓", "green")
    numbers = [notes.setdefault(f"{gap.extent}: {gap.reason}", len(notes) + 1) for gap in gaps]
    return Text(" ".join(f"({number})" for number in numbers), "yellow")
