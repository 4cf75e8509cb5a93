"""The quick way into a compiled program: its arguments taken apart and checked by code written for them.

For a call whose arguments have the structure, types, shapes and dtypes of an earlier one, nothing need be
flattened or looked up. Whatever else comes is handed back, `MISSED`.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from ember_ml.backend import Backend, get_backend
from ember_ml.core import tree
from ember_ml.core.dispatch import OWNERS, Misfit
from ember_ml.core.dtypes import Defaults
from ember_ml.core.keys import advance

MISSED = object()
STATIC = (bool, str, bytes)  # arguments whose value is part of the program
NUMBERS = (int, float, complex)
DEEP = 40  # brackets within brackets, of which Python reads no more than 200


def random_inputs(engine: Backend) -> list:
    """Return the next key of the process's stream, and the step number, as this engine's arrays."""
    high, low, count = advance()
    return [engine.array([high, low], dtype="uint32"), engine.array(count, dtype="int32")]


def argument_names(f: Any, structure: tuple) -> list[str]:
    """Return what to call each leaf of `(args, settings)`: the last word that leads to it, or all of them."""
    try:
        parameters = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):  # builtins have none
        parameters = []
    full = []
    for by_key, first, *path in tree.paths(structure):
        word = first if by_key or first >= len(parameters) else parameters[first]
        full.append([str(word), *map(str, path)])
    short = [path[-1] if not path[-1].isdigit() else "_".join(path) for path in full]
    shared = Counter(short)
    return ["_".join(p) if shared[s] > 1 else s for p, s in zip(full, short, strict=True)]


def result_names(structure: tuple) -> list[str]:
    """Return what to call each leaf of a result: the keys that lead to it, or `output` and its places."""
    paths = tree.paths(structure)
    if paths == [()]:
        return ["output"]
    return ["_".join(map(str, p if type(p[0]) is str else ("output", *p))) for p in paths]


def way_in(made: Any, structure: tuple, leaves: list, active: Backend | None, key: tuple | None) -> Callable:
    """Return the function from a tuple of arguments to the program's result, or `MISSED`.

    `active` is the backend that must be active, if that matters; `key` a function and what it must return.
    """
    text = _Way(trusting=made.checks_arguments)
    text.check("Defaults.float is not {}", Defaults.float)
    text.scope |= {
        "Defaults": Defaults,
        "get_backend": get_backend,
        "MISSED": MISSED,
        "Misfit": Misfit,
        "run": made.run,
    }
    if active is not None:
        text.check("get_backend() is not {}", active)
    if key is not None:
        text.check(f"{text.held(key[0])}() != {{}}", key[1])
    text.take("args", structure, iter(leaves), made.engine)
    given = list(text.given)
    if made.random:
        given.append(f"*{text.held(random_inputs)}({text.held(made.engine)})")
    call = f"out = run({', '.join(given)})"
    if text.trusting:
        text.lines += ["    try:", f"        {call}", "    except Misfit:", "        return MISSED"]
    else:
        text.lines.append(f"    {call}")
    places = iter(range(len(made.graph.outputs)))
    text.lines.append(f"    return {text.put_together(made.graph.structure, places)}")
    return text.function()


class _Way:
    """The text of one way in, as it grows."""

    def __init__(self, *, trusting: bool) -> None:
        self.trusting = trusting  # whether the program looks at its arrays itself
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {}
        self.given: list[str] = []
        self.names = 0

    def held(self, value: Any) -> str:
        """Return a new name for an object."""
        self.names += 1
        self.scope[name := f"h{self.names}"] = value
        return name

    def function(self) -> Callable:
        """Return the text as a function; what it names are defaults, found quicker than globals."""
        head = f"def enter(args, {', '.join(f'{name}={name}' for name in self.scope)}):"
        exec("\n".join([head, *self.lines]), scope := dict(self.scope))
        return scope["enter"]

    def check(self, condition: str, *values: Any) -> None:
        """Hand the call back where a condition holds; `{}` stands for values that it names."""
        self.lines.append(f"    if {condition.format(*map(self.held, values))}: return MISSED")

    def take(self, place: str, structure: tuple, leaves: Any, engine: Backend) -> None:
        """Take apart what stands at `place`, and check that it is as it was."""
        if structure == tree.LEAF:
            self.leaf(place, next(leaves), engine)
            return
        if structure == tree.NONE:
            self.check(f"{place} is not None")
            return
        kind, keys, children = structure
        if place != "args":
            self.check(f"type({place}) is not {{}}", kind)
        self.check(f"len({place}) != {len(children)}")
        names = [f"{place}_{i}" for i in range(len(children))]
        if keys is None and names:
            self.lines.append(f"    {', '.join(names)}, = {place}")
        if keys:
            found = "; ".join(f"{n} = {place}[{self.held(k)}]" for n, k in zip(names, keys, strict=True))
            self.lines += ["    try:", f"        {found}", "    except KeyError:", "        return MISSED"]
        for name, child in zip(names, children, strict=True):
            self.take(name, child, leaves, engine)

    def leaf(self, place: str, x: Any, engine: Backend) -> None:
        """Check one leaf; a static argument has its value, a number its kind, an array all but its values."""
        if type(x) in STATIC:
            self.check(f"type({place}) is not {{}} or {place} != {{}}", type(x), x)
            return
        if type(x) in NUMBERS:
            self.check(f"type({place}) is not {{}}", type(x))
            self.lines.append(f"    {place} = {self.held(engine.array)}({place})")
        elif not self.trusting:
            differs = "is not" if x.dtype is x.dtype else "!="
            found, kind = f"type({place})", type(x)
            if x.shape == ():  # an engine's scalar and its array of no axes are of two types
                found, kind = f"{self.held(OWNERS.get)}({found})", OWNERS[kind]
            other = f"{found} is not {{}} or {place}.dtype {differs} {{}} or {place}.shape != {{}}"
            self.check(other, kind, x.dtype, x.shape)
        self.given.append(place)

    def put_together(self, structure: tuple, places: Any, depth: int = 0) -> str:
        """Return the expression for a tree of results."""
        if depth == DEEP:
            given = ", ".join(f"out[{next(places)}]" for _ in tree.paths(structure))
            return f"{self.held(partial(tree.unflatten, structure))}([{given}])"
        if structure == tree.LEAF:
            return f"out[{next(places)}]"
        if structure == tree.NONE:
            return "None"
        kind, keys, children = structure
        parts = [self.put_together(child, places, depth + 1) for child in children]
        if keys is not None:
            inside = "{" + ", ".join(f"{self.held(k)}: {p}" for k, p in zip(keys, parts, strict=True)) + "}"
            return inside if kind is dict else f"{self.held(kind)}({inside})"
        if getattr(kind, "_fields", None):
            return f"{self.held(kind)}({', '.join(parts)})"
        inside = f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        return inside if kind is tuple else f"{self.held(kind)}({inside})"
