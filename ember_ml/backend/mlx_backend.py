"""MLX: lazy arrays on Metal, CUDA or CPU."""

from __future__ import annotations

import copyreg
import math
import shutil
from collections.abc import Callable
from functools import partial
from pkgutil import resolve_name
from typing import Any, ClassVar

import mlx.core as mx

from ember_ml.backend.base import Backend, Gap
from ember_ml.backend.host import host_array_of, plain
from ember_ml.backend.standard import override
from ember_ml.core import TABLE
from ember_ml.core.dtypes import as_dtype
from ember_ml.core.rules import axis_or_only, index_shape, reduced

_HALF_TRUE = "MLX computes it at float32 precision, whatever the dtype"
_NO_COMPLEX128 = "MLX has no complex128; cast to float32 first"
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_SPECTRAL = (
    *("eig", "eigvals", "fft", "ifft", "fftn", "ifftn", "fft2", "ifft2", "hfft", "ihfft"),
    *("rfft", "irfft", "rfftn", "irfftn", "rfft2", "irfft2"),
)
_BY_SPECTRUM = ["compute_interference_strength", "compute_phase_coherence", "partial_interference"]
_MATRIX_GAPS = (
    *(Gap(op, "MLX multiplies matrices of floats alone", _INTEGERS, "host") for op in ("matmul", "einsum")),
    *(
        Gap(op, "MLX has it for real matrices alone", ("complex64",), "host")
        for op in ("cholesky", "qr", "inv", "solve", "det", "slogdet")
    ),
    Gap("eig", "MLX conjugates the eigenvectors of complex matrices", ("complex64",), "host"),
    *(Gap(op, _NO_COMPLEX128, ("float64",)) for op in (*_SPECTRAL, *_BY_SPECTRUM)),
)


class MLXBackend(Backend):
    """MLX. Computes when values are asked for; without complex128, and with float64 on the CPU alone."""

    name = "mlx"
    compiles = mx.is_available(mx.gpu) or shutil.which("g++") is not None  # which mx.compile asks on a CPU
    array_types = (mx.array,)
    xp = mx
    mended = frozenset({"expm1", "tan", "tanh"})
    on_cpu = ("cholesky", "eigh", "eigvals", "eigvalsh", "inv", "det", "slogdet")
    renames: ClassVar[dict[str, str]] = {
        "bitwise_left_shift": "left_shift",
        "bitwise_right_shift": "right_shift",
        "concat": "concatenate",
    }
    functions: ClassVar[dict[str, Callable]] = {"stop_gradient": mx.stop_gradient}
    gaps = (
        tuple(
            Gap(op, _HALF_TRUE, dtypes=("float64",), when="accuracy", tolerance=2e-6)
            for op in ("erf", "gelu")
        )
        + tuple(
            Gap(op, "MLX has no such function", when="host")
            for op in ("nextafter", "lgamma", "digamma", "nonzero", "unique_all", "bincount")
        )
        + (
            Gap("expm1", "MLX has it for real numbers alone", ("complex64",), "host"),
            Gap("erfinv", _HALF_TRUE, ("float64",), "host"),  # near 1 an error in the seventh digit grows
            *_MATRIX_GAPS,
        )
    )

    def devices(self):
        return ["gpu", "cpu"] if mx.is_available(mx.gpu) else ["cpu"]

    def settle(self, device):
        if device is not None:
            mx.set_default_device(mx.Device(mx.gpu if device.startswith("gpu") else mx.cpu, 0))

    def default_device(self):
        return self.device or ("gpu" if mx.default_device() == mx.Device(mx.gpu, 0) else "cpu")

    def memory_info(self, device=None):
        host = super().memory_info(device)  # one memory for all devices
        return {**host, "used": max(host["used"], mx.get_active_memory())}

    def free_cache(self):
        mx.clear_cache()

    def synchronize(self, x=None):
        mx.eval(x) if x is not None else mx.synchronize()

    def native_dtype(self, dtype):
        name = as_dtype(dtype)
        native = getattr(mx, "bool_" if name == "bool" else name, None)
        if native is None:
            raise TypeError(f"mlx has no dtype {name}")
        return native

    def jit(self, function, *, whole=True):
        return mx.compile(function) if self.compiles and whole else function

    def jit_body(self, body):
        if not self.compiles:
            return body
        compiled = mx.compile(body)

        def run(*arrays: mx.array) -> Any:
            return compiled(*arrays)

        run.out_specs = body.out_specs  # pyright: ignore[reportFunctionMemberAccess]
        return run

    def from_host(self, host, device, like):
        return mx.array(plain(host), dtype=self.native_dtype(host.dtype))

    @override
    def astype(self, x, dtype):
        return x.astype(self.native_dtype(dtype))

    @override
    def sign(self, x):
        out = mx.where(x == 0, mx.zeros_like(x), mx.sign(x))
        return mx.where(mx.isnan(x), x, out) if x.dtype in (mx.float16, mx.float32, mx.float64) else out

    @override
    def getitem(self, x, index):
        index_shape(x, index)
        return x[index]

    @override
    def full(self, shape, fill_value, dtype, device, like):
        if isinstance(fill_value, int) and fill_value >= 2**63:  # MLX takes no such number
            return mx.full(shape, mx.array(host_array_of(fill_value, "uint64")))
        native = self.native_dtype(dtype or type(fill_value))
        return mx.full(shape, fill_value, dtype=native).astype(native)  # of a number, it makes no truths

    @override
    def linspace(self, start, stop, num, endpoint, dtype, device, like):
        supplied = Backend.overrides["linspace"]
        ends = (start, stop)
        if any(isinstance(end, complex) for end in ends) or (dtype and as_dtype(dtype).kind == "complex"):
            parts = ([complex(end).real for end in ends], [complex(end).imag for end in ends])
            real, imag = (supplied(self, *part, num, endpoint, "float32", device, like) for part in parts)
            return real + 1j * imag
        return supplied(self, start, stop, num, endpoint, dtype, device, like)

    @override
    def reshape(self, x, shape, copy):
        return mx.reshape(x, (shape,) if isinstance(shape, int) else shape)

    @override
    def slice_update(self, x, updates, index):
        index_shape(x, index)  # MLX itself passes over a wrong place
        out = mx.array(x)
        out[index if isinstance(index, tuple) else (index,)] = updates  # a bare None MLX takes for all of x
        return out

    @override
    def take(self, x, indices, axis):
        places = mx.array(indices) if isinstance(indices, int) else indices  # MLX takes no plain -1
        return mx.take(x, places, axis=axis_or_only(x, axis))

    def written(self, how, x, indices, updates, axis):
        at = axis_or_only(x, axis)
        indices = mx.array(indices)
        region = mx.broadcast_to(mx.array(updates), (*x.shape[:at], *indices.shape, *x.shape[at + 1 :]))
        if not region.size:  # MLX 0.32 divides by zero there, and the process dies
            return x
        return getattr(x.at[(*(slice(None),) * at, indices)], how)(region.astype(x.dtype))

    @override
    def argsort(self, x, axis, descending, stable):
        return mx.argsort(self.mirrored(x) if descending else x, axis=axis).astype(mx.int64)

    @override
    def searchsorted(self, x1, x2, sorter, side):
        x1 = x1 if sorter is None else mx.take(x1, sorter)
        return mx.searchsorted(x1, x2, side=side).astype(mx.int64)

    def total(self, run, x, dtype, **settings):
        wanted = self.total_dtype(x, dtype)
        x = x if wanted is None else x.astype(wanted)
        return run(x, **settings).astype(x.dtype)

    @override
    def sum(self, x, axis, keepdims, dtype):
        return self.total(partial(_reduced, mx.sum, 0), x, dtype, axis=axis, keepdims=keepdims)

    @override
    def prod(self, x, axis, keepdims, dtype):
        return self.total(partial(_reduced, mx.prod, 1), x, dtype, axis=axis, keepdims=keepdims)

    @override
    def any(self, x, axis, keepdims):
        return _reduced(mx.any, False, x, axis, keepdims)

    @override
    def all(self, x, axis, keepdims):
        return _reduced(mx.all, True, x, axis, keepdims)

    @override
    def cumulative_sum(self, x, axis, dtype, include_initial):
        run = partial(_so_far, mx.cumsum, 0)
        return self.total(run, x, dtype, axis=axis, include_initial=include_initial)

    @override
    def cumulative_prod(self, x, axis, dtype, include_initial):
        run = partial(_so_far, mx.cumprod, 1)
        return self.total(run, x, dtype, axis=axis, include_initial=include_initial)

    @override
    def argmax(self, x, axis, keepdims):
        return mx.argmax(x, axis=axis, keepdims=keepdims).astype(mx.int64)

    @override
    def argmin(self, x, axis, keepdims):
        return mx.argmin(x, axis=axis, keepdims=keepdims).astype(mx.int64)

    # At float64 MLX computes exp, and all that uses it, at float32 precision; expm1 and log1p are exact.

    @override
    def exp(self, x):
        if x.dtype != mx.float64:
            return mx.exp(x)
        grown = mx.expm1(mx.abs(x)) + 1
        return mx.where(x < 0, 1 / grown, grown)

    @override
    def sin(self, x):
        if x.dtype != mx.float64:
            return mx.where(x == 0, x, mx.sin(x))  # MLX drops the sign of 0
        half = mx.tan(x / 2)  # whose float64 is true
        return 2 * half / (1 + half * half)

    @override
    def cos(self, x):
        if x.dtype != mx.float64:
            return mx.cos(x)
        half = mx.tan(x / 2)
        return (1 - half * half) / (1 + half * half)

    @override
    def erfinv(self, x):
        return self.on_host(TABLE["erfinv"])(x) if x.dtype == mx.float64 else mx.erfinv(x)

    @override
    def hypot(self, x1, x2):
        x1, x2 = mx.abs(x1), mx.abs(x2)
        longer, shorter = mx.maximum(x1, x2), mx.minimum(x1, x2)
        ratio = mx.where(mx.isfinite(longer) & (longer > 0), shorter / longer, shorter * 0)
        either = mx.isinf(x1) | mx.isinf(x2)
        return mx.where(either, mx.array(float("inf"), longer.dtype), longer * mx.sqrt(1 + ratio * ratio))

    @override
    def signbit(self, x):
        return x.view(getattr(mx, f"int{8 * x.dtype.size}")) < 0

    @override
    def copysign(self, x1, x2):
        x1, x2 = (x if type(x) is mx.array else mx.array(x, o.dtype) for x, o in ((x1, x2), (x2, x1)))
        return mx.where(self.signbit(x2), -mx.abs(x1), mx.abs(x1))

    @override
    def logaddexp(self, x1, x2):
        if all(type(x) is not mx.array or x.dtype != mx.float64 for x in (x1, x2)):
            return mx.logaddexp(x1, x2)
        high, low = mx.maximum(x1, x2), mx.minimum(x1, x2)
        return mx.where(high == low, high + math.log(2), high + mx.log1p(self.exp(low - high)))

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
    def convolution(self, x, weight, stride, padding, dilation, input_dilation, groups):
        cuts = any(n < 0 for pair in padding for n in pair)
        empty = not (x.size and weight.size)  # which MLX divides by
        if empty or x.dtype == mx.float64 or cuts or (groups > 1 and len(stride) == 3):
            # MLX has float64 at float32 precision, pads but never cuts, and has no groups in three dimensions
            settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            return TABLE["convolution"].define(x, weight, input_dilation=input_dilation, **settings)
        x, weight = mx.moveaxis(x, 1, -1), mx.moveaxis(weight, 1, -1)
        lows, highs = (list(side) for side in zip(*padding, strict=True))
        out = mx.conv_general(x, weight, stride, (lows, highs), dilation, input_dilation, groups)
        return mx.moveaxis(out, -1, 1)

    def _find(self, op):
        found = super()._find(op)  # factors of matrices MLX has on the CPU alone, and wants to be told
        return partial(found, stream=mx.cpu) if op.name in self.on_cpu else found

    def transform(self, name, x, s, axes, norm, out=None):
        if name == "rfftn" and x.dtype == mx.complex64:
            raise TypeError("rfftn: expected real arrays")  # MLX itself would drop the imaginary part
        return super().transform(name, x, s, axes, norm)

    @override
    def eig(self, x):
        return self.on_host(TABLE["eig"])(x) if x.dtype == mx.complex64 else mx.linalg.eig(x, stream=mx.cpu)

    @override
    def solve(self, x1, x2):
        right = x2[..., None] if x2.ndim == 1 else x2
        batch = mx.broadcast_shapes(x1.shape[:-2], right.shape[:-2])
        x1, right = (mx.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (x1, right))
        out = mx.linalg.solve(x1, right, stream=mx.cpu)
        return out[..., 0] if x2.ndim == 1 else out

    @override
    def qr(self, x, mode):
        n, m = x.shape[-2:]
        if mode == "complete" and n > m:  # further columns to factor make Q square
            x = mx.concatenate([x, mx.broadcast_to(mx.eye(n, dtype=x.dtype), (*x.shape[:-1], n))], axis=-1)
        q, r = mx.linalg.qr(x, stream=mx.cpu)
        return q, r[..., :m]

    @override
    def svd(self, x, full_matrices):
        u, s, vh = mx.linalg.svd(x, stream=mx.cpu)
        k = s.shape[-1]
        return (u, s, vh) if full_matrices else (u[..., :k], s, vh[..., :k, :])

    @override
    def svdvals(self, x):
        return mx.linalg.svd(x, compute_uv=False, stream=mx.cpu)


def _so_far(run: Callable, first: int, x: mx.array, axis: Any, include_initial: bool) -> mx.array:
    """Return running totals, after what they begin with if that is asked for."""
    at = axis_or_only(x, axis)
    totals = run(x, axis=at)
    before = [(int(i == at), 0) for i in range(x.ndim)]
    return (
        mx.pad(totals, before, constant_values=mx.array(first, totals.dtype)) if include_initial else totals
    )


def _reduced(function: Callable, nothing: Any, x: mx.array, axis: Any, keepdims: bool) -> mx.array:
    """Return x reduced; of an empty array MLX 0.32 gives chance numbers, or takes half a minute."""
    if x.size:
        return function(x, axis=axis, keepdims=keepdims)
    dtype = mx.bool_ if type(nothing) is bool else x.dtype
    return mx.full(reduced(x, axis, keepdims), mx.array(nothing, dtype))


# MLX's dtypes do not pickle by themselves, and compiled functions keep them. One has not the name it says.
copyreg.pickle(mx.Dtype, lambda dtype: (resolve_name, (f"{dtype}{'_' * (dtype == mx.bool_)}",)))
