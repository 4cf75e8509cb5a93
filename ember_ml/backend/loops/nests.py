"""A nest of loops as text: which axis is innermost, which axes are one loop, what stands at which depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ember_ml.backend.loops.places import Place

NAMES = "ijklmn"
SHORT, LONG = (
    8,
    128,
)  # loops of a length in between hide it from LLVM, which would unroll them, not make vectors


class Nest:
    """Loops over `shape` (no axis of which is 1) around reads and writes of places with axes like it.

    `places` tell the order: the axis along which most of them lie side by side goes innermost. Two axes are
    one loop where every place allows it and every reduction, a set of axes, has both or neither.
    """

    def __init__(self, shape: Sequence[int], places: Sequence[Place], reduced: Sequence[frozenset[int]] = ()):
        sides = [sum(abs(p.strides[a]) == 1 for p in places) for a in range(len(shape))]
        inner = max(range(len(shape)), key=lambda a: (sides[a], a), default=0)
        order = [a for a in range(len(shape)) if a != inner] + [inner] * bool(shape)
        self.groups: list[list[int]] = []
        for axis in order:
            last = self.groups[-1][-1] if self.groups else None
            if (
                last is not None
                and all((last in axes) == (axis in axes) for axes in reduced)
                and all(p.strides[last] == p.strides[axis] * shape[axis] for p in places)
            ):
                self.groups[-1].append(axis)
            else:
                self.groups.append([axis])
        self.indices = [NAMES[i] if i < len(NAMES) else f"i{i}" for i in range(len(self.groups))]
        self.sizes = [1] * len(self.groups)
        for depth, group in enumerate(self.groups):
            for axis in group:
                self.sizes[depth] *= shape[axis]
        self.before: list[list[str]] = [[] for _ in range(len(self.groups) + 1)]
        self.after: list[list[str]] = [[] for _ in range(len(self.groups) + 1)]
        self.body: list[str] = []

    def element(self, place: Place) -> str:
        """Return the element of a place at the indices of the loops."""
        steps = tuple(place.strides[group[-1]] for group in self.groups)
        return replace(place, strides=steps).written(self.indices)

    def depth(self, place: Place) -> int:
        """Return within how many loops an element of a place changes."""
        steps = [place.strides[group[-1]] for group in self.groups]
        return max((d + 1 for d, step in enumerate(steps) if step), default=0)

    def suffix(self, axes: frozenset[int]) -> int | None:
        """Return how many outer loops a reduction over these axes keeps; None where it is not innermost."""
        gone = [group[0] in axes for group in self.groups]
        kept = len(gone) - sum(gone)
        return kept if all(gone[kept:]) else None

    def lines(self) -> list[str]:
        """Return the text of the nest."""
        out: list[str] = []
        pads = ["    " * depth for depth in range(len(self.groups) + 1)]
        for depth, pad in enumerate(pads):
            out += [pad + line for line in self.before[depth]]
            if depth < len(self.groups):
                size = self.sizes[depth]
                hidden = depth == len(self.groups) - 1 and SHORT <= size <= LONG
                out.append(
                    f"{pad}for {self.indices[depth]} in range({f'length({size})' if hidden else size}):"
                )
        out += [pads[-1] + line for line in self.body]
        for depth in reversed(range(len(pads))):
            out += [pads[depth] + line for line in self.after[depth]]
        return out


def along(place: Place, shape: Sequence[int]) -> Place:
    """Return a place stretched to `shape`, without the axes of size 1 that it has there."""
    wide = place.stretched(tuple(shape))
    kept = [i for i, n in enumerate(shape) if n != 1]
    return wide.permuted(kept)


def filled(place: Place, element: Callable[[Nest], str], sources: Sequence[Place]) -> list[str]:
    """Return the loops that write `element` all over a place; `sources`, of its shape, are what it reads."""
    target = along(place, place.shape)
    nest = Nest(target.shape, [target, *(along(s, place.shape) for s in sources)])
    nest.body.append(f"{nest.element(target)} = {element(nest)}")
    return nest.lines()
