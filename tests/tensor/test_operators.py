"""Operators, promotion and methods of EmberTensor."""

import operator

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, ops, tensor
from ember_ml.core import TABLE
from ember_ml.tensor import EmberTensor

A = np.array([[1.5, -2.0, 3.0], [4.0, 0.5, -1.0]], "float32")
B = np.array([[2.0, 3.0, -0.5], [1.0, -4.0, 2.5]], "float32")
ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "eq", "ne", "lt", "le", "gt", "ge"]


def made(values, **settings):
    """Return a tensor on the active engine, with the dtype of the NumPy array given."""
    return tensor.array(values.tolist(), dtype=values.dtype.name, **settings)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_operators_compute_what_numpy_does(be, name):
    f = getattr(operator, name)
    got = f(made(A), made(B))
    assert type(got) is EmberTensor
    assert got.backend is be
    want = f(A, B)
    assert got.dtype == want.dtype.name
    close(got, want.astype("float32"))


@pytest.mark.parametrize("name", ARITHMETIC)
def test_python_numbers_stand_on_either_side(be, name):
    f = getattr(operator, name)
    x = made(A)
    close(f(x, 2), f(A, np.float32(2)).astype("float32"))
    close(f(2.5, x), f(np.float32(2.5), A).astype("float32"))


def test_power_and_matmul_and_unary_operators(be):
    x = made(A)
    close(x @ x.T, A @ A.T)
    close(x**2, A**2)
    close(2.0**x, 2.0**A)
    close(-x, -A)
    close(+x, A)
    close(abs(x), np.abs(A))


@pytest.mark.parametrize("name", ["and_", "or_", "xor", "lshift", "rshift"])
def test_bitwise_operators_work_on_integers_from_both_sides(be, name):
    f, n = getattr(operator, name), np.array([5, 6, 7], "int32")
    np.testing.assert_array_equal(np.asarray(f(made(n), 2)), f(n, 2))
    np.testing.assert_array_equal(np.asarray(f(2, made(n % 3))), f(2, n % 3))
    np.testing.assert_array_equal(np.asarray(~made(n)), ~n)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "matmul"])
def test_native_arrays_on_the_left_reflect(be, name):
    if be.name == "mlx":
        pytest.skip("MLX converts what it is given to an array of its own")
    f = getattr(operator, name)
    got = f(be.array(A), made(B.T if name == "matmul" else B))
    assert type(got) is EmberTensor
    close(got, f(A, B.T if name == "matmul" else B))


def test_an_mlx_array_on_the_left_never_loses_a_gradient_in_silence():
    if "mlx" not in backend.available_backends():
        pytest.skip("needs MLX")
    with backend.use_backend("mlx") as be:
        x = made(A, requires_grad=True)
        with pytest.raises(ValueError, match="Cannot perform addition"):
            be.array(A) + x


def test_ops_take_tensors_beside_native_arrays(be):
    got = ops.add(be.array(A), made(B))
    assert type(got) is EmberTensor
    close(got, A + B)
    close(ops.where(made(A) > 0, be.array(B), 0.0), np.where(A > 0, B, 0))
    joined = ops.concat([be.array(A), made(B)], axis=1)
    assert type(joined) is EmberTensor
    close(joined, np.concatenate([A, B], axis=1))


def test_numpy_functions_compute_on_tensors(be):
    got = np.sin(made(A))
    assert type(got) is EmberTensor
    close(got, np.sin(A))
    close(np.absolute(made(A)), np.abs(A))
    with pytest.raises(TypeError):
        np.add(A, made(A), out=A.copy())


def test_arrays_of_two_engines_are_refused_by_name():
    first, second = (tensor.to_backend(made(A), n) for n in ("numpy", "torch"))
    with pytest.raises(TypeError, match=r"add: arrays of different backends, numpy and torch.*to_backend"):
        first + second
    with pytest.raises(TypeError, match="concat: arrays of different backends"):
        ops.concat([first, second])
    with pytest.raises(TypeError, match="multiply: arrays of different backends, numpy and torch"):
        first.sum() * second  # a NumPy scalar in a tensor is an array like any other
    first.requires_grad = True
    with pytest.raises(TypeError, match="multiply: arrays of different backends"):
        first.sum() * second


def test_what_is_no_array_is_refused(be):
    with pytest.raises(TypeError, match=r"add: expected arrays, got list; make one with ember_ml\.tensor"):
        ops.add(made(A), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"matmul: inner sizes differ, \(2, 3\) @ \(2, 3\)"):
        made(A) @ made(B)
    for other in (None, "a", object(), (1, 2), [1, 2], int):  # test suites compare with all sorts of things
        assert (made(A) == other) is False
        assert (made(A) != other) is True
    assert made(A) != "a"


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ("int8", "uint8", "int16"),
        ("int32", "int64", "int64"),
        ("int16", "int32", "int32"),
        ("float32", "float64", "float64"),
        ("int64", "float32", "float32"),
        ("int32", "float64", "float64"),
        ("float32", "complex64", "complex64"),
    ],
)
def test_dtypes_meet_by_one_rule_on_every_engine(be, left, right, meet):
    a, b = tensor.array([1, 0, 1], dtype=left), tensor.array([1, 1, 0], dtype=right)
    for x, y in ((a, b), (b, a)):
        got = x + y
        assert got.dtype == meet
        np.testing.assert_array_equal(np.asarray(got), np.array([2, 1, 1]))


@pytest.mark.parametrize(
    ("dtype", "number", "result"),
    [
        ("float32", 2, "float32"),
        ("float32", 2.5, "float32"),
        ("float64", 2.5, "float64"),
        ("float16", 2.5, "float16"),
        ("int32", 2, "int32"),
        ("int8", 2, "int8"),
        ("int32", 2.5, "float32"),
        ("float32", 2j, "complex64"),
    ],
)
def test_python_numbers_are_weak(be, dtype, number, result):
    x = tensor.array([1, 0], dtype=dtype)
    assert (x + number).dtype == (number + x).dtype == result
    np.testing.assert_allclose(np.asarray(x + number), np.array([1, 0]) + number)


def test_integers_divide_and_average_to_the_default_float(be):
    i = tensor.arange(1, 5)
    n = np.arange(1, 5)
    pairs = [(i / i, 1), (i / 2, n / 2), (i.mean(), 2.5), (i.var(), 1.25), (i.exp(), np.exp(n))]
    for got, want in pairs:
        assert got.dtype == "float32"
        close(got, np.broadcast_to(np.float32(want), got.shape))
    close(i.softmax(), np.exp(n) / np.exp(n).sum())


def test_a_changed_default_float_counts_at_once(be):
    from ember_ml.core import set_default_dtype

    i = tensor.arange(1, 5)
    assert (i / i).dtype == "float32"
    set_default_dtype("float64")
    try:
        assert (i / i).dtype == (i + 0.5).dtype == i.mean().dtype == "float64"
    finally:
        set_default_dtype("float32")


def test_small_integers_are_summed_in_64_bits(be):
    assert tensor.array([100, 100], dtype="int8").sum().dtype == "int64"
    assert tensor.array([100, 100], dtype="int8").sum().item() == 200
    assert tensor.array([True, True]).sum().item() == 2


def test_kinds_of_dtype_that_an_op_does_not_take_are_refused(be):
    truths = tensor.array([True, False])
    with pytest.raises(TypeError, match=r"add: expected .*floating-point.* arrays, got bool"):
        truths + truths
    with pytest.raises(TypeError, match="bitwise_and: expected boolean"):
        made(A) & made(A)
    with pytest.raises(TypeError, match=r"expected .* arrays, got complex64"):
        tensor.array([1j]).clip(0.0, 1.0)


def test_methods_are_the_ops_of_the_table(be):
    x = made(A)
    close(x.sum(), A.sum())
    close(x.sum(axis=1), A.sum(axis=1))
    close(x.mean(0, keepdims=True), A.mean(0, keepdims=True))
    close(x.max(axis=-1), A.max(axis=-1))
    close(x.cumsum(axis=1), A.cumsum(axis=1))
    close(x.clip(-1.0, 2.0), A.clip(-1, 2))
    close(x.reshape(3, 2), A.reshape(3, 2))
    close(x.reshape((3, -1)), A.reshape(3, 2))
    close(x.reshape(-1), A.reshape(-1))
    close(x.transpose(1, 0), A.T)
    close(x.T, A.T)
    close(x[None].mT, A.T[None])
    assert int(x.argmax()) == 3
    assert x.astype("float64").dtype == x.cast(tensor.float64).dtype == "float64"
    assert [type(part) for part in x.split(3, axis=1)] == [EmberTensor] * 3
    assert "logsumexp" in dir(x)
    assert x.sum.__name__ == "sum"
    with pytest.raises(AttributeError, match="no_such_op"):
        x.no_such_op()


def test_every_op_that_takes_one_array_first_is_a_method():
    wanted = {name for name, op in TABLE.items() if not (op.creates or op.sequence)} - {"where"}
    assert wanted <= set(dir(EmberTensor))


def test_results_of_a_subclass_are_plain_tensors(be):
    class Weight(EmberTensor):
        """A tensor with a name."""

    w = Weight(A.tolist(), requires_grad=True)
    assert type(w * 2) is type(w + w) is type(w.sum()) is EmberTensor
    (w * 2).sum().backward()
    close(w.grad, np.full_like(A, 2))
    assert type(w.grad) is EmberTensor


def test_attributes_say_what_a_tensor_is(be):
    x = made(A)
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, "float32", 2)
    assert x.backend is be
    assert x.backend == be.name
    assert x.device == be.device_of(x.data)
    assert be.owns(type(x.data))
    assert x.to_backend_tensor() is x.data
    assert all(type(n) is int for n in x.shape)


def test_ops_that_create_join_the_tensor_they_are_given(be):
    x = made(A)
    with backend.use_backend("numpy"):
        assert ops.zeros((2,), like=x).backend is be
        assert type(ops.normal((2,), like=x)) is EmberTensor
        drawn = ops.uniform((3,), key=tensor.to_backend(tensor.array([0, 7], dtype="uint32"), be))
        assert drawn.backend is be
    close(drawn, np.asarray(backend.get_backend("numpy").uniform((3,), key=np.array([0, 7], "uint32"))))


def test_scan_takes_tensors(be):
    last, sums = ops.scan(lambda c, x: (c + x, c * x), tensor.array(0.0), tensor.array([1.0, 2.0, 3.0]))
    assert type(last) is type(sums) is EmberTensor
    assert last.item() == 6
    close(sums, np.array([0, 2, 9], "float32"))
