"""What ops cost: rules by which arithmetic operations are counted, for the ops whose shapes do not tell.

A rule takes the `Spec` of the first result, then the op's arguments, arrays as `Spec`s, and its settings. An
op without one costs 1 for each number that it makes, a reduction one less than it joins, and a composite what
its body costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ember_ml.core.rules import shape_of
from ember_ml.core.transforms import transformed


def size(x: Any) -> int:
    """Return how many numbers there are."""
    return math.prod(shape_of(x))


def halvings(n: int) -> int:
    """Return how often n things can be halved."""
    return max(0, n - 1).bit_length()


def moved(out: Any, *args: Any, **attrs: Any) -> int:
    """Nothing is computed: numbers are read and written."""
    return 0


def fetched(out: Any, *args: Any, **attrs: Any) -> int:
    """Nothing is computed; of the first argument as much is read as is returned."""
    return 0


def for_each_update(out: Any, x: Any, indices: Any, updates: Any, **attrs: Any) -> int:
    """One operation for each number that is written."""
    return size(updates)


def ordered(out: Any, x: Any, *, axis: int, **attrs: Any) -> int:
    """As many comparisons of each number as rows can be halved."""
    return size(x) * halvings(shape_of(x)[axis]) if shape_of(x) else 0


def transforms(share: float = 1.0, *, halved: bool = False) -> Callable[..., float]:
    """Return the rule of Fourier transforms: 5 n log2(n) for n complex points, a share of it for real."""

    def rule(out: Any, x: Any, *, s: Any, axes: Any, norm: str) -> float:
        shape = shape_of(x)
        sizes, over = transformed(shape, s, axes, halved=halved)
        points, rows = math.prod(sizes), math.prod(n for i, n in enumerate(shape) if i not in over)
        return share * rows * 5 * points * math.log2(points)

    return rule


def of_matrices(formula: Callable[..., float]) -> Callable[..., float]:
    """Return the rule of an op on matrices: a formula of the longer side m, the shorter n, and settings.

    Factorisations count as in Golub and Van Loan 2013.
    """

    def rule(out: Any, x: Any, *_: Any, **attrs: Any) -> float:
        *batch, rows, columns = shape_of(x)
        return math.prod(batch) * formula(max(rows, columns), min(rows, columns), **attrs)

    return rule
