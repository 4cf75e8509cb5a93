"""A graph printed as straight-line Python, bound to one engine's raw functions. It is meant to be read."""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable
from itertools import count
from operator import index
from typing import Any

from ember_ml.backend import Backend
from ember_ml.compiler.passes import variables
from ember_ml.core import Graph, dispatch
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.graph import Step, Var

_SERIAL = count(1)


def build(graph: Graph, backend: Backend) -> tuple[Callable, str]:
    """Return the function of a graph on an engine, and the source it was made from."""
    printer = _Printer(backend)
    source = printer.function("evaluate", graph)
    file = f"<ember_ml compiled {next(_SERIAL)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), printer.scope)
    for name, body in printer.bodies.items():
        printer.scope[name].out_specs = body.out_specs
        if not any(step.op.spec for step in body.steps):  # the innermost loops, where the time goes
            printer.scope[name] = backend.jit_body(printer.scope[name])
    return printer.scope["evaluate"], source


class _Printer:
    """Prints functions, and gathers in `scope` what their names stand for."""

    def __init__(self, backend: Backend):
        self.backend = backend
        self.scope: dict[str, Any] = {"inf": math.inf, "nan": math.nan}
        self.bodies: dict[str, Graph] = {}  # of loops and branches, printed as functions of their own
        self.constants: dict[int, str] = {}

    def function(self, name: str, graph: Graph) -> str:
        """Return the text of one function, and before it those of the bodies that it uses."""
        anchor = str(graph.inputs[0]) if graph.inputs else None
        before = len(self.bodies)
        lines = [self.line(step, anchor) for step in graph.steps]
        results = "".join(f"{self.written(x)}, " for x in graph.outputs)
        text = "\n".join(
            [f"def {name}({', '.join(map(str, graph.inputs))}):", *lines, f"    return ({results.rstrip()})"]
        )
        inner = [self.function(n, g) for n, g in list(self.bodies.items())[before:] if n not in self.scope]
        return "\n\n\n".join([*inner, text]) + ("" if inner else "\n")

    def line(self, step: Step, anchor: str | None) -> str:
        """Return one step as a line, with what it makes as a comment."""
        outs = ", ".join(map(str, step.outs)) + ("," if step.several and len(step.outs) == 1 else "")
        made = "; ".join(str(v.spec) for v in step.outs)
        if step.op.name == "getitem" and (places := _subscript(step.attrs["index"])):
            return f"    {outs} = {step.args[0]}[{places}]  # {made}"
        attrs = dict(step.attrs)
        given = [self.written(a) for a in step.args]
        if step.op.creates:
            attrs["like"] = None
        given += [f"{k}={self.setting(k, v, anchor, step)}" for k, v in attrs.items()]
        return f"    {outs} = {self.callee(step)}({', '.join(given)})  # {made}"

    def setting(self, name: str, value: Any, anchor: str | None, step: Step) -> str:
        """Return a keyword's value as text; what is created joins the first input's engine and device."""
        if name == "like" and step.op.creates:
            return anchor or "None"
        if getattr(value, "dtype", None) is not None:  # host data, such as asarray's
            return self.held(value)
        return self.written(value)

    def written(self, x: Any) -> str:
        """Return an argument as text."""
        if isinstance(x, Var):
            return str(x)
        if x is Ellipsis:
            return "..."
        if type(x) in SCALARS:  # exactly: NumPy's float64 is a float too, and is written with a name
            return repr(x)
        if isinstance(x, slice):
            return f"slice({', '.join(_place(n) for n in (x.start, x.stop, x.step))})"
        if isinstance(x, str):
            return repr(str(x))
        if isinstance(x, Graph):
            return self.body(x)
        if type(x) in (list, tuple):
            inside = ", ".join(self.written(each) for each in x)
            return f"[{inside}]" if type(x) is list else f"({inside}{',' * (len(x) == 1)})"
        return self.constant(x)

    def constant(self, x: Any) -> str:
        """Return the name of an array that the program holds.

        Raises TypeError for an array of another engine.
        """
        return self.held(self.native(x))

    def held(self, x: Any) -> str:
        """Return the name under which the program finds an object."""
        name = self.constants.setdefault(id(x), f"c{len(self.constants)}")
        self.scope[name] = x
        return name

    def native(self, x: Any) -> Any:
        """Return an array that the function closed over as the engine has it."""
        owner = dispatch.owner_of(type(x)) if getattr(x, "dtype", None) is not None else None
        if owner is not None and owner.level == 1:
            x = owner.unwrap(x)  # pyright: ignore[reportAttributeAccessIssue]
            owner = dispatch.owner_of(type(x))
        if isinstance(owner, Backend) and owner.array_types != self.backend.array_types:
            raise TypeError(f"compile: for {self.backend}, but the function holds an array of {owner}")
        return x

    def body(self, graph: Graph) -> str:
        """Return the name under which a body is printed."""
        for name, known in self.bodies.items():
            if known is graph:
                return name
        name = f"body_{len(self.bodies) + 1}"
        self.bodies[name] = graph
        return name

    def callee(self, step: Step) -> str:
        """Return the name of the engine's function for a step, by the op's own where it is free."""
        types = tuple(self.type_of(a) for a in _flat(step.args))
        bound = self.backend.compute(step.op, types, [v.spec.dtype for v in variables(step.args)])
        name, other = step.op.name, count(2)
        while name in self.scope and not _same(self.scope[name], bound):
            name = f"{step.op.name}_{next(other)}"
        self.scope[name] = bound
        return name

    def type_of(self, x: Any) -> type:
        """Return the type that an argument will have."""
        return self.backend.array_types[0] if isinstance(x, Var) else type(self.native(x))


def _subscript(index: Any) -> str:
    """Return an index as written between brackets; "" for a negative step, which an engine may lack."""
    words = []
    for part in index if type(index) is tuple else (index,):
        if type(part) is slice:
            if (part.step or 1) < 0:
                return ""
            ends = [("" if n is None else _place(n)) for n in (part.start, part.stop)]
            words.append(":".join(ends) + ("" if part.step is None else f":{_place(part.step)}"))
        else:
            words.append("..." if part is Ellipsis else _place(part))
    return ", ".join(words) or "()"


def _place(n: Any) -> str:
    """Return an integer of any kind, or None, as text."""
    return "None" if n is None else str(index(n))


def _flat(args: Any) -> list:
    out: list = []
    for a in args:
        out.extend(_flat(a)) if type(a) in (list, tuple) else out.append(a)
    return out


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    parts = ("func", "args", "keywords")
    return type(one) is type(other) and all(
        getattr(one, p, one) == getattr(other, p, other) if p != "args" else _same_args(one, other)
        for p in parts
    )


def _same_args(one: Any, other: Any) -> bool:
    mine, others = getattr(one, "args", (one,)), getattr(other, "args", (other,))
    return len(mine) == len(others) and all(a is b or _same(a, b) for a, b in zip(mine, others, strict=True))
