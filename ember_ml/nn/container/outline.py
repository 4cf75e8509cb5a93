"""What a model looks like before it runs: the specs of its keys, and a table of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ember_ml.compiler.cost import graph_cost
from ember_ml.core import Spec, spec_of, tree
from ember_ml.core.dtypes import Defaults
from ember_ml.core.graph import trace_graph
from ember_ml.nn.container.drawing import Box, Wire, shortened
from ember_ml.nn.modules.module import as_tensor, replaced
from ember_ml.nn.modules.summary import Summary
from ember_ml.tensor.conversion import bare, owner_of

if TYPE_CHECKING:
    from ember_ml.nn.container.model import Model


def infer(model: Model, specs: dict[str, Spec]) -> dict[str, Spec | None]:
    """Return the spec of every key, None for what is no array, from those of the inputs. Builds the model."""
    model.ensure_built(*(specs[k] for k in model.input_keys))
    copy: Any = replaced(model, {})
    seen: dict[str, Spec | None] = {}

    def dry(*values: Any) -> tuple:
        found = copy.run(dict(zip(specs, map(as_tensor, values), strict=True)))
        seen.update({k: spec_of(bare(x)) if owner_of(x) else None for k, x in found.items()})
        return ()

    trace_graph(dry, list(specs.values()))
    return seen


def input_specs(model: Model, open_size: int = 2) -> dict[str, Spec] | None:
    """Return specs of the inputs from their stated shapes, with `open_size` for an open one.

    None where parameters could depend on a size that is open: any but the first of several.
    """
    sizes = {k: model.sizes.get(k, (None,)) for k in model.input_keys}
    if any(None in shape[1:] or shape == (None,) for shape in sizes.values()):
        return None
    filled = {k: tuple(open_size if n is None else n for n in shape) for k, shape in sizes.items()}
    return {k: Spec(shape, Defaults.float) for k, shape in filled.items()}


def shapes(model: Model) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of the keys as far as they are known; a size that an open one decides is None."""
    one, other = input_specs(model), input_specs(model, open_size=3)
    if one is None or other is None:
        return model.sizes
    pairs = zip(infer(model, one).items(), infer(model, other).values(), strict=True)
    return {
        key: tuple(n if n == m else None for n, m in zip(a.shape, b.shape, strict=True))
        for (key, a), b in pairs
        if a is not None and b is not None
    }


def flops(model: Model) -> dict[str, int]:
    """Return the arithmetic operations of each node, open sizes taken as 1; {} where shapes are not known."""
    if (specs := input_specs(model, open_size=1)) is None:
        return {}
    known: dict[str, Any] = {k: s for k, s in infer(model, specs).items() if s is not None}
    copy: Any = replaced(model, {})
    found = {}
    for node in model.plan.nodes:
        reads = [k for k in dict.fromkeys(node.reads()) if k in known]

        def dry(*values: Any, node: Any = node, reads: list = reads) -> Any:
            given = dict(zip(reads, map(as_tensor, values), strict=True))
            return tree.map(bare, copy.run_node(node, given))

        graph, _, _ = trace_graph(dry, [known[k] for k in reads])
        found[node.name] = graph_cost(graph).flops
    return found


def summary(model: Model) -> Summary:
    """Return a table of the nodes of a model."""
    known, work = shapes(model), flops(model)
    rows, counted = [], set()
    for node in model.plan.nodes:
        own = {id(p): p.size for p in vars(model)[node.name].parameters() if id(p) not in counted}
        counted.update(own)
        keys = (dict.fromkeys(node.reads()), node.outputs.values())
        shown = (", ".join(f"{k} {known[k]}" if k in known else k for k in each) for each in keys)
        cost = f"{work[node.name]:,}" if node.name in work else "?"
        rows.append((node.name, node.kind, *shown, f"{sum(own.values()):,}", cost))
    head = ("node", "kind", "reads", "writes", "parameters", "FLOPs")
    total = f"{model.num_parameters():,} parameters"
    total += f", {sum(work.values()):,} FLOPs" if work else "; set_shapes(...) tells the rest"
    return Summary(type(model).__name__, head, rows, total)


def boxes_and_wires(model: Model) -> tuple[list[Box], list[Wire]]:
    """Return what to draw of a model: a box for each input, node and output, and a wire for each key."""
    known, plan = shapes(model), model.plan
    writer = {k: f"input {k}" for k in plan.inputs}
    lines = {k: (str(known[k]),) if k in known else () for k in (*plan.inputs, *plan.outputs)}
    boxes = [Box(f"input {k}", k, lines[k], "input") for k in plan.inputs]
    wires = []
    for node in plan.nodes:
        settings = shortened(", ".join(f"{k}={v}" for k, v in node.settings.items()))
        trained = any(True for _ in vars(model)[node.name].parameters())
        inside = tuple(filter(None, (node.name, settings)))
        boxes.append(Box(node.name, node.kind, inside, "layer" if trained else "op"))
        for k in dict.fromkeys(node.reads()):
            if k in writer:  # the others are parameters
                label = "" if k in plan.inputs else f"{k} {known[k]}" if k in known else k
                wires.append(Wire(writer[k], node.name, label))
        writer.update(dict.fromkeys(node.outputs.values(), node.name))
    boxes += [Box(f"output {k}", k, lines[k], "output") for k in plan.outputs]
    wires += [Wire(writer[k], f"output {k}") for k in plan.outputs]
    return boxes, wires
