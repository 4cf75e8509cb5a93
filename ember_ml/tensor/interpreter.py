"""How ops act on tensors: unwrap, let dtypes meet by the op's rule, compute on the engine, wrap, and record.

What a pair of dtypes needs is found out once. Where they need nothing, a call costs one look-up more.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ember_ml import ops
from ember_ml.backend import Backend
from ember_ml.core import Op, as_dtype, dispatch, tree
from ember_ml.core.dispatch import SCALARS, Interpreter
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.reverse import dissolves
from ember_ml.core.spec import Spec, spec_of, specs_of
from ember_ml.core.trace import Node, Traced, constant, lay_flat, traced_in
from ember_ml.tensor.ember_tensor import EmberTensor, wrap
from ember_ml.tensor.gradient import RECORDING


class Tensors(Interpreter):
    """Computes ops on EmberTensors by computing them on what these wrap."""

    level = 1

    def bind(self, op: Op, types: tuple[type, ...]) -> Callable:
        """Return what computes `op` on tensors, perhaps beside native arrays and Python numbers."""
        if op.creates:
            return partial(_create, op)
        if op.sequence:
            return partial(_run, op)
        return _write(op, types)

    def run(self, op: Op, args: tuple, attrs: dict) -> Any:
        """Compute `op` without remembering how."""
        return _run(op, *args, **attrs)

    def unwrap(self, x: Any) -> Any:
        """Return the native array in a tensor; anything else as it is."""
        return x.data if isinstance(x, EmberTensor) else x

    def wrap(self, x: Any) -> Any:
        """Return a native array as a tensor, a tuple of them as a tuple of tensors."""
        return tuple(map(wrap, x)) if isinstance(x, tuple | list) else wrap(x)

    def follows(self, x: Any) -> bool:
        """Whether what is done with a tensor is remembered, for its gradient."""
        return x.requires_grad and RECORDING.get()

    def __str__(self) -> str:
        return "EmberTensor"


TENSORS = Tensors()
dispatch.register_type(EmberTensor, TENSORS)


def _create(op: Op, *args: Any, **attrs: Any) -> Any:
    """Compute an op that makes arrays on the engine of its `like` or `key`."""
    natives = (TENSORS.unwrap(a) for a in args)
    return TENSORS.wrap(op.function(*natives, **{k: TENSORS.unwrap(v) for k, v in attrs.items()}))


def _run(op: Op, *args: Any, **attrs: Any) -> Any:
    tracked = any(isinstance(x, EmberTensor) and x.requires_grad for x in lay_flat(args))
    if tracked and op.vjp is not constant and RECORDING.get():
        return _record(op, args, attrs)
    return _evaluate(op, {}, args, attrs)


def _evaluate(op: Op, known: dict, args: tuple, attrs: dict) -> Any:
    """Compute without a record; note in `known` what the next call on these dtypes may do at once."""
    _refuse_mixed(op, args)
    if _holds_traced(args):
        return _trace(op, args, attrs)
    if op.body is not None and not _is_computed_whole(op, args):
        return op.body(*args, **attrs)  # each op within lets dtypes meet by its own rule
    given = _mapped(TENSORS.unwrap, args)
    natives, result = _meet(op, given, attrs)
    out = _as_told(op.function(*natives, **attrs), result)
    if natives is given and out[1] and not (op.sequence or isinstance(out[0], tuple | list)):
        places = [(type(x), x.dtype) for x in natives if type(x) not in SCALARS]
        _note(known, [key for place in places for key in place], _bound(op, natives))
    return TENSORS.wrap(out[0])


def _trace(op: Op, args: tuple, attrs: dict) -> Any:
    """Compute on tensors that wrap traced values; the trace captures the other tensors as they are."""
    given = _mapped(traced_in, args)
    if any(_is_program(x) for x in lay_flat(given)):  # it lets dtypes meet and knows its numbers
        return TENSORS.wrap(op.function(*given, **attrs))
    if op.body is not None and not _is_computed_whole(op, args):
        return op.body(*args, **attrs)
    given, result = _meet(op, given, attrs)
    return TENSORS.wrap(_as_told(op.function(*given, **attrs), result)[0])


def _holds_traced(args: tuple) -> bool:
    return any(type(traced_in(x)) is Traced for x in lay_flat(args))


def _is_program(x: Any) -> bool:
    while type(x) is Traced:
        x = x.value
    return type(x) is Spec


def _is_computed_whole(op: Op, args: tuple) -> bool:
    """Whether an engine's own rules for dtypes lead a composite to the same result as ours, op by op."""
    return op.vjp is constant or _is_uniform(args)


def _record(op: Op, args: tuple, attrs: dict) -> Any:
    """Compute, and let the results hold a node from which `backward` finds its way."""
    _refuse_mixed(op, args)
    if _holds_traced(args):
        return _trace(op, args, attrs)
    if op.body is not None and dissolves(op):
        return op.body(*args, **attrs)
    args, result = _meet(op, args, attrs)
    natives, pull = _mapped(TENSORS.unwrap, args), None
    if op.linearize is not None:
        wanted = [isinstance(x, EmberTensor) and x.requires_grad for x in lay_flat(args)]
        value, pull = op.linearize(wanted, *natives, **attrs)
    else:
        value, _ = _as_told(op.function(*natives, **attrs), result)
    node = Node(op, [_place(x) for x in lay_flat(args)], natives, attrs, value, pull)
    if isinstance(value, tuple | list):
        return tuple(_recorded(x, node, i) for i, x in enumerate(value))
    return _recorded(value, node, 0)


def _place(x: Any) -> Any:
    """Return what a node keeps of an argument: a leaf itself, a result as it is now, no constant."""
    if not (isinstance(x, EmberTensor) and x.requires_grad):
        return None
    return x if x.node is None else _recorded(x.data, x.node, x.index)  # x may be rebound later


def _recorded(native: Any, node: Node, index: int) -> EmberTensor:
    out = wrap(native)
    if spec_of(native).dtype.kind in FLOATING:
        out.requires_grad, out.node, out.index = True, node, index
    return out


def _mapped(change: Callable, args: tuple) -> tuple:
    """Return arguments with each array changed, in sequences too."""
    return tuple([change(x) for x in a] if type(a) in (list, tuple) else change(a) for a in args)


def _meet(op: Op, args: tuple, attrs: dict) -> tuple[tuple, Any]:
    """Return the arguments cast by the op's dtype rule, and the result's dtype; None where it has no say.

    Raises TypeError for kinds of dtype that the op does not take.
    """
    if op.spec is not None:
        return args, None
    specs = specs_of(args)
    op.check_kinds(specs)
    if op.body is not None:
        return args, None
    casts, result = op.dtype(specs, attrs)
    flat, structure = tree.flatten(args)
    wanted = casts if isinstance(casts, tuple) else (casts,) * len(flat)
    cast = [_cast(x, dtype) for x, dtype in zip(flat, wanted, strict=True)]
    changed = any(new is not old for new, old in zip(cast, flat, strict=True))
    return (tree.unflatten(structure, cast) if changed else args), result


def _cast(x: Any, dtype: Any) -> Any:
    if dtype is None or type(x) in SCALARS or spec_of(x).dtype == dtype:
        return x
    return ops.astype(x, dtype=dtype)


def _as_told(out: Any, dtype: Any) -> tuple[Any, bool]:
    """Return results in the dtype that the rule promises, and whether the engine gave it by itself."""
    if dtype is None:
        return out, True
    if isinstance(out, tuple | list):
        return tuple(_cast(x, dtype) for x in out), False
    right = _cast(out, dtype)
    return right, right is out


def _is_uniform(args: tuple) -> bool:
    """Whether all arrays have one float dtype."""
    dtypes = {spec_of(x).dtype for x in tree.leaves(args) if type(x) not in SCALARS}
    return len(dtypes) == 1 and dtypes.pop().kind in FLOATING


def _refuse_mixed(op: Op, args: tuple) -> None:
    """Raise the TypeError for arrays of two engines; in a tensor, a NumPy scalar is an array too."""
    dispatch.interpreter_of(op.name, tuple(_type_within(x) for x in tree.leaves(args)))


def _type_within(x: Any) -> type:
    if not isinstance(x, EmberTensor):
        return type(x)
    kind = type(x.data)
    owner = dispatch.owner_of(kind)
    scalars = () if owner is None else owner.scalar_types
    return owner.array_types[0] if issubclass(kind, scalars) else kind  # pyright: ignore


def _bound(op: Op, natives: tuple) -> Callable:
    """Return what computes an op on native arrays of just these dtypes."""
    engine = dispatch.interpreter_of(op.name, tuple(map(type, natives)))
    assert isinstance(engine, Backend)
    dtypes = [as_dtype(x.dtype) for x in natives if type(x) not in SCALARS]
    return engine.bind(op, tuple(map(type, natives)), dtypes)


def _note(known: dict, keys: Sequence, compute: Callable) -> None:
    for key in keys[:-1]:
        known = known.setdefault(key, {})
    known[keys[-1]] = compute


# What is called most is written out for the number and kinds of its arguments, as op functions are.
_TEMPLATE = """\
def {name}({parameters}):
{unwrapped}{tracked}
    try:
        compute = known{keys}
    except KeyError:
        return evaluate(known, ({args}), {attrs})
    out = new(EmberTensor)
    out.data = compute({natives})
    out.requires_grad = False
    return out
"""
_TRACKED = """
    if ({tracked}) and recording():
        return record(({args}), {attrs})"""


def _write(op: Op, types: Sequence[type]) -> Callable:
    names = [f"x{i}" for i in range(len(types))]
    own = [issubclass(t, EmberTensor) for t in types]
    natives = [f"n{n}" if mine else n for n, mine in zip(names, own, strict=True)]
    arrays = [n for n, t in zip(natives, types, strict=True) if t not in SCALARS]
    settings = set(op.define.__code__.co_varnames[: _arity(op)]) - set(op.arrays)
    args = "".join(f"{n}, " for n in names)
    attrs = "attrs" if settings else "{}"
    tracked = " or ".join(f"{n}.requires_grad" for n, mine in zip(names, own, strict=True) if mine)
    source = _TEMPLATE.format(
        name=op.name,
        parameters=args + ("**attrs" if settings else ""),
        unwrapped="\n".join(f"    n{n} = {n}.data" for n, mine in zip(names, own, strict=True) if mine),
        tracked="" if op.vjp is constant else _TRACKED.format(tracked=tracked, args=args, attrs=attrs),
        keys="".join(f"[type({n})][{n}.dtype]" for n in arrays),
        args=args,
        attrs=attrs,
        natives=", ".join(natives) + (", **attrs" if settings else ""),
    )
    scope = {
        "known": {},
        "new": object.__new__,
        "EmberTensor": EmberTensor,
        "recording": RECORDING.get,
        "evaluate": partial(_evaluate, op),
        "record": partial(_record, op),
    }
    file = f"<op {op.name} on {', '.join(t.__name__ for t in types)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), scope)
    return scope[op.name]


def _arity(op: Op) -> int:
    return op.define.__code__.co_argcount + op.define.__code__.co_kwonlyargcount
