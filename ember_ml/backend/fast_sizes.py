"""Sizes of arrays for which Fourier transforms are fast, the same on every engine."""

from __future__ import annotations

from collections.abc import Sequence

from ember_ml.core.transforms import half

_RADICES, _REAL_RADICES = (2, 3, 5, 7, 11), (2, 3, 5)


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
