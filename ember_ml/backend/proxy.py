"""`backend`: an object that stands for the active backend, whichever that is; pyTME's way of choosing one.

Each use asks anew, so a thread, a task or a `with use_backend(...)` sees its own.
"""

from __future__ import annotations

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
