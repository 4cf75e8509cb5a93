"""Liquid time-constant networks (Hasani et al., AAAI 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_ml import ops
from ember_ml.nn.modules.parameter import Parameter
from ember_ml.nn.modules.rnn.recurrent import Cell, RecurrentLayer, as_map

RANGES = {  # of the first values, as in the authors' package ncps
    "gleak": (0.001, 1.0), "vleak": (-0.2, 0.2), "cm": (0.4, 0.6), "w": (0.001, 1.0), "sigma": (3.0, 8.0),
    "mu": (0.3, 0.8), "sensory_w": (0.001, 1.0), "sensory_sigma": (3.0, 8.0), "sensory_mu": (0.3, 0.8),
}  # fmt: skip
SHORTEST = 1e-6  # an elapsed time of 0 leaves the state as it is, instead of dividing by it


class LTCCell(Cell):
    """Neurons whose time constants depend on what they receive: the fused semi-implicit solver.

        v' = (c v + g_leak v_leak + sum_j a_j E_j) / (c + g_leak + sum_j a_j + epsilon),   c = cm unfolds / t
        a_j = w_j sigmoid(sigma_j (v_pre - mu_j))

    repeated `ode_unfolds` times in a step, with the sums over the existing synapses into a neuron, those from
    the inputs included. Weights of synapses are vectors with one value a synapse, in the order in which
    `numpy.nonzero` lists the map's adjacency matrix. `neuron_map` may be a layer that has a map, or a number
    of neurons.

    Shapes: x (batch, inputs), v (batch, units), t a number or (batch, 1); output (batch, motor neurons).
    Source: Hasani et al. 2021, algorithm 1, in the form that ncps computes.
    """

    gleak: Parameter  # (units,), kept >= 0
    vleak: Parameter  # (units,)
    cm: Parameter  # (units,), kept >= 0
    w: Parameter  # (synapses,), kept >= 0; likewise sigma, mu, erev
    sensory_w: Parameter  # (sensory synapses,), kept >= 0; likewise sensory_sigma, sensory_mu, sensory_erev
    input_w: Parameter | None  # (inputs,), the affine map of the inputs, with input_b
    input_b: Parameter | None
    output_w: Parameter | None  # (motor neurons,), the affine map of the outputs, with output_b
    output_b: Parameter | None

    def __init__(
        self,
        neuron_map: Any,
        *,
        input_size: int | None = None,
        ode_unfolds: int = 6,
        epsilon: float = 1e-8,
        input_mapping: str | None = "affine",
        output_mapping: str | None = "affine",
        implicit_param_constraints: bool = False,
    ):
        neuron_map = as_map(neuron_map, "LTCCell")
        if input_size is not None or not neuron_map.is_built():
            neuron_map.build(input_size)
        self.neuron_map, self.ode_unfolds, self.epsilon = neuron_map, ode_unfolds, epsilon
        self.input_mapping, self.output_mapping = input_mapping, output_mapping
        self.implicit_param_constraints = implicit_param_constraints
        self.input_size, self.units, self.output_size = (
            neuron_map.input_dim,
            neuron_map.units,
            neuron_map.output_dim,
        )
        self.synapses = np.nonzero(neuron_map.adjacency_matrix)
        self.sensory_synapses = np.nonzero(neuron_map.sensory_adjacency_matrix)
        counts = {"": len(self.synapses[0]), "sensory_": len(self.sensory_synapses[0])}
        for name in ("gleak", "vleak", "cm"):
            self._draw(name, self.units)
        for prefix, matrix in (
            ("", neuron_map.adjacency_matrix),
            ("sensory_", neuron_map.sensory_adjacency_matrix),
        ):
            for name in ("w", "sigma", "mu"):
                self._draw(prefix + name, counts[prefix])
            polarity = np.asarray(matrix)[np.nonzero(matrix)].astype("float32")
            setattr(self, f"{prefix}erev", Parameter(ops.asarray(polarity)))
        for side, mapping, size in (
            ("input", input_mapping, self.input_size),
            ("output", output_mapping, self.output_size),
        ):
            if mapping not in ("affine", "linear", None):
                raise ValueError(
                    f"LTCCell: {side}_mapping must be 'affine', 'linear' or None, got {mapping!r}"
                )
            setattr(self, f"{side}_w", Parameter(ops.ones((size,))) if mapping else None)
            setattr(self, f"{side}_b", Parameter(ops.zeros((size,))) if mapping == "affine" else None)

    def _draw(self, name: str, size: int) -> None:
        low, high = RANGES[name]
        positive = (
            name.removeprefix("sensory_") in ("w", "gleak", "cm") and not self.implicit_param_constraints
        )
        setattr(self, name, Parameter(ops.uniform((size,), low, high), nonnegative=positive))

    def _positive(self, weight: Any) -> Any:
        return ops.softplus(weight) if self.implicit_param_constraints else weight

    def _gates(self, prefix: str, size: int) -> tuple[Any, Any, Any]:
        """Return A, b, C that compute all synapses at once: tanh(v A - b) C gives [sum a E | sum a].

        sigmoid(y) = (1 + tanh(y/2)) / 2, so a constant, the columns of C summed, is still to be added.
        """
        sources, targets = self.sensory_synapses if prefix else self.synapses
        sigma, mu, erev = (getattr(self, prefix + name) for name in ("sigma", "mu", "erev"))
        w = self._positive(getattr(self, f"{prefix}w"))
        half = sigma * 0.5
        leaves = ops.asarray(np.eye(size, dtype="float32")[:, sources], dtype=sigma.dtype, like=sigma)
        enters = ops.asarray(np.eye(self.units, dtype="float32")[targets], dtype=sigma.dtype, like=sigma)
        drive, pull = ops.expand_dims(w * erev * 0.5, axis=1), ops.expand_dims(w * 0.5, axis=1)
        return leaves * half, half * mu, ops.concat([enters * drive, enters * pull], axis=1)

    def project(self, x: Any, elapsed: Any) -> Any:
        if self.input_w is not None:
            x = x * self.input_w
        if self.input_b is not None:
            x = x + self.input_b
        a, b, c = self._gates("sensory_", self.input_size)
        _, _, recurrent = self._gates("", self.units)
        gleak, cm = self._positive(self.gleak), self._positive(self.cm) * float(self.ode_unfolds)
        constant = ops.sum(c, axis=0) + ops.sum(recurrent, axis=0)
        constant = constant + ops.concat([gleak * self.vleak, gleak + self.epsilon], axis=0)
        base = ops.tanh(x @ a - b) @ c + constant
        is_number = isinstance(elapsed, float)
        capacity = cm / (max(elapsed, SHORTEST) if is_number else ops.maximum(elapsed, SHORTEST))
        return {
            "base": base + ops.concat([ops.zeros_like(capacity), capacity], axis=-1),
            "capacity": ops.broadcast_to(capacity, shape=(*x.shape[:-1], self.units)),
        }

    def step(self, state: Any, row: Any) -> tuple[Any, Any]:
        a, b, c = self._gates("", self.units)
        v = state
        for _ in range(self.ode_unfolds):
            numerator, denominator = ops.split(ops.tanh(v @ a - b) @ c + row["base"], 2, axis=-1)
            v = (row["capacity"] * v + numerator) / denominator
        output = v[:, : self.output_size]
        if self.output_w is not None:
            output = output * self.output_w
        if self.output_b is not None:
            output = output + self.output_b
        return v, output


class LTC(RecurrentLayer):
    """A liquid time-constant network over sequences. Shapes and elapsed times: see `RecurrentLayer`.

    `neuron_map` is a map, a number of neurons (fully connected), an `LTCCell`, or a layer that has a map.
    """

    def __init__(
        self,
        neuron_map: Any,
        return_sequences: bool = True,
        return_state: bool = False,
        batch_first: bool = True,
        *,
        input_size: int | None = None,
        go_backwards: bool = False,
        **cell_settings: Any,
    ):
        self.return_sequences, self.return_state, self.batch_first = (
            return_sequences,
            return_state,
            batch_first,
        )
        self.go_backwards, self.input_size, self.cell_settings = go_backwards, input_size, cell_settings
        if isinstance(neuron_map, LTCCell):
            self.cell, self.neuron_map, self.input_size = (
                neuron_map,
                neuron_map.neuron_map,
                neuron_map.input_size,
            )
            self.is_given_cell = self.built = True
            return
        self.neuron_map = as_map(neuron_map, "LTC")
        known = input_size or self.neuron_map.input_dim
        if known is not None:
            self.build((known,))
            self.built = True

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the cell for inputs of `input_shape[-1]` features."""
        self.input_size = input_shape[-1]
        self.cell = LTCCell(self.neuron_map, input_size=self.input_size, **self.cell_settings)

    def get_config(self) -> dict[str, Any]:
        names = (
            "neuron_map",
            "return_sequences",
            "return_state",
            "batch_first",
            "input_size",
            "go_backwards",
        )
        config = {n: getattr(self, n) for n in names} | self.cell_settings
        return config | ({"neuron_map": self.cell} if self.is_given_cell else {})
