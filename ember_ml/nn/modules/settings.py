"""The settings of objects, for which compiled programs are made, and how one finds what objects hold.

A program holds the settings of its modules, optimizer and loss as constants. Each such object notes when an
attribute changes, so that a compiled function learns by one number whether anything did.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

from ember_ml.tensor import EmberTensor
from ember_ml.tensor.conversion import owner_of

CONTAINERS = (list, tuple, dict)
_NO_SETTINGS = ("training", "built", "input_shape")  # modes, and what building leaves behind


class Settings:
    """An object whose attributes are part of the programs that use it.

    Setting an attribute is noticed, and the next call compiles anew. Not noticed are changes inside a list or
    dict, and of an array, which belongs in a `Parameter` or a buffer if a program shall see it change.
    """

    training: bool = True
    complete: bool = True  # whether a program can hold its settings already
    changed: int = 0  # when a setting last changed; no two changes have one number
    last_change: ClassVar[int] = 0  # of a setting, a mode or a buffer of any object
    _numbers: ClassVar[Iterator[int]] = count(1)

    def __setattr__(self, name: str, value: Any) -> None:
        old, was_complete = vars(self).get(name), self.complete
        object.__setattr__(self, name, value)
        if value is old:
            return
        both_arrays = _is_array(value) and _is_array(old)
        if both_arrays and name not in vars(self).get("_buffer_names", ()):
            return
        Settings.last_change = number = next(Settings._numbers)
        if was_complete and name not in _NO_SETTINGS and not both_arrays:
            vars(self)["changed"] = number

    @property
    def compile_key(self) -> Callable[[], tuple]:
        """A function that returns what compiled forms depend on: settings, modes, and values of buffers."""
        seen, modes, buffers = -1, (), []

        def key() -> tuple:
            nonlocal seen, modes, buffers
            if seen != Settings.last_change:
                seen = Settings.last_change
                objects = [self, *(x for _, x in walk(self, Settings, Settings))]
                modes = tuple((x.changed, x.training) for x in objects)
                names = ((x, vars(x).get("_buffer_names", ())) for x in objects)
                buffers = [b for x, own in names for n in own if (b := getattr(x, n)) is not None]
            return (modes, *[id(getattr(b, "native", b)) for b in buffers]) if buffers else modes

        return key


def _is_array(x: Any) -> bool:
    return isinstance(x, EmberTensor) or owner_of(x) is not None


def inside(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the keys and values of a container, the attributes of an object."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    return [(name, each) for name, each in vars(value).items() if name != "origin"]


def walk(root: Any, kind: type, through: type | tuple, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what an object holds of a kind, and its dotted name, each once; it looks into containers.

    Into objects it looks if they are of the type `through`.
    """
    seen = {id(root)}
    wanted, entered = (kind, *CONTAINERS, through), (*CONTAINERS, through)

    def look(value: Any, path: str) -> Iterator[tuple[str, Any]]:
        for key, each in inside(value):
            if not isinstance(each, wanted) or id(each) in seen:
                continue
            seen.add(id(each))
            name = f"{path}.{key}" if path else str(key)
            if isinstance(each, kind):
                yield name, each
            if isinstance(each, entered):
                yield from look(each, name)

    return look(root, path)


@dataclass(frozen=True)
class Part:
    """One method of an object with a `compile_key`, as the compiler takes it."""

    owner: Any
    name: str

    def __call__(self, *args: Any) -> Any:
        return getattr(self.owner, self.name)(*args)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(getattr(self.owner, self.name))

    @property
    def compile_key(self) -> Callable[[], tuple]:
        return self.owner.compile_key
