"""What compilation did to a program, and what each of its lines costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ember_ml.compiler.cost import Cost, cost, graph_cost
from ember_ml.compiler.passes import PASSES
from ember_ml.core import Graph
from ember_ml.core.graph import Step


def explained(name: str, graph: Graph, done: Mapping[str, int], told: Sequence[tuple[str, Step]]) -> str:
    """Return the report of one program: what each pass found, and the lines with what they cost.

    FLOPs are counted as in `ember_ml.compiler.cost`; bytes are those that a line reads and writes.
    """
    head = f"{name}: {', '.join(str(v.spec) for v in graph.inputs)}"
    passes = [f"  {key:<9}{count:>5}  {PASSES[key]}" for key, count in done.items()]
    rows = [("line", "FLOPs", "bytes")]
    rows += [(line.split("  #")[0].strip(), *_shown(cost(step))) for line, step in told]
    rows.append(("in all", *_shown(graph_cost(graph))))
    widths = [min(88, max(len(row[i]) for row in rows)) for i in range(3)]
    lines = [
        f"  {_cut(line, widths[0]):<{widths[0]}}  {flops:>{widths[1]}}  {size:>{widths[2]}}"
        for line, flops, size in rows
    ]
    rule = "  " + "-" * (sum(widths) + 4)
    return "\n".join([head, *passes, "", lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _shown(found: Cost) -> tuple[str, str]:
    return f"{found.flops:,}", f"{found.bytes:,}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
