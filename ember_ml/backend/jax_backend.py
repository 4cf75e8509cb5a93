"""JAX: immutable arrays, and functions compiled by XLA."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.random import threefry_2x32

from ember_ml.backend.base import Backend, override
from ember_ml.core import Graph, tree
from ember_ml.core.dtypes import DTYPES, DType, as_dtype
from ember_ml.core.rules import as_axis, index_shape

_NARROW = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}


class JaxBackend(Backend):
    """JAX. Choosing it turns on 64-bit mode unless JAX_ENABLE_X64 is set; meeting its arrays does not."""

    name = "jax"
    array_types = (jax.Array, Tracer)
    xp = jnp
    renames: ClassVar[dict[str, str]] = {"erf": "jax.scipy.special.erf"}

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.chosen()

    @classmethod
    def met(cls) -> JaxBackend:
        """Return an instance for arrays that came along, without a choice of this engine."""
        self = cls.__new__(cls)
        Backend.__init__(self)
        return self

    def chosen(self) -> None:
        """Turn on 64-bit mode, unless the environment says otherwise."""
        if "JAX_ENABLE_X64" not in os.environ:
            jax.config.update("jax_enable_x64", True)

    def devices(self):
        return sorted({d.platform for d in jax.devices()} | {"cpu"}, key=lambda name: name == "cpu")

    def device_of(self, x):
        return "traced" if isinstance(x, Tracer) else next(iter(x.devices())).platform

    def synchronize(self, x=None):
        jax.block_until_ready(x)

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
        chosen = device or self.device
        if chosen is None and like is not None and not isinstance(like, Tracer):
            return {"dtype": self.native_dtype(name), "device": next(iter(like.devices()))}
        return {"dtype": self.native_dtype(name), **({"device": jax.devices(chosen)[0]} if chosen else {})}

    def extremes(self, indices: Any) -> tuple[int, int] | None:
        if isinstance(indices, Tracer) or not indices.size:
            return None
        return int(indices.min()), int(indices.max())

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
    def erf(self, x):
        return jax.scipy.special.erf(x)

    @override
    def sigmoid(self, x):
        return jax.nn.sigmoid(x)

    @override
    def stop_gradient(self, x):
        return jax.lax.stop_gradient(x)

    @override
    def getitem(self, x, index):
        index_shape(x, index)  # JAX itself takes the nearest place instead of a wrong one
        return x[index]

    @override
    def slice_update(self, x, updates, index):
        index_shape(x, index)
        return x.at[index].set(jnp.asarray(updates, dtype=x.dtype))

    @override
    def index_add(self, x, indices, updates, axis):
        return x.at[(*(slice(None),) * (as_axis(axis, x.ndim)), indices)].add(
            jnp.asarray(updates, dtype=x.dtype)
        )

    @override
    def argsort(self, x, axis, descending):
        order = jnp.argsort(x, axis=axis, descending=descending, stable=True)
        return order.astype(self.native_dtype(DType("int64")))

    @override
    def argmax(self, x, axis, keepdims):
        return jnp.argmax(x, axis=axis, keepdims=keepdims).astype(self.native_dtype(DType("int64")))

    @override
    def random_words(self, key, high, low):
        counters = jnp.concat([high.reshape(-1), low.reshape(-1)])
        return threefry_2x32(key, counters).reshape(2, *low.shape)

    @override
    def flat_scan(self, *arrays, body, consts, carry, length, reverse):
        if isinstance(body, Graph):
            return _compiled_scan(_Text(body), consts, carry, length, reverse)(*arrays)
        return _scan(body, consts, carry, length, reverse, *arrays)

    @override
    def flat_cond(self, *arrays, branches):
        if all(isinstance(branch, Graph) for branch in branches):
            return _compiled_cond(*map(_Text, branches))(*arrays)
        return jax.lax.cond(arrays[0], *branches, *arrays[1:])


def _scan(body: Callable, consts: int, carry: int, length: int, reverse: bool, *arrays: Any) -> tuple:
    fixed, state, rows = arrays[:consts], arrays[consts : consts + carry], arrays[consts + carry :]

    def step(state: tuple, row: tuple) -> tuple:
        out = body(*fixed, *state, *row)
        return tuple(out[:carry]), tuple(out[carry:])

    last, ys = jax.lax.scan(step, state, rows, length=length, reverse=reverse)
    return (*last, *ys)


class _Text:
    """A graph that equals another of its text, so that XLA compiles a loop once, not at each eager call."""

    def __init__(self, graph: Graph):
        self.graph, self.text = graph, str(graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Text) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@lru_cache(maxsize=256)
def _compiled_scan(body: _Text, *settings: Any) -> Callable:
    return jax.jit(partial(_scan, body.graph, *settings))


@lru_cache(maxsize=256)
def _compiled_cond(yes: _Text, no: _Text) -> Callable:
    return jax.jit(lambda pred, *arrays: jax.lax.cond(pred, yes.graph, no.graph, *arrays))
