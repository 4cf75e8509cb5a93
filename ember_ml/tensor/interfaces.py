"""What counts as a tensor and as a dtype, for type checkers and `isinstance`. They carry nothing."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class DTypeInterface(Protocol):
    """A data type: its name, its kind (bool, uint, int, float, complex), and the bytes of one element."""

    @property
    def name(self) -> str:
        """The name."""
        ...

    @property
    def kind(self) -> str:
        """One of bool, uint, int, float, complex."""
        ...

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        ...


@runtime_checkable
class TensorInterface(Protocol):
    """An array of one engine with a shape, a dtype, and a way to NumPy and back to the engine's own array."""

    requires_grad: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        ...

    @property
    def dtype(self) -> DTypeInterface:
        """The data type."""
        ...

    @property
    def device(self) -> str:
        """The name of the device that holds it."""
        ...

    def to_backend_tensor(self) -> Any:
        """Return the engine's array."""
        ...

    def to_numpy(self) -> Any:
        """Return the values as a NumPy array."""
        ...

    def item(self) -> Any:
        """Return a single value as a Python number."""
        ...

    def tolist(self) -> Any:
        """Return the values as nested lists."""
        ...

    def detach(self) -> TensorInterface:
        """Return the same value as a constant."""
        ...
