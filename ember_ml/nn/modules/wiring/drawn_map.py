"""What the seeded maps share: the synapses are drawn once, when the number of inputs is known."""

from abc import abstractmethod

import numpy as np

from .neuron_map import DEFAULT_SEED, NeuronMap


class DrawnMap(NeuronMap):
    """A map whose synapses come from its seed. Subclasses say how in `_draw`.

    The synapses among neurons are drawn first, so that they do not depend on the number of inputs.
    """

    def build(self, input_dim=None):
        """Draw the synapses; see `NeuronMap.build`."""
        is_fresh = not self.is_built()
        super().build(input_dim)
        if is_fresh:
            rng = np.random.default_rng(DEFAULT_SEED if self.seed is None else self.seed)
            self._keep(*self._draw(rng))

    @abstractmethod
    def _draw(self, rng) -> tuple[np.ndarray, ...]:
        """Return signed matrices `(units, units)` and `(input_dim, units)`."""

    def _keep(self, drawn, sensory_drawn):
        """Take the drawn synapses wherever none was added by hand."""
        np.copyto(self.adjacency_matrix, drawn, where=self.adjacency_matrix == 0)
        np.copyto(self.sensory_adjacency_matrix, sensory_drawn, where=self.sensory_adjacency_matrix == 0)
