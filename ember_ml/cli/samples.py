"""Arguments for the laws: drawn from an op's contract, or written here where it takes more than arrays."""

import zlib
from typing import Any

import numpy as np

from ember_ml import ops
from ember_ml.core import TABLE, as_dtype, tree

MATRIX, ROW, BATCH = (3, 4), (4,), (2, 3, 4)
SQUARES = (2, 3, 3)


class Complex(tuple):
    """The shape of an array to be drawn complex."""


FFT_1D = [
    ([BATCH], {}),
    ([BATCH], {"n": 6, "axis": 1, "norm": "ortho"}),
    ([BATCH], {"n": 2, "norm": "forward"}),
]
FFT_ND = [([BATCH], {}), ([BATCH], {"s": (5, 2), "axes": (0, 2), "norm": "ortho"})]
COMPLEX_1D = [([Complex(BATCH)], {}), ([Complex(BATCH)], {"n": 7, "axis": 1, "norm": "forward"})]
COMPLEX_ND = [([Complex(BATCH)], {}), ([Complex(BATCH)], {"s": (3, 5), "axes": (-1, 1), "norm": "ortho"})]

PLACES = np.array([[0.2, 1.7, -0.4, 1.1, 2.9], [2.6, 0.3, 1.5, 3.7, 1.2]])  # one outside, in "constant"
TURN = np.array([[0.8, -0.6], [0.6, 0.8]])

# shapes of the array arguments, settings. An entry may give arrays instead of shapes.
WRITTEN = {
    "convolution": [
        (
            [(1, 4, 4, 3), (2, 2, 3, 2)],
            {
                "stride": (2, 1),
                "padding": ((1, 2), (2, -1)),
                "dilation": (1, 2),
                "input_dilation": (1, 2),
                "groups": 2,
            },
        ),
    ],
    "conv1d": [([(2, 2, 5), (3, 2, 2), (3,)], {}), ([(2, 5), (2, 1, 2)], {"groups": 2, "padding": "same"})],
    "conv2d": [([(1, 2, 4, 3), (2, 2, 3, 2), (2,)], {"stride": (2, 1), "padding": 1})],
    "conv3d": [([(1, 2, 3, 2, 3), (2, 1, 2, 2, 2)], {"groups": 2, "padding": 1, "stride": 2})],
    "conv_transpose1d": [([(2, 2, 3), (2, 3, 2), (3,)], {"stride": 2, "output_padding": 1})],
    "conv_transpose2d": [([(1, 2, 3, 2), (2, 1, 2, 3)], {"groups": 2, "stride": 2, "padding": (0, 1)})],
    "conv_transpose3d": [([(1, 2, 2, 1, 2), (2, 1, 2, 2, 2)], {"dilation": 2, "padding": 1})],
    "sliding_windows": [
        ([(2, 5)], {"shape": (3,)}),
        ([BATCH], {"shape": (2, 2), "stride": (1, 2)}),
        ([(6,)], {"shape": (2,), "dilation": 2, "stride": 3}),
    ],
    "fold_windows": [([(2, 3, 3)], {"sizes": (5,)}), ([(2, 2, 2, 2)], {"sizes": (3, 4), "stride": (1, 2)})],
    "max_pool1d": [([(2, 3, 6)], {"kernel_size": 2})],
    "max_pool2d": [([(2, 4, 5)], {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)})],
    "max_pool3d": [([(1, 2, 3, 4)], {"kernel_size": 2, "stride": 1})],
    "avg_pool1d": [([(2, 3, 6)], {"kernel_size": 2})],
    "avg_pool2d": [
        ([(2, 4, 5)], {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
        ([(2, 4, 5)], {"kernel_size": 3, "padding": 1, "stride": 2, "count_include_pad": False}),
    ],
    "avg_pool3d": [([(1, 2, 3, 4)], {"kernel_size": 2, "stride": 1})],
    "topleft_pad": [([(2, 3)], {"shape": (4, 2), "padval": 1.5})],
    "extract_center": [([(5, 4)], {"newshape": (2, 3)})],
    "map_coordinates": [
        ([MATRIX, PLACES], {}),
        ([MATRIX, PLACES], {"order": 3, "mode": "mirror"}),
        ([MATRIX, PLACES], {"order": 3, "mode": "grid-wrap"}),
        ([MATRIX, PLACES], {"order": 0, "cval": 1.5}),
    ],
    "rigid_transform": [
        ([MATRIX, TURN, MATRIX, np.array([0.3, -0.2])], {}),
        ([MATRIX, TURN], {"order": 1, "use_geometric_center": True}),
    ],
    "max_filter_coordinates": [([MATRIX], {"min_distance": 2})],
    "maximum_filter": [([MATRIX], {"size": (2, 3)}), ([MATRIX], {"size": 3, "mode": "constant"})],
    "max_score_over_rotations": [([MATRIX, MATRIX, np.full((3, 4), 7), np.array(9)], {})],
    "norm_scores": [([MATRIX, MATRIX, MATRIX, ()], {"eps": 1e-6})],
    "matmul": [
        ([(3, 4), (4, 2)], {}),
        ([BATCH, (4, 5)], {}),
        ([(4,), (4,)], {}),
        ([BATCH, (4,)], {}),
        ([(3,), (2, 3, 4)], {}),
    ],
    "einsum": [
        ([(3, 4), (4, 2)], {"subscripts": "ij,jk->ik"}),
        ([BATCH], {"subscripts": "bij->bj"}),
        ([(2, 3), (3, 4), (4,)], {"subscripts": "...i,ij,j->...j"}),
    ],
    "tensordot": [([BATCH, (4, 3)], {"axes": 1}), ([BATCH, (4, 3, 5)], {"axes": ([2, 1], [0, 1])})],
    "outer": [([(3,), (4,)], {})],
    "inner": [([BATCH, MATRIX], {}), ([(), ROW], {})],
    "dot": [([MATRIX, ROW], {}), ([BATCH, (2, 4, 3)], {}), ([ROW, ()], {})],
    "vecdot": [([BATCH, MATRIX], {}), ([Complex(MATRIX), Complex(MATRIX)], {"axis": 0})],
    "kron": [([(2, 3), (3, 2)], {}), ([ROW, (2, 2)], {})],
    "cross": [([(2, 3), (3,)], {}), ([(3, 4), (3, 1)], {"axis": 0})],
    "diagonal": [([BATCH], {}), *(([BATCH], {"offset": k}) for k in (2, -1, 9))],
    "trace": [([BATCH], {}), ([MATRIX], {"offset": 1, "dtype": "float64"})],
    "diag": [([MATRIX], {"k": 1}), ([ROW], {"k": -1}), ([ROW], {})],
    "cholesky": [([SQUARES], {}), ([SQUARES], {"upper": True}), ([Complex(SQUARES)], {})],
    "eigh": [([SQUARES], {}), ([Complex(SQUARES)], {})],
    "eigvalsh": [([SQUARES], {}), ([Complex(SQUARES)], {})],
    "eig": [([SQUARES], {}), ([Complex(SQUARES)], {})],
    "eigvals": [([SQUARES], {}), ([Complex(SQUARES)], {})],
    "qr": [
        ([SQUARES], {}), ([(2, 4, 3)], {}), ([BATCH], {}),
        ([(4, 3)], {"mode": "complete"}), ([Complex((4, 3))], {}), ([Complex(MATRIX)], {}),
    ],
    "svd": [
        ([SQUARES], {}), ([BATCH], {}), ([(4, 3)], {}), ([BATCH], {"full_matrices": False}),
        ([Complex((4, 3))], {"full_matrices": False}), ([Complex(MATRIX)], {}),
    ],
    "svdvals": [([BATCH], {}), ([Complex((4, 3))], {})],
    "solve": [
        ([SQUARES, (2, 3, 2)], {}), ([SQUARES, (3,)], {}), ([(3, 3), (2, 3, 1)], {}), ([SQUARES, (3, 2)], {}),
        ([Complex(SQUARES), Complex((3, 2))], {}),
    ],
    "inv": [([SQUARES], {}), ([Complex((3, 3))], {})],
    "det": [([SQUARES], {}), ([Complex((3, 3))], {})],
    "slogdet": [([SQUARES], {}), ([Complex((3, 3))], {})],
    "pinv": [([BATCH], {}), ([(4, 3)], {"rtol": 1e-3}), ([Complex((4, 3))], {})],
    "lstsq": [
        ([(5, 3), (5,)], {}), ([(2, 5, 3), (2, 5, 2)], {}), ([MATRIX, (3, 2)], {}),
        ([(5, 3), (5, 2)], {"rcond": 1e-3}),
        ([Complex((5, 3)), Complex((5, 2))], {}),
    ],
    "matrix_rank": [([BATCH], {}), ([MATRIX], {"rtol": 0.5})],
    "matrix_power": [([SQUARES], {"n": 5}), ([SQUARES], {"n": 0}), ([SQUARES], {"n": -2})],
    "vector_norm": [
        ([BATCH], {}), ([BATCH], {"axis": (0, 2), "keepdims": True}), ([BATCH], {"ord": 3.5, "axis": 1}),
        ([BATCH], {"ord": float("inf"), "axis": 1}), ([BATCH], {"ord": 1}), ([Complex(MATRIX)], {"axis": 1}),
    ],
    "matrix_norm": [
        ([BATCH], {"ord": ord}) for ord in ("fro", "nuc", 2, -2, 1, -1, float("inf"), -float("inf"))
    ],
    "norm": [([BATCH], {}), ([BATCH], {"axis": 1}), ([BATCH], {"ord": 2, "axis": (0, 2), "keepdims": True})],
    "fft": FFT_1D + COMPLEX_1D, "ifft": FFT_1D + COMPLEX_1D, "rfft": FFT_1D, "irfft": FFT_1D + COMPLEX_1D,
    "hfft": FFT_1D + COMPLEX_1D, "ihfft": FFT_1D, "fftn": FFT_ND + COMPLEX_ND, "ifftn": FFT_ND + COMPLEX_ND,
    "rfftn": FFT_ND, "irfftn": FFT_ND + COMPLEX_ND, "fft2": FFT_ND, "ifft2": FFT_ND, "rfft2": FFT_ND,
    "irfft2": FFT_ND + COMPLEX_ND,
    "fftfreq": [([], {"n": 5, "d": 0.1}), ([], {"n": 6}), ([], {"n": 1})],
    "rfftfreq": [([], {"n": 5, "d": 0.1}), ([], {"n": 6})],
    "fftshift": [([(3, 5)], {}), ([(3, 5)], {"axes": 1})],
    "ifftshift": [([(3, 5)], {}), ([(3, 5)], {"axes": (-1,)})],
    "matrix_transpose": [([BATCH], {})],
    "reshape": [([MATRIX], {"shape": (2, 6)}), ([MATRIX], {"shape": (-1, 2)}), ([(1, 1)], {"shape": ()})],
    "permute_dims": [([BATCH], {"axes": (2, 0, 1)})],
    "transpose": [([BATCH], {}), ([BATCH], {"axes": (0, 2, 1)})],
    "expand_dims": [([MATRIX], {"axis": 1}), ([MATRIX], {"axis": (0, -1)})],
    "squeeze": [([(1, 3, 1)], {}), ([(1, 3, 1)], {"axis": 0})],
    "broadcast_to": [([(3, 1)], {"shape": (2, 3, 4)})],
    "concat": [
        ([[(2, 3), (4, 3)]], {}),
        ([[(2, 3), (4,)]], {"axis": None}),
        ([[(2, 3), (2, 1)]], {"axis": -1}),
    ],
    "stack": [([[MATRIX, MATRIX]], {"axis": 1})],
    "split": [([(6, 2)], {"indices_or_sections": 3}), ([(6, 2)], {"indices_or_sections": [1, 4]})],
    "swapaxes": [([BATCH], {"axis1": 0, "axis2": -1})],
    "moveaxis": [
        ([BATCH], {"source": 0, "destination": -1}),
        ([BATCH], {"source": (0, 2), "destination": (1, 0)}),
    ],
    "atleast_1d": [([()], {}), ([MATRIX], {})],
    "atleast_2d": [([()], {}), ([ROW], {}), ([MATRIX], {})],
    "atleast_3d": [([()], {}), ([ROW], {}), ([MATRIX], {})],
    "broadcast_arrays": [([MATRIX, ROW, (3, 1)], {})],
    "vstack": [([[ROW, MATRIX]], {})],
    "hstack": [([[(3,), ()]], {}), ([[(2, 3), (2, 1)]], {})],
    "unstack": [([MATRIX], {}), ([BATCH], {"axis": -1})],
    "roll": [
        ([MATRIX], {"shift": 2}),
        ([MATRIX], {"shift": -1, "axis": 1}),
        ([BATCH], {"shift": (1, 5), "axis": (0, -1)}),
    ],
    "repeat": [([MATRIX], {"repeats": 2}), ([MATRIX], {"repeats": 3, "axis": -1})],
    "tile": [
        ([MATRIX], {"repetitions": 2}),
        ([ROW], {"repetitions": (2, 3)}),
        ([MATRIX], {"repetitions": (2, 1, 3)}),
    ],
    "pad": [
        ([MATRIX], {"pad_width": 1}),
        ([MATRIX], {"pad_width": ((0, 2), (3, 1)), "constant_values": -1.5}),
        ([MATRIX], {"pad_width": (5, 2), "mode": "reflect"}),
        ([BATCH], {"pad_width": ((1, 0), (0, 7), (2, 2)), "mode": "edge"}),
        ([ROW], {"pad_width": 9, "mode": "wrap"}),
        ([ROW], {"pad_width": (3, 5), "mode": "symmetric"}),
    ],
    "meshgrid": [([(3,), (4,)], {}), ([(3,), (2,), (4,)], {"indexing": "ij"})],
    "indices": [([], {"shape": (2, 3)}), ([], {"shape": (4,), "dtype": "float32"})],
    "tril": [([MATRIX], {}), ([BATCH], {"k": -1})],
    "triu": [([MATRIX], {}), ([BATCH], {"k": 1})],
    "tril_indices": [([], {"n": 4}), ([], {"n": 3, "k": 1, "m": 5})],
    "triu_indices": [([], {"n": 4}), ([], {"n": 3, "k": -1, "m": 5})],
    "slice_tensor": [([BATCH], {"starts": (0, 1, 2), "sizes": (1, -1, 2)})],
    "empty": [([], {"shape": (2, 3)})],
    "identity": [([], {"n": 3})],
    "flip": [([MATRIX], {}), ([MATRIX], {"axis": 1})],
    "getitem": [
        ([BATCH], {"index": (0, slice(None, None, 2))}),
        ([BATCH], {"index": (Ellipsis, -1)}),
        ([MATRIX], {"index": (None, slice(2, 0, -1))}),
    ],
    "slice_update": [
        ([BATCH, (3, 2)], {"index": (0, slice(None), slice(1, 3))}),
        ([MATRIX, ()], {"index": (slice(0, 2), 1)}),
    ],
    "take": [([MATRIX, np.array([2, 0, 2, -1])], {}), ([BATCH, np.array([[1, 0], [3, 3]])], {"axis": -1})],
    "index_add": [
        ([MATRIX, np.array([2, 0, 2, -1]), (4, 4)], {}),
        ([BATCH, np.array([[1, 0], [3, 3]]), (2, 3, 2, 2)], {"axis": -1}),
    ],
    "index_max": [
        ([MATRIX, np.array([2, 0, 2, -1]), (4, 4)], {}),
        ([BATCH, np.array([[1, 0], [3, 3]]), (2, 3, 2, 2)], {"axis": -1}),
    ],
    "index_min": [([MATRIX, np.array([2, 0, 2, -1]), (4, 4)], {})],
    "index_update": [
        ([MATRIX, np.array([2, 0, 2, -1]), (4, 4)], {}),
        ([BATCH, np.array([[1, 0], [3, 3]]), ROW[:0]], {"axis": -1}),
    ],
    "tensor_scatter_nd_update": [
        ([MATRIX, np.array([[2], [0], [2]]), (3, 4)], {}),
        ([BATCH, np.array([[[1, 0, 3], [0, -1, 2]]]), (1, 2)], {}),
    ],
    "tensor_scatter_nd_add": [([MATRIX, np.array([[2, 1], [0, 0], [2, 1]]), (3,)], {})],
    "tensor_scatter_nd_max": [([MATRIX, np.array([[2, 1], [0, 0], [2, 1]]), (3,)], {})],
    "tensor_scatter_nd_min": [([MATRIX, np.array([[2, 1], [0, 0], [2, 1]]), (3,)], {})],
    "scatter": [
        ([MATRIX, np.array([2, 0, 2])], {"dim_size": 4}),
        ([MATRIX, np.array([2, 0, 2])], {"dim_size": 4, "aggr": "mean"}),
        ([BATCH, np.array([2, 0, 2, 0])], {"dim_size": 3, "aggr": "max", "axis": -1}),
        ([BATCH, np.array([2, 0, 2])], {"dim_size": 4, "aggr": "min", "axis": 1}),
        ([MATRIX, np.array([2, 0, 2])], {"dim_size": 3, "aggr": "softmax"}),
    ],
    "one_hot": [
        ([np.array([[0, 2], [1, 5]])], {"num_classes": 4}),
        ([np.array([0, 2])], {"num_classes": 3, "axis": 0}),
    ],
    "where": [([np.array([[True], [False], [True]]), MATRIX, ROW], {})],
    "clip": [([MATRIX], {"min": -0.5, "max": 0.5})],
    "astype": [([MATRIX], {"dtype": "int32"}), ([MATRIX], {"dtype": "bool"})],
    "full_like": [([MATRIX], {"fill_value": 2.5})],
    "sum": [([MATRIX], {}), ([BATCH], {"axis": (0, 2)}), ([BATCH], {"axis": -1, "keepdims": True})],
    "mean": [([MATRIX], {}), ([BATCH], {"axis": 1, "keepdims": True})],
    "var": [([MATRIX], {}), ([BATCH], {"axis": 1, "correction": 1})],
    "max": [([MATRIX], {}), ([BATCH], {"axis": (0, 1)}), ([BATCH], {"axis": -1, "keepdims": True})],
    "min": [([MATRIX], {}), ([BATCH], {"axis": 1})],
    "argmax": [([MATRIX], {}), ([BATCH], {"axis": 1, "keepdims": True})],
    "cumulative_sum": [
        ([MATRIX], {"axis": 1}),
        ([ROW], {"include_initial": True}),
        ([BATCH], {"axis": 0, "include_initial": True}),
    ],
    "cumulative_prod": [([MATRIX], {"axis": 1}), ([ROW], {"include_initial": True}), ([MATRIX], {"axis": 0})],
    "prod": [([MATRIX], {}), ([BATCH], {"axis": (0, 2)}), ([BATCH], {"axis": -1, "keepdims": True})],
    "count_nonzero": [([MATRIX], {}), ([BATCH], {"axis": 1})],
    "diff": [([MATRIX], {}), ([MATRIX, (3, 2), (3, 1)], {"n": 2}), ([MATRIX], {"axis": 0})],
    "slope": [
        ([MATRIX, ()], {}),
        ([MATRIX, ()], {"axis": 0, "edge_order": 2}),
        ([MATRIX, np.array([0, 1, 3, 4])], {"edge_order": 2}),
    ],
    "trapezoid": [([MATRIX], {"dx": 0.5}), ([MATRIX, ROW], {}), ([MATRIX, MATRIX], {"axis": 0})],
    "median": [([MATRIX], {}), ([BATCH], {"axis": (0, 2)}), ([MATRIX], {"axis": 0, "keepdims": True})],
    "quantile": [([MATRIX], {"q": 0.3}), ([BATCH], {"q": [0.0, 0.25, 1.0], "axis": -1})],
    "percentile": [([MATRIX], {"q": 90, "axis": 1}), ([MATRIX], {"q": [5, 95], "keepdims": True})],
    "take_along_axis": [
        ([MATRIX, np.array([[2, 0], [1, 1], [-1, 3]])], {}),
        ([MATRIX, np.array([[2, 0, 1, -1]])], {"axis": 0}),
        ([(1, 4), np.array([[2, 0], [1, 1], [-1, 3]])], {}),
    ],
    "topk": [([MATRIX], {"k": 2}), ([MATRIX], {"k": 3, "axis": 0}), ([(7,)], {"k": 4})],
    "topk_indices": [([MATRIX], {"k": 5}), ([ROW], {"k": 2})],
    "unravel_index": [([np.array([[0, 5], [23, 7]])], {"shape": BATCH}), ([np.array([2])], {"shape": (4,)})],
    "searchsorted": [
        ([np.array([-1.0, 0.0, 0.0, 2.0]), np.array([[0.0, 3.0], [-1.0, -2.0]])], {}),
        ([np.array([-1, 0, 0, 2]), np.array([[0, 3], [-1, -2]])], {"side": "right"}),
        ([np.array([3, 1, 2]), np.array([2, 0]), np.array([1, 2, 0])], {}),
    ],
    "isin": [([np.array([[1, 2], [3, 4]]), np.array([4, 1, 9])], {}), ([MATRIX, (0,)], {"invert": True})],
    "nonzero": [([np.array([[0, 2], [3, 0]])], {})],
    "argwhere": [([np.array([[0, 2], [3, 0]])], {})],
    **{
        name: [([np.array([[3, 1], [1, 0]])], {}), ([np.array([0.5, -1.0, 0.5])], {})]
        for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values")
    },
    "unique": [
        ([np.array([[3, 1], [1, 0]])], {}),
        ([np.array([[3, 1], [1, 0]])], {"return_index": True, "return_inverse": True, "return_counts": True}),
    ],
    "bincount": [([np.array([3, 1, 1])], {}), ([np.array([0, 2]), np.array([0.5, 2.0])], {"minlength": 5})],
    "argsort": [([MATRIX], {}), ([MATRIX], {"axis": 0, "descending": True})],
    "sort": [([MATRIX], {}), ([MATRIX], {"axis": 0, "descending": True})],
    "softmax": [([MATRIX], {}), ([BATCH], {"axis": 1})],
    "logsumexp": [([MATRIX], {}), ([BATCH], {"axis": (1, 2)})],
    "categorical_crossentropy": [([MATRIX, MATRIX], {}), ([MATRIX, MATRIX], {"from_logits": True})],
    "binary_crossentropy": [([MATRIX, MATRIX], {}), ([MATRIX, MATRIX], {"from_logits": True, "axis": 0})],
    "sparse_categorical_crossentropy": [
        ([np.array([1, 0, 3]), MATRIX], {}),
        ([np.array([1, 0, 3]), MATRIX], {"from_logits": True}),
    ],
    "random_bits": [([np.array([1, 2], "uint32")], {"shape": (3, 5)})],
    "random_pairs": [([np.array([1, 2], "uint32")], {"shape": (3, 5)})],
    "split_key": [([np.array([1, 2], "uint32")], {"num": 3})],
    "unit_uniform": [
        ([np.array([1, 2], "uint32")], {"shape": (3,), "dtype": "float32"}),
        ([np.array([1, 2], "uint32")], {"shape": (3,), "dtype": "float64"}),
    ],
    "random_words": [
        ([np.array([1, 2], "uint32"), np.array([0, 7], "uint32"), np.array([3, 4], "uint32")], {}),
    ],
    "fold_in": [([np.array([1, 2], "uint32"), np.array(7)], {})],
    "zeros": [([], {"shape": (2, 3)})],
    "ones": [([], {"shape": 3, "dtype": "int32"})],
    "full": [([], {"shape": (2,), "fill_value": 1.5})],
    "eye": [([], {"n_rows": 3, "n_cols": 4, "k": 1})],
    "arange": [
        ([], {"start": 1, "stop": 10, "step": 3}),
        ([], {"start": 4}),
        ([], {"start": 0.0, "stop": 1.0, "step": 0.3}),
        ([], {"start": 5, "stop": 0, "step": -2}),
        ([], {"start": 5, "stop": 0}),
        ([], {"start": 1.0, "stop": 2.0, "step": 0.1}),
    ],
    "linspace": [
        ([], {"start": 0.0, "stop": 1.0, "num": 5}),
        ([], {"start": 0.0, "stop": 1.0, "num": 5, "endpoint": False}),
    ],
    "asarray": [([], {"obj": [[1.0, 2.0], [3.0, 4.0]]}), ([], {"obj": [True, False]})],
    "uniform": [([], {"shape": (3, 4)})],
    "normal": [([], {"shape": (3, 4), "mean": 1.0, "stddev": 2.0})],
    "bernoulli": [([], {"shape": (50,), "p": 0.3})],
    "permutation": [([], {"x": 20})],
    "exponential": [([], {"shape": (3, 4), "scale": 2.0})],
    "truncated_normal": [([], {"shape": (3, 4), "low": -1.0, "stddev": 2.0})],
    "gamma": [([], {"shape": (20,), "alpha": 2.5, "beta": 2.0}), ([], {"shape": (20,), "alpha": 0.5})],
    "poisson": [([], {"shape": (20,), "lam": 3.0}), ([], {"shape": (20,), "lam": 2e4, "dtype": "int32"})],
    "binomial": [([], {"shape": (20,), "n": 10, "p": 0.3})],
    "categorical": [
        ([], {"logits": [[0.0, 1.0], [2.0, -1.0]]}),
        ([], {"logits": [0.0, 1.0], "num_samples": 9}),
    ],
    "randint": [([], {"shape": (20,), "low": -3, "high": 9}), ([], {"shape": (5,), "low": 0, "high": 2**40})],
    "glu": [([MATRIX], {}), ([BATCH], {"axis": 0})],
    "gelu": [([MATRIX], {}), ([MATRIX], {"approximate": True})],
    "hard_silu": [([MATRIX], {})],
    "quantile_loss": [([MATRIX, MATRIX], {"quantile": 0.9})],
    "kl_divergence": [([MATRIX, MATRIX], {})],
    "normalize_vector": [([MATRIX], {}), ([MATRIX], {"axis": 1})],
    "euclidean_distance": [([MATRIX, MATRIX], {}), ([MATRIX, MATRIX], {"axis": 1, "keepdims": True})],
    "cosine_similarity": [([MATRIX, MATRIX], {}), ([MATRIX, MATRIX], {"axis": 1})],
    "exponential_decay": [([MATRIX, ()], {}), ([MATRIX, (), MATRIX], {})],
    "compute_energy_stability": [([(2, 12)], {"window_size": 3})],
    "compute_interference_strength": [([(2, 12), (2, 12)], {})],
    "compute_phase_coherence": [([(12,), (14,)], {}), ([(12,), (12,)], {"freq_range": (0.1, 0.3)})],
    "partial_interference": [([(9,), (9,)], {"window_size": 6})],
    "pca": [([(5, 3)], {}), ([(4, 6)], {"n_components": 2})],
    "standardize": [
        ([MATRIX], {}),
        ([MATRIX], {"axis": 1, "with_mean": False}),
        ([MATRIX], {"with_std": False}),
    ],
    "normalize": [([MATRIX], {"norm": n}) for n in ("l1", "l2", "max")],
}  # fmt: skip
ELSEWHERE = {"flat_scan", "flat_cond", "flat_while"}  # take graphs: tests/ops/test_control.py


DATA_DEPENDENT = {
    *("nonzero", "argwhere", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values"),
    *("bincount", "max_filter_coordinates"),
}  # the shape of their results depends on values, so they are not for compiled code


def cases():
    """Return (op, number) for every op of the table, several where one call does not show it all."""
    return [
        (op, i)
        for op in TABLE.values()
        if op.name not in ELSEWHERE
        for i in range(len(WRITTEN.get(op.name, [0])))
    ]


def sample(op: Any, number: int, dtype: str) -> tuple[list, dict]:
    """Return NumPy arguments for an op, drawn from its domain, and settings. The same ones at each call."""
    rng: Any = np.random.default_rng(zlib.crc32(f"{op.name}{number}".encode()))
    if op.name in WRITTEN:
        shapes, settings = WRITTEN[op.name][number]
    else:
        shapes, settings = [MATRIX, ROW, MATRIX][: len(op.arrays)], {}
    domains: Any = op.domain if isinstance(op.domain[0], tuple) else [op.domain] * len(shapes)

    def draw(shape: Any, domain: Any) -> Any:
        if isinstance(shape, np.ndarray):
            return shape
        if isinstance(shape, list):
            return [draw(s, domain) for s in shape]
        if op.kinds == ("bool",):
            return rng.random(shape) < 0.5
        if "float" not in op.kinds:
            return rng.integers(max(0, int(domain[0])), max(3, int(domain[1])), shape).astype("int32")
        values = rng.uniform(*domain, shape).astype(dtype)
        return (
            values + 1j * rng.uniform(*domain, shape).astype(dtype) if isinstance(shape, Complex) else values
        )

    return [draw(s, d) for s, d in zip(shapes, domains, strict=False)], dict(settings)


def hermitian(x):
    """Return the sum of a matrix and its conjugate transpose."""
    return ops.add(x, ops.conj(ops.matrix_transpose(x)))


def positive_definite(x):
    """Return a Hermitian matrix whose eigenvalues are at least 1."""
    one = ops.eye(x.shape[-1], dtype=as_dtype(x.dtype), like=x)
    return ops.add(ops.matmul(x, ops.conj(ops.matrix_transpose(x))), one)


def spread_out(x):
    """Return matrices whose eigenvalues are far apart."""
    steps = ops.arange(x.shape[-1], dtype=ops.abs(x).dtype, like=x)
    return ops.add(x, ops.multiply(ops.diag(steps), 12.0))


def sizes(results):
    """Return results without sign or phase."""
    return tree.map(ops.abs, tuple(results))


def sorted_values(values):
    """Return eigenvalues by their real parts."""
    return ops.take_along_axis(values, ops.argsort(ops.real(values)), axis=-1)


def sorted_sizes(results):
    """Return eigenvalues by their real parts, and the sizes of the eigenvectors in that order."""
    values, vectors = results
    order = ops.argsort(ops.real(values))
    columns = ops.broadcast_to(ops.expand_dims(order, axis=-2), shape=tuple(vectors.shape))
    return sorted_values(values), ops.take_along_axis(ops.abs(vectors), columns, axis=-1)


# What is done to drawn arrays for an op that is choosy: by ops, so that all laws hold for the two together.
PREPARED = {
    "cholesky": positive_definite, "eigh": hermitian, "eigvalsh": hermitian,
    "eig": spread_out, "eigvals": spread_out,
}  # fmt: skip
# What is done to results of which the engine chooses signs, phases or order.
SETTLED = {"eigh": sizes, "qr": sizes, "svd": sizes, "eig": sorted_sizes, "eigvals": sorted_values}


def call(op, args, settings):
    """Call an op with its arrays by position; a setting may stand for one that may be a number."""
    numbers = [] if op.creates else [name for name in op.arrays[len(args) :] if name in settings]
    others = {name: value for name, value in settings.items() if name not in numbers}
    if op.name in PREPARED:
        args = [PREPARED[op.name](x) for x in args]
    out = op.apply(*args, *(settings[name] for name in numbers), **others)
    return SETTLED[op.name](out) if op.name in SETTLED else out


def takes_floats(op, args):
    """Whether a gradient can be asked for at all: the op has float arguments."""
    flat = [x for a in args for x in (a if isinstance(a, list) else [a])]
    return any(x.dtype.kind in "fc" for x in flat)
