"""Complex functions at zeros, infinities and NaN, where C99 has rules and engines have ways of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ember_ml.core import Op

if TYPE_CHECKING:
    from ember_ml.backend.base import Backend


def mended(backend: Backend, op: Op, compute: Callable, x: Any, **attrs: Any) -> Any:
    """Compute on the engine, but by NumPy an array with a value at which engines leave C99's rules."""
    values = backend.values_of(x)
    if values is None or not _has_corners(values):
        return compute(x, **attrs)
    if op.name in _OURS:
        return backend.from_host(_OURS[op.name](values), None, x)
    return backend.on_host(op)(x, **attrs)


def _has_corners(values: Any) -> bool:
    """Whether a part of a complex value is zero, infinite or NaN: there C99 has rules of its own."""
    return not (np.isfinite(values).all() and values.real.all() and values.imag.all())


def _expm1(z: Any) -> Any:
    """Return e**z - 1 by C99's rules for e**z."""
    out, grown = np.empty_like(z), np.exp(z)
    a, b, plain = z.real, z.imag, np.isfinite(z)
    out.real = np.where(plain, np.expm1(a) * np.cos(b) - 2 * np.sin(b / 2) ** 2 + 0.0, grown.real - 1)
    out.imag = np.where(plain, np.exp(a) * np.sin(b), grown.imag)
    return out


def _tanh(z: Any) -> Any:
    """Return the hyperbolic tangent, at infinities with the imaginary zero of the standard."""
    out = np.tanh(z)
    far = np.isinf(z.real)
    out.real = np.where(far, np.copysign(1, z.real), out.real)
    out.imag = np.where(far, np.copysign(0, z.imag), out.imag)
    return out


def _tan(z: Any) -> Any:
    """Return the tangent, at infinities with the real zero of the standard."""
    out = np.tan(z)
    far = np.isinf(z.imag)
    out.real = np.where(far, np.copysign(0, z.real), out.real)
    out.imag = np.where(far, np.copysign(1, z.imag), out.imag)
    return out


_OURS = {"expm1": _expm1, "tan": _tan, "tanh": _tanh}  # where NumPy errs
