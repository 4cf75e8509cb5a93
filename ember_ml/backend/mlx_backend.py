"""MLX: lazy arrays on Metal, CUDA or CPU."""

from __future__ import annotations

import copyreg
import shutil
from typing import Any, ClassVar

import mlx.core as mx

from ember_ml.backend.base import Backend, Gap, override
from ember_ml.core import TABLE
from ember_ml.core.dtypes import as_dtype
from ember_ml.core.rules import as_axis, index_shape, reduced

_HALF_TRUE = "MLX computes it at float32 precision, whatever the dtype"


class MLXBackend(Backend):
    """MLX. Computes when values are asked for; without complex128, and with float64 on the CPU alone."""

    name = "mlx"
    array_types = (mx.array,)
    xp = mx
    renames: ClassVar[dict[str, str]] = {
        "bitwise_left_shift": "left_shift",
        "bitwise_right_shift": "right_shift",
        "concat": "concatenate",
    }
    gaps = tuple(
        Gap(op, _HALF_TRUE, dtypes=("float64",), when="accuracy", tolerance=2e-6)
        for op in ("sin", "cos", "erf", "gelu")
    )

    def devices(self):
        return ["gpu", "cpu"] if mx.is_available(mx.gpu) else ["cpu"]

    def synchronize(self, x=None):
        mx.eval(x) if x is not None else mx.synchronize()

    def native_dtype(self, dtype):
        name = as_dtype(dtype)
        native = getattr(mx, "bool_" if name == "bool" else name, None)
        if native is None:
            raise TypeError(f"mlx has no dtype {name}")
        return native

    def extremes(self, indices: Any) -> tuple[int, int] | None:
        return (int(indices.min().item()), int(indices.max().item())) if indices.size else None

    def jit(self, function, *, whole=True):
        return mx.compile(function) if _compiles() and whole else function

    def jit_body(self, body):
        if not _compiles():
            return body
        compiled = mx.compile(body)

        def run(*arrays: mx.array) -> Any:
            return compiled(*arrays)

        run.out_specs = body.out_specs  # pyright: ignore[reportFunctionMemberAccess]
        return run

    def from_host(self, host, device, like):
        return mx.array(host, dtype=self.native_dtype(host.dtype))

    @override
    def astype(self, x, dtype):
        return x.astype(self.native_dtype(dtype))

    @override
    def getitem(self, x, index):
        index_shape(x, index)
        return x[index]

    @override
    def slice_update(self, x, updates, index):
        index_shape(x, index)  # MLX itself passes over a wrong place
        out = mx.array(x)
        out[index] = updates
        return out

    @override
    def index_add(self, x, indices, updates, axis):
        at = as_axis(axis, x.ndim)
        region = mx.broadcast_to(updates, (*x.shape[:at], *indices.shape, *x.shape[at + 1 :]))
        return x.at[(*(slice(None),) * at, indices)].add(region.astype(x.dtype))

    @override
    def argsort(self, x, axis, descending):
        if descending:  # ties keep their order: sort the mirror image
            size = x.shape[axis]
            mirrored = size - 1 - self._stable_argsort(mx.flip(x, axis=axis), axis)
            return mx.flip(mirrored, axis=axis)
        return self._stable_argsort(x, axis)

    def _stable_argsort(self, x: mx.array, axis: int) -> mx.array:
        return mx.argsort(x, axis=axis).astype(mx.int64)

    @override
    def sort(self, x, axis, descending):
        ordered = mx.sort(x, axis=axis)
        return mx.flip(ordered, axis=axis) if descending else ordered

    @override
    def sum(self, x, axis, keepdims):
        x = _widened(x)
        return (
            mx.sum(x, axis=axis, keepdims=keepdims) if x.size else _of_nothing(x, axis, keepdims, 0, x.dtype)
        )

    @override
    def any(self, x, axis, keepdims):
        return (
            mx.any(x, axis=axis, keepdims=keepdims)
            if x.size
            else _of_nothing(x, axis, keepdims, False, mx.bool_)
        )

    @override
    def all(self, x, axis, keepdims):
        return (
            mx.all(x, axis=axis, keepdims=keepdims)
            if x.size
            else _of_nothing(x, axis, keepdims, True, mx.bool_)
        )

    @override
    def cumulative_sum(self, x, axis):
        return mx.cumsum(_widened(x), axis=axis)

    @override
    def argmax(self, x, axis, keepdims):
        return mx.argmax(x, axis=axis, keepdims=keepdims).astype(mx.int64)

    @override
    def argmin(self, x, axis, keepdims):
        return mx.argmin(x, axis=axis, keepdims=keepdims).astype(mx.int64)

    # At float64 MLX computes exp, and all that uses it, at float32 precision; expm1 and log1p are exact.

    @override
    def exp(self, x):
        return _exp(x) if x.dtype == mx.float64 else mx.exp(x)

    @override
    def logaddexp(self, x1, x2):
        if all(type(x) is not mx.array or x.dtype != mx.float64 for x in (x1, x2)):
            return mx.logaddexp(x1, x2)
        high, low = mx.maximum(x1, x2), mx.minimum(x1, x2)
        return mx.where(high == low, high + _LOG2, high + mx.log1p(_exp(low - high)))

    @override
    def sigmoid(self, x):
        return TABLE["sigmoid"].define(x) if x.dtype == mx.float64 else mx.sigmoid(x)

    @override
    def softmax(self, x, axis):
        return TABLE["softmax"].define(x, axis=axis) if x.dtype == mx.float64 else mx.softmax(x, axis=axis)

    @override
    def logsumexp(self, x, axis, keepdims):
        body = TABLE["logsumexp"].define if x.dtype == mx.float64 else mx.logsumexp
        return body(x, axis=axis, keepdims=keepdims)

    @override
    def stop_gradient(self, x):
        return mx.stop_gradient(x)


_WIDE = {mx.bool_: mx.int64, **dict.fromkeys((mx.int8, mx.int16, mx.int32), mx.int64)}
_WIDE |= dict.fromkeys((mx.uint8, mx.uint16, mx.uint32), mx.uint64)


def _widened(x: mx.array) -> mx.array:
    """Return integers in the 64 bits in which the standard sums them."""
    return x.astype(_WIDE[x.dtype]) if x.dtype in _WIDE else x


def _of_nothing(x: mx.array, axis: Any, keepdims: bool, value: Any, dtype: mx.Dtype) -> mx.array:
    """Return what reducing an empty array gives. MLX 0.32 gives chance numbers, or takes half a minute."""
    return mx.full(reduced(x, axis, keepdims), value, dtype=dtype)


def _dtype_of(name: str) -> mx.Dtype:
    return getattr(mx, name)


# MLX's dtypes do not pickle by themselves, and compiled functions keep them.
copyreg.pickle(mx.Dtype, lambda dtype: (_dtype_of, (str(dtype).rpartition(".")[2],)))


def _compiles() -> bool:
    """Whether mx.compile can work: on a CPU it asks g++."""
    return mx.is_available(mx.gpu) or shutil.which("g++") is not None


_LOG2 = 0.6931471805599453


def _exp(x: mx.array) -> mx.array:
    grown = mx.expm1(mx.abs(x)) + 1
    return mx.where(x < 0, 1 / grown, grown)
