"""Ops that make arrays. `like=` names the engine and device by an array; `dtype=None` is the default float.

Without `like` they belong to the innermost open trace, else to the active backend.
"""

from ember_ml.core import tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import FLOATING, Defaults, DType, as_dtype
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import as_shape, operands, same, shape_of, steps
from ember_ml.core.trace import constant
from ember_ml.ops.costs import moved

__all__ = [
    "arange", "asarray", "astype", "empty", "empty_like", "eye", "full", "full_like", "identity",
    "linspace", "ones", "ones_like", "zeros", "zeros_like",
]  # fmt: skip


def asked(args, attrs):
    """The dtype asked for, else that of the first array argument, else the default float."""
    if attrs.get("dtype") is not None:
        return None, as_dtype(attrs["dtype"])
    given = [d for d in operands(args) if isinstance(d, DType)]
    return None, given[0] if given else as_dtype(float)


def given_shape(*_, shape, **__):
    """Return the shape asked for, an integer or a sequence of them."""
    return as_shape(shape)


@primitive(shape=given_shape, dtype=asked, arrays=("like",), vjp=constant)
def zeros(shape, *, dtype=None, device=None, like=None):
    """An array of zeros."""


@composite(arrays=("like",), vjp=constant)
def empty(shape, *, dtype=None, device=None, like=None):
    """An array to be filled: of zeros, so that a program that forgets to fill it repeats."""
    return zeros(shape, dtype=dtype, device=device, like=like)


def _filled(args, attrs):
    given, fill = attrs.get("dtype"), attrs["fill_value"]
    return None, as_dtype(type(fill) if given is None else given)


@primitive(shape=given_shape, dtype=_filled, arrays=("like",), vjp=constant)
def full(shape, fill_value, *, dtype=None, device=None, like=None):
    """An array of one number; its dtype follows the number's kind unless given."""


@composite(arrays=("like",), vjp=constant)
def ones(shape, *, dtype=None, device=None, like=None):
    """An array of ones."""
    return full(shape, 1, dtype=Defaults.float if dtype is None else dtype, device=device, like=like)


def _square(n_rows, n_cols=None, **_):
    return as_shape((n_rows, n_rows if n_cols is None else n_cols))


@primitive(shape=_square, dtype=asked, arrays=("like",), vjp=constant)
def eye(n_rows, n_cols=None, *, k=0, dtype=None, device=None, like=None):
    """Ones on a diagonal, `k` places above the main one, and zeros elsewhere."""


@composite(arrays=("like",), vjp=constant)
def identity(n, *, dtype=None, device=None, like=None):
    """The n by n matrix of ones on the diagonal and zeros elsewhere."""
    return eye(n, dtype=dtype, device=device, like=like)


def _counting(args, attrs):
    if attrs.get("dtype") is not None:
        return None, as_dtype(attrs["dtype"])
    numbers = (attrs["start"], attrs["stop"], attrs["step"])
    return None, Defaults.float if any(isinstance(n, float) for n in numbers) else Defaults.int


@primitive(shape=lambda *_, **given: (steps(**given)[2],), dtype=_counting, arrays=("like",), vjp=constant)
def arange(start, stop=None, step=1, *, dtype=None, device=None, like=None):
    """Evenly spaced numbers from `start` (0 if only one is given) up to, not including, `stop`.

    There are ceil((stop - start) / step) of them, none where `step` leads away. Raises ValueError for a
    step of 0.
    """


def _spaced(args, attrs):
    if attrs.get("dtype") is not None:
        return None, as_dtype(attrs["dtype"])
    turns = any(isinstance(attrs[end], complex) for end in ("start", "stop"))
    return None, as_dtype(complex if turns else float)


@primitive(shape=lambda num, **_: as_shape(num), dtype=_spaced, arrays=("like",), vjp=constant)
def linspace(start, stop, num=50, *, endpoint=True, dtype=None, device=None, like=None):
    """`num` evenly spaced numbers from `start` to `stop`, which is included unless `endpoint` is False."""


@composite(vjp=constant)
def zeros_like(x, /, *, dtype=None, device=None):
    """Zeros in the shape, dtype and place of x, unless told otherwise."""
    return zeros(shape_of(x), dtype=as_dtype(x.dtype if dtype is None else dtype), device=device, like=x)


@composite(vjp=constant)
def empty_like(x, /, *, dtype=None, device=None):
    """An array to be filled, in the shape, dtype and place of x unless told otherwise: of zeros."""
    return zeros_like(x, dtype=dtype, device=device)


@composite(vjp=constant)
def ones_like(x, /, *, dtype=None, device=None):
    """Ones in the shape, dtype and place of x, unless told otherwise."""
    return ones(shape_of(x), dtype=as_dtype(x.dtype if dtype is None else dtype), device=device, like=x)


@composite(vjp=constant)
def full_like(x, /, fill_value, *, dtype=None, device=None):
    """One number in the shape, dtype and place of x, unless told otherwise."""
    kind = as_dtype(x.dtype) if dtype is None else dtype
    return full(shape_of(x), fill_value, dtype=kind, device=device, like=x)


def _listed(obj, **_):
    return shape_of(obj) if shape_of(obj) else _nested_shape(obj)


def _nested_shape(obj):
    if not isinstance(obj, list | tuple):
        return ()
    inner = {_nested_shape(each) for each in obj}
    if len(inner) > 1:
        raise ValueError(f"rows differ in length: {' and '.join(map(str, sorted(inner)))}")
    return (len(obj), *(inner.pop() if inner else ()))


def _told(args, attrs):
    obj = attrs["obj"]
    given = attrs.get("dtype") or getattr(obj, "dtype", None)
    if given is not None:
        return None, as_dtype(given)
    kinds = {type(x) for x in tree.leaves(obj)}
    for kind in (complex, float, int, bool):
        if kind in kinds:
            return None, as_dtype(kind)
    return None, Defaults.float


@primitive(shape=_listed, dtype=_told, arrays=("like",), vjp=constant)
def asarray(obj, *, dtype=None, device=None, copy=None, like=None):
    """An array of the numbers in nested lists or an array; floats get the default dtype unless told.

    It is a copy, except of an array of this engine where nothing changes and `copy` is not True.
    `copy=False` raises ValueError where a copy is needed.
    """


@primitive(
    shape=same,
    dtype=asked,
    vjp=lambda g, out, x, dtype: (g if as_dtype(dtype).kind in FLOATING else None,),
    cost=moved,
)
def astype(x, /, dtype):
    """The values in another dtype: floats become integers by cutting, numbers become truths by `!= 0`."""


def as_array(x, like):
    """Return a Python number as an array of no dimensions beside `like`, and an array as it is."""
    return full((), x, like=like) if type(x) in SCALARS else x


def as_floating(x):
    """Return an array of integers or truths in the default float, and another as it is: not even copied."""
    return x if as_dtype(x.dtype).kind in FLOATING else astype(x, dtype=Defaults.float)


def with_fractions(x):
    """Return an array of integers in the default float, and anything else as it is.

    For what subtracts before it divides or exponentiates: unsigned integers do not go below 0.
    """
    dtype = getattr(x, "dtype", None)
    whole = dtype is not None and as_dtype(dtype).kind in ("uint", "int")
    return astype(x, dtype=Defaults.float) if whole else x
