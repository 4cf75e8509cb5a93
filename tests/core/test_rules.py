"""Wrong calls: the same words, and the same kind of exception, on every engine, eager and compiled."""

import numpy as np
import pytest

from ember_ml import ops
from ember_ml.compiler import compile, grad
from ember_ml.core.rules import AxisError

# (name, call, exception, words). `a(*shape)` makes floats, `i(values)` integers.
SHAPES = [
    (
        "matmul",
        lambda a, i: ops.matmul(a(3, 4), a(5, 2)),
        ValueError,
        "matmul: inner sizes differ, (3, 4) @ (5, 2)",
    ),
    (
        "matmul of a number",
        lambda a, i: ops.matmul(a(), a(2, 2)),
        ValueError,
        "matmul: expected at least one dimension on each side, () @ (2, 2)",
    ),
    (
        "matmul of stacks",
        lambda a, i: ops.matmul(a(2, 3, 4), a(3, 4, 5)),
        ValueError,
        "matmul: batch sizes do not broadcast, (2, 3, 4) @ (3, 4, 5)",
    ),
    (
        "broadcasting",
        lambda a, i: ops.add(a(3, 4), a(5)),
        ValueError,
        "add: shapes (3, 4) and (5,) do not broadcast",
    ),
    (
        "where",
        lambda a, i: ops.where(ops.greater(a(3), 0), a(4), a(4)),
        ValueError,
        "where: shapes (3,) and (4,) and (4,) do not broadcast",
    ),
    (
        "axis of a sum",
        lambda a, i: ops.sum(a(3, 4), axis=2),
        AxisError,
        "sum: axis 2 is out of range for 2 dimensions",
    ),
    (
        "axis of a mean",
        lambda a, i: ops.mean(a(3, 4), axis=-3),
        AxisError,
        "mean: axis -3 is out of range for 2 dimensions",
    ),
    (
        "axis twice",
        lambda a, i: ops.sum(a(3, 4), axis=(0, -2)),
        ValueError,
        "sum: an axis is named twice in (0, -2)",
    ),
    (
        "axis of argmax",
        lambda a, i: ops.argmax(a(3), axis=1),
        AxisError,
        "argmax: axis 1 is out of range for 1 dimension",
    ),
    (
        "axis of argsort",
        lambda a, i: ops.argsort(a(3), axis=1),
        AxisError,
        "argsort: axis 1 is out of range for 1 dimension",
    ),
    (
        "axis of a running sum",
        lambda a, i: ops.cumulative_sum(a(3), axis=1),
        AxisError,
        "cumulative_sum: axis 1 is out of range for 1 dimension",
    ),
    (
        "max of nothing",
        lambda a, i: ops.max(a(0, 4), axis=0),
        ValueError,
        "max: no values to choose from along axis 0 of shape (0, 4)",
    ),
    (
        "reshape",
        lambda a, i: ops.reshape(a(3, 4), (5, 2)),
        ValueError,
        "reshape: cannot reshape (3, 4) to (5, 2): 12 values do not fill 10 places",
    ),
    (
        "reshape -1",
        lambda a, i: ops.reshape(a(3, 4), (5, -1)),
        ValueError,
        "reshape: cannot reshape (3, 4) to (5, -1): 12 values do not divide into rows of 5",
    ),
    (
        "reshape -1 twice",
        lambda a, i: ops.reshape(a(3, 4), (-1, -1)),
        ValueError,
        "reshape: only one size may be -1, got (-1, -1)",
    ),
    (
        "permute",
        lambda a, i: ops.permute_dims(a(3, 4), (0,)),
        ValueError,
        "permute_dims: axes (0,) must name each of 2 dimensions once",
    ),
    (
        "expand_dims",
        lambda a, i: ops.expand_dims(a(3), axis=4),
        AxisError,
        "expand_dims: axis 4 is out of range for 2 dimensions",
    ),
    ("squeeze", lambda a, i: ops.squeeze(a(3, 1), axis=0), ValueError, "squeeze: axis 0 has size 3, not 1"),
    (
        "broadcast_to",
        lambda a, i: ops.broadcast_to(a(3), (2, 4)),
        ValueError,
        "broadcast_to: shape (3,) does not broadcast to (2, 4)",
    ),
    (
        "concat",
        lambda a, i: ops.concat([a(2, 3), a(2, 4)]),
        ValueError,
        "concat: shapes must agree except along axis 0, got (2, 3), (2, 4)",
    ),
    (
        "concat along no axis",
        lambda a, i: ops.concat([a(2, 3), a(2, 3)], axis=2),
        AxisError,
        "concat: axis 2 is out of range for 2 dimensions",
    ),
    (
        "stack",
        lambda a, i: ops.stack([a(2, 3), a(2, 4)]),
        ValueError,
        "stack: shapes must agree, got (2, 3), (2, 4)",
    ),
    (
        "split",
        lambda a, i: ops.split(a(5), 2),
        ValueError,
        "split: axis 0 of size 5 does not split into 2 equal parts",
    ),
    (
        "getitem",
        lambda a, i: ops.getitem(a(3, 4), (3,)),
        IndexError,
        "getitem: index 3 is out of bounds for axis 0 with size 3",
    ),
    (
        "getitem by a number",
        lambda a, i: ops.getitem(a(3, 4), -4),
        IndexError,
        "getitem: index -4 is out of bounds for axis 0 with size 3",
    ),
    (
        "getitem of too many",
        lambda a, i: ops.getitem(a(3), (0, 0)),
        IndexError,
        "getitem: too many indices: 2 for 1 dimension",
    ),
    (
        "slice_update",
        lambda a, i: ops.slice_update(a(3, 4), a(5), index=(0,)),
        ValueError,
        "slice_update: updates of shape (5,) do not fit the region of shape (4,)",
    ),
    (
        "slice_update outside",
        lambda a, i: ops.slice_update(a(3, 4), a(4), index=3),
        IndexError,
        "slice_update: index 3 is out of bounds for axis 0 with size 3",
    ),
    (
        "axis of take",
        lambda a, i: ops.take(a(3, 4), i([0]), axis=2),
        AxisError,
        "take: axis 2 is out of range for 2 dimensions",
    ),
    (
        "take by floats",
        lambda a, i: ops.take(a(3, 4), a(2)),
        TypeError,
        "take: indices must be integers, got float32",
    ),
    (
        "axis of index_add",
        lambda a, i: ops.index_add(a(3, 4), i([0]), a(1, 4), axis=2),
        AxisError,
        "index_add: axis 2 is out of range for 2 dimensions",
    ),
    (
        "einsum",
        lambda a, i: ops.einsum("ij,jk->ik", a(3, 4), a(5, 2)),
        ValueError,
        "einsum: 'ij,jk->ik': index j has sizes 4 and 5",
    ),
    (
        "einsum of one",
        lambda a, i: ops.einsum("ij,jk->ik", a(3, 4)),
        ValueError,
        "einsum: 'ij,jk->ik' names 2 operands, got 1",
    ),
    (
        "tensordot",
        lambda a, i: ops.tensordot(a(3, 4), a(5, 4), axes=1),
        ValueError,
        "tensordot: summed axes differ in size, [4] and [5]",
    ),
    (
        "bits of floats",
        lambda a, i: ops.bitwise_and(a(3), a(3)),
        TypeError,
        "bitwise_and: expected boolean or unsigned or integer arrays, got float32",
    ),
    (
        "dtype",
        lambda a, i: ops.astype(a(3), "float33"),
        TypeError,
        "astype: unknown dtype 'float33'; known: bool, int8",
    ),
]
# Values that are known to eager code alone, and calls without an array.
VALUES = [
    (
        "take",
        lambda a, i: ops.take(a(3, 4), i([0, 3])),
        IndexError,
        "take: index 3 is out of bounds for axis 0 with size 3",
    ),
    (
        "take from the end",
        lambda a, i: ops.take(a(3, 4), i([-5]), axis=1),
        IndexError,
        "take: index -5 is out of bounds for axis 1 with size 4",
    ),
    (
        "index_add",
        lambda a, i: ops.index_add(a(3, 4), i([3]), a(1, 4)),
        IndexError,
        "index_add: index 3 is out of bounds for axis 0 with size 3",
    ),
    ("no arrays", lambda a, i: ops.concat([]), ValueError, "concat: expected at least one array, got none"),
    ("nothing", lambda a, i: ops.exp(None), TypeError, "exp: expected arrays, got None"),
    ("half of nothing", lambda a, i: ops.add(a(2), None), TypeError, "add: expected arrays, got None"),
    (
        "negative sizes",
        lambda a, i: ops.zeros((2, -1)),
        ValueError,
        "zeros: sizes are not negative, got shape (2, -1)",
    ),
    (
        "full of an unknown dtype",
        lambda a, i: ops.full((2,), 1.0, dtype="floaty"),
        TypeError,
        "full: unknown dtype 'floaty'; known: bool, int8",
    ),
    ("arange of no steps", lambda a, i: ops.arange(0, 5, 0), ValueError, "arange: step must not be 0"),
    (
        "ragged rows",
        lambda a, i: ops.asarray([[1.0], [1.0, 2.0]]),
        ValueError,
        "asarray: rows differ in length: (1,) and (2,)",
    ),
    (
        "a word",
        lambda a, i: ops.asarray("word"),
        TypeError,
        "asarray: expected numbers in nested lists of equal length, got 'word'",
    ),
    (
        "integer noise",
        lambda a, i: ops.normal((2,), dtype="int32"),
        TypeError,
        "normal: random numbers are floats, got dtype int32",
    ),
]


def makers(be):
    return (
        lambda *shape: be.array(np.ones(shape, "float32")),
        lambda values: be.array(np.array(values, "int32")),
    )


def caught(call, *arguments):
    with pytest.raises((ValueError, TypeError, IndexError)) as told:
        call(*arguments)
    return told.value


@pytest.mark.parametrize(
    ("name", "call", "kind", "words"), SHAPES + VALUES, ids=[w[0] for w in SHAPES + VALUES]
)
def test_a_wrong_call_is_explained_in_the_same_words_everywhere(be, name, call, kind, words):
    error = caught(call, *makers(be))
    assert type(error) is kind
    assert str(error).startswith(words)
    assert "\n" not in str(error)


@pytest.mark.parametrize("be", ["numpy"], indirect=True)  # a rule speaks before an engine is asked
@pytest.mark.parametrize(("name", "call", "kind", "words"), SHAPES, ids=[w[0] for w in SHAPES])
def test_compiled_code_says_the_same(be, name, call, kind, words):
    given = []
    a, i = makers(be)

    def gather(make):
        def one(*args):
            given.append(make(*args))
            return given[-1]

        return one

    caught(call, gather(a), gather(i))  # which arrays it makes

    def program(*arrays):
        rest = iter(arrays)
        return call(lambda *_: next(rest), lambda *_: next(rest))

    error = caught(compile(program, be), *given)
    assert type(error) is kind
    assert str(error).startswith(words)


@pytest.mark.parametrize("be", ["numpy"], indirect=True)  # a rule speaks before an engine is asked
@pytest.mark.parametrize(("name", "call", "kind", "words"), SHAPES, ids=[w[0] for w in SHAPES])
def test_a_gradient_says_the_same(be, name, call, kind, words):
    a, i = makers(be)
    error = caught(grad(lambda w: ops.sum(call(lambda *s: ops.multiply(a(*s), w), i))), a())
    assert type(error) is kind
    assert str(error).startswith(words)


def test_the_engines_own_error_is_the_cause(be):
    a, _ = makers(be)
    with pytest.raises(ValueError, match="matmul: inner sizes differ") as told:
        ops.matmul(a(3, 4), a(5, 2))
    assert told.value.__cause__ is not None


def test_an_error_that_the_rules_do_not_know_passes_unchanged(be):
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        ops.sum(be.array([1.0]), axes=0)


@pytest.mark.parametrize(
    "f", [lambda x: ops.add(x, x), lambda x: ops.sqrt(x), lambda x: ops.multiply(x, 2.0)]
)
def test_truths_are_no_numbers_in_compiled_code(be, f):
    with pytest.raises(
        TypeError, match=r"\w+: expected unsigned or integer or floating-point or complex arrays, got bool"
    ):
        compile(f, be)(be.array([True, False]))


def test_numbers_are_no_truths_in_compiled_code(be):
    with pytest.raises(TypeError, match="logical_not: expected boolean arrays, got float32"):
        compile(ops.logical_not, be)(be.array([1.0]))
