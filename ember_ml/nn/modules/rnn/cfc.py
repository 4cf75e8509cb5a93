"""Closed-form continuous-time networks (Hasani et al., Nature Machine Intelligence 4, 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ember_ml import ops
from ember_ml.nn.initializers import glorot_uniform
from ember_ml.nn.modules.activations import get_activation
from ember_ml.nn.modules.dense import Dense
from ember_ml.nn.modules.parameter import Parameter
from ember_ml.nn.modules.rnn.recurrent import Cell, RecurrentLayer, as_map

MODES = ("default", "pure", "no_gate")


class CfCCell(Cell):
    """Two heads, and a gate between them that moves with the time elapsed.

        z = [x, h], through a backbone if there is one
        h' = tanh(z F) (1 - s) + s tanh(z G),   s = sigmoid(t (z A) + z B)      mode "default"
        h' = tanh(z F) + s tanh(z G)                                            mode "no_gate"
        h' = a - a exp(-t (|w| + |z F|)) (z F)                                  mode "pure"

    with biases throughout. Shapes: x (batch, inputs), h (batch, units), t a number or (batch, 1).
    Source: Hasani et al. 2022, eq. 10, in the form that the authors' package ncps computes.
    """

    input_kernel: Parameter  # (inputs, width): the heads [F | G | A | B], or the backbone's first layer
    recurrent_kernel: Parameter  # (units, width)
    bias: Parameter  # (width,)
    backbone: list[Dense]  # further backbone layers, and the heads, where there is a backbone
    input_mask: np.ndarray | None  # (inputs, width) of 0 and 1: which inputs reach which head
    asymptote: Parameter | None  # a (units,), of mode "pure"
    time_constant: Parameter | None  # w (units,), of mode "pure"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        mode: str = "default",
        *,
        backbone_units: int = 128,
        backbone_layers: int = 1,
        backbone_activation: str | Callable = "lecun_tanh",
        input_mask: Any = None,
    ):
        if mode not in MODES:
            raise ValueError(f"CfCCell: unknown mode {mode!r}; known: {', '.join(MODES)}")
        self.input_size, self.hidden_size, self.mode = input_size, hidden_size, mode
        self.backbone_units, self.backbone_layers = backbone_units, backbone_layers
        self.backbone_activation = backbone_activation
        self.units = self.output_size = hidden_size
        heads = hidden_size * (1 if mode == "pure" else 4)
        width = backbone_units if backbone_layers else heads
        fan = (input_size + hidden_size, backbone_units if backbone_layers else hidden_size)
        self.input_kernel = Parameter(glorot_uniform((input_size, width), fan))
        self.recurrent_kernel = Parameter(glorot_uniform((hidden_size, width), fan))
        self.bias = Parameter(ops.zeros((width,)))
        self.backbone = [
            Dense(backbone_units, backbone_units, backbone_activation) for _ in range(backbone_layers - 1)
        ]
        if backbone_layers:
            self.backbone.append(Dense(backbone_units, heads))
        pure = mode == "pure"
        self.asymptote = Parameter(ops.ones((hidden_size,))) if pure else None
        self.time_constant = Parameter(ops.zeros((hidden_size,))) if pure else None
        self.input_mask = None if input_mask is None else self._head_mask(np.asarray(input_mask, "float32"))

    def _head_mask(self, mask: np.ndarray) -> np.ndarray:
        if self.backbone_layers:
            raise ValueError("CfCCell: a mask reaches the heads directly; set backbone_layers=0")
        if mask.shape == tuple(self.input_kernel.shape):
            return mask
        heads = [mask] if self.mode == "pure" else [mask, mask, np.ones_like(mask), np.ones_like(mask)]
        return np.concatenate(heads, axis=1)

    def project(self, x: Any, elapsed: Any) -> Any:
        kernel = self.input_kernel
        if self.input_mask is not None:
            kernel = kernel * ops.asarray(self.input_mask, dtype=kernel.dtype, like=kernel)
        return {"z": x @ kernel + self.bias, "elapsed": _rows(elapsed, x)}

    def step(self, state: Any, row: Any) -> tuple[Any, Any]:
        z = row["z"] + state @ self.recurrent_kernel
        if self.backbone:
            z = get_activation(self.backbone_activation)(z)
            for layer in self.backbone:
                z = layer(z)
        new = self._solve(z, row["elapsed"])
        return new, new

    def _solve(self, z: Any, elapsed: Any) -> Any:
        if self.mode == "pure":
            rate = ops.abs(self.time_constant) + ops.abs(z)
            return self.asymptote - self.asymptote * ops.exp(-(elapsed * rate)) * z
        first, second, slope, offset = ops.split(z, 4, axis=-1)
        gate = ops.sigmoid(slope * elapsed + offset)
        first, second = ops.tanh(first), ops.tanh(second)
        return first + gate * second if self.mode == "no_gate" else first + gate * (second - first)


class WiredCfCCell(Cell):
    """CfC cells in the layers of a neuron map: inputs -> inter -> command -> motor neurons.

    Each layer is a `CfCCell` without backbone that sees the layer before it through the map's synapses. The
    mask covers the state heads and, as in ncps, not the time gate; `mask_time_gate=True` covers it too.
    Within a layer all neurons feed each other. The state is in the map's order of neurons, motor neurons
    first; they are the output. `neuron_map` may be a layer that has a map, or a number of neurons.
    """

    layers: list[CfCCell]  # in the order of computation: the last one holds the motor neurons

    def __init__(
        self,
        neuron_map: Any,
        mode: str = "default",
        *,
        input_size: int | None = None,
        mask_time_gate: bool = False,
    ):
        neuron_map = as_map(neuron_map, "WiredCfCCell")
        self.neuron_map, self.mode, self.mask_time_gate = neuron_map, mode, mask_time_gate
        if input_size is not None or not neuron_map.is_built():
            neuron_map.build(input_size)
        self.input_size = neuron_map.input_dim
        self.units, self.output_size = neuron_map.units, neuron_map.output_dim
        self.groups = [
            list(map(int, neuron_map.get_neurons_of_layer(i))) for i in range(neuron_map.num_layers)
        ]
        self.layers = []
        for i, neurons in enumerate(self.groups):
            synapses = (
                neuron_map.adjacency_matrix[self.groups[i - 1]] if i else neuron_map.sensory_adjacency_matrix
            )
            mask = np.abs(synapses[:, neurons]).astype("float32")
            if mask_time_gate and mode != "pure":
                mask = np.tile(mask, (1, 4))
            self.layers.append(CfCCell(mask.shape[0], len(neurons), mode, backbone_layers=0, input_mask=mask))

    def get_config(self) -> dict[str, Any]:
        return {"neuron_map": self.neuron_map, "mode": self.mode, "mask_time_gate": self.mask_time_gate}

    @property
    def synapse_count(self) -> int:
        """How many synapses there are between neurons."""
        return self.neuron_map.synapse_count

    @property
    def sensory_synapse_count(self) -> int:
        """How many synapses there are from inputs to neurons."""
        return self.neuron_map.sensory_synapse_count

    def first_state(self, batch: int, like: Any) -> Any:
        return ops.zeros((batch, self.units), dtype=like.dtype, like=like)

    def project(self, x: Any, elapsed: Any) -> Any:
        return self.layers[0].project(x, elapsed)

    def step(self, state: Any, row: Any) -> tuple[Any, Any]:
        parts, new = self._split(state), []
        for i, (layer, part) in enumerate(zip(self.layers, parts, strict=True)):
            given = row if i == 0 else layer.project(new[-1], row["elapsed"])
            new.append(layer.step(part, given)[0])
        state = new[0] if len(new) == 1 else ops.concat(new[::-1], axis=-1)
        return state, state[:, : self.output_size] if len(new) == 1 else new[-1]

    def _split(self, state: Any) -> list:
        """Return the state of each layer; the map numbers their neurons backwards, in one piece each."""
        if len(self.groups) == 1:
            return [state]
        sizes = [len(g) for g in self.groups[::-1]]
        cuts = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
        return list(ops.split(state, cuts, axis=-1))[::-1]


class CfC(RecurrentLayer):
    """A closed-form continuous-time network over sequences. Shapes and elapsed times: see `RecurrentLayer`.

    `neuron_map` is a map (a `WiredCfCCell` is made), a number of neurons (a `CfCCell` with a backbone), a
    cell of either kind, or a layer that has a map. The number of inputs is that of the map, `input_size`,
    or of the first input.
    """

    def __init__(
        self,
        neuron_map: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        mode: str = "default",
        *,
        input_size: int | None = None,
        batch_first: bool = True,
        mask_time_gate: bool = False,
        **cell_settings: Any,
    ):
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards = go_backwards
        self.mode, self.batch_first, self.mask_time_gate = mode, batch_first, mask_time_gate
        self.input_size, self.cell_settings = input_size, cell_settings
        if isinstance(neuron_map, CfCCell | WiredCfCCell):
            self.cell, self.neuron_map = neuron_map, getattr(neuron_map, "neuron_map", neuron_map.units)
            self.input_size, self.mode = neuron_map.input_size, neuron_map.mode
            self.is_given_cell = self.built = True
            return
        is_count = isinstance(neuron_map, int) and not isinstance(neuron_map, bool)
        self.neuron_map = neuron_map if is_count else as_map(neuron_map, "CfC")
        known = input_size or getattr(self.neuron_map, "input_dim", None)
        if known is not None:
            self.build((known,))
            self.built = True

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the cell for inputs of `input_shape[-1]` features."""
        self.input_size = input_shape[-1]
        if isinstance(self.neuron_map, int):
            self.cell = CfCCell(self.input_size, self.neuron_map, self.mode, **self.cell_settings)
        else:
            settings = {"mask_time_gate": self.mask_time_gate, **self.cell_settings}
            self.cell = WiredCfCCell(self.neuron_map, self.mode, input_size=self.input_size, **settings)

    def get_config(self) -> dict[str, Any]:
        names = ("neuron_map", "return_sequences", "return_state", "go_backwards", "mode")
        more = ("input_size", "batch_first", "mask_time_gate")
        config = {n: getattr(self, n) for n in (*names, *more)} | self.cell_settings
        return config | ({"neuron_map": self.cell} if self.is_given_cell else {})


def _rows(elapsed: Any, x: Any) -> Any:
    """Return elapsed times as rows for a scan: an array (..., batch, 1)."""
    if getattr(elapsed, "shape", ()):
        return elapsed
    return ops.ones((*x.shape[:-1], 1), dtype=x.dtype, like=x) * elapsed
