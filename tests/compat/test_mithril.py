"""Mithril's names: `ember_ml.compat.mithril`."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import ember_ml.backend
import ember_ml.compat.mithril as ml
import ember_ml.ops
from conftest import close
from ember_ml.compat.mithril.backends import NumpyBackend


def test_the_numpy_backend_starts_at_float64():
    assert NumpyBackend().randn(3, 4).dtype == "float64"
    assert NumpyBackend().array([0.1])[0] == 0.1
    assert NumpyBackend(dtype=np.float32).ones(2).dtype == "float32"
    assert ember_ml.backend.NumpyBackend().ones(2).dtype == "float32"
    assert isinstance(NumpyBackend(), ember_ml.backend.NumPyBackend)
    assert NumpyBackend() == "numpy"


def test_the_other_backends_are_ours():
    pytest.importorskip("torch")
    assert ml.backends.TorchBackend is ember_ml.backend.TorchBackend
    assert {"JaxBackend", "MlxBackend", "NumpyBackend"} <= set(dir(ml.backends))
    with pytest.raises(AttributeError):
        ml.backends.GGMLBackend


# The model language


def test_ops_modules_and_equivalents_are_nodes_by_mithrils_names():
    x = np.array([[1.0, -2.0], [3.0, 0.5]])
    for made, want in (
        (ml.Relu(), np.maximum(x, 0)),
        (ml.Softmax(axis=0), np.exp(x) / np.exp(x).sum(0)),
        (ml.LogSumExp(axis=1), np.log(np.exp(x).sum(1))),
        (ml.Absolute(), abs(x)),
        (ml.Exponential(), np.exp(x)),
        (ml.Variance(axis=0), x.var(0)),
        (ml.models.L2(), (x**2).sum() / 2),
        (ml.models.L1(), abs(x).sum()),
        (ml.Buffer(), x),
    ):
        model = ml.Model()
        model |= made(input="input", output="output")
        close(model(x), want, "float64")
    assert ml.Linear is ml.models.Linear
    assert (ml.float, ml.float64, ml.int) == ("float32", "float64", "int32")
    assert "Relu" in dir(ml)
    with pytest.raises(AttributeError, match="mithril has no 'Reluu' here; is it Relu"):
        _ = ml.Reluu


def test_losses_are_of_every_value():
    p, t = np.array([[0.2, 0.7], [0.9, 0.4]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    close(ml.SquaredError()(input=p, target=t), (p - t) ** 2, "float64")
    close(ml.AbsoluteError()(input=p, target=t), abs(p - t), "float64")
    close(ml.HingeLoss()(input=p, target=t), np.maximum(0, 1 - t * p), "float64")
    close(
        ml.BinaryCrossEntropy(from_logits=False)(input=p, target=t), -np.log(np.where(t, p, 1 - p)), "float64"
    )
    logs = p - np.log(np.exp(p).sum(1, keepdims=True))
    close(ml.CrossEntropy()(input=p, target=np.array([1, 0])), -logs[[0, 1], [1, 0]], "float64")


def test_scaled_dot_product_is_the_formula():
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 4, 5))
    scores = q @ k.swapaxes(1, 2) / np.sqrt(5)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    close(ml.ScaledDotProduct()(query=q, key=k, value=v), weights @ v, "float64")
    causal = ml.ScaledDotProduct(is_causal=True)(query=q, key=k, value=v)
    close(np.asarray(causal)[:, 0], v[:, 0], "float64")


def test_a_classifier_trains_with_mithrils_words():
    model = ml.Model()
    model += ml.MLP(activations=[ml.Tanh(), None], dimensions=[8, 2])
    train = ml.TrainModel(model)
    train.add_loss(ml.CrossEntropy(), input="output", target=ml.IOKey("target"))
    compiled = ml.compile(train, NumpyBackend())
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2))
    data = {"input": x, "target": (x[:, 0] * x[:, 1] > 0).astype("int64")}
    params = compiled.get_parameters()
    costs = []
    for _ in range(300):
        outputs, gradients = compiled.evaluate(params, data, output_gradients=True)
        for name, slope in gradients.items():
            params[name] = params[name] - slope
        costs.append(outputs["final_cost"])
    assert costs[-1] < 0.3 * costs[0]


@pytest.fixture(scope="module")
def example():
    path = Path(__file__).parents[2] / "examples" / "model_language.py"
    spec = importlib.util.spec_from_file_location("model_language", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("build", ["line", "layers"])
def test_the_documents_two_models_train_alike_on_every_engine(be, build, example):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 5)).astype("float32")
    y = x.sum(1, keepdims=True)
    ember_ml.ops.set_seed(0)
    model = getattr(example, build)()
    alone = np.array(list(example.losses(model, ember_ml.backend.get_backend("numpy"), x, y)))
    found = list(example.losses(model, be, x, y))
    close(found[:20], alone[:20], rtol=1e-5)
    close(
        found, alone, rtol=1e-4, atol=1e-4 * alone[0]
    )  # rounding grows with the steps, at the kinks of relu
    assert alone[-1] < 0.02 * alone[0]
