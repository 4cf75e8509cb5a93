"""What a backend is: an engine's namespace, a few renames and overrides, and a list of gaps.

A backend says how an engine differs from the op table, and nothing else. An op is looked for among its
overrides, then (for a composite) in the op's body, then in the engine's namespace under the op's name or its
rename.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, ClassVar, NamedTuple

from ember_ml.core import ALIASES, TABLE, DType, Interpreter, Op, as_dtype, keys, op_named, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import DTYPES, Defaults, promote

ACTIVE: ContextVar[Backend | None] = ContextVar("ember_ml_backend", default=None)  # set by `use_backend`


class Gap(NamedTuple):
    """What an engine cannot do, and why: the error text, the expected failure, a cell of the matrix.

    What is missing on the "host" alone works: NumPy computes it there, and the result goes back.
    """

    op: str  # "*": every op
    reason: str
    dtypes: tuple[str, ...] | None = None  # None: all
    when: str = "eager"  # or "host", "compiled", "gradient", "accuracy"
    tolerance: float | None = None  # for "accuracy"

    def covers(self, op: str, dtypes: Iterable[str]) -> bool:
        """Whether it concerns an op on arrays of these dtypes."""
        return self.op in (op, "*") and (self.dtypes is None or any(d in self.dtypes for d in dtypes))


def override(function: Callable) -> Callable:
    """Mark a method as the engine's own implementation of the op of the same name."""
    function.overrides_op = function.__name__  # pyright: ignore[reportFunctionMemberAccess]
    return function


class Backend(Interpreter):
    """An engine as an object: its ops as methods, its settings, its arrays.

    `str(b)` is its name and `b == "torch"` is true. Settings (`dtype`, `device`, `randomness_seed`) act on
    this instance's methods; two instances of one engine may live side by side.
    """

    level = 0
    name: ClassVar[str] = ""
    array_types: ClassVar[tuple[type, ...]] = ()
    xp: ClassVar[Any] = None  # the engine's namespace, in the Array API standard's names as far as it goes
    raw: ClassVar[Any] = None  # where the ops in `plain` are taken from instead
    plain: ClassVar[frozenset[str]] = frozenset()
    renames: ClassVar[dict[str, str]] = {}
    lifts: ClassVar[frozenset[str]] = frozenset()  # ops whose Python scalars must be made arrays first
    gaps: ClassVar[tuple[Gap, ...]] = ()
    overrides: ClassVar[dict[str, Callable]] = {}

    def __init_subclass__(cls) -> None:
        _collect_overrides(cls)

    def __init__(
        self,
        dtype: Any = None,
        device: str | None = None,
        randomness_seed: int | None = None,
        enable_optimizations: bool = False,
    ):
        self.dtype = None if dtype is None else as_dtype(dtype)
        self.device = device
        self.enable_optimizations = enable_optimizations
        self._implementations: dict[str, Callable] = {}
        if randomness_seed is not None:
            self.set_seed(randomness_seed)

    # What it is

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        settings = {"dtype": self.dtype, "device": self.device}
        inside = ", ".join(f"{k}={str(v)!r}" for k, v in settings.items() if v is not None)
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        return self.name == other if isinstance(other, str) else self is other

    def __hash__(self) -> int:
        return hash(self.name)

    def owns(self, type_: type) -> bool:
        """Whether arrays of `type_` are this engine's."""
        return issubclass(type_, self.array_types)

    def works(self) -> bool:
        """Whether it can compute here and now, not only be imported."""
        return True

    def devices(self) -> list[str]:
        """Return the names of the devices that answer, the best first."""
        return ["cpu"]

    def default_device(self) -> str:
        """Return the name of the device on which arrays are created."""
        return self.device or "cpu"

    def device_of(self, x: Any) -> str:
        """Return the name of the device that holds x."""
        return "cpu"

    # How it computes

    def bind(self, op: Op, types: tuple[type, ...], dtypes: Iterable[DType] = ()) -> Callable:
        """Return what computes `op` eagerly on arguments of these types."""
        compute = self.compute(op, types, dtypes)
        return partial(_checked, self, compute, op.name) if op.name in ("take", "index_add") else compute

    def compute(self, op: Op, types: tuple[type, ...], dtypes: Iterable[DType] = ()) -> Callable:
        """Return what computes `op` on arguments of these types, without checks of their values.

        Only a caller that knows the `dtypes` at once names them; for others `recover` comes in.
        """
        implementation = self.on_host(op) if self.hosts(op, dtypes) else self.implementation(op)
        own = [t for t in types if t not in SCALARS and self.owns(t)]
        foreign = [t for t in types if t not in SCALARS and not self.owns(t)]
        if not own and not op.creates and types:
            return partial(_all_scalars, self, implementation)
        if len(own) < len(types) and op.sequence:
            implementation = partial(_alike, self, implementation)
        elif len(own) < len(types) and op.name in self.lifts:
            implementation = partial(_lifted, self, implementation)
        return (
            partial(_with_items, implementation, foreign) if foreign else implementation
        )  # another engine's scalars

    def hosts(self, op: Op, dtypes: Iterable[DType] = ()) -> bool:
        """Whether NumPy computes `op` for this engine, on arrays of these dtypes at least; see `Gap`."""
        dtypes = tuple(dtypes)
        return any(gap.when == "host" and gap.covers(op.name, dtypes) for gap in self.gaps)

    def supplies(self, op: Op) -> bool:
        """Whether `op` is computed here in some other way than by the body that it may have."""
        return op.body is None or op.name in self.overrides or self.hosts(op)

    def on_host(self, op: Op) -> Callable:
        """Return what computes `op` by NumPy on this engine's arrays."""
        return partial(_on_host, self, op)

    def recover(self, op: Op, error: Exception, args: tuple, attrs: dict) -> Any:
        """Compute on the host what the engine refused, if that is a declared gap of these dtypes."""
        found = [x for x in tree.leaves(args) if type(x) not in SCALARS]
        if not self.hosts(op, [as_dtype(x.dtype) for x in found]):
            raise error
        return self.compute(op, tuple(map(type, tree.leaves(args))), [as_dtype(x.dtype) for x in found])(
            *args, **attrs
        )

    def implementation(self, op: Op) -> Callable:
        """Return the override, the body, or the engine's function. Raises NotImplementedError for a gap."""
        if op.body is not None and op.name not in self.overrides:
            return op.body
        found = self._implementations.get(op.name)
        if found is None:
            found = self._implementations[op.name] = self._find(op)
        return found

    def _find(self, op: Op) -> Callable:
        for gap in self.gaps:
            if gap.op == op.name and gap.when == "eager" and gap.dtypes is None:
                raise NotImplementedError(f"{op.name} on {self}: {gap.reason}")
        if op.name in self.overrides:
            return partial(self.overrides[op.name], self)
        namespace = self.raw if op.name in self.plain else self.xp
        for home in ("", "linalg.", "fft."):  # the standard's extensions
            target = namespace
            for part in (home + self.renames.get(op.name, op.name)).split("."):
                target = getattr(target, part, None)
            if callable(target):
                return target
        raise NotImplementedError(f"{op.name} on {self}: the engine has no such function; write an @override")

    def jit(self, function: Callable, *, whole: bool = True) -> Callable:
        """Return `function`, compiled by the engine if it can.

        `whole`: that all of it is the engine's, with no loop, branch, or step that NumPy computes.
        """
        return function

    def jit_body(self, body: Callable) -> Callable:
        """Return the body of a loop or branch, compiled where that pays; it keeps `out_specs`."""
        return body

    def synchronize(self, x: Any = None) -> None:
        """Wait until what was asked for is computed."""

    @contextmanager
    def activated(self) -> Iterator[Backend]:
        """Let what has no array argument be computed here, within the context."""
        token = ACTIVE.set(self)
        try:
            yield self
        finally:
            ACTIVE.reset(token)

    # Its methods: the op table's names

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or (name not in TABLE and name not in ALIASES):
            raise AttributeError(f"{type(self).__name__} has no {name!r}, and there is no op of that name")
        op = op_named(name)
        method = partial(_create, self, op) if op.creates else op.function
        self.__dict__[name] = method
        return method

    def array(self, data: Any, dtype: Any = None) -> Any:
        """Return a new array of this engine from nested lists, numbers or any engine's array."""
        if isinstance(data, self.array_types) and not isinstance(data, self.scalar_types):
            return data if dtype is None else op_named("astype").function(data, dtype=as_dtype(dtype))
        return self.implementation(TABLE["asarray"])(
            data, dtype=dtype or self.dtype, device=self.device, like=None
        )

    tensor = array

    def to_numpy(self, x: Any) -> Any:
        """Return the values as a NumPy array, without a copy where the engine allows."""
        from ember_ml.backend.host import host_array

        return host_array(x)

    def set_seed(self, seed: int) -> None:
        """Start the process's stream of random keys anew."""
        keys.set_seed(seed)

    # Dtypes

    def native_dtype(self, dtype: Any) -> Any:
        """Return the engine's own object for a dtype. Raises TypeError for one that it does not have."""
        name = as_dtype(dtype)
        native = getattr(self.raw or self.xp, name, None)
        if native is None:
            raise TypeError(f"{self} has no dtype {name}")
        return native

    def supports(self, dtype: Any) -> bool:
        """Whether the engine has a dtype."""
        try:
            self.native_dtype(dtype)
        except TypeError:
            return False
        return True

    def dtypes(self) -> list[DType]:
        """Return the dtypes that the engine has."""
        return [d for d in DTYPES.values() if self.supports(d)]

    def place(self, dtype: Any, device: Any, like: Any) -> dict:
        """Return the keywords that tell this engine's creation functions of dtype and device."""
        return {"dtype": self.native_dtype(dtype)}

    # What every engine that follows the standard does alike

    @override
    def zeros(self, shape, dtype, device, like):
        return self.xp.zeros(shape, **self.place(dtype or Defaults.float, device, like))

    @override
    def ones(self, shape, dtype, device, like):
        return self.xp.ones(shape, **self.place(dtype or Defaults.float, device, like))

    @override
    def full(self, shape, fill_value, dtype, device, like):
        return self.xp.full(shape, fill_value, **self.place(dtype or type(fill_value), device, like))

    @override
    def eye(self, n_rows, n_cols, k, dtype, device, like):
        return self.xp.eye(
            n_rows, n_rows if n_cols is None else n_cols, k=k, **self.place(dtype or float, device, like)
        )

    @override
    def arange(self, start, stop, step, dtype, device, like):
        first, last = (0, start) if stop is None else (start, stop)
        kind = float if any(isinstance(n, float) for n in (first, last, step)) else int
        return self.xp.arange(first, last, step, **self.place(dtype or kind, device, like))

    @override
    def linspace(self, start, stop, num, endpoint, dtype, device, like):
        last = stop if endpoint or num == 0 else start + (stop - start) * (num - 1) / num
        return self.xp.linspace(start, last, num, **self.place(dtype or float, device, like))

    @override
    def asarray(self, obj, dtype, device, like):
        from ember_ml.backend.host import host_array_of

        return self.from_host(host_array_of(obj, dtype), device, like)

    def from_host(self, host: Any, device: Any, like: Any) -> Any:
        """Return a copy of a NumPy array as this engine's, dtype and all."""
        return self.xp.asarray(host, **self.place(host.dtype, device, like))

    @override
    def astype(self, x, dtype):
        return self.xp.astype(x, self.native_dtype(dtype))

    @override
    def getitem(self, x, index):
        return x[index]

    @override
    def take(self, x, indices, axis):
        return self.xp.take(x, indices, axis=axis)

    @override
    def einsum(self, *operands, subscripts):
        return self.xp.einsum(subscripts, *operands)

    @override
    def stop_gradient(self, x):
        return x

    @override
    def argsort(self, x, axis, descending):
        return self.xp.argsort(x, axis=axis, descending=descending, stable=True)

    @override
    def sort(self, x, axis, descending):
        return self.xp.sort(x, axis=axis, descending=descending)

    @override
    def flat_scan(self, *arrays, body, consts, carry, length, reverse):
        fixed, state, rows = arrays[:consts], arrays[consts : consts + carry], arrays[consts + carry :]
        columns: list[list] = [[] for _ in body.out_specs[carry:]]
        for i in reversed(range(length)) if reverse else range(length):
            out = body(*fixed, *state, *[x[i] for x in rows])
            state = out[:carry]
            for column, y in zip(columns, out[carry:], strict=True):
                column.append(y)
        return (
            *state,
            *(
                self._column(c, s, reverse, arrays)
                for c, s in zip(columns, body.out_specs[carry:], strict=True)
            ),
        )

    def _column(self, values: list, spec: Any, reverse: bool, arrays: tuple) -> Any:
        if not values:
            return self.zeros(shape=(0, *spec.shape), dtype=spec.dtype, like=arrays[0])
        return self.xp.stack(values[::-1] if reverse else values)

    @override
    def flat_cond(self, *arrays, branches):
        return branches[0 if bool(arrays[0]) else 1](*arrays[1:])


def _collect_overrides(cls: type[Backend]) -> None:
    own = {f.overrides_op: f for f in list(vars(cls).values()) if getattr(f, "overrides_op", None)}
    for name in own:
        delattr(cls, name)
    cls.overrides = {**cls.overrides, **own}


_collect_overrides(Backend)


def _on_host(backend: Backend, op: Op, *args: Any, **attrs: Any) -> Any:
    """Compute by NumPy: the arrays go over, without a copy where that can be, and the results come back."""
    from ember_ml.backend.host import host_engine

    like = next((x for x in (*tree.leaves(args), attrs.get("like")) if backend.owns(type(x))), None)
    engine = host_engine()

    def over(x: Any) -> Any:
        return backend.to_numpy(x) if backend.owns(type(x)) else x

    out = engine.implementation(op)(*tree.map(over, args), **{k: over(v) for k, v in attrs.items()})
    return tree.map(lambda x: backend.from_host(engine.to_numpy(x), None, like), out)


def _all_scalars(backend: Backend, implementation: Callable, *args: Any, **attrs: Any) -> Any:
    return implementation(*(None if a is None else backend.array(a) for a in args), **attrs)


def _with_items(implementation: Callable, foreign: list[type], *args: Any, **attrs: Any) -> Any:
    return implementation(*tree.map(lambda a: a.item() if type(a) in foreign else a, args), **attrs)


def _alike(backend: Backend, implementation: Callable, *args: Any, **attrs: Any) -> Any:
    """Compute with the Python numbers of a sequence made arrays that change no dtype more than need be."""
    like = next(a for a in tree.leaves(args) if type(a) not in SCALARS)
    own = as_dtype(like.dtype)

    def array(a: Any) -> Any:
        return (
            op_named("full").function((), a, dtype=promote(own, type(a)), like=like)
            if type(a) in SCALARS
            else a
        )

    return implementation(*tree.map(array, args), **attrs)


def _lifted(backend: Backend, implementation: Callable, *args: Any, **attrs: Any) -> Any:
    like = next(a for a in args if type(a) not in SCALARS)
    return implementation(*(backend.lift(a, like) if type(a) in SCALARS else a for a in args), **attrs)


def _checked(
    backend: Backend, compute: Callable, name: str, x: Any, indices: Any, *rest: Any, axis: int = 0
) -> Any:
    """Compute after looking at the indices, since engines differ in what they do with a wrong one."""
    size = x.shape[axis] if -x.ndim <= axis < x.ndim else 0
    found = backend.extremes(indices) if size and type(indices) not in SCALARS else None
    if found is not None and not -size <= found[0] <= found[1] < size:
        bad = found[0] if found[0] < -size else found[1]
        fault = IndexError(f"{name}: index {bad} is out of bounds for axis {axis} with size {size}")
        fault.op = name  # pyright: ignore[reportAttributeAccessIssue]
        raise fault
    return compute(x, indices, *rest, axis=axis)


def _create(backend: Backend, op: Op, *args: Any, **settings: Any) -> Any:
    if (
        len(args) > 1
        and "shape" in op.define.__code__.co_varnames[:1]
        and all(isinstance(n, int) for n in args)
    ):
        args = (args,)  # zeros(3, 4) as well as zeros((3, 4))
    if backend.dtype is not None and "dtype" in (op.define.__kwdefaults__ or ()):
        settings.setdefault("dtype", backend.dtype)
    with backend.activated():
        return op.function(*args, **settings)


def __getattr__(name: str) -> Any:
    """Hand on what chooses a backend: the original has it in this module."""
    if name in ("auto_select_backend", "get_backend", "register_backend", "set_backend"):
        from ember_ml.backend import selection

        return getattr(selection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
