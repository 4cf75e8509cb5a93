"""Which backend is active, and why; backends by name, loaded when first needed. No engine is imported here.

First match wins: `use_backend`, `set_backend` in this process, the environment, `~/.ember_ml/config`, the
choice saved in `~/.ember_ml/.backend`, NumPy.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

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
_OWNING = {
    "numpy": "numpy",
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "mlx": "mlx",
    "cupy": "cupy",
}  # top module of a type
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
    _choose(chosen, chosen.device if device is None and chosen is backend else device)
    if persist:
        _save(chosen.name, device)


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
    candidates = [(name, get_backend(name)) for name in ("torch", "jax", "mlx", "cupy") if name in here]
    for name, backend in candidates:
        device = backend.devices()[0]
        if device != "cpu":
            _LOG.info("backend %s on %s: it has an accelerator that answers", name, device)
            set_backend(name, device)
            return name, device
    name = candidates[0][0] if candidates else "numpy"
    _LOG.info(
        "backend %s on cpu: no accelerator answers%s",
        name,
        "" if candidates else ", and no other is installed",
    )
    set_backend(name, "cpu")
    return name, "cpu"


def register_backend(name: str, cls: type[Backend]) -> None:
    """Let `get_backend(name)` and the arrays of `cls.array_types` lead to a backend of your own."""
    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        raise TypeError(f"register_backend: expected a subclass of Backend, got {cls!r}")
    with _LOCK:
        if "name" not in vars(cls):
            cls.name = name
        engine = ENGINES.get(name)
        if (
            engine is None or (cls.__module__, cls.__name__) != engine[:2]
        ):  # else it is what stands there anyway
            _REGISTERED[name] = cls
            _INSTANCES.pop(name, None)
            for type_ in [
                t for t, owner in dispatch.OWNERS.items() if owner is not None and owner.level == 0
            ]:
                del dispatch.OWNERS[type_]
        for op in TABLE.values():
            op.forget()


def unregister_backend(name: str) -> None:
    """Take back what `register_backend` did."""
    with _LOCK:
        cls = _REGISTERED.pop(name)
        instance = _INSTANCES.pop(name, None)
        for type_ in [
            t for t, owner in dispatch.OWNERS.items() if owner is instance or issubclass(t, cls.array_types)
        ]:
            dispatch.OWNERS.pop(type_, None)
        if _Choice.asked is not None and _Choice.asked == name:
            _Choice.asked = None
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


def _choose(chosen: Backend, device: str | None) -> None:
    if device is not None:
        chosen.check_device(device)
    chosen.chosen()
    with _LOCK:
        _Choice.asked = chosen.name if _INSTANCES.get(chosen.name) is chosen else chosen
        chosen.device = device


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
        if is_installed(name):
            raise ImportError(
                f"backend {name!r}: {engine.package} is installed but does not load: {error}"
            ) from error
        raise ImportError(
            f"backend {name!r} needs {engine.package}: pip install 'ember-ml[{engine.extra}]'"
        ) from error


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
    for name, device, source in _sources():
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


def _sources() -> Iterator[tuple[str, str | None, str]]:
    for prefix in ("EMBER_ML", "ember_ml"):
        if name := os.environ.get(f"{prefix}_BACKEND"):
            yield name, os.environ.get(f"{prefix}_DEVICE"), f"{prefix}_BACKEND"
    folder = home()
    settings = _read_config(folder / "config")
    if name := settings.get("backend"):
        yield name, settings.get("device"), str(folder / "config")
    if name := _read_word(folder / ".backend"):
        yield name, _read_word(folder / ".device"), str(folder / ".backend")


def home() -> Path:
    """Return the folder of a user's settings: `EMBER_ML_HOME`, else `~/.ember_ml`."""
    return Path(os.environ.get("EMBER_ML_HOME") or Path.home() / ".ember_ml")


def _read_word(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _read_config(path: Path) -> dict[str, str]:
    lines = (_read_word(path) or "").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}


def _save(name: str, device: str | None) -> None:
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=folder, prefix=".saving"
    ) as written:  # both are written before either is seen
        words = {".backend": name, ".device": device or ""}
        for file, word in words.items():
            (Path(written) / file).write_text(word, encoding="utf-8")
        for file in words:
            (Path(written) / file).replace(folder / file)
    first = next(_sources(), None)
    if first is not None and first[2] != str(folder / ".backend") and first[:2] != (name, device):
        warnings.warn(
            f"saved backend {name!r}, but {first[2]} asks for {first[0]!r} and is read first", stacklevel=3
        )


def _find_owner(type_: type) -> Backend | None:
    """Return the backend that owns arrays of a type, loading it when the engine itself is loaded."""
    for name, cls in _REGISTERED.items():
        if issubclass(type_, cls.array_types):
            return _instance(name)
    for base in type_.__mro__:
        top = base.__module__.partition(".")[0]
        name = _OWNING.get(top)
        if name is not None and ENGINES[name].package in sys.modules:
            backend = _instance(name)
            if backend.owns(type_):
                return backend
    return None


dispatch.FINDERS.append(_find_owner)
dispatch.set_active_backend(get_backend)
