"""Recurrent layers: one scan over a cell, with real elapsed times.

A cell says what happens in one step, in two parts: `project(x, elapsed)` is what depends on the inputs alone, done for
all steps at once, outside the loop; `step(state, row)` is the rest.
"""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.core import tree
from ember_ml.nn.modules.module import Module


class Cell(Module):
    """One step of a recurrent network. A subclass defines `units`, `output_size`, `project` and `step`."""

    units: int
    output_size: int

    def project(self, x: Any, elapsed: Any) -> Any:
        """Return what a step needs of inputs x (..., batch, features), a tree of arrays with the same leading axes.

        `elapsed` is a number, or an array (..., batch, 1).
        """
        raise TypeError(f"{type(self).__name__} has no project method")

    def step(self, state: Any, row: Any) -> tuple[Any, Any]:
        """Return the new state (batch, units) and the output (batch, output_size), from one row of `project`."""
        raise TypeError(f"{type(self).__name__} has no step method")

    def first_state(self, batch: int, like: Any) -> Any:
        """Return the state before the first step: zeros (batch, units)."""
        return ops.zeros((batch, self.units), dtype=like.dtype, like=like)

    def forward(self, x: Any, state: Any = None, elapsed: Any = 1.0) -> tuple[Any, Any]:
        """Take one step: x (batch, features), state (batch, units) -> output (batch, output_size), new state.

        `elapsed`, the time since the step before, is a number, (batch,) or (batch, 1).
        """
        state = self.first_state(x.shape[0], x) if state is None else state
        if getattr(elapsed, "shape", ()):
            elapsed = ops.reshape(elapsed, shape=(-1, 1))
        new, output = self.step(state, self.project(x, elapsed))
        return output, new


class RecurrentLayer(Module):
    """A cell run along sequences.

    Shapes: inputs (batch, time, features), or (time, features) unbatched; elapsed times as a number, (batch, time)
    or (batch, time, 1), or (time,) where all sequences share them; the state (batch, units). Returns outputs
    (batch, time, output_size), or the last one alone, and the last state with `return_state`.
    """

    cell: Cell
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    batch_first: bool

    def forward(
        self, inputs: Any, initial_state: Any = None, time_deltas: Any = None, *, timespans: Any = None
    ) -> Any:
        """Run the cell along the sequences. `timespans` is ncps's word for `time_deltas`: time since the step before."""
        if time_deltas is not None and timespans is not None:
            raise ValueError(
                f"{type(self).__name__}: give time_deltas or timespans, which mean the same, not both"
            )
        x, unbatched = self._time_major(inputs)
        elapsed = self._elapsed(time_deltas if timespans is None else timespans, x)
        state = self.cell.first_state(x.shape[1], x) if initial_state is None else initial_state
        if unbatched and initial_state is not None:
            state = tree.map(lambda s: ops.expand_dims(s, axis=0) if len(s.shape) == 1 else s, state)
        rows = self.cell.project(x, elapsed)
        last, outputs = ops.scan(self.cell.step, state, rows, reverse=self.go_backwards)
        if self.return_sequences:
            result = outputs[:, 0] if unbatched else outputs
            result = (
                ops.permute_dims(result, axes=(1, 0, 2)) if self.batch_first and not unbatched else result
            )
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

    def _elapsed(self, times: Any, x: Any) -> Any:
        if times is None:
            return 1.0
        shape = tuple(getattr(times, "shape", ()))
        if not shape:
            return times
        steps, batch = x.shape[:2]
        if len(shape) == 3 and shape[-1] == 1:
            times, shape = ops.squeeze(times, axis=2), shape[:2]
        if shape == (steps,):
            return ops.broadcast_to(ops.reshape(times, shape=(steps, 1, 1)), shape=(steps, batch, 1))
        if shape != ((batch, steps) if self.batch_first else (steps, batch)):
            raise ValueError(
                f"{type(self).__name__}: expected a time for each step, a number, (batch, time) = ({batch}, {steps}), "
                f"(batch, time, 1) or (time,), got shape {tuple(times.shape)}"
            )
        times = ops.matrix_transpose(times) if self.batch_first else times
        return ops.expand_dims(times, axis=2)
