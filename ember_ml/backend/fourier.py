"""Fourier transforms on NumPy: SciPy's, and FFTW's plans (extra `fftw`) for those that come often.

A plan costs as much time as some hundred transforms and saves a third of each, so the first transforms of a
shape go to SciPy, unless `prepare` asked for a plan. Both are good to the last bits of the dtype, in which
they may differ.
"""

from __future__ import annotations

import math
import mmap
import threading
from collections import OrderedDict
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from ember_ml.core.transforms import half, with_sizes

OFTEN = 64  # transforms of one kind until a plan is made
SMALLEST = 2048  # values; below, finding the plan takes longer than the transform
KEPT = 64  # plans, or counts of transforms, in each thread
ALIGNMENT = 16  # bytes; what malloc gives and FFTW's vector instructions ask for

_REAL = {"f": "F", "d": "D"}
_COMPLEX = {"F": "f", "D": "d"}


@cache
def has_fftw() -> bool:
    """Whether FFTW is installed."""
    return find_spec("pyfftw") is not None


def transform(name: str, x: Any, sizes: Any, axes: Any, norm: str, out: Any = None) -> Any:
    """Return the transform of this name, of so many points along axes; the result may be written to `out`."""
    plan = (
        _PLANS.find(name, x.dtype.char, with_sizes(x.shape, sizes, axes), tuple(axes)) if has_fftw() else None
    )
    if plan is None:
        return _scipy(name)(x, s=sizes, axes=axes, norm=norm, workers=1)
    forward = name in ("fftn", "rfftn")
    if norm == "ortho":
        scale = 1 / math.sqrt(math.prod(sizes))
    else:
        scale = 1 / math.prod(sizes) if (norm == "forward") == forward else 1.0
    return plan(x, scale, out)


def prepare(name: str, dtype: str, shape: Any, axes: Any) -> None:
    """Have a plan made at the first transform of points in this `shape`, in every thread."""
    if has_fftw():
        _PLANS.wanted.add((name, np.dtype(dtype).char, tuple(shape), tuple(axes)))


@cache
def _scipy(name: str) -> Any:
    import scipy.fft

    return getattr(scipy.fft, name)


class Plan:
    """One transform as FFTW does it, from an aligned array in C order to a new one."""

    def __init__(self, name: str, char: str, shape: tuple, axes: tuple):
        import pyfftw

        real = name in ("rfftn", "irfftn")
        halved = with_sizes(shape, half([shape[a] for a in axes]), axes) if real else shape
        self.destroys = name == "irfftn"  # FFTW computes it so
        self.given = (halved if self.destroys else shape), np.dtype(char)
        self.made = (
            halved if name == "rfftn" else shape,
            np.dtype({"rfftn": _REAL, "irfftn": _COMPLEX}.get(name, {}).get(char, char)),
        )
        self.fftw = pyfftw.FFTW(
            _aligned(*self.given),
            _aligned(*self.made),
            axes=axes,
            direction="FFTW_FORWARD" if name in ("fftn", "rfftn") else "FFTW_BACKWARD",
            flags=("FFTW_MEASURE",),
            threads=1,
        )
        self.blank = _blank(*self.given), _blank(*self.made)  # so that no plan keeps anybody's arrays alive
        self.fftw.update_arrays(*self.blank)

    def __call__(self, x: Any, scale: float, out: Any = None) -> Any:
        """Return the transform of x, cut or filled with zeros to the plan's shape, times `scale`."""
        x = self.fitted(x)
        if out is None or out.dtype != self.made[1] or out.shape != self.made[0] or not _is_aligned(out):
            out = np.empty(*self.made)
            out = out if _is_aligned(out) else _aligned(*self.made)
        self.fftw.update_arrays(x, out)
        self.fftw.execute()
        self.fftw.update_arrays(*self.blank)
        return out if scale == 1 else np.multiply(out, scale, out=out)

    def fitted(self, x: Any) -> Any:
        """Return x as the plan takes it: itself where that can be."""
        shape, dtype = self.given
        if x.shape == shape and not self.destroys and _is_aligned(x):
            return x
        common = tuple(slice(0, min(n, m)) for n, m in zip(x.shape, shape, strict=True))
        fitted = _aligned(shape, dtype)
        if x.shape != shape:
            fitted[...] = 0
        fitted[common] = x[common]
        return fitted


class _Plans(threading.local):
    """The plans of one thread, since a plan serves one transform at a time; the latest used stands last."""

    wanted: set = set()  # noqa: RUF012 - of all threads

    def __init__(self) -> None:
        self.known: OrderedDict[tuple, Plan | int] = OrderedDict()

    def find(self, name: str, char: str, shape: tuple, axes: tuple) -> Plan | None:
        """Return the plan for transforms of points in this shape, if it is there or worth making now."""
        if char not in (_REAL if name == "rfftn" else _COMPLEX) or math.prod(shape) < SMALLEST:
            return None
        key = (name, char, shape, axes)
        found = self.known.pop(key, 0)
        if isinstance(found, int):
            found = Plan(*key) if found >= OFTEN or key in self.wanted else found + 1
        self.known[key] = found
        if len(self.known) > KEPT:
            self.known.popitem(last=False)
        return None if isinstance(found, int) else found


_PLANS = _Plans()


def _is_aligned(x: Any) -> bool:
    return x.flags.c_contiguous and x.__array_interface__["data"][0] % ALIGNMENT == 0


def _aligned(shape: tuple, dtype: np.dtype) -> Any:
    """Return an empty array aligned to ALIGNMENT bytes and to no more, which is what a plan may ask for."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + 4 * ALIGNMENT, np.uint8)
    start = (ALIGNMENT - raw.__array_interface__["data"][0]) % (2 * ALIGNMENT)
    return raw[start : start + size].view(dtype).reshape(shape)


def _blank(shape: tuple, dtype: np.dtype) -> Any:
    """Return an array that takes no memory as long as nobody touches it."""
    return np.frombuffer(mmap.mmap(-1, math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
