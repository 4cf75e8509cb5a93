"""ONNX files: what onnxruntime computes of them is what we compute."""

import functools

import numpy as np
import pytest

import ember_ml as eh
from conftest import close
from ember_ml import backend, ops
from ember_ml.cli.laws import Case, value_on_numpy
from ember_ml.cli.samples import DATA_DEPENDENT, call, cases, sample
from ember_ml.compiler import compile, value_and_grad
from ember_ml.core import Spec, as_dtype, tree
from ember_ml.export import to_onnx
from ember_ml.nn import Dense, Sequential
from ember_ml.nn.modules.rnn import LTC, CfC
from ember_ml.nn.modules.wiring import AutoNCPMap

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
onnxruntime.set_default_logger_severity(3)

# No form in ONNX, so what needs one of these is refused by its name.
FORMLESS = {
    *("cholesky", "eig", "eigh", "eigvals", "eigvalsh", "inv", "qr", "slogdet", "solve", "svd", "svdvals"),
    *("digamma", "erfinv", "fftn", "ifftn", "irfftn", "lgamma", "nextafter", "rfftn", "conj", "real"),
    "complex numbers",
}


def run(model, *arrays):
    """Return what onnxruntime makes of a model, or of a file, and the names of the results."""
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]
    return session.run(None, dict(zip(names, map(np.asarray, arrays), strict=True)))


def kinds(graph):
    return [node.op_type for node in graph.node]


def drawn(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# Whole models


def test_a_linear_regression_computes_the_same_in_onnxruntime():
    def predict(params, x):
        return ops.matmul(x, params["w"]) + params["b"]

    params, x = {"w": drawn(5, 1), "b": drawn(1, seed=1)}, drawn(100, 5, seed=2)
    model = to_onnx(predict, x, params=params)
    assert kinds(model.graph) == ["MatMul", "Add"]
    assert [each.name for each in model.graph.input] == ["x"]
    assert sorted(each.name for each in model.graph.initializer) == ["b", "w"]
    close(run(model, x)[0], x @ params["w"] + params["b"])


def test_a_perceptron_computes_the_same_in_onnxruntime(be):
    module = Sequential(Dense(5, 32, "relu"), Dense(32, 16, "relu"), Dense(16, 1))
    x = be.array(drawn(64, 5))
    model = to_onnx(module, x)
    assert kinds(model.graph) == ["MatMul", "Add", "Relu"] * 2 + ["MatMul", "Add"]
    assert {"layers.0.kernel", "layers.2.bias"} <= {each.name for each in model.graph.initializer}
    close(run(model, be.to_numpy(x))[0], be.to_numpy(module(x)))


def test_a_classifier_computes_the_same_in_onnxruntime():
    module = Sequential(Dense(784, 512, "relu"), Dense(512, 256, "relu"), Dense(256, 10))
    x = drawn(256, 784)
    model = to_onnx(lambda x: {"classes": ops.softmax(module(x))}, x)
    assert kinds(model.graph)[-1] == "Softmax"
    assert [each.name for each in model.graph.output] == ["classes"]
    close(run(model, x)[0], np.asarray(ops.softmax(module(x))), rtol=5e-5)  # sums of 784, in another order


def test_a_network_of_convolutions_computes_the_same_in_onnxruntime():
    def network(params, x):
        x = ops.relu(ops.conv2d(x, params["k1"], params["b1"], stride=2, padding=1))
        x = ops.max_pool2d(ops.conv2d(x, params["k2"], padding="same", groups=2), 2)
        return ops.reshape(x, shape=(x.shape[0], -1)) @ params["w"]

    params = {"k1": drawn(4, 3, 3, 3), "b1": drawn(4), "k2": drawn(6, 2, 2, 2), "w": drawn(24, 5)}
    x = drawn(2, 3, 8, 8, seed=1)
    model = to_onnx(network, x, params=params)
    assert kinds(model.graph).count("Conv") == 2
    close(run(model, x)[0], network(params, x), rtol=1e-4, atol=1e-4)  # float32 sums of 24, values to 40


def test_attention_computes_the_same_in_onnxruntime():
    def attend(q, k, v):
        scores = ops.matmul(q, ops.matrix_transpose(k)) / 8**0.5
        return ops.matmul(ops.softmax(ops.where(ops.tril(ops.ones_like(scores)) > 0, scores, -1e9)), v)

    q, k, v = (drawn(2, 3, 6, 8, seed=s) for s in range(3))
    close(run(to_onnx(attend, q, k, v), q, k, v)[0], attend(q, k, v), atol=1e-5)


@pytest.mark.parametrize("layer", [CfC, LTC])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_a_liquid_layer_is_a_scan_of_the_same_values(layer, go_backwards):
    settings = {"return_sequences": True, "return_state": True, "go_backwards": go_backwards}
    module = layer(AutoNCPMap(12, 3, seed=1), input_size=4, **settings)
    x = drawn(2, 7, 4)
    model = to_onnx(module, x, output_names=["sequence", "state"])
    assert kinds(model.graph).count("Scan") == 1
    assert [each.name for each in model.graph.input] == ["inputs"]
    for got, want in zip(run(model, x), module(x), strict=True):
        close(got, np.asarray(want), atol=1e-5)


def test_a_liquid_layer_takes_elapsed_times():
    module, x, times = CfC(AutoNCPMap(12, 3, seed=1), input_size=4), drawn(2, 7, 4), abs(drawn(2, 7, seed=1))
    model = to_onnx(lambda x, times: module(x, time_deltas=times), x, times)
    close(run(model, x, times)[0], np.asarray(module(x, time_deltas=times)), atol=1e-5)


def test_a_gradient_is_exported_like_any_function():
    def loss(params, x, y):
        return ops.mse(y, ops.tanh(x @ params["w"]) + params["b"])

    params, x, y = {"w": drawn(5, 2), "b": drawn(2)}, drawn(8, 5, seed=1), drawn(8, 2, seed=2)
    value, found = value_and_grad(loss)(params, x, y)
    model = to_onnx(value_and_grad(loss), params, x, y)
    assert [each.name for each in model.graph.input] == ["b", "w", "x", "y"]
    got = run(model, params["b"], params["w"], x, y)
    for g, want in zip(got, [value, found["b"], found["w"]], strict=True):
        close(g, want, atol=1e-5)


# Every op


@pytest.mark.parametrize(
    ("op", "number"),
    [pytest.param(op, i, id=f"{op.name}-{i}") for op, i in cases() if op.name not in DATA_DEPENDENT],
)
def test_each_op_has_its_value_in_onnxruntime_or_is_refused_by_name(op, number):
    args, settings = sample(op, number, "float32")
    key = {"key": np.array([3, 4], "uint32")} if op.creates and "key" in op.arrays else {}
    with backend.use_backend("numpy"):
        try:
            model = to_onnx(lambda *given: call(op, list(given), {**settings, **key}), *args)
        except TypeError as error:
            words = str(error)
            assert any(f"to_onnx: {name} ha" in words for name in FORMLESS), words
            return
    want = value_on_numpy(Case(op, number, "float32"))
    for g, w in zip(run(model, *tree.leaves(args)), want, strict=True):
        assert g.shape == w.shape
        assert g.dtype == w.dtype
        if w.dtype.kind in "biu":
            np.testing.assert_array_equal(g, w)
        else:
            close(g, w, w.dtype)


# Loops, branches, dtypes


def test_a_branch_and_loops_keep_their_meaning():
    def f(x, limit):
        halved = ops.while_loop(lambda v: ops.sum(v) > limit, lambda v: v * 0.5, x)
        last, sums = ops.scan(lambda c, row: (c + row * limit, c), ops.zeros(3, like=x), x, reverse=True)
        turned = ops.scan(lambda c, _: (c * 2.0, c), limit, length=4)
        return halved, last, sums, turned, ops.cond(limit > 1.0, lambda v: v + limit, lambda v: -v, x)

    x = abs(drawn(5, 3))
    model = to_onnx(f, x, np.float32(2.0))
    for limit in np.float32([0.5, 2.0]):
        for got, want in zip(run(model, x, limit), tree.leaves(f(x, limit)), strict=True):
            close(got, np.asarray(want))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "bool"])
def test_values_keep_their_dtype(dtype):
    x = np.array([[1, 0, 3], [2, 5, 0]]).astype(dtype)
    held = np.array([1, 0, 1]).astype(dtype)

    def f(x):
        return ops.where(x, x, held), ops.concat([x, x], axis=1), ops.take(x, np.array([1, 0])), x, x

    for got, want in zip(run(to_onnx(f, x), x), f(x), strict=True):
        assert got.dtype == want.dtype == dtype
        np.testing.assert_array_equal(got, want)


def test_numbers_of_python_take_the_dtype_of_the_array():
    x = np.array([0.5, -2.0], "float16")
    model = to_onnx(lambda x: ops.maximum(x * 2 + 1.5, 0), x)
    assert {each.data_type for each in model.graph.initializer} == {onnx.TensorProto.FLOAT16}
    np.testing.assert_array_equal(run(model, x)[0], np.array([2.5, 0.0], "float16"))


def test_infinities_and_small_numbers_survive_where_onnx_has_no_op():
    x = np.array([np.inf, -np.inf, 1e-9, 1e9, 0.0, np.nan], "float64")
    names = ("expm1", "log1p", "isfinite", "signbit", "trunc")
    model = to_onnx(lambda x: [getattr(ops, name)(x) for name in names], x)
    with np.errstate(all="ignore"):
        for name, got in zip(names, run(model, x), strict=True):
            np.testing.assert_allclose(got, getattr(np, name)(x), rtol=1e-12, err_msg=name)
    y = np.array([np.inf, 1.0, 0.0, -2.0, -np.inf, 1.0])
    model = to_onnx(lambda x, y: (ops.hypot(x, y), ops.logaddexp(x, y)), x, y)
    with np.errstate(all="ignore"):
        for got, f in zip(run(model, x, y), (np.hypot, np.logaddexp), strict=True):
            np.testing.assert_allclose(got, f(x, y), rtol=1e-12, err_msg=f.__name__)


# Calling


def test_specs_are_enough():
    model = to_onnx(ops.tanh, Spec((2, 3), as_dtype("float32")), input_names=["in"], output_names=["out"])
    assert [model.graph.input[0].name, model.graph.output[0].name] == ["in", "out"]
    x = drawn(2, 3)
    close(run(model, x)[0], np.tanh(x))


def test_compiled_functions_and_the_front_door_export_too():
    module, x = Dense(3, 2), drawn(4, 3)
    params = {name: p.data * 2 for name, p in module.named_parameters()}
    want = np.asarray(module(x)) * 2
    close(run(eh.to_onnx(compile(module), x, params=params), x)[0], want)
    close(run(eh.to_onnx(module, x, params=params), x)[0], want)
    close(run(eh.to_onnx(compile(functools.partial(module.functional, params)), x), x)[0], want)


def test_a_module_that_is_not_built_is_built():
    module, x = CfC(AutoNCPMap(8, 2, seed=1)), drawn(2, 3, 4)
    model = to_onnx(module, x)
    assert any(each.name.startswith("cell.") for each in model.graph.initializer)
    close(run(model, x)[0], np.asarray(module(x)), atol=1e-5)


def test_outputs_are_named_by_keys_and_places():
    model = to_onnx(lambda x: {"a": x, "b": [x, x + 1]}, drawn(2))
    assert [each.name for each in model.graph.output] == ["a", "b_0", "b_1"]
    model = to_onnx(lambda x: (x, ops.ones(2)), drawn(2))
    assert [each.name for each in model.graph.output] == ["output_0", "output_1"]
    assert [list(each) for each in run(model, np.float32([5, 2]))] == [[5, 2], [1, 1]]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path, x = tmp_path / "model.onnx", drawn(2, 3)
    to_onnx(ops.tanh, x, path=path)
    before = path.read_bytes()
    close(run(str(path), x)[0], np.tanh(x))
    with pytest.raises(TypeError, match="no form"):
        to_onnx(lambda x: ops.matmul(ops.svdvals(x), ops.ones(2)), x, path=path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Refusals


def test_an_op_without_a_form_is_named_with_its_place():
    with pytest.raises(
        TypeError, match=r"to_onnx: inv has no form in ONNX: step 2 of 3, inv of float32 \(3, 3\)"
    ):
        to_onnx(lambda x: ops.inv(x + 1) * 2, drawn(3, 3))


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="complex numbers have no form in ONNX"):
        to_onnx(lambda x: x * 2, drawn(3).astype("complex64"))


def test_random_numbers_are_refused():
    with pytest.raises(TypeError, match="random"):
        to_onnx(lambda x: x + ops.normal((3,)), drawn(3))


@pytest.mark.parametrize("names", [["a"], ["a", "a"]])
def test_names_must_be_as_many_and_differ(names):
    with pytest.raises(ValueError, match="expected 2 different input_names"):
        to_onnx(ops.add, drawn(3), drawn(3), input_names=names)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r"to_onnx needs onnx: pip install 'ember-ml\[onnx\]'"):
        to_onnx(ops.tanh, drawn(2))
