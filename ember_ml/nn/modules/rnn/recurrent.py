"""Recurrent layers: one scan over a cell, with real elapsed times.

A cell says what happens in one step, in two parts: `project(x, elapsed)` is what depends on the inputs alone,
done for all steps at once, outside the loop; `step(state, row)` is the rest.
"""

from __future__ import annotations

import math
from typing import Any

from ember_ml import ops
from ember_ml.core import tree
from ember_ml.core.dtypes import promote
from ember_ml.core.spec import spec_of
from ember_ml.nn.modules.module import Module
from ember_ml.nn.modules.wiring import FullyConnectedMap, NeuronMap


class Cell(Module):
    """One step of a recurrent network. A subclass defines its sizes, `project` and `step`."""

    input_size: int
    units: int
    output_size: int

    def project(self, x: Any, elapsed: Any) -> Any:
        """Return what a step needs of inputs x (..., batch, features): arrays with the same leading axes.

        `elapsed` is a number, or an array (..., batch, 1) in the dtype of x.
        """
        raise TypeError(f"{type(self).__name__} has no project method")

    def step(self, state: Any, row: Any) -> tuple[Any, Any]:
        """Return the new state (batch, units) and output (batch, output_size), from one row of `project`."""
        raise TypeError(f"{type(self).__name__} has no step method")

    def first_state(self, batch: int, like: Any) -> Any:
        """Return the state before the first step: zeros (batch, units)."""
        return ops.zeros((batch, self.units), dtype=like.dtype, like=like)

    def forward(self, x: Any, state: Any = None, elapsed: Any = 1.0) -> tuple[Any, Any]:
        """Take one step: x (batch, features), state (batch, units) -> output (batch, outputs), new state.

        `elapsed`, the time since the step before, is a number, (batch,) or (batch, 1).
        """
        name = type(self).__name__
        if len(x.shape) != 2:
            raise ValueError(f"{name}: expected inputs (batch, features), got shape {tuple(x.shape)}")
        x = self.prepared(x, name)
        state = self.first_state(x.shape[0], x) if state is None else _in_dtype(state, x.dtype)
        elapsed = checked_times(elapsed, name, x.dtype)
        if tuple(getattr(elapsed, "shape", ())) not in {(), (x.shape[0],), (x.shape[0], 1)}:
            raise ValueError(
                f"{name}: expected the time elapsed as a number, ({x.shape[0]},) or ({x.shape[0]}, 1), "
                f"got shape {tuple(elapsed.shape)}"
            )
        if getattr(elapsed, "shape", ()):
            elapsed = ops.reshape(elapsed, shape=(-1, 1))
        new, output = self.step(state, self.project(x, elapsed))
        return output, new

    def prepared(self, x: Any, name: str) -> Any:
        """Return inputs in the dtype in which they meet the parameters. ValueError for a wrong width."""
        if x.shape[-1] != self.input_size:
            wanted = f"{self.input_size} features in the last axis"
            raise ValueError(f"{name}: expected inputs of {wanted}, got shape {tuple(x.shape)}")
        dtype = promote(*(spec_of(each).dtype for each in (x, *self.parameters())))
        return _in_dtype(x, dtype)


class RecurrentLayer(Module):
    """A cell run along sequences.

    Shapes: inputs (batch, time, features), or (time, features) unbatched; elapsed times as a number, (batch,
    time) or (batch, time, 1), or (time,) where all sequences share them; the state (batch, units). Returns
    outputs (batch, time, output_size), or those of the step computed last alone, and with `return_state` the
    state after it.

    `go_backwards` starts at the end; every step keeps its own elapsed time, and outputs the order of the
    inputs.
    """

    cell: Cell
    is_given_cell: bool = False  # whether the cell came from outside, and not from a map
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    batch_first: bool

    def forward(
        self, inputs: Any, initial_state: Any = None, time_deltas: Any = None, *, timespans: Any = None
    ) -> Any:
        """Run the cell along sequences; `time_deltas` (`timespans`) is the time since the step before."""
        if time_deltas is not None and timespans is not None:
            raise ValueError(
                f"{type(self).__name__}: give time_deltas or timespans, which mean the same, not both"
            )
        x, unbatched = self._time_major(inputs)
        x = self.cell.prepared(x, type(self).__name__)
        elapsed = self._elapsed(time_deltas if timespans is None else timespans, x)
        if initial_state is None:
            state = self.cell.first_state(x.shape[1], x)
        else:
            state = tree.map(lambda s: self._state_in(s, x, unbatched), initial_state)
        last, outputs = ops.scan(
            self.cell.step, state, self.cell.project(x, elapsed), reverse=self.go_backwards
        )
        if self.return_sequences:
            result = outputs[:, 0] if unbatched else outputs
            if self.batch_first and not unbatched:
                result = ops.permute_dims(result, axes=(1, 0, 2))
        else:
            result = outputs[0 if self.go_backwards else -1]
            result = result[0] if unbatched else result
        if not self.return_state:
            return result
        return result, tree.map(lambda s: s[0], last) if unbatched else last

    def _time_major(self, inputs: Any) -> tuple[Any, bool]:
        shape = tuple(inputs.shape)
        name = type(self).__name__
        if len(shape) == 2:
            return ops.expand_dims(inputs, axis=1), True
        if len(shape) != 3:
            raise ValueError(
                f"{name}: expected inputs (batch, time, features) or (time, features), got shape {shape}"
            )
        return ops.permute_dims(inputs, axes=(1, 0, 2)) if self.batch_first else inputs, False

    def _state_in(self, state: Any, x: Any, unbatched: bool) -> Any:
        if unbatched and len(state.shape) == 1:
            state = ops.expand_dims(state, axis=0)
        wanted, got = (x.shape[1], self.cell.units), tuple(state.shape)
        if got != wanted:
            name = type(self).__name__
            raise ValueError(f"{name}: expected an initial state (batch, units) = {wanted}, got shape {got}")
        return _in_dtype(state, x.dtype)

    def _elapsed(self, times: Any, x: Any) -> Any:
        times = checked_times(1.0 if times is None else times, type(self).__name__, x.dtype)
        shape = tuple(getattr(times, "shape", ()))
        if not shape:
            return times
        steps, batch = x.shape[:2]
        if len(shape) == 3 and shape[-1] == 1:
            times, shape = ops.squeeze(times, axis=2), shape[:2]
        if shape == (steps,):
            return ops.broadcast_to(ops.reshape(times, shape=(steps, 1, 1)), shape=(steps, batch, 1))
        if shape != ((batch, steps) if self.batch_first else (steps, batch)):
            axes = f"(batch, time) = ({batch}, {steps})"
            axes = axes if self.batch_first else f"(time, batch) = ({steps}, {batch})"
            raise ValueError(
                f"{type(self).__name__}: expected elapsed times as a number, as {axes}, the same with a last "
                f"axis of 1, or as (time,), got shape {tuple(times.shape)}"
            )
        times = ops.matrix_transpose(times) if self.batch_first else times
        return ops.expand_dims(times, axis=2)


def checked_times(times: Any, name: str, dtype: Any) -> Any:
    """Return elapsed times as a number, or as an array in a dtype. Refuses lists and numbers not finite."""
    if isinstance(times, list | tuple):
        kind = type(times).__name__
        raise TypeError(f"{name}: expected elapsed times as a number or an array, got a {kind}")
    if getattr(times, "shape", None) is not None:
        return _in_dtype(times, dtype)
    if not math.isfinite(times):
        raise ValueError(f"{name}: expected finite elapsed times, got {times}")
    return float(times)


def as_map(given: Any, name: str) -> NeuronMap:
    """Return a map, that of a layer which has one, or for a number of neurons the fully connected one."""
    found = getattr(given, "neuron_map", given)
    if isinstance(found, int) and not isinstance(found, bool):
        return FullyConnectedMap(found)
    if not isinstance(found, NeuronMap):
        wanted = "a neuron map, a number of neurons, or a layer that has a map"
        raise TypeError(f"{name}: expected {wanted}, got {given!r}")
    return found


def _in_dtype(x: Any, dtype: Any) -> Any:
    return x if spec_of(x).dtype == dtype else ops.astype(x, dtype=dtype)
