"""Compilation: a function traced over specs becomes a graph, plain Python, and the engine's own program."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import update_wrapper
from os import PathLike
from typing import Any

from ember_ml.backend import Backend, get_backend
from ember_ml.compiler.codegen import build
from ember_ml.compiler.entry import MISSED, NUMBERS, STATIC, argument_names, random_inputs, way_in
from ember_ml.compiler.explain import explained
from ember_ml.compiler.passes import simplify
from ember_ml.core import Graph, Spec, Traced, as_dtype, dispatch, tree
from ember_ml.core.dtypes import Defaults
from ember_ml.core.files import written_whole
from ember_ml.core.graph import trace_graph, variables

_LOG = logging.getLogger("ember_ml")
WAYS = 8  # how many quick ways in are tried before arguments are looked up


def compile(
    f: Any,
    backend: str | Backend | None = None,
    *,
    jit: bool = True,
    verbose: bool = False,
    debug: bool = False,
    without: Collection[str] = (),
    shapes: dict[str, Any] | None = None,
    constant_keys: dict[str, Any] | None = None,
    data_keys: Iterable[str] = (),
    trainable_keys: Iterable[str] = (),
    discard_keys: Iterable[str] = (),
    inference: bool = False,
    file: str | PathLike | None = None,
) -> Any:
    """Return `f`, a function of trees of arrays or a module, compiled for the engine of its arguments.

    A function keeps its signature; a module takes its parameters first: `compile(module)(params, *args)`.
    Within a gradient or another compiled function, and given a tensor that requires a gradient, it is as if
    `f` had been called. Each new combination of shapes, dtypes and static arguments (booleans, strings) is
    traced once; Python numbers are arguments like arrays, of the default dtype. Random ops draw anew at each
    call. The result is thread-safe and pickles with its graphs.

    `jit=False` leaves the printed Python to run as it is; `verbose` logs it at INFO; `without` names passes
    to leave out (`ember_ml.compiler.PASSES`). With `debug`, each line is checked for the first NaN or
    infinity, which raises a FloatingPointError that shows the line. `file` is where the printed Python is
    written whenever some is made.

    A `Model` becomes a `CompiledModel`, and the other settings are for models: `shapes` of inputs, where None
    is any size; `constant_keys`, values that become part of the program; `data_keys`, never differentiated;
    `trainable_keys`, inputs that are; `discard_keys`, outputs that are dropped with what serves them alone;
    `inference`, without gradients.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> swish = compile(lambda x: ops.multiply(x, ops.tanh(x)))
    >>> swish(np.zeros(2, "float32"))
    array([0., 0.], dtype=float32)
    >>> print(swish.source)
    def evaluate(x):
        tanh_1 = tanh(x)  # float32 (2,)
        multiply(x, tanh_1, out=tanh_1)
        return (tanh_1,)
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
    }
    if (of_model := getattr(f, "compiled_for", None)) is not None:
        how = {"jit": jit, "verbose": verbose, "debug": debug, "without": without}
        return of_model(engine, how, file=file, **chosen)
    if given := [name for name, value in chosen.items() if value]:
        raise TypeError(
            f"compile: {', '.join(given)} can be chosen for a Model alone, got {type(f).__name__}"
        )
    options = {"jit": jit and not debug, "debug": debug, "without": tuple(without)}
    return Compiled(f, engine, verbose=verbose, file=file, **options)


jit = compile


@dataclass(frozen=True)
class Specialisation:
    """A function compiled for one combination of shapes, dtypes and static arguments."""

    traced: Graph = field(repr=False)  # as it was recorded
    random: bool
    engine: Backend
    options: dict = field(repr=False)  # of the compiled function
    graph: Graph  # as it is computed
    done: dict[str, int] = field(repr=False)  # by pass, how often it found something to do
    source: str = field(repr=False)
    told: list = field(repr=False)  # its lines, and the steps that they say
    run: Callable = field(repr=False)
    checks_arguments: bool = field(default=False, repr=False)  # whether `run` looks at them itself

    def __reduce__(self) -> tuple:
        return _specialised, (self.traced, self.random, self.engine, self.options)


def _specialised(traced: Graph, random: bool, engine: Backend, options: dict) -> Specialisation:
    """Return a recorded graph simplified and made a program: in the engine's own way, or printed."""
    without = options["without"]
    made = (traced, random, engine, options)
    if options["jit"] and engine.programs:
        graph, done = simplify(traced, engine, (*without, "engine"))  # which is for printed programs
        if (own := engine.program(graph)) is not None:
            told = [(f"{s.op.name} -> {'; '.join(str(v.spec) for v in s.outs)}", s) for s in graph.steps]
            return Specialisation(*made, graph, done, own.source, told, own.run, own.checks_arguments)
    graph, done = simplify(traced, engine, without)
    built = build(graph, engine, debug=options["debug"], plans="memory" not in without)
    function, done = built.function, {**done, "memory": built.overwritten}
    if options["jit"]:
        hosted = (engine.hosts(s.op, [v.spec.dtype for v in variables(s.args)]) for s in graph.steps)
        function = engine.jit(function, whole=not any(hosted) and not any(s.op.spec for s in graph.steps))
    return Specialisation(*made, graph, done, built.source, built.told, function)


class Compiled:
    """A compiled function. Its only state is an append-only map from argument kinds to specialisations."""

    def __init__(self, f: Any, backend: Backend | None, **options: Any):
        self.f = f
        self.backend = backend
        self.options = options  # jit, verbose, debug, without, file
        self._call = getattr(f, "functional", f)  # a module is called with its parameters
        self._key = getattr(f, "compile_key", None)  # and what it is set to is part of the program
        self._made: dict[Any, Specialisation] = {}
        self._ways: tuple[Callable, ...] = ()  # quick ways in, the oldest first; see `entry`
        self._lock = threading.RLock()
        if getattr(f, "__name__", None):
            update_wrapper(self, f, updated=())  # f may be compiled, and its state is its own

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Compute the function on trees of arrays."""
        if not settings:
            for way in self._ways:
                out = way(args)
                if out is not MISSED:
                    return out
        leaves, structure = tree.flatten((args, settings))
        wrapper, natives, followed = _unwrapped(leaves)
        if self.f is not None and (followed or any(type(x) is Traced for x in natives)):
            return self._call(*args, **settings)
        engine, state = self._engine(natives), self._state()
        chosen = (engine.name, engine.dtype, engine.enable_optimizations)
        key = (structure, chosen, Defaults.float, *map(_leaf_key, natives))
        made = self._made.get((state, key))
        if made is None:
            made = self._specialise(key, structure, natives, engine)
        elif wrapper is None and not settings:
            self._add_way(made, structure, leaves, state)
        array = made.engine.array
        arrays = [array(x) if type(x) in NUMBERS else x for x in natives if type(x) not in STATIC]
        outs = made.run(*arrays, *(random_inputs(made.engine) if made.random else ()))
        if wrapper is not None:
            outs = [wrapper.wrap(x) for x in outs]
        return tree.unflatten(made.graph.structure, outs)

    def _state(self) -> Any:
        """Return what `f` is set to."""
        return None if self._key is None else self._key()

    def _add_way(self, made: Specialisation, structure: tuple, leaves: list, state: Any) -> None:
        key = None if self._key is None else (self._key, state)
        way = way_in(made, structure[2][0], leaves, None if self.backend else get_backend(), key)
        with self._lock:
            self._ways = (*self._ways[-(WAYS - 1) :], way)  # whole batches stay before the last, partial one

    @property
    def source(self) -> str:
        """The printed Python of every specialisation, in the order they were made."""
        return "\n\n".join(made.source for made in self._made.values())

    def explain(self) -> str:
        """Return, of every specialisation, what each pass did and what each line costs.

        >>> import numpy as np
        >>> from ember_ml import ops
        >>> half = compile(lambda x: ops.sum(ops.square(x / 2.0)))
        >>> half(np.ones((2, 2), "float32"))
        np.float32(1.0)
        >>> print(half.explain())
        numpy: float32 (2, 2)
          strength     1  powers and divisions made products
          algebra      0  ops left out or joined
          merge        0  expressions computed once instead of twice
          layout       0  products written as their result is stored
          engine       1  ops written as this engine computes them quicker
          fold         0  arrays made once
          unused       0  steps that no result needs
          memory       0  results written over what nothing reads any more
        <BLANKLINE>
          line                                  FLOPs  bytes
          --------------------------------------------------
          multiply_1 = multiply(x, n1)              4     32
          reshape_1 = multiply_1.ravel()            0      0
          matmul_1 = dot(reshape_1, reshape_1)      8     36
          --------------------------------------------------
          in all                                   12     68
        """
        return "\n\n".join(
            explained(made.engine.name, made.graph, made.done, made.told) for made in self._made.values()
        )

    @property
    def graphs(self) -> list[Graph]:
        """The graph of every specialisation, in the order they were made."""
        return [made.graph for made in self._made.values()]

    def _specialise(self, key: Any, structure: tuple, leaves: list, engine: Backend) -> Specialisation:
        with self._lock:
            if (state := self._state(), key) in self._made:
                return self._made[state, key]
            if self.f is None:
                known = "; ".join(", ".join(str(v.spec) for v in g.inputs) for g in self.graphs)
                raise TypeError(
                    f"compile: unpickled without its function, this knows only the arguments {known}"
                )
            places = [i for i, x in enumerate(leaves) if type(x) not in STATIC]

            def flat(*values: Any) -> Any:
                args, settings = tree.unflatten(structure, tree.merged(leaves, places, values))
                return self._call(*args, **settings)

            called = argument_names(self._call, structure)
            with engine.activated():
                specs, names = [_leaf_spec(leaves[i]) for i in places], [called[i] for i in places]
                graph, _, random = trace_graph(flat, specs, names=names)
                made = _specialised(graph, random, engine, self.options)
            if self.options["verbose"]:
                _LOG.info("compiled for %s, %d steps:\n%s", engine, len(made.graph.steps), made.source)
            self._made[self._state(), key] = made  # tracing builds what was not built
            if self.options["file"] is not None:
                with written_whole(self.options["file"]) as part:
                    part.write_text(self.source, encoding="utf-8")
            return made

    def _engine(self, leaves: list) -> Backend:
        active = get_backend()
        types = tuple({type(x) for x in leaves if type(x) not in STATIC})
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
        return {"f": kept, "backend": self.backend, "options": self.options, "made": dict(self._made)}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["f"], state["backend"], **state["options"])
        self._made = state["made"]


def _leaf_key(x: Any) -> Any:
    """Return what a program depends on: the value of a static argument, the kind of any other."""
    if type(x) in STATIC:
        return x
    return type(x) if type(x) in NUMBERS else (x.shape, x.dtype)


def _leaf_spec(x: Any) -> Spec:
    if type(x) in NUMBERS:
        return Spec((), Defaults.int if type(x) is int else as_dtype(type(x)), weak=True)
    return Spec(tuple(x.shape), as_dtype(x.dtype))


def _unwrapped(leaves: list) -> tuple[Any, list, bool]:
    """Return who wraps the results (or None), the native arrays, and whether a tape follows one of them."""
    tensors = [x for x in leaves if getattr(dispatch.owner(x), "level", 0) == 1]
    if not tensors:
        return None, leaves, False
    wrapper: Any = dispatch.owner(tensors[0])
    return wrapper, [dispatch.bare(x) for x in leaves], any(map(wrapper.follows, tensors))
