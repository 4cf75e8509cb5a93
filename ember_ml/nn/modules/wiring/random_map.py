"""The map without structure: pairs joined at random, one layer."""

from .drawn_map import DrawnMap
from .synapses import MOSTLY_EXCITATORY, polarised, scattered


class RandomMap(DrawnMap):
    """Neurons joined evenly at random, and inputs to them likewise.

    There are exactly `round((1 - sparsity_level) * units**2)` synapses among neurons and
    `round((1 - sparsity_level) * input_dim * units)` from the inputs, at least one of each.

    Polarities are drawn from the seed, two in three excitatory. Nothing promises that a neuron is reached at
    all: where that matters, take an `NCPMap`.
    """

    def _draw(self, rng):
        return tuple(
            polarised(rng, scattered(rng, (sources, self.units), self.sparsity_level), MOSTLY_EXCITATORY)
            for sources in (self.units, self.input_dim)
        )
