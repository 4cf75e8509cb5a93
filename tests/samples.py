"""Arguments for the laws: drawn from an op's contract, or written here where it takes more than arrays."""

import inspect
import zlib

import numpy as np

from ember_ml.core import TABLE

MATRIX, ROW, BATCH = (3, 4), (4,), (2, 3, 4)

# shapes of the array arguments, settings. An entry may give arrays instead of shapes.
WRITTEN = {
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
    "matrix_transpose": [([BATCH], {})],
    "reshape": [([MATRIX], {"shape": (2, 6)}), ([MATRIX], {"shape": (-1, 2)}), ([(1, 1)], {"shape": ()})],
    "permute_dims": [([BATCH], {"axes": (2, 0, 1)})],
    "transpose": [([BATCH], {}), ([BATCH], {"axes": (0, 2, 1)})],
    "expand_dims": [([MATRIX], {"axis": 1}), ([MATRIX], {"axis": (0, -1)})],
    "squeeze": [([(1, 3, 1)], {}), ([(1, 3, 1)], {"axis": 0})],
    "broadcast_to": [([(3, 1)], {"shape": (2, 3, 4)})],
    "concat": [([[(2, 3), (4, 3)]], {}), ([[(2, 3), (2, 1)]], {"axis": -1})],
    "stack": [([[MATRIX, MATRIX]], {"axis": 1})],
    "split": [([(6, 2)], {"indices_or_sections": 3}), ([(6, 2)], {"indices_or_sections": [1, 4]})],
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
    "cumulative_sum": [([MATRIX], {"axis": 1})],
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
}  # fmt: skip
ELSEWHERE = {"flat_scan", "flat_cond"}  # take graphs: tests/ops/test_control.py


def cases():
    """Return (op, number) for every op of the table, several where one call does not show it all."""
    return [
        (op, i)
        for op in TABLE.values()
        if op.name not in ELSEWHERE
        for i in range(len(WRITTEN.get(op.name, [0])))
    ]


def sample(op, number, dtype):
    """Return NumPy arguments for an op, drawn from its domain, and settings. The same ones at each call."""
    rng = np.random.default_rng(zlib.crc32(f"{op.name}{number}".encode()))
    if op.name in WRITTEN:
        shapes, settings = WRITTEN[op.name][number]
    else:
        shapes, settings = [MATRIX, ROW, MATRIX][: len(op.arrays)], {}
    domains = op.domain if isinstance(op.domain[0], tuple) else [op.domain] * len(shapes)

    def draw(shape, domain):
        if isinstance(shape, np.ndarray):
            return shape
        if isinstance(shape, list):
            return [draw(s, domain) for s in shape]
        if op.kinds == ("bool",):
            return rng.random(shape) < 0.5
        if "float" not in op.kinds:
            return rng.integers(max(0, int(domain[0])), max(3, int(domain[1])), shape).astype("int32")
        return rng.uniform(*domain, shape).astype(dtype)

    return [draw(s, d) for s, d in zip(shapes, domains, strict=False)], dict(settings)


def call(op, args, settings):
    """Call an op as its signature wants it."""
    if op.name == "einsum":
        return op.function(settings["subscripts"], *args)
    return op.function(*args, **settings)


def takes_floats(op, args):
    """Whether a gradient can be asked for at all: the op has float arguments."""
    flat = [x for a in args for x in (a if isinstance(a, list) else [a])]
    return any(x.dtype.kind == "f" for x in flat)


def signature(op):
    """Return the signature that an editor shows."""
    return inspect.signature(op.function)
