"""A graph printed as straight-line Python, bound to one engine's raw functions. It is meant to be read."""

from __future__ import annotations

import keyword
import linecache
import math
import re
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import count
from operator import index
from typing import Any, NamedTuple

from ember_ml.backend import Backend
from ember_ml.backend.phrases import Phrase
from ember_ml.compiler.lifetimes import Lifetimes
from ember_ml.core import Graph, dispatch, op_named, spec_of
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import Step, Var, variables
from ember_ml.core.op import written
from ember_ml.core.rules import shape_of
from ember_ml.core.trace import lay_flat
from ember_ml.ops.comparison import logical_not
from ember_ml.ops.creation import astype
from ember_ml.ops.elementwise import isfinite
from ember_ml.ops.reduction import sum

_SERIAL = count(1)
_FREE: list[str] = []  # names of files that no program has any more: Python keeps each that it has compiled
LONG = 100  # letters from which a view has a line of its own: Python nests expressions only so deep


class Built(NamedTuple):
    """A graph as a function, and the text it was made from."""

    function: Callable
    source: str
    overwritten: int  # how many results are written over an argument
    told: list[tuple[str, Step]]  # each line of the whole, and the step that it says


def build(graph: Graph, backend: Backend, *, debug: bool = False, plans: bool = True) -> Built:
    """Return the program of a graph on an engine.

    `debug` checks what each line makes; without `plans`, no memory is used again.
    """
    printer = _Printer(backend, debug=debug, plans=plans)
    source = printer.program("evaluate", graph)
    file = _FREE.pop() if _FREE else f"<ember_ml compiled {next(_SERIAL)}>"
    run = written(source, file, printer.scope)["evaluate"]  # tracebacks show its lines as long as it is there
    weakref.finalize(run, lambda: (linecache.cache.pop(file, None), _FREE.append(file))).atexit = False
    for name, body in printer.bodies.items():
        printer.scope[name].out_specs = body.out_specs
        if not any(step.op.spec for step in body.steps):  # the innermost loops, where the time goes
            printer.scope[name] = backend.jit_body(printer.scope[name])
    return Built(run, source, printer.overwritten, printer.told)


class _Printer:
    """Prints functions, and gathers in `scope` what their names stand for."""

    def __init__(self, backend: Backend, *, debug: bool, plans: bool):
        self.backend = backend
        self.debug, self.plans, self.overwritten = debug, plans, 0
        self.told: list[tuple[str, Step]] = []
        self.scope: dict[str, Any] = {"array": self.array, "inf": math.inf, "nan": math.nan}
        self.scope |= {"check_finite": self.check_finite} if debug else {}
        self.bodies: dict[str, Graph] = {}  # of loops and branches, printed as functions of their own
        self.serial = count(1)
        self.known: dict[int, str] = {}  # by id, under what name the program finds an object
        self.functions: dict[tuple, Callable] = {}  # of the engine: by op, types and dtypes of arrays
        self.numbers: dict[tuple, str] = {}  # held ready as arrays
        self.locals: set[str] = set()  # what variables are called, in any function
        # What variables of the function being printed are called; views are written where they are read.
        self.names: dict[Var, str] = {}

    def array(self, value: Any, dtype: Any = None) -> Any:
        """Return a new array of this engine: what the text calls `array`."""
        make = self.backend.implementation(op_named("asarray"))
        return make(value, dtype=dtype, device=None, copy=True, like=None)

    def program(self, name: str, graph: Graph) -> str:
        """Return the text of all that a graph needs: numbers held ready, bodies of loops, its function."""
        text = self.function(name, graph)
        held = [f"{word} = array({value}, {dtype!r})" for (value, dtype), word in self.numbers.items()]
        arrays = [word for word in self.known.values() if hasattr(self.scope[word], "dtype")]
        held += [f"# {word}: {spec_of(self.scope[word])}" for word in arrays]
        return "\n".join([*held, "", "", text, ""] if held else [text, ""])

    def function(self, name: str, graph: Graph) -> str:
        """Return the text of one function, and before it those of the bodies that it uses."""
        phrases = [self.phrase(step) for step in graph.steps]
        lives = Lifetimes(graph, phrases, plans=self.plans)
        self.overwritten += len(lives.over)
        self.names = self.called(graph, lives.over)
        before = len(self.bodies)
        lines = [f"def {name}({', '.join(self.names[v] for v in graph.inputs)}):"]
        for v in graph.inputs:
            lines += self.checks((v,), f"{self.names[v]}, an argument")
        anchor = self.names[graph.inputs[0]] if graph.inputs else None
        for place, (step, phrase) in enumerate(zip(graph.steps, phrases, strict=True)):
            said = self.lines(step, phrase, lives, anchor)
            lines += said
            self.told += [(line, step) for line in said if name not in self.bodies]
            lines += self.checks(step.outs, lines[-1].strip().split("  #")[0])
            if (gone := lives.ended(place, step)) and not self.backend.compiles:
                lines.append(f"    del {', '.join(self.names[v] for v in gone)}")
        results = "".join(f"{x}, " for x in self.results(graph, whole=name not in self.bodies))
        text = "\n".join([*lines, f"    return ({results.rstrip()})"])
        inner = [self.function(n, g) for n, g in list(self.bodies.items())[before:] if n not in self.scope]
        return "\n\n\n".join([*inner, text])

    def called(self, graph: Graph, over: dict[Var, Var]) -> dict[Var, str]:
        """Return what to call each variable: as people did, else by its op; one name for one memory.

        Of several that want one name, the last has it bare.
        """
        wanted = {v: _word(v.name) or f"x{v.index}" for v in graph.inputs}
        home: dict[Var, Var] = {}
        for step in graph.steps:
            for v in step.outs:
                home[v] = home[over[v]] if v in over else v
                default = f"{step.op.name.removeprefix('flat_')}_"
                wanted[home[v]] = _word(v.name) or wanted.get(home[v], default)
        left, made, names, taken = Counter(wanted.values()), Counter(), {}, set()
        for v, word in wanted.items():
            left[word] -= 1
            made[word] += 1
            bare = not word.endswith("_") and not left[word]
            names[v] = self.free(word if bare else f"{word.rstrip('_')}_{made[word]}", taken)
            taken.add(names[v])
        self.locals |= taken
        return {**names, **{v: names[home[v]] for v in home}}

    def free(self, name: str, taken: Collection[str]) -> str:
        """Return a name that neither the program nor `taken` has yet, this one if it can be."""
        other, word = count(2), name
        while word in self.scope or word in taken or keyword.iskeyword(word):
            word = f"{name}_{next(other)}"
        return word

    def phrase(self, step: Step) -> Phrase | None:
        """Return the words that the engine has for a step."""
        if step.op.name == "getitem" and (places := subscript(step.attrs["index"])):
            return Phrase(f"{{0}}[{places}]", fresh=False)
        return self.backend.phrase(step)

    def lines(self, step: Step, phrase: Phrase | None, lives: Lifetimes, anchor: str | None) -> list[str]:
        """Return one step as lines, with what it makes as a comment; none for a view that is read once."""
        out = step.outs[0]
        if out in lives.over:
            assert phrase is not None
            return [f"    {self.said(phrase.into, phrase, step)}"]
        said = self.call(step, anchor) if phrase is None else self.said(phrase.text, phrase, step)
        once = lives.uses[out] == 1 and out not in lives.results
        if phrase is not None and not phrase.fresh and once and len(said) < LONG:
            self.names[out] = said
            return []
        outs = ", ".join(self.names[v] for v in step.outs)
        outs += "," if step.several and len(step.outs) == 1 else ""
        return [f"    {outs} = {said}  # {'; '.join(str(v.spec) for v in step.outs)}"]

    def checks(self, made: tuple[Var, ...], told: str) -> list[str]:
        """Return the lines of a debugged program that look for NaN and infinities in what `told` made."""
        if not self.debug:
            return []
        floats = [v for v in made if v.spec.dtype.kind in FLOATING and self.names[v].isidentifier()]
        return [f"    check_finite({self.names[v]}, {told!r})" for v in floats]

    def said(self, text: str, phrase: Phrase, step: Step) -> str:
        """Return the text of a phrase with its arguments and names filled in."""
        given = [
            self.ready(a, phrase.numbers) if phrase.numbers and type(a) in SCALARS else self.written(a)
            for a in step.args
        ]
        scope = {name: self.held(x, name) for name, x in phrase.scope.items()}
        return text.format(*given, out=self.names[step.outs[0]], **scope)

    def call(self, step: Step, anchor: str | None) -> str:
        """Return a step as a call of the backend's function, settings by name."""
        attrs = {**step.attrs, "like": None} if step.op.creates else step.attrs
        given = [self.written(a) for a in step.args]
        given += [f"{k}={self.setting(k, v, anchor, step)}" for k, v in attrs.items()]
        return f"{self.held(self.bound(step), step.op.name)}({', '.join(given)})"

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
            return self.names[x]
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
        return self.held(self.native(x))

    def results(self, graph: Graph, *, whole: bool) -> Iterator[str]:
        """Yield each result as text: a copy where others could change it.

        That is an array that the program holds and, of a whole program, an argument or an earlier result:
        people may have computed these anew, and cannot know that simplifying made them one.
        """
        lent = set(graph.inputs) if whole else set()
        for x in graph.outputs:
            shared = x in lent if type(x) is Var else hasattr(x, "dtype")
            yield f"array({self.written(x)})" if shared and self.backend.mutable else self.written(x)
            if whole and type(x) is Var:
                lent.add(x)

    def held(self, x: Any, name: str = "") -> str:
        """Return the name under which the program finds an object; this one, where it is free."""
        if id(x) not in self.known:
            self.known[id(x)] = word = self.free(name or f"c{next(self.serial)}", self.locals)
            self.scope[word] = x
        return self.known[id(x)]

    def native(self, x: Any) -> Any:
        """Return an array that the function closed over. Raises TypeError for one of another engine."""
        x = dispatch.bare(x)
        owner = dispatch.owner(x)
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

    def bound(self, step: Step) -> Callable:
        """Return the engine's function for a step."""
        own = self.backend.array_types[0]
        types = tuple([own if type(a) is Var else type(self.native(a)) for a in lay_flat(step.args)])
        key = (step.op.name, types, tuple([v.spec.dtype for v in variables(step.args)]))
        if key not in self.functions:
            self.functions[key] = self.backend.compute(step.op, *key[1:])
        return self.functions[key]

    def ready(self, value: Any, dtype: Any) -> str:
        """Return the name of a number that the program holds as an array."""
        key = (repr(value), str(dtype))
        if key not in self.numbers:
            self.numbers[key] = self.free(f"n{len(self.numbers) + 1}", self.locals)
            self.scope[self.numbers[key]] = value
        return self.numbers[key]

    def check_finite(self, x: Any, line: str) -> None:
        """Raise FloatingPointError where `x`, made by this line, holds NaN or an infinity."""
        wrong = astype(logical_not(isfinite(x)), "int32")
        if (self.backend.extremes(wrong) or (0, 0))[1] == 0:  # also where a loop has no values to look at
            return
        raise FloatingPointError(
            f"`{line}` made {int(sum(wrong))} of {math.prod(shape_of(x))} numbers NaN or infinite "
            f"({spec_of(x)}); what it was given is finite"
        )


def _word(name: str) -> str:
    """Return a name as one that Python takes."""
    word = re.sub(r"\W+", "_", name)
    return f"_{word}" if word[:1].isdigit() else word


def subscript(index: Any) -> str:
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
