"""CuPy: NumPy's functions on CUDA. What NumPy and CuPy compute alike is said in `numpy_backend.py`."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import array_api_compat.cupy as standard
import cupy
import numpy as np

from ember_ml.backend.numpy_backend import NumPyLike


class CupyBackend(NumPyLike):
    """CuPy. The wheel imports on any machine; it `works` where a GPU answers."""

    name = "cupy"
    array_types = (cupy.ndarray,)
    xp = standard
    raw = cupy
    functions: ClassVar[dict[str, Any]] = {"remainder": cupy.remainder}

    def scipy(self, part):
        return importlib.import_module(f"cupyx.scipy.{part}")

    def works(self):
        return cupy.cuda.is_available()

    def devices(self):
        return ["cuda"]

    def device_count(self):
        return cupy.cuda.runtime.getDeviceCount() if self.works() else 0

    def default_device(self):
        return self.device or "cuda"

    def device_of(self, x):
        return f"cuda:{x.device.id}"

    def carry(self, x, device):
        with _device(device):
            return cupy.array(x)

    def to_device(self, x, device):
        if device == "cpu":
            raise ValueError("to_device: CuPy has no arrays on the cpu; to_numpy brings one there")
        return super().to_device(x, device)

    def to_cpu_array(self, x):
        return self.to_numpy(x)

    def memory_info(self, device=None):
        with _device(device):
            free, total = cupy.cuda.runtime.memGetInfo()
        return {"total": total, "available": free, "used": cupy.get_default_memory_pool().used_bytes()}

    def free_cache(self):
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()

    def synchronize(self, x=None):
        cupy.cuda.Device().synchronize()

    def to_numpy(self, x):
        return cupy.asnumpy(x)

    def share(self, x, source, *, asked):
        if isinstance(x, np.ndarray) or not (source.mutable or asked) or source.device_of(x) == "cpu":
            return None
        return cupy.from_dlpack(x)

    def from_host(self, host, device, like):
        chosen = f"cuda:{like.device.id}" if device is None and like is not None else device or self.device
        with _device(chosen):
            return cupy.array(host, dtype=self.native_dtype(host.dtype))

    def place(self, dtype, device, like):
        chosen = f"cuda:{like.device.id}" if device is None and like is not None else device or self.device
        return {"dtype": self.native_dtype(dtype), **({"device": _device(chosen)} if chosen else {})}


def _device(name: str | None) -> cupy.cuda.Device:
    """Return a device by name, as a context too; the current one without."""
    return cupy.cuda.Device() if name is None else cupy.cuda.Device(int(name.partition(":")[2] or 0))
