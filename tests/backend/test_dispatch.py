"""Arguments choose the engine: exact types, subclasses, tracers, scalars, and what is refused."""

import inspect
import threading

import numpy as np
import pytest

from conftest import ENGINES, close
from ember_ml import backend, ops
from ember_ml.compiler import grad
from ember_ml.core import TABLE, as_dtype

OTHERS = [name for name in ENGINES if name != "numpy"]


def engine(name):
    if name not in ENGINES:
        pytest.skip(f"{name} is not installed here")
    return backend.get_backend(name)


@pytest.mark.parametrize("name", ENGINES)
def test_arrays_choose_their_engine_whatever_is_active(name):
    """With another backend active, each kind of op gives what it was given."""
    chosen = engine(name)
    x = chosen.array(np.ones((2, 2), "float32"))
    with backend.use_backend("numpy" if name != "numpy" else OTHERS[0]):
        results = [
            ops.add(x, x),
            ops.add(x, 1.0),
            ops.add(1.0, x),
            ops.sum(x),
            ops.where(ops.greater(x, 0), x, 0.0),
            ops.concat([x, x]),
            ops.softmax(x),
            ops.zeros_like(x),
            ops.zeros((2,), like=x),
            ops.uniform((2,), like=x),
            ops.scan(lambda c, row: (ops.add(c, row), c), x[0], x)[1],
        ]
    assert all(chosen.owns(type(r)) for r in results)


def test_what_has_no_array_asks_the_active_backend(be):
    for made in (
        ops.zeros((2,)),
        ops.arange(3),
        ops.asarray([1.0]),
        ops.normal((2,)),
        ops.add(1, 2.0),
        ops.sqrt(4.0),
    ):
        assert be.owns(type(made))


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: ops.add(x, y),
        lambda x, y: ops.add(y, x),
        lambda x, y: ops.where(ops.greater(x, 0), y, y),
        lambda x, y: ops.concat([y, y, x]),
        lambda x, y: ops.einsum("i,i->", x, y),
        lambda x, y: ops.mse(x, y),
        lambda x, y: ops.take(x, ops.astype(y, dtype="int32")),
        lambda x, y: ops.clip(x, y),
    ],
    ids=["add", "add the other way", "where", "concat", "einsum", "mse", "take", "clip"],
)
def test_engines_do_not_mix_and_the_error_names_both(other, call):
    """Left alone, NumPy, JAX and MLX mix in silence. Twice: a wrong pair must not be remembered as right."""
    x, y = np.ones(2, "float32"), engine(other).array(np.ones(2, "float32"))
    for _ in range(2):
        with pytest.raises(
            TypeError,
            match=rf"^\w+: arrays of different backends, (numpy and {other}|{other} and numpy); move one",
        ):
            call(x, y)


def test_two_engines_that_are_not_numpy_do_not_mix_either():
    for a in OTHERS:
        for b in OTHERS:
            if a != b:
                with pytest.raises(TypeError, match=f"^multiply: arrays of different backends, {a} and {b};"):
                    ops.multiply(engine(a).array([1.0]), engine(b).array([1.0]))


@pytest.mark.parametrize("wrong", [[1.0, 2.0], (1.0,), "word", object(), {"a": 1}, 1j.conjugate])
def test_what_is_no_array_is_refused_in_clear_words(be, wrong):
    kind = type(wrong).__name__
    for call in (
        lambda: ops.add(wrong, be.array([1.0])),
        lambda: ops.add(be.array([1.0]), wrong),
        lambda: ops.exp(wrong),
    ):
        with pytest.raises(
            TypeError, match=rf"^\w+: expected arrays, got {kind}; make one with ember_ml\.tensor\.array\("
        ):
            call()


@pytest.mark.parametrize("name", OTHERS)
def test_numpy_scalars_beside_another_engines_array_are_python_numbers(name):
    chosen = engine(name)
    x = chosen.array(np.array([1.0, 4.0], "float32"))
    for scalar in (np.float64(2.0), np.float32(2.0), np.int64(2), np.uint8(2)):
        for op in (ops.add, ops.multiply, ops.maximum, ops.less, ops.power, ops.divide):
            for got, want in ((op(x, scalar), op(x, scalar.item())), (op(scalar, x), op(scalar.item(), x))):
                assert chosen.owns(type(got))
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(np.asarray(got), np.asarray(want))
    assert as_dtype(ops.add(x, np.float64(2.0)).dtype) == "float32"
    close(ops.where(np.bool_(True), x, x), np.array([1.0, 4.0]))
    close(ops.stack([x[0], np.float64(7.0)]), np.array([1.0, 7.0]))
    assert as_dtype(ops.stack([x[0], np.float64(7.0)]).dtype) == "float32"


def test_a_numpy_scalar_alone_is_a_numpy_array():
    with backend.use_backend(OTHERS[0] if OTHERS else "numpy"):
        assert type(ops.add(np.float32(1.0), np.float32(2.0))) is np.float32


def test_python_numbers_in_a_sequence_join_the_arrays(be):
    x = be.array(np.array([1.0], "float32"))
    got = ops.stack([x[0], 2, 3.5])
    assert as_dtype(got.dtype) == "float32"
    close(got, np.array([1.0, 2.0, 3.5]))


@pytest.mark.parametrize("op", ["equal", "not_equal"])
@pytest.mark.parametrize("number", [2, -1, 0.5, 1j])
@pytest.mark.parametrize("dtype", ["bool", "int8", "float32"])
def test_a_number_beside_an_array_stays_what_it_is(be, op, number, dtype):
    """Made a truth, 2 would equal True."""
    x = np.array([1, 0], dtype)
    found = TABLE[op](be.array(x), number)
    np.testing.assert_array_equal(be.to_numpy(found), TABLE[op](x, number))


def test_subclasses_of_ndarray_go_to_numpy():
    class Kelvin(np.ndarray):
        pass

    x = np.ones(2).view(Kelvin)
    assert type(ops.add(x, x)) is Kelvin
    assert type(ops.add(x, np.ones(2))) is Kelvin
    assert ops.add(np.ma.masked_array([1.0, 2.0], [False, True]), 1.0).mask.tolist() == [False, True]


def test_a_torch_parameter_is_a_tensor_and_keeps_torchs_own_gradient():
    engine("torch")
    import torch

    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    ops.sum(ops.multiply(ops.square(w), torch.tensor([1.0, 3.0]))).backward()
    close(w.grad, np.array([2.0, 12.0]))


def test_torch_autograd_flows_through_ops_on_native_tensors():
    engine("torch")
    import torch

    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    ops.sum(ops.square(ops.softmax(ops.sin(x)))).backward()
    theirs = x.grad.numpy().copy()
    close(theirs, grad(lambda x: ops.sum(ops.square(ops.softmax(ops.sin(x)))))(x.detach().numpy()), "float64")


def test_torch_func_differentiates_and_maps_over_ops():
    engine("torch")
    import torch

    f = lambda x: ops.sum(ops.square(ops.tanh(x)))
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    close(torch.func.grad(f)(x), grad(f)(x.numpy()), "float64")
    close(torch.func.vmap(f)(x), (np.tanh(x.numpy()) ** 2).sum(1), "float64")


def a_dozen_ops(x, y, rows):
    h = ops.tanh(ops.add(ops.matmul(x, y), 1.0))
    h = ops.where(ops.greater(h, 0.2), h, 0.0)
    h = ops.softmax(ops.maximum(ops.transpose(h), 0.1))
    h = ops.concat([ops.reshape(h, (-1,)), ops.mean(h, axis=0)])
    h = ops.add(ops.expand_dims(h, 0), ops.zeros_like(h))
    h = ops.add(ops.take(h, rows, axis=1), ops.ones((1, 2), like=h))
    return ops.sum(ops.square(ops.clip(h, 0.0, 3.0)))


X, Y, ROWS = np.arange(6.0).reshape(2, 3) / 6, np.arange(6.0).reshape(3, 2) / 6, np.array([0, 4])


def test_torch_compile_takes_a_dozen_ops_without_a_break():
    engine("torch")
    import torch

    arguments = [torch.tensor(a) for a in (X, Y, ROWS)]
    traced = torch.compile(
        a_dozen_ops, fullgraph=True, backend="eager"
    )  # Dynamo alone: Inductor takes 13 s to start
    close(traced(*arguments), a_dozen_ops(X, Y, ROWS), "float64")


def test_jax_transformations_go_through_ops():
    engine("jax")
    import jax
    import jax.numpy as jnp

    with backend.use_backend("jax"):
        x, y, rows = (jnp.asarray(a) for a in (X, Y, ROWS))
        want = a_dozen_ops(X, Y, ROWS)
        close(jax.jit(a_dozen_ops)(x, y, rows), want, "float64")
        ours = grad(a_dozen_ops)(X, Y, ROWS)
        close(jax.grad(a_dozen_ops)(x, y, rows), ours, "float64")
        close(jax.jit(grad(a_dozen_ops))(x, y, rows), ours, "float64")
        mapped = jax.vmap(a_dozen_ops, in_axes=(0, None, None))(jnp.stack([x, 2 * x]), y, rows)
        close(mapped, np.array([want, a_dozen_ops(2 * X, Y, ROWS)]), "float64")


def test_mlx_transformations_go_through_ops():
    engine("mlx")
    import mlx.core as mx

    f = lambda x: ops.sum(ops.square(ops.tanh(x)))
    x = np.linspace(-1, 1, 5).astype("float32")
    close(mx.grad(f)(mx.array(x)), grad(f)(x))


def test_first_use_in_eight_threads_at_once_is_safe(be):
    """All race to resolve the same new op for the same types."""
    op = TABLE["expm1"]
    x = be.array(np.ones(3, "float32"))
    for _ in range(20):
        op.forget()
        gate, found, failed = threading.Barrier(8), [], []

        def work(gate=gate, found=found, failed=failed):
            gate.wait()
            try:
                found.append(np.asarray(ops.expm1(x)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failed
        assert len(found) == 8
        assert all((f == found[0]).all() for f in found)


def test_ops_are_functions_with_the_signature_that_they_were_written_with():
    assert str(inspect.signature(ops.add)) == "(x1, x2, /)"
    assert str(inspect.signature(ops.max)) == "(x, /, axis=None, keepdims=False)"
    assert str(inspect.signature(ops.einsum)) == "(subscripts, /, *operands)"
    assert inspect.isfunction(ops.add)
    assert ops.add.__doc__ == "The sum x1 + x2."
    assert ops.add.__module__ == "ember_ml.ops.elementwise"


def test_an_op_that_is_not_there_suggests_those_that_are():
    with pytest.raises(AttributeError, match=r"no op 'tahn'; did you mean tan, tanh"):
        ops.tahn  # codespell:ignore tahn


def test_other_spellings_are_the_same_function():
    assert ops.concatenate is ops.concat
    assert ops.mod is ops.remainder
    assert ops.gather is ops.take
