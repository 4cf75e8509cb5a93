"""JAX: immutable arrays, and functions compiled by XLA."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.random import threefry_2x32
from jax.scipy import special

from ember_ml.backend import jax_loops
from ember_ml.backend.base import Backend
from ember_ml.backend.standard import override
from ember_ml.core import tree
from ember_ml.core.dtypes import DTYPES, as_dtype
from ember_ml.core.rules import axis_or_only, index_shape

_NARROW = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}


# Complex functions in which XLA takes its own way at zeros, infinities and NaN.
_COMPLEX = """
    abs acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2 sin sinh sqrt tan tanh
"""


class JaxBackend(Backend):
    """JAX. Choosing it turns on 64-bit mode unless JAX_ENABLE_X64 is set; meeting its arrays does not."""

    name = "jax"
    compiles = True
    array_types = (jax.Array, Tracer)
    xp = jnp
    mended = frozenset(_COMPLEX.split())
    functions: ClassVar[dict[str, Callable]] = {
        "erf": special.erf,
        "erfinv": special.erfinv,
        "lgamma": special.gammaln,
        "sigmoid": jax.nn.sigmoid,
        "stop_gradient": jax.lax.stop_gradient,
    }

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.chosen()

    @classmethod
    def met(cls):
        self = cls.__new__(cls)
        Backend.__init__(self)
        return self

    def chosen(self):
        if "JAX_ENABLE_X64" not in os.environ:
            jax.config.update("jax_enable_x64", True)

    def devices(self):
        return sorted({d.platform for d in jax.devices()} | {"cpu"}, key=lambda name: name == "cpu")

    def device_of(self, x):
        return "traced" if isinstance(x, Tracer) else next(iter(x.devices())).platform

    def device_count(self):
        return len(jax.devices(self.devices()[0]))

    def default_device(self):
        return self.device or jax.devices()[0].platform

    def carry(self, x, device):
        return jax.device_put(x, _device(device))

    def memory_info(self, device=None):
        stats = _device(device or self.default_device()).memory_stats()
        if not stats:  # as on the CPU
            return super().memory_info(device)
        total, used = stats["bytes_limit"], stats["bytes_in_use"]
        return {"total": total, "available": total - used, "used": used}

    def free_cache(self):
        jax.clear_caches()

    def from_host(self, host, device, like):  # jnp.asarray shares the memory of an aligned NumPy array
        return jnp.array(host, copy=True, **self.place(host.dtype, device, like))

    def synchronize(self, x=None):
        jax.block_until_ready(x)

    def share(self, x, source, *, asked):
        if as_dtype(x.dtype) in _NARROW and not jax.config.read("jax_enable_x64"):
            return None
        if isinstance(x, np.ndarray):
            fits = x.ctypes.data % 64 == 0 and x.flags.c_contiguous and x.dtype.isnative
            alone = asked or not x.flags.writeable
            fits = fits and alone and x.size
            return jax.device_put(x, jax.devices("cpu")[0], may_alias=True) if fits else None
        return jnp.from_dlpack(x) if asked and source != "mlx" else None

    def native_dtype(self, dtype):
        name = as_dtype(dtype)
        wide = jax.config.read("jax_enable_x64")
        return jnp.dtype(
            name if wide or (name not in _NARROW or name.kind in ("float", "complex")) else _NARROW[name]
        )

    def supports(self, dtype):
        return as_dtype(dtype) in DTYPES and (
            jax.config.read("jax_enable_x64") or as_dtype(dtype) not in _NARROW
        )

    def place(self, dtype, device, like):
        name = as_dtype(dtype)
        if name in ("float64", "complex128") and not jax.config.read("jax_enable_x64"):
            raise TypeError(
                f"jax has no {name} while its 64-bit mode is off: set_backend('jax') or JAX_ENABLE_X64=1"
            )
        if device is None and like is not None and not isinstance(like, Tracer):
            return {"dtype": self.native_dtype(name), "device": next(iter(like.devices()))}
        chosen = device or self.device
        return {"dtype": self.native_dtype(name), **({"device": _device(chosen)} if chosen else {})}

    def extremes(self, indices):
        if isinstance(indices, Tracer) or not indices.size:
            return None
        return super().extremes(np.asarray(indices))  # JAX would record its own min, though it has the values

    def values_of(self, x):
        return None if isinstance(x, Tracer) else self.to_numpy(x)

    def jit(self, function, *, whole=True):
        return jax.jit(function)

    def on_host(self, op):
        eager = super().on_host(op)

        def compute(*args: Any, **attrs: Any) -> Any:
            if not any(isinstance(x, Tracer) for x in tree.leaves(args)):
                return eager(*args, **attrs)
            shapes = tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype), op.infer(args, attrs))
            return jax.pure_callback(lambda *values: eager(*values, **attrs), shapes, *args)

        return compute

    @override
    def astype(self, x, dtype):
        return x.astype(self.place(dtype, None, None)["dtype"])

    @override
    def digamma(self, x):
        return jnp.where(x == 0, -jnp.copysign(jnp.inf, x), special.digamma(x))  # JAX: NaN at 0

    @override
    def sign(self, x):
        return jnp.where(x == 0, jnp.zeros_like(x), jnp.sign(x))  # XLA keeps the sign of zero

    @override
    def getitem(self, x, index):
        index_shape(x, index)  # JAX itself takes the nearest place instead of a wrong one
        return x[index]

    @override
    def reshape(self, x, shape, copy):
        return jnp.reshape(x, shape)  # its values never change: no one can tell a copy

    @override
    def slice_update(self, x, updates, index):
        index_shape(x, index)
        return x.at[index].set(jnp.asarray(updates, dtype=x.dtype))

    def written(self, how, x, indices, updates, axis):
        places = x.at[(*(slice(None),) * axis_or_only(x, axis), indices)]
        return getattr(places, how.removesuffix("imum"))(jnp.asarray(updates, dtype=x.dtype))

    @override
    def bincount(self, x, weights, minlength):
        weights = weights * 1 if weights is not None and weights.dtype == bool else weights
        return jnp.bincount(x, weights, minlength=minlength)

    # One triangle of a symmetric matrix is read, as elsewhere, instead of the mean of both.

    @override
    def cholesky(self, x, upper):
        lower = jnp.linalg.cholesky(jnp.conj(jnp.matrix_transpose(x)) if upper else x, symmetrize_input=False)
        return jnp.conj(jnp.matrix_transpose(lower)) if upper else lower

    @override
    def eigh(self, x):
        return jnp.linalg.eigh(x, symmetrize_input=False)

    @override
    def eigvalsh(self, x):
        return jnp.linalg.eigvalsh(x, symmetrize_input=False)

    @override
    def random_words(self, key, high, low):
        counters = jnp.concat([high.reshape(-1), low.reshape(-1)])
        return threefry_2x32(key, counters).reshape(2, *low.shape)

    @override
    def convolution(self, x, weight, stride, padding, dilation, input_dilation, groups):
        return jax.lax.conv_general_dilated(
            x,
            weight,
            window_strides=stride,
            padding=padding,
            lhs_dilation=input_dilation,
            rhs_dilation=dilation,
            feature_group_count=groups,
        )

    @override
    def flat_scan(self, *arrays, body, consts, carry, length, reverse):
        return jax_loops.run(jax_loops.scan, [body], (consts, carry, length, reverse), arrays)

    @override
    def flat_cond(self, *arrays, branches):
        return jax_loops.run(jax_loops.cond, branches, (), arrays)

    @override
    def flat_while(self, *arrays, test, body, test_consts, consts):
        return jax_loops.run(jax_loops.while_loop, [test, body], (test_consts, consts), arrays)


def _device(name: str) -> Any:
    kind, _, number = name.partition(":")
    return jax.devices(kind)[int(number or 0)]
