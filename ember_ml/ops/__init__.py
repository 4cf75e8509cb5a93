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
from ember_ml.core.transforms import compute_convolution_shapes as compute_convolution_shapes
from ember_ml.core.transforms import next_fast_len as next_fast_len
from ember_ml.ops.activation import celu as celu
from ember_ml.ops.activation import elu as elu
from ember_ml.ops.activation import gated as gated
from ember_ml.ops.activation import gelu as gelu
from ember_ml.ops.activation import glu as glu
from ember_ml.ops.activation import hard_sigmoid as hard_sigmoid
from ember_ml.ops.activation import hard_silu as hard_silu
from ember_ml.ops.activation import hard_tanh as hard_tanh
from ember_ml.ops.activation import leaky_relu as leaky_relu
from ember_ml.ops.activation import lecun_tanh as lecun_tanh
from ember_ml.ops.activation import log_sigmoid as log_sigmoid
from ember_ml.ops.activation import log_softmax as log_softmax
from ember_ml.ops.activation import mish as mish
from ember_ml.ops.activation import relu as relu
from ember_ml.ops.activation import relu6 as relu6
from ember_ml.ops.activation import selu as selu
from ember_ml.ops.activation import sigmoid as sigmoid
from ember_ml.ops.activation import silu as silu
from ember_ml.ops.activation import softmax as softmax
from ember_ml.ops.activation import softplus as softplus
from ember_ml.ops.activation import softsign as softsign
from ember_ml.ops.calculus import diff as diff
from ember_ml.ops.calculus import gradient as gradient
from ember_ml.ops.calculus import slope as slope
from ember_ml.ops.calculus import trapezoid as trapezoid
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
from ember_ml.ops.control import flat_while as flat_while
from ember_ml.ops.control import scan as scan
from ember_ml.ops.control import stop_gradient as stop_gradient
from ember_ml.ops.control import while_loop as while_loop
from ember_ml.ops.convolution import conv1d as conv1d
from ember_ml.ops.convolution import conv2d as conv2d
from ember_ml.ops.convolution import conv3d as conv3d
from ember_ml.ops.convolution import conv_transpose1d as conv_transpose1d
from ember_ml.ops.convolution import conv_transpose2d as conv_transpose2d
from ember_ml.ops.convolution import conv_transpose3d as conv_transpose3d
from ember_ml.ops.convolution import convolution as convolution
from ember_ml.ops.creation import arange as arange
from ember_ml.ops.creation import asarray as asarray
from ember_ml.ops.creation import astype as astype
from ember_ml.ops.creation import empty as empty
from ember_ml.ops.creation import empty_like as empty_like
from ember_ml.ops.creation import eye as eye
from ember_ml.ops.creation import full as full
from ember_ml.ops.creation import full_like as full_like
from ember_ml.ops.creation import identity as identity
from ember_ml.ops.creation import linspace as linspace
from ember_ml.ops.creation import ones as ones
from ember_ml.ops.creation import ones_like as ones_like
from ember_ml.ops.creation import zeros as zeros
from ember_ml.ops.creation import zeros_like as zeros_like
from ember_ml.ops.cumulative import cumulative_prod as cumulative_prod
from ember_ml.ops.cumulative import cumulative_sum as cumulative_sum
from ember_ml.ops.decompositions import cholesky as cholesky
from ember_ml.ops.decompositions import eig as eig
from ember_ml.ops.decompositions import eigh as eigh
from ember_ml.ops.decompositions import eigvals as eigvals
from ember_ml.ops.decompositions import eigvalsh as eigvalsh
from ember_ml.ops.decompositions import qr as qr
from ember_ml.ops.decompositions import svd as svd
from ember_ml.ops.decompositions import svdvals as svdvals
from ember_ml.ops.distributions import binomial as binomial
from ember_ml.ops.distributions import categorical as categorical
from ember_ml.ops.distributions import exponential as exponential
from ember_ml.ops.distributions import gamma as gamma
from ember_ml.ops.distributions import poisson as poisson
from ember_ml.ops.distributions import randint as randint
from ember_ml.ops.distributions import truncated_normal as truncated_normal
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
from ember_ml.ops.elementwise import conj as conj
from ember_ml.ops.elementwise import copysign as copysign
from ember_ml.ops.elementwise import divide as divide
from ember_ml.ops.elementwise import exp as exp
from ember_ml.ops.elementwise import expm1 as expm1
from ember_ml.ops.elementwise import floor as floor
from ember_ml.ops.elementwise import floor_divide as floor_divide
from ember_ml.ops.elementwise import hypot as hypot
from ember_ml.ops.elementwise import imag as imag
from ember_ml.ops.elementwise import isclose as isclose
from ember_ml.ops.elementwise import isfinite as isfinite
from ember_ml.ops.elementwise import isinf as isinf
from ember_ml.ops.elementwise import isnan as isnan
from ember_ml.ops.elementwise import log as log
from ember_ml.ops.elementwise import log1p as log1p
from ember_ml.ops.elementwise import log2 as log2
from ember_ml.ops.elementwise import log10 as log10
from ember_ml.ops.elementwise import logaddexp as logaddexp
from ember_ml.ops.elementwise import maximum as maximum
from ember_ml.ops.elementwise import minimum as minimum
from ember_ml.ops.elementwise import multiply as multiply
from ember_ml.ops.elementwise import nan_to_num as nan_to_num
from ember_ml.ops.elementwise import negative as negative
from ember_ml.ops.elementwise import nextafter as nextafter
from ember_ml.ops.elementwise import positive as positive
from ember_ml.ops.elementwise import power as power
from ember_ml.ops.elementwise import real as real
from ember_ml.ops.elementwise import reciprocal as reciprocal
from ember_ml.ops.elementwise import remainder as remainder
from ember_ml.ops.elementwise import round as round
from ember_ml.ops.elementwise import rsqrt as rsqrt
from ember_ml.ops.elementwise import sign as sign
from ember_ml.ops.elementwise import signbit as signbit
from ember_ml.ops.elementwise import sqrt as sqrt
from ember_ml.ops.elementwise import square as square
from ember_ml.ops.elementwise import subtract as subtract
from ember_ml.ops.elementwise import trunc as trunc
from ember_ml.ops.elementwise import where as where
from ember_ml.ops.feature import PCAState as PCAState
from ember_ml.ops.feature import inverse_transform as inverse_transform
from ember_ml.ops.feature import normalize as normalize
from ember_ml.ops.feature import pca as pca
from ember_ml.ops.feature import standardize as standardize
from ember_ml.ops.feature import transform as transform
from ember_ml.ops.fft import fft as fft
from ember_ml.ops.fft import fft2 as fft2
from ember_ml.ops.fft import fftfreq as fftfreq
from ember_ml.ops.fft import fftn as fftn
from ember_ml.ops.fft import fftshift as fftshift
from ember_ml.ops.fft import hfft as hfft
from ember_ml.ops.fft import ifft as ifft
from ember_ml.ops.fft import ifft2 as ifft2
from ember_ml.ops.fft import ifftn as ifftn
from ember_ml.ops.fft import ifftshift as ifftshift
from ember_ml.ops.fft import ihfft as ihfft
from ember_ml.ops.fft import irfft as irfft
from ember_ml.ops.fft import irfft2 as irfft2
from ember_ml.ops.fft import irfftn as irfftn
from ember_ml.ops.fft import rfft as rfft
from ember_ml.ops.fft import rfft2 as rfft2
from ember_ml.ops.fft import rfftfreq as rfftfreq
from ember_ml.ops.fft import rfftn as rfftn
from ember_ml.ops.geometry import extract_center as extract_center
from ember_ml.ops.geometry import rigid_transform as rigid_transform
from ember_ml.ops.geometry import topleft_pad as topleft_pad
from ember_ml.ops.grids import indices as indices
from ember_ml.ops.grids import meshgrid as meshgrid
from ember_ml.ops.grids import tril as tril
from ember_ml.ops.grids import tril_indices as tril_indices
from ember_ml.ops.grids import triu as triu
from ember_ml.ops.grids import triu_indices as triu_indices
from ember_ml.ops.indexing import getitem as getitem
from ember_ml.ops.indexing import index_add as index_add
from ember_ml.ops.indexing import index_max as index_max
from ember_ml.ops.indexing import index_min as index_min
from ember_ml.ops.indexing import one_hot as one_hot
from ember_ml.ops.indexing import slice_tensor as slice_tensor
from ember_ml.ops.indexing import slice_update as slice_update
from ember_ml.ops.indexing import take as take
from ember_ml.ops.interpolation import map_coordinates as map_coordinates
from ember_ml.ops.linalg import lstsq as lstsq
from ember_ml.ops.linalg import matrix_norm as matrix_norm
from ember_ml.ops.linalg import matrix_power as matrix_power
from ember_ml.ops.linalg import matrix_rank as matrix_rank
from ember_ml.ops.linalg import norm as norm
from ember_ml.ops.linalg import pinv as pinv
from ember_ml.ops.linalg import vector_norm as vector_norm
from ember_ml.ops.loss import binary_crossentropy as binary_crossentropy
from ember_ml.ops.loss import categorical_crossentropy as categorical_crossentropy
from ember_ml.ops.loss import hinge as hinge
from ember_ml.ops.loss import huber_loss as huber_loss
from ember_ml.ops.loss import kl_divergence as kl_divergence
from ember_ml.ops.loss import log_cosh_loss as log_cosh_loss
from ember_ml.ops.loss import mean_absolute_error as mean_absolute_error
from ember_ml.ops.loss import mse as mse
from ember_ml.ops.loss import quantile_loss as quantile_loss
from ember_ml.ops.loss import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from ember_ml.ops.loss import squared_hinge as squared_hinge
from ember_ml.ops.mapping import map as map
from ember_ml.ops.mapping import map_blocks as map_blocks
from ember_ml.ops.pooling import avg_pool1d as avg_pool1d
from ember_ml.ops.pooling import avg_pool2d as avg_pool2d
from ember_ml.ops.pooling import avg_pool3d as avg_pool3d
from ember_ml.ops.pooling import max_pool1d as max_pool1d
from ember_ml.ops.pooling import max_pool2d as max_pool2d
from ember_ml.ops.pooling import max_pool3d as max_pool3d
from ember_ml.ops.products import cross as cross
from ember_ml.ops.products import diag as diag
from ember_ml.ops.products import diagonal as diagonal
from ember_ml.ops.products import dot as dot
from ember_ml.ops.products import einsum as einsum
from ember_ml.ops.products import inner as inner
from ember_ml.ops.products import kron as kron
from ember_ml.ops.products import matmul as matmul
from ember_ml.ops.products import outer as outer
from ember_ml.ops.products import tensordot as tensordot
from ember_ml.ops.products import trace as trace
from ember_ml.ops.products import vecdot as vecdot
from ember_ml.ops.random import bernoulli as bernoulli
from ember_ml.ops.random import fold_in as fold_in
from ember_ml.ops.random import key as key
from ember_ml.ops.random import next_key as next_key
from ember_ml.ops.random import normal as normal
from ember_ml.ops.random import permutation as permutation
from ember_ml.ops.random import random_bits as random_bits
from ember_ml.ops.random import random_pairs as random_pairs
from ember_ml.ops.random import random_words as random_words
from ember_ml.ops.random import split_key as split_key
from ember_ml.ops.random import uniform as uniform
from ember_ml.ops.random import unit_uniform as unit_uniform
from ember_ml.ops.reduction import all as all
from ember_ml.ops.reduction import allclose as allclose
from ember_ml.ops.reduction import any as any
from ember_ml.ops.reduction import argmax as argmax
from ember_ml.ops.reduction import argmin as argmin
from ember_ml.ops.reduction import count_nonzero as count_nonzero
from ember_ml.ops.reduction import logsumexp as logsumexp
from ember_ml.ops.reduction import max as max
from ember_ml.ops.reduction import mean as mean
from ember_ml.ops.reduction import min as min
from ember_ml.ops.reduction import nanmean as nanmean
from ember_ml.ops.reduction import nansum as nansum
from ember_ml.ops.reduction import prod as prod
from ember_ml.ops.reduction import std as std
from ember_ml.ops.reduction import sum as sum
from ember_ml.ops.reduction import var as var
from ember_ml.ops.repetition import pad as pad
from ember_ml.ops.repetition import repeat as repeat
from ember_ml.ops.repetition import roll as roll
from ember_ml.ops.repetition import tile as tile
from ember_ml.ops.scatter import index_update as index_update
from ember_ml.ops.scatter import scatter as scatter
from ember_ml.ops.scatter import tensor_scatter_nd_add as tensor_scatter_nd_add
from ember_ml.ops.scatter import tensor_scatter_nd_max as tensor_scatter_nd_max
from ember_ml.ops.scatter import tensor_scatter_nd_min as tensor_scatter_nd_min
from ember_ml.ops.scatter import tensor_scatter_nd_update as tensor_scatter_nd_update
from ember_ml.ops.scores import max_filter_coordinates as max_filter_coordinates
from ember_ml.ops.scores import max_score_over_rotations as max_score_over_rotations
from ember_ml.ops.scores import maximum_filter as maximum_filter
from ember_ml.ops.scores import norm_scores as norm_scores
from ember_ml.ops.searching import argwhere as argwhere
from ember_ml.ops.searching import bincount as bincount
from ember_ml.ops.searching import isin as isin
from ember_ml.ops.searching import nonzero as nonzero
from ember_ml.ops.searching import searchsorted as searchsorted
from ember_ml.ops.searching import unique as unique
from ember_ml.ops.searching import unique_all as unique_all
from ember_ml.ops.searching import unique_counts as unique_counts
from ember_ml.ops.searching import unique_inverse as unique_inverse
from ember_ml.ops.searching import unique_values as unique_values
from ember_ml.ops.shape import atleast_1d as atleast_1d
from ember_ml.ops.shape import atleast_2d as atleast_2d
from ember_ml.ops.shape import atleast_3d as atleast_3d
from ember_ml.ops.shape import broadcast_arrays as broadcast_arrays
from ember_ml.ops.shape import broadcast_to as broadcast_to
from ember_ml.ops.shape import concat as concat
from ember_ml.ops.shape import expand_dims as expand_dims
from ember_ml.ops.shape import flip as flip
from ember_ml.ops.shape import hstack as hstack
from ember_ml.ops.shape import matrix_transpose as matrix_transpose
from ember_ml.ops.shape import moveaxis as moveaxis
from ember_ml.ops.shape import permute_dims as permute_dims
from ember_ml.ops.shape import ravel as ravel
from ember_ml.ops.shape import reshape as reshape
from ember_ml.ops.shape import split as split
from ember_ml.ops.shape import squeeze as squeeze
from ember_ml.ops.shape import stack as stack
from ember_ml.ops.shape import swapaxes as swapaxes
from ember_ml.ops.shape import transpose as transpose
from ember_ml.ops.shape import unstack as unstack
from ember_ml.ops.shape import vstack as vstack
from ember_ml.ops.solving import det as det
from ember_ml.ops.solving import inv as inv
from ember_ml.ops.solving import slogdet as slogdet
from ember_ml.ops.solving import solve as solve
from ember_ml.ops.sorting import argsort as argsort
from ember_ml.ops.sorting import sort as sort
from ember_ml.ops.sorting import take_along_axis as take_along_axis
from ember_ml.ops.sorting import topk as topk
from ember_ml.ops.sorting import topk_indices as topk_indices
from ember_ml.ops.sorting import unravel_index as unravel_index
from ember_ml.ops.special import digamma as digamma
from ember_ml.ops.special import erf as erf
from ember_ml.ops.special import erfinv as erfinv
from ember_ml.ops.special import lgamma as lgamma
from ember_ml.ops.statistics import median as median
from ember_ml.ops.statistics import percentile as percentile
from ember_ml.ops.statistics import quantile as quantile
from ember_ml.ops.trigonometry import acos as acos
from ember_ml.ops.trigonometry import acosh as acosh
from ember_ml.ops.trigonometry import angle as angle
from ember_ml.ops.trigonometry import asin as asin
from ember_ml.ops.trigonometry import asinh as asinh
from ember_ml.ops.trigonometry import atan as atan
from ember_ml.ops.trigonometry import atan2 as atan2
from ember_ml.ops.trigonometry import atanh as atanh
from ember_ml.ops.trigonometry import cos as cos
from ember_ml.ops.trigonometry import cosh as cosh
from ember_ml.ops.trigonometry import sin as sin
from ember_ml.ops.trigonometry import sinh as sinh
from ember_ml.ops.trigonometry import tan as tan
from ember_ml.ops.trigonometry import tanh as tanh
from ember_ml.ops.vector import compute_energy_stability as compute_energy_stability
from ember_ml.ops.vector import compute_interference_strength as compute_interference_strength
from ember_ml.ops.vector import compute_phase_coherence as compute_phase_coherence
from ember_ml.ops.vector import cosine_similarity as cosine_similarity
from ember_ml.ops.vector import euclidean_distance as euclidean_distance
from ember_ml.ops.vector import exponential_decay as exponential_decay
from ember_ml.ops.vector import gaussian as gaussian
from ember_ml.ops.vector import normalize_vector as normalize_vector
from ember_ml.ops.vector import partial_interference as partial_interference
from ember_ml.ops.windows import fold_windows as fold_windows
from ember_ml.ops.windows import sliding_windows as sliding_windows

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
    *("save", "load"),
)


def __getattr__(name):
    """Find an op under another spelling, or the functions of the active backend that the seeds put here."""
    if name in ALIASES:
        return TABLE[ALIASES[name]].function
    if name in _OF_THE_BACKEND:
        import ember_ml.backend

        return getattr(ember_ml.backend, name)
    return unknown(name)
