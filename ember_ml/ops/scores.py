"""Maps of scores: normalised, compared between rotations, and searched for peaks."""

import operator

from ember_ml.core.dtypes import REAL, as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import data_dependent, shape_of
from ember_ml.core.trace import constant
from ember_ml.ops.comparison import equal, greater
from ember_ml.ops.creation import astype
from ember_ml.ops.elementwise import divide, multiply, sqrt, square, subtract, where
from ember_ml.ops.repetition import pad
from ember_ml.ops.searching import argwhere
from ember_ml.ops.windows import each, running_maximum

__all__ = ["max_filter_coordinates", "max_score_over_rotations", "maximum_filter", "norm_scores"]

# scipy.ndimage's words for what is beyond the edges, in NumPy's
_EDGES = {
    "constant": "constant",
    "reflect": "symmetric",
    "mirror": "reflect",
    "nearest": "edge",
    "wrap": "wrap",
}


@composite(kinds=REAL)
def maximum_filter(x, /, size, *, mode="reflect", cval=0.0):
    """The largest value in a box about each place, as scipy.ndimage.maximum_filter.

    `size` is an integer or one for each axis; a box of even size reaches one place further back. `mode` says
    what is beyond the edges: "reflect", "mirror", "nearest", "wrap", or "constant", the number `cval`. Equal
    values of one box share the gradient, if not always evenly.
    """
    shape = shape_of(x)
    sizes = each("size", size, len(shape))
    if mode not in _EDGES:
        raise ValueError(f"mode is one of {', '.join(_EDGES)}, got {mode!r}")
    if 0 in shape:
        return x
    wide = pad(x, [(n // 2, n - 1 - n // 2) for n in sizes], mode=_EDGES[mode], constant_values=cval)
    for axis, n in enumerate(sizes):
        wide = running_maximum(wide, n, 1, axis)
    return wide


@composite(shape=data_dependent, kinds=REAL, vjp=constant)
def max_filter_coordinates(scores, /, min_distance):
    """The coordinates of local maxima, (n, d) in the order of the array: every place of a plateau is one.

    A place is a maximum if no score in the box of `min_distance` places a side about it is larger; 0 is what
    surrounds the array. The shape depends on values, which compiled code cannot have.
    """
    box = maximum_filter(scores, size=operator.index(min_distance), mode="constant")
    return argwhere(equal(scores, box))


@composite()
def max_score_over_rotations(scores, max_scores, rotations, rotation_index, /):
    """The larger of old and new scores, and the index of the rotation that each is from: a pair.

    An equal score, or NaN, leaves the old rotation in place.
    """
    better = greater(scores, max_scores)
    found = astype(where(better, rotation_index, rotations), dtype=as_dtype(rotations.dtype))
    return where(better, scores, max_scores), found


@composite(kinds=REAL, domain=((-2.0, 2.0), (6.0, 9.0), (-2.0, 2.0), (3.0, 5.0)))
def norm_scores(arr, exp_sq, sq_exp, n_obs, /, eps):
    """Correlations over the standard deviation of what they saw: arr / (n s) with s^2 = E[x^2] - E[x]^2.

    `exp_sq` and `sq_exp` are the sums of x^2 and of x over the n = `n_obs` places of the mask at each place,
    as a correlation with the mask gives them. Where s is not above `eps` it counts as 1, since what is flat
    has nothing to correlate with.
    """
    variance = subtract(divide(exp_sq, n_obs), square(divide(sq_exp, n_obs)))
    return divide(arr, multiply(sqrt(where(greater(variance, eps * eps), variance, 1.0)), n_obs))
