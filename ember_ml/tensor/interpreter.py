"""How ops act on tensors: unwrap, let dtypes meet by the op's rule, compute on the engine, wrap, and record.

What a pair of dtypes needs is found out once. Where they need nothing, a call costs one look-up more: a
tensor keeps its `family`, one object for each type and dtype of array, since engines' dtypes hash slowly.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ember_ml import ops
from ember_ml.backend import Backend
from ember_ml.core import TABLE, Op, as_dtype, dispatch, tree
from ember_ml.core.dispatch import SCALARS, Interpreter
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.operators import BINARY, COMPARISONS
from ember_ml.core.reverse import dissolves
from ember_ml.core.rules import data_dependent
from ember_ml.core.spec import Spec, spec_of, specs_of
from ember_ml.core.trace import Node, Traced, constant, is_computed_whole, lay_flat, traced_in
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
        several = isinstance(x, tuple | list)
        return tuple(None if each is None else wrap(each) for each in x) if several else wrap(x)

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
    return TENSORS.wrap(op.apply(*natives, **{k: TENSORS.unwrap(v) for k, v in attrs.items()}))


def _run(op: Op, *args: Any, **attrs: Any) -> Any:
    tracked = any(isinstance(x, EmberTensor) and x.requires_grad for x in lay_flat(args))
    if tracked and op.vjp is not constant and RECORDING.get():
        return _record(op, {}, args, attrs)
    return _evaluate(op, {}, args, attrs)


def _evaluate(op: Op, known: dict, args: tuple, attrs: dict) -> Any:
    """Compute without a record; note in `known` what the next call on these dtypes may do at once."""
    _refuse_mixed(op, args)
    if _holds_traced(args):
        return _trace(op, args, attrs)
    if op.body is not None and not is_computed_whole(op, args):
        return _opened(op, args, attrs)
    given = _mapped(TENSORS.unwrap, args)
    natives, result = _meet(op, given, attrs)
    out = _as_told(_compute(op, natives, attrs), result)
    if natives is given and out[1]:
        _note(op, known, args, natives, attrs, out[0])
    return TENSORS.wrap(out[0])


def _varies(op: Op) -> bool:
    """Whether the number of arrays that go in or come out is another from call to call."""
    return op.sequence or op.shape is data_dependent


def _first(op: Op, known: dict, args: tuple, attrs: dict) -> Any:
    """Compute on tensors whose families are not known, or not known together."""
    new = [x for x in args if isinstance(x, EmberTensor) and x.family is None]
    if not new:
        return _evaluate(op, known, args, attrs)
    for x in new:
        x.family = _family(x.native)
    return op.apply(*args, **attrs)


@dataclass(frozen=True, eq=False, slots=True)
class _Family:
    """What stands for all arrays of one type and dtype."""

    differentiable: bool


_FAMILIES: dict[type, dict[Any, _Family]] = {}


def _family(native: Any) -> _Family:
    """Return the one object that stands for all arrays of this type and dtype."""
    own = _FAMILIES.setdefault(type(native), {})
    if (found := own.get(native.dtype)) is None:
        found = own.setdefault(native.dtype, _Family(spec_of(native).dtype.kind in FLOATING))
    return found


def _keys(x: Any) -> tuple:
    return (x.family,) if isinstance(x, EmberTensor) else (type(x), x.dtype)


def _opened(op: Op, args: tuple, attrs: dict) -> Any:
    """Compute a composite by its body, where each op lets dtypes meet by its own rule."""
    if op.places is not None:
        natives = _mapped(TENSORS.unwrap, args)
        engine = dispatch.interpreter_of(op.name, tuple(map(type, natives)))
        if isinstance(engine, Backend):
            engine.check_places(op, natives, attrs)
    assert op.body is not None
    op.check_kinds(specs_of(args))
    return op.body(*args, **attrs)


def _trace(op: Op, args: tuple, attrs: dict) -> Any:
    """Compute on tensors that wrap traced values; a tensor that requires a gradient is captured as it is."""
    given = _mapped(_in_trace, args)
    if any(_is_program(x) for x in lay_flat(given)):  # it lets dtypes meet and knows its numbers
        return TENSORS.wrap(op.apply(*given, **attrs))
    if op.body is not None and not is_computed_whole(op, args):
        return op.body(*args, **attrs)
    given, result = _meet(op, given, attrs)
    return TENSORS.wrap(_as_told(op.apply(*given, **attrs), result)[0])


def _in_trace(x: Any) -> Any:
    if isinstance(x, EmberTensor) and not x.requires_grad:
        return x.data
    return traced_in(x)


def _holds_traced(args: tuple) -> bool:
    return any(type(traced_in(x)) is Traced for x in lay_flat(args))


def _is_program(x: Any) -> bool:
    while type(x) is Traced:
        x = x.value
    return type(x) is Spec


def _record(op: Op, known: dict, args: tuple, attrs: dict) -> Any:
    """Compute, and let the results hold a node from which `backward` finds its way."""
    _refuse_mixed(op, args)
    if _holds_traced(args):
        return _trace(op, args, attrs)
    if op.body is not None and dissolves(op):
        return _opened(op, args, attrs)
    given = args
    args, result = _meet(op, args, attrs)
    natives, pull = _mapped(TENSORS.unwrap, args), None
    if op.linearize is not None:
        wanted = [isinstance(x, EmberTensor) and x.requires_grad for x in lay_flat(args)]
        value, pull = op.linearize(wanted, *natives, **attrs)
    else:
        value, right = _as_told(op.apply(*natives, **attrs), result)
        if args is given and right and _is_plain(op):
            for x in args:
                if isinstance(x, EmberTensor) and x.family is None:
                    x.family = _family(x.native)
            _note(op, known, args, natives, attrs, value)
    node = Node(op, [_place(x) for x in lay_flat(args)], natives, attrs, value, pull)
    if isinstance(value, tuple | list):
        return tuple(_recorded(x, node, i) for i, x in enumerate(value))
    return _recorded(value, node, 0)


def _place(x: Any) -> Any:
    """Return what a node keeps of an argument: a leaf itself, a result as it is now, no constant."""
    if not (isinstance(x, EmberTensor) and x.requires_grad):
        return None
    return x if x.node is None else _known_as(x.native, x.family, x.node, x.index)  # x may be rebound later


def _recorded(native: Any, node: Node, index: int) -> EmberTensor:
    return _known_as(native, None, node, index) if _family(native).differentiable else wrap(native)


def _known_as(native: Any, family: _Family | None, node: Node, index: int) -> EmberTensor:
    out = object.__new__(EmberTensor)
    out.native, out.family, out.requires_grad, out.node, out.index = native, family, True, node, index
    return out


def _remembered(op: Op, family: _Family | None, args: tuple, natives: tuple, attrs: dict, value: Any) -> Any:
    """Return a result that was computed at once, with a node from which `backward` finds its way."""
    node = Node(op, [_place(x) for x in args], natives, attrs, value)
    if family is None or not family.differentiable:
        return _recorded(value, node, 0)
    return _known_as(value, family, node, 0)


def _is_plain(op: Op) -> bool:
    """Whether its gradient needs but what went in and came out, and the op itself."""
    return op.body is None and op.linearize is None


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
        dtypes = dtype if isinstance(dtype, tuple) else (dtype,) * len(out)
        return tuple(_cast(x, each) for x, each in zip(out, dtypes, strict=True)), False
    right = _cast(out, dtype)
    return right, right is out


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


def _compute(op: Op, natives: tuple, attrs: dict) -> Any:
    """Compute on native arrays, whose dtypes the engine is told."""
    if op.sequence or op.body is not None:
        return op.apply(*natives, **attrs)
    return _bound(op, natives)(*natives, **attrs)


def _bound(op: Op, natives: tuple) -> Callable:
    """Return what computes an op on native arrays of just these dtypes."""
    engine = dispatch.interpreter_of(op.name, tuple(map(type, natives)))
    assert isinstance(engine, Backend)
    dtypes = [as_dtype(x.dtype) for x in natives if type(x) not in SCALARS]
    return engine.bind(op, tuple(map(type, natives)), dtypes)


def _note(op: Op, known: dict, args: tuple, natives: tuple, attrs: dict, value: Any) -> None:
    """Note what computes on arguments of these families, and the family of the result if it is always one."""
    if _varies(op) or isinstance(value, tuple | list):
        return
    keys = [key for x in args if type(x) not in SCALARS for key in _keys(x)]
    for key in keys[:-1]:
        known = known.setdefault(key, {})
    known[keys[-1]] = (_bound(op, natives), None if "dtype" in attrs else _family(value))


# What is called most is written out for the number and kinds of its arguments, as op functions are.
_TEMPLATE = """\
def {name}({parameters}):{tracked}
    try:
        compute, family = known{keys}
    except KeyError:
        return first(known, ({args}), {attrs})
    out = new(EmberTensor)
    out.native = compute({natives})
    out.requires_grad = False
    out.family = family
    return out
"""
_TRACKED = """
    if ({tracked}) and recording():
        return record(known, ({args}), {attrs})"""
_TRACKED_AT_ONCE = """
    if ({tracked}) and recording():
        try:
            compute, family = known{keys}
        except KeyError:
            return record(known, ({args}), {attrs})
        natives = ({natives_alone})
        return remembered(op, family, ({args}), natives, {attrs}, compute(*natives{settings}))"""


def _write(op: Op, types: Sequence[type]) -> Callable:
    names = [f"x{i}" for i in range(len(types))]
    own = [issubclass(t, EmberTensor) for t in types]
    natives = [f"{n}.native" if mine else n for n, mine in zip(names, own, strict=True)]
    keys = [
        f"[{n}.family]" if mine else f"[type({n})][{n}.dtype]"
        for n, t, mine in zip(names, types, own, strict=True)
        if t not in SCALARS
    ]
    settings = set(op.define.__code__.co_varnames[: _arity(op)]) - set(op.arrays)
    args = "".join(f"{n}, " for n in names)
    attrs = "attrs" if settings else "{}"
    tracked = " or ".join(f"{n}.requires_grad" for n, mine in zip(names, own, strict=True) if mine)
    words = {
        "name": op.name,
        "parameters": args + ("**attrs" if settings else ""),
        "keys": "".join(keys),
        "args": args,
        "attrs": attrs,
        "natives": ", ".join(natives) + (", **attrs" if settings else ""),
    }
    with_record = _TRACKED_AT_ONCE if _is_plain(op) else _TRACKED
    alone = {"natives_alone": "".join(f"{n}, " for n in natives), "settings": ", **attrs" if settings else ""}
    words["tracked"] = "" if op.vjp is constant else with_record.format(tracked=tracked, **words, **alone)
    # What is known of tensors alone stands where the op keeps what it found, and is forgotten with it.
    known = op._found if all(own) else {}
    calls = {"first": partial(_first, op), "record": partial(_record, op), "recording": RECORDING.get}
    calls |= {"remembered": _remembered, "op": op}
    return _made(_TEMPLATE, op, words, {"known": known, **calls})


def _made(template: str, op: Op, words: dict, names: dict) -> Callable:
    """Return the function that a template describes, with its text where debuggers look for it."""
    source = template.format(**words)
    scope = {**names, "new": object.__new__, "EmberTensor": EmberTensor}
    file = f"<op {op.name} on tensors, {hash(source):x}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), scope)
    return scope[op.name]


_OPERATOR = """\
def {name}(x0, x1):
    if type(x1) is EmberTensor and not (x0.requires_grad or x1.requires_grad):
        try:
            compute, family = known[x0.family][x1.family]
        except KeyError:
            return otherwise(x0, x1)
        out = new(EmberTensor)
        out.native = compute(x0.native, x1.native)
        out.requires_grad = False
        out.family = family
        return out
    return otherwise(x0, x1)
"""


def _operator(op: Op, otherwise: Callable) -> Callable:
    """Return an operator of two tensors that goes the shortest way, and leaves all else to `otherwise`."""
    return _made(_OPERATOR, op, {"name": op.name}, {"known": op._found, "otherwise": otherwise})


for _name, _op in (BINARY | COMPARISONS).items():
    _method = f"__{_name}__"
    setattr(EmberTensor, _method, _operator(TABLE[_op], getattr(EmberTensor, _method)))


def _arity(op: Op) -> int:
    return op.define.__code__.co_argcount + op.define.__code__.co_kwonlyargcount
