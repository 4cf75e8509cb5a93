"""The table: every op, one section each, grouped by kind. No engine is named here.

Arrays are positional, settings are keywords. The arguments choose the engine; only what has no array argument
asks for the active backend.
"""

from ember_ml.core.keys import get_seed as get_seed
from ember_ml.core.keys import get_stream as get_stream
from ember_ml.core.keys import set_seed as set_seed
from ember_ml.core.keys import set_stream as set_stream
from ember_ml.core.op import ALIASES, TABLE, alias, unknown
from ember_ml.core.operators import derive_operators
from ember_ml.ops.activation import elu as elu
from ember_ml.ops.activation import gelu as gelu
from ember_ml.ops.activation import leaky_relu as leaky_relu
from ember_ml.ops.activation import lecun_tanh as lecun_tanh
from ember_ml.ops.activation import log_sigmoid as log_sigmoid
from ember_ml.ops.activation import log_softmax as log_softmax
from ember_ml.ops.activation import relu as relu
from ember_ml.ops.activation import sigmoid as sigmoid
from ember_ml.ops.activation import silu as silu
from ember_ml.ops.activation import softmax as softmax
from ember_ml.ops.activation import softplus as softplus
from ember_ml.ops.comparison import equal as equal
from ember_ml.ops.comparison import greater as greater
from ember_ml.ops.comparison import greater_equal as greater_equal
from ember_ml.ops.comparison import less as less
from ember_ml.ops.comparison import less_equal as less_equal
from ember_ml.ops.comparison import logical_and as logical_and
from ember_ml.ops.comparison import logical_not as logical_not
from ember_ml.ops.comparison import logical_or as logical_or
from ember_ml.ops.comparison import logical_xor as logical_xor
from ember_ml.ops.comparison import not_equal as not_equal
from ember_ml.ops.control import cond as cond
from ember_ml.ops.control import flat_cond as flat_cond
from ember_ml.ops.control import flat_scan as flat_scan
from ember_ml.ops.control import scan as scan
from ember_ml.ops.control import stop_gradient as stop_gradient
from ember_ml.ops.creation import arange as arange
from ember_ml.ops.creation import asarray as asarray
from ember_ml.ops.creation import astype as astype
from ember_ml.ops.creation import eye as eye
from ember_ml.ops.creation import full as full
from ember_ml.ops.creation import full_like as full_like
from ember_ml.ops.creation import linspace as linspace
from ember_ml.ops.creation import ones as ones
from ember_ml.ops.creation import ones_like as ones_like
from ember_ml.ops.creation import zeros as zeros
from ember_ml.ops.creation import zeros_like as zeros_like
from ember_ml.ops.elementwise import abs as abs
from ember_ml.ops.elementwise import add as add
from ember_ml.ops.elementwise import bitwise_and as bitwise_and
from ember_ml.ops.elementwise import bitwise_invert as bitwise_invert
from ember_ml.ops.elementwise import bitwise_left_shift as bitwise_left_shift
from ember_ml.ops.elementwise import bitwise_or as bitwise_or
from ember_ml.ops.elementwise import bitwise_right_shift as bitwise_right_shift
from ember_ml.ops.elementwise import bitwise_xor as bitwise_xor
from ember_ml.ops.elementwise import ceil as ceil
from ember_ml.ops.elementwise import clip as clip
from ember_ml.ops.elementwise import cos as cos
from ember_ml.ops.elementwise import cosh as cosh
from ember_ml.ops.elementwise import divide as divide
from ember_ml.ops.elementwise import erf as erf
from ember_ml.ops.elementwise import exp as exp
from ember_ml.ops.elementwise import expm1 as expm1
from ember_ml.ops.elementwise import floor as floor
from ember_ml.ops.elementwise import floor_divide as floor_divide
from ember_ml.ops.elementwise import isclose as isclose
from ember_ml.ops.elementwise import isfinite as isfinite
from ember_ml.ops.elementwise import isnan as isnan
from ember_ml.ops.elementwise import log as log
from ember_ml.ops.elementwise import log1p as log1p
from ember_ml.ops.elementwise import logaddexp as logaddexp
from ember_ml.ops.elementwise import maximum as maximum
from ember_ml.ops.elementwise import minimum as minimum
from ember_ml.ops.elementwise import multiply as multiply
from ember_ml.ops.elementwise import negative as negative
from ember_ml.ops.elementwise import positive as positive
from ember_ml.ops.elementwise import power as power
from ember_ml.ops.elementwise import remainder as remainder
from ember_ml.ops.elementwise import round as round
from ember_ml.ops.elementwise import sign as sign
from ember_ml.ops.elementwise import sin as sin
from ember_ml.ops.elementwise import sinh as sinh
from ember_ml.ops.elementwise import sqrt as sqrt
from ember_ml.ops.elementwise import square as square
from ember_ml.ops.elementwise import subtract as subtract
from ember_ml.ops.elementwise import tan as tan
from ember_ml.ops.elementwise import tanh as tanh
from ember_ml.ops.elementwise import where as where
from ember_ml.ops.indexing import getitem as getitem
from ember_ml.ops.indexing import index_add as index_add
from ember_ml.ops.indexing import one_hot as one_hot
from ember_ml.ops.indexing import slice_update as slice_update
from ember_ml.ops.indexing import take as take
from ember_ml.ops.linalg import einsum as einsum
from ember_ml.ops.linalg import matmul as matmul
from ember_ml.ops.linalg import outer as outer
from ember_ml.ops.linalg import tensordot as tensordot
from ember_ml.ops.linalg import vecdot as vecdot
from ember_ml.ops.loss import binary_crossentropy as binary_crossentropy
from ember_ml.ops.loss import categorical_crossentropy as categorical_crossentropy
from ember_ml.ops.loss import mean_absolute_error as mean_absolute_error
from ember_ml.ops.loss import mse as mse
from ember_ml.ops.loss import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from ember_ml.ops.random import bernoulli as bernoulli
from ember_ml.ops.random import fold_in as fold_in
from ember_ml.ops.random import key as key
from ember_ml.ops.random import next_key as next_key
from ember_ml.ops.random import normal as normal
from ember_ml.ops.random import permutation as permutation
from ember_ml.ops.random import random_bits as random_bits
from ember_ml.ops.random import random_words as random_words
from ember_ml.ops.random import uniform as uniform
from ember_ml.ops.reduction import all as all
from ember_ml.ops.reduction import allclose as allclose
from ember_ml.ops.reduction import any as any
from ember_ml.ops.reduction import argmax as argmax
from ember_ml.ops.reduction import argmin as argmin
from ember_ml.ops.reduction import cumulative_sum as cumulative_sum
from ember_ml.ops.reduction import logsumexp as logsumexp
from ember_ml.ops.reduction import max as max
from ember_ml.ops.reduction import mean as mean
from ember_ml.ops.reduction import min as min
from ember_ml.ops.reduction import std as std
from ember_ml.ops.reduction import sum as sum
from ember_ml.ops.reduction import var as var
from ember_ml.ops.shape import broadcast_to as broadcast_to
from ember_ml.ops.shape import concat as concat
from ember_ml.ops.shape import expand_dims as expand_dims
from ember_ml.ops.shape import flip as flip
from ember_ml.ops.shape import matrix_transpose as matrix_transpose
from ember_ml.ops.shape import permute_dims as permute_dims
from ember_ml.ops.shape import reshape as reshape
from ember_ml.ops.shape import split as split
from ember_ml.ops.shape import squeeze as squeeze
from ember_ml.ops.shape import stack as stack
from ember_ml.ops.shape import transpose as transpose
from ember_ml.ops.sorting import argsort as argsort
from ember_ml.ops.sorting import sort as sort

alias("concat", "concatenate")
alias("remainder", "mod")
alias("power", "pow")
alias("take", "gather")
alias("astype", "cast")
alias("cumulative_sum", "cumsum")

derive_operators()


def __getattr__(name):
    """Find an op under another spelling, or the functions of the active backend that the seeds put here."""
    if name in ALIASES:
        return TABLE[ALIASES[name]].function
    if name in ("set_backend", "get_backend", "auto_select_backend"):
        import ember_ml.backend

        return getattr(ember_ml.backend, name)
    return unknown(name)
