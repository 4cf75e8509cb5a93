"""Recording: an interpreter that runs each op one level down and notes what was done.

A trace over arrays is a tape for gradients. A trace over `Spec`s (a *typed* one) records a program before any
number exists: it casts arguments by the op's dtype rule, and creation ops without an array join it.
Traces nest: a value of an outer trace is a constant to an inner one. A trace is younger than what it
captures, in whatever thread it was opened, so its `level` is higher; once it is closed, its values are of no
use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from ember_ml.core import dispatch, tree
from ember_ml.core.dispatch import AMBIENT, SCALARS, Interpreter
from ember_ml.core.dtypes import DType, int32, uint32
from ember_ml.core.op import TABLE, Op
from ember_ml.core.operators import Operators
from ember_ml.core.rules import shape_of
from ember_ml.core.spec import Spec, spec_of, specs_of

_LEVELS = count(3)  # below them stand engines, tensors and specs


def constant(g: Any, out: Any, *args: Any, **attrs: Any) -> tuple:
    """Gradient rule of an op that is constant wherever it is smooth: nothing flows back."""
    return (None,) * len(args)


def is_computed_whole(op: Op, args: tuple) -> bool:
    """Whether an engine's own version of a composite lets dtypes meet as its body does, op by op.

    It does for arguments of one real dtype that holds fractions, and where it says itself what it returns.
    """
    dtypes = {spec_of(x).dtype for x in tree.leaves(args) if type(x) not in SCALARS}
    return op.vjp is constant or op.spec is not None or (len(dtypes) == 1 and dtypes.pop().kind == "float")


def keep_whole(op: Op) -> bool:
    """Record every composite as it is: its gradient rule, or an engine's own version, may be wanted later."""
    return False


class Node:
    """One op on a tape: what it was given, what it gave."""

    __slots__ = ("args", "attrs", "boxes", "count", "op", "pull", "value")

    def __init__(
        self, op: Op, boxes: list, args: tuple, attrs: dict, value: Any, pull: Callable | None = None
    ):
        self.op = op
        self.boxes = boxes  # the arguments as given, sequences laid flat: Traced, tensors or constants
        self.args = args  # the same one level down, which the gradient rule reads
        self.attrs = attrs
        self.value = value
        self.pull = pull  # the pullback, of an op that made its own
        self.count = len(value) if isinstance(value, tuple | list) else 1


class Traced(Operators):
    """A value on a tape. `value` is an array (gradient) or a `Spec` (compilation)."""

    __slots__ = ("index", "name", "node", "trace", "value")
    __array_ufunc__ = None  # so that NumPy leaves `array + traced` to us
    __hash__ = object.__hash__

    def __init__(self, trace: Trace, value: Any, node: Node | None = None, index: int = 0, name: str = ""):
        self.trace, self.value, self.node, self.index, self.name = trace, value, node, index, name

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, which is known while tracing."""
        return shape_of(self.value)

    @property
    def dtype(self) -> DType:
        """The dtype, which is known while tracing."""
        return spec_of(self.value).dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Traced({spec_of(self.value)})"

    def __bool__(self) -> bool:
        return bool(self._concrete())

    def __float__(self) -> float:
        return float(self._concrete())

    def __complex__(self) -> complex:
        # MLX asks for it: `array * traced` would be a number, and lose the gradient.
        raise TypeError("a traced value is no Python number; write traced * array, or ops.multiply")

    def __int__(self) -> int:
        return int(self._concrete())

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("a traced value is no NumPy array; use ember_ml.ops on it")

    def _concrete(self) -> Any:
        value = self.value
        while isinstance(value, Traced):
            value = value.value
        if isinstance(value, Spec):
            raise TypeError(
                f"a value of {value} has no number while it is traced; choose with ops.where or ops.cond "
                "instead of Python's if, and use ops.scan for loops over values"
            )
        return value


class Trace(Interpreter):
    """One recording. `expands` says which composites dissolve into their bodies instead of being recorded.

    A typed trace may have `better`: a function of an op, the specs of its result, its arguments and settings,
    which returns what says the same better, made of ops that join this trace, or None.
    """

    def __init__(self, level: int, *, typed: bool, expands: Callable[[Op], bool], better: Callable | None):
        self.level, self.typed, self.expands, self.better = level, typed, expands, better
        self.is_open = True
        self.nodes: list[Node] = []  # of a typed trace, in order
        # a random key and a step number, once something random was recorded
        self.key_inputs: list[Traced] = []
        self.keys_made = 0

    def __str__(self) -> str:
        return f"trace {self.level}"

    def bind(self, op: Op, types: tuple) -> Callable:
        """Return the recorder of an op that was given no array: it joins this trace."""
        return lambda *args, **attrs: self.run(op, args, attrs)

    def input(self, value: Any, name: str = "") -> Traced:
        """Return a new variable of this trace."""
        return Traced(self, value, name=name)

    def make_key(self) -> Any:
        """Return a random key computed from this trace's own key and step, which become its last inputs."""
        if not self.key_inputs:
            self.key_inputs = [self.input(Spec((2,), uint32)), self.input(Spec((), int32))]
        key, step = self.key_inputs
        self.keys_made += 1
        return TABLE["fold_in"](TABLE["fold_in"](key, step), self.keys_made)

    def lower(self, x: Any) -> Any:
        """Return what stands for `x` one level down."""
        if type(x) is Traced and x.trace is self:
            return x.value
        return spec_of(x) if self.typed else x

    def run(self, op: Op, args: tuple, attrs: dict) -> Any:
        """Compute `op` one level down, note it, and return its traced result."""
        if op.body is not None and (op.creates or self._dissolves(op, args)):
            if self.typed:
                op.check_kinds(specs_of(args))
            return op.body(*args, **attrs)
        if "like" in attrs:  # it names an engine, which a program has anyway, and carries no value
            attrs = {**attrs, "like": None if self.typed else self.lower(attrs["like"])}
        return self._note_typed(op, args, attrs) if self.typed else self._note(op, args, attrs)

    def _dissolves(self, op: Op, args: tuple) -> bool:
        return self.expands(op) or (self.typed and not is_computed_whole(op, args))

    def _note(self, op: Op, args: tuple, attrs: dict) -> Any:
        lowered = mapped(self.lower, args)
        if op.vjp is constant or op.creates:
            return op.apply(*lowered, **attrs)
        pull = None
        if op.linearize is not None:
            wanted = [type(x) is Traced and x.trace is self for x in lay_flat(args)]
            value, pull = op.linearize(wanted, *lowered, **attrs)
        else:
            value = op.apply(*lowered, **attrs)
        return self._box(Node(op, lay_flat(args), lowered, attrs, value, pull))

    def _note_typed(self, op: Op, args: tuple, attrs: dict) -> Any:
        args = tuple([a if type(a) in _PLAIN else tree.map(dispatch.as_number, a) for a in args])
        value, casts = op.judge(mapped(self.lower, args), attrs)  # a cast could hide a wrong kind
        if casts is not None:
            args = self._cast(args, casts)
        if self.better is not None and (found := self.better(op, value, args, attrs)) is not None:
            return found
        node = Node(op, lay_flat(args), args, attrs, value)
        self.nodes.append(node)
        return self._box(node)

    def _cast(self, args: tuple, casts: Any) -> tuple:
        """Return arguments in the dtypes in which an op lets them meet: one for all, or one for each."""
        flat, structure = tree.flatten(args)
        each = casts if type(casts) is tuple else (casts,) * len(flat)
        given = [None if type(x) in SCALARS else self.lower(x).dtype for x in flat]
        fits = [want is None or have in (None, want) for have, want in zip(given, each, strict=True)]
        cast = [x if fit else TABLE["astype"](x, dtype=d) for x, fit, d in zip(flat, fits, each, strict=True)]
        meeting = [i for i, want in enumerate(each) if want is not None] if type(casts) is tuple else []
        if meeting and any(given) and not any(given[i] for i in meeting):
            last = meeting[-1]  # numbers alone meet, beside an array: an engine would take them as it likes
            cast[last] = TABLE["full"]((), cast[last], dtype=each[last])
        elif all(fits):
            return args
        return tree.unflatten(structure, cast)

    def _box(self, node: Node) -> Any:
        if isinstance(node.value, tuple | list):
            return tuple(None if v is None else Traced(self, v, node, i) for i, v in enumerate(node.value))
        return Traced(self, node.value, node)


@contextmanager
def new_trace(
    *, typed: bool, expands: Callable[[Op], bool] = keep_whole, better: Callable | None = None
) -> Iterator[Trace]:
    """Open a trace; a typed one also receives what is created without an array argument."""
    trace = Trace(next(_LEVELS), typed=typed, expands=expands, better=better)
    ambient_token = AMBIENT.set(trace) if typed else None
    try:
        yield trace
    finally:
        trace.is_open = False
        if ambient_token is not None:
            AMBIENT.reset(ambient_token)


def lay_flat(args: Sequence) -> list:
    """Return arguments in order, with the sequences among them opened."""
    flat: list = []
    for a in args:
        flat.extend(a) if type(a) in (list, tuple) else flat.append(a)
    return flat


def mapped(change: Callable, args: Sequence) -> tuple:
    """Return arguments with each changed, in the sequences among them too."""
    return tuple([[change(x) for x in a] if type(a) in (list, tuple) else change(a) for a in args])


_PLAIN = frozenset({Traced, *SCALARS})


class _Tracer(Interpreter):
    """Owns every `Traced`: hands each call to the innermost trace among its arguments."""

    level = 3

    def bind(self, op: Op, types: tuple) -> Callable:
        return partial(_record, op)

    def __str__(self) -> str:
        return "trace"


def traced_in(x: Any) -> Any:
    """Return the traced value that a tensor wraps; anything else as it is."""
    inner = dispatch.bare(x)
    return inner if type(inner) is Traced else x


def named(x: Any, name: str) -> Any:
    """Return `x`; if it is traced and has no name yet, printed programs call it `name`."""
    inner = traced_in(x)
    while type(inner) is Traced:
        inner.name = inner.name or name
        inner = inner.value
    return x


def name_of(x: Any) -> str:
    """Return the name that a traced value was given; "" for any other."""
    name, inner = "", x
    while type(inner) is Traced and not name:
        name, inner = inner.name, inner.value
    return name


def made_by(x: Any, *names: str) -> Node | None:
    """Return the record of how `x` was made, if it was traced and is the result of one of these ops."""
    node = x.node if type(x) is Traced else None
    return node if node is not None and node.op.name in names else None


def _record(op: Op, *args: Any, **attrs: Any) -> Any:
    top = None
    for x in (*lay_flat(args), *attrs.values()):
        if traced_in(x) is not x:  # a traced value in a tensor: the result is one in a tensor, too
            return dispatch.OWNERS[type(x)].run(op, args, attrs)  # pyright: ignore
        if type(x) is Traced:
            if not x.trace.is_open:
                raise RuntimeError(
                    f"{op.name}: a value of {spec_of(x)} is used after the function in which it was traced "
                    "has ended; return it from there instead of keeping it, and build lists, not generators"
                )
            if top is None or x.trace.level > top.level:
                top = x.trace
    assert top is not None  # one of the types was Traced
    return top.run(op, args, attrs)


dispatch.register_type(Traced, _Tracer())
