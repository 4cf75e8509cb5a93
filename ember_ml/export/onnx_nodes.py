"""Each op in ONNX's words (github.com/onnx/onnx, docs/Operators.md): a node of the same meaning, or a few.

A node function takes the writer, the step and the names of its arguments, and returns the name of its result,
or the names if there are several. What ONNX has no word for, `onnx_rules` says by other ops first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ember_ml.core.dtypes import as_dtype
from ember_ml.core.graph import Step, Var, trace_graph
from ember_ml.core.rules import as_axes, as_axis, expand_index, shape_of
from ember_ml.core.spec import Spec

LAST = -(1 << 63)  # an end before the first place, for a slice that goes backwards

NODES: dict[str, Any] = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "asin": "Asin", "asinh": "Asinh",
    "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh",
    "det": "Det", "divide": "Div", "equal": "Equal", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "greater": "Greater", "greater_equal": "GreaterOrEqual", "isinf": "IsInf", "isnan": "IsNaN",
    "less": "Less", "less_equal": "LessOrEqual", "log": "Log", "matmul": "MatMul", "maximum": "Max",
    "minimum": "Min", "multiply": "Mul", "negative": "Neg", "power": "Pow", "relu": "Relu",
    "round": "Round", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt",
    "subtract": "Sub", "tan": "Tan", "tanh": "Tanh",
}  # fmt: skip


# Elementwise


def _node(*names: str) -> Callable[[Callable], Callable]:
    return lambda function: NODES.update(dict.fromkeys(names, function)) or function


@_node("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert")
def _bits(w: Any, step: Step, *given: str) -> str:
    word = {"invert": "Not"}.get(rest := step.op.name.removeprefix("bitwise_"), rest.capitalize())
    return w.node(word if step.outs[0].spec.dtype == "bool" else f"Bitwise{word}", *given)


@_node("bitwise_left_shift", "bitwise_right_shift")
def _shift(w: Any, step: Step, x: str, places: str) -> str:
    return w.node("BitShift", x, places, direction="LEFT" if "left" in step.op.name else "RIGHT")


@_node("logical_and", "logical_or", "logical_xor", "logical_not")
def _logical(w: Any, step: Step, *given: str) -> str:
    truths = [_truth(w, a, x) for a, x in zip(step.args, given, strict=True)]
    return w.node(step.op.name.removeprefix("logical_").capitalize(), *truths)


@_node("where")
def _where(w: Any, step: Step, condition: str, x: str, y: str) -> str:
    return w.node("Where", _truth(w, step.args[0], condition), x, y)


def _truth(w: Any, given: Any, name: str) -> str:
    dtype = given.spec.dtype if type(given) is Var else getattr(given, "dtype", type(given))
    return name if as_dtype(dtype) == "bool" else w.node("Cast", name, to=w.element("bool"))


@_node("remainder")
def _remainder(w: Any, step: Step, x: str, y: str) -> str:
    dtype = step.outs[0].spec.dtype
    if dtype.kind != "float":
        return w.node("Mod", x, y)
    rest, zero = w.node("Mod", x, y, fmod=1), w.numbers(0.0, dtype)  # with the sign of x
    other = w.node("Xor", w.node("Less", rest, zero), w.node("Less", y, zero))
    wrong = w.node("And", other, w.node("Not", w.node("Equal", rest, zero)))
    return w.node("Where", wrong, w.node("Add", rest, y), rest)


@_node("floor_divide")
def _floor_divide(w: Any, step: Step, x: str, y: str) -> str:
    whole = w.node("Div", w.node("Sub", x, _remainder(w, step, x, y)), y)
    return w.node("Round", whole) if step.outs[0].spec.dtype.kind == "float" else whole


@_node("astype")
def _cast(w: Any, step: Step, x: str) -> str:
    return w.node("Cast", x, to=w.element(step.outs[0].spec.dtype))


# Reductions and order


@_node("sum", "prod", "max", "min", "mean", "logsumexp")
def _reduce(w: Any, step: Step, x: str) -> str:
    kind = {"logsumexp": "LogSumExp"}.get(step.op.name, step.op.name.capitalize())
    given, made = step.args[0].spec, step.outs[0].spec
    if made.dtype != given.dtype:
        x = w.node("Cast", x, to=w.element(made.dtype))
    axes = w.numbers(as_axes(step.attrs["axis"], given.ndim))
    return w.node(f"Reduce{kind}", x, axes, keepdims=int(step.attrs["keepdims"]), noop_with_empty_axes=1)


@_node("all", "any")
def _reduce_truths(w: Any, step: Step, x: str) -> str:
    numbers = w.node("Cast", w.node("Cast", x, to=w.element("bool")), to=w.element("int32"))
    axes = w.numbers(as_axes(step.attrs["axis"], step.args[0].spec.ndim))
    kind = "ReduceMin" if step.op.name == "all" else "ReduceMax"
    found = w.node(kind, numbers, axes, keepdims=int(step.attrs["keepdims"]), noop_with_empty_axes=1)
    return w.node("Cast", found, to=w.element("bool"))


@_node("argmax", "argmin")
def _arg(w: Any, step: Step, x: str) -> str:
    axis, kind = step.attrs["axis"], "ArgMax" if step.op.name == "argmax" else "ArgMin"
    if axis is not None:
        return w.node(kind, x, axis=axis, keepdims=int(step.attrs["keepdims"]))
    return _shaped(w, w.node(kind, _shaped(w, x, (-1,)), axis=0, keepdims=0), step.outs[0].spec.shape)


@_node("sort", "argsort")
def _sort(w: Any, step: Step, x: str) -> str:
    shape, axis = step.args[0].spec.shape, step.attrs["axis"]
    if not shape:
        return x if step.op.name == "sort" else w.numbers(0)
    settings = {"axis": axis, "largest": int(step.attrs["descending"]), "sorted": 1}
    return w.node("TopK", x, w.numbers([shape[axis]]), several=2, **settings)[step.op.name == "argsort"]


@_node("cumulative_sum")
def _cumulative(w: Any, step: Step, x: str) -> str:
    given, made, axis = step.args[0].spec, step.outs[0].spec, step.attrs["axis"] or 0
    if made.dtype != given.dtype:
        x = w.node("Cast", x, to=w.element(made.dtype))
    total = w.node("CumSum", x, w.numbers(axis))
    if not step.attrs["include_initial"]:
        return total
    edge = list(given.shape)
    edge[axis] = 1
    zeros = w.node("Expand", w.numbers(0, made.dtype), w.numbers(edge))
    return w.node("Concat", zeros, total, axis=axis)


# Shapes and places


def _shaped(w: Any, x: str, shape: Any) -> str:
    return w.node("Reshape", x, w.numbers(list(shape)), allowzero=int(0 in shape))


@_node("reshape")
def _reshape(w: Any, step: Step, x: str) -> str:
    return _shaped(w, x, step.outs[0].spec.shape)


@_node("permute_dims", "matrix_transpose")
def _transpose(w: Any, step: Step, x: str) -> str:
    ndim = step.args[0].spec.ndim
    axes = step.attrs.get("axes", (*range(ndim - 2), ndim - 1, ndim - 2))
    return _turned(w, x, as_axes(tuple(axes), ndim))


@_node("broadcast_to")
def _expand(w: Any, step: Step, x: str) -> str:
    return w.node("Expand", x, w.numbers(list(step.outs[0].spec.shape)))


@_node("concat")
def _concat(w: Any, step: Step, arrays: list[str]) -> str:
    axis = step.attrs["axis"]
    flat = [_shaped(w, x, (-1,)) for x in arrays] if axis is None else arrays
    return w.node("Concat", *flat, axis=axis or 0)


@_node("stack")
def _stack(w: Any, step: Step, arrays: list[str]) -> str:
    axis = w.numbers([as_axis(step.attrs["axis"], step.outs[0].spec.ndim)])
    return w.node("Concat", *(w.node("Unsqueeze", x, axis) for x in arrays), axis=step.attrs["axis"])


@_node("getitem")
def _getitem(w: Any, step: Step, x: str) -> str:
    shape, cuts = step.args[0].spec.shape, []
    parts = [p for p in expand_index(step.attrs["index"], len(shape)) if p is not None]
    for axis, (part, size) in enumerate(zip(parts, shape, strict=True)):
        start, stop, stride = (part if isinstance(part, slice) else slice(at := part % size, at + 1)).indices(
            size
        )
        if (start, stop, stride) != (0, size, 1):
            cuts.append((start, LAST if stop < 0 else stop, axis, stride))
    if cuts:
        x = w.node("Slice", x, *(w.numbers(list(each)) for each in zip(*cuts, strict=True)))
    kept = tuple(
        len(range(*p.indices(n))) if isinstance(p, slice) else 1 for p, n in zip(parts, shape, strict=True)
    )
    made = step.outs[0].spec.shape
    return x if kept == made else _shaped(w, x, made)


@_node("take")
def _take(w: Any, step: Step, x: str, indices: str) -> str:
    return w.node("Gather", x, _pointers(w, step.args[1], indices), axis=step.attrs["axis"] or 0)


def _pointers(w: Any, given: Any, name: str) -> str:
    """Return indices in a dtype that ONNX points with."""
    dtype = given.spec.dtype if hasattr(given, "spec") else getattr(given, "dtype", "int64")
    return name if dtype in ("int32", "int64") else w.node("Cast", name, to=w.element("int64"))


@_node("take_along_axis")
def _take_along(w: Any, step: Step, x: str, indices: str) -> str:
    made, given = step.outs[0].spec.shape, step.args[0].spec.shape
    axis = as_axis(step.attrs["axis"], len(made))
    wide = (*made[:axis], given[axis], *made[axis + 1 :])
    x = x if wide == given else w.node("Expand", x, w.numbers(list(wide)))
    places = w.node("Expand", _pointers(w, step.args[1], indices), w.numbers(list(made)))
    return w.node("GatherElements", x, places, axis=axis)


@_node("index_add", "index_max", "index_min")
def _scatter(w: Any, step: Step, x: str, indices: str, updates: str) -> str:
    given, places = (shape_of(getattr(a, "spec", a)) for a in step.args[:2])
    axis, k = as_axis(step.attrs["axis"] or 0, len(given)), len(places)
    region = (*given[:axis], *places, *given[axis + 1 :])
    order = (axis, *range(axis), *range(axis + 1, len(given)))  # x with the axis first, and back
    back = tuple(order.index(i) for i in range(len(given)))
    ahead = (*range(axis, axis + k), *range(axis), *range(axis + k, len(region)))
    pointers = _shaped(w, _pointers(w, step.args[1], indices), (*places, 1))
    pointers = w.node("Cast", pointers, to=w.element("int64"))
    updates = _turned(w, w.node("Expand", updates, w.numbers(list(region))), ahead)
    kind = step.op.name.removeprefix("index_")
    return _turned(w, w.node("ScatterND", _turned(w, x, order), pointers, updates, reduction=kind), back)


def _turned(w: Any, x: str, axes: tuple) -> str:
    return x if axes == tuple(range(len(axes))) else w.node("Transpose", x, perm=axes)


# Products, windows, what is made of nothing


@_node("einsum")
def _einsum(w: Any, step: Step, *operands: str) -> str:
    return w.node("Einsum", *operands, equation=step.attrs["subscripts"].replace(" ", ""))


@_node("softmax", "log_softmax")
def _softmax(w: Any, step: Step, x: str) -> str:
    return w.node("Softmax" if step.op.name == "softmax" else "LogSoftmax", x, axis=step.attrs["axis"])


@_node("convolution")
def _conv(w: Any, step: Step, x: str, weight: str) -> str:
    a = step.attrs
    pads = [low for low, _ in a["padding"]] + [high for _, high in a["padding"]]
    settings = {"strides": a["stride"], "dilations": a["dilation"], "group": a["groups"]}
    return w.node("Conv", x, weight, pads=pads, **settings)


@_node("arange", "asarray", "eye", "linspace")
def _made(w: Any, step: Step) -> str:
    return w.created(step)


@_node("zeros", "ones", "full")
def _filled(w: Any, step: Step) -> str:
    spec = step.outs[0].spec
    value = step.attrs.get("fill_value", int(step.op.name == "ones"))
    number = w.numbers(value, spec.dtype)
    return w.node("Expand", number, w.numbers(list(spec.shape))) if spec.shape else number


# Loops and branches


@_node("flat_scan")
def _scan(w: Any, step: Step, *given: str) -> list[str]:
    a, consts, carry = step.attrs, step.attrs["consts"], step.attrs["carry"]
    first, xs = given[consts : consts + carry], given[consts + carry :]
    body = w.graph("body", a["body"], given[:consts])
    if not xs:  # ONNX runs along something
        xs = (w.numbers([0] * a["length"]),)
        body.input.append(w.info(w.free("turn"), Spec((), as_dtype("int64"))))
    backwards = int(a["reverse"])
    return w.node(
        "Scan", *first, *xs, several=len(step.outs), body=body, num_scan_inputs=len(xs),
        scan_input_directions=[backwards] * len(xs),
        scan_output_directions=[backwards] * (len(step.outs) - carry),
    )  # fmt: skip


@_node("flat_cond")
def _if(w: Any, step: Step, truth: str, *given: str) -> list[str]:
    yes, no = (w.graph(name, g, given) for name, g in zip(("yes", "no"), step.attrs["branches"], strict=True))
    return w.node("If", truth, several=len(step.outs), then_branch=yes, else_branch=no)


@_node("flat_while")
def _loop(w: Any, step: Step, *given: str) -> list[str]:
    test, body, own = step.attrs["test"], step.attrs["body"], step.attrs["test_consts"]
    consts = own + step.attrs["consts"]

    def turn(*values: Any) -> tuple:
        new = body(*values[own:])
        return *test(*values[:own], *new), *new

    specs = [v.spec for v in (*test.inputs[:own], *body.inputs)]
    whole, _, _ = trace_graph(turn, specs)
    truth = w.inline(test, (*given[:own], *given[consts:]))[0]
    loop = w.graph("turn", whole, given[:consts])
    for name, dtype in (("truth", "bool"), ("turn", "int64")):  # which ONNX passes first
        loop.input.insert(0, w.info(w.free(name), Spec((), as_dtype(dtype))))
    return w.node("Loop", "", truth, *given[consts:], several=len(step.outs), body=loop)
