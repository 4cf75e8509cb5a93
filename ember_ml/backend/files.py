"""Arrays in files: .npy for one, .npz and .safetensors for several under names. Nothing is ever pickled.

Nested dicts of arrays are written under names joined by "/". bfloat16, which NumPy lacks, goes to
.safetensors alone; complex128, which safetensors lacks, to the other two.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ember_ml.backend.host import host_array_of
from ember_ml.backend.selection import get_backend
from ember_ml.core import as_dtype, dispatch, op_named
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.files import written_whole

_ALONE = "__array__"  # the name of an array that was saved by itself
_NAMES = {
    **{f"F{n}": f"float{n}" for n in (16, 32, 64)},
    **{f"I{n}": f"int{n}" for n in (8, 16, 32, 64)},
    **{f"U{n}": f"uint{n}" for n in (8, 16, 32, 64)},
    "BOOL": "bool",
    "BF16": "bfloat16",
    "C64": "complex64",
}


def save(filepath: str | os.PathLike, obj: Any, allow_pickle: bool = False) -> None:
    """Write an array, or a dict of arrays and such dicts, to `filepath`, whole or not at all.

    The suffix says how: .npy (one array), .npz or .safetensors. Arrays may be any engine's, tensors or plain
    numbers. Raises ValueError for another suffix, for a name that holds "/" and for `allow_pickle`, since a
    pickle runs what its writer likes; TypeError for what is no array, or has a dtype that the format lacks.
    """
    write = _format(filepath, allow_pickle, "save")[0]
    named = _named(obj)
    path = Path(filepath)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        write(part, named)


def load(filepath: str | os.PathLike, allow_pickle: bool = False, *, like: Any = None) -> Any:
    """Return what `save` wrote: an array, or a dict of them, in the dtypes of the file.

    They are the active backend's, or that of `like`. Raises FileNotFoundError, ValueError for a file that
    holds something else (pickled objects included), and TypeError for a dtype that the engine lacks.
    """
    read = _format(filepath, allow_pickle, "load")[1]
    if not Path(filepath).is_file():
        raise FileNotFoundError(f"load: there is no file {filepath}")
    try:
        found = read(Path(filepath))
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"load: {filepath} holds no arrays that can be read: {error}") from error
    like, engine = (None, get_backend()) if like is None else _native(like, "load")
    return _nested({name: make(engine, like) for name, make in found.items()})


def _format(filepath: Any, allow_pickle: bool, who: str) -> tuple[Callable, Callable]:
    if allow_pickle:
        raise ValueError(f"{who}: pickles are neither written nor read, since they run code; use arrays")
    suffix = Path(filepath).suffix
    if suffix not in _FORMATS:
        raise ValueError(f"{who}: the name must end in {', '.join(_FORMATS)}, got {str(filepath)!r}")
    return _FORMATS[suffix]


def _named(obj: Any, prefix: str = "") -> dict[str, Any]:
    """Return a dict of dicts as one dict of host arrays."""
    if not isinstance(obj, dict):
        return {prefix or _ALONE: _to_host(obj, prefix)}
    named: dict[str, Any] = {}
    for key, value in obj.items():
        if not isinstance(key, str) or "/" in key or key in ("", _ALONE):
            raise ValueError(f"save: names are texts without '/', got {key!r}")
        inner = _named(value, f"{prefix}/{key}" if prefix else key)
        if not inner:
            raise ValueError(f"save: {key!r} is an empty dict, for which the file has no place")
        named.update(inner)
    return named


def _to_host(x: Any, name: str) -> Any:
    """Return an array of any kind as NumPy's; bfloat16 as the upper halves of float32."""
    if type(x) in SCALARS and x is not None:
        number = host_array_of(x, None)
        return _Host(number, str(number.dtype))
    x, engine = _native(x, f"save{f' {name!r}' if name else ''}")
    dtype = as_dtype(x.dtype)
    if dtype == "bfloat16":
        wide = engine.to_numpy(op_named("astype").function(x, dtype="float32"))
        return _Host((np.asarray(wide, order="C").view(np.uint32) >> 16).astype(np.uint16), dtype)
    return _Host(np.asarray(engine.to_numpy(x), order="C"), dtype)


def _native(x: Any, who: str) -> tuple[Any, Any]:
    """Return an array without the tensor around it, and its engine. Raises TypeError for what is no array."""
    owner: Any = dispatch.owner(x)
    if owner is None or owner.level > 1:
        raise TypeError(f"{who}: expected arrays and dicts of them, got {type(x).__name__}")
    return (x, owner) if owner.level == 0 else _native(owner.unwrap(x), who)


class _Host:
    """NumPy's array for an array of a dtype, which NumPy itself may lack."""

    def __init__(self, array: Any, dtype: str):
        self.array, self.dtype = array, str(dtype)

    def __call__(self, engine: Any, like: Any) -> Any:
        """Return the array as an engine's."""
        if self.dtype != "bfloat16":
            return engine.from_host(self.array, None, like)
        engine.native_dtype("bfloat16")
        wide = (self.array.astype(np.uint32) << 16).view(np.float32)
        return op_named("astype").function(engine.from_host(wide, None, like), dtype="bfloat16")


def _nested(named: dict[str, Any]) -> Any:
    """Return the inverse of `_named`."""
    if set(named) == {_ALONE}:
        return named[_ALONE]
    nested: dict[str, Any] = {}
    for name, x in named.items():
        *path, last = name.split("/")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = x
    return nested


def _write_npy(path: Path, named: dict[str, _Host]) -> None:
    if set(named) != {_ALONE}:
        raise TypeError("save: .npy holds one array, got a dict; use .npz or .safetensors")
    with path.open("wb") as file:
        _write_array(file, named[_ALONE])


def _write_npz(path: Path, named: dict[str, _Host]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, host in named.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                _write_array(file, host)


def _write_array(file: Any, host: _Host) -> None:
    if host.dtype == "bfloat16":
        raise TypeError("save: NumPy's files have no bfloat16; use .safetensors")
    npy.write_array(file, host.array, allow_pickle=False)


def _read_npy(path: Path) -> dict[str, _Host]:
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        raise ValueError("a .npy file that is an archive")
    return {_ALONE: _Host(found, str(found.dtype))}


def _read_npz(path: Path) -> dict[str, _Host]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                array = npy.read_array(file, allow_pickle=False)
            found[name.removesuffix(".npy")] = _Host(array, str(array.dtype))
    return found


def _write_safetensors(path: Path, named: dict[str, _Host]) -> None:
    """Write the format by its specification: the length of a header, the header as JSON, the bytes."""
    codes, header, end = {v: k for k, v in _NAMES.items()}, {}, 0
    order = sorted(named, key=lambda name: -named[name].array.itemsize)  # so that each lies aligned
    for name in order:
        host = named[name]
        if host.dtype not in codes:
            raise TypeError(f"save: safetensors has no {host.dtype}; use .npz")
        start, end = end, end + host.array.nbytes
        header[name] = {"dtype": codes[host.dtype], "shape": host.array.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(named[name].array.tobytes())


def _read_safetensors(path: Path) -> dict[str, _Host]:
    from safetensors import SafetensorError, deserialize

    try:
        found = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    hosts = {}
    for name, entry in sorted(found, key=lambda each: each[0]):  # the library gives them in no order
        dtype = _NAMES.get(entry["dtype"])
        if dtype is None:
            raise ValueError(f"{name!r} has the dtype {entry['dtype']}, which no engine has")
        raw = np.frombuffer(entry["data"], dtype="uint16" if dtype == "bfloat16" else dtype)
        hosts[name] = _Host(raw.reshape(entry["shape"]), dtype)
    return hosts


_FORMATS: dict[str, tuple[Callable, Callable]] = {
    ".npy": (_write_npy, _read_npy),
    ".npz": (_write_npz, _read_npz),
    ".safetensors": (_write_safetensors, _read_safetensors),
}
