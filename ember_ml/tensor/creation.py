"""Making tensors, and the seeds' spellings of the ops that shape them. All of it returns EmberTensors.

What needs no array argument is made by the active backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ember_ml import ops
from ember_ml.backend import Backend, get_backend
from ember_ml.core import DType, as_dtype
from ember_ml.core.rules import shape_of
from ember_ml.tensor.conversion import bare, host, owner_of, to_engine
from ember_ml.tensor.ember_tensor import EmberTensor, copied


def convert_to_tensor(
    data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> EmberTensor:
    """Return data as a tensor: lists and numbers on the active backend, arrays of any engine as they are.

    So a NumPy array stays NumPy's while another backend is active: `to_backend(x, "torch")` moves it. A
    tensor that needs no change is returned itself; lists of tensors are stacked.
    """
    if isinstance(data, list | tuple) and _holds_tensor(data):
        data = ops.stack([convert_to_tensor(each) for each in data])
    if not isinstance(data, EmberTensor):
        return EmberTensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
    data = data.to(device=device, dtype=dtype)
    return data if data.requires_grad or not requires_grad else EmberTensor(data, requires_grad=True)


def _holds_tensor(data: Sequence) -> bool:
    return any(isinstance(x, EmberTensor) or (isinstance(x, list | tuple) and _holds_tensor(x)) for x in data)


def array(
    data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> EmberTensor:
    """Return a new tensor with a copy of data: nested lists, numbers, or an array of any engine.

    >>> array([[1, 2], [3, 4]]) @ array([1, 1])
    EmberTensor([3 7], shape=(2,), dtype=int64, backend=numpy)
    """
    made = EmberTensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
    if made.data is bare(data):
        made.data = copied(made.data)
    return made


tensor = array


def zeros(
    shape: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> EmberTensor:
    """Return zeros, of the default float dtype unless told."""
    return EmberTensor(ops.zeros(shape, dtype=dtype, device=device), requires_grad=requires_grad)


def ones(
    shape: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> EmberTensor:
    """Return ones, of the default float dtype unless told."""
    return EmberTensor(ops.ones(shape, dtype=dtype, device=device), requires_grad=requires_grad)


def full(
    shape: Any, fill_value: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> EmberTensor:
    """Return one number everywhere; its dtype follows the number's kind unless told."""
    return EmberTensor(ops.full(shape, fill_value, dtype=dtype, device=device), requires_grad=requires_grad)


def eye(
    n_rows: int, n_cols: int | None = None, dtype: Any = None, device: str | None = None, *, k: int = 0
) -> EmberTensor:
    """Return ones on a diagonal, `k` places above the main one, and zeros elsewhere."""
    return EmberTensor(ops.eye(n_rows, n_cols, k=k, dtype=dtype, device=device))


def empty(
    shape: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> EmberTensor:
    """Return an array to be filled: of zeros, so that a program that forgets to fill it repeats."""
    return zeros(shape, dtype, device, requires_grad)


def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, device: str | None = None
) -> EmberTensor:
    """Return evenly spaced numbers from `start` (0 if only one is given) up to, not including, `stop`."""
    return EmberTensor(ops.arange(start, stop, step, dtype=dtype, device=device))


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    dtype: Any = None,
    device: str | None = None,
    *,
    endpoint: bool = True,
) -> EmberTensor:
    """Return `num` evenly spaced numbers from `start` to `stop`, which `endpoint=False` leaves out."""
    return EmberTensor(ops.linspace(start, stop, num, endpoint=endpoint, dtype=dtype, device=device))


# Where the seeds' form is another than the op's


def split(x: Any, num_or_size_splits: int | Sequence[int], axis: int = 0) -> tuple[EmberTensor, ...]:
    """Return the parts along an axis: so many equal ones, or parts of sizes given, of which one may be -1."""
    x = convert_to_tensor(x)
    if isinstance(num_or_size_splits, int):
        return ops.split(x, num_or_size_splits, axis=axis)
    sizes, size = list(num_or_size_splits), x.shape[axis]
    if -1 in sizes:
        sizes[sizes.index(-1)] = size - sum(sizes) - 1
    if sum(sizes) != size or min(sizes) < 0:
        given = tuple(num_or_size_splits)
        raise ValueError(f"split: parts of {given} do not make up axis {axis} of size {size}")
    return ops.split(x, list(accumulate(sizes))[:-1], axis=axis)


def copy(x: Any) -> EmberTensor:
    """Return a copy, through which gradients flow."""
    x = convert_to_tensor(x)
    return ops.slice_update(x, x, index=...)


def slice_update(x: Any, slices: Any, updates: Any = None) -> EmberTensor:
    """Return a copy of x in which x[slices] is `updates`; without updates, return x[slices]."""
    x = convert_to_tensor(x)
    index = tuple(slices) if isinstance(slices, list) else slices
    if updates is None:
        return x[index]
    if isinstance(updates, list | tuple):
        updates = ops.asarray(updates, dtype=x.dtype, like=x.data)
    return ops.slice_update(x, updates, index=index)


# What a tensor is, and how it leaves


def shape(x: Any) -> tuple[int, ...]:
    """Return the sizes of the axes."""
    return shape_of(x) if owner_of(x) else convert_to_tensor(x).shape


def to_numpy(x: Any) -> Any:
    """Return the values as a new NumPy array."""
    return host(convert_to_tensor(x).data).copy()


def item(x: Any) -> Any:
    """Return a single value as a Python number."""
    return convert_to_tensor(x).item()


def to_backend(x: Any, name: str | Backend, copy: bool | None = None) -> Any:
    """Return an array on another engine, with the same values and dtype: a tensor for a tensor, else native.

    The memory is shared with `copy=False`; by default only where what is written on one side could not
    change an array of JAX or MLX on the other, as between NumPy and torch. Raises TypeError where the engine
    lacks the dtype, ValueError where sharing cannot be, RuntimeError for a result on a gradient's path.
    """
    return x.to_backend(name, copy) if isinstance(x, EmberTensor) else to_engine(x, get_backend(name), copy)


def dtype(x: Any) -> DType:
    """Return the dtype of an array, or the one that a name, a type or an engine's dtype object means."""
    return as_dtype(x.dtype if owner_of(x) else x)


def get_dtype(name: Any) -> DType:
    """Return the dtype of this name."""
    return as_dtype(name)


def to_dtype_str(dtype: Any) -> str:
    """Return the name of a dtype of any engine."""
    return as_dtype(dtype).name


def from_dtype_str(name: str) -> DType:
    """Return the dtype of this name. Raises ValueError for a name that there is not."""
    try:
        return as_dtype(name)
    except TypeError as error:
        raise ValueError(str(error)) from error
