"""The table: every op, one section each, grouped by kind. No engine is named here.

Arrays are positional, settings are keywords. The arguments choose the engine; only what has no array argument
asks for the active backend.
"""

from math import pi as pi

from ember_ml.core.keys import get_seed as get_seed
from ember_ml.core.keys import get_stream as get_stream
from ember_ml.core.keys import set_seed as set_seed
from ember_ml.core.keys import set_stream as set_stream
from ember_ml.core.op import ALIASES, TABLE, alias, unknown
from ember_ml.core.operators import derive_operators
from ember_ml.core.rules import broadcast_shapes as broadcast_shapes
from ember_ml.ops.activation import *
from ember_ml.ops.calculus import *
from ember_ml.ops.comparison import *
from ember_ml.ops.control import *
from ember_ml.ops.convolution import *
from ember_ml.ops.creation import *
from ember_ml.ops.cumulative import *
from ember_ml.ops.decompositions import *
from ember_ml.ops.distributions import *
from ember_ml.ops.elementwise import *
from ember_ml.ops.feature import *
from ember_ml.ops.fft import *
from ember_ml.ops.geometry import *
from ember_ml.ops.grids import *
from ember_ml.ops.indexing import *
from ember_ml.ops.interpolation import *
from ember_ml.ops.linalg import *
from ember_ml.ops.loss import *
from ember_ml.ops.mapping import *
from ember_ml.ops.pooling import *
from ember_ml.ops.products import *
from ember_ml.ops.random import *
from ember_ml.ops.reduction import *
from ember_ml.ops.repetition import *
from ember_ml.ops.scatter import *
from ember_ml.ops.scores import *
from ember_ml.ops.searching import *
from ember_ml.ops.shape import *
from ember_ml.ops.solving import *
from ember_ml.ops.sorting import *
from ember_ml.ops.special import *
from ember_ml.ops.statistics import *
from ember_ml.ops.trigonometry import *
from ember_ml.ops.vector import *
from ember_ml.ops.windows import *

alias("concat", "concatenate")
alias("mse", "mean_squared_error")
alias("permutation", "shuffle")
alias("silu", "swish")
alias("hard_silu", "hard_swish")
alias("hard_tanh", "hardtanh")
alias("remainder", "mod")
alias("power", "pow")
alias("take", "gather")
alias("flip", "reverse")
alias("ravel", "flatten")
alias("full_like", "fill")
alias("slice_tensor", "slice")
alias("astype", "cast")
alias("cumulative_sum", "cumsum")
alias("cumulative_prod", "cumprod")
alias("lgamma", "gammaln")

derive_operators()


_OF_THE_BACKEND = (
    *("set_backend", "get_backend", "auto_select_backend"),
    *("to_device", "get_device", "get_available_devices", "set_default_device", "get_default_device"),
    *("memory_usage", "memory_info", "synchronize", "is_available"),
    *("save", "load", "next_fast_len", "compute_convolution_shapes"),
)


def __getattr__(name):
    """Find an op under another spelling, or the functions of the active backend that the seeds put here."""
    if name in ALIASES:
        return TABLE[ALIASES[name]].function
    if name in _OF_THE_BACKEND:
        import ember_ml.backend

        return getattr(ember_ml.backend, name)
    return unknown(name)
