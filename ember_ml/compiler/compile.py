"""Compilation: a function traced over specs becomes a graph, plain Python, and the engine's own program."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import update_wrapper
from os import PathLike
from typing import Any

from ember_ml.backend import Backend, get_backend
from ember_ml.compiler.codegen import build
from ember_ml.compiler.passes import expand, simplify, variables
from ember_ml.core import Graph, Spec, Traced, as_dtype, dispatch, tree
from ember_ml.core.dtypes import Defaults
from ember_ml.core.graph import Step, trace_graph
from ember_ml.core.keys import take_key

_LOG = logging.getLogger("ember_ml")
_STATIC = (bool, str, bytes)


def compile(
    f: Any,
    backend: str | Backend | None = None,
    *,
    shapes: dict[str, Any] | None = None,
    constant_keys: dict[str, Any] | None = None,
    data_keys: Iterable[str] = (),
    trainable_keys: Iterable[str] = (),
    discard_keys: Iterable[str] = (),
    inference: bool = False,
    jit: bool = True,
    verbose: bool = False,
    file: str | PathLike | None = None,
) -> Any:
    """Return `f`, a function of trees of arrays or a module, compiled for the engine of its arguments.

    A function keeps its signature; a module takes its parameters first: `compile(module)(params, *args)`.
    Within a gradient or another compiled function, and given a tensor that requires a gradient, it is as if
    `f` had been called. Each new combination of shapes, dtypes and static arguments (booleans, strings) is
    traced once; Python numbers are arguments like arrays, of the default dtype. Random ops draw anew at each
    call. The result is thread-safe and pickles with its graphs. `jit=False` leaves the printed Python to run
    as it is; `verbose` logs it at INFO.

    A `Model` becomes a `CompiledModel`, and the other settings are for models: `shapes` of inputs, where None
    is any size; `constant_keys`, values that become part of the program; `data_keys`, never differentiated;
    `trainable_keys`, inputs that are; `discard_keys`, outputs that are dropped with what serves them alone;
    `inference`, without gradients; `file`, where the printed Python is written whenever some is made.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> double = compile(lambda x: ops.add(x, x))
    >>> double(np.ones(2, "float32"))
    array([2., 2.], dtype=float32)
    >>> print(double.source)
    def evaluate(v0):
        v1 = add(v0, v0)  # float32 (2,)
        return (v1,)
    <BLANKLINE>
    """
    engine = None if backend is None else get_backend(backend)
    chosen = {
        "shapes": shapes,
        "constant_keys": constant_keys,
        "data_keys": data_keys,
        "trainable_keys": trainable_keys,
        "discard_keys": discard_keys,
        "inference": inference,
        "file": file,
    }
    if (of_model := getattr(f, "compiled_for", None)) is not None:
        return of_model(engine, jit=jit, verbose=verbose, **chosen)
    if given := [name for name, value in chosen.items() if value]:
        raise TypeError(
            f"compile: {', '.join(given)} can be chosen for a Model alone, got {type(f).__name__}"
        )
    return Compiled(f, engine, jit=jit, verbose=verbose)


jit = compile


@dataclass(frozen=True)
class Specialisation:
    """A function compiled for one combination of shapes, dtypes and static arguments."""

    graph: Graph
    random: bool
    backend: str
    source: str = field(repr=False)
    run: Callable = field(repr=False)

    def __reduce__(self) -> tuple:
        return _rebuild, (self.graph, self.random, self.backend)


def _rebuild(graph: Graph, random: bool, backend: str, jit: bool = True) -> Specialisation:
    engine = get_backend(backend)
    function, source = build(graph, engine)
    whole = not any(step.op.spec or _is_hosted(step, engine) for step in graph.steps)
    return Specialisation(
        graph, random, backend, source, engine.jit(function, whole=whole) if jit else function
    )


def _is_hosted(step: Step, engine: Backend) -> bool:
    return engine.hosts(step.op, [v.spec.dtype for v in variables(step.args)])


class Compiled:
    """A compiled function. Its only state is an append-only map from argument kinds to specialisations."""

    def __init__(self, f: Any, backend: Backend | None, *, jit: bool, verbose: bool):
        self.f = f
        self.backend = backend
        self.jit, self.verbose = jit, verbose
        self._call = getattr(f, "functional", f)  # a module is called with its parameters
        self._key = getattr(f, "compile_key", None)  # and what it is set to is part of the program
        self._made: dict[Any, Specialisation] = {}
        self._lock = threading.RLock()
        if getattr(f, "__name__", None):
            update_wrapper(self, f)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Compute the function on trees of arrays."""
        leaves, structure = tree.flatten((args, settings) if settings else args)
        wrapper, leaves, followed = _unwrapped(leaves)
        if followed and self.f is not None:
            return self._call(*args, **settings)
        state = None if self._key is None else self._key()
        chooser = _chooser(leaves) if self.backend is None else None
        key = (structure, bool(settings), chooser, Defaults.float, state, *map(_leaf_key, leaves))
        made = self._made.get(key)
        if made is None:
            if self.f is not None and any(type(x) is Traced for x in leaves):  # in a tensor
                return self._call(*args, **settings)
            made = self._specialise(key, structure, leaves)
        arrays = [x for x in leaves if type(x) not in _STATIC]
        if any(type(x) in _NUMBERS for x in arrays):
            engine = get_backend(made.backend)
            arrays = [engine.array(x) if type(x) in _NUMBERS else x for x in arrays]
        if made.random:
            arrays += _random_inputs(get_backend(made.backend))
        outs = made.run(*arrays)
        if wrapper is not None:
            outs = [wrapper.wrap(x) for x in outs]
        return tree.unflatten(made.graph.structure, outs)

    @property
    def source(self) -> str:
        """The printed Python of every specialisation, in the order they were made."""
        return "\n\n".join(made.source for made in self._made.values())

    @property
    def graphs(self) -> list[Graph]:
        """The graph of every specialisation, in the order they were made."""
        return [made.graph for made in self._made.values()]

    def _specialise(self, key: Any, structure: tuple, leaves: list) -> Specialisation:
        with self._lock:
            if key in self._made:
                return self._made[key]
            if self.f is None:
                known = "; ".join(", ".join(str(v.spec) for v in g.inputs) for g in self.graphs)
                raise TypeError(
                    f"compile: unpickled without its function, this knows only the arguments {known}"
                )
            engine = self._engine(leaves)
            with_settings = key[1]
            places = [i for i, x in enumerate(leaves) if type(x) not in _STATIC]

            def flat(*values: Any) -> Any:
                full = list(leaves)
                for place, value in zip(places, values, strict=True):
                    full[place] = value
                given = tree.unflatten(structure, full)
                args, settings = given if with_settings else (given, {})
                return self._call(*args, **settings)

            with engine.activated():
                specs = [_leaf_spec(leaves[i]) for i in places]
                graph, _, random = trace_graph(flat, specs, expands=lambda op: False)
                graph = simplify(expand(graph, lambda op: not engine.supplies(op)))
            made = _rebuild(graph, random, engine.name, self.jit)
            if self.verbose:
                _LOG.info("compiled for %s, %d steps:\n%s", engine, len(graph.steps), made.source)
            self._made[key] = made
            return made

    def _engine(self, leaves: list) -> Backend:
        active = get_backend()
        types = tuple({type(x) for x in leaves if type(x) not in _STATIC})
        found = dispatch.interpreter_of("compile", types)
        if found is not None and not isinstance(found, Backend):
            raise TypeError(
                "compile: a compiled function takes arrays; call it outside of gradients and traces"
            )
        wanted = self.backend or (
            active if found is None or active.array_types == found.array_types else found
        )
        if found is not None and wanted.array_types != found.array_types:
            raise TypeError(f"compile: compiled for {wanted}, but the arguments are arrays of {found}")
        return wanted

    def __getstate__(self) -> dict:
        try:
            pickle.dumps(self.f)
            kept = self.f
        except (pickle.PicklingError, AttributeError, TypeError):
            kept = None  # a lambda or a closure: the graphs still travel
        return {
            "f": kept,
            "backend": self.backend and self.backend.name,
            "jit": self.jit,
            "made": dict(self._made),
        }

    def __setstate__(self, state: dict) -> None:
        backend = None if state["backend"] is None else get_backend(state["backend"])
        self.__init__(state["f"], backend, jit=state["jit"], verbose=False)
        self._made = state["made"]


_NUMBERS = (int, float, complex)


def _chooser(leaves: list) -> str | None:
    """Return the name of the active backend where it has a say: without arrays, or with one of its own."""
    first = next((x for x in leaves if type(x) not in _STATIC and type(x) not in _NUMBERS), None)
    active = get_backend()
    return active.name if first is None or isinstance(first, active.array_types) else None


def _leaf_key(x: Any) -> Any:
    """Return what a program depends on: the value of a static argument, the kind of any other."""
    if type(x) in _STATIC:
        return x
    return type(x) if type(x) in _NUMBERS else (type(x), x.shape, x.dtype)


def _leaf_spec(x: Any) -> Spec:
    if type(x) in _NUMBERS:
        return Spec((), Defaults.int if type(x) is int else as_dtype(type(x)), weak=True)
    return Spec(tuple(x.shape), as_dtype(x.dtype))


def _wrapper_of(x: Any) -> Any:
    """Return who wraps native arrays in things like x; None where x is no tensor."""
    try:
        owner = dispatch.owner_of(type(x))
    except LookupError:
        return None
    return owner if owner is not None and owner.level == 1 else None


def _unwrapped(leaves: list) -> tuple[Any, list, bool]:
    """Return who wraps the results (or None), the native arrays, and whether a tape follows one of them."""
    wrappers = [_wrapper_of(x) for x in leaves]
    if not any(wrappers):
        return None, leaves, False
    pairs = list(zip(leaves, wrappers, strict=True))
    natives = [w.unwrap(x) if w else x for x, w in pairs]
    return next(filter(None, wrappers)), natives, any(w and w.follows(x) for x, w in pairs)


def _random_inputs(engine: Backend) -> list:
    """Return the next key of the process's stream, and the step number, as this engine's arrays."""
    high, low, count = take_key()
    return [engine.array([high, low], dtype="uint32"), engine.array(count, dtype="int32")]
