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

from ember_ml.backend import adapters
from ember_ml.backend.arrays import Arrays
from ember_ml.backend.standard import Standard, collect_overrides
from ember_ml.backend.vocabulary import Vocabulary
from ember_ml.core import DType, Interpreter, Op, as_dtype, dispatch, keys, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.op import fill_table

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

    @property
    def extent(self) -> str:
        """Where it is met, in a few words: `eager, float64` or `computed by NumPy, every dtype`."""
        kind = "computed by NumPy" if self.when == "host" else self.when
        dtypes = ", ".join(self.dtypes) if self.dtypes else "every dtype"
        return f"{kind}, {dtypes}" + ("" if self.tolerance is None else f", to {self.tolerance:g}")

    def covers(self, op: str, dtypes: Iterable[str]) -> bool:
        """Whether it concerns an op on arrays of these dtypes."""
        return self.op in (op, "*") and (self.dtypes is None or any(d in self.dtypes for d in dtypes))


class Program(NamedTuple):
    """A graph compiled in an engine's own way."""

    run: Callable
    source: str
    checks_arguments: bool = False  # whether it looks at its arguments itself, and raises Misfit


class Backend(Vocabulary, Standard, Arrays, Interpreter):
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
    most_dimensions: ClassVar[int] = 64  # how many axes an array may have: NumPy, where it is read, sets it
    mended: ClassVar[frozenset[str]] = frozenset()  # ops that NumPy computes at corners of the complex plane
    gaps: ClassVar[tuple[Gap, ...]] = ()
    compiles: ClassVar[bool] = False  # whether `jit` hands programs to a compiler of the engine's own
    rewrites: ClassVar[dict[str, Callable]] = {}  # what the engine computes quicker in other ops, as rules

    def __init_subclass__(cls) -> None:
        collect_overrides(cls)

    def __init__(
        self,
        dtype: Any = None,
        device: str | None = None,
        randomness_seed: int | None = None,
        enable_optimizations: bool = False,
    ):
        self.dtype = None if dtype is None else as_dtype(dtype)
        if device is not None:
            self.check_device(device)
        self.device = device
        self.enable_optimizations = enable_optimizations
        self.stream = None if randomness_seed is None else keys.Stream(randomness_seed)
        self._implementations: dict[str, Callable] = {}
        fill_table()

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

    def __reduce__(self) -> tuple:
        from ember_ml.backend.selection import restored

        settings = {"dtype": self.dtype, "device": self._device}
        settings["enable_optimizations"] = self.enable_optimizations
        return restored, (self.name, settings, self.stream and (self.stream.seed, self.stream.taken))

    @property
    def namespace(self) -> Any:
        """The engine's own array namespace, such as `numpy` or `jax.numpy`."""
        return self.raw or self.xp

    def source_of(self, x: Any) -> Backend | None:
        """Return the other backend whose array x is; None for its own, for scalars and for what is none."""
        owner = dispatch.owner(x)
        if not isinstance(owner, Backend) or self.owns(type(x)) or isinstance(x, owner.scalar_types):
            return None
        return owner

    def owns(self, type_: type) -> bool:
        """Whether arrays of `type_` are this engine's."""
        return issubclass(type_, self.array_types)

    @classmethod
    def met(cls) -> Backend:
        """Return an instance for arrays that came along, without a choice of this engine."""
        return cls()

    def chosen(self) -> None:
        """Do what a choice of this engine asks for, and a meeting with its arrays does not."""

    def works(self) -> bool:
        """Whether it can compute here and now, not only be imported."""
        return True

    # How it computes

    def bind(self, op: Op, types: tuple[type, ...], dtypes: Iterable[DType] = ()) -> Callable:
        """Return what computes `op` eagerly on arguments of these types."""
        compute = self.compute(op, types, dtypes)
        if op.name in self.mended and any(d.kind == "complex" for d in dtypes):
            from ember_ml.backend.corners import mended

            return partial(mended, self, op, compute)
        return compute if op.places is None else partial(adapters.checked, self, op, compute)

    def compute(self, op: Op, types: tuple[type, ...], dtypes: Iterable[DType] = ()) -> Callable:
        """Return what computes `op` on arguments of these types, without checks of their values.

        Only a caller that knows the `dtypes` at once names them; for others `recover` comes in.
        """
        implementation = self.on_host(op) if self.hosts(op, dtypes) else self.implementation(op)
        if any(gap.op == op.name and gap.when == "eager" and gap.dtypes for gap in self.gaps):
            implementation = partial(adapters.refused, self, op, implementation)
        own = [t for t in types if t not in SCALARS and self.owns(t)]
        foreign = [t for t in types if t not in SCALARS and not self.owns(t)]
        if not own and not op.creates and types:
            return partial(adapters.all_scalars, self, implementation)
        if len(own) < len(types) and self.lifts(op):
            implementation = partial(adapters.lifted, self, implementation)
        return partial(adapters.with_items, implementation, foreign) if foreign else implementation

    def check_places(self, op: Op, args: tuple, attrs: dict) -> None:
        """Raise IndexError for indices out of bounds, TypeError for none; see `places` of `Op`."""
        try:
            for places in op.places(*args, **attrs) if op.places is not None else ():
                if type(places.indices) in SCALARS:
                    places.check_number()
                elif as_dtype(places.indices.dtype).kind not in ("int", "uint"):
                    raise TypeError(f"indices must be integers, got {as_dtype(places.indices.dtype)}")
                elif (found := self.extremes(places.indices)) is not None:
                    places.check(*found)
        except (IndexError, TypeError, ValueError) as fault:
            raise dispatch.blamed(op.name, fault)  # noqa: B904 - it is the same error

    def extremes(self, indices: Any) -> tuple[int, int] | None:
        """Return the least and the greatest of an array; None when it is empty or has no values yet."""
        return (int(indices.min()), int(indices.max())) if indices.size else None

    def hosts(self, op: Op, dtypes: Iterable[DType] = ()) -> bool:
        """Whether NumPy computes `op` for this engine, on arrays of these dtypes at least; see `Gap`."""
        dtypes = tuple(dtypes)
        return any(gap.when == "host" and gap.covers(op.name, dtypes) for gap in self.gaps)

    def supplies(self, op: Op) -> bool:
        """Whether `op` is computed here in some other way than by the body that it may have."""
        return op.body is None or op.name in self.overrides or self.hosts(op)

    def refuse(self, op: str, dtypes: Iterable[str]) -> None:
        """Raise TypeError where a declared gap says that `op` is not computed on arrays of these dtypes."""
        for gap in self.gaps:
            if gap.when == "eager" and gap.covers(op, dtypes):
                raise TypeError(f"{op}: {gap.reason}")

    def on_host(self, op: Op) -> Callable:
        """Return what computes `op` by NumPy on this engine's arrays."""
        return partial(adapters.on_host, self, op)

    def recover(self, op: Op, error: Exception, args: tuple, attrs: dict) -> Any:
        """Compute on the host what the engine refused, if that is a declared gap of these dtypes."""
        types, dtypes = tuple(map(type, tree.leaves(args))), adapters.dtypes_of(args)
        if not self.hosts(op, dtypes):
            raise error
        return self.compute(op, types, dtypes)(*args, **attrs)

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
                raise adapters.Lacking(f"{op.name} on {self}: {gap.reason}")
        own, there = self.overrides.get(op.name), self._in_namespace(op)
        if own is not None and (there is not None or own not in Standard.translations):
            return partial(own, self) if getattr(own, "overrides_op", None) else own
        if there is not None:
            return there
        raise adapters.Lacking(f"{op.name} on {self}: the engine has no such function; write an @override")

    def _in_namespace(self, op: Op) -> Callable | None:
        for home in ("", "linalg.", "fft."):  # the standard's extensions
            target = self.raw if op.name in self.plain else self.xp
            for part in (home + self.renames.get(op.name, op.name)).split("."):
                target = getattr(target, part, None)
            if callable(target):
                return target
        return None

    def phrase(self, step: Any) -> Any:
        """Return the words for a step of a program, see `phrases`; None to have it called as bound."""
        return None

    @property
    def programs(self) -> bool:
        """Whether this backend tries to compile graphs in a way of its own, by `program`."""
        return False

    def program(self, graph: Any) -> Program | None:
        """Return a graph compiled in that way; None to have it printed."""
        return None

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


def __getattr__(name: str) -> Any:
    """Hand on what chooses a backend: the original has it in this module."""
    if name in ("auto_select_backend", "get_backend", "register_backend", "set_backend"):
        from ember_ml.backend import selection

        return getattr(selection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
