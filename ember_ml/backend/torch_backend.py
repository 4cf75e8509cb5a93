"""PyTorch: eager tensors on CPU, CUDA or MPS."""

from __future__ import annotations

from typing import Any, ClassVar

import array_api_compat.torch as standard
import torch

from ember_ml.backend.base import Backend, override
from ember_ml.core.keys import PARITY, ROTATIONS
from ember_ml.core.rules import as_axis, expand_index

# Elementwise functions whose own behaviour is the standard's; the wrappers of `standard` cost 560 ns a call.
_PLAIN = """
    add subtract multiply divide power floor_divide remainder maximum minimum logaddexp negative abs sign
    square sqrt exp expm1 log log1p sin cos tan sinh cosh tanh erf floor ceil round isnan isfinite equal
    not_equal less less_equal greater greater_equal logical_and logical_or logical_xor logical_not bitwise_and
    bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift matmul reshape sigmoid silu
"""
_LIFTED = """
    maximum minimum logaddexp logical_and logical_or logical_xor equal not_equal less less_equal greater
    greater_equal bitwise_left_shift bitwise_right_shift
"""


class TorchBackend(Backend):
    """PyTorch, eager. Native tensors keep torch's own autograd; gradients of ours need none of it."""

    name = "torch"
    array_types = (torch.Tensor,)
    xp = standard
    raw = torch
    plain = frozenset(_PLAIN.split())
    renames: ClassVar[dict[str, str]] = {"equal": "eq", "power": "pow"}
    lifts = frozenset(_LIFTED.split())

    def devices(self):
        names = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
        return [*names, "cpu"]

    def device_of(self, x):
        return str(x.device)

    def synchronize(self, x=None):
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def to_numpy(self, x):
        return x.detach().cpu().numpy()

    def native_dtype(self, dtype):
        native = super().native_dtype(dtype)
        if native is torch.float64 and (self.device or "").startswith("mps"):
            raise TypeError("torch on mps has no dtype float64; use float32")
        return native

    def place(self, dtype, device, like):
        chosen = device or (like.device if like is not None else self.device)
        return {"dtype": self.native_dtype(dtype), "device": chosen}

    def lift(self, number: Any, like: torch.Tensor) -> torch.Tensor:
        """Return a Python number as a tensor that does not change the dtype of `like` more than need be."""
        keeps = isinstance(number, bool | int) or like.dtype.is_floating_point or like.dtype.is_complex
        return torch.tensor(number, dtype=like.dtype if keeps else None, device=like.device)

    def extremes(self, indices: torch.Tensor) -> tuple[int, int] | None:
        if not indices.numel() or torch.compiler.is_compiling():
            return None
        low, high = torch.aminmax(indices)
        return int(low), int(high)

    def from_host(self, host, device, like):
        return torch.tensor(host, **self.place(host.dtype, device, like))

    @override
    def astype(self, x, dtype):
        return x.to(self.native_dtype(dtype))

    @override
    def eye(self, n_rows, n_cols, k, dtype, device, like):
        return standard.eye(n_rows, n_cols, k=k, **self.place(dtype or float, device, like))

    @override
    def where(self, condition, x1, x2):
        return torch.where(torch.as_tensor(condition), x1, x2)

    @override
    def broadcast_to(self, x, shape):
        return torch.broadcast_to(x, shape)

    @override
    def getitem(self, x, index):
        plain, mirrored = _forwards(index, x.shape)
        return torch.flip(x[plain], mirrored) if mirrored else x[plain]

    @override
    def slice_update(self, x, updates, index):
        plain, mirrored = _forwards(index, x.shape)
        out = x.clone()
        if mirrored:
            updates = torch.as_tensor(updates, dtype=x.dtype, device=x.device).broadcast_to(out[plain].shape)
            updates = torch.flip(updates, mirrored)
        out[plain] = updates
        return out

    @override
    def stop_gradient(self, x):
        return x.detach()

    @override
    def take(self, x, indices, axis):
        at = as_axis(axis, x.ndim)
        flat = torch.where(indices < 0, indices + x.shape[at], indices).reshape(-1)
        return x.index_select(at, flat).reshape(*x.shape[:at], *indices.shape, *x.shape[at + 1 :])

    @override
    def index_add(self, x, indices, updates, axis):
        at = as_axis(axis, x.ndim)
        flat = torch.where(indices < 0, indices + x.shape[at], indices).reshape(-1)
        region = updates.broadcast_to(*x.shape[:at], *indices.shape, *x.shape[at + 1 :])
        return x.index_add(at, flat, region.reshape(*x.shape[:at], -1, *x.shape[at + 1 :]).to(x.dtype))

    @override
    def einsum(self, *operands, subscripts):
        return torch.einsum(subscripts, *operands)

    @override
    def cumulative_sum(self, x, axis):
        return torch.cumsum(x, dim=axis)

    @override
    def softmax(self, x, axis):
        return torch.softmax(x, dim=axis)

    @override
    def log_softmax(self, x, axis):
        return torch.log_softmax(x, dim=axis)

    @override
    def relu(self, x):
        return torch.relu(x)

    @override
    def sigmoid(self, x):
        return torch.sigmoid(x)

    @override
    def logsumexp(self, x, axis, keepdims):
        return torch.logsumexp(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims)

    # torch stores uint32 but does no arithmetic on it: those few ops are done in 64 bits and cut back.

    @override
    def bitwise_right_shift(self, x1, x2):
        if x1.dtype is torch.uint32:
            return torch.bitwise_right_shift(x1.to(torch.int64), x2.to(torch.int64)).to(torch.uint32)
        return torch.bitwise_right_shift(x1, x2)

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


def _forwards(index: Any, shape: Any) -> tuple[Any, list[int]]:
    """Return an index without negative steps, which torch lacks, and the axes of its result to be flipped."""
    if not any(map(_is_backward, index if type(index) is tuple else (index,))):
        return index, []
    plain, mirrored, out, sizes = [], [], 0, iter(shape)
    for i in expand_index(index, len(shape)):
        size = 0 if i is None else next(sizes)
        if type(i) is slice and _is_backward(i):
            places = range(*i.indices(size))[::-1]
            i = slice(places.start, places.stop, places.step)
            mirrored.append(out)
        plain.append(i)
        out += type(i) is not int
    return tuple(plain), mirrored


def _is_backward(part: Any) -> bool:
    return type(part) is slice and (part.step or 1) < 0
