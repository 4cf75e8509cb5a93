"""The settings of objects, for which compiled programs are made, and how one finds what objects hold.

A program holds the settings of its modules, optimizer and loss as constants. Each such object notes when an
attribute changes, so that a compiled function learns by one number whether anything did.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ember_ml.tensor.conversion import owner_of

CONTAINERS = (list, tuple, dict)
_NO_SETTINGS = ("training", "built", "input_shape")  # modes, and what building leaves behind


class Settings:
    """An object whose attributes are part of the programs that use it.

    Setting an attribute is noticed, and the next call compiles anew. Not noticed are changes inside a list or
    dict, and of an array, which belongs in a `Parameter` or a buffer if a program shall see it change.
    """

    training: bool = True
    _change: Any = None  # an object that stands for the last change of a setting
    _last: ClassVar[Any] = None  # for the last change of a setting, a mode or a buffer anywhere

    @property
    def is_settled(self) -> bool:
        """Whether it holds all that it will, or waits to be built; no program holds its settings before."""
        return True

    def __setattr__(self, name: str, value: Any) -> None:
        old, was_settled = vars(self).get(name), self.is_settled
        object.__setattr__(self, name, value)
        if value is old:
            return
        both_arrays = _is_array(value) and _is_array(old)
        if both_arrays and name not in vars(self).get("_buffer_names", ()):
            return
        Settings._last = change = object()
        if was_settled and name not in _NO_SETTINGS and not both_arrays:
            vars(self)["_change"] = change

    @property
    def compile_key(self) -> Callable[[], tuple]:
        """A function that returns what compiled forms depend on: settings, modes, and values of buffers."""
        known: tuple = (self, (), [])  # the last change that it knows of, and what it saw then

        def key() -> tuple:
            nonlocal known
            if known[0] is not (last := Settings._last):
                objects = [self, *(x for _, x in walk(self, Settings, Settings))]
                named = ((x, name) for x in objects for name in vars(x).get("_buffer_names", ()))
                buffers = [b for x, name in named if (b := getattr(x, name)) is not None]
                known = (last, tuple((x._change, x.training) for x in objects), buffers)
            _, modes, buffers = known
            return (modes, *[id(getattr(b, "native", b)) for b in buffers]) if buffers else modes

        return key


def _is_array(x: Any) -> bool:
    owner = owner_of(x)
    return owner is not None and not isinstance(x, owner.scalar_types)


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
