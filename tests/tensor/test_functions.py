"""The tensor module: ops under the seeds' names, of lists, numbers and arrays of any engine."""

import inspect
import sys

import numpy as np
import pytest

import ember_ml.nn.tensor
from ember_ml import backend, nn, ops, tensor
from ember_ml.tensor import EmberTensor, derived

ROWS = [[3.0, 1.0], [2.0, 5.0]]

# what is asked, and NumPy's answer
ANSWERS = {
    "reshape": (lambda: tensor.reshape(ROWS, (4,)), [3, 1, 2, 5]),
    "transpose": (lambda: tensor.transpose(ROWS), np.transpose(ROWS)),
    "concatenate": (lambda: tensor.concatenate([ROWS, [[0.0, 0.0]]]), [*ROWS, [0, 0]]),
    "stack": (lambda: tensor.stack([[1, 2], [3, 4]], axis=1), [[1, 3], [2, 4]]),
    "vstack": (lambda: tensor.vstack([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    "hstack": (lambda: tensor.hstack([[1, 2], [3, 4]]), [1, 2, 3, 4]),
    "expand_dims": (lambda: tensor.expand_dims([1, 2], 0), [[1, 2]]),
    "squeeze": (lambda: tensor.squeeze([[1, 2]]), [1, 2]),
    "tile": (lambda: tensor.tile([1, 2], (2, 2)), np.tile([1, 2], (2, 2))),
    "gather": (lambda: tensor.gather([5, 6, 7], [2, 0, -1]), [7, 5, 7]),
    "scatter": (lambda: tensor.scatter([1.0, 2.0, 3.0], [0, 2, 0]), [4, 0, 2]),
    "tensor_scatter_nd_update": (
        lambda: tensor.tensor_scatter_nd_update([1, 2, 3], [[0], [2]], [9, 8]),
        [9, 2, 8],
    ),
    "slice": (lambda: tensor.slice(ROWS, (0, 1), (2, -1)), [[1], [5]]),
    "slice_tensor": (lambda: tensor.slice_tensor(ROWS, [1, 0], [1, 2]), [[2, 5]]),
    "slice_update": (lambda: tensor.slice_update(ROWS, (0, 1), 7.0), [[3, 7], [2, 5]]),
    "index_update": (lambda: tensor.index_update([1, 2, 3], [1], [9]), [1, 9, 3]),
    "cast": (lambda: tensor.cast([1.7, -1.7], "int32"), [1, -1]),
    "copy": (lambda: tensor.copy(ROWS), ROWS),
    "pad": (lambda: tensor.pad([1, 2], 1), [0, 1, 2, 0]),
    "item": (lambda: tensor.convert_to_tensor(tensor.item([4])), 4),
    "maximum": (lambda: tensor.maximum([1, 5], [3, 2]), [3, 5]),
    "maximum with a number": (lambda: tensor.maximum([1, 5], 3), [3, 5]),
    "sort": (lambda: tensor.sort([3, 1, 2], descending=True), [3, 2, 1]),
    "argsort": (lambda: tensor.argsort([3, 1, 2]), [1, 2, 0]),
    "nonzero": (lambda: tensor.nonzero([0, 4, 0, 1])[0], [1, 3]),
    "where": (lambda: tensor.where([True, False], [1, 2], [3, 4]), [1, 4]),
    "meshgrid": (lambda: tensor.meshgrid([1, 2], [3, 4, 5])[1], np.meshgrid([1, 2], [3, 4, 5])[1]),
    "zeros_like": (lambda: tensor.zeros_like(ROWS), np.zeros((2, 2))),
    "full_like": (lambda: tensor.full_like(ROWS, 2.0, dtype="float64"), np.full((2, 2), 2)),
    "empty": (lambda: tensor.empty((2, 1)), np.zeros((2, 1))),
}


@pytest.mark.parametrize(("ask", "want"), ANSWERS.values(), ids=ANSWERS)
def test_lists_go_in_and_tensors_of_the_active_engine_come_out(be, ask, want):
    got = ask()
    assert isinstance(got, EmberTensor)
    assert got.backend is be
    np.testing.assert_array_equal(np.asarray(got), want)


def test_what_is_derived_has_the_signature_and_the_contract_of_its_op():
    for name, function in vars(derived).items():
        if getattr(function, "__signature__", None) is None:
            continue
        op = getattr(ops, name)
        assert inspect.signature(function) == inspect.signature(op)
        assert function.__doc__ == op.__doc__
        assert function.__name__ == name
        assert getattr(tensor, name) is function


def test_tensors_keep_their_engine_and_their_gradient(be):
    x = tensor.array(ROWS, requires_grad=True)
    with backend.use_backend("numpy"):
        tensor.concatenate([tensor.tile(x, (1, 2)), tensor.pad(x, ((0, 0), (1, 1)))]).sum().backward()
    assert x.grad.backend is be
    assert x.grad.tolist() == [[3, 3], [3, 3]]


def test_a_sequence_is_a_sequence(be):
    with pytest.raises(TypeError, match="stack: expected a list or tuple of arrays"):
        tensor.stack(tensor.array(ROWS))


def test_the_seeds_find_the_module_under_their_name():
    assert ember_ml.nn.tensor is tensor
    assert nn.tensor is tensor
    assert sys.modules["ember_ml.nn.tensor.ember_tensor"] is sys.modules["ember_ml.tensor.ember_tensor"]
    from ember_ml.nn.tensor import EmberTensor as other

    assert other is EmberTensor


def test_interfaces_say_what_counts(be):
    assert isinstance(tensor.array(ROWS), tensor.TensorInterface)
    assert isinstance(tensor.float32, tensor.DTypeInterface)
    assert not isinstance(ROWS, tensor.TensorInterface)
    assert tensor.EmberDType is tensor.DType


def test_random_tensors_have_the_moments_of_their_distribution(be):
    tensor.set_seed(4)
    drawn = {
        "gamma": (tensor.random_gamma((4000,), 3.0, 2.0), 1.5, 0.75),
        "exponential": (tensor.random_exponential((4000,), 2.0), 2.0, 4.0),
        "poisson": (tensor.random_poisson((4000,), 3.0), 3.0, 3.0),
        "binomial": (tensor.random_binomial((4000,), 0.3, n=5), 1.5, 1.05),
        "categorical": (tensor.random_categorical([0.0, np.log(3.0)], 4000), 0.75, 0.1875),
    }
    for name, (values, mean, variance) in drawn.items():
        assert isinstance(values, EmberTensor), name
        assert values.shape == (4000,), name
        assert values.backend is be
        host = np.asarray(values, dtype="float64")
        assert abs(host.mean() - mean) < 5 * np.sqrt(variance / 4000), name
        assert abs(host.var() / variance - 1) < 0.15, name


def test_mlx_on_the_left_never_loses_a_gradient_in_silence():
    """MLX's operators take a tensor for a constant, or refuse it; they never ask the right side."""
    mx = pytest.importorskip("mlx.core")
    with backend.use_backend("mlx"):
        x = tensor.array([1.0, 2.0], requires_grad=True)
    for right in (x, x.sum()):
        with pytest.raises(ValueError, match="Cannot perform multiplication"):
            mx.ones(2) * right
        assert (right * mx.ones(2)).requires_grad
        assert ops.multiply(mx.ones(2), right).requires_grad
    assert isinstance(mx.ones(2) * x.detach(), mx.array)
