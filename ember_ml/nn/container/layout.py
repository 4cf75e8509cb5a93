"""Where the boxes of a directed graph go: layers from top to bottom, few crossings, straight wires.

After Gansner et al. 1993, "A technique for drawing directed graphs": layers and columns solve linear
programs, the order within a layer comes from barycentres and exchanges. What leads from one box to several
others shares one line as far as it can.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

APART, NEAR, PORT = 24.0, 14.0, 14.0  # from box to box, line to line, arrow to arrow on top of a box
GAP, MOST = 28.0, 64.0  # from layer to layer, where wires go straight down and where they go far
SWEEPS = 12  # that bring nothing, in a row

Point = tuple[float, float]
Place = Any  # the id of a box; or (id, layer), where its line passes a layer


@dataclass(frozen=True)
class Layout:
    """The centres of boxes, the points that wires pass, and the size of the whole."""

    centres: dict[str, Point]
    routes: dict[tuple[str, str], list[Point]]
    width: float
    height: float


def arrange(sizes: dict[str, Point], wires: Sequence[tuple[str, str]], light: Sequence[str] = ()) -> Layout:
    """Return where boxes of `sizes` (width, height) go, and how wires (from, to) lead from one to another.

    Wires from a `light` box bend rather than others. Raises ValueError for a cycle.
    """
    layer = _layers(list(sizes), wires)
    rows, segments = _with_lines(layer, wires)
    rows = _in_order(rows, segments)
    weight = {each: _weight(each, sizes, set(light)) for each in segments}
    shift = _ports(rows, weight, sizes)
    x = _columns(rows, weight, sizes, shift)
    tops, bottoms = _levels(rows, segments, sizes, x)
    centres = {id: (x[id], (tops[layer[id]] + bottoms[layer[id]]) / 2) for id in sizes}
    routes = {}
    for s, t in wires:
        points = [(x[s], centres[s][1] + sizes[s][1] / 2), (x[s], bottoms[layer[s]])]
        for passed in range(layer[s] + 1, layer[t]):
            points += [(x[s, passed], tops[passed]), (x[s, passed], bottoms[passed])]
        end = x[t] + shift[_before(s, t, layer), t]
        routes[s, t] = [*points, (end, tops[layer[t]]), (end, centres[t][1] - sizes[t][1] / 2)]
    right = max((x[p] + _width(p, sizes) / 2 for p in x), default=0.0)
    return Layout(centres, routes, right, max(bottoms, default=0.0))


def _layers(ids: list[str], wires: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return a layer for each box, each below those that lead to it, wires as short as can be in all."""
    number = {id: i for i, id in enumerate(ids)}
    cost, rows = np.zeros(len(ids)), np.zeros((len(wires), len(ids)))
    for row, (s, t) in zip(rows, wires, strict=True):
        row[number[s]] += 1
        row[number[t]] -= 1
        cost -= row
    found = _solved(cost, rows, -np.ones(len(wires)))
    if found is None:
        raise ValueError("draw: the wires lead round in a cycle")
    return {id: round(value - min(found)) for id, value in zip(ids, found, strict=True)}


def _solved(cost: np.ndarray, rows: Any, limits: np.ndarray) -> np.ndarray | None:
    """Return x >= 0 of least cost with rows @ x <= limits; None where there is none."""
    from scipy.optimize import linprog

    if not len(limits):
        return np.zeros(len(cost))
    return linprog(cost, A_ub=rows, b_ub=limits, method="highs-ds").x


def _before(s: str, t: str, layer: dict[str, int]) -> Place:
    return s if layer[t] == layer[s] + 1 else (s, layer[t] - 1)


def _with_lines(layer: dict[str, int], wires: Sequence[tuple[str, str]]) -> tuple[list[list], list[tuple]]:
    """Return what stands in each layer, lines that pass it too, and the segments from layer to layer."""
    rows: list[list[Place]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for id, at in layer.items():
        rows[at].append(id)
    segments: dict[tuple, None] = {}
    for s, t in wires:
        above: Place = s
        for passed in range(layer[s] + 1, layer[t]):
            if (above, (s, passed)) not in segments:
                rows[passed].append((s, passed))
            segments[above, (s, passed)] = None
            above = (s, passed)
        segments[above, t] = None
    return rows, list(segments)


def _in_order(rows: list[list], segments: list[tuple]) -> list[list]:
    """Return the layers in an order with few crossings."""
    up, down = defaultdict(list), defaultdict(list)
    for a, b in segments:
        up[b].append(a)
        down[a].append(b)
    best, least, tried = rows, _crossings(rows, down), 0
    rows = [list(row) for row in rows]
    while least and tried < SWEEPS:
        tried += 1
        _sweep(rows, up if tried % 2 else down, back=tried % 2 == 0)
        _exchange(rows, up, down)
        if (count := _crossings(rows, down)) < least:
            best, least, tried = [list(row) for row in rows], count, tried % 2  # the way stays known
    return best


def _sweep(rows: list[list], near: dict, *, back: bool) -> None:
    """Order each layer by where what it hangs on stands on average."""
    place = _ranks(rows)
    for row in rows[:: -1 if back else 1]:
        row.sort(key=lambda p: _mean([place[q] for q in near[p]] or [place[p]]))
        place.update(_ranks([row]))


def _ranks(rows: list[list]) -> dict[Place, int]:
    return {p: k for row in rows for k, p in enumerate(row)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _crossings(rows: list[list], down: dict) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        place, seen = _ranks([lower]), []
        for p in upper:
            ends = sorted(place[q] for q in down[p])
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _exchange(rows: list[list], up: dict, down: dict) -> None:
    """Exchange neighbours as long as that saves crossings."""
    place = _ranks(rows)

    def crossed(p: Place, q: Place) -> int:
        pairs = ((place[a], place[b]) for near in (up, down) for a in near[p] for b in near[q])
        return sum((a > b) - (a < b) for a, b in pairs)

    for row in rows:
        for k in [*range(len(row) - 1), *reversed(range(len(row) - 1))]:
            if crossed(row[k], row[k + 1]) > 0:
                row[k], row[k + 1] = row[k + 1], row[k]
                place[row[k]], place[row[k + 1]] = k, k + 1


def _width(p: Place, sizes: dict[str, Point]) -> float:
    return sizes[p][0] if p in sizes else 0.0


def _weight(segment: tuple, sizes: dict[str, Point], light: set[str]) -> float:
    """Return how much it matters that a segment is straight: lines before boxes, boxes before their ends."""
    lines = sum(p not in sizes for p in segment)
    return 8.0 if lines == 2 else 2.0 if lines else 0.5 if segment[0] in light else 4.0


def _ports(rows: list[list], weight: dict[tuple, float], sizes: dict[str, Point]) -> dict[tuple, float]:
    """Return how far from the middle of what is below a segment ends: the weightiest there, others aside."""
    place = _ranks(rows)
    ends: dict[Place, list] = defaultdict(list)
    for a, b in sorted(weight, key=lambda segment: place[segment[0]]):
        ends[b].append(a)
    shift = {}
    for b, above in ends.items():
        last = len(above) - 1
        middle = max(range(len(above)), key=lambda i: (weight[above[i], b], -abs(2 * i - last)))
        step = min(PORT, (_width(b, sizes) / 2 - 6) / max(1, middle, last - middle))
        shift.update({(a, b): (i - middle) * max(0.0, step) for i, a in enumerate(above)})
    return shift


def _columns(
    rows: list[list], weight: dict[tuple, float], sizes: dict[str, Point], shift: dict
) -> dict[Place, float]:
    """Return the middle of each place: in order and apart, with segments as straight as can be in all."""
    from scipy.sparse import coo_array

    places = [p for row in rows for p in row]
    number = {p: i for i, p in enumerate(places)}
    entries: list[tuple[int, int, float]] = []
    limits: list[float] = []

    def require(limit: float, *terms: tuple[int, float]) -> None:
        entries.extend((len(limits), at, factor) for at, factor in terms)
        limits.append(limit)

    for row in rows:
        for p, q in pairwise(row):
            room = (_width(p, sizes) + _width(q, sizes)) / 2
            room += APART if p in sizes and q in sizes else NEAR
            require(-room, (number[p], 1.0), (number[q], -1.0))
        require(-_width(row[0], sizes) / 2, (number[row[0]], -1.0))
    for i, (a, b) in enumerate(weight, len(places)):  # unknown i is how far the segment leads aside
        for sign in (1.0, -1.0):
            require(sign * shift[a, b], (number[a], sign), (number[b], -sign), (i, -1.0))
    cost = np.array([*(0.0 for _ in places), *weight.values()])
    at, columns, factors = zip(*entries, strict=True) if entries else ((), (), ())
    matrix = coo_array((factors, (at, columns)), shape=(len(limits), len(cost)))
    found = _solved(cost, matrix.tocsr(), np.array(limits))
    assert found is not None  # apart is always possible
    return {p: float(found[i]) for p, i in number.items()}


def _levels(
    rows: list[list], segments: list[tuple], sizes: dict[str, Point], x: dict[Place, float]
) -> tuple[list[float], list[float]]:
    """Return where each layer begins and ends; two are further apart where wires lead far aside."""
    place = {p: i for i, row in enumerate(rows) for p in row}
    aside = [0.0] * len(rows)
    for a, b in segments:
        aside[place[b]] = max(aside[place[b]], abs(x[a] - x[b]))
    tops, bottoms = [], []
    for row, far in zip(rows, aside, strict=True):
        tops.append(bottoms[-1] + min(MOST, GAP + far / 12) if bottoms else 0.0)
        bottoms.append(tops[-1] + max(sizes[p][1] if p in sizes else 0.0 for p in row))
    return tops, bottoms
