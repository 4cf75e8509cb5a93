"""EmberTensor: one array type with the standard's semantics, on every engine.

It wraps an engine's array. A tensor is a name for a value: views never alias, and what other libraries do in
place binds the name to a new value here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from ember_ml import ops
from ember_ml.backend import Backend, get_backend
from ember_ml.core import DType, as_dtype
from ember_ml.core.dispatch import owner_of as owner_of_type
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.op import ALIASES, TABLE
from ember_ml.core.operators import BINARY, COMPARISONS, Operators
from ember_ml.core.rules import shape_of
from ember_ml.core.trace import Node
from ember_ml.tensor import indexing
from ember_ml.tensor.conversion import engine_of, host, moved, native, owner_of, to_engine
from ember_ml.tensor.gradient import RECORDING, backward, first_cotangent
from ember_ml.tensor.printing import as_html, as_text

_PYTHON = {"bool": bool, "uint": int, "int": int, "float": float, "complex": complex}
_UFUNCS = {
    "absolute": "abs",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
}


class EmberTensor(Operators):
    """An array of any engine, with operators, indexing, methods for all ops, and gradients.

    `data` may be nested lists or numbers, which go to the active backend, or an array, wrapped as it is: an
    array keeps its engine, whichever is active (`to_backend` moves it). Beside a native array on the left the
    result is a tensor, except on MLX, whose operators never ask the right side: `mlx_array + x` is MLX's
    array, and an error where x requires a gradient. Write `x + mlx_array`, or `ops.add(mlx_array, x)`.
    Raises TypeError when gradients are required of a dtype that has none.
    """

    __slots__ = ("__dict__", "__weakref__", "family", "native", "requires_grad")
    native: Any  # the engine's array
    family: Any  # what the interpreter knows of the array's type and dtype; None until it looks
    requires_grad: bool  # whether `backward` of what is computed from it leads here
    grad: EmberTensor | None = None  # the gradient gathered so far, of a leaf
    node: Node | None = None  # the op that it is a result of; None for a leaf
    index: int = 0  # which of that op's results
    __hash__ = object.__hash__

    def __init__(
        self, data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
    ):
        self.data, self.requires_grad = native(data, dtype, device), requires_grad
        if requires_grad and self.dtype.kind not in FLOATING:
            raise TypeError(f"requires_grad: gradients need a floating-point dtype, got {self.dtype}")

    def _hold(self, data: Any) -> None:
        self.native, self.family = data, None

    data = property(attrgetter("native"), _hold, doc="The native array itself.")

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return shape_of(self.data)

    @property
    def dtype(self) -> DType:
        """The dtype, which is also its name: `x.dtype == "float32"`."""
        return as_dtype(self.data.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def backend(self) -> Backend:
        """The backend that computes with it."""
        return engine_of(self.data)

    @property
    def device(self) -> str:
        """The name of the device that holds it."""
        engine = self.backend
        return engine.device_of(self.data) if owner_of(self.data) is engine else engine.default_device()

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    # Its values, elsewhere

    def to_backend_tensor(self) -> Any:
        """Return the native array itself."""
        return self.data

    def to_numpy(self) -> Any:
        """Return the values as a new NumPy array; `np.asarray(x)` may not copy. bfloat16 is float32 there."""
        return host(self.data).copy()

    numpy = to_numpy

    def item(self) -> Any:
        """Return a single value as a Python number. Raises ValueError when there are more."""
        return self._single("item")

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return host(self.data).tolist()

    def _single(self, name: str) -> Any:
        if self.size != 1:
            raise ValueError(f"{name}: expected a single value, got a tensor of shape {self.shape}")
        if isinstance(owner_of(self.data), Backend):
            return host(self.data).item()
        return _PYTHON[self.dtype.kind](self.data)

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth of a tensor of shape {self.shape} is ambiguous; use any() or all()")
        return bool(self._single("bool"))

    def __int__(self) -> int:
        return int(self._single("int"))

    def __float__(self) -> float:
        return float(self._single("float"))

    def __complex__(self) -> complex:
        if self.requires_grad:  # MLX asks for it: `mlx_array * tensor` would be a constant, without a word
            raise TypeError(
                "complex: a tensor that requires a gradient would lose it; x.detach() or x.item()"
            )
        return complex(self._single("complex"))

    def __index__(self) -> int:
        if self.dtype.kind not in ("int", "uint") or self.ndim:
            raise TypeError(f"index: expected a single integer, got {self.dtype} of shape {self.shape}")
        return self._single("index")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        values = host(self.data)
        if dtype is not None and values.dtype != dtype:
            if copy is False:
                raise ValueError(f"a tensor of {self.dtype} becomes {dtype} only by a copy")
            return values.astype(dtype)
        if copy:
            return values.copy()
        view = values.view()
        view.flags.writeable = False  # or writing it would change this value under other names
        return view

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        given: str = ufunc.__name__
        name = _UFUNCS.get(given, given)
        op = TABLE.get(ALIASES.get(name, name))
        if method != "__call__" or settings or op is None:
            return NotImplemented
        return op.function(*inputs)

    def __dlpack__(
        self,
        /,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a capsule that shares the memory, by dlpack's rules: who writes to it changes this value.

        Raises BufferError when a gradient is required, which would be lost: `detach()` first.
        """
        if self.requires_grad:
            raise BufferError("dlpack: a tensor that requires a gradient would lose it; export x.detach()")
        settings = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        return self._array().__dlpack__(**{k: v for k, v in settings.items() if v is not None})

    def __dlpack_device__(self) -> Any:
        return self._array().__dlpack_device__()

    def _array(self) -> Any:
        """Return the native array; for a NumPy scalar, the array of no axes."""
        scalars = owner_of(self.data).scalar_types
        return host(self.data) if isinstance(self.data, scalars) else self.data

    # Its values, one by one

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor of no dimensions has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[EmberTensor]:
        if not self.shape:
            raise TypeError("a tensor of no dimensions has no rows to go through")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if indexing.is_basic(index):
            return ops.getitem(self, index=index)
        return indexing.get(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._refuse_leaf()
        if isinstance(value, list):
            value = ops.asarray(value, dtype=self.dtype, like=self)
        elif isinstance(value, bool | int | float | complex):  # engines take numbers in dtypes of their own
            value = ops.full((), value, dtype=self.dtype, like=self)
        put = ops.slice_update if indexing.is_basic(index) else indexing.put
        self._rebind(put(self, value, index=index))

    def _rebind(self, new: EmberTensor) -> EmberTensor:
        """Let this tensor be the value of another, of the same shape and kind of dtype."""
        self._refuse_leaf()
        if new.shape != self.shape:
            raise ValueError(f"in place: shape {self.shape} cannot become {new.shape}")
        if new.dtype != self.dtype:
            if new.dtype.kind != self.dtype.kind:
                raise TypeError(f"in place: {self.dtype} cannot become {new.dtype}; write x = x + y")
            new = ops.astype(new, dtype=self.dtype)
        self.data = new.data
        if RECORDING.get():
            self.requires_grad, self.node, self.index = new.requires_grad, new.node, new.index
        return self

    def _refuse_leaf(self) -> None:
        if self.requires_grad and self.node is None and RECORDING.get():
            raise RuntimeError("a leaf that requires a gradient changes in place only within no_grad()")

    # Gradients

    def backward(self, gradient: Any = None) -> None:
        """Add to `.grad` of each leaf the derivative of this single number, or of its sum times `gradient`.

        It may be called again; gradients add up. Raises RuntimeError when nothing here requires a gradient,
        ValueError when this is no single number and `gradient` is missing or has another shape.
        """
        if gradient is not None:
            given = native(gradient) if owner_of(gradient) else ops.asarray(gradient, like=self.data)
            gradient = EmberTensor(given)
        for leaf, found in backward(self, first_cotangent(self, gradient)):
            leaf.grad = wrap(found if leaf.grad is None else ops.add(leaf.grad.data, found))

    def detach(self) -> EmberTensor:
        """Return the same value as a constant."""
        return wrap(self.data)

    # Other forms of it

    def to(self, device: str | None = None, dtype: Any = None) -> EmberTensor:
        """Return it on another device, in another dtype; itself where nothing changes."""
        out = self if dtype is None or as_dtype(dtype) == self.dtype else ops.astype(self, dtype=dtype)
        if device is None:
            return out
        place = moved(out.data, device)
        return out if place is out.data else out._elsewhere(place)

    def to_device(self, device: str, /, *, stream: Any = None) -> EmberTensor:
        """Return it on another device, as the standard says it. Raises ValueError for a stream."""
        if stream is not None:
            raise ValueError(f"to_device: a copy waits for no stream, got {stream!r}")
        return self.to(device=device)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """Return `ember_ml.array_api`. Raises ValueError for a version of the standard that it is not."""
        from ember_ml import array_api

        if api_version not in (None, *array_api.VERSIONS):
            known = ", ".join(array_api.VERSIONS)
            raise ValueError(f"array namespace: unknown version {api_version!r}; known: {known}")
        return array_api

    def to_backend(self, name: str | Backend, copy: bool | None = None) -> EmberTensor:
        """Return it as an array of another engine, with the same dtype; see `ember_ml.tensor.to_backend`."""
        place = to_engine(self.data, get_backend(name), copy)
        return self if place is self.data else self._elsewhere(place)

    def _elsewhere(self, data: Any) -> EmberTensor:
        if self.node is not None:
            raise RuntimeError("a gradient's path leads to no other device or engine: detach() first")
        out = wrap(data)
        out.requires_grad = self.requires_grad
        return out

    def __copy__(self) -> EmberTensor:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.data, other.requires_grad = self.data, self.requires_grad
        return other

    def __deepcopy__(self, memo: dict) -> EmberTensor:
        other = object.__new__(type(self))
        memo[id(self)] = other
        other._take(copy.deepcopy(self._own(), memo))
        other.data = copied(self.data)
        return other

    def __getstate__(self) -> dict:
        place = {"dtype": str(self.dtype), "backend": self.backend.name}
        return {**self._own(), "data": host(self.data), **place}

    def __setstate__(self, state: dict) -> None:
        values, dtype, engine = (state.pop(name) for name in ("data", "dtype", "backend"))
        with get_backend(engine).activated():
            self.data = native(ops.asarray(values), dtype)
        self._take(state)

    def _own(self) -> dict:
        """Return what a copy keeps besides the data. A copy is a leaf: a result loses its way back."""
        state = {k: v for k, v in self.__dict__.items() if k not in ("node", "index")}
        return {**state, "requires_grad": self.requires_grad and self.node is None}

    def _take(self, state: dict) -> None:
        self.requires_grad = state.pop("requires_grad")
        self.__dict__.update(state)


def wrap(data: Any) -> EmberTensor:
    """Return a native (or traced) array as a tensor, as it is."""
    out = object.__new__(EmberTensor)
    out.data, out.requires_grad = data, False
    return out


def copied(data: Any) -> Any:
    """Return a copy of a native array."""
    return ops.slice_update(data, data, index=...)


def _in_place(op: str) -> Callable:
    def method(self: EmberTensor, other: Any) -> EmberTensor:
        self._refuse_leaf()
        return self._rebind(TABLE[op].function(self, other))

    return method


def _compared(op: str) -> Callable:
    def method(self: EmberTensor, other: Any) -> Any:
        if not _is_number_or_array(other):
            return NotImplemented  # Python's own answer: they are not equal
        return TABLE[op].function(self, other)

    return method


def _is_number_or_array(x: Any) -> bool:
    try:
        owner_of_type(type(x))
    except LookupError:
        return False
    return x is not None


for _name, _op in BINARY.items():
    setattr(EmberTensor, f"__i{_name}__", _in_place(_op))
for _name in ("eq", "ne"):
    setattr(EmberTensor, f"__{_name}__", _compared(COMPARISONS[_name]))
