"""Sizes in Fourier transforms: which ones are asked for, and which ones are fast."""

from __future__ import annotations

from collections.abc import Sequence

from ember_ml.core.rules import Shape, as_axes

_RADICES, _REAL_RADICES = (2, 3, 5, 7, 11), (2, 3, 5)
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


def next_fast_len(n: int, real: bool = False) -> int:
    """Return the smallest length >= n for which transforms are fast: a product of 2, 3, 5, 7 and 11.

    Of 2, 3 and 5 for real data, as `scipy.fft.next_fast_len` has it; the same on every engine.
    """
    if n < 1:
        raise ValueError(f"next_fast_len: expected a length of at least 1, got {n}")
    radices = _REAL_RADICES if real else _RADICES
    while not _is_product(n, radices):
        n += 1
    return n


def _is_product(n: int, radices: Sequence[int]) -> bool:
    for radix in radices:
        while n % radix == 0:
            n //= radix
    return n == 1


def compute_convolution_shapes(
    arr1_shape: Sequence[int], arr2_shape: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Return the shapes of a full convolution: of the result, of a fast transform, of its half spectrum.

    >>> compute_convolution_shapes((97, 101), (23, 23))
    ([119, 123], [120, 125], [120, 63])
    """
    if len(arr1_shape) != len(arr2_shape):
        raise ValueError(
            f"compute_convolution_shapes: expected as many dimensions, "
            f"got {tuple(arr1_shape)} and {tuple(arr2_shape)}"
        )
    full = [n + m - 1 for n, m in zip(arr1_shape, arr2_shape, strict=True)]
    fast = [next_fast_len(n, real=True) for n in full]
    return full, fast, list(half(fast))
