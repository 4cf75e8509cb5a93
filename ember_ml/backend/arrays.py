"""A backend's arrays: on which device they are made and lie, how they come and go, their dtypes.

Each method is what most engines do; an engine's own file overrides what it does in another way.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
# It is a part of Backend, where the rest of `self` stands.

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ember_ml.backend.memory import host_memory
from ember_ml.core import DType, Op, as_dtype, op_named
from ember_ml.core.dtypes import DTYPES, promote

if TYPE_CHECKING:
    from ember_ml.backend.base import Backend

DEVICES: ContextVar[Mapping[str, str | None]] = ContextVar("ember_ml_device", default=MappingProxyType({}))


class Arrays:
    """Where the arrays of a backend are, and how they become another engine's."""

    # Where they are

    @property
    def device(self) -> str | None:
        """The device on which arrays are created; None: the engine's own choice."""
        return DEVICES.get().get(self.name, self._device)

    @device.setter
    def device(self, device: str | None) -> None:
        self._device = device
        self.settle(device)

    def settle(self, device: str | None) -> None:
        """Tell the engine of a new device, where it wants to know."""

    def devices(self) -> list[str]:
        """Return the kinds of device that answer, the best first."""
        return ["cpu"]

    def device_count(self) -> int:
        """Return how many devices of the best kind there are."""
        return 1

    def default_device(self) -> str:
        """Return the name of the device on which arrays are created."""
        return self.device or "cpu"

    def device_of(self, x: Any) -> str:
        """Return the name of the device that holds x."""
        return "cpu"

    def check_device(self, device: str) -> None:
        """Raise ValueError for a device that is not there; `cuda:1` names the second of a kind."""
        kind, _, number = device.partition(":")
        here = self.devices()
        count = self.device_count() if kind == here[0] else 1
        if kind not in here or (number and not (number.isdecimal() and int(number) < count)):
            raise ValueError(f"backend {self} has no device {device!r} here; it has {', '.join(here)}")

    def set_device(self, device: str | int) -> Any:
        """Let this backend create arrays on a device, by name or number; as a context, for its length."""
        from ember_ml.backend.device import Placed

        return Placed(self, device)

    def to_device(self, x: Any, device: str) -> Any:
        """Return an array of this engine on another of its devices, or itself if it is there."""
        self.check_device(device)
        here = self.device_of(x)
        return x if here in (device, f"{device}:0") else self.carry(x, device)

    def carry(self, x: Any, device: str) -> Any:
        """Return a copy of an array on another device of this engine."""
        return self.from_host(self.to_numpy(x), device, None)

    def memory_info(self, device: str | None = None) -> dict[str, int]:
        """Return the bytes of a device's memory: `total`, `available`, and `used` by this process."""
        return host_memory()

    def get_available_memory(self) -> int:
        """Return the bytes of memory that are free where this backend creates arrays."""
        return self.memory_info(self.device)["available"]

    def free_cache(self) -> None:
        """Give back memory that the engine keeps for later use."""

    # How they come and go

    def to_numpy(self, x: Any) -> Any:
        """Return the values as a NumPy array, without a copy where the engine allows."""
        from ember_ml.backend.host import host_array

        return host_array(x)

    def values_of(self, x: Any) -> Any:
        """Return the values as a NumPy array; None where there are none yet."""
        return self.to_numpy(x)

    def lifts(self, op: Op) -> bool:
        """Whether Python numbers among the arguments of `op` must be made arrays first, by `lift`."""
        return op.sequence

    def lift(self, number: Any, like: Any) -> Any:
        """Return a Python number as an array that changes the dtype of `like` no more than need be."""
        dtype = promote(as_dtype(like.dtype), type(number))
        return op_named("full").function((), number, dtype=dtype, like=like)

    def write(self, x: Any, values: Any) -> None:
        """Set the values of x in place; only where arrays are `mutable`."""
        x[...] = values

    def cast_to(self, x: Any, dtype: DType) -> Any:
        """Return an array of this engine in another dtype."""
        return x if as_dtype(x.dtype) == dtype else op_named("astype").function(x, dtype=dtype)

    def receive(self, x: Any, source: Backend, copy: bool | None = None) -> Any:
        """Return an array of another engine as one of this engine, with its dtype.

        Memory is shared with `copy=False`, which raises ValueError where that cannot be; by default where
        it can be and nothing that does not change would change by it. Raises TypeError for a lacking dtype.
        """
        dtype = as_dtype(x.dtype)
        self.native_dtype(dtype)
        alone = copy or isinstance(x, source.scalar_types)
        shared = None if alone else self.share(x, source, asked=copy is False)
        if shared is None and copy is False:
            raise ValueError(f"to_backend: from {source} to {self} this array goes by a copy alone")
        made = self._copied(x, source, dtype) if shared is None else shared
        if as_dtype(made.dtype) != dtype:  # JAX outside of its 64-bit mode has no int64
            raise TypeError(f"to_backend: {self} has no dtype {dtype} here; first cast: x.astype('float32')")
        return made

    def share(self, x: Any, source: Backend, *, asked: bool) -> Any:
        """Return another engine's array in the same memory; None where that cannot be.

        Unless `asked`, also where values that do not change could then change.
        """
        return None

    def _copied(self, x: Any, source: Backend, dtype: DType) -> Any:
        crosses = as_dtype("float32") if dtype == "bfloat16" else dtype  # NumPy has no bfloat16
        made = self.from_host(source.to_numpy(source.cast_to(x, crosses)), None, None)
        return made if crosses == dtype else self.cast_to(made, dtype)

    # Dtypes

    def native_dtype(self, dtype: Any) -> Any:
        """Return the engine's own object for a dtype. Raises TypeError for one that it does not have."""
        name = as_dtype(dtype)
        native = getattr(self.namespace, name, None)
        if native is None:
            raise TypeError(f"{self} has no dtype {name}")
        return native

    def supports(self, dtype: Any) -> bool:
        """Whether the engine has a dtype."""
        try:
            self.native_dtype(dtype)
        except TypeError:
            return False
        return True

    def dtypes(self) -> list[DType]:
        """Return the dtypes that the engine has."""
        return [d for d in DTYPES.values() if self.supports(d)]

    def place(self, dtype: Any, device: Any, like: Any) -> dict:
        """Return the keywords that tell this engine's creation functions of dtype and device."""
        return {"dtype": self.native_dtype(dtype)}
