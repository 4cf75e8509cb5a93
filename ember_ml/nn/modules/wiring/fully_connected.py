"""The map in which everything feeds everything: the dense baseline, one layer."""

import numpy as np

from .drawn_map import DrawnMap
from .synapses import MOSTLY_EXCITATORY, polarised


class FullyConnectedMap(DrawnMap):
    """Every input feeds every neuron, every neuron feeds every neuron, itself included.

    Polarities are drawn from the seed, two in three excitatory. `sparsity_level` can only be 0: for a sparse
    map without structure there is `RandomMap`.
    """

    def __init__(self, units, output_dim=None, input_dim=None, sparsity_level=0.0, seed=None):
        if sparsity_level != 0.0:
            raise ValueError(
                f"FullyConnectedMap: sparsity_level must be 0, got {sparsity_level}; "
                "use RandomMap to leave synapses out"
            )
        super().__init__(units, output_dim, input_dim, sparsity_level, seed)

    def _draw(self, rng):
        return tuple(
            polarised(rng, np.ones_like(matrix, dtype=bool), MOSTLY_EXCITATORY)
            for matrix in (self.adjacency_matrix, self.sensory_adjacency_matrix)
        )
