"""A graph printed as the text of one function (cheap), and compiled (seconds, unless that was done before).

A compiled text is kept on disk for later processes. What the printer has no words for, or Numba cannot
compile, is left to NumPy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from ember_ml.backend.base import Program
from ember_ml.backend.loops.places import Place, row_strides
from ember_ml.backend.loops.printer import Printer, Text, Value
from ember_ml.backend.loops.steps import WRITERS
from ember_ml.backend.loops.table import DTYPES, ONE_BY_ONE, Unsayable
from ember_ml.core.dispatch import Misfit
from ember_ml.core.dtypes import as_dtype
from ember_ml.core.files import written_whole
from ember_ml.core.graph import Graph, Var, variables


@dataclass(frozen=True)
class Printed:
    """A graph as text, still to be compiled."""

    source: str
    constants: tuple[np.ndarray, ...]
    products: tuple[str, ...]  # the dtypes of its matrix products
    graph: Graph


def program(graph: Graph) -> Program | None:
    """Return a graph as a compiled function; None where there is none.

    The function takes NumPy arrays of the shapes and dtypes of the graph's inputs and returns a tuple of new
    arrays; it holds no state and releases the interpreter's lock.
    """
    from numba.core.errors import NumbaError

    try:
        text = printed(graph)
        return Program(_bound(_kernel(text.source), text), text.source, checks_arguments=True)
    except (Unsayable, NumbaError):
        return None


def pays(graph: Graph) -> bool:
    """Whether loops are likely to be a tenth faster than NumPy's steps, which matrix products alone are not.

    In nanoseconds, as measured on one core: a step of NumPy costs 800, an element of it 0.5 and in a loop
    0.15; 100 multiplications of a matrix product 3 on both; an element of a function that the loops compute
    one by one 15, by NumPy 3.
    """
    steps, elements, products, single = _work(graph)
    by_numpy = 800 * steps + 0.5 * elements + 0.03 * products + 3 * single
    return 2000 + 0.15 * elements + 0.03 * products + 15 * single < 0.9 * by_numpy


def _work(graph: Graph) -> tuple[int, int, int, int]:
    """Return how many steps, elements, multiplications in products and elements one by one there are."""
    steps, elements, products, single = 0, 0, 0, 0
    for step in graph.steps:
        if step.op.name == "flat_scan":
            inner = _work(step.attrs["body"])
            counts = (n * step.attrs["length"] for n in inner)
            steps, elements, products, single = map(add, (steps, elements, products, single), counts)
            continue
        sizes = [math.prod(v.spec.shape) for v in (*step.outs, *variables(step.args))]
        steps += 1
        elements += max(sizes)
        if step.op.name == "matmul" and type(step.args[0]) is Var:
            products += sizes[0] * step.args[0].spec.shape[-1]
        if step.op.name in ONE_BY_ONE:
            single += sizes[0]
    return steps, elements, products, single


def printed(graph: Graph) -> Printed:
    """Return a graph as text. Raises ValueError where the printer has no words for it."""
    specs = [*(v.spec for v in graph.inputs), *graph.out_specs]
    for spec in specs:
        if spec.dtype not in DTYPES or 0 in spec.shape:
            raise Unsayable(f"an argument or result of {spec}")
    program = Text(WRITERS)
    values: dict[Var, Value] = {v: _flat(f"v{v.index}", v.spec.shape) for v in graph.inputs}
    results = [_flat(f"out{i}", s.shape) for i, s in enumerate(graph.out_specs)]
    if any(type(x) in (bool, int, float, complex) for x in graph.outputs):
        raise Unsayable("a result that is a number")
    wanted = {x: r for x, r in zip(graph.outputs, results, strict=True) if type(x) is Var}
    printer = Printer(program, graph, values, wanted)
    printer.write()
    printer.deliver(graph.outputs, results, graph.outputs)
    return Printed(_text(program, graph), tuple(program.constants), tuple(sorted(program.products)), graph)


def _flat(name: str, shape: tuple[int, ...]) -> Place:
    return Place(name, shape, row_strides(shape))


def _text(program: Text, graph: Graph) -> str:
    body = "\n".join(program.lines)
    arrays = [(f"v{v.index}", f"a{i}", v.spec) for i, v in enumerate(graph.inputs)]
    arrays += [(f"c{i}", f"b{i}", c) for i, c in enumerate(program.constants)]
    arrays += [(f"out{i}", f"r{i}", s) for i, s in enumerate(graph.out_specs)]
    names = ", ".join([*(given for _, given, _ in arrays), *(f"gemm_{d}" for d in sorted(program.products))])
    kinds = [f"    {_kind(str(as_dtype(s.dtype)), len(s.shape))},  # {given}" for _, given, s in arrays]
    kinds += ["    types.int64,"] * len(program.products)
    lines = [
        "import math",
        "",
        "import numpy as np",
        "from numba import njit, types",
        "",
        "from ember_ml.backend.loops.blas import product",
        "from ember_ml.backend.loops.functions import *",
        "",
        "",
        "SIGNATURE = types.boolean(",
        *kinds,
        ")",
        "",
        "",
        '@njit([SIGNATURE], nogil=True, error_model="numpy", fastmath={"contract"}, cache=CACHE)',
        f"def loops({names}):",
    ]
    fits = [
        f"{given}.shape != {v.spec.shape}" for v, (_, given, _) in zip(graph.inputs, arrays, strict=False)
    ]
    lines += [f"    if {test}:\n        return False" for test in fits]
    for flat, given, spec in arrays:
        if re.search(rf"\b{flat}\b", body):
            dtype = as_dtype(spec.dtype)
            lines.append(f"    {flat} = {_flattened(given, dtype, spec.shape)}  # {dtype} {spec.shape}")
    for dtype, size in program.work.items():
        lines.append(f"    memory_{dtype} = np.empty({size}, np.{dtype})")
        lines.append(f"    work_{dtype} = {_flattened(f'memory_{dtype}', dtype, (size,))}")
    kept = [f"    keep(memory_{dtype})" for dtype in program.work]
    return "\n".join([*lines, body, *kept, "    return True", ""])


def _kind(dtype: str, ndim: int) -> str:
    name = "types.boolean" if dtype == "bool" else f"types.{dtype}"
    return f"{name}[{':, ' * (ndim - 1)}::1]" if ndim else f"types.Array({name}, 0, 'C')"


def _flattened(name: str, dtype: str, shape: tuple[int, ...]) -> str:
    """Return an array laid flat, as text; Numba has no pointers to truths."""
    return f"{name}.reshape({math.prod(shape)})" if dtype == "bool" else f"pointer({name})"


def _kernel(text: str) -> Callable:
    """Compile the function of a text, or load it where it was compiled before."""
    import numba

    from ember_ml.backend.loops import blas, functions

    used = [text, numba.__version__, *map(inspect.getsource, (blas, functions))]
    name = f"loops_{hashlib.sha256(chr(0).join(used).encode()).hexdigest()[:32]}"
    try:
        path = _folder() / f"{name}.py"
        cached = text.replace("cache=CACHE", "cache=True")
        if not path.is_file() or path.read_text() != cached:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as part:
                part.write_text(cached)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None  # it names a file
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where Numba looks for it
        spec.loader.exec_module(module)
        return module.loops
    except (OSError, RuntimeError):  # no folder that we, or Numba, may write to
        scope: dict[str, Any] = {}
        exec(compile(text.replace("cache=CACHE", "cache=False"), f"<{name}>", "exec"), scope)
        return scope["loops"]


def _folder() -> Path:
    from ember_ml.backend.choices import home

    return home() / "compiled"


def _bound(kernel: Callable, text: Printed) -> Callable:
    """Return the function that makes the arrays for the results and calls the compiled one."""
    from ember_ml.backend.loops import blas

    graph = text.graph
    scope: dict[str, Any] = {
        "kernel": kernel,
        "empty": np.empty,
        "settled": _settled,
        "again": _again,
        "Misfit": Misfit,
    }
    scope["careful"] = []  # not empty once arguments had gaps: to look first is cheaper than to be refused
    scope |= {f"c{i}": c for i, c in enumerate(text.constants)}
    scope |= {f"shape{i}": s.shape for i, s in enumerate(graph.out_specs)}
    scope |= {s.dtype: np.dtype("bool" if s.dtype == "bool" else str(s.dtype)) for s in graph.out_specs}
    given = "".join(f"a{i}, " for i in range(len(graph.inputs)))
    fixed = "".join(f"c{i}, " for i in range(len(text.constants)))
    made = "".join(f"r{i}, " for i in range(len(graph.outputs)))
    routines = "".join(f"{blas.address(dtype)}, " for dtype in text.products)
    lines = [
        f"def evaluate({given}):",
        *(f"    r{i} = empty(shape{i}, {s.dtype})" for i, s in enumerate(graph.out_specs)),
        "    if careful:",
        f"        {given or '_'} = map(settled, ({given}))",
        "    try:",
        f"        fits = kernel({given}{fixed}{made}{routines})",
        "    except TypeError:",
        f"        fits = again(kernel, ({given}), ({fixed}{made}{routines}))",
        "        if fits:",
        "            careful.append(fits)",
        "    if not fits:",
        f"        raise Misfit('this program takes {', '.join(str(v.spec) for v in graph.inputs)}')",
        f"    return ({made})",
    ]
    exec("\n".join(lines), scope)
    return scope["evaluate"]


def _again(kernel: Callable, given: tuple, others: tuple) -> bool:
    """Call a kernel that refused its arguments with copies of them without gaps."""
    try:
        return kernel(*map(_settled, given), *others)
    except TypeError:  # another dtype, or another number of dimensions
        return False


def _settled(x: Any) -> np.ndarray:
    """Return an array row by row without gaps, in memory that could be written."""
    if not isinstance(x, np.ndarray | np.generic):
        raise Misfit(f"this program takes arrays of NumPy, not {type(x).__name__}")
    array = np.asarray(x)
    return array if array.flags.carray else np.require(array, requirements=["C", "A", "W"])
