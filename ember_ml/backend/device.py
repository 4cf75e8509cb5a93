"""Devices and their memory: where arrays are, where they are created, and what is free there.

Without an array argument, the active backend is asked.
"""

from __future__ import annotations

from typing import Any

from ember_ml.backend.arrays import DEVICES
from ember_ml.backend.base import Backend
from ember_ml.backend.selection import get_backend
from ember_ml.core import dispatch


class Placed:
    """A device chosen for a backend: for the process at once, or for a context as one."""

    def __init__(self, backend: Backend, device: str | int | None):
        if isinstance(device, int):
            kind = backend.devices()[0]
            device = f"{kind}:{device}" if kind != "cpu" else "cpu"
        if device is not None:
            backend.check_device(device)
        self.backend, self.device = backend, device
        self.before, self.outer = backend._device, DEVICES.get()
        if backend.name in self.outer:
            self._choose_here()
        else:
            backend.device = device

    def __enter__(self) -> Backend:
        self.backend._device = self.before  # what a context chooses, other threads do not see
        self._choose_here()
        return self.backend

    def __exit__(self, *_: object) -> None:
        DEVICES.set(self.outer)
        self.backend.settle(self.backend.device)

    def _choose_here(self) -> None:
        DEVICES.set({**self.outer, self.backend.name: self.device})
        self.backend.settle(self.device)


def get_device(tensor: Any = None) -> str:
    """Return the device that holds `tensor`, or the one on which the active backend creates."""
    if tensor is None:
        return get_backend().default_device()
    native, owner, _ = _opened("get_device", tensor)
    return owner.device_of(native)


def set_device(device: str | int) -> Placed:
    """Let the active backend create arrays on `device`: from now on, or for the length of a `with`."""
    return get_backend().set_device(device)


set_default_device = set_device


def get_default_device() -> str:
    """Return the device on which the active backend creates arrays."""
    return get_backend().default_device()


def get_available_devices() -> list[str]:
    """Return the devices of the active backend that answer, the best first."""
    return get_backend().devices()


def is_available(device: str = "cuda") -> bool:
    """Whether the active backend has a device of this name, and it answers."""
    try:
        get_backend().check_device(device)
    except ValueError:
        return False
    return True


def to_device(x: Any, device: str) -> Any:
    """Return an array or tensor on another device of its engine; itself if it is there already.

    Raises ValueError for a device that is not there.
    """
    native, owner, wrapped = _opened("to_device", x)
    moved = owner.to_device(native, device)
    return wrapped(moved) if moved is not native else x


def memory_info(device: str | None = None) -> dict[str, int]:
    """Return the bytes of a device's memory: `total`, `available`, and `used` by this process."""
    backend = get_backend()
    if device is not None:
        backend.check_device(device)
    return backend.memory_info(device or backend.device)


def memory_usage(device: str | None = None) -> int:
    """Return the bytes of a device's memory that this process uses."""
    return memory_info(device)["used"]


def synchronize(x: Any = None) -> None:
    """Wait until the active backend has computed all that was asked for, or until x is computed."""
    native, owner, _ = (None, get_backend(), None) if x is None else _opened("synchronize", x)
    owner.synchronize(native)


def _opened(name: str, x: Any) -> tuple[Any, Backend, Any]:
    """Return a native array, its backend, and what makes of such an array what was given."""
    owner: Any = dispatch.owner(x)
    native, wrap = x, lambda made: made
    if owner is not None and owner.level == 1:
        native, wrap = owner.unwrap(x), owner.wrap
        owner = dispatch.owner_of(type(native))
    if not isinstance(owner, Backend):
        raise TypeError(f"{name}: expected an array, got {type(x).__name__}")
    return native, owner, wrap
