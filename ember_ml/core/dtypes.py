"""Data types by name, and the lattice in which they meet.

A `DType` is its name: `float32 == "float32"`. Promotion is the Array API standard's; where the standard is
silent (an integer with a float) the float's dtype wins. A Python number is weak: it takes the array's dtype
when its kind allows it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

KINDS = ("bool", "uint", "int", "float", "complex")
NUMERIC = ("uint", "int", "float", "complex")
REAL = ("uint", "int", "float")
FLOATING = ("float", "complex")
BITS = ("bool", "uint", "int")


class DType(str):
    """The name of a data type, with its `kind` and its size in `bits`."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name as a plain string."""
        return str.__str__(self)

    @property
    def kind(self) -> str:
        """One of bool, uint, int, float, complex."""
        return (
            self.rstrip("0123456789").removeprefix("b") if self == "bfloat16" else self.rstrip("0123456789")
        )

    @property
    def bits(self) -> int:
        """Bits of one element; 8 for bool."""
        return 8 if self == "bool" else int(self[len(self.rstrip("0123456789")) :])

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.bits // 8


DTYPES = {name: DType(name) for name in (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
)}  # fmt: skip
bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, *_FRACTIONS = DTYPES.values()
float16, bfloat16, float32, float64, complex64, complex128 = _FRACTIONS
# Of the float dtypes: bits of the fraction, and the largest exponent.
FLOAT_BITS = {"float16": (10, 15), "bfloat16": (7, 127), "float32": (23, 127), "float64": (52, 1023)}
_MET: dict[type, dict[Any, DType]] = {}  # by type of dtype object; torch.compile sees through it, not `cache`
_RANKS = {"bool": 0, "uint": 1, "int": 1, "float": 2, "complex": 3}  # whose numbers hold those of which
_SPELLINGS = {"bool_": "bool", "double": "float64", "half": "float16", "single": "float32", "long": "int64"}


class Defaults:
    """The dtypes of what is created without one. The only settings of this module."""

    float: DType = float32
    int: DType = int64


def set_default_dtype(dtype: Any) -> None:
    """Set the float dtype of everything created without one: float16, float32 (the default) or float64."""
    chosen = as_dtype(dtype)
    if chosen.kind != "float":
        raise TypeError(f"set_default_dtype: expected a float dtype, got {chosen}")
    Defaults.float = chosen


def get_default_dtype() -> DType:
    """Return the float dtype of everything created without one."""
    return Defaults.float


def as_dtype(given: Any) -> DType:
    """Return the `DType` that a name, a Python type or an engine's own dtype object means.

    >>> as_dtype("float32"), as_dtype(bool)
    ('float32', 'bool')
    """
    if type(given) is DType:
        return given
    if given is float:
        return Defaults.float
    if given is int:
        return Defaults.int
    if given is complex:
        return complex128 if Defaults.float == float64 else complex64
    try:
        return _MET[type(given)][given]
    except KeyError:
        return _MET.setdefault(type(given), {}).setdefault(given, _dtype_named(given))
    except TypeError:  # not hashable
        return _dtype_named(given)


def _dtype_named(given: Any) -> DType:
    for spelled in (given, getattr(given, "name", None), getattr(given, "__name__", None), str(given)):
        if isinstance(spelled, str):
            word = spelled.rsplit(".", 1)[-1]
            word = _SPELLINGS.get(word, word)
            if word in DTYPES:
                return DTYPES[word]
    raise TypeError(f"unknown dtype {given!r}; known: {', '.join(DTYPES)}")


def promote(*dtypes: DType | type) -> DType:
    """Return the dtype in which arrays of these dtypes meet; a Python type stands for a weak scalar.

    >>> promote(int8, uint8), promote(int32, float16), promote(int64, float)
    ('int16', 'float16', 'float32')
    """
    strong = [d for d in dtypes if isinstance(d, DType)]
    weak = [d for d in dtypes if not isinstance(d, DType)]
    result = strong[0] if strong else as_dtype(weak[0])
    for other in strong[1:]:
        result = _meet(result, other)
    for scalar in weak:
        result = _with_scalar(result, scalar)
    return result


def inexact(dtype: DType) -> DType:
    """Return `dtype` itself when it can hold fractions, else the default float."""
    return dtype if dtype.kind in FLOATING else Defaults.float


def real_of(dtype: DType) -> DType:
    """Return the dtype of the real part."""
    return {"complex64": float32, "complex128": float64}.get(dtype, dtype)


@cache
def _meet(a: DType, b: DType) -> DType:
    if a == b:
        return a
    low, high = sorted((a, b), key=lambda d: (KINDS.index(d.kind), d.bits))
    if low.kind == "bool":
        return high
    if low.kind == high.kind:
        return float32 if low.bits == high.bits else high  # float16 with bfloat16
    if (low.kind, high.kind) == ("uint", "int"):
        if low.bits < high.bits:
            return high
        return float64 if low.bits == 64 else DType(f"int{2 * low.bits}")
    if (low.kind, high.kind) == ("float", "complex"):
        return complex128 if low == float64 else high
    return high


def _with_scalar(dtype: DType, scalar: type) -> DType:
    weak = as_dtype(scalar)
    if _RANKS[weak.kind] <= _RANKS[dtype.kind]:
        return dtype
    if weak.kind == "complex" and dtype.kind == "float":
        return complex128 if dtype == float64 else complex64
    return weak
