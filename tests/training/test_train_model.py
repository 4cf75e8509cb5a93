"""Models with what they are trained on."""

import json
import re

import numpy as np
import pytest

from conftest import close
from ember_ml import compile, ops
from ember_ml.nn import Linear, Model, node
from ember_ml.training import TrainModel

RNG = np.random.default_rng(2)
X, Y = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 1))


def line():
    model = Model()
    model += Linear(3, 1)
    return model


def squared(input, target):
    return ops.square(ops.subtract(input, target))


def half_square(input):
    return ops.multiply(ops.sum(ops.square(input)), 0.5)


def test_losses_and_penalties_add_up_and_metrics_do_not(be):
    train = TrainModel(model := line())
    train.add_loss(squared, input="output", target="target", key_name="error")
    train.add_loss("abs", reduce_steps=["max"], coef=0.5, input="output")
    train.add_regularization(half_square, coef=0.1, reg_key="linear.weight")
    train.add_metric(squared, reduce_steps=["max"], key_name="worst", input="output", target="target")
    assert set(train.output_keys) == {"output", "error", "final_cost", "worst"}
    compiled = compile(train, be, shapes={"input": (None, 3), "target": (None, 1)})
    params = compiled.get_parameters()
    data = {"input": be.array(X.astype("float32")), "target": be.array(Y.astype("float32"))}
    outputs, gradients = compiled.evaluate(params, data, output_gradients=True)
    w, b = (be.to_numpy(params[k]).astype("float64") for k in ("linear.weight", "linear.bias"))
    out = X @ w.T + b
    error = ((out - Y) ** 2).mean()
    close(be.to_numpy(outputs["output"]), out)
    close(be.to_numpy(outputs["error"]), error)
    close(be.to_numpy(outputs["worst"]), ((out - Y) ** 2).max())
    close(be.to_numpy(outputs["final_cost"]), error + 0.5 * abs(out).max() + 0.05 * (w**2).sum(), rtol=1e-4)
    far = abs(out).argmax()
    slope = 2 * (out - Y).T @ X / 6 + 0.5 * np.sign(out[far]) * X[far] + 0.1 * w
    close(be.to_numpy(gradients["linear.weight"]), slope, rtol=1e-4)
    assert next(model.parameters()) is next(train.parameters())


def test_a_penalty_of_all_whose_name_a_pattern_finds():
    train = TrainModel(line())
    train.add_loss(squared, input="output", target="target")
    train.add_regularization(half_square, reg_key=re.compile("weight$|bias$"), key_name="penalty")
    found = train(X, Y)
    w, b = (np.asarray(p) for p in train.parameters())
    close(found["penalty"], 0.5 * ((w**2).sum() + (b**2).sum()))
    close(found["final_cost"], ((X @ w.T + b - Y) ** 2).mean() + found["penalty"], rtol=1e-4)
    with pytest.raises(KeyError, match=r"'kernel' finds no parameter; there are linear.weight, linear.bias"):
        train.add_regularization(half_square, reg_key=re.compile("kernel"))


def test_a_train_model_travels_as_data():
    train = TrainModel(line())
    train.add_loss(ops.mse, reduce_steps=(), left="target", right="output")
    again = Model.from_dict(json.loads(json.dumps(train.to_dict())))
    assert type(again) is TrainModel
    again.load_state_dict(train.state_dict())
    close(again(input=X, target=Y)["final_cost"], train(input=X, target=Y)["final_cost"])
    again.add_loss("mean", reduce_steps=(), input="output")
    found = again(input=X, target=Y)
    close(found["final_cost"], ((found["output"] - Y) ** 2).mean() + found["output"].mean(), rtol=1e-4)


def test_without_a_loss_there_is_no_cost():
    compiled = compile(TrainModel(line()), "numpy")
    with pytest.raises(ValueError, match=r"the model has no output 'final_cost'; add_loss"):
        compiled.evaluate(compiled.get_parameters(), {"input": X}, output_gradients=True)


def test_the_model_stays_as_it_was():
    model = line()
    train = TrainModel(model)
    train.add_loss(squared, input="output", target="target")
    assert (model.input_keys, model.output_keys) == (("input",), ("output",))
    model += node(ops.exp)
    assert "exp" not in [n.kind for n in train.plan.nodes]
