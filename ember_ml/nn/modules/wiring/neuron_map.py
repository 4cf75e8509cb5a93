"""The abstract neuron map: neurons, inputs, and the signed synapses between them.

A map holds NumPy arrays of the host and knows no tensors, no weights and no engine.
"""

import inspect
import operator
from abc import ABC, abstractmethod
from html import escape
from typing import Any

import numpy as np

DEFAULT_SEED = 22222  # ncps's; stands in for None, so that every map can be drawn again

_STATE = frozenset({"class_name", "input_dim", "is_built", "synapses", "sensory_synapses"})


class NeuronMap(ABC):
    """Who feeds whom among `units` neurons and `input_dim` inputs.

    Neurons are numbered from 0. The first `output_dim` are the motor neurons, so that the outputs are
    `state[:, :output_dim]`. Inputs ("sensory neurons") are numbered separately and are not units.

    A subclass overrides `build`: it calls `super().build(input_dim)` and then adds synapses. To make
    `get_config` work it keeps each constructor argument in an attribute of the same name.
    """

    units: int
    output_dim: int
    input_dim: int | None  # None until known
    sparsity_level: float | None  # None where the map was not drawn from one
    seed: int | None
    adjacency_matrix: np.ndarray  # (units, units) int32 in {-1, 0, 1}; row = source, column = destination
    sensory_adjacency_matrix: Any  # (input_dim, units), likewise; None until input_dim is known

    def __init__(self, units, output_dim=None, input_dim=None, sparsity_level=0.5, seed=None):
        self.units = self._count("units", units)
        self.output_dim = self.units if output_dim is None else self._count("output_dim", output_dim)
        if self.output_dim > self.units:
            raise ValueError(
                f"{type(self).__name__}: output_dim is {self.output_dim} but there are {self.units} units; "
                "outputs are neurons, so give output_dim <= units"
            )
        self.sparsity_level = self._sparsity("sparsity_level", sparsity_level)
        self.seed = None if seed is None else self._count("seed", seed, least=0)
        self.adjacency_matrix = np.zeros((self.units, self.units), dtype=np.int32)
        self.input_dim = None
        self.sensory_adjacency_matrix = None
        self._built = False
        if input_dim is not None:
            self.set_input_dim(input_dim)

    @abstractmethod
    def build(self, input_dim=None):
        """Draw the synapses for `input_dim` inputs; without it, for the number already set.

        A second call changes nothing; ValueError if it asks for another number of inputs, or if none is
        known. Synapses added by hand before the call stay as they are.
        """
        if input_dim is None and self.input_dim is None:
            raise ValueError(
                f"{type(self).__name__}.build: the number of inputs is unknown; call build(input_dim)"
            )
        if input_dim is not None and input_dim != self.input_dim:
            if self.input_dim is not None:
                raise ValueError(self._other_inputs("build", input_dim))
            self.set_input_dim(input_dim)
        self._built = True

    def set_input_dim(self, input_dim):
        """Set the number of inputs; sensory synapses added for another number are dropped.

        ValueError if the map is built for another number.
        """
        if self._built and input_dim != self.input_dim:
            raise ValueError(self._other_inputs("set_input_dim", input_dim))
        if input_dim == self.input_dim:
            return
        self.input_dim = self._count("input_dim", input_dim)
        self.sensory_adjacency_matrix = np.zeros((self.input_dim, self.units), dtype=np.int32)

    def is_built(self):
        """Whether the synapses have been drawn."""
        return self._built

    def add_synapse(self, src, dest, polarity):
        """Join neuron `src` to neuron `dest`, or change the polarity: -1 (inhibitory) or +1 (excitatory)."""
        self._check_synapse("add_synapse", (src, self.units, "neurons"), dest, polarity)
        self.adjacency_matrix[src, dest] = polarity

    def add_sensory_synapse(self, src, dest, polarity):
        """Join input `src` to neuron `dest`. ValueError while the number of inputs is unknown."""
        if self.input_dim is None:
            raise ValueError(
                f"{type(self).__name__}.add_sensory_synapse: the number of inputs is unknown; "
                "call build(input_dim) or set_input_dim(input_dim) first"
            )
        self._check_synapse("add_sensory_synapse", (src, self.input_dim, "inputs"), dest, polarity)
        self.sensory_adjacency_matrix[src, dest] = polarity

    def get_input_mask(self):
        """Return float32 `(input_dim, units)`: 1 where an input feeds a neuron. Builds if it can."""
        self._ensure_built()
        return np.abs(self.sensory_adjacency_matrix).astype(np.float32)

    def get_recurrent_mask(self):
        """Return float32 `(units, units)`: 1 where the row's neuron feeds the column's. Builds if it can."""
        self._ensure_built()
        return np.abs(self.adjacency_matrix).astype(np.float32)

    def get_output_mask(self):
        """Return float32 `(units,)`: 1 for motor neurons, which come first."""
        return (np.arange(self.units) < self.output_dim).astype(np.float32)

    def get_neuron_groups(self):
        """Return lists of indices by role. `sensory` counts inputs, the other three count neurons."""
        return {
            "sensory": list(range(0 if self.input_dim is None else self.input_dim)),
            "inter": list(range(self.output_dim, self.units)),
            "command": [],
            "motor": list(range(self.output_dim)),
        }

    def get_neurons_of_layer(self, layer):
        """Return the neurons of one layer, in the order in which layers are processed."""
        layers = self._layers()
        if not 0 <= layer < len(layers):
            raise ValueError(
                f"{type(self).__name__}.get_neurons_of_layer: there is no layer {layer}, "
                f"only 0 to {len(layers) - 1}"
            )
        return layers[layer]

    @property
    def num_layers(self):
        """Number of layers that are processed one after another."""
        return len(self._layers())

    @property
    def layer_sizes(self):
        """Number of neurons in each layer."""
        return [len(layer) for layer in self._layers()]

    @property
    def synapse_count(self):
        """Number of synapses between neurons that exist now: 0 before `build`."""
        return int(np.count_nonzero(self.adjacency_matrix))

    @property
    def sensory_synapse_count(self):
        """Number of synapses from inputs to neurons that exist now: 0 before `build`."""
        return 0 if self.input_dim is None else int(np.count_nonzero(self.sensory_adjacency_matrix))

    def get_config(self):
        """Return JSON-ready arguments and state from which `from_config` makes an equal map.

        Matrices that differ from what the seed draws (synapses were added or removed by hand) are listed in
        full as `[source, destination, polarity]`.
        """
        config = {
            "class_name": type(self).__name__,
            **self._arguments(),
            "input_dim": self.input_dim,
            "is_built": self._built,
        }
        drawn = type(self).from_config(config)
        if not np.array_equal(self.adjacency_matrix, drawn.adjacency_matrix):
            config["synapses"] = _entries(self.adjacency_matrix)
        if not np.array_equal(self.sensory_adjacency_matrix, drawn.sensory_adjacency_matrix):
            config["sensory_synapses"] = _entries(self.sensory_adjacency_matrix)
        return config

    @classmethod
    def from_config(cls, config):
        """Make the map that `config` describes. ValueError if that is another class, or a key is unknown."""
        if config.get("class_name", cls.__name__) != cls.__name__:
            raise ValueError(
                f"{cls.__name__}.from_config: this is the config of a {config['class_name']}; "
                "use wiring_from_config, or that class"
            )
        names = inspect.signature(cls).parameters
        unknown = sorted(config.keys() - names.keys() - _STATE)
        if unknown:
            raise ValueError(
                f"{cls.__name__}.from_config: unknown keys {unknown}; the arguments are {list(names)}"
            )
        wiring = cls(**{name: config[name] for name in names if name in config})
        wiring._restore(config)
        return wiring

    __hash__ = None  # pyright: ignore[reportAssignmentType] - synapses can be added, so equality may change

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        return self.get_config() == other.get_config()

    def __repr__(self):
        parameters = inspect.signature(type(self)).parameters
        given = ", ".join(
            f"{name}={value!r}"
            for name, value in self._arguments().items()
            if value != parameters[name].default
        )
        return f"<{type(self).__name__}({given}): {self._summary()}>"

    def _repr_html_(self):
        rows = "".join(
            f"<tr><th>{role}</th><td>{len(members)}</td></tr>"
            for role, members in self.get_neuron_groups().items()
            if members
        )
        return (
            f"<table><caption>{escape(type(self).__name__)}</caption>{rows}"
            f"<tr><td colspan=2>{escape(self._summary())}</td></tr></table>"
        )

    def _layers(self):
        return [list(range(self.units))]

    def _ensure_built(self):
        if not self._built:
            self.build()

    def _arguments(self):
        return {
            name: getattr(self, name)
            for name, parameter in inspect.signature(type(self)).parameters.items()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        }

    def _restore(self, config):
        if config.get("input_dim") is not None:
            self.set_input_dim(config["input_dim"])
        if config.get("is_built", False):
            self.build()
        if "synapses" in config:
            self.adjacency_matrix[...] = 0
            for synapse in config["synapses"]:
                self.add_synapse(*synapse)
        if "sensory_synapses" in config:
            self.sensory_adjacency_matrix[...] = 0
            for synapse in config["sensory_synapses"]:
                self.add_sensory_synapse(*synapse)

    def _summary(self):
        if not self._built:
            return f"{self.units} neurons, {self.output_dim} outputs, not built"
        return (
            f"{self.input_dim} inputs, {self.units} neurons, {self.output_dim} outputs, "
            f"{self.sensory_synapse_count} sensory synapses, {self.synapse_count} synapses"
        )

    def _other_inputs(self, verb, input_dim):
        return (
            f"{type(self).__name__}.{verb}: this map has {self.input_dim} inputs, asked for {input_dim}; "
            "make a new map for another number of inputs"
        )

    def _check_synapse(self, verb, source, dest, polarity):
        src, sources, what = source
        where = f"{type(self).__name__}.{verb}"
        if not 0 <= src < sources:
            raise ValueError(f"{where}: src is {src}, but the {what} are 0 to {sources - 1}")
        if not 0 <= dest < self.units:
            raise ValueError(f"{where}: dest is {dest}, but the neurons are 0 to {self.units - 1}")
        if polarity not in (-1, 1):
            raise ValueError(f"{where}: polarity is {polarity}, expected -1 (inhibitory) or +1 (excitatory)")

    def _count(self, name, value, least=1):
        try:
            count = operator.index(value)
        except TypeError:
            raise TypeError(f"{type(self).__name__}: {name} must be an integer, got {value!r}") from None
        if count < least:
            raise ValueError(f"{type(self).__name__}: {name} must be at least {least}, got {count}")
        return count

    def _sparsity(self, name, value):
        if not 0.0 <= value < 1.0:
            raise ValueError(
                f"{type(self).__name__}: {name} is the share of synapses left out, from 0 to below 1; "
                f"got {value}"
            )
        return float(value)


def wiring_from_config(config):
    """Make the map that `config` describes, of the class it names: one of ours, or any subclass of NeuronMap.

    ValueError where no such class has been defined; import the module that defines it first.
    """
    kinds = {kind.__name__: kind for kind in _subclasses(NeuronMap)}
    name = config.get("class_name")
    if name not in kinds:
        raise ValueError(
            f"wiring_from_config: class_name is {name!r}, expected one of {sorted(kinds)}; "
            "import the module that defines it first"
        )
    return kinds[name].from_config(config)


def _subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def _entries(matrix):
    sources, targets = np.nonzero(matrix)
    return np.column_stack((sources, targets, matrix[sources, targets])).tolist()
