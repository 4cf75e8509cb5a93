"""PyTorch: eager tensors on CPU, CUDA or MPS."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import array_api_compat.torch as standard
import numpy as np
import torch
from torch.nn import functional

from ember_ml.backend import adapters, threefry
from ember_ml.backend.base import Backend, Gap
from ember_ml.backend.host import plain
from ember_ml.backend.standard import each, override
from ember_ml.core import TABLE
from ember_ml.core.dtypes import as_dtype, promote
from ember_ml.core.keys import PARITY, ROTATIONS
from ember_ml.core.rules import axis_or_only, broadcast

# Elementwise functions whose own behaviour is the standard's; the wrappers of `standard` cost 560 ns a call.
_PLAIN = """
    add subtract multiply divide power maximum minimum logaddexp negative abs square sqrt exp expm1 log
    log1p sin cos tan sinh cosh tanh erf floor ceil isnan isfinite equal not_equal less less_equal greater
    greater_equal logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor
    bitwise_left_shift matmul acos acosh asin asinh atan atan2 atanh copysign hypot log2 log10 nextafter
    signbit trunc isinf erfinv lgamma digamma real
"""
# Ops of arrays that broadcast to which torch takes Python numbers, too.
_TAKES_NUMBERS = """
    add subtract multiply divide power floor_divide remainder bitwise_and bitwise_or bitwise_xor where
"""

# What torch does not compute for integers without a sign of 16 bits and more, though it stores them.
_NO_UNSIGNED = """
    index_add index_max index_min
    abs negative square sign bitwise_invert add subtract multiply floor_divide remainder power maximum minimum
    less less_equal greater greater_equal bitwise_left_shift max min argmax argmin nonzero take
    take_along_axis matmul arange clip searchsorted
"""
_WHY = "torch stores these dtypes, but does hardly any arithmetic on them"


class TorchBackend(Backend):
    """PyTorch, eager. Native tensors keep torch's own autograd; gradients of ours need none of it."""

    name = "torch"
    array_types = (torch.Tensor,)
    mutable = True
    xp = standard
    raw = torch
    plain = frozenset(_PLAIN.split())
    renames: ClassVar[dict[str, str]] = {
        "equal": "eq",
        "power": "pow",
        **{op: f"linalg.{op}" for op in ("cholesky", "det", "eig", "qr", "slogdet", "solve", "svd")},
    }
    mended = frozenset({"acos", "expm1", "log1p", "tan", "tanh"})
    functions: ClassVar[dict[str, Callable]] = {"relu": torch.relu, "sigmoid": torch.sigmoid}
    gaps = (
        *(Gap(op, _WHY, ("uint16", "uint32", "uint64"), "host") for op in _NO_UNSIGNED.split()),
        Gap("bitwise_right_shift", _WHY, ("uint16", "uint64"), "host"),
        Gap("unique_all", "torch puts complex numbers in no order", ("complex64", "complex128"), "host"),
    )

    def devices(self):
        names = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
        return [*names, "cpu"]

    def device_of(self, x):
        return str(x.device)

    def device_count(self):
        return torch.cuda.device_count() or 1

    def default_device(self):
        return self.device or str(torch.get_default_device())

    def carry(self, x, device):
        return x.to(device)

    def memory_info(self, device=None):
        where = torch.device(device or self.default_device())
        if where.type == "cuda":
            free, total = torch.cuda.mem_get_info(where)
            return {"total": total, "available": free, "used": torch.cuda.memory_allocated(where)}
        if where.type == "mps":
            total, used = torch.mps.recommended_max_memory(), torch.mps.driver_allocated_memory()
            return {"total": total, "available": total - used, "used": used}
        return super().memory_info(device)

    def free_cache(self):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()

    def synchronize(self, x=None):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if torch.backends.mps.is_available():
            torch.mps.synchronize()

    def write(self, x, values):
        x.fill_(values) if isinstance(values, bool | int | float | complex) else x.copy_(values)

    def share(self, x, source, *, asked):
        if not (source.mutable or asked):
            return None  # what is written to the tensor would change an array that does not change
        if not isinstance(x, np.ndarray):
            return torch.from_dlpack(x)  # torch.asarray reads other engines' memory as flat float32
        fits = x.flags.writeable and x.dtype.isnative and all(step >= 0 for step in x.strides)
        return torch.from_numpy(x) if fits else None

    def to_numpy(self, x):
        return x.detach().cpu().numpy()

    def supports(self, dtype):
        narrow = as_dtype(dtype) == "float64" and self.default_device().startswith("mps")
        return super().supports(dtype) and not narrow

    def place(self, dtype, device, like):
        native = self.native_dtype(dtype)
        chosen = device or (like.device if like is not None else self.device)
        if native is torch.float64 and chosen is not None and torch.device(chosen).type == "mps":
            raise TypeError("torch on mps has no dtype float64; use float32")
        return {"dtype": native, "device": chosen}

    def lifts(self, op):
        return op.sequence or (op.shape is broadcast and op.name not in _TAKES_NUMBERS.split())

    def lift(self, number, like):
        own, kind = like.dtype, type(number)
        fits = own.is_complex or kind is bool or (own.is_floating_point and kind is not complex)
        if not (fits or (kind is int and own is not torch.bool)):
            own = self.native_dtype(promote(as_dtype(own), kind))  # which torch.compile cannot read
        return torch.tensor(number, dtype=own, device=like.device)

    def extremes(self, indices: torch.Tensor) -> tuple[int, int] | None:
        if not indices.numel() or torch.compiler.is_compiling():
            return None
        low, high = torch.aminmax(indices.to(torch.int64))
        return int(low), int(high)

    def on_memory(self, host):
        return torch.from_numpy(host) if (self.device or "cpu") == "cpu" else super().on_memory(host)

    def from_host(self, host, device, like):
        return torch.tensor(plain(host), **self.place(host.dtype, device, like))

    @override
    def astype(self, x, dtype):
        return x.to(self.native_dtype(dtype))

    @override
    def where(self, condition, x1, x2):
        return torch.where(torch.as_tensor(condition), x1, x2)

    @override
    def sign(self, x):
        if x.is_complex():
            return torch.sgn(x)
        signs = torch.sign(x)  # 0 for NaN
        return torch.where(torch.isnan(x), x, signs) if x.is_floating_point() else signs

    @override
    def round(self, x):
        return torch.complex(x.real.round(), x.imag.round()) if x.is_complex() else torch.round(x)

    @override
    def imag(self, x):
        return x.imag if x.is_complex() else torch.zeros_like(x)

    @override
    def conj(self, x):
        return torch.conj_physical(x) if x.is_complex() else x

    @override
    def getitem(self, x, index):
        plain, mirrored = adapters.forwards(index, x.shape)
        return _flipped(x[plain], mirrored) if mirrored else x[plain]

    @override
    def slice_update(self, x, updates, index):
        plain, mirrored = adapters.forwards(index, x.shape)
        out = x.clone()
        if mirrored:
            updates = torch.as_tensor(updates, dtype=x.dtype, device=x.device).broadcast_to(out[plain].shape)
            updates = _flipped(updates, mirrored)
        out[plain] = updates
        return out

    @override
    def stop_gradient(self, x):
        return x.detach()

    @override
    def reshape(self, x, shape, copy):
        wanted = (shape,) if isinstance(shape, int) else shape
        if copy is False:
            made = torch.reshape(x, wanted)
            if made.numel() and made.data_ptr() != x.data_ptr():
                raise ValueError("copy=False, but values of this layout take that shape only by a copy")
            return made
        return torch.reshape(x.clone() if copy else x, wanted)

    @override
    def take(self, x, indices, axis):
        at = axis_or_only(x, axis)
        flat, shape = _row_numbers(x, indices, at)
        return x.index_select(at, flat).reshape((*x.shape[:at], *shape, *x.shape[at + 1 :]))

    def written(self, how, x, indices, updates, axis):
        at = axis_or_only(x, axis)
        flat, shape = _row_numbers(x, indices, at)
        new = torch.as_tensor(updates, dtype=x.dtype, device=x.device)
        region = new.broadcast_to(*x.shape[:at], *shape, *x.shape[at + 1 :])
        rows = region.reshape(*x.shape[:at], flat.numel(), *x.shape[at + 1 :])
        if how == "add":
            return x.index_add(at, flat, rows)
        places = flat.reshape(-1, *(1,) * (x.ndim - at - 1)).expand(rows.shape)
        return x.scatter_reduce(at, places, rows, f"a{how.removesuffix('imum')}")

    def total(self, run, x, dtype, **settings):
        wanted = self.total_dtype(x, dtype)
        if wanted is torch.uint64:  # which torch adds as int64 alone
            return run(x.to(wanted).view(torch.int64), **settings).view(wanted)
        return run(x, dtype=wanted, **settings)

    @override
    def cumulative_sum(self, x, axis, dtype, include_initial):
        run = partial(_so_far, torch.cumsum, 0)
        return self.total(run, x, dtype, axis=axis, include_initial=include_initial)

    @override
    def cumulative_prod(self, x, axis, dtype, include_initial):
        run = partial(_so_far, torch.cumprod, 1)
        return self.total(run, x, dtype, axis=axis, include_initial=include_initial)

    def mirrored(self, x):
        if x.dtype in _SIGNED:
            return (~x.view(_SIGNED[x.dtype])).view(x.dtype)
        return super().mirrored(x)

    @override
    def argsort(self, x, axis, descending, stable):
        return torch.sort(self.mirrored(x) if descending else x, dim=axis, stable=True).indices

    @override
    def sort(self, x, axis, descending, stable):
        ordered = torch.sort(self.mirrored(x) if descending else x, dim=axis).values
        return self.mirrored(ordered) if descending else ordered

    @override
    def searchsorted(self, x1, x2, sorter, side):
        if x1.ndim != 1:  # torch has a search in each row, too
            raise ValueError("x1 must have one dimension")
        return torch.searchsorted(x1.contiguous(), x2.contiguous(), side=side, sorter=sorter)

    @override
    def unique_all(self, x):
        values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
        places = torch.arange(x.numel(), device=x.device)
        first = torch.full_like(counts, x.numel()).scatter_reduce(0, inverse.reshape(-1), places, "amin")
        return values, first, inverse, counts

    @override
    def softmax(self, x, axis):
        return torch.softmax(x, dim=axis) if _is_usual(x) else TABLE["softmax"].define(x, axis=axis)

    @override
    def log_softmax(self, x, axis):
        return torch.log_softmax(x, dim=axis) if _is_usual(x) else TABLE["log_softmax"].define(x, axis=axis)

    @override
    def gated(self, x, gate):
        if x.dtype != gate.dtype or not x.is_floating_point() or x.shape != gate.shape:
            return TABLE["gated"].define(x, gate)
        return torch.ops.aten.threshold_backward(x, gate, 0)  # the gradient of torch's own relu

    @override
    def logsumexp(self, x, axis, keepdims):
        return torch.logsumexp(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims)

    @override
    def sliding_windows(self, x, shape, stride, dilation):
        lead = x.ndim - len(shape)
        settings = zip(shape, each(stride, len(shape)), each(dilation, len(shape)), strict=True)
        for i, (n, step, gap) in enumerate(settings):
            x = x.unfold(lead + i, gap * (n - 1) + 1, step)[..., ::gap]
        return x

    @override
    def convolution(self, x, weight, stride, padding, dilation, input_dilation, groups):
        ndim = len(stride)
        few = 2 * math.prod(weight.shape[2:]) > math.prod(x.shape[2:])  # places: a gradient's, as a rule
        if few or not (x.numel() and weight.numel()):
            settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            return TABLE["convolution"].define(x, weight, input_dilation=input_dilation, **settings)
        if all(d == 1 for d in input_dilation):
            even = all(low == high >= 0 for low, high in padding)
            x, around = (x, [low for low, _ in padding]) if even else (_padded(x, padding), 0)
            return getattr(functional, f"conv{ndim}d")(x, weight, None, stride, around, dilation, groups)
        # zeros between the values of x: the transposed convolution, whose kernel lies the other way round
        parts = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        turned = parts.transpose(1, 2).reshape(-1, *parts.shape[1:2], *weight.shape[2:])
        turned = turned.flip(tuple(range(2, 2 + ndim)))
        spans = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
        run = getattr(functional, f"conv_transpose{ndim}d")
        full = run(x, turned, None, input_dilation, 0, 0, groups, dilation)
        cut = [(low - n, high - n) for (low, high), n in zip(padding, spans, strict=True)]
        return _padded(full, cut)[(..., *(slice(None, None, s) for s in stride))]

    # torch stores uint32 but does no arithmetic on it: those few ops are done in 64 bits and cut back.

    @override
    def bitwise_right_shift(self, x1, x2):
        if x1.dtype is torch.uint32:
            return torch.bitwise_right_shift(x1.to(torch.int64), x2.to(torch.int64)).to(torch.uint32)
        return torch.bitwise_right_shift(x1, x2)

    # On a CPU the host draws them: torch would do each step of 32 bits in 64, a hundred times as slowly.

    @override
    def fold_in(self, key, data):
        return _drawn_on_host("fold_in", threefry.fold, key, data)

    @override
    def random_pairs(self, key, shape):
        return _drawn_on_host("random_pairs", threefry.pairs, key, shape)

    @override
    def random_bits(self, key, shape):
        return _drawn_on_host("random_bits", threefry.bits, key, shape)

    @override
    def unit_uniform(self, key, shape, dtype):
        if dtype in threefry.UNIT_DTYPES:
            return _drawn_on_host("unit_uniform", threefry.unit, key, shape, dtype)
        return TABLE["unit_uniform"].define(key, shape, dtype)

    @override
    def random_words(self, key, high, low):
        mask = 0xFFFFFFFF
        first, second = key.to(torch.int64).unbind()
        keys = (first, second, first ^ second ^ PARITY)
        x0 = (high.reshape(-1).to(torch.int64) + first) & mask
        x1 = (low.reshape(-1).to(torch.int64) + second) & mask
        for i in range(5):
            for distance in ROTATIONS[i % 2]:
                x0 = (x0 + x1) & mask
                x1 = (((x1 << distance) & mask) | (x1 >> (32 - distance))) ^ x0
            x0 = (x0 + keys[(i + 1) % 3]) & mask
            x1 = (x1 + keys[(i + 2) % 3] + (i + 1)) & mask
        return torch.stack([x0, x1]).to(torch.uint32).reshape(2, *low.shape)


def _padded(x: torch.Tensor, padding: Any) -> torch.Tensor:
    """Return x with zeros around its last axes; a negative number cuts off."""
    return functional.pad(x, [n for pair in reversed(padding) for n in pair])


def _row_numbers(x: torch.Tensor, indices: Any, at: int) -> tuple[torch.Tensor, Any]:
    """Return indices laid flat and counted from the front, and the shape that they had."""
    given = torch.as_tensor(indices, device=x.device)
    wide = given.to(torch.int64).reshape(-1)
    return torch.where(wide < 0, wide + x.shape[at], wide), given.shape


def _drawn_on_host(name: str, draw: Callable, key: torch.Tensor, *settings: Any) -> torch.Tensor:
    if key.device.type != "cpu" or type(key) is not torch.Tensor or torch.compiler.is_compiling():
        return TABLE[name].define(key, *settings)
    return torch.from_numpy(draw(key.numpy(), *settings))


_SIGNED = {getattr(torch, f"uint{n}"): getattr(torch, f"int{n}") for n in (8, 16, 32, 64)}


def _so_far(
    run: Callable, first: int, x: torch.Tensor, axis: Any, include_initial: bool, dtype: Any = None
) -> torch.Tensor:
    """Return running totals, after what they begin with if that is asked for."""
    at = axis_or_only(x, axis)
    totals = run(x, dim=at, dtype=dtype)
    if not include_initial:
        return totals
    return torch.cat([totals.new_full((*x.shape[:at], 1, *x.shape[at + 1 :]), first), totals], dim=at)


def _flipped(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    """Return an array turned round along axes; integers without a sign as what they are in bits."""
    signed = _SIGNED.get(x.dtype)
    return torch.flip(x, axes) if signed is None else torch.flip(x.view(signed), axes).view(x.dtype)


def _is_usual(x: torch.Tensor) -> bool:
    """Whether it holds fractions, and any at all: torch takes no integers and gives nothing of nothing."""
    return x.is_floating_point() and x.numel() > 0
