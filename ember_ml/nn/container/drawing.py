"""Graphs drawn as SVG that stands alone: boxes with text, and arrows between them."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from ember_ml.compiler.codegen import subscript
from ember_ml.compiler.entry import result_names
from ember_ml.core import Graph, spec_of, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.graph import Step, Var
from ember_ml.nn.container.layout import Layout, Point, arrange

TITLE, TEXT, LINE = 13, 11, 15  # sizes of type, and from line to line, in pixels
PAD, MARGIN = 9, 12
MOST = 42  # letters in a line of what is given to an op
WIDE, NARROW = frozenset("mwMW@%—×"), frozenset("fijlrtI.,:;'|!()[]{} -·")
TITLED = ' class="title"'
STYLE = """
.ember{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;--ink:#1f2933;--line:#75828f}
.ember text{fill:var(--ink);text-anchor:middle;font-size:11px}.ember .title{font-size:13px;font-weight:600}
.ember rect{fill:var(--fill);stroke:var(--edge);stroke-width:1.2}
.ember .wire{fill:none;stroke:var(--line);stroke-width:1.3}.ember marker path{fill:var(--line)}
.ember .input{--fill:#e2f4eb;--edge:#2f9e6e}.ember .parameter{--fill:#fdf0d8;--edge:#cf8a1e}
.ember .op{--fill:#f4f6f8;--edge:#8a97a4}.ember .layer{--fill:#e5eefb;--edge:#3b78c3}
.ember .loop{--fill:#eee7fa;--edge:#7b54b8}.ember .output{--fill:#fbe5e9;--edge:#c2405c}
.ember .label text{font-style:italic}
@media (prefers-color-scheme:dark){.ember{--ink:#e8edf2;--line:#94a1ae}
.ember .input{--fill:#16382a}.ember .parameter{--fill:#40300f}.ember .op{--fill:#2a323a}
.ember .layer{--fill:#1a2f4a}.ember .loop{--fill:#2f2348}.ember .output{--fill:#431c26}}
"""


@dataclass(frozen=True)
class Box:
    """A box of a drawing. Kinds: input, parameter, op, layer, loop, output; a label is text without a box."""

    id: str
    title: str
    lines: tuple[str, ...] = ()
    kind: str = "op"
    tip: str = ""  # shown where a pointer rests on it

    @property
    def size(self) -> Point:
        """The width and height that its text needs."""
        if self.kind == "label":
            return text_width(self.title, TEXT) + 6, LINE
        widths = [1.06 * text_width(self.title, TITLE), *(text_width(x, TEXT) for x in self.lines)]
        return max(60.0, max(widths) + 2 * PAD), 2 * PAD + LINE * (1 + len(self.lines))


@dataclass(frozen=True)
class Wire:
    """An arrow from box to box. Those from one box under one label share it."""

    source: str
    target: str
    label: str = ""


def text_width(text: str, size: float) -> float:
    """Return how wide a text is, at most, in the usual fonts without serifs."""
    return size * sum(
        1.0 if c in WIDE else 0.42 if c in NARROW else 0.72 if c.isupper() else 0.64 for c in text
    )


def shortened(text: str) -> str:
    """Return a text of at most `MOST` letters."""
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


class Drawing(str):
    """The text of an SVG file, which a notebook shows."""

    def _repr_svg_(self) -> str:
        return str(self)


def draw(boxes: Iterable[Box], wires: Iterable[Wire]) -> Drawing:
    """Return a directed graph without cycles as SVG, from top to bottom.

    Raises ValueError for two boxes of one id, for a wire to no box, and for a cycle.
    """
    known: dict[str, Box] = {}
    for box in boxes:
        if box.id in known:
            raise ValueError(f"draw: two boxes have the id {box.id!r}")
        known[box.id] = box
    ends: dict[tuple[str, str], bool] = {}  # whether there is an arrow at the end
    for wire in wires:
        for end in (wire.source, wire.target):
            if end not in known:
                raise ValueError(
                    f"draw: a wire leads from {wire.source!r} to {wire.target!r}, but no box is {end!r}"
                )
        source = wire.source
        if wire.label:
            label = Box(f"{source}: {wire.label}", wire.label, kind="label")
            known[label.id], ends[source, label.id], source = label, False, label.id
        ends[source, wire.target] = True
    light = [box.id for box in known.values() if box.kind in ("input", "parameter")]
    layout = arrange({id: box.size for id, box in known.items()}, list(ends), light)
    return _svg(known, ends, layout)


def _svg(boxes: dict[str, Box], ends: dict[tuple[str, str], bool], layout: Layout) -> Drawing:
    wide, high = (round(n + 2 * MARGIN) for n in (layout.width, layout.height))
    wires = []
    for pair, arrow in ends.items():
        tip = escape(" → ".join(boxes[id].title for id in pair))
        end = ' marker-end="url(#tip)"' if arrow else ""
        wires.append(f'<path class="wire" d="{_curve(layout.routes[pair])}"{end}><title>{tip}</title></path>')
    return Drawing("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ember" width="{wide}" height="{high}" '
        f'viewBox="{-MARGIN} {-MARGIN} {wide} {high}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0.8 8 4 0 7.2z"/></marker></defs>',
        *wires,
        *(_box(box, *layout.centres[id]) for id, box in boxes.items()),
        "</svg>",
    ]))  # fmt: skip


def _curve(points: list[Point]) -> str:
    """Return a path: straight down within layers, an S from one to the next."""
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (u, v) in pairwise(points):
        if v - y < 0.5:  # no way, and it would turn the arrow
            continue
        if abs(x - u) < 0.5:
            path.append(f"L{u:.1f} {v:.1f}")
        else:
            path.append(f"C{x:.1f} {(y + v) / 2:.1f} {u:.1f} {(y + v) / 2:.1f} {u:.1f} {v:.1f}")
    return "".join(path)


def _box(box: Box, x: float, y: float) -> str:
    w, h = box.size
    tip = f"<title>{escape(box.tip)}</title>" if box.tip else ""
    head = f'<g class="{box.kind}" data-id="{escape(box.id)}">{tip}'
    if box.kind == "label":
        return f'{head}<text x="{x:.1f}" y="{y + 4:.1f}">{escape(box.title)}</text></g>'
    corner = 5 if box.kind not in ("input", "output") else h / 2 if not box.lines else 16
    lines = []
    for i, line in enumerate((box.title, *box.lines)):
        place = f'x="{x:.1f}" y="{y - h / 2 + PAD + LINE * (i + 0.78):.1f}"'
        lines.append(f"<text {place}{TITLED * (i == 0)}>{escape(line)}</text>")
    frame = (
        f'<rect x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{corner:g}"/>'
    )
    return f"{head}{frame}{''.join(lines)}</g>"


# Graphs of ops


def draw_graph(graph: Graph, parameters: Collection[str] = ()) -> Drawing:
    """Return a graph of ops as SVG; the inputs named by `parameters` are drawn as such.

    Views, numbers and arrays that are made of nothing stand in the boxes that read them, where a dot is what
    a wire brings; a loop is one box, which says what its body does.

    >>> from ember_ml import ops
    >>> from ember_ml.core.graph import trace_graph
    >>> from ember_ml.core import Spec, as_dtype
    >>> x = Spec((2, 3), as_dtype("float32"))
    >>> graph, _, _ = trace_graph(lambda x: ops.exp(x.mT) * 2, [x], names=["x"])
    >>> "(·.mT)" in draw_graph(graph), "(·, 2)" in draw_graph(graph)
    (True, True)
    """
    boxes = [
        Box(str(v), v.name or str(v), (str(v.spec),), "parameter" if v.name in parameters else "input")
        for v in graph.inputs
    ]
    wires: list[Wire] = []
    read = _Reader({v: (str(v), "·") for v in graph.inputs})
    for step in graph.steps:
        if step.op.is_view or step.op.creates:
            read.fold(step)
            continue
        box = _step_box(step, read)
        boxes.append(box)
        wires += [Wire(source, box.id) for source in read.sources(step.args)]
        read.known.update(
            (v, (box.id, "·" if not step.several else f"·[{i}]")) for i, v in enumerate(step.outs)
        )
    for i, (x, name) in enumerate(zip(graph.outputs, result_names(graph.structure), strict=True)):
        text = shortened(read.text(x))
        boxes.append(Box(f"output {i}", name, () if text == "·" else (text,), "output"))
        wires += [Wire(source, f"output {i}") for source in read.sources([x])]
    return draw(boxes, wires)


def _step_box(step: Step, read: _Reader) -> Box:
    name, kind = step.op.name.removeprefix("flat_"), "op"
    parts = read.given(step)
    lines = _set_in_lines(parts) if set(parts) - {"·"} else []
    bodies = [
        x for v in step.attrs.values() for x in (v if type(v) is tuple else (v,)) if isinstance(x, Graph)
    ]
    if bodies:
        kind = "loop"
        counts = Counter(s.op.name for body in bodies for s in body.steps if not s.op.is_view)
        named = [op if n == 1 else f"{n} {op}" for op, n in counts.most_common(9)]
        lines = [f"{step.attrs['length']} turns"] if "length" in step.attrs else []
        lines += [", ".join(named[i : i + 3]) for i in range(0, len(named), 3)]
    specs = [str(v.spec) for v in step.outs]
    made = ", ".join([*specs[:2], "…"] if len(specs) > 2 else specs)
    return Box(str(step.outs[0]), name, (*lines, made), kind, "\n\n".join(map(str, bodies)))


def _set_in_lines(parts: list[str]) -> list[str]:
    """Return what an op is given as one line, or where that is too long as one for each argument."""
    whole = f"({', '.join(parts)})"
    return [whole] if len(whole) <= MOST else [shortened(part) for part in parts]


class _Reader:
    """Says where the values of a graph come from, and how they are read there."""

    def __init__(self, known: dict[Var, tuple[str, str]]):
        self.known = known  # the box that a value comes from ("" of none), and what is done to it on the way

    def fold(self, step: Step) -> None:
        """Let a step stand in the boxes that read it."""
        source = next(iter(self.sources(step.args)), "")
        self.known[step.outs[0]] = source, self._made(step) if step.op.creates else self._view(step)

    def _made(self, step: Step) -> str:
        return f"{step.op.name.replace('asarray', 'array')} {step.outs[0].spec.shape}"

    def _view(self, step: Step) -> str:
        inner, name = self.text(step.args[0]), step.op.name
        if name == "matrix_transpose":
            return f"{inner}.mT"
        if name == "getitem" and (places := subscript(step.attrs["index"])):
            return f"{inner}[{places}]"
        if name == "permute_dims":
            return f"{inner} axes {tuple(step.attrs['axes'])}"
        if name in ("reshape", "broadcast_to"):
            return f"{inner} as {step.outs[0].spec.shape}"
        return f"{name}({', '.join(self.given(step))})"

    def sources(self, args: Any) -> list[str]:
        """Return the boxes that arguments come from, each once."""
        given = (self.known[x][0] for x in tree.leaves(list(args)) if type(x) is Var)
        return [source for source in dict.fromkeys(given) if source]

    def text(self, x: Any) -> str:
        """Return an argument as text."""
        if type(x) in (list, tuple):
            return ", ".join(map(self.text, x))
        if type(x) is Var:
            return self.known[x][1]
        return (
            f"{x:.4g}" if type(x) is float else str(x) if type(x) in SCALARS else f"array {spec_of(x).shape}"
        )

    def given(self, step: Step) -> list[str]:
        """Return the arguments of an op as text, and the settings that are not its usual ones."""
        usual = inspect.signature(step.op.define).parameters
        settings = [
            f"{k}={v}" for k, v in step.attrs.items() if not isinstance(v, Graph) and v != usual[k].default
        ]
        return [*map(self.text, step.args), *settings]
