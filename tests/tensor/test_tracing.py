"""Tensors within traces: gradients of functions, loops and compiled programs."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops, tensor
from ember_ml.compiler import compile, grad, value_and_grad
from ember_ml.core import Spec, as_dtype
from ember_ml.core.trace import Traced, new_trace
from ember_ml.tensor import EmberTensor, convert_to_tensor

X = np.array([0.5, -1.0, 2.0], "float32")


def made(**settings):
    return tensor.array(X.tolist(), **settings)


def test_grad_of_a_function_of_tensors(be):
    value, slope = value_and_grad(lambda x: ops.sum(x * x + ops.sin(x)))(made())
    assert type(value) is type(slope) is EmberTensor
    close(slope, 2 * X + np.cos(X))


def test_second_derivatives_of_functions_of_tensors(be):
    def slope(x):
        return ops.sum(grad(lambda y: ops.sum(y**3))(x) * 2.0)

    close(grad(slope)(made()), 12 * X)


def test_traced_values_in_tensors_carry_gradients(be):
    def f(x):
        t = convert_to_tensor(x)
        assert type(t.data) is Traced
        assert (t.shape, t.dtype) == ((3,), "float32")
        t = t[tensor.array([0, 0, 2])] * t + t.mean()
        t[0] = 7.0
        return (t.sum() * x[0]).data

    x = X.astype("float64")

    def plain(x):
        t = x[[0, 0, 2]] * x + x.mean()
        t[0] = 7.0
        return t.sum() * x[0]

    want = [(plain(x + d) - plain(x - d)) / 2e-6 for d in np.eye(3) * 1e-6]
    close(grad(f)(made()), np.array(want), "float64", rtol=1e-5)


def test_integers_meet_floats_within_gradients(be):
    def f(x):
        t = convert_to_tensor(x)
        return (t * tensor.arange(3) / 2).sum().data

    close(grad(f)(made()), np.arange(3) / np.float32(2))


def test_traced_values_in_tensors_compile(be):
    weight = tensor.array([1.0, 2.0, 3.0]) * 2

    def f(x, scale):
        t = convert_to_tensor(x)
        return (t * scale + weight.data).sum().data + (scale * t).max().data

    run = compile(f, jit=False)
    got = run(made().data, 0.5)
    close(got, np.float32((X * 0.5 + [2, 4, 6]).sum() + (X * 0.5).max()))


def test_a_program_keeps_its_numbers_weak():
    half = as_dtype("float16")
    with new_trace(typed=True, expands=lambda op: True) as trace:
        x = EmberTensor(trace.input(Spec((3,), half)))
        number = trace.input(Spec((), as_dtype("float32"), weak=True))
        for out in (x * number, number * x, x * 2.0):
            assert type(out) is EmberTensor
            assert out.dtype == "float16"
        assert (EmberTensor(trace.input(Spec((3,), as_dtype("int32")))) / 2).dtype == "float32"
        assert type(tensor.zeros(2).data) is Traced


def test_a_traced_tensor_has_no_number_and_says_what_to_do():
    with new_trace(typed=True, expands=lambda op: True) as trace:
        x = EmberTensor(trace.input(Spec((), as_dtype("float32"))))
        for ask in (bool, float, EmberTensor.item):
            with pytest.raises(TypeError, match=r"no number while it is traced.*ops.where or ops.cond"):
                ask(x)
        with pytest.raises(TypeError, match="no NumPy array"):
            x.to_numpy()
        with pytest.raises(TypeError, match="no NumPy array"):
            np.asarray(x)
        mask = EmberTensor(trace.input(Spec((3,), as_dtype("bool"))))
        with pytest.raises(TypeError, match="shape of the result depends on values"):
            tensor.ones(3)[mask]
        assert repr(x) == "EmberTensor(Traced(float32 ()))"
        assert x._repr_html_().startswith("<code>")


def test_branches_on_values_work_where_they_are_known(be):
    def f(x):
        t = convert_to_tensor(x)
        return ((t * 2).sum() if t[2] > 0 else t.sum()).data

    close(grad(f)(made()), np.full(3, 2.0, "float32"))


def test_weights_in_a_loop_over_tensors_get_their_gradients(be):
    w = tensor.array(0.5, requires_grad=True)

    def step(carry, x):
        carry = (convert_to_tensor(carry) * w + x).data
        return carry, None

    last, _ = ops.scan(step, tensor.array(1.0), tensor.array([1.0, 2.0]))  # w(w + 1) + 2
    last.backward()
    assert last.item() == 2.75
    assert w.grad.item() == 2.0


def test_a_compiled_function_hands_on_the_gradient_of_a_tensor(be):
    run = compile(lambda w, x: ops.sum(ops.square(w) * x))

    class Weight(tensor.EmberTensor):
        """A subclass never met before, as a Parameter is on first use."""

    w, x = Weight(be.array(np.array([1.0, -3.0])), requires_grad=True), be.array(np.array([2.0, 0.5]))
    run(w, tensor.array(x)).backward()
    close(w.grad.to_numpy(), np.array([4.0, -3.0]), "float64")  # 2 w x
    with tensor.no_grad():
        assert not run(w, tensor.array(x)).requires_grad
    assert len(run.graphs) == 1  # without a gradient to compute, it runs the program
