"""Sizes in Fourier transforms: how many points along which axes are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from ember_ml.core.rules import Shape, as_axes

NORMS = ("backward", "ortho", "forward")


def transformed(
    shape: Shape, s: Sequence[int] | None, axes: Sequence[int] | None, *, halved: bool = False
) -> tuple[Shape, Shape]:
    """Return the number of points along each axis of a transform, and the axes counted from the front.

    Without `axes` they are the last ones, as many as `s` has, or all; sizes come from `shape` where `s` is
    None or names -1. `halved`: that the last axis holds n // 2 + 1 of n points, of which n is taken to be
    even. Raises ValueError where there is nothing to transform.
    """
    if axes is None:
        count = len(shape) if s is None else len(s)
        if count > len(shape):
            raise ValueError(f"{count} sizes {tuple(s or ())} for {len(shape)} dimensions")
        over = tuple(range(len(shape) - count, len(shape)))
    else:
        over = as_axes(tuple(axes), len(shape))
    if not over:
        raise ValueError("expected at least one axis to transform, got none")
    wanted = (-1,) * len(over) if s is None else tuple(s)
    if len(wanted) != len(over):
        raise ValueError(f"sizes {wanted} and axes {over} differ in number")
    own = [shape[a] for a in over]
    if halved:
        own[-1] = 2 * (own[-1] - 1)
    sizes = tuple(m if n in (None, -1) else int(n) for n, m in zip(wanted, own, strict=True))
    for n, a in zip(sizes, over, strict=True):
        if n < 1:
            raise ValueError(f"the transform along axis {a} has {n} points, expected at least 1")
    return sizes, over


def with_sizes(shape: Shape, sizes: Sequence[int], axes: Sequence[int]) -> Shape:
    """Return `shape` with these sizes at these axes."""
    out = list(shape)
    for n, a in zip(sizes, axes, strict=True):
        out[a] = n
    return tuple(out)


def half(sizes: Sequence[int]) -> Shape:
    """Return the sizes of the half spectrum of real data: n // 2 + 1 along the last axis."""
    return (*sizes[:-1], sizes[-1] // 2 + 1)
