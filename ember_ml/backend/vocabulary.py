"""How a Backend object is spoken to: the op table's names, and the words of NumPy, Mithril and pyTME.

A method computes on the engine's own arrays. The settings of an instance (`dtype`, `device`,
`randomness_seed`) act here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from typing import Any

from ember_ml.backend.fast_sizes import compute_convolution_shapes, next_fast_len
from ember_ml.core import ALIASES, TABLE, Op, as_dtype, keys, op_named
from ember_ml.core.dispatch import AMBIENT
from ember_ml.core.dtypes import DTYPES, KINDS, Defaults, DType, promote, real_of
from ember_ml.core.rules import broadcast, same, shape_of

_INTEGERS = ("int", "uint")
_FRACTION_BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}


class Vocabulary:
    """The methods of every backend that are no differences between engines."""

    inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
    mutable = False  # whether its arrays can be written to in place
    dtype: DType | None
    stream: keys.Stream | None

    def __getattr__(self, name: str) -> Any:
        if name in DTYPES or name == "bool_":
            return self.native_dtype(name)
        method = None if name.startswith("_") else _method(self, name)
        if method is None:
            raise AttributeError(f"{type(self).__name__} has no {name!r}, and there is no op of that name")
        self.__dict__[name] = method
        return method

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *TABLE, *ALIASES, *DTYPES})

    # Making arrays

    def array(self, data: Any, dtype: Any = None) -> Any:
        """Return nested lists, numbers or any engine's array as an array of this engine, and of its dtype.

        Complex numbers and truths stay what they are. This engine's own arrays come back themselves where
        nothing changes.
        """
        from ember_ml.backend.host import host_dtype_of

        wanted = None if dtype is None else as_dtype(dtype)
        if wanted is None and self.dtype is not None:
            wanted = _fitting(self.dtype, host_dtype_of(data))
        if isinstance(data, self.array_types) and not isinstance(data, self.scalar_types):
            return data if wanted in (None, as_dtype(data.dtype)) else self.cast_to(data, wanted)
        settings = {"dtype": wanted, "device": self.device, "copy": None, "like": None}
        return self.implementation(TABLE["asarray"])(data, **settings)

    tensor = to_backend_array = array

    def randn(self, *shape: Any, dtype: Any = None) -> Any:
        """Return normally distributed numbers: `randn(3, 4)` or `randn((3, 4))`."""
        return self.normal(_as_shape(shape), **({} if dtype is None else {"dtype": dtype}))

    def rand(self, *shape: Any, dtype: Any = None) -> Any:
        """Return numbers spread evenly over [0, 1): `rand(3, 4)` or `rand((3, 4))`."""
        return self.uniform(_as_shape(shape), **({} if dtype is None else {"dtype": dtype}))

    def set_seed(self, seed: int) -> None:
        """Start the random numbers anew: its own if it was made with a seed, else the process's."""
        if self.stream is None:
            keys.set_seed(seed)
        else:
            self.stream.set((seed, 0))

    # Leaving

    def to_numpy_array(self, x: Any) -> Any:
        """Return the values as a NumPy array, without a copy where the engine allows."""
        return self.to_numpy(x)

    def to_cpu_array(self, x: Any) -> Any:
        """Return an array of this engine in the memory of the CPU."""
        return self.to_device(x, "cpu")

    def tobytes(self, x: Any) -> bytes:
        """Return the values as bytes, the last axis fastest."""
        return self.to_numpy(x).tobytes()

    # Between processes

    def to_sharedarr(self, arr: Any, handler: Any = None) -> tuple:
        """Return what another process makes `arr` of again, by `from_sharedarr`.

        With a multiprocessing.managers.SharedMemoryManager as `handler`, that is (memory, shape, dtype), in
        which the values lie once for all processes until the manager is shut down; without one, (arr,).
        """
        from ember_ml.backend.shared_memory import write_shared

        return (arr,) if handler is None else write_shared(self.to_numpy(arr), handler)

    def from_sharedarr(self, shared: tuple) -> Any:
        """Return the array that `to_sharedarr` made into a tuple, in place where the engine can see it."""
        from ember_ml.backend.shared_memory import read_shared

        return shared[0] if len(shared) == 1 else self.on_memory(read_shared(*shared))

    def on_memory(self, host: Any) -> Any:
        """Return a NumPy array as this engine's: on the same memory where that can be, else a copy."""
        return self.from_host(host, None, None)

    # What arrays and dtypes are

    def size(self, x: Any) -> int:
        """Return how many values an array holds."""
        return math.prod(shape_of(x))

    @property
    def precision(self) -> int:
        """The bits of the dtype in which this instance creates."""
        return (self.dtype or Defaults.float).bits

    def eps(self, dtype: Any) -> float:
        """Return the distance from 1 to the next number of a float dtype. Raises TypeError for others."""
        name = real_of(as_dtype(dtype))
        if name not in _FRACTION_BITS:
            raise TypeError(f"eps: expected a float dtype, got {name}")
        return 2.0 ** -_FRACTION_BITS[name]

    def datatype_bytes(self, dtype: Any) -> int:
        """Return the bytes of one value of a dtype."""
        return as_dtype(dtype).itemsize

    def get_fundamental_dtype(self, x: Any) -> type:
        """Return the Python type that an array's values are most like: int, float or complex."""
        return {"float": float, "complex": complex}.get(as_dtype(x.dtype).kind, int)

    # Fourier transforms, in pyTME's words

    next_fast_len = staticmethod(next_fast_len)
    compute_convolution_shapes = staticmethod(compute_convolution_shapes)

    def build_fft(
        self,
        fwd_shape: Sequence[int],
        inv_shape: Sequence[int],
        real_dtype: Any,
        cmpl_dtype: Any,
        inv_output_shape: Sequence[int] | None = None,
        temp_fwd: Any = None,
        temp_inv: Any = None,
        fwd_axes: Sequence[int] | None = None,
        inv_axes: Sequence[int] | None = None,
        fftargs: Any = None,
    ) -> tuple[Callable, Callable]:
        """Return (rfftn, irfftn), planned where the engine plans; each takes (array, out=None).

        `fwd_shape` is the real array's, `inv_shape` its half spectrum's; `inv_output_shape` is what comes
        back, `fwd_shape` unless given. Arrays, `temp_fwd` and `temp_inv`, may stand for the shapes.
        `fftargs`, for pyTME's callers, is not read: what FFTW needs to be told is known here.
        """
        from ember_ml.backend.planned import Planned

        backend: Any = self
        forward = fwd_shape if temp_fwd is None else shape_of(temp_fwd)
        inverse = inv_shape if temp_inv is None else shape_of(temp_inv)
        points = tuple(forward if inv_output_shape is None else inv_output_shape)
        there = Planned(backend, "rfftn", forward, forward, real_dtype, fwd_axes)
        return there, Planned(backend, "irfftn", inverse, points, cmpl_dtype, inv_axes)

    # Writing to arrays

    def fill(self, x: Any, value: Any) -> Any:
        """Set every value of x, in place, and return x. Raises TypeError where arrays do not change."""
        return _write(self, "fill", x, value, "full_like(x, value)")

    def at(self, x: Any, index: Any, value: Any) -> Any:
        """Return a copy of x in which x[index] is `value`; see `addat` for what an index may be."""
        if (mask := _as_mask(index)) is not None:
            return self.where(mask, self.lifted(value, x), x)
        if not _points(index):
            return self.slice_update(x, self.lifted(value, x), index=index)
        return _at_points(self, self.tensor_scatter_nd_update, x, index, value)

    def addat(self, x: Any, index: Any, value: Any) -> Any:
        """Return a copy of x to whose values at `index` `value` is added; where places repeat, as often.

        An index is an array of integers for each of the first axes, a boolean mask, or a basic index.
        """
        if (mask := _as_mask(index)) is not None:
            return self.where(mask, self.add(x, value), x)
        if not _points(index):
            return self.slice_update(x, self.add(self.getitem(x, index=index), value), index=index)
        return _at_points(self, self.tensor_scatter_nd_add, x, index, value)

    def lifted(self, value: Any, like: Any) -> Any:
        """Return a value, array or nested lists as an array of the dtype and in the place of another."""
        if isinstance(value, self.array_types):
            return value
        return op_named("asarray").function(value, dtype=as_dtype(like.dtype), like=like)


# Methods that are made when first asked for


def _method(backend: Any, name: str) -> Callable | None:
    """Return the method of an op's name or alias, perhaps with `_` behind it; None where there is none."""
    if name in TABLE or name in ALIASES:
        op = op_named(name)
        return partial(_create, backend, op) if op.creates else _calling(backend, op)
    functional = name.removesuffix("_")
    if functional != name and (functional in TABLE or functional in ALIASES):
        op = op_named(functional)
        if op.body is None and not op.creates and op.shape in (same, broadcast):
            return partial(_in_place, backend, op, name)
    return None


def _calling(backend: Any, op: Op) -> Callable:
    function, divides = op.function, op.name == "divide"
    draws = "key" in op.define.__code__.co_varnames and backend.stream is not None

    def method(*args: Any, out: Any = None, **settings: Any) -> Any:
        if divides:
            _refuse_fractions(backend)
        if draws:
            _draw(backend, settings)
        made = function(*args, **settings)
        return made if out is None else into(backend, op.name, out, made)

    return update_wrapper(method, function)


def _create(backend: Any, op: Op, *args: Any, **settings: Any) -> Any:
    code = op.define.__code__
    if len(args) > 1 and "shape" in code.co_varnames[:1] and all(isinstance(n, int) for n in args):
        args = (args,)  # zeros(3, 4) as well as zeros((3, 4))
    if backend.dtype is not None and "dtype" in (op.define.__kwdefaults__ or ()):
        settings.setdefault("dtype", backend.dtype)
    if "key" in op.arrays and backend.stream is not None:
        _draw(backend, settings)
    with backend.activated():
        return op.function(*args, **settings)


def _draw(backend: Any, settings: dict) -> None:
    """Give a random op the next key of an instance's own stream; a trace brings its own."""
    if settings.get("key") is None and AMBIENT.get() is None and backend.stream is not None:
        with backend.activated():
            settings["key"] = op_named("asarray").function(list(backend.stream.take()), dtype="uint32")


def _refuse_fractions(backend: Any) -> None:
    if backend.dtype is not None and backend.dtype.kind in _INTEGERS:
        raise TypeError(
            f"divide: a backend of {backend.dtype} has no fractions; use floor_divide, or a float dtype"
        )


def _in_place(backend: Any, op: Op, name: str, x: Any, *args: Any, **settings: Any) -> Any:
    if op.name == "divide":
        _refuse_fractions(backend)
    if not backend.mutable:
        _refuse_writing(backend, name, f"x = {op.name}(x, ...)")
    return into(backend, name, x, op.function(x, *args, **settings))


def into(backend: Any, name: str, out: Any, made: Any) -> Any:
    """Write a result into an array where arrays can be written to, else return the result."""
    if not backend.mutable:
        return made
    if shape_of(made) != shape_of(out):
        raise ValueError(f"{name}: a result of shape {shape_of(made)} does not fit into {shape_of(out)}")
    given, held = as_dtype(made.dtype), as_dtype(out.dtype)
    if KINDS.index(given.kind) > KINDS.index(held.kind):
        raise TypeError(f"{name}: an array of {held} cannot hold a result of {given}")
    return _write(backend, name, out, made, name.rstrip("_"))


def _write(backend: Any, name: str, x: Any, values: Any, instead: str) -> Any:
    if not backend.mutable:
        _refuse_writing(backend, name, instead)
    backend.write(x, values)
    return x


def _refuse_writing(backend: Any, name: str, instead: str) -> None:
    raise TypeError(f"{name}: arrays of {backend} do not change in place; write {instead}")


# What is given


def _as_shape(given: tuple) -> Any:
    return given[0] if len(given) == 1 else given


def _fitting(dtype: DType, given: DType) -> DType:
    """Return the dtype in which an instance of `dtype` keeps what is given."""
    if given.kind == "bool":
        return given
    return promote(dtype, complex) if given.kind == "complex" and dtype.kind != "complex" else dtype


def _as_mask(index: Any) -> Any:
    dtype = getattr(index, "dtype", None)
    return index if dtype is not None and as_dtype(dtype) == "bool" and shape_of(index) else None


def _points(index: Any) -> bool:
    """Whether an index holds arrays or lists of places."""
    parts: Sequence = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list) or shape_of(part) for part in parts)


def _at_points(backend: Any, write: Callable, x: Any, index: Any, value: Any) -> Any:
    """Return what an op writes at arrays of places for each of the first axes."""
    places = backend.stack(_points_of(backend, index), axis=-1)
    sizes = (*shape_of(places)[:-1], *shape_of(x)[shape_of(places)[-1] :])
    return write(x, places, backend.broadcast_to(backend.lifted(value, x), sizes))


def _points_of(backend: Any, index: Any) -> list:
    """Return an array of places for each of the first axes, of one shape."""
    given = index if isinstance(index, tuple) else (index,)
    arrays = [backend.array(i, dtype="int64") if not isinstance(i, backend.array_types) else i for i in given]
    shape = broadcast(*arrays)
    return [backend.broadcast_to(each, shape) for each in arrays]
