"""What every engine that follows the Array API standard computes alike, under the op table's signatures.

An engine's own file overrides what it does in another way.
"""

# pyright: reportAttributeAccessIssue=false
# It is a part of Backend, where the rest of `self` stands.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ember_ml.core import as_dtype, op_named
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import DTYPES, Defaults
from ember_ml.core.rules import axis_or_only, steps
from ember_ml.core.transforms import transformed


def override(function: Callable) -> Callable:
    """Mark a method as the engine's own implementation of the op of the same name."""
    function.overrides_op = function.__name__  # pyright: ignore[reportFunctionMemberAccess]
    return function


def collect_overrides(cls: type) -> None:
    """Gather the marked methods and the `functions` of a class in its `overrides`, beside those inherited."""
    own = {f.overrides_op: f for f in list(vars(cls).values()) if getattr(f, "overrides_op", None)}
    for name in own:
        delattr(cls, name)
    cls.overrides = {**cls.overrides, **vars(cls).get("functions", {}), **own}  # pyright: ignore[reportAttributeAccessIssue]


_WIDE = {"bool": "int64", "int": "int64", "uint": "uint64"}  # the rule `accumulated`, ten times as quick


class Standard:
    """The ops that need a word of translation on every engine, and no more."""

    functions: ClassVar[dict[str, Callable]] = {}  # the engine's own that compute ops as they are, by op
    overrides: ClassVar[dict[str, Callable]] = {}
    translations: ClassVar[frozenset[Callable]] = frozenset()  # those that call the engine's own function

    @override
    def zeros(self, shape, dtype, device, like):
        return self.xp.zeros(shape, **self.place(dtype or Defaults.float, device, like))

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
        first, step, count = steps(start, stop, step)
        kind = float if any(isinstance(n, float) for n in (start, stop, step)) else int
        placed = self.place(dtype or kind, device, like)
        if all(isinstance(n, int) for n in (first, step)) and as_dtype(placed["dtype"]).kind != "float":
            return self.xp.arange(first, first + count * step, step, **placed)
        made = self.xp.arange(count, **placed) * step + first  # engines count steps each in their own way
        return self.astype(made, dtype=dtype or kind)

    @override
    def linspace(self, start, stop, num, endpoint, dtype, device, like):
        last = stop if endpoint or num == 0 else start + (stop - start) * (num - 1) / num
        kind = complex if any(isinstance(end, complex) for end in (start, stop)) else float
        return self.xp.linspace(start, last, num, **self.place(dtype or kind, device, like))

    @override
    def asarray(self, obj, dtype, device, copy, like):
        from ember_ml.backend.host import host_array_of

        owned = self.owns(type(obj)) and not isinstance(obj, self.scalar_types)
        kept = owned and not copy and device in (None, self.device_of(obj))
        if kept and (dtype is None or as_dtype(dtype) == as_dtype(obj.dtype)):
            return obj
        if copy is False:
            raise ValueError("copy=False, but what is given becomes this array only by a copy")
        if (source := self.source_of(obj)) is not None:
            made = self.receive(obj, source, copy=True)
            made = made if dtype is None else self.cast_to(made, as_dtype(dtype))
            return made if device is None else self.to_device(made, device)
        if str(as_dtype(dtype or getattr(obj, "dtype", float))) != "bfloat16":
            return self.from_host(host_array_of(obj, dtype), device, like)
        return self.astype(self.from_host(host_array_of(obj, "float32"), device, like), dtype="bfloat16")

    def from_host(self, host: Any, device: Any, like: Any) -> Any:
        """Return a copy of a NumPy array as this engine's, dtype and all."""
        return self.xp.asarray(host, **self.place(host.dtype, device, like))

    @override
    def astype(self, x, dtype):
        return self.xp.astype(x, self.native_dtype(dtype))

    @override
    def floor_divide(self, x1, x2):
        namespace = self.namespace
        out = namespace.floor_divide(x1, x2)
        if as_dtype(out.dtype).kind != "float":
            return out
        quotient = x1 / x2  # the standard takes its floor at infinities; engines follow Python's own `//`
        return namespace.where(
            namespace.isnan(out) | (out == 0) | (quotient == 0), namespace.floor(quotient), out
        )

    @override
    def remainder(self, x1, x2):
        return self.with_sign_of(x2, self.namespace.remainder(x1, x2))

    def with_sign_of(self, x2: Any, out: Any) -> Any:
        """Return a remainder with the sign of the divisor, zeros too, which engines leave as they come."""
        if as_dtype(out.dtype).kind != "float":
            return out
        namespace = self.namespace
        size = namespace.abs(out)
        if type(x2) in SCALARS:
            return -size if x2 < 0 else size
        return namespace.where(x2 < 0, -size, size)

    @override
    def getitem(self, x, index):
        return x[index]

    @override
    def take(self, x, indices, axis):
        return self.xp.take(x, indices, axis=axis_or_only(x, axis))

    @override
    def einsum(self, *operands, subscripts):
        return self.xp.einsum(subscripts, *operands)

    @override
    def fftn(self, x, s, axes, norm):
        return self.transform("fftn", x, s, axes, norm)

    @override
    def ifftn(self, x, s, axes, norm):
        return self.transform("ifftn", x, s, axes, norm)

    @override
    def rfftn(self, x, s, axes, norm):
        return self.transform("rfftn", x, s, axes, norm)

    @override
    def irfftn(self, x, s, axes, norm):
        return self.transform("irfftn", x, s, axes, norm)

    def transform(self, name: str, x: Any, s: Any, axes: Any, norm: str, out: Any = None) -> Any:
        """Compute a Fourier transform by its name, perhaps into `out`; sizes and axes are the op's."""
        sizes, over = transformed(x.shape, s, axes, halved=name == "irfftn")
        return getattr(self.xp.fft, name)(x, s=sizes, axes=over, norm=norm)

    def prepare_transform(self, name: str, dtype: str, shape: Any, axes: Any) -> None:
        """Get ready for many transforms of points in this shape."""

    @override
    def stop_gradient(self, x):
        return x

    @override
    def argsort(self, x, axis, descending, stable):
        order = self.xp.argsort(self.mirrored(x) if descending else x, axis=axis, stable=True)
        return self.cast_to(order, DTYPES["int64"])

    @override
    def sort(self, x, axis, descending, stable):
        ordered = self.xp.sort(self.mirrored(x) if descending else x, axis=axis)
        return self.mirrored(ordered) if descending else ordered

    def mirrored(self, x: Any) -> Any:
        """Return numbers in the opposite order, each its mirror's own: NaNs stay last, no integer wraps."""
        op = "negative" if as_dtype(x.dtype).kind == "float" else "bitwise_invert"
        return self.implementation(op_named(op))(x)

    @override
    def sum(self, x, axis, keepdims, dtype):
        return self.total(self.xp.sum, x, dtype, axis=axis, keepdims=keepdims)

    @override
    def prod(self, x, axis, keepdims, dtype):
        return self.total(self.xp.prod, x, dtype, axis=axis, keepdims=keepdims)

    @override
    def cumulative_sum(self, x, axis, dtype, include_initial):
        return self.total(self.xp.cumulative_sum, x, dtype, axis=axis, include_initial=include_initial)

    @override
    def cumulative_prod(self, x, axis, dtype, include_initial):
        return self.total(self.xp.cumulative_prod, x, dtype, axis=axis, include_initial=include_initial)

    def total(self, run: Callable, x: Any, dtype: Any, **settings: Any) -> Any:
        """Return a sum or product by the engine's function, in the dtype of the rule."""
        return run(x, dtype=self.total_dtype(x, dtype), **settings)

    def total_dtype(self, x: Any, dtype: Any) -> Any:
        """Return the engine's dtype in which x is added up, None for x's own; `dtype`: what is asked for."""
        wide = _WIDE.get(as_dtype(x.dtype).kind) if dtype is None else dtype
        return None if wide is None else self.native_dtype(wide)

    @override
    def index_add(self, x, indices, updates, axis):
        return self.written("add", x, indices, updates, axis)

    @override
    def index_max(self, x, indices, updates, axis):
        return self.written("maximum", x, indices, updates, axis)

    @override
    def index_min(self, x, indices, updates, axis):
        return self.written("minimum", x, indices, updates, axis)

    def written(self, how: str, x: Any, indices: Any, updates: Any, axis: Any) -> Any:
        """Return a copy of x after a write along an axis: `how` is add, maximum or minimum."""
        raise NotImplementedError(f"{self} writes nothing at indices")

    @override
    def searchsorted(self, x1, x2, sorter, side):
        return self.cast_to(self.xp.searchsorted(x1, x2, side=side, sorter=sorter), DTYPES["int64"])

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

    @override
    def flat_while(self, *arrays, test, body, test_consts, consts):
        asked, rest = arrays[:test_consts], arrays[test_consts:]
        fixed, state = rest[:consts], rest[consts:]
        while bool(test(*asked, *state)[0]):
            state = body(*fixed, *state)
        return tuple(state)


collect_overrides(Standard)
_BY_THEMSELVES = {"asarray", "getitem", "stop_gradient", "flat_scan", "flat_cond", "flat_while"}
_BY_THEMSELVES |= {"index_add", "index_max", "index_min"}
Standard.translations = frozenset(f for op, f in Standard.overrides.items() if op not in _BY_THEMSELVES)


def each(setting: Any, count: int) -> tuple[int, ...]:
    """Return a setting of each of so many axes, given as one integer for all of them or as several."""
    return (setting,) * count if isinstance(setting, int) else tuple(setting)
