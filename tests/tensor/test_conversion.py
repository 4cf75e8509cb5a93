"""How tensors are made, printed, copied, and how their values leave."""

import copy
import pickle
import threading

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, tensor
from ember_ml.tensor import EmberTensor, convert_to_tensor

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")


def test_lists_and_numbers_become_tensors_of_the_active_engine(be):
    given = [([[1.0, 2.0]], "float32"), ([1, 2], "int64"), ([True, False], "bool")]
    for data, dtype in [*given, (2.5, "float32"), (3, "int64"), (1j, "complex64")]:
        x = convert_to_tensor(data)
        assert type(x) is EmberTensor
        assert x.backend is be
        assert x.dtype == dtype
        np.testing.assert_array_equal(np.asarray(x), np.array(data))
    assert convert_to_tensor([1, 2], dtype=tensor.float64).dtype == "float64"
    assert convert_to_tensor([1, 2], dtype=np.int32).dtype == "int32"
    assert tensor.tensor(range(3)).tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="unknown dtype 'float31'"):
        tensor.array([1.0], dtype="float31")
    with pytest.raises(TypeError, match="expected numbers in nested lists"):
        tensor.array(["a", None])


def test_an_array_of_any_engine_is_wrapped_where_it_is(be):
    native = be.array(A)
    with backend.use_backend("numpy"):
        x = convert_to_tensor(native)
        assert x.data is native
        assert x.backend is be
        assert EmberTensor(native, requires_grad=True).data is native
        close(convert_to_tensor(native, dtype="float64"), A.astype("float64"), "float64")


def test_float64_stays_float64(be):
    assert convert_to_tensor(be.array(A.astype("float64"))).dtype == "float64"
    assert (convert_to_tensor(be.array(A.astype("float64"))) * 2.0).dtype == "float64"


def test_array_copies_and_convert_does_not():
    values = A.copy()
    wrapped, copied = convert_to_tensor(values), tensor.array(values)
    values[0, 0] = 99
    assert wrapped[0, 0].item() == 99
    assert copied[0, 0].item() == 1


def test_a_tensor_passes_through_unless_something_changes(be):
    x = tensor.ones(2)
    assert convert_to_tensor(x) is x
    assert convert_to_tensor(x, dtype="float32", device=x.device) is x
    assert convert_to_tensor(x, dtype="float64").dtype == "float64"
    y = convert_to_tensor(x, requires_grad=True)
    assert y.requires_grad
    assert not x.requires_grad
    assert convert_to_tensor(y, requires_grad=True) is y


def test_lists_of_arrays_are_stacked_with_their_gradients(be):
    x = tensor.array([1.0, 2.0], requires_grad=True)
    y = convert_to_tensor([x, [3.0, 4.0], x * 2])
    assert y.backend is be
    close(y, np.array([[1, 2], [3, 4], [2, 4]], "float32"))
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]
    close(convert_to_tensor([be.array(A), be.array(A)]), np.stack([A, A]))


def test_creation_returns_tensors_with_numpys_values(be):
    pairs = [
        (tensor.zeros((2, 3)), np.zeros((2, 3))),
        (tensor.ones(3, "int32"), np.ones(3, "int32")),
        (tensor.full((2,), 1.5), np.full(2, 1.5)),
        (tensor.full((2,), 7), np.full(2, 7)),
        (tensor.eye(3), np.eye(3)),
        (tensor.eye(2, 3, k=1), np.eye(2, 3, 1)),
        (tensor.arange(5), np.arange(5)),
        (tensor.arange(1, 10, 3), np.arange(1, 10, 3)),
        (tensor.linspace(0.0, 1.0, 5), np.linspace(0, 1, 5)),
        (tensor.zeros_like([[1.0, 2.0]]), np.zeros((1, 2))),
        (tensor.ones_like(be.array(A)), np.ones_like(A)),
        (tensor.full_like(tensor.arange(2), 7), np.full(2, 7)),
    ]
    for got, want in pairs:
        assert type(got) is EmberTensor
        assert got.backend is be
        assert got.dtype.kind == {"f": "float", "i": "int"}[want.dtype.kind]
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-6)
    x = tensor.zeros(2, requires_grad=True)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_the_seeds_spellings_shape_what_they_are_given(be):
    x = A.tolist()
    pairs = [
        (tensor.reshape(x, (3, 2)), A.reshape(3, 2)),
        (tensor.transpose(x), A.T),
        (tensor.concatenate([x, x], axis=1), np.concatenate([A, A], 1)),
        (tensor.stack([x, x]), np.stack([A, A])),
        (tensor.expand_dims(x, 1), A[:, None]),
        (tensor.squeeze([x]), A),
        (tensor.gather(x, [2, 0], axis=1), A[:, [2, 0]]),
        (tensor.take(x, 1), A[1]),
        (tensor.cast(x, "int32"), A.astype("int32")),
        (tensor.copy(x), A),
        (tensor.slice_tensor(x, (0, 1), (2, -1)), A[0:2, 1:]),
        (tensor.slice_update(x, (0, slice(1, 3)), [8.0, 9.0]), np.array([[1, 8, 9], [4, 5, 6]])),
        (tensor.slice_update(x, (slice(None), 1)), A[:, 1]),
        (tensor.maximum(x, 3.5), np.maximum(A, 3.5)),
        (tensor.maximum(x, [9.0, 0.0, 0.0]), np.maximum(A, [9, 0, 0])),
    ]
    for got, want in pairs:
        assert type(got) is EmberTensor
        np.testing.assert_allclose(np.asarray(got), want)
    assert [p.shape for p in tensor.split(x, 3, axis=1)] == [(2, 1)] * 3
    assert [p.tolist() for p in tensor.split([1, 2, 3, 4, 5], [2, -1])] == [[1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match=r"split: parts of \(2, 2\) do not make up axis 0 of size 5"):
        tensor.split([1, 2, 3, 4, 5], [2, 2])
    assert tensor.shape(x) == (2, 3)
    assert tensor.item([[7]]) == 7
    assert type(tensor.to_numpy(x)) is np.ndarray


def test_dtypes_go_by_name():
    assert tensor.float32 == "float32"
    assert tensor.get_dtype("float64") is tensor.dtype("float64")
    assert tensor.dtype(tensor.ones(2, "int32")) == "int32"
    assert tensor.to_dtype_str(np.dtype("float16")) == "float16"
    assert tensor.from_dtype_str("bool") == tensor.bool_
    assert tensor.EmberDType is tensor.DType
    with pytest.raises(ValueError, match="unknown dtype 'float31'"):
        tensor.from_dtype_str("float31")


def test_random_tensors_repeat_with_their_seed_on_every_engine(be):
    def drawn():
        tensor.set_seed(7)
        assert tensor.get_seed() == 7
        return [
            tensor.random_uniform((50,), -1.0, 3.0),
            tensor.random_normal((50,), 5.0, 0.1),
            tensor.random_bernoulli((50,), p=0.8),
            tensor.random_permutation(10),
            tensor.shuffle(tensor.arange(10)),
        ]

    first, again = drawn(), drawn()
    with backend.use_backend("numpy"):
        reference = drawn()
    for a, b, want in zip(first, again, reference, strict=True):
        assert type(a) is EmberTensor
        assert a.backend is be
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        np.testing.assert_allclose(np.asarray(a), np.asarray(want), rtol=2e-5, atol=2e-6)
    uniform, normal, truths, order, shuffled = (np.asarray(x) for x in first)
    assert uniform.min() >= -1
    assert 1 < uniform.max() < 3
    assert abs(normal.mean() - 5) < 0.1
    assert 0.6 < truths.mean() < 0.95
    assert sorted(order) == sorted(shuffled) == list(range(10))
    assert tensor.random_bernoulli((3,), dtype=tensor.bool_).dtype == "bool"
    assert tensor.random_uniform((3,), dtype="float64", device="cpu").dtype == "float64"


def test_values_leave_as_python_numbers(be):
    x = tensor.array([[3.5]])
    assert (x.item(), float(x), int(x), bool(x), complex(x)) == (3.5, 3.5, 3, True, 3.5 + 0j)
    assert type(tensor.array(3).item()) is int
    assert tensor.array([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert not tensor.array(0.0)
    with pytest.raises(ValueError, match=r"float: expected a single value, got a tensor of shape \(2,\)"):
        float(tensor.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"truth of a tensor of shape \(2,\) is ambiguous"):
        bool(tensor.array([1.0, 2.0]))
    with pytest.raises(TypeError, match="expected a single integer, got float32"):
        range(tensor.array(2.0))
    assert list(range(tensor.array(2))) == [0, 1]


def test_values_leave_as_numpy_arrays_that_cannot_change_the_tensor(be):
    x = tensor.array(A.tolist())
    shared = np.asarray(x)
    np.testing.assert_array_equal(shared, A)
    with pytest.raises(ValueError, match="read-only"):
        shared[0, 0] = 9
    for own in (x.to_numpy(), x.numpy(), tensor.to_numpy(x), np.array(x)):
        own[0, 0] = 9
    np.testing.assert_array_equal(np.asarray(x), A)
    assert np.asarray(x, dtype="float64").dtype == "float64"
    assert np.asarray(tensor.array(2.0)).shape == ()
    assert np.asarray(tensor.array([1.0], requires_grad=True)).tolist() == [1]


def test_memory_is_shared_by_dlpack(be):
    x = tensor.array(A.tolist())
    np.testing.assert_array_equal(np.from_dlpack(x), A)
    assert len(x.__dlpack_device__()) == 2
    import torch

    np.testing.assert_array_equal(torch.from_dlpack(x).numpy(), A)
    assert np.from_dlpack(tensor.array([2.0, 3.0]).sum()).item() == 5
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(tensor.array([1.0], requires_grad=True))


def test_arrays_move_between_engines_with_their_dtype(be):
    for dtype in ("float32", "float64", "int32", "int64", "bool", "complex64", "float16", "uint8"):
        x = tensor.array([0, 1, 3], dtype=dtype)
        for name in backend.available_backends():
            if name == "torch_optimized":
                continue
            with backend.use_backend(name):
                y = tensor.to_backend(x, name)
            assert y.backend == name
            assert y.dtype == dtype
            assert y.tolist() == x.tolist()
    assert tensor.to_backend(x, be) is x
    moved = tensor.to_backend(be.array([1.0]), "numpy")
    assert type(moved) is np.ndarray


def test_moving_says_what_it_cannot_do():
    with pytest.raises(TypeError, match="mlx has no dtype complex128"):
        tensor.to_backend(np.array([1j]), "mlx")
    w = tensor.array([1.0], requires_grad=True)
    assert tensor.to_backend(w, "torch").requires_grad
    with pytest.raises(RuntimeError, match=r"detach\(\) first"):
        tensor.to_backend(w * 2, "torch")


def test_a_dtype_is_never_narrowed_on_the_way():
    if "jax" not in backend.available_backends():
        pytest.skip("needs JAX")
    import jax

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(TypeError, match="jax has no dtype int64 here; first cast"):
            tensor.to_backend(np.array([2**40]), "jax")
        with pytest.raises(TypeError, match="jax has no float64 while its 64-bit mode is off"):
            tensor.to_backend(np.array([0.5]), "jax")
    finally:
        jax.config.update("jax_enable_x64", before)


def test_to_changes_dtype_and_device(be):
    x = tensor.ones(2)
    assert x.to() is x
    assert x.to(device="cpu", dtype="float32") is x
    assert x.to(dtype="float64").dtype == "float64"
    with pytest.raises(ValueError, match="has no device 'abacus' here; it has"):
        x.to(device="abacus")


def test_bfloat16_works_where_an_engine_has_it(be):
    if be.name == "numpy":
        with pytest.raises(TypeError, match="no dtype bfloat16"):
            tensor.ones(2).astype("bfloat16")
        return
    x = tensor.array([1.5, 2.0]).astype("bfloat16")
    assert (x * 2).dtype == "bfloat16"
    assert x.tolist() == [1.5, 2.0]
    assert x.to_numpy().dtype == "float32"
    assert pickle.loads(pickle.dumps(x)).dtype == "bfloat16"


def test_repr_shows_values_and_what_they_are(be):
    x = tensor.array([[1.0, 2.0], [3.0, 4.0]])
    assert repr(x) == (
        f"EmberTensor([[1. 2.]\n             [3. 4.]], shape=(2, 2), dtype=float32, backend={be})"
    )
    assert repr(tensor.array(3)) == f"EmberTensor(3, shape=(), dtype=int64, backend={be})"
    assert repr(tensor.array([0.5], requires_grad=True)).endswith("requires_grad=True)")
    assert len(repr(tensor.zeros((1000, 1000)))) < 1000


def test_html_is_a_small_table(be):
    page = tensor.array([[1.0, 2.5], [3.0, 4.0]])._repr_html_()
    assert page.startswith("<table>")
    assert "<td>2.5</td>" in page
    assert f"shape=(2, 2), dtype=float32, backend={be}" in page
    assert tensor.zeros((1000, 1000))._repr_html_().count("<td>") == 121
    line = tensor.zeros(3)._repr_html_()
    assert line == f"<code>EmberTensor shape=(3,), dtype=float32, backend={be}</code>"


def test_tensors_hash_by_identity(be):
    x, y = tensor.ones(2), tensor.ones(2)
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_tensors_pickle_and_copy_as_leaves(be):
    x = tensor.array(A.tolist(), requires_grad=True)
    (x * x).sum().backward()
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert type(y) is EmberTensor
        assert y is not x
        assert y.backend is be
        assert y.requires_grad
        np.testing.assert_array_equal(np.asarray(y), A)
        np.testing.assert_array_equal(np.asarray(y.grad), 2 * A)
    result = x * 2
    for y in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert y.node is None
        assert not y.requires_grad
        np.testing.assert_array_equal(np.asarray(y), 2 * A)


def test_a_deep_copy_shares_nothing():
    x = convert_to_tensor(A.copy())
    y = copy.deepcopy(x)
    x.data[0, 0] = 99
    assert y[0, 0].item() == 1


class Named(EmberTensor):
    """A tensor with a field of its own."""

    def __init__(self, data, name):
        super().__init__(data, requires_grad=True)
        self.name = name


def test_a_subclass_keeps_its_fields_in_copies(be):
    x = Named([1.0, 2.0], "weight")
    for y in (copy.deepcopy(x), copy.copy(x)):
        assert type(y) is Named
        assert y.name == "weight"
        assert y.requires_grad
        assert y.tolist() == [1, 2]


def test_tensors_travel_through_threads_and_engines_side_by_side():
    found = {}

    def work(name):
        with backend.use_backend(name):
            x = tensor.arange(100, dtype="float32")
            for _ in range(50):
                x = (x * 1.01 + tensor.ones(100)).tanh() * 3
            found[name] = (x.backend.name, np.asarray(x))

    names = [n for n in backend.available_backends() if n != "torch_optimized"]
    threads = [threading.Thread(target=work, args=(n,)) for n in names]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for name in names:
        assert found[name][0] == name
        np.testing.assert_allclose(found[name][1], found["numpy"][1], rtol=1e-4)
