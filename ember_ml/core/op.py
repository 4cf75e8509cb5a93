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
from functools import update_wrapper
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


class Op:
    """A named operation and its rules; its function, `op.function`, is public as `ember_ml.ops.<name>`."""

    name: str
    function: Callable  # the public function
    apply: Callable  # the same, taking arrays by position and settings by keyword, whatever the signature
    define: Callable  # the definition as written: signature and contract
    body: Callable | None  # of a composite: its meaning everywhere
    shape: Callable  # Specs -> shape
    dtype: rules.DTypeRule  # Specs -> casts of the arguments, dtype of the result
    spec: Callable | None  # Specs -> Specs, for ops that need both at once
    vjp: (
        Callable | None
    )  # (cotangent, output, *args, **attrs) -> a cotangent for each array argument, or None; it multiplies
    # by the transposed derivative and conjugates nothing: `core.reverse` makes complex gradients torch's
    linearize: (
        Callable | None
    )  # (wanted, *args, **attrs) -> output, pullback; for ops that keep more than their output
    domain: Any  # (low, high) between which the laws draw real arguments; where it is defined and smooth
    kinds: tuple[str, ...]  # kinds of dtype that it accepts
    arrays: tuple[str, ...]  # names of the array parameters
    sequence: bool  # its first array parameter is a sequence of arrays, or variadic
    returns: type | None  # the named tuple in which several results come
    places: Callable | None  # (*args, **attrs) -> the `rules.Places` that eager code checks
    batch: Callable | None  # what it does at many places at once, as `core.batching` calls it

    def __init__(
        self,
        define: Callable,
        *,
        body: Callable | None = None,
        shape: Callable = rules.same,
        dtype: rules.DTypeRule = rules.promoted,
        spec: Callable | None = None,
        vjp: Callable | None = None,
        linearize: Callable | None = None,
        domain: Any = (-2.0, 2.0),
        kinds: Iterable[str] = KINDS,
        arrays: Iterable[str] | None = None,
        sequence: bool = False,
        returns: type | None = None,
        places: Callable | None = None,
        batch: Callable | None = None,
    ):
        self.name, self.define, self.body = define.__name__, define, body
        self.shape, self.dtype, self.spec = shape, dtype, spec
        self.vjp, self.linearize, self.domain, self.kinds = vjp, linearize, domain, tuple(kinds)
        parameters = inspect.signature(define).parameters
        first = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
        self.arrays = tuple(first if arrays is None else arrays)
        self.sequence = sequence or any(
            parameters[a].kind is inspect.Parameter.VAR_POSITIONAL for a in self.arrays
        )
        self.returns, self.places, self.batch = returns, places, batch
        self._optional = [a for a in self.arrays if parameters[a].default is None]
        self._creates = all(parameters[a].kind is inspect.Parameter.KEYWORD_ONLY for a in self.arrays)
        self._found: dict = {}
        self.function = _write_function(self, list(parameters.values()))
        self.apply = self._by_keyword(list(parameters.values()))

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        """Compute the op on arguments of any interpreter."""
        return self.function(*args, **attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def _by_keyword(self, parameters: list[inspect.Parameter]) -> Callable:
        first = [p for p in parameters if p.name in self.arrays and p.kind is not p.KEYWORD_ONLY]
        others = [p for p in parameters if p not in first]
        if parameters[: len(first)] == first and not any(p.kind is p.POSITIONAL_ONLY for p in others):
            return self.function
        return _write_function(self, [*first, *(p.replace(kind=p.KEYWORD_ONLY) for p in others)])

    @property
    def creates(self) -> bool:
        """Whether it makes arrays without being given one: its arrays are keywords, as `like` and `key`."""
        return self._creates

    @property
    def differentiable(self) -> bool:
        """Whether it has a gradient rule, or a body from which one follows."""
        return self.vjp is not None or self.linearize is not None or self.body is not None

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
        """Return the `Spec`s of the result: of a primitive by its rules, of a composite by running its body.

        Raises the ValueError, TypeError or IndexError that a rule finds, with the name of the op in front.
        """
        given = specs_of(args)
        try:
            if self.spec is not None:
                return self.spec(*given, **attrs)
            self.check_kinds(given)
            if self.body is not None:
                return self.body(*given, **attrs)
            shape = self.shape(*given, **attrs)
            _, dtype = self.dtype(given, attrs)
        except (ValueError, TypeError, IndexError) as fault:
            if getattr(fault, "op", None) is None:
                fault.args = (f"{self.name}: {fault}",)
                fault.op = self.name  # pyright: ignore[reportAttributeAccessIssue]
            raise
        if isinstance(shape, list):
            dtypes = dtype if isinstance(dtype, tuple) else (dtype,) * len(shape)
            return tuple(Spec(each, own) for each, own in zip(shape, dtypes, strict=True))
        return Spec(shape, dtype)

    def recover(self, error: Exception, args: tuple, attrs: dict) -> Any:
        """Raise what this op's own rules find wrong with the arguments.

        When they find nothing, return what the interpreter can do about an engine's refusal, else raise that.
        """
        if getattr(error, "op", None) is not None:
            raise error
        if isinstance(error, rules.UnknownShape):
            error.args, error.op = (f"{self.name}: {error}",), self.name  # pyright: ignore
            raise error
        try:
            self.infer(args, attrs)
        except (ValueError, TypeError, IndexError) as fault:
            if not isinstance(fault, rules.UnknownShape):
                raise fault from error
        leaves = tree.leaves(args if args else attrs.get("like"))
        interpreter = dispatch.interpreter_of(self.name, tuple(map(type, leaves))) or dispatch.active()
        return interpreter.recover(self, error, args, attrs)


def primitive(**rules_: Any) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Define an op that each engine supplies; the decorated function is its contract alone.

    Rules: `shape`, `dtype` (or `spec` for both), `vjp` or `linearize`, `domain`, `kinds`, `arrays`,
    `sequence`, `returns`, `places`, `batch`; the attributes of `Op` say what each is.
    """
    return lambda define: _enter(Op(define, **rules_))


def composite(**rules_: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Define an op by other ops: shape, dtype, gradient and every engine follow from its body."""
    return lambda define: _enter(Op(define, body=_with_arrays_first(define, rules_.get("arrays")), **rules_))


def _with_arrays_first(define: Callable, arrays: Iterable[str] | None) -> Callable:
    """Return a definition that takes arrays by position and settings by keyword, as interpreters do."""
    parameters = inspect.signature(define).parameters
    places = [a for a in arrays or () if parameters[a].kind is not inspect.Parameter.KEYWORD_ONLY]
    fixed = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]
    if arrays is None or (list(parameters)[: len(places)] == places and set(fixed) <= set(places)):
        return define

    def body(*args: Any, **attrs: Any) -> Any:
        given = {**dict(zip(places, args, strict=False)), **attrs}
        front = [given.pop(name) for name in fixed]
        return define(*front, **given)

    return body


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
def {name}({signature}):
    try:
        compute = found{keys}
    except KeyError:
        compute = resolve({arrays})
    try:
        return {result}
    except FAULTS as error:
        return {recovered}
"""


def _write_function(op: Op, parameters: list[inspect.Parameter]) -> Callable:
    scope: dict = {"found": op._found, "resolve": op.resolve, "recover": op.recover, "FAULTS": FAULTS}
    signature, call, args, attrs, seen = [], [], [], [], None
    for p in parameters:
        if seen is p.POSITIONAL_ONLY and p.kind is not p.POSITIONAL_ONLY:
            signature.append("/")
        if p.kind is p.KEYWORD_ONLY and seen not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            signature.append("*")
        seen = p.kind
        default = "" if p.default is p.empty else f"=_{p.name}"
        scope[f"_{p.name}"] = p.default
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        signature.append(f"{star}{p.name}{default}")
        positional = p.name in op.arrays and p.kind is not p.KEYWORD_ONLY
        call.append(f"{star}{p.name}" if positional else f"{p.name}={p.name}")
        (args if positional else attrs).append(f"{star}{p.name}" if positional else f"'{p.name}': {p.name}")
    if seen is inspect.Parameter.POSITIONAL_ONLY:
        signature.append("/")
    call.sort(key=lambda each: "=" in each)  # arrays first, by position; all else by keyword
    given = "".join(f"{a}, " for a in args)
    result, recovered = f"compute({', '.join(call)})", f"recover(error, ({given}), {{{', '.join(attrs)}}})"
    if op.returns is not None:
        scope["returns"] = op.returns
        result, recovered = f"returns(*{result})", f"returns(*{recovered})"
    source = _TEMPLATE.format(
        name=op.name,
        signature=", ".join(signature),
        keys=_keys(op),
        arrays=", ".join(op.arrays),
        result=result,
        recovered=recovered,
    )
    file = f"<op {op.name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), scope)
    return update_wrapper(scope[op.name], op.define)


def _keys(op: Op) -> str:
    if op.sequence:
        return f"[tuple(map(type, {op.arrays[0]}))]"
    if len(op.arrays) > 2:
        return "[" + ", ".join(f"type({a})" for a in op.arrays) + "]"
    return "".join(f"[type({a})]" for a in op.arrays) or "[None]"


_SCALAR_KINDS = {float: "float", complex: "complex"}  # a Python integer or truth goes with anything


def _words(kinds: tuple[str, ...]) -> str:
    full = {
        "bool": "boolean",
        "uint": "unsigned",
        "int": "integer",
        "float": "floating-point",
        "complex": "complex",
    }
    return " or ".join(full[k] for k in kinds)


def unknown(name: str) -> NoReturn:
    """Raise the AttributeError for an op that is not in the table, with the nearest names."""
    import difflib

    near = difflib.get_close_matches(name, [*TABLE, *ALIASES], 3)
    raise AttributeError(f"no op {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
