"""The Array API standard, version 2024.12, over every engine: the namespace of EmberTensor.

A function of the standard that is an op of the table is that op's function; written here is what the standard
wants in another form, and what asks about dtypes and devices. The arguments choose the engine. What has no
array argument is made by the active backend, whose dtypes this module has: `complex128` is no attribute of it
on MLX.

Beyond what the standard leaves open, these are the gaps, each declared in its engine's file and told by
`__array_namespace_info__()`:

* MLX has no complex128, so FFTs of float64 are refused; its error function is as exact as in float32.
* torch has hardly any arithmetic for uint16, uint32 and uint64: NumPy computes it on the host.
* At zeros, infinities and NaN, complex functions are C99's in eager code; code compiled for JAX, torch or MLX
  leaves those values to the engine, as ops on native arrays do.
* JAX outside of its 64-bit mode has no 64-bit dtypes; choosing the backend turns that mode on.
* Results whose shape depends on values (`nonzero`, `unique_*`, masks, `repeat` by an array) need eager code.
* Writing into a tensor gives its name a new value, so it never shows through another tensor: views do not
  alias, and `asarray(x, copy=False)` of a tensor is that tensor.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

from ember_ml import ops
from ember_ml.backend import get_backend
from ember_ml.backend.host import host_array_from_dlpack
from ember_ml.core import DType, as_dtype, op_named
from ember_ml.core.dtypes import DTYPES, Defaults, promote
from ember_ml.tensor.conversion import bare, owner_of, to_engine
from ember_ml.tensor.ember_tensor import EmberTensor, copied, wrap

__array_api_version__ = "2024.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")  # each holds what those before it held

e, inf, nan, newaxis, pi = math.e, math.inf, math.nan, None, math.pi

# The names of the standard that are ops, section by section.

_ELEMENTWISE = """
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide
    greater greater_equal hypot imag isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp
    logical_and logical_not logical_or logical_xor maximum minimum multiply negative nextafter not_equal
    positive pow real reciprocal remainder round sign signbit sin sinh sqrt square subtract tan tanh trunc
"""
_SHAPES = """
    broadcast_arrays broadcast_to concat expand_dims flip meshgrid moveaxis permute_dims repeat reshape roll
    squeeze stack tile tril triu unstack
"""
_CHOICES = """
    argmax argmin argsort count_nonzero nonzero searchsorted sort take take_along_axis unique_all
    unique_counts unique_inverse unique_values where
"""
_REDUCTIONS = "all any cumulative_prod cumulative_sum diff max mean min prod std sum var"
_PRODUCTS = "matmul matrix_transpose tensordot vecdot"
_LINALG = """
    cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose
    outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""
_FFT = "fft fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftn"

_DTYPE_NAMES = tuple(name for name in DTYPES if "float16" not in name)  # those that the standard has
KINDS = {
    "bool": ("bool",),
    "signed integer": ("int",),
    "unsigned integer": ("uint",),
    "integral": ("int", "uint"),
    "real floating": ("float",),
    "complex floating": ("complex",),
    "numeric": ("int", "uint", "float", "complex"),
}


def _functions(names: str) -> dict[str, Any]:
    return {name: op_named(name).function for name in names.split()}


globals().update(_functions(" ".join((_ELEMENTWISE, _SHAPES, _CHOICES, _REDUCTIONS, _PRODUCTS))))


def __getattr__(name: str) -> Any:
    """Return a dtype that the active backend has."""
    if name in _DTYPE_NAMES:
        if get_backend().supports(name):
            return DTYPES[name]
        raise AttributeError(f"backend {get_backend()} has no dtype {name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_dtypes()})


# Making arrays


def asarray(
    obj: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None
) -> EmberTensor:
    """Return numbers, nested lists or an array as a tensor, on a tensor's own engine or the active one.

    A tensor that needs no change is returned itself unless `copy` is True. Raises ValueError where
    `copy=False` and only a copy will do.
    """
    given = bare(obj)
    owner = owner_of(given)
    if isinstance(obj, EmberTensor):
        out = obj.to(device=device, dtype=dtype)
    elif owner is None or isinstance(given, owner.scalar_types):
        out = EmberTensor(obj, dtype=dtype, device=device)
    else:
        out = wrap(to_engine(given, get_backend())).to(device=device, dtype=dtype)
    made_anew = bare(out) is not given
    if copy is False and made_anew:
        raise ValueError(f"asarray: {type(obj).__name__} becomes this array only by a copy, and copy=False")
    return wrap(copied(bare(out))) if copy and not made_anew else out


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> EmberTensor:
    """Return an array that speaks dlpack as a tensor, on its own engine or NumPy.

    The memory is shared unless `copy` is True, or a device asks for one.
    """
    given = bare(x)
    if owner_of(given) is None:
        given = host_array_from_dlpack(x)
    out = wrap(given).to(device=device)
    if copy is False and out.data is not given:
        raise ValueError(f"from_dlpack: an array goes to {device!r} only by a copy, and copy=False")
    return wrap(copied(given)) if copy and out.data is given else out


def empty(shape: Any, *, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return an array of numbers that mean nothing; they are zeros."""
    return zeros(shape, dtype=dtype, device=device)


def zeros(shape: Any, *, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return zeros, of the default float dtype unless told."""
    return wrap(ops.zeros(shape, dtype=dtype, device=device))


def ones(shape: Any, *, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return ones, of the default float dtype unless told."""
    return wrap(ops.ones(shape, dtype=dtype, device=device))


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return one number everywhere; its dtype follows the number's kind unless told."""
    return wrap(ops.full(shape, fill_value, dtype=dtype, device=device))


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return ones on a diagonal, `k` places above the main one, and zeros elsewhere."""
    return wrap(ops.eye(n_rows, n_cols, k=k, dtype=dtype, device=device))


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return evenly spaced numbers from `start` (0 if only one is given) up to, not including, `stop`."""
    return wrap(ops.arange(start, stop, step, dtype=dtype, device=device))


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
) -> EmberTensor:
    """Return `num` evenly spaced numbers from `start` to `stop`, which `endpoint=False` leaves out."""
    return wrap(ops.linspace(start, stop, num, endpoint=endpoint, dtype=dtype, device=device))


def empty_like(x: EmberTensor, /, *, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return an array in the shape, dtype and place of x; its numbers are zeros."""
    return zeros_like(x, dtype=dtype, device=device)


def zeros_like(x: EmberTensor, /, *, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return zeros in the shape, dtype and place of x."""
    return ops.zeros_like(x, dtype=dtype).to(device=device)


def ones_like(x: EmberTensor, /, *, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return ones in the shape, dtype and place of x."""
    return ops.ones_like(x, dtype=dtype).to(device=device)


def full_like(
    x: EmberTensor, /, fill_value: Any, *, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return one number in the shape, dtype and place of x."""
    return ops.full_like(x, fill_value, dtype=dtype).to(device=device)


# Dtypes


def astype(x: EmberTensor, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> EmberTensor:
    """Return the values in another dtype: a new tensor, or with `copy=False` x itself if nothing changes.

    Raises TypeError for complex numbers asked to become real: say `real(x)` or `imag(x)`.
    """
    wanted = as_dtype(dtype)
    if x.dtype.kind == "complex" and wanted.kind not in ("complex", "bool"):
        raise TypeError(f"astype: {x.dtype} does not become {wanted}; take real(x) or imag(x)")
    out = x.to(device=device, dtype=wanted)
    return wrap(copied(out.data)) if copy and out is x and not x.requires_grad else out


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether a dtype (or an array's) becomes another by promotion, with no loss of values."""
    given, wanted = as_dtype(getattr(from_, "dtype", from_)), as_dtype(to)
    families = {"uint": "integral", "int": "integral", "float": "fractional", "complex": "fractional"}
    alike = families.get(given.kind) == families.get(wanted.kind)
    return alike and promote(given, wanted) == wanted


class finfo_object(NamedTuple):
    """The limits of a float dtype; of a complex one, those of its components."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class iinfo_object(NamedTuple):
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


_FRACTION = {"float16": (10, 15), "bfloat16": (7, 127), "float32": (23, 127), "float64": (52, 1023)}


def finfo(type: Any, /) -> finfo_object:
    """Return the limits of a float or complex dtype, or of an array's. Raises TypeError for others."""
    dtype = as_dtype(getattr(type, "dtype", type))
    own = as_dtype(f"float{dtype.bits // 2}") if dtype.kind == "complex" else dtype
    if own.kind != "float":
        raise TypeError(f"finfo: expected a floating-point dtype, got {dtype}")
    fraction, exponent = _FRACTION[own.name]
    largest = (2.0 - 2.0**-fraction) * 2.0**exponent
    return finfo_object(own.bits, 2.0**-fraction, largest, -largest, 2.0 ** (1 - exponent), own)


def iinfo(type: Any, /) -> iinfo_object:
    """Return the limits of an integer dtype, or of an array's. Raises TypeError for others."""
    dtype = as_dtype(getattr(type, "dtype", type))
    if dtype.kind not in ("int", "uint"):
        raise TypeError(f"iinfo: expected an integer dtype, got {dtype}")
    signed = dtype.kind == "int"
    most = 2 ** (dtype.bits - signed)
    return iinfo_object(dtype.bits, most - 1, -most if signed else 0, dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind ("real floating" …), is another dtype, or is any of a tuple."""
    if isinstance(kind, tuple):
        return True in (isdtype(dtype, each) for each in kind)  # `any` is the standard's here
    if isinstance(kind, str) and not isinstance(kind, DType):
        if kind not in KINDS:
            raise ValueError(f"isdtype: unknown kind {kind!r}; known: {', '.join(KINDS)}")
        return as_dtype(dtype).kind in KINDS[kind]
    return as_dtype(dtype) == as_dtype(kind)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """Return the dtype in which arrays, dtypes and Python numbers meet; the numbers are weak.

    Raises TypeError where there is neither an array nor a dtype.
    """
    scalars = [type(x) for x in arrays_and_dtypes if type(x) in (bool, int, float, complex)]
    others = [x for x in arrays_and_dtypes if type(x) not in (bool, int, float, complex)]
    if not others:
        raise TypeError("result_type: expected at least one array or dtype, got numbers alone")
    return promote(*(as_dtype(getattr(x, "dtype", x)) for x in others), *scalars)


# What the active backend can do


class __array_namespace_info__:
    """What the active backend has, in the standard's words."""

    def capabilities(self) -> dict[str, Any]:
        """Return what can be done eagerly, and how many axes an array may have."""
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": get_backend().most_dimensions,
        }

    def default_device(self) -> str:
        """Return the device on which arrays are made."""
        return get_backend().default_device()

    def devices(self) -> list[str]:
        """Return the devices that answer."""
        return get_backend().devices()

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """Return the dtypes of what is made without one."""
        given = {
            "real floating": Defaults.float,
            "complex floating": as_dtype(complex),
            "integral": Defaults.int,
            "indexing": as_dtype("int64"),
        }
        return {kind: as_dtype(get_backend().native_dtype(dtype)) for kind, dtype in given.items()}

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, DType]:
        """Return the standard's dtypes that the backend has, all or those of a kind, by name."""
        return _dtypes(kind)


def _dtypes(kind: str | tuple[str, ...] | None = None) -> dict[str, DType]:
    """Return the standard's dtypes that the active backend has, all or those of a kind, by name."""
    had = {name: DTYPES[name] for name in _DTYPE_NAMES if get_backend().supports(name)}
    return {name: dtype for name, dtype in had.items() if kind is None or isdtype(dtype, kind)}


# The extensions


def _fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return the frequencies of `fft`'s results, in cycles per unit of the spacing `d`."""
    return wrap(ops.fftfreq(n, d=d, dtype=dtype, device=device))


def _rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> EmberTensor:
    """Return the frequencies of `rfft`'s results, in cycles per unit of the spacing `d`."""
    return wrap(ops.rfftfreq(n, d=d, dtype=dtype, device=device))


linalg = SimpleNamespace(**_functions(_LINALG))
fft = SimpleNamespace(**_functions(_FFT), fftfreq=_fftfreq, rfftfreq=_rfftfreq)
