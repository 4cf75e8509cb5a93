"""An op: one name, one contract, one gradient rule.

Everything this library computes is an op applied to arguments. An `Op` knows no engine: an interpreter gives
it meaning (`ember_ml.core.dispatch`). `@primitive` defines what each engine supplies, `@composite` what other
ops make up. Both return a real function with the signature it was written with, which finds the interpreter
by the exact types of the array arguments: two dict look-ups.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, update_wrapper
from types import CodeType
from typing import Any, NoReturn, ParamSpec, TypeVar

from ember_ml.core import dispatch, rules, tree
from ember_ml.core.dtypes import KINDS
from ember_ml.core.spec import Spec, specs_of

P = ParamSpec("P")
R = TypeVar("R")

TABLE: dict[str, Op] = {}
ALIASES: dict[str, str] = {}  # other spellings of an op: alias -> name
LOADERS: list[Callable[[], Any]] = []  # what enters the ops; `ember_ml` says so, since core imports no ops

# What engines raise when an argument is wrong. Anything else passes through an op untouched.
FAULTS = (ValueError, TypeError, IndexError, RuntimeError, AttributeError, ArithmeticError)


@dataclass(eq=False, repr=False, kw_only=True)
class Op:
    """A named operation and its rules; its function, `op.function`, is public as `ember_ml.ops.<name>`.

    A gradient rule multiplies by the transposed derivative and conjugates nothing: `core.reverse` makes
    complex gradients torch's.
    """

    define: Callable  # the definition as written: signature and contract
    body: Callable | None = None  # of a composite: its meaning everywhere
    shape: Callable = rules.same  # Specs -> shape
    dtype: rules.DTypeRule = rules.promoted  # Specs -> casts of the arguments, dtype of the result
    spec: Callable | None = None  # Specs -> Specs, for ops that need both at once
    vjp: Callable | None = None  # (cotangent, output, *args, **attrs) -> that of each array argument, or None
    linearize: Callable | None = (
        None  # (wanted, *args, **attrs) -> output, pullback; keeps more than its output
    )
    domain: Any = (-2.0, 2.0)  # between which the laws draw real arguments; where it is defined and smooth
    kinds: tuple[str, ...] = KINDS  # kinds of dtype that it accepts
    arrays: tuple[str, ...] = ()  # names of the array parameters; unless given, the positional-only ones
    sequence: bool = False  # its first array parameter is a sequence of arrays, or variadic
    returns: type | None = None  # the named tuple in which several results come
    places: Callable | None = None  # (*args, **attrs) -> the `indexing.Places` that eager code checks
    batch: Callable | None = None  # what it does at many places at once, as `core.batching` calls it
    cost: Callable | None = (
        None  # (output, *args, **attrs) -> arithmetic operations; see `ember_ml.ops.costs`
    )

    def __post_init__(self) -> None:
        self.name: str = self.define.__name__
        parameters = list(inspect.signature(self.define).parameters.values())
        front = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
        self.arrays = tuple(self.arrays or front)
        own = [p for p in parameters if p.name in self.arrays]
        self.sequence |= any(p.kind is p.VAR_POSITIONAL for p in own)
        self.creates = all(p.kind is p.KEYWORD_ONLY for p in own)  # arrays without being given one: `like`
        self._optional = [p.name for p in own if p.default is None]
        self._found: dict = {}
        self.function = _write_function(self, parameters)  # the public function
        others = [p for p in parameters if p not in own or p.kind is p.KEYWORD_ONLY]
        others_named = not any(p.kind is p.POSITIONAL_ONLY for p in others)
        plain = self.creates or (parameters == [*own, *others] and others_named)
        keyed = [*(p for p in own if p not in others), *(p.replace(kind=p.KEYWORD_ONLY) for p in others)]
        # The same, taking arrays by position and settings by keyword, whatever the signature.
        self.apply = self.function if plain else _write_function(self, keyed)

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        """Compute the op on arguments of any interpreter."""
        return self.function(*args, **attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    @property
    def differentiable(self) -> bool:
        """Whether it has a gradient rule, or a body from which one follows."""
        return self.vjp is not None or self.linearize is not None or self.body is not None

    @property
    def is_view(self) -> bool:
        """Whether its result is its first argument, seen in another way."""
        return self.cost is rules.view

    def resolve(self, *arrays: Any) -> Callable:
        """Return what computes this op for arrays of these types, and remember it."""
        types = tuple(map(type, arrays[0] if self.sequence else arrays))
        interpreter = dispatch.interpreter_of(self.name, types)
        if interpreter is None:
            return dispatch.active().bind(self, types)
        implementation = interpreter.bind(self, types)
        if self.sequence or len(types) > 2:
            self._found[types] = implementation
        elif len(types) == 2:
            self._found.setdefault(types[0], {})[types[1]] = implementation
        elif len(types) == 1:
            self._found[types[0]] = implementation
        return implementation

    def forget(self) -> None:
        """Drop what `resolve` remembers; needed when a backend is registered or replaced."""
        self._found.clear()

    def check_kinds(self, specs: tuple) -> None:
        """Raise TypeError for an array whose kind of dtype the op does not take."""
        if any(x is None and name not in self._optional for x, name in self._named(specs)):
            raise TypeError("expected arrays, got None")
        for dtype in rules.operands(specs):
            kind = _SCALAR_KINDS.get(dtype) if isinstance(dtype, type) else dtype.kind
            if kind is not None and kind not in self.kinds:
                given = kind if isinstance(dtype, type) else dtype
                raise TypeError(f"expected {_words(self.kinds)} arrays, got {given}")

    def _named(self, specs: tuple) -> Iterable[tuple]:
        return ((x, "") for x in specs) if self.sequence else zip(specs, self.arrays, strict=False)

    def infer(self, args: tuple, attrs: dict) -> Any:
        """Return the `Spec`s of the result; see `judge`."""
        return self.judge(specs_of(args), attrs)[0]

    def judge(self, given: tuple, attrs: dict) -> tuple[Any, Any]:
        """Return the `Spec`s of the result, and the dtypes to which arrays are cast first; None for none.

        Of a primitive its rules say it, of a composite its body, run on `Spec`s. Raises the ValueError,
        TypeError or IndexError that a rule finds, with the name of the op in front.
        """
        try:
            if self.spec is not None:
                return self.spec(*given, **attrs), None
            self.check_kinds(given)
            if self.body is not None:
                return self.body(*given, **attrs), None
            shape = self.shape(*given, **attrs)
            casts, dtype = self.dtype(given, attrs)
        except (ValueError, TypeError, IndexError) as fault:
            raise dispatch.blamed(self.name, fault)  # noqa: B904 - it is the same error
        if isinstance(shape, list):
            dtypes = dtype if isinstance(dtype, tuple) else (dtype,) * len(shape)
            return tuple(Spec(each, own) for each, own in zip(shape, dtypes, strict=True)), casts
        return Spec(shape, dtype), casts

    def recover(self, error: Exception, args: tuple, attrs: dict) -> Any:
        """Raise what this op's own rules find wrong with the arguments.

        When they find nothing, return what the interpreter can do about an engine's refusal, else raise that.
        """
        if getattr(error, "op", None) is not None:
            raise error
        if isinstance(error, rules.UnknownShape):
            raise dispatch.blamed(self.name, error)
        try:
            self.infer(args, attrs)
        except (ValueError, TypeError, IndexError) as fault:
            if not isinstance(fault, rules.UnknownShape):
                raise fault from error
        leaves = tree.leaves(args if args else attrs.get("like"))
        interpreter = dispatch.interpreter_of(self.name, tuple(map(type, leaves))) or dispatch.active()
        return interpreter.recover(self, error, args, attrs)


class Specs(dispatch.Interpreter):
    """Gives an op meaning on `Spec`s: the `Spec` of its result."""

    level = 2

    def bind(self, op: Op, types: tuple) -> Callable:
        """Return the function from arguments to the `Spec` of the result."""
        return lambda *args, **attrs: op.infer(args, attrs)

    def __str__(self) -> str:
        return "specs"


dispatch.register_type(Spec, Specs())


def primitive(**rules_: Any) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Define an op that each engine supplies; the decorated function is its contract alone.

    Rules: `shape`, `dtype` (or `spec` for both), `vjp` or `linearize`, `domain`, `kinds`, `arrays`,
    `sequence`, `returns`, `places`, `batch`, `cost`; the attributes of `Op` say what each is.
    """
    return lambda define: _enter(Op(define=define, **rules_))


def composite(**rules_: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Define an op by other ops: shape, dtype, gradient and every engine follow from its body."""
    return lambda define: _enter(Op(define=define, body=_body(define, rules_.get("arrays", ())), **rules_))


def _body(define: Callable, arrays: tuple[str, ...]) -> Callable:
    """Return a definition that takes arrays by position and settings by keyword, as interpreters do."""
    parameters = inspect.signature(define).parameters
    given = [a for a in arrays if parameters[a].kind is not inspect.Parameter.KEYWORD_ONLY]
    if list(parameters)[: len(given)] == given:
        return define
    return lambda *args, **attrs: define(**dict(zip(given, args, strict=False)), **attrs)


def alias(name: str, *others: str) -> None:
    """Let an op be found under other spellings too."""
    for other in others:
        if other in TABLE or ALIASES.get(other, name) != name:
            raise ValueError(f"alias {other!r} of {name!r} is taken by {ALIASES.get(other, other)!r}")
        ALIASES[other] = name


def fill_table() -> None:
    """Enter the ops, if that has not been done."""
    for load in LOADERS:
        load()
    LOADERS.clear()


def op_named(name: str) -> Op:
    """Return the op of this name or alias. Raises KeyError."""
    return TABLE[ALIASES.get(name, name)]


def _enter(op: Op) -> Any:
    if op.name in TABLE:
        here, there = op.define.__module__, TABLE[op.name].define.__module__
        raise ValueError(f"op {op.name!r} is defined twice: in {there} and in {here}")
    TABLE[op.name] = op
    return op.function


# The function of an op is written out, since an explicit signature costs nothing and *args cost 70 ns.
_TEMPLATE = """\
def op{signature}:
    try:
        compute = found{keys}
    except KeyError:
        compute = resolve({arrays})
    try:
        return {start}compute({args}{settings}){end}
    except FAULTS as error:
        return {start}recover(error, ({args}), dict({settings})){end}
"""


class _Word(str):
    """A text that stands in a printed signature as it is."""

    __slots__ = ()
    __repr__ = str.__str__


def _write_function(op: Op, parameters: list[inspect.Parameter]) -> Callable:
    """Return the function of these parameters that finds who computes the op."""
    defaults = {p: p.empty if p.default is p.empty else _Word(f"_{p.name}") for p in parameters}
    own = [p for p in parameters if p.name in op.arrays and p.kind is not p.KEYWORD_ONLY]
    source = _TEMPLATE.format(
        signature=inspect.Signature([p.replace(annotation=p.empty, default=defaults[p]) for p in parameters]),
        keys=_keys(op),
        arrays=", ".join(op.arrays),
        args="".join(f"{'*' * (p.kind is p.VAR_POSITIONAL)}{p.name}, " for p in own),
        settings=", ".join(f"{p.name}={p.name}" for p in parameters if p not in own),
        start="" if op.returns is None else "returns(*",
        end="" if op.returns is None else ")",
    )
    scope = {"found": op._found, "resolve": op.resolve, "recover": op.recover, "FAULTS": FAULTS}
    scope |= {"returns": op.returns, **{f"_{p.name}": p.default for p in parameters}}
    file = f"<op {op.name}>"
    show(source.replace("op", op.name, 1), file)
    exec(_code(source), scope)
    scope["op"].__code__ = scope["op"].__code__.replace(co_name=op.name, co_filename=file)
    return update_wrapper(scope["op"], op.define)


@cache
def _code(source: str) -> CodeType:
    """Return a text compiled; most ops share one with others, and it takes longest to import them."""
    return compile(source, "<op>", "exec")


def written(source: str, file: str, scope: dict) -> dict:
    """Run a text in `scope` and return that; tracebacks and debuggers find its lines under `file`."""
    show(source, file)
    exec(compile(source, file, "exec"), scope)
    return scope


def show(source: str, file: str) -> None:
    """Let tracebacks and debuggers find a text under the name of a file."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)


def _keys(op: Op) -> str:
    if op.sequence:
        return f"[tuple(map(type, {op.arrays[0]}))]"
    if len(op.arrays) > 2:
        return "[" + ", ".join(f"type({a})" for a in op.arrays) + "]"
    return "".join(f"[type({a})]" for a in op.arrays) or "[None]"


_SCALAR_KINDS = {float: "float", complex: "complex"}  # a Python integer or truth goes with anything


def _words(kinds: tuple[str, ...]) -> str:
    full = {"bool": "boolean", "uint": "unsigned", "int": "integer", "float": "floating-point"}
    return " or ".join(full.get(k, k) for k in kinds)


def unknown(name: str) -> NoReturn:
    """Raise the AttributeError for an op that is not in the table, with the nearest names."""
    import difflib

    near = difflib.get_close_matches(name, [*TABLE, *ALIASES], 3)
    raise AttributeError(f"no op {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
