"""Models compiled: parameters and data in, outputs and gradients out, on every engine."""

import logging
import pickle
import threading

import numpy as np
import pytest

from conftest import close
from ember_ml import compile, ops, tensor
from ember_ml.backend import NumpyBackend
from ember_ml.core import TABLE
from ember_ml.nn import Connection, Dropout, Linear, Model, Module, node
from ember_ml.nn.container.compiled_model import Parameters
from ember_ml.ops import set_seed

RNG = np.random.default_rng(4)
X, Y = RNG.standard_normal((8, 3)), RNG.standard_normal((8, 2))


def net():
    model = Model()
    model |= Linear(dimension=4)(input="input", output="hidden")
    model |= node(ops.tanh)(input="hidden", output="active")
    model |= Linear(dimension=2)(input="active", output="output")
    return model


def by_hand(params, x, g):
    """Return the output of `net`, and its gradients for the cotangent g, in NumPy."""
    w, b, v, c = (
        np.asarray(params[k], "float64")
        for k in ("linear.weight", "linear.bias", "linear_2.weight", "linear_2.bias")
    )
    h = np.tanh(x @ w.T + b)
    d = (g @ v) * (1 - h * h)
    slopes = {"linear.weight": d.T @ x, "linear.bias": d.sum(0)}
    return h @ v.T + c, slopes | {"linear_2.weight": g.T @ h, "linear_2.bias": g.sum(0)}


def given(be, dtype="float32"):
    return {"input": be.array(X.astype(dtype))}, be.array(Y.astype(dtype))


def values(be, params):
    return {k: be.to_numpy(x) for k, x in params.items()}


def test_outputs_and_gradients_are_those_by_hand(be):
    compiled = compile(net(), be, shapes={"input": (None, 3)})
    params, (data, g) = compiled.get_parameters(), given(be)
    output, slopes = by_hand(values(be, params), X, Y)
    close(be.to_numpy(compiled.evaluate(params, data)["output"]), output)
    outputs, gradients = compiled.evaluate(params, data, output_gradients={"output": g})
    assert be.owns(type(outputs["output"]))
    close(be.to_numpy(outputs["output"]), output)
    assert set(gradients) == set(params)
    for key, slope in slopes.items():
        close(be.to_numpy(gradients[key]), slope)


def test_a_function_of_the_outputs_gives_the_same_gradients(be):
    compiled = compile(net(), be, shapes={"input": (None, 3)})
    params, (data, y) = compiled.get_parameters(), given(be)
    seen = []

    def cotangents(outputs):
        seen.append(outputs["output"])
        return {"output": ops.multiply(ops.subtract(outputs["output"], y), 2.0)}

    outputs, gradients = compiled.evaluate(params, data, output_gradients=cotangents)
    assert len(seen) == 1
    output, _ = by_hand(values(be, params), X, Y)
    _, slopes = by_hand(values(be, params), X, 2 * (output - Y))
    close(be.to_numpy(outputs["output"]), output)
    for key, slope in slopes.items():
        close(be.to_numpy(gradients[key]), slope, rtol=1e-4)
    ahead, behind = (compiled._parts[name].source for name in ("ahead", "behind"))
    assert ahead.count("tanh(") == 1
    assert "tanh(" not in behind, "the backward program computes nothing twice"


def with_loss():
    model = net()
    model |= node(ops.mse)(left="target", right="output", output="loss")
    return model


def test_true_differentiates_the_only_number(be):
    compiled = compile(with_loss(), be, shapes={"input": (None, 3), "target": (None, 2)})
    params, (data, y) = compiled.get_parameters(), given(be)
    outputs, gradients = compiled.evaluate(params, {**data, "target": y}, output_gradients=True)
    output, _ = by_hand(values(be, params), X, Y)
    _, slopes = by_hand(values(be, params), X, 2 * (output - Y) / Y.size)
    close(be.to_numpy(outputs["loss"]), ((output - Y) ** 2).mean())
    for key, slope in slopes.items():
        close(be.to_numpy(gradients[key]), slope, rtol=1e-4)


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_the_backends_dtype_is_that_of_the_parameters(name):
    be = NumpyBackend(dtype=name)
    compiled = compile(net(), be)
    data, g = given(be, name)
    outputs, gradients = compiled.evaluate(
        params := compiled.get_parameters(), data, output_gradients={"output": g}
    )
    assert {x.dtype.name for x in (*params.values(), *outputs.values(), *gradients.values())} == {name}
    output, slopes = by_hand(params, data["input"].astype("float64"), g.astype("float64"))
    loose = {"rtol": 2e-2, "atol": 2e-2} if name == "float16" else {}  # of 11 bits, in sums of eight terms
    like = "float32" if name == "float16" else name
    close(outputs["output"], output, like, **loose)
    for key, slope in slopes.items():
        close(gradients[key], slope, like, **loose)


def test_gradients_agree_with_finite_differences():
    be = NumpyBackend(dtype="float64")
    compiled = compile(with_loss(), be)
    params, data = compiled.get_parameters(), {"input": X, "target": Y}
    _, gradients = compiled.evaluate(params, data, output_gradients=True)
    step = 1e-6
    for key, value in params.items():
        for place in np.ndindex(value.shape):
            losses = []
            for sign in (1, -1):
                moved = value.copy()
                moved[place] += sign * step
                losses.append(compiled.evaluate({**params, key: moved}, data)["loss"])
            close(
                gradients[key][place], (losses[0] - losses[1]) / (2 * step), "float64", rtol=1e-5, atol=1e-8
            )


def test_parameters_fill_themselves_at_the_first_evaluate():
    compiled = compile(net(), "numpy")
    params = compiled.get_parameters()
    assert type(params) is Parameters
    assert repr(params) == "Parameters(made at the first evaluate)"
    with pytest.raises(LookupError, match=r"made at the first evaluate, which knows the shapes"):
        list(params)
    data = {"input": X.astype("float32")}
    before = compiled.evaluate(params, data)["output"]
    assert sorted(params) == ["linear.bias", "linear.weight", "linear_2.bias", "linear_2.weight"]
    assert params["linear.weight"].shape == (4, 3)
    _, gradients = compiled.evaluate(params, data, output_gradients={"output": np.ones((8, 2), "float32")})
    for name, slope in gradients.items():
        params[name] = params[name] - 0.1 * slope
    assert compiled.evaluate(params, data)["output"].sum() < before.sum()
    assert type(compiled.get_parameters()) is dict
    close(compiled.evaluate(compiled.get_parameters(), data)["output"], before)


def test_without_a_backend_the_data_choose_the_engine(be):
    compiled = compile(net())
    params, (data, _) = compiled.get_parameters(), given(be)
    assert be.owns(type(compiled.evaluate(params, data)["output"]))
    assert {be.owns(type(x)) for x in params.values()} == {True}


def test_tensors_come_back_as_tensors_and_hand_on_their_gradient():
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)})
    x = tensor.array(X.astype("float32"), requires_grad=True)
    params = compiled.get_parameters()
    output = compiled.evaluate(params, {"input": x})["output"]
    assert type(output) is tensor.EmberTensor
    ops.sum(output).backward()
    w, v = (params[k].astype("float64") for k in ("linear.weight", "linear_2.weight"))
    h = np.tanh(X @ w.T + params["linear.bias"])
    close(tensor.to_numpy(x.grad), (np.ones((8, 2)) @ v * (1 - h * h)) @ w, rtol=1e-4)


def test_parameters_are_copies():
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)})
    params = compiled.get_parameters()
    params["linear.bias"] += 1
    assert not np.allclose(compiled.get_parameters()["linear.bias"], params["linear.bias"])


def test_random_parameters_follow_the_seed_and_the_layers_own_limits():
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)})
    set_seed(3)
    one, two = compiled.randomize_params(), compiled.randomize_params()
    set_seed(3)
    again = compiled.randomize_params()
    for key in one:
        assert (one[key] == again[key]).all()
        assert not (one[key] == two[key]).any()
    assert abs(one["linear.weight"]).max() <= 3**-0.5
    assert type(compile(net(), "numpy").randomize_params()) is Parameters


def test_a_new_batch_size_is_compiled_anew():
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)})
    params = compiled.get_parameters()
    for batch in (1, 4, 8, 1):
        _, gradients = compiled.evaluate(params, {"input": X[:batch]}, output_gradients={"output": Y[:batch]})
        for key, slope in by_hand(params, X[:batch], Y[:batch])[1].items():
            close(gradients[key], slope, rtol=1e-4)


def test_threads_get_right_gradients():
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)})
    params, wrong = compiled.get_parameters(), []

    def work(batch):
        wanted = by_hand(params, X[:batch], Y[:batch])[1]
        for _ in range(200):
            for how in ({"output": Y[:batch]}, lambda outputs: {"output": Y[:batch]}):
                _, found = compiled.evaluate(params, {"input": X[:batch]}, output_gradients=how)
                wrong.extend(k for k in wanted if not np.allclose(found[k], wanted[k], rtol=1e-4, atol=1e-5))

    threads = [threading.Thread(target=work, args=(batch,)) for batch in (3, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_compiled_model_survives_pickling(be):
    compiled = compile(net(), be, shapes={"input": (None, 3)})
    params, (data, g) = compiled.get_parameters(), given(be)
    how = lambda outputs: {"output": g}
    _, gradients = compiled.evaluate(params, data, output_gradients=how)
    again = pickle.loads(pickle.dumps(compiled))
    for way in (how, {"output": g}):
        _, found = again.evaluate(params, data, output_gradients=way)
        for key, slope in gradients.items():
            close(be.to_numpy(found[key]), be.to_numpy(slope))
    assert pickle.loads(pickle.dumps(NumpyBackend(dtype="float16"))).dtype == "float16"


def test_nobody_changes_the_callers_arrays():
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)})
    params = compiled.get_parameters()
    arrays = [*params.values(), x := X.copy(), g := Y.copy()]
    before = [a.copy() for a in arrays]
    compiled.evaluate(params, {"input": x}, output_gradients={"output": g})
    compiled.evaluate(params, {"input": x}, output_gradients=lambda outputs: {"output": g})
    assert all((a == b).all() for a, b in zip(arrays, before, strict=True))


# What may be chosen


def test_constants_become_part_of_the_program():
    model = Model.from_function(lambda x, scale: x * scale)
    compiled = compile(model, "numpy", constant_keys={"scale": np.array(3.0)})
    assert compiled.input_keys == ("x",)
    close(compiled.evaluate({}, {"x": X})["output"], 3 * X, "float64")
    close(compile(model, constant_keys={"scale": 2.0}).evaluate(data={"x": X})["output"], 2 * X, "float64")
    frozen = compile(
        net(), "numpy", shapes={"input": (None, 3)}, constant_keys={"linear.bias": np.zeros(4, "float32")}
    )
    assert "linear.bias" not in frozen.get_parameters()
    _, gradients = frozen.evaluate(frozen.get_parameters(), {"input": X}, output_gradients={"output": Y})
    assert sorted(gradients) == ["linear.weight", "linear_2.bias", "linear_2.weight"]


def test_trainable_inputs_have_gradients_and_data_keys_have_none():
    chosen = {"trainable_keys": ["input"], "data_keys": ["linear.bias"], "shapes": {"input": (None, 3)}}
    compiled = compile(net(), "numpy", **chosen)
    params = compiled.get_parameters()
    assert "linear.bias" not in params
    data = {"input": X, "linear.bias": np.zeros(4)}
    _, gradients = compiled.evaluate(params, data, output_gradients={"output": Y})
    assert sorted(gradients) == ["input", "linear.weight", "linear_2.bias", "linear_2.weight"]
    w, v = (params[k].astype("float64") for k in ("linear.weight", "linear_2.weight"))
    close(gradients["input"], ((Y @ v) * (1 - np.tanh(X @ w.T) ** 2)) @ w, rtol=1e-4)


def test_discarded_outputs_take_along_what_serves_them_alone():
    model = with_loss()
    model.expose_keys("output")
    compiled = compile(model, "numpy", discard_keys=["loss"], shapes={"input": (None, 3)})
    assert compiled.output_keys == ("output",)
    assert compiled.input_keys == ("input",)
    assert "square" not in (compiled.evaluate(compiled.get_parameters(), {"input": X}), compiled.source)[1]
    heads = net()
    heads |= Linear(dimension=1)(input="active", output="other")
    shapes = {"input": (None, 3)}
    assert "linear_3.weight" in compile(heads, "numpy", shapes=shapes).get_parameters()
    assert (
        "linear_3.weight"
        not in compile(heads, "numpy", shapes=shapes, discard_keys=["other"]).get_parameters()
    )
    assert heads.output_keys == ("output", "other")
    alone = compile(heads, "numpy", shapes=shapes, discard_keys=["other"])
    assert sorted(alone.randomize_params()) == sorted(alone.get_parameters())


def test_a_layer_stays_whose_parameter_an_output_reads():
    model = Model()
    model |= node(ops.sum)(input="linear.weight", output="total")  # before there is such a layer, too
    model |= Linear(dimension=2)(input="input", output="output")
    assert model.input_keys == ("input",)
    compiled = compile(model, "numpy", discard_keys=["output"], shapes={"input": (None, 3)})
    params = compiled.get_parameters()
    outputs, gradients = compiled.evaluate(params, {"input": X}, output_gradients=True)
    close(outputs["total"], params["linear.weight"].sum())
    close(gradients["linear.weight"], np.ones((2, 3)))


def test_shapes_flow_between_nodes_as_numbers(be):
    model = Model.from_function(
        lambda x: {"flat": x.reshape((x.shape[0] * x.shape[1],)), "sizes": x.shape, "total": (2.0 * x).sum()}
    )
    compiled = compile(model, be, trainable_keys=["x"])
    x = be.array(X.astype("float32"))
    outputs, gradients = compiled.evaluate({}, {"x": x}, output_gradients={"total": be.array(np.float32(1))})
    close(be.to_numpy(outputs["flat"]), X.ravel())
    assert tuple(int(n) for n in outputs["sizes"]) == (8, 3)
    close(be.to_numpy(gradients["x"]), np.full((8, 3), 2.0))


def test_a_head_that_an_output_does_not_need_has_a_gradient_of_zero():
    heads = net()
    heads |= Linear(dimension=1)(input="active", output="other")
    compiled = compile(heads, "numpy", shapes={"input": (None, 3)})
    params = compiled.get_parameters()
    wanted = by_hand(params, X, Y)[1]
    for how in ({"output": Y}, lambda outputs: {"output": Y}):
        _, gradients = compiled.evaluate(params, {"input": X}, output_gradients=how)
        assert not gradients["linear_3.weight"].any()
        for key, slope in wanted.items():
            close(gradients[key], slope, rtol=1e-4)


def test_inference_has_no_gradients():
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)}, inference=True)
    assert compiled.evaluate(compiled.get_parameters(), {"input": X})["output"].shape == (8, 2)
    with pytest.raises(ValueError, match=r"compiled with inference=True"):
        compiled.evaluate(compiled.get_parameters(), {"input": X}, output_gradients={"output": Y})


def test_the_source_is_written_to_a_file(tmp_path):
    compiled = compile(net(), "numpy", shapes={"input": (None, 3)}, file=tmp_path / "net.py")
    compiled.evaluate(compiled.get_parameters(), {"input": X})
    text = (tmp_path / "net.py").read_text()
    assert text == compiled.source
    assert "tanh(" in text
    compiled.evaluate(compiled.get_parameters(), {"input": X}, output_gradients={"output": Y})
    assert len((tmp_path / "net.py").read_text()) > len(text)


def test_verbose_logs_and_the_summary_knows_the_shapes(caplog):
    with caplog.at_level(logging.INFO, "ember_ml"):
        compiled = compile(net(), "numpy", shapes={"input": (None, 3)}, verbose=True)
        compiled.evaluate(compiled.get_parameters(), {"input": X})
    assert "def evaluate" in caplog.text
    assert "output (None, 2)" in str(compiled.summary())


def test_modes_and_random_draws_reach_the_program():
    model = Model()
    model |= Dropout(0.5)(input="input", output="output")
    compiled = compile(model, "numpy")
    ones = {"input": np.ones((50, 50), "float32")}
    first, second = (compiled.evaluate({}, ones)["output"] for _ in range(2))
    assert (first != second).any()
    model.eval()
    assert (compiled.evaluate({}, ones)["output"] == 1).all()


def test_buffers_reach_the_program():
    class Shift(Module):
        def __init__(self):
            self.register_buffer("by", np.zeros(3))

        def forward(self, x):
            return x + self.by

    model = Model()
    model |= (shift := Shift())(input="input", output="output")
    compiled = compile(model, "numpy")
    close(compiled.evaluate({}, {"input": X})["output"], X, "float64")
    shift.by = np.ones(3)
    close(compiled.evaluate({}, {"input": X})["output"], X + 1, "float64")


# Bad input


@pytest.fixture
def compiled():
    return compile(net(), "numpy", shapes={"input": (None, 3)})


def test_keys_that_are_unknown_missing_or_given_twice_are_named(compiled):
    params = compiled.get_parameters()
    with pytest.raises(KeyError, match=r"params and data: no key 'inptu'; there are input, linear.weight"):
        compiled.evaluate(params, {"input": X, "inptu": X})
    with pytest.raises(KeyError, match=r"data: nothing is given for 'input'"):
        compiled.evaluate(params, {})
    with pytest.raises(KeyError, match=r"'input' is given twice"):
        compiled.evaluate({**params, "input": X}, {"input": X})
    with pytest.raises(KeyError, match=r"params: nothing is given for 'linear.weight', 'linear.bias'"):
        compiled.evaluate({k: params[k] for k in ("linear_2.weight", "linear_2.bias")}, {"input": X})


def test_wrong_shapes_and_dtypes_name_the_key(compiled):
    params = compiled.get_parameters()
    with pytest.raises(ValueError, match=r"'input' has shape \(8, 2\), expected \(None, 3\)"):
        compiled.evaluate(params, {"input": Y})
    unstated = compile(net(), "numpy")
    unstated.evaluate(unfilled := unstated.get_parameters(), {"input": X})
    with pytest.raises(ValueError, match=r"^linear \(Linear; input \(8, 2\)\): expected inputs of 3"):
        unstated.evaluate(unfilled, {"input": Y})
    with pytest.raises(TypeError, match=r"gradients need floating-point values, and 'linear.bias' is int64"):
        compiled.evaluate(
            {**params, "linear.bias": np.zeros(4, "int64")}, {"input": X}, output_gradients={"output": Y}
        )
    with pytest.raises(TypeError, match=r"'input' must be an array, got str"):
        compiled.evaluate(params, {"input": "x"})


def test_parameters_of_another_model_are_refused(compiled):
    other = compile(net(), "numpy", shapes={"input": (None, 5)}).get_parameters()
    with pytest.raises(
        ValueError, match=r"'linear.weight' has shape \(4, 5\), expected \(4, 3\); .* another model"
    ):
        compiled.evaluate(other, {"input": X})


def test_output_gradients_must_fit(compiled):
    params, data = compiled.get_parameters(), {"input": X}
    for how in ({"hidden": Y}, lambda outputs: {"hidden": Y}):
        with pytest.raises(KeyError, match=r"no output 'hidden'; there are output; .*expose_keys"):
            compiled.evaluate(params, data, output_gradients=how)
    for how in ({"output": Y[:2]}, lambda outputs: {"output": Y[:2]}):
        with pytest.raises(ValueError, match=r"'output' has shape \(2, 2\), expected \(8, 2\)"):
            compiled.evaluate(params, data, output_gradients=how)
    with pytest.raises(ValueError, match=r"True needs a single number, and 'output' has shape \(8, 2\)"):
        compiled.evaluate(params, data, output_gradients=True)
    two = Model.from_function(lambda x: {"a": x.sum(), "b": x.mean()})
    with pytest.raises(ValueError, match=r"differentiates one output, and there are a, b"):
        compile(two, trainable_keys=["x"]).evaluate(data={"x": X}, output_gradients=True)


def test_an_op_without_a_gradient_in_the_way_is_named(monkeypatch):
    model = net()
    model |= node(ops.round)(input="output", output="whole")
    compiled = compile(model, "numpy", shapes={"input": (None, 3)})
    for how in ({"whole": Y}, lambda outputs: {"whole": Y}):
        with pytest.raises(
            TypeError, match=r"no gradient reaches 'linear.* from whole: round has none \(node round\)"
        ):
            compiled.evaluate(compiled.get_parameters(), {"input": X}, output_gradients=how)
    monkeypatch.setattr(TABLE["digamma"], "vjp", None)  # every op has a rule; one of your own may not
    ruleless = Model.from_function(lambda x: ops.digamma(x))
    with pytest.raises(
        TypeError, match=r"no gradient reaches 'x' \(8, 3\) from output: digamma has none \(node digamma\)"
    ):
        compile(ruleless, "numpy", trainable_keys=["x"]).evaluate(
            data={"x": X}, output_gradients={"output": X}
        )
    chosen = Model.from_function(lambda x: ops.argmax(x, axis=1))
    with pytest.raises(TypeError, match=r"'output' holds no floating-point array, so it has no gradient"):
        compile(chosen, "numpy", trainable_keys=["x"]).evaluate({}, {"x": X}, output_gradients={"output": Y})
    stopped = Model.from_function(lambda x: ops.stop_gradient(x).sum())
    _, gradients = compile(stopped, trainable_keys=["x"]).evaluate({}, {"x": X}, output_gradients=True)
    assert not gradients["x"].any(), "who asks for it gets it"


def test_choices_are_checked():
    with pytest.raises(ValueError, match=r"the model has no nodes; add one"):
        compile(Model(), "numpy")
    for what in ("data_keys", "trainable_keys"):
        with pytest.raises(KeyError, match=f"{what}: no key 'inptu'; there are input"):
            compile(net(), "numpy", **{what: ["inptu"]})
    with pytest.raises(KeyError, match=r"discard_keys: no output 'hidden'; there are output"):
        compile(net(), "numpy", discard_keys=["hidden"])
    with pytest.raises(ValueError, match=r"input stands in data_keys and in trainable_keys"):
        compile(net(), "numpy", data_keys=["input"], trainable_keys=["input"])
    with pytest.raises(KeyError, match=r"set_shapes: no key 'x'; there are input"):
        compile(net(), "numpy", shapes={"x": (1, 2)})
    with pytest.raises(
        TypeError, match=r"compile: shapes, inference can be chosen for a Model alone, got function"
    ):
        compile(lambda x: x, shapes={"x": (1, 2)}, inference=True)


def test_a_model_may_grow_after_it_was_compiled():
    model = net()
    compiled = compile(model, "numpy", shapes={"input": (None, 3)})
    model += node(ops.exp)
    params = compiled.get_parameters()
    close(compiled.evaluate(params, {"input": X})["output"], by_hand(params, X, Y)[0], rtol=1e-4)


def test_a_model_of_many_nodes_is_built_pickled_and_run():
    x = Connection("x")
    for _ in range(300):
        x = ops.tanh(x) * 0.5 + 0.25
    model = Model.create(output=x)
    assert len(model.plan.nodes) == 900
    again = pickle.loads(pickle.dumps(model))
    close(again(X), model(X), "float64")
