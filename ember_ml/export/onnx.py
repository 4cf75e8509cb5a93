"""Graphs written as ONNX models, which other runtimes read.

What stands in a model is what was traced: shapes are fixed, Python numbers are part of it. Random ops,
complex numbers and ops for which ONNX has no words are refused by name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from ember_ml.backend.host import host_array, host_engine
from ember_ml.compiler.entry import argument_names, result_names
from ember_ml.compiler.passes import RULES as SIMPLER
from ember_ml.compiler.passes import drop_unused, map_bodies, merge_repeated, rewritten
from ember_ml.core import Graph, Op, Spec, dispatch, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import DType, as_dtype
from ember_ml.core.files import written_whole
from ember_ml.core.graph import Step, Var, trace_graph
from ember_ml.core.optional import need
from ember_ml.core.spec import spec_of, specs_of
from ember_ml.export.onnx_nodes import NODES
from ember_ml.export.onnx_rules import RULES

OPSET = 20
ELEMENT = {"float32": "FLOAT", "float64": "DOUBLE"}  # where ONNX has another word for a dtype
FIXED = (*SCALARS, str, bytes)  # arguments whose value is part of the model


def to_onnx(
    f: Any,
    *args: Any,
    params: Any = None,
    path: str | os.PathLike | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Any:
    """Return `f(*args)`, a function of trees of arrays or a module, as an `onnx.ModelProto` of opset 20.

    `args` are arrays or Specs: their shapes and dtypes count. `params` is a tree that `f` takes first, and
    which the file holds; of a module, its own parameters unless given. Inputs are named after the function's
    parameters and the keys of dicts, outputs after the keys of the result, or `output`; or by the two lists
    of names. With `path`, the model is also written there.

    Raises TypeError for an op or a dtype that has no form in ONNX, and for random numbers.

    >>> import numpy as np
    >>> from ember_ml import ops
    >>> model = to_onnx(lambda x: {"y": ops.tanh(x) + 1}, np.zeros((2, 3), "float32"))
    >>> [node.op_type for node in model.graph.node], model.graph.output[0].name
    (['Tanh', 'Add'], 'y')
    """
    onnx = need("onnx", extra="onnx", purpose="to_onnx")
    call = f
    if hasattr(f, "functional"):
        f.ensure_built(*args)
        params = dict(f.named_parameters()) if params is None else params
        call = f.functional
    given = args if params is None else (params, *args)
    leaves, structure = tree.flatten(given)
    names, held = argument_names(call, tree.structure((given, {}))), len(tree.leaves(params))
    if call is not f:
        names[held:] = argument_names(f.forward, tree.structure((args, {})))
    graph = _traced(call, leaves, structure, names)
    values = [x for x in leaves if type(x) not in FIXED]
    count = len([x for x in leaves[:held] if type(x) not in FIXED])
    writer = Writer(onnx)
    named = _named(graph.inputs[count:], input_names, [v.name for v in graph.inputs[count:]], "input")
    wanted = _named(graph.outputs, output_names, result_names(graph.structure), "output")
    writer.taken.update((*named, *wanted))
    inside = [writer.tensor(x, v.name) for v, x in zip(graph.inputs[:count], values[:count], strict=True)]
    whole = writer.graph(getattr(f, "__name__", type(f).__name__), graph, inside, named, wanted)
    model = writer.model(whole)
    if path is not None:
        with written_whole(path) as part:
            part.write_bytes(model.SerializeToString())
    return model


def _traced(call: Callable, leaves: list, structure: tuple, names: list[str]) -> Graph:
    """Return the graph of a call, in ops that ONNX has words for where there are such."""
    places = [i for i, x in enumerate(leaves) if type(x) not in FIXED]

    def flat(*values: Any) -> Any:
        return call(*tree.unflatten(structure, tree.merged(leaves, places, values)))

    specs, words = [spec_of(leaves[i]) for i in places], [names[i] for i in places]
    graph, _, random = trace_graph(flat, specs, names=words)
    if random:
        raise TypeError("to_onnx: the function draws random numbers, which ONNX draws by rules of its own")
    return _worded(graph)


def _worded(graph: Graph) -> Graph:
    def foreign(op: Op) -> bool:
        return op.name not in NODES

    algebra = {"algebra": SIMPLER["algebra"]}
    words = {"words": {op: [each] for op, each in RULES.items()}}
    simpler = rewritten(map_bodies(graph, _worded), algebra, Counter(algebra=0), expands=foreign)
    return drop_unused(merge_repeated(rewritten(simpler, words, Counter(words=0), expands=foreign)))


def _named(what: Sequence, given: Sequence[str] | None, own: list[str], word: str) -> list[str]:
    names = own if given is None else list(given)
    if len(names) != len(what) or len(set(names)) < len(names):
        raise ValueError(f"to_onnx: expected {len(what)} different {word}_names, got {names}")
    return names


class Writer:
    """Writes graphs as ONNX's, and gathers the arrays that the model holds."""

    def __init__(self, onnx: Any):
        self.onnx = onnx
        self.held: dict[str, Any] = {}  # initializers by name; bodies see those of the model
        self.known: dict[Any, str] = {}  # what each of them holds: numbers, or an array by its id
        self.arrays: list[Any] = []  # kept, so that an id stays theirs
        self.taken: set[str] = set()
        self.nodes: list[Any] = []  # of the graph being written, and what its variables are called
        self.names: dict[Var, str] = {}

    def model(self, graph: Any) -> Any:
        """Return the model of a graph with all that it holds, checked by ONNX's own rules."""
        graph.initializer.extend(self.held.values())
        opset = self.onnx.helper.make_opsetid("", OPSET)
        version = self.onnx.helper.find_min_ir_version_for([opset])
        made = {"producer_name": "ember_ml", "opset_imports": [opset], "ir_version": version}
        model = self.onnx.helper.make_model(graph, **made)
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def graph(
        self,
        name: str,
        graph: Graph,
        bound: Sequence[str] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
    ) -> Any:
        """Return a graph as ONNX's. Its first inputs are `bound` to what there is; names may be given."""
        outside = self.nodes, self.names
        self.nodes, self.names = [], dict(zip(graph.inputs, bound, strict=False))
        free = graph.inputs[len(bound) :]
        for v, word in zip(free, inputs or [self.free(v.name or "x") for v in free], strict=True):
            self.names[v] = word
        wishes = {v: word for v, word in zip(graph.outputs, outputs, strict=False) if type(v) is Var}
        for number, step in enumerate(graph.steps, 1):
            self.write(step, f"step {number} of {len(graph.steps)}", wishes)
        ends = self.ends(graph.outputs, outputs)
        infos = [[self.info(self.names[v], v.spec) for v in free]]
        infos.append([self.info(end, spec) for end, spec in zip(ends, graph.out_specs, strict=True)])
        made = self.onnx.helper.make_graph(self.nodes, name, *infos)
        self.nodes, self.names = outside
        return made

    def inline(self, graph: Graph, bound: Sequence[str]) -> list[str]:
        """Add the nodes of another graph to the one being written; return the names of its outputs."""
        outside, self.names = self.names, dict(zip(graph.inputs, bound, strict=True))
        for number, step in enumerate(graph.steps, 1):
            self.write(step, f"step {number} of {len(graph.steps)}", {})
        ends = [self.read(x, None) for x in graph.outputs]
        self.names = outside
        return ends

    def write(self, step: Step, where: str, wishes: dict[Var, str]) -> None:
        """Add the nodes of a step, and call what it makes as people did, else by its op."""
        dtypes = {v.spec.dtype.kind for v in (*_variables(step.args), *step.outs)}
        if step.op.name not in NODES or "complex" in dtypes:
            said = ", ".join(map(str, (v.spec for v in _variables(step.args))))
            what = "complex numbers have" if step.op.name in NODES else f"{step.op.name} has"
            raise TypeError(
                f"to_onnx: {what} no form in ONNX: {where}, {step.op.name} of {said or 'nothing'}"
            )
        form = NODES[step.op.name]
        given, before = self.arguments(step), len(self.nodes)
        made = self.node(form, *given) if isinstance(form, str) else form(self, step, *given)
        for v, name in zip(step.outs, [made] if isinstance(made, str) else made, strict=True):
            if len(self.nodes) > before and name in (last := self.nodes[-1].output):
                better = wishes.get(v) or self.free(v.name or step.op.name)
                last[list(last).index(name)] = name = better
            self.names[v] = name

    def ends(self, outputs: Sequence, wanted: Sequence[str]) -> list[str]:
        """Return the names of the outputs of the graph being written, each made there and different."""
        made = {name for node in self.nodes for name in node.output}
        names: list[str] = []
        for x, wish in zip_longest(outputs, wanted, fillvalue=""):
            name = self.read(x, None)
            if name not in made or name in names or wish not in ("", name):
                self.node("Identity", name)
                name = self.nodes[-1].output[0] = wish or self.nodes[-1].output[0]
            names.append(name)
        return names

    def arguments(self, step: Step) -> list:
        """Return the names of a step's arguments; lists of names for lists."""
        casts = None if step.op.body or step.op.spec else step.op.dtype(_specs(step.args), step.attrs)[0]
        arrays = [v.spec.dtype for v in _variables(step.args)]
        each = casts if isinstance(casts, tuple) else (casts,) * len(step.args)
        return [
            [self.read(y, want or arrays[0]) for y in x]
            if type(x) in (list, tuple)
            else self.read(x, want or (arrays[0] if type(x) is float and arrays else None))
            for x, want in zip(step.args, each, strict=False)
        ]

    def read(self, x: Any, dtype: DType | None) -> str:
        """Return the name of an argument; "" of None. A number is of this dtype, else of its kind's own."""
        if type(x) is Var:
            return self.names[x]
        if x is None:
            return ""
        if type(x) in SCALARS:
            return self.numbers(x, as_dtype(type(x)) if dtype is None else dtype)
        return self.tensor(x)

    # What the tables of nodes are written with

    def node(self, kind: str, *inputs: str, several: int = 0, **attributes: Any) -> Any:
        """Add a node; return the name of its result, or the names if there are several."""
        names = [self.free(kind.lower()) for _ in range(several or 1)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, names, **attributes))
        return names if several else names[0]

    def numbers(self, values: Any, dtype: Any = "int64") -> str:
        """Return the name of numbers that the model holds: a single one, or a list of them."""
        key = (repr(values), str(dtype))
        if key not in self.known:
            flat, shape = (list(values), [len(values)]) if type(values) in (list, tuple) else ([values], [])
            self.known[key] = self.free(str(values) if not shape else "numbers")
            make = self.onnx.helper.make_tensor
            self.held[self.known[key]] = make(self.known[key], self.element(dtype), shape, flat)
        return self.known[key]

    def tensor(self, x: Any, word: str = "constant") -> str:
        """Return the name of an array, of any engine, that the model holds."""
        x = dispatch.bare(x)
        if id(x) not in self.known:
            name = self.known[id(x)] = self.free(word)
            self.arrays.append(x)
            self.held[name] = self.onnx.numpy_helper.from_array(host_array(x), name)
        return self.known[id(x)]

    def created(self, step: Step) -> str:
        """Return the name of what a step makes of nothing."""
        with host_engine().activated():
            return self.tensor(step.op.apply(**{**step.attrs, "like": None}), step.op.name)

    def element(self, dtype: Any) -> int:
        """Return ONNX's number for a dtype."""
        return getattr(self.onnx.TensorProto, ELEMENT.get(dtype, str(dtype).upper()))

    def info(self, name: str, spec: Spec) -> Any:
        """Return what ONNX says of a value: its name, dtype and shape."""
        return self.onnx.helper.make_tensor_value_info(name, self.element(spec.dtype), spec.shape)

    def free(self, word: str) -> str:
        """Return a name that nothing in the model has yet, this one if it can be."""
        name, number = word, 2
        while name in self.taken:
            name, number = f"{word}_{number}", number + 1
        self.taken.add(name)
        return name


def _variables(args: Any) -> list[Var]:
    return [x for x in tree.leaves(list(args)) if type(x) is Var]


def _specs(args: Any) -> tuple:
    return tuple(specs_of(tree.map(lambda x: x.spec if type(x) is Var else x, list(args))))
