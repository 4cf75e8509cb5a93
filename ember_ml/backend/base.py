"""What a backend is: an engine's namespace, a few renames and overrides, and a list of gaps.

A backend says how an engine differs from the op table, and nothing else. An op is looked for among its
overrides, then (for a composite) in the op's body, then in the engine's namespace under the op's name or its
rename.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from ember_ml.backend import adapters
from ember_ml.backend.memory import host_memory
from ember_ml.backend.standard import Standard, collect_overrides
from ember_ml.backend.vocabulary import Vocabulary
from ember_ml.core import DType, Interpreter, Op, as_dtype, dispatch, keys, op_named, tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import DTYPES, promote
from ember_ml.core.op import fill_table

ACTIVE: ContextVar[Backend | None] = ContextVar("ember_ml_backend", default=None)  # set by `use_backend`
DEVICES: ContextVar[Mapping[str, str | None]] = ContextVar("ember_ml_device", default=MappingProxyType({}))


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


class Backend(Vocabulary, Standard, Interpreter):
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

    # Where it computes

    @property
    def device(self) -> str | None:
        """The device on which arrays are created; None: the engine's own choice."""
        return DEVICES.get().get(self.name, self._device)

    @device.setter
    def device(self, device: str | None) -> None:
        self._device = device
        self.settle(device)

    def settle(self, device: str | None) -> None:
        """Tell the engine of a new device, where it wants to know."""

    def devices(self) -> list[str]:
        """Return the kinds of device that answer, the best first."""
        return ["cpu"]

    def device_count(self) -> int:
        """Return how many devices of the best kind there are."""
        return 1

    def default_device(self) -> str:
        """Return the name of the device on which arrays are created."""
        return self.device or "cpu"

    def device_of(self, x: Any) -> str:
        """Return the name of the device that holds x."""
        return "cpu"

    def check_device(self, device: str) -> None:
        """Raise ValueError for a device that is not there; `cuda:1` names the second of a kind."""
        kind, _, number = device.partition(":")
        here = self.devices()
        count = self.device_count() if kind == here[0] else 1
        if kind not in here or (number and not (number.isdecimal() and int(number) < count)):
            raise ValueError(f"backend {self} has no device {device!r} here; it has {', '.join(here)}")

    def set_device(self, device: str | int) -> Any:
        """Let this backend create arrays on a device, by name or number; as a context, for its length."""
        from ember_ml.backend.device import Placed

        return Placed(self, device)

    def to_device(self, x: Any, device: str) -> Any:
        """Return an array of this engine on another of its devices, or itself if it is there."""
        self.check_device(device)
        here = self.device_of(x)
        return x if here in (device, f"{device}:0") else self.carry(x, device)

    def carry(self, x: Any, device: str) -> Any:
        """Return a copy of an array on another device of this engine."""
        return self.from_host(self.to_numpy(x), device, None)

    def memory_info(self, device: str | None = None) -> dict[str, int]:
        """Return the bytes of a device's memory: `total`, `available`, and `used` by this process."""
        return host_memory()

    def get_available_memory(self) -> int:
        """Return the bytes of memory that are free where this backend creates arrays."""
        return self.memory_info(self.device)["available"]

    def free_cache(self) -> None:
        """Give back memory that the engine keeps for later use."""

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

    def phrase(self, step: Any) -> Any:
        """Return the words for a step of a program, see `phrases`; None to have it called as bound."""
        return None

    @property
    def programs(self) -> bool:
        """Whether this backend tries to compile graphs in a way of its own, by `program`."""
        return False

    def program(self, graph: Any) -> tuple[Callable, str] | None:
        """Return a graph compiled in that way, and its text; None to have it printed."""
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

    # How arrays come and go

    def to_numpy(self, x: Any) -> Any:
        """Return the values as a NumPy array, without a copy where the engine allows."""
        from ember_ml.backend.host import host_array

        return host_array(x)

    def values_of(self, x: Any) -> Any:
        """Return the values as a NumPy array; None where there are none yet."""
        return self.to_numpy(x)

    def lifts(self, op: Op) -> bool:
        """Whether Python numbers among the arguments of `op` must be made arrays first, by `lift`."""
        return op.sequence

    def lift(self, number: Any, like: Any) -> Any:
        """Return a Python number as an array that changes the dtype of `like` no more than need be."""
        dtype = promote(as_dtype(like.dtype), type(number))
        return op_named("full").function((), number, dtype=dtype, like=like)

    def write(self, x: Any, values: Any) -> None:
        """Set the values of x in place; only where arrays are `mutable`."""
        x[...] = values

    def cast_to(self, x: Any, dtype: DType) -> Any:
        """Return an array of this engine in another dtype."""
        return x if as_dtype(x.dtype) == dtype else op_named("astype").function(x, dtype=dtype)

    def receive(self, x: Any, source: Backend, copy: bool | None = None) -> Any:
        """Return an array of another engine as one of this engine, with its dtype.

        Memory is shared with `copy=False`, which raises ValueError where that cannot be; by default where
        it can be and nothing that does not change would change by it. Raises TypeError for a lacking dtype.
        """
        dtype = as_dtype(x.dtype)
        self.native_dtype(dtype)
        alone = copy or isinstance(x, source.scalar_types)
        shared = None if alone else self.share(x, source, asked=copy is False)
        if shared is None and copy is False:
            raise ValueError(f"to_backend: from {source} to {self} this array goes by a copy alone")
        made = self._copied(x, source, dtype) if shared is None else shared
        if as_dtype(made.dtype) != dtype:  # JAX outside of its 64-bit mode has no int64
            raise TypeError(f"to_backend: {self} has no dtype {dtype} here; first cast: x.astype('float32')")
        return made

    def share(self, x: Any, source: Backend, *, asked: bool) -> Any:
        """Return another engine's array in the same memory; None where that cannot be.

        Unless `asked`, also where values that do not change could then change.
        """
        return None

    def _copied(self, x: Any, source: Backend, dtype: DType) -> Any:
        crosses = as_dtype("float32") if dtype == "bfloat16" else dtype  # NumPy has no bfloat16
        made = self.from_host(source.to_numpy(source.cast_to(x, crosses)), None, None)
        return made if crosses == dtype else self.cast_to(made, dtype)

    # Dtypes

    def native_dtype(self, dtype: Any) -> Any:
        """Return the engine's own object for a dtype. Raises TypeError for one that it does not have."""
        name = as_dtype(dtype)
        native = getattr(self.namespace, name, None)
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


def __getattr__(name: str) -> Any:
    """Hand on what chooses a backend: the original has it in this module."""
    if name in ("auto_select_backend", "get_backend", "register_backend", "set_backend"):
        from ember_ml.backend import selection

        return getattr(selection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
