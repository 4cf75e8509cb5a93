"""What stands for a backend: `backend` for the active one, `backend.numpy` for the namespace of an engine.

Each use of `backend`, pyTME's way of choosing one, asks anew, so a thread, a task or a `with
use_backend(...)` sees its own. An engine is loaded when its namespace is used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ember_ml.backend.base import Backend
from ember_ml.backend.selection import (
    available_backends,
    backend_class,
    get_backend,
    register_backend,
    set_backend,
    use_backend,
)


class BackendManager:
    """Hands every attribute on to the active backend, and chooses which one that is."""

    def __getattr__(self, name: str) -> Any:
        return getattr(get_backend(), name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(get_backend())})

    def __repr__(self) -> str:
        return f"<the active backend, {get_backend()!r}>"

    def __str__(self) -> str:
        return str(get_backend())

    def __eq__(self, other: object) -> bool:
        return get_backend() == other

    def __hash__(self) -> int:
        return object.__hash__(self)

    @property
    def _backend_name(self) -> str:
        return get_backend().name

    def change_backend(self, backend_name: str, **settings: Any) -> None:
        """Make a backend the default of this process; with settings, an instance that has them.

        Raises ValueError for an unknown name, which lists the known ones, ImportError for an engine that is
        not installed.
        """
        set_backend(backend_class(backend_name)(**settings) if settings else backend_name)

    def add_backend(self, backend_name: str, backend_class: type[Backend]) -> None:
        """Let `change_backend` find a backend of your own. Raises ValueError for what is no such class."""
        if not (isinstance(backend_class, type) and issubclass(backend_class, Backend)):
            raise ValueError(f"add_backend: expected a subclass of MatchingBackend, got {backend_class!r}")
        register_backend(backend_name, backend_class)

    def available_backends(self) -> list[str]:
        """Return the names of the backends that compute here, those added included."""
        return available_backends()

    def use_backend(self, backend: str | Backend) -> Any:
        """Make a backend the default within a context; threads and async tasks keep their own."""
        return use_backend(backend)


backend = BackendManager()


class Namespace(ModuleType):
    """Hands every attribute on to an engine's namespace. Raises ImportError where it is not installed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        engine = backend_class(self.__name__.rpartition(".")[2])
        return getattr(engine.raw or engine.xp, name)


def enter(package: str, name: str) -> Namespace:
    """Return the namespace of an engine, importable as a module of the package."""
    module = Namespace(f"{package}.{name}", f"The namespace of {name}.")
    return sys.modules.setdefault(module.__name__, module)  # pyright: ignore[reportReturnType]
