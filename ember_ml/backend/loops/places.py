"""Where the values of a printed loop lie: an affine map from indices to the places of a flat buffer.

Views (permuted axes, slices, new axes, stretched axes) are other maps into the same buffer, at no cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ember_ml.core.rules import expand_index


@dataclass(frozen=True)
class Local:
    """A single number, held by a variable of the printed function or written out."""

    text: str


@dataclass(frozen=True)
class Place:
    """Element (i, j, ...) of a value is buffer[start + i strides[0] + j strides[1] + ...].

    `turns` are the variables of the loops over time around it, with how far one turn moves the value.
    """

    buffer: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int = 0
    turns: tuple[tuple[str, int], ...] = ()

    def offset(self, indices: Sequence[str] = ()) -> str:
        """Return where the element at `indices`, or the first one, stands in the buffer."""
        terms = [*self.turns, *zip(indices, self.strides, strict=False)]
        words = [name if step == 1 else f"{name} * {step}" for name, step in terms if step]
        return " + ".join([*words, str(self.start)] if self.start or not words else words)

    def written(self, indices: Sequence[str]) -> str:
        """Return the element at `indices` as text."""
        return f"{self.buffer}[{self.offset(indices)}]"

    def permuted(self, axes: Sequence[int]) -> Place:
        """Return the view whose axis i is axis axes[i] of this one."""
        return replace(
            self, shape=tuple(self.shape[a] for a in axes), strides=tuple(self.strides[a] for a in axes)
        )

    def stretched(self, shape: tuple[int, ...]) -> Place:
        """Return the view broadcast to `shape`."""
        lead = len(shape) - len(self.shape)
        own = [0 if n == 1 else step for n, step in zip(self.shape, self.strides, strict=True)]
        return replace(self, shape=tuple(shape), strides=(*(0,) * lead, *own))

    def flipped(self, axes: Sequence[int]) -> Place:
        """Return the view in which these axes run backwards."""
        end = sum((self.shape[a] - 1) * self.strides[a] for a in axes)
        strides = tuple(-s if i in axes else s for i, s in enumerate(self.strides))
        return replace(self, strides=strides, start=self.start + end)

    def indexed(self, index: Any) -> Place:
        """Return the view at an index of integers, slices, None and one Ellipsis."""
        shape, strides, start, axis = [], [], self.start, 0
        for part in expand_index(index, len(self.shape)):
            if part is None:
                shape.append(1)
                strides.append(0)
                continue
            n, step = self.shape[axis], self.strides[axis]
            axis += 1
            if type(part) is slice:
                places = range(*part.indices(n))
                shape.append(len(places))
                strides.append(step * places.step)
                start += step * places.start if places else 0
            else:
                start += step * range(n)[part]
        return replace(self, shape=tuple(shape), strides=tuple(strides), start=start)

    def reshaped(self, shape: tuple[int, ...]) -> Place | None:
        """Return the view with its elements, row by row, in another shape; None where it takes a copy."""
        old = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        strides: list[int] = []
        for n in reversed(shape):
            if n == 1:
                strides.append(0)
                continue
            while old and len(old) > 1 and old[-1][0] < n and old[-2][1] == old[-1][0] * old[-1][1]:
                (more, _), (size, step) = old[-2:]
                old[-2:] = [(more * size, step)]
            if not old or old[-1][0] % n:
                return None
            size, step = old.pop()
            strides.append(step)
            if size > n:
                old.append((size // n, step * n))
        return replace(self, shape=tuple(shape), strides=tuple(reversed(strides)))

    def row(self, turn: str) -> Place:
        """Return the slice along the first axis at the turn of a loop."""
        moves = (*self.turns, (turn, self.strides[0]))
        return replace(self, shape=self.shape[1:], strides=self.strides[1:], turns=moves)

    def starts_in(self, other: Place) -> bool:
        """Whether it begins within the room of another place."""
        return self.buffer == other.buffer and other.start <= self.start < other.start + other.size

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    def matrix(self) -> tuple[str, int, int] | None:
        """Return where BLAS finds this matrix: start, distance, and 1 if that is from column to column.

        None where neither rows nor columns lie without gaps: there it takes a copy.
        """
        for turned, (_, size), (far, near) in (
            (0, self.shape, self.strides),
            (1, self.shape[::-1], self.strides[::-1]),
        ):
            if size == 1 or near == 1:
                lines = self.shape[turned]
                if lines == 1 or far >= size:
                    return self.offset(), size if lines == 1 else far, turned
        return None


def row_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of elements that stand row by row without gaps."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
