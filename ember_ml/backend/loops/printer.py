"""A graph printed as one function of plain loops, for Numba to compile (extra `speed`), and for people.

Elementwise steps and reductions share nests (`schedule`), views cost nothing (`places`), matrix
products are BLAS's (`products`), a scan is a loop around its body (`steps`). Intermediate values
lie in one work array for each dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ember_ml.backend.loops.nests import Nest, along, filled
from ember_ml.backend.loops.places import Local, Place, row_strides
from ember_ml.backend.loops.schedule import (
    JOINING,
    PERMUTING,
    Schedule,
    Unit,
    axes_order,
    part_indices,
    reduced_axes,
    without_ones,
)
from ember_ml.backend.loops.table import DTYPES, REDUCTIONS, WHOLE, Unsayable, cast, element, literal
from ember_ml.core.dtypes import DType, as_dtype
from ember_ml.core.graph import Graph, Step, Var
from ember_ml.core.rules import as_axes
from ember_ml.core.spec import Spec, spec_of

Value = Place | Local


class Text:
    """The text so far, and what it needs: work arrays by dtype, and constant arrays."""

    def __init__(self, writers: Mapping[str, Callable[[Printer, Step], None]]):
        self.writers = writers  # of steps that are no elementwise loops, by their ops
        self.lines: list[str] = []
        self.work: dict[str, int] = {}
        self.free: dict[str, list[tuple[int, int]]] = {}  # the parts of work arrays that are free again
        self.constants: list[np.ndarray] = []
        self.products: set[str] = set()  # the dtypes of which there are matrix products
        self.depth = 1
        self.names = 0

    def add(self, *lines: str) -> None:
        """Write lines at the depth where the text stands."""
        self.lines += ["    " * self.depth + line for line in lines]

    def name(self, letter: str) -> str:
        """Return a name that nothing has."""
        self.names += 1
        return f"{letter}{self.names}"

    def room(self, shape: Sequence[int], dtype: DType) -> Place:
        """Return a place of a work array that nothing has."""
        size = _rounded(math.prod(shape))
        free = self.free.setdefault(dtype, [])
        fitting = [(length, start) for start, length in free if length >= size]
        if fitting:
            length, start = min(fitting)
            free.remove((start, length))
            if length > size:
                free.append((start + size, length - size))
        else:
            start = self.work.get(dtype, 0)
            self.work[dtype] = start + size
        return Place(f"work_{dtype}", tuple(shape), row_strides(shape), start)

    def release(self, place: Place) -> None:
        """Take back what `room` gave."""
        start, end = place.start, place.start + _rounded(place.size)
        free = self.free[place.buffer.removeprefix("work_")]
        for other in list(free):
            if other[0] == end or sum(other) == start:
                free.remove(other)
                start, end = min(start, other[0]), max(end, sum(other))
        free.append((start, end - start))

    def constant(self, array: Any) -> Place:
        """Return the place of an array that the program holds."""
        host = np.require(array, requirements=["C", "A", "W"])
        if as_dtype(host.dtype) not in DTYPES or not host.size:
            raise Unsayable(f"an array of {host.dtype} {host.shape}")
        known = next((i for i, c in enumerate(self.constants) if c is array), len(self.constants))
        if known == len(self.constants):
            self.constants.append(array if array is host else host)
        return Place(f"c{known}", host.shape, row_strides(host.shape))


def _rounded(size: int) -> int:
    return -(-size // 16) * 16  # so that rows begin where vectors do


class Printer:
    """Prints one graph into a program. `values` are where its inputs lie, `wanted` where results should."""

    def __init__(self, program: Text, graph: Graph, values: dict[Var, Value], wanted: dict[Var, Place]):
        self.program, self.graph, self.values = program, graph, values
        self.schedule = Schedule(graph)
        self.letter = program.name("v") + "_" if program.names else "v"
        self.wanted: dict[Var, Callable[[], Place | None]] = {}
        self.owned: dict[Var, Place] = {}  # room that is free again when nothing reads the value any more
        self.copies: list[Place] = []  # room that is free again after this step
        for var, place in wanted.items():
            self._want(var, lambda place=place: place)
        for step in graph.steps:
            if step.op.name in JOINING:
                self._want_parts(step)

    def write(self) -> None:
        """Write the steps."""
        for number, unit in enumerate(self.schedule.units):
            if unit.shape is not None:
                self._nest(unit, number)
            else:
                self._single(unit.steps[0])
            ended = [self.owned.pop(v) for v in self.schedule.ended[number] if v in self.owned]
            for place in (*ended, *self.copies):
                self.program.release(place)
            self.copies.clear()

    def _single(self, step: Step) -> None:
        write = self.program.writers.get(step.op.name)
        if write is None:
            raise Unsayable(f"the op {step.op.name}")
        self.say(step)
        write(self, step)

    def say(self, step: Step) -> None:
        """Write a step as a comment."""
        made = "; ".join(f"{self.letter}{v.index}: {v.spec}" for v in step.outs)
        self.program.add(f"# {step.op.name} -> {made}")

    # Where values are

    def value(self, x: Any) -> Value:
        """Return where a variable or an array lies; prints a copy for a reshaped view that takes one."""
        if type(x) is not Var:
            return self.program.constant(x)
        if x not in self.values:
            step = self.schedule.makers[x]
            assert step.op.creates or step.op.is_view, f"{step.op.name} is read before it is printed"
            self.values[x] = self._created(step) if step.op.creates else self._viewed(step)
        return self.values[x]

    def place(self, x: Any) -> Place:
        """Return where an argument lies in memory, and put it there if it does not."""
        if type(x) in (bool, int, float):
            raise Unsayable(f"the number {x} as an array")
        value = self.value(x)
        if isinstance(value, Place):
            return value
        self.values[x] = room = self.program.room(x.spec.shape, x.spec.dtype)
        self.fill(room, value.text)
        return room

    def room(self, var: Var) -> Place:
        """Return the place for a new value, where it is wanted if somewhere."""
        place = self.wanted[var]() if var in self.wanted else None
        if place is None:
            place = self.owned[var] = self.program.room(var.spec.shape, var.spec.dtype)
        self.values[var] = place
        return place

    def scratch(self, shape: Sequence[int], dtype: DType) -> Place:
        """Return a place for what is read in this step alone."""
        self.copies.append(self.program.room(shape, dtype))
        return self.copies[-1]

    def fill(self, place: Place, text: str) -> None:
        """Print the loops that write one number all over a place."""
        self.program.add(*filled(place, lambda nest: text, ()))

    def copy(self, value: Value, place: Place, dtype: DType, source: DType) -> None:
        """Print the loops that write a value, broadcast and cast, into a place."""
        if isinstance(value, Local):
            self.fill(place, cast(value.text, source, dtype))
            return
        seen = value.stretched(place.shape)
        lines = filled(
            place, lambda nest: cast(nest.element(along(seen, place.shape)), source, dtype), [seen]
        )
        self.program.add(*lines)

    def dense(self, place: Place, dtype: DType, *, lasting: bool = False) -> Place:
        """Return a copy of a value row by row without gaps, for this step alone unless it is `lasting`."""
        room = (self.program.room if lasting else self.scratch)(place.shape, dtype)
        self.copy(place, room, dtype, dtype)
        return room

    def _created(self, step: Step) -> Value:
        var = step.outs[0]
        if step.op.name in ("zeros", "ones", "full"):
            number = step.attrs.get("fill_value", int(step.op.name == "ones"))
            return Local(literal(number, var.spec.dtype))
        made = step.op.apply(*step.args, **{**step.attrs, "like": np.zeros(())})
        return self.program.constant(np.asarray(made, dtype=var.spec.dtype))

    def _viewed(self, step: Step) -> Value:
        value, name, attrs = self.value(step.args[0]), step.op.name, step.attrs
        shape, ndim = step.outs[0].spec.shape, len(step.args[0].spec.shape)
        if isinstance(value, Local) or name == "stop_gradient":
            return value
        if name in PERMUTING:
            return value.permuted(axes_order(step))
        if name == "broadcast_to":
            return value.stretched(shape)
        if name == "getitem":
            return value.indexed(attrs["index"])
        if name == "flip":
            return value.flipped(as_axes(attrs["axis"], ndim))
        if name != "reshape":
            raise Unsayable(name)
        seen = value.reshaped(shape)
        if seen is None:
            self.say(step)
            seen = self.dense(value, step.outs[0].spec.dtype, lasting=True).reshaped(shape)
        assert seen is not None  # a dense value has every shape
        return seen

    def _want(self, var: Any, find: Callable[[], Place | None]) -> None:
        """Let what `var` is a view of be written such that `var` comes to lie where `find` says."""
        chain = []
        while (step := self.schedule.makers.get(var)) is not None and step.op.is_view:
            if step.op.name not in {*PERMUTING, "reshape", "stop_gradient"}:
                return
            chain.append(step)
            var = step.args[0]
        if var not in self.schedule.homes or var in self.wanted:
            return

        def found() -> Place | None:
            place = find()
            for step in chain:
                if place is not None:
                    place = _undone(step, place)
            return place

        self.wanted[var] = found

    def _want_parts(self, step: Step) -> None:
        def part(index: tuple) -> Place:
            out = step.outs[0]
            whole = self.values[out] if out in self.values else self.room(out)
            assert isinstance(whole, Place)
            return whole.indexed(index)

        for x, index in zip(step.args[0], part_indices(step), strict=True):
            if type(x) is Var and x.spec.dtype == step.outs[0].spec.dtype:
                self._want(x, lambda index=index: part(index))

    # Nests

    def _reads(self, unit: Unit, number: int) -> tuple[dict, dict]:
        """Return what a nest reads from memory, by argument and shape, and the names of single numbers."""
        reads, values = {}, {}
        for step in unit.steps:
            wide = step.args[0].spec.shape if step.op.name in REDUCTIONS else step.outs[0].spec.shape
            for a in step.args:
                if type(a) in (bool, int, float):
                    continue
                if (inner := self.schedule.within(a, number)) is not None:
                    values[a] = self.letter + str(inner.index)
                elif isinstance(value := self.value(a), Local):
                    values[_key(a)] = value.text
                else:
                    reads[_key(a), wide] = along(value, wide)
        return reads, values

    def _nest(self, unit: Unit, number: int) -> None:
        reads, values = self._reads(unit, number)
        reductions = [s for s in unit.steps if s.op.name in REDUCTIONS]
        axes = {s: frozenset(reduced_axes(s)) for s in reductions}
        writes = {
            v: along(self.room(v), v.spec.shape)
            for s in unit.steps
            if s not in axes
            for v in s.outs
            if v in self.schedule.stored and (unit.shape or v in self.wanted)
        }
        totals = {s: self._total(s, unit.shape or (), axes[s]) for s in reductions}
        held = [*reads.values(), *writes.values(), *(p for p in totals.values() if p is not None)]
        nest = Nest(unit.shape or (), held, list(axes.values()))
        for (name, wide), place in reads.items():
            values[name, wide] = local = self.program.name("x")
            nest.before[nest.depth(place)].append(f"{local} = {nest.element(place)}")
        nest.body, nest.before[-1] = nest.before[-1], []  # totals of single elements begin before these
        for step in unit.steps:
            if step in axes:
                self._reduce(nest, step, values, totals[step], axes[step])
                continue
            var = step.outs[0]
            nest.body.append(f"{self.letter}{var.index} = {self._element(step, values)}")
            if var in writes:
                nest.body.append(f"{nest.element(writes[var])} = {self.letter}{var.index}")
            elif not unit.shape:
                self.values[var] = Local(f"{self.letter}{var.index}")
        self.program.add(*nest.lines())

    def _element(self, step: Step, values: dict) -> str:
        wide, result = step.outs[0].spec.shape, step.outs[0].spec.dtype
        arrays = [a for a in step.args if type(a) not in (bool, int, float)]
        chosen = arrays[1:] if step.op.name == "where" and arrays[0] is step.args[0] else arrays
        meeting = result if step.op.name == "where" or not chosen else dtype_of(chosen[0])
        given = []
        for a in step.args:
            if type(a) in (bool, int, float):
                given.append((literal(a, meeting), meeting))
            else:
                given.append((_found(values, a, wide), dtype_of(a)))
        return element(step.op.name, given, result)

    def _total(self, step: Step, shape: tuple[int, ...], axes: frozenset[int]) -> Place | None:
        """Return where a reduction goes, with the axes of its nest; None for a single number."""
        var = step.outs[0]
        if without_ones(var.spec.shape) == ():
            return None
        place = along(self.room(var), var.spec.shape)
        kept = iter(place.strides)
        strides = tuple(0 if a in axes else next(kept) for a in range(len(shape)))
        return Place(place.buffer, shape, strides, place.start, place.turns)

    def _reduce(
        self, nest: Nest, step: Step, values: dict, total: Place | None, axes: frozenset[int]
    ) -> None:
        x, var = step.args[0], step.outs[0]
        rule = REDUCTIONS[step.op.name]
        first = rule.first(var.spec.dtype)
        given = cast(_found(values, x, x.spec.shape), x.spec.dtype, var.spec.dtype)
        kept = nest.suffix(axes)
        if kept is None:
            assert total is not None  # without an axis left, every loop is innermost
            self.fill(self.values[var], first)  # pyright: ignore[reportArgumentType]
            so_far = nest.element(total)
        else:
            so_far = self.letter + str(var.index)
            nest.before[kept].append(f"{so_far} = {first}")
            if total is None:
                self.values[var] = Local(so_far)
            else:
                nest.after[kept].append(f"{nest.element(total)} = {so_far}")
        text = rule.following.format(so_far, given)
        text = f"np.{var.spec.dtype}({text})" if var.spec.dtype in WHOLE else text
        nest.body.append(f"{so_far} = {text}")

    # For the writers of single steps

    def open_loop(self, times: str, turn: str) -> None:
        """Begin a loop over time; who opened it takes one off the program's depth at its end."""
        self.program.add(f"for {turn} in {times}:")
        self.program.depth += 1

    def number_or_value(self, x: Any, dtype: DType) -> Value:
        """Return a Python number in a dtype, or where anything else lies."""
        return Local(literal(x, dtype)) if type(x) in (bool, int, float) else self.value(x)

    def deliver(self, results: Sequence, places: Sequence[Place], made: Sequence[Var]) -> None:
        """Print what brings results to their places, as `made`; those that lie in such a place go first."""
        pairs: list[tuple[Value, Place, DType]] = []
        for x, place, var in zip(results, places, made, strict=True):
            value, dtype = self.number_or_value(x, dtype_of(var)), dtype_of(var)
            if value == place:
                continue
            if isinstance(value, Place) and any(value.starts_in(p) for p in places):
                value = self.dense(value, dtype)
            pairs.append((value, place, dtype))
        for value, place, dtype in pairs:
            self.copy(value, place, dtype, dtype)


def _key(x: Any) -> Any:
    return x if type(x) is Var else id(x)


def _found(values: dict, x: Any, wide: tuple[int, ...]) -> str:
    key = _key(x)
    return values[key] if key in values else values[key, wide]


def spec_of_argument(x: Any) -> Spec:
    """Return the spec of a variable or an array."""
    return x.spec if type(x) is Var else spec_of(x)


def dtype_of(x: Any) -> DType:
    """Return the dtype of a variable or an array."""
    return spec_of_argument(x).dtype


def _undone(step: Step, place: Place) -> Place | None:
    """Return where the argument of a view lies when the view lies at `place`."""
    shape = step.args[0].spec.shape
    if step.op.name == "reshape":
        return place.reshaped(shape)
    if step.op.name == "stop_gradient":
        return place
    return place.permuted(sorted(range(len(shape)), key=axes_order(step).__getitem__))
