"""Wiring: which neuron feeds which, drawn from a seed before any tensor exists."""

from .fully_connected import FullyConnectedMap as FullyConnectedMap
from .ncp_map import AutoNCPMap as AutoNCPMap
from .ncp_map import FanoutNCPMap as FanoutNCPMap
from .ncp_map import NCPMap as NCPMap
from .neuron_map import DEFAULT_SEED as DEFAULT_SEED
from .neuron_map import NeuronMap as NeuronMap
from .neuron_map import wiring_from_config as wiring_from_config
from .random_map import RandomMap as RandomMap
