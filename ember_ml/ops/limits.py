"""What the numbers of a dtype can be: how fine, how small and how large."""

import math

from ember_ml.core.dtypes import FLOAT_BITS, real_of


def step_of(dtype):
    """Return the distance from 1 to the next number of a float dtype, or of a complex one's parts."""
    return 2.0 ** -FLOAT_BITS[real_of(dtype)][0]


def largest_finite(dtype):
    """Return the largest number of a float dtype that is not infinite."""
    return (2.0 - step_of(dtype)) * 2.0 ** FLOAT_BITS[dtype][1]


def bounds(dtype):
    """Return the number below (or equal to) all others of a dtype, and the one above."""
    if dtype.kind == "float":
        return -math.inf, math.inf
    least = -(2 ** (dtype.bits - 1)) if dtype.kind == "int" else 0
    return least, least + 2**dtype.bits - 1
