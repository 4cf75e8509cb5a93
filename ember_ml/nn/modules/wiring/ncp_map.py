"""Neural circuit policies: inputs feed inter neurons, these feed command neurons, these feed motor neurons.

Lechner et al., "Neural circuit policies enabling auditable autonomy", Nature Machine Intelligence 2 (2020),
is the source of the architecture and of the fan-out form. Neurons are numbered motor, command, inter, as in
the `ncps` package; the random streams differ from that package's, so the same seed draws another wiring of
the same kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .drawn_map import DrawnMap
from .synapses import BALANCED, counted, fan_in, fan_out, mended, polarised, scattered


@dataclass(frozen=True)
class Pathway:
    """The synapses from one group of neurons to another."""

    source: str  # "sensory", "inter", "command" or "motor"
    target: str
    rule: Callable  # (rng, (sources, targets)) -> boolean matrix
    is_trunk: bool = True  # on the way from inputs to motor neurons: no neuron is left without a partner

    def draw(self, rng, shape):
        """Return the signed synapses of this pathway, polarities drawn evenly."""
        links = self.rule(rng, shape)
        return polarised(rng, mended(rng, links) if self.is_trunk else links, BALANCED)


class NCPMap(DrawnMap):
    """Inter, command and motor neurons joined group to group, each pathway at its own sparsity.

    The trunk is inputs → inter → motor, or inputs → inter → command → motor where there are command neurons.
    On it every neuron is reached from the inputs and reaches a motor neuron, whatever the seed: one that the
    draw left out gets the mean number of partners. A pathway has `round((1 - sparsity) * pairs)` synapses,
    at least one, plus these.

    | pathway         | argument                    | where None       |
    |-----------------|-----------------------------|------------------|
    | inputs → inter  | `sensory_to_inter_sparsity` | `sparsity_level` |
    | inter → inter   | `inter_to_inter_sparsity`   | `sparsity_level` |
    | inter → motor   | `inter_to_motor_sparsity`   | `sparsity_level` |
    | inputs → motor  | `sensory_to_motor_sparsity` | absent           |
    | motor → motor   | `motor_to_motor_sparsity`   | absent           |
    | motor → inter   | `motor_to_inter_sparsity`   | absent           |

    With command neurons, `inter_to_inter_sparsity` governs inter → command and command → command instead,
    and `inter_to_motor_sparsity` governs command → motor.

    A sparsity of 0.0 joins all pairs, 1.0 leaves the pathway out; ValueError where the motor neurons are
    then cut off from the inputs. `sensory_neurons` is the number of inputs, 0 where `build` is to say it.
    """

    def __init__(
        self,
        inter_neurons,
        motor_neurons,
        sensory_neurons=0,
        sparsity_level=0.5,
        seed=None,
        sensory_to_inter_sparsity=None,
        sensory_to_motor_sparsity=None,
        inter_to_inter_sparsity=None,
        inter_to_motor_sparsity=None,
        motor_to_motor_sparsity=None,
        motor_to_inter_sparsity=None,
        *,
        command_neurons=None,
    ):
        self.inter_neurons = self._count("inter_neurons", inter_neurons)
        self.motor_neurons = self._count("motor_neurons", motor_neurons)
        command_neurons = 0 if command_neurons is None else command_neurons
        self.command_neurons = self._count("command_neurons", command_neurons, least=0)
        inputs = self._count("sensory_neurons", sensory_neurons, least=0)
        super().__init__(
            self.motor_neurons + self.command_neurons + self.inter_neurons,
            output_dim=self.motor_neurons,
            input_dim=None if inputs == 0 else inputs,
            sparsity_level=sparsity_level,
            seed=seed,
        )
        self.sensory_to_inter_sparsity = sensory_to_inter_sparsity
        self.sensory_to_motor_sparsity = sensory_to_motor_sparsity
        self.inter_to_inter_sparsity = inter_to_inter_sparsity
        self.inter_to_motor_sparsity = inter_to_motor_sparsity
        self.motor_to_motor_sparsity = motor_to_motor_sparsity
        self.motor_to_inter_sparsity = motor_to_inter_sparsity
        self._check_motor_neurons_can_be_reached()

    @staticmethod
    def from_fanout(
        inter_neurons,
        command_neurons,
        motor_neurons,
        sensory_fanout,
        inter_fanout,
        recurrent_command_synapses,
        motor_fanin,
        *,
        seed=None,
    ):
        """Make the map of the papers, by numbers of synapses per neuron; see `FanoutNCPMap`."""
        return FanoutNCPMap(
            inter_neurons,
            command_neurons,
            motor_neurons,
            sensory_fanout,
            inter_fanout,
            recurrent_command_synapses,
            motor_fanin,
            seed,
        )

    @property
    def sensory_neurons(self):
        """Number of inputs, 0 while unknown."""
        return 0 if self.input_dim is None else self.input_dim

    def get_neuron_groups(self):
        """Return lists of indices by role. `sensory` counts inputs, the other three count neurons."""
        first_inter = self.motor_neurons + self.command_neurons
        return {
            "sensory": list(range(self.sensory_neurons)),
            "inter": list(range(first_inter, self.units)),
            "command": list(range(self.motor_neurons, first_inter)),
            "motor": list(range(self.motor_neurons)),
        }

    def _layers(self):
        groups = self.get_neuron_groups()
        return [groups[role] for role in ("inter", "command", "motor") if groups[role]]

    def _draw(self, rng):
        groups = self.get_neuron_groups()
        adjacency = np.zeros_like(self.adjacency_matrix)
        sensory = np.zeros_like(self.sensory_adjacency_matrix)
        for pathway in self._pathways():
            sources, targets = groups[pathway.source], groups[pathway.target]
            matrix = sensory if pathway.source == "sensory" else adjacency
            matrix[np.ix_(sources, targets)] = pathway.draw(rng, (len(sources), len(targets)))
        return adjacency, sensory

    def _pathways(self):
        """Return the pathways that exist, those from the inputs last."""
        sparsities = self._sparsities()
        last = "command" if self.command_neurons else "inter"
        candidates = [
            ("inter", last, sparsities["inter_to_inter_sparsity"], last == "command"),
            (last, "motor", sparsities["inter_to_motor_sparsity"], True),
            ("motor", "motor", sparsities["motor_to_motor_sparsity"], False),
            ("motor", "inter", sparsities["motor_to_inter_sparsity"], False),
            ("sensory", "inter", sparsities["sensory_to_inter_sparsity"], True),
            ("sensory", "motor", sparsities["sensory_to_motor_sparsity"], False),
        ]
        if last == "command":
            candidates.insert(1, ("command", "command", sparsities["inter_to_inter_sparsity"], False))
        return [
            Pathway(source, target, partial(scattered, sparsity=sparsity), is_trunk)
            for source, target, sparsity, is_trunk in candidates
            if sparsity < 1.0
        ]

    def _sparsities(self):
        absent = 1.0
        otherwise = {
            "sensory_to_inter_sparsity": self.sparsity_level,
            "inter_to_inter_sparsity": self.sparsity_level,
            "inter_to_motor_sparsity": self.sparsity_level,
            "sensory_to_motor_sparsity": absent,
            "motor_to_motor_sparsity": absent,
            "motor_to_inter_sparsity": absent,
        }
        given = {name: getattr(self, name) for name in otherwise}
        return {name: otherwise[name] if value is None else value for name, value in given.items()}

    def _check_motor_neurons_can_be_reached(self):
        sparsities = self._sparsities()
        for name, sparsity in sparsities.items():
            if not 0.0 <= sparsity <= 1.0:
                raise ValueError(f"NCPMap: {name} is the share of synapses left out, 0 to 1; got {sparsity}")
        trunk = ["sensory_to_inter_sparsity", "inter_to_motor_sparsity"]
        if self.command_neurons:
            trunk.insert(1, "inter_to_inter_sparsity")
        closed = [name for name in trunk if sparsities[name] == 1.0]
        if closed and sparsities["sensory_to_motor_sparsity"] == 1.0:
            raise ValueError(
                f"NCPMap: no way leads from the inputs to the motor neurons, {' and '.join(closed)} being 1; "
                "give it a value below 1, or give sensory_to_motor_sparsity one"
            )


class FanoutNCPMap(NCPMap):
    """An NCP by numbers of synapses per neuron, the papers' form (made by `NCPMap.from_fanout`).

    Each input feeds `sensory_fanout` inter neurons, each inter neuron `inter_fanout` command neurons, each
    motor neuron is fed by `motor_fanin` command neurons, and `recurrent_command_synapses` different pairs of
    command neurons are joined. A neuron left out by the draw gets the mean number of partners. ValueError
    where a number exceeds the neurons there are to choose from.
    """

    def __init__(
        self,
        inter_neurons,
        command_neurons,
        motor_neurons,
        sensory_fanout,
        inter_fanout,
        recurrent_command_synapses,
        motor_fanin,
        seed=None,
    ):
        command_neurons = self._count("command_neurons", command_neurons)
        super().__init__(inter_neurons, motor_neurons, seed=seed, command_neurons=command_neurons)
        self.sparsity_level = None
        self.sensory_fanout = self._choice("sensory_fanout", sensory_fanout, inter_neurons, "inter neurons")
        self.inter_fanout = self._choice("inter_fanout", inter_fanout, command_neurons, "command neurons")
        self.recurrent_command_synapses = self._choice(
            "recurrent_command_synapses",
            recurrent_command_synapses,
            command_neurons**2,
            "pairs of command neurons",
            least=0,
        )
        self.motor_fanin = self._choice("motor_fanin", motor_fanin, command_neurons, "command neurons")

    def _choice(self, name, value, available, what, least=1):
        chosen = self._count(name, value, least)
        if chosen > available:
            raise ValueError(
                f"{type(self).__name__}: {name} is {chosen} but there are only {available} {what}; "
                f"give {name} <= {available}"
            )
        return chosen

    def _pathways(self):
        recurrence = partial(counted, count=self.recurrent_command_synapses)
        return [
            Pathway("inter", "command", partial(fan_out, fan=self.inter_fanout)),
            Pathway("command", "command", recurrence, is_trunk=False),
            Pathway("command", "motor", partial(fan_in, fan=self.motor_fanin)),
            Pathway("sensory", "inter", partial(fan_out, fan=self.sensory_fanout)),
        ]


class AutoNCPMap(FanoutNCPMap):
    """An NCP of `units` neurons, `output_size` of them motor neurons, the rest chosen from one sparsity.

    Two in five of the other neurons are command neurons; each fan is the share `1 - sparsity_level` of the
    group it chooses from, rounded down, at least 1. ValueError unless `0.1 <= sparsity_level < 1` and
    `output_size < units - 2`.
    """

    def __init__(self, units, output_size, sparsity_level=0.5, seed=None):
        units, output_size = self._count("units", units), self._count("output_size", output_size)
        if output_size >= units - 2:
            raise ValueError(
                f"AutoNCPMap: output_size must be less than units - 2, got {output_size} of {units} units; "
                f"give units >= {output_size + 3}"
            )
        if not 0.1 <= sparsity_level < 1.0:
            raise ValueError(
                "AutoNCPMap: sparsity_level must be at least 0.1 (dense) and less than 1 (sparse), "
                f"got {sparsity_level}"
            )
        density = 1.0 - sparsity_level
        command = max(int(0.4 * (units - output_size)), 1)
        inter = units - output_size - command
        command_fan = max(int(command * density), 1)
        super().__init__(
            inter_neurons=inter,
            command_neurons=command,
            motor_neurons=output_size,
            sensory_fanout=max(int(inter * density), 1),
            inter_fanout=command_fan,
            recurrent_command_synapses=max(int(2 * command * density), 1),
            motor_fanin=command_fan,
            seed=seed,
        )
        self.sparsity_level = float(sparsity_level)

    @property
    def output_size(self):
        """Number of motor neurons, which are the outputs."""
        return self.output_dim
