"""Which backend is active, and why; backends by name, loaded when first needed. No engine is imported here.

First match wins: `use_backend`, `set_backend` in this process, the environment, `~/.ember_ml/config`, the
choice saved in `~/.ember_ml/.backend`, NumPy.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from ember_ml.backend import choices
from ember_ml.backend.base import ACTIVE, Backend
from ember_ml.core import TABLE, dispatch

_LOG = logging.getLogger("ember_ml")


class Engine(NamedTuple):
    """Where a backend's class is, and what must be installed for it."""

    module: str
    cls: str
    package: str
    extra: str


ENGINES = {
    "numpy": Engine("ember_ml.backend.numpy_backend", "NumPyBackend", "numpy", ""),
    "torch": Engine("ember_ml.backend.torch_backend", "TorchBackend", "torch", "torch"),
    "torch_optimized": Engine(
        "ember_ml.backend.torch_backend_optimized", "TorchOptimizedBackend", "torch", "torch"
    ),
    "jax": Engine("ember_ml.backend.jax_backend", "JaxBackend", "jax", "jax"),
    "mlx": Engine("ember_ml.backend.mlx_backend", "MLXBackend", "mlx", "mlx"),
    "cupy": Engine("ember_ml.backend.cupy_backend", "CupyBackend", "cupy", "cupy12"),
}
SPELLINGS = {"numpyfftw": "numpy", "pytorch": "torch"}
_OWNERS = {engine.package: name for name, engine in reversed(ENGINES.items())} | {"jaxlib": "jax"}
_INSTANCES: dict[str, Backend] = {}
_REGISTERED: dict[str, type[Backend]] = {}
_LOCK = threading.RLock()


class _Choice:
    """What `set_backend` chose in this process, and where the choice in force came from."""

    asked: str | Backend | None = None  # a name, or a configured instance
    found: tuple[str, str] | None = None  # the name that the files or environment gave, and the source


def get_backend(name: str | Backend | None = None) -> Backend:
    """Return the active backend, or the one of this name.

    Raises ValueError for a name that is not known, ImportError for an engine that is not installed.
    """
    if name is not None:
        return name if isinstance(name, Backend) else _instance(name)
    return ACTIVE.get() or _default()


def set_backend(backend: str | Backend, device: str | None = None, *, persist: bool = False) -> None:
    """Make a backend (and device) the default of this process; with `persist`, of later ones too.

    It serves creation without an array argument; arrays that exist choose their own engine. Raises ValueError
    for an unknown name and for an engine that cannot compute here, ImportError for one that is not installed.
    """
    chosen = _working(backend)
    wanted = chosen.device if device is None and chosen is backend else device
    if wanted is not None:
        chosen.check_device(wanted)
    chosen.chosen()
    with _LOCK:
        _Choice.asked = chosen.name if _INSTANCES.get(chosen.name) is chosen else chosen
        chosen.device = wanted
    if persist:
        choices.save(chosen.name, device)


@contextlib.contextmanager
def use_backend(backend: str | Backend) -> Iterator[Backend]:
    """Make a backend the default within a context; threads and async tasks keep their own."""
    chosen = _working(backend)
    chosen.chosen()
    with chosen.activated():
        yield chosen


def _working(backend: str | Backend) -> Backend:
    """Return a backend that is about to be chosen, if it computes here."""
    chosen = get_backend(backend)
    if not chosen.works():
        raise ValueError(f"backend {chosen.name!r} is installed, but cannot compute here: no device answers")
    return chosen


def available_backends() -> list[str]:
    """Return the names of the backends whose engine is installed and computes here."""
    names = []
    for name in _known():
        with contextlib.suppress(ImportError):
            if is_installed(name) and get_backend(name).works():
                names.append(name)
    return names


def is_installed(name: str) -> bool:
    """Whether the engine of a backend can be found; imports nothing."""
    engine = ENGINES.get(name)
    if engine is None or name in _REGISTERED:
        return True
    with contextlib.suppress(ImportError, ValueError):  # a finder may refuse, a stand-in may have no spec
        return importlib.util.find_spec(engine.package) is not None
    return False


def auto_select_backend() -> tuple[str, str | None]:
    """Choose the backend that promises most here, a GPU that answers first; set it, return (name, device)."""
    here = available_backends()
    devices = {n: get_backend(n).devices()[0] for n in ("torch", "jax", "mlx", "cupy") if n in here}
    fast = [name for name, device in devices.items() if device != "cpu"]
    name = next(iter([*fast, *devices]), "numpy")
    device = devices.get(name, "cpu")
    alone = "" if devices else ", and no other is installed"
    why = "it has an accelerator that answers" if fast else f"no accelerator answers{alone}"
    _LOG.info("backend %s on %s: %s", name, device, why)
    set_backend(name, device)
    return name, device


def register_backend(name: str, cls: type[Backend]) -> None:
    """Let `get_backend(name)` and the arrays of `cls.array_types` lead to a backend of your own."""
    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        raise TypeError(f"register_backend: expected a subclass of Backend, got {cls!r}")
    with _LOCK:
        if "name" not in vars(cls):
            cls.name = name
        if ENGINES.get(name, ("", ""))[:2] != (cls.__module__, cls.__name__):  # else it stands there anyway
            _REGISTERED[name] = cls
            _INSTANCES.pop(name, None)
        _forget_owners()


def unregister_backend(name: str) -> None:
    """Take back what `register_backend` did."""
    with _LOCK:
        del _REGISTERED[name]
        _INSTANCES.pop(name, None)
        if _Choice.asked is not None and _Choice.asked == name:
            _Choice.asked = None
        _forget_owners()


def _forget_owners() -> None:
    """Let every type of array, and every op, look for its backend anew."""
    for type_, owner in list(dispatch.OWNERS.items()):
        if isinstance(owner, Backend):
            del dispatch.OWNERS[type_]
    for op in TABLE.values():
        op.forget()


def get_backend_module() -> ModuleType:
    """Return the active engine's own array namespace, such as `numpy` or `jax.numpy`."""
    return get_backend().namespace


def why_active() -> str:
    """Say where the choice of the active backend came from, in a few words."""
    if ACTIVE.get() is not None:
        return "use_backend"
    if _Choice.asked is not None:
        return "set_backend"
    _default()
    return _Choice.found[1] if _Choice.found else "the default"


def _instance(name: str) -> Backend:
    name = SPELLINGS.get(name, name)
    if name in _INSTANCES:
        return _INSTANCES[name]
    with _LOCK:
        if name not in _INSTANCES:
            _INSTANCES[name] = backend_class(name).met()
        return _INSTANCES[name]


def restored(name: str, settings: dict, stream: tuple[int, int] | None) -> Backend:
    """Return the backend of this name that is set so: the shared instance, or a new one; it is for pickle."""
    shared = _instance(name)
    plain = settings["dtype"] is None and not settings["enable_optimizations"]
    if stream is None and plain and settings["device"] in (None, shared.device):
        return shared
    made = backend_class(name)(**settings, randomness_seed=None if stream is None else stream[0])
    if stream is not None:
        made.stream.set(stream)  # pyright: ignore[reportOptionalMemberAccess] - it has a seed
    return made


def backend_class(name: str) -> type[Backend]:
    """Return the class of a backend by name. Raises ValueError or ImportError, as `get_backend`."""
    name = SPELLINGS.get(name, name)
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in ENGINES:
        raise ValueError(f"unknown backend {name!r}; known: {', '.join(_known())}")
    engine = ENGINES[name]
    try:
        return getattr(importlib.import_module(engine.module), engine.cls)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:  # what a broken installation raises
        broken = f": {engine.package} is installed but does not load: {error}"
        missing = f" needs {engine.package}: pip install 'ember-ml[{engine.extra}]'"
        raise ImportError(f"backend {name!r}{broken if is_installed(name) else missing}") from error


def _known() -> list[str]:
    return list(dict.fromkeys([*ENGINES, *_REGISTERED]))


def _default() -> Backend:
    if _Choice.asked is not None:
        return get_backend(_Choice.asked)
    if _Choice.found is None:
        with _LOCK:
            _Choice.found = _Choice.found or _look_up()
    return _instance(_Choice.found[0])


def _look_up() -> tuple[str, str]:
    """Return the first choice that works, and its source; one that does not warns, once, and gives NumPy."""
    for name, device, source in choices.found():
        try:
            backend = _working(name)
            if device is not None:
                backend.check_device(device)
                backend.device = device
        except (ImportError, ValueError) as error:
            warnings.warn(f"{source} asks for backend {name!r}, but {error}; using numpy", stacklevel=2)
            return "numpy", "fallback"
        backend.chosen()
        return backend.name, source
    return "numpy", "the default"


def _find_owner(type_: type) -> Backend | None:
    """Return the backend that owns arrays of a type, loading it when the engine itself is loaded."""
    for name, cls in _REGISTERED.items():
        if issubclass(type_, cls.array_types):
            return _instance(name)
    named = dict.fromkeys(_OWNERS.get(base.__module__.partition(".")[0]) for base in type_.__mro__)
    loaded = (name for name in named if name is not None and ENGINES[name].package in sys.modules)
    return next((backend for backend in map(_instance, loaded) if backend.owns(type_)), None)


dispatch.FINDERS.append(_find_owner)
dispatch.set_active_backend(get_backend)
