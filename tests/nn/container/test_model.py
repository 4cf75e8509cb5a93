"""Models: nodes wired by the names of keys."""

import json
import pickle
from xml.etree import ElementTree

import numpy as np
import pytest

from conftest import close
from ember_ml import ops, tensor
from ember_ml.nn import (
    LTC,
    MLP,
    AutoNCPMap,
    Connection,
    Dense,
    Dropout,
    Linear,
    Model,
    Module,
    Sequential,
    functional_call,
    load,
    node,
    save,
)
from ember_ml.tensor import to_numpy as host

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, -1.0]], "float32")


def with_weights(linear, weight, bias):
    """Return a linear layer with the weights given."""
    linear.weight.data, linear.bias.data = np.array(weight, "float32"), np.array(bias, "float32")
    return linear


def two_layers():
    model = Model()
    model |= with_weights(Linear(3, 2), [[1, 0, 1], [0, 2, 0]], [0, 1])(input="input", output="hidden")
    model |= node(ops.relu)(input="hidden", output="active")
    model |= with_weights(Linear(2, 1), [[1, -1]], [0.5])(input="active", output="output")
    return model


EXPECTED = np.array([[4.5], [-1.0]], "float32")  # by hand: relu((4, -3)) . (1, -1) + .5; relu((-.5, 1.5)) ...


def test_a_model_computes_what_its_nodes_compute(be):
    model = two_layers().to(backend=be)
    close(host(model(be.array(X))), EXPECTED)
    close(host(model(input=be.array(X))), EXPECTED)
    assert be.owns(type(model(be.array(X))))


def test_keys_nobody_reads_are_outputs_and_keys_nobody_writes_are_inputs():
    model = two_layers()
    assert model.input_keys == ("input",)
    assert model.output_keys == ("output",)
    assert set(model.keys) == {"input", "hidden", "active", "output"}
    model.expose_keys("hidden")
    assert set(model.output_keys) == {"hidden", "output"}
    close(model(X)["hidden"], X @ np.array([[1, 0, 1], [0, 2, 0]]).T + np.array([0, 1]))


def test_plus_joins_the_last_output_to_the_free_input():
    model = Model()
    model += with_weights(Linear(3, 2), [[1, 0, 1], [0, 2, 0]], [0, 1])
    model += node("relu")
    model += with_weights(Linear(2, 1), [[1, -1]], [0.5])
    assert (model.input_keys, model.output_keys) == (("input",), ("output",))
    close(model(X), EXPECTED)


def test_plus_with_every_key_given_adds_as_it_is():
    model = Model()
    model |= Linear(3, 2)(input="input", output="hidden")
    model += node(ops.relu)(input="hidden", output="output")
    assert (model.input_keys, model.output_keys) == (("input",), ("output",))


def test_plus_refuses_two_free_inputs():
    model = two_layers()
    with pytest.raises(ValueError, match=r"add: \+= joins one free input, but left, right are free"):
        model += node(ops.add)


def test_nodes_may_be_added_before_what_they_read():
    model = Model()
    model |= node(ops.exp)(input="hidden", output="output")
    model |= node(ops.negative)(input="input", output="hidden")
    close(model(X), np.exp(-X))
    assert [n.name for n in model.plan.nodes] == ["negative", "exp"]


def test_operators_on_connections_are_nodes():
    a, b, c = Connection("a"), Connection("b"), Connection("c")
    model = Model.create(output=(a @ b + c) * 2.0 - 1.0)
    given = X @ X.T + 3.0
    close(model(X, X.T, np.float32(3.0)), given * 2 - 1)
    assert [n.kind for n in model.plan.nodes] == ["matmul", "add", "multiply", "subtract"]
    close(Model.create(output=1.0 - a)(X), 1 - X)
    close(Model.create(output=np.ones(3, "float32") - a)(X), 1 - X)


def test_connections_have_indices_shapes_and_methods():
    x = Connection("x")
    close(Model.create(output=x[0])(X), X[0])
    close(Model.create(output=x[..., 1:])(X), X[..., 1:])
    close(Model.create(output=x.mean(axis=0))(X), X.mean(0))
    close(Model.create(output=x.T @ x)(X), X.T @ X)
    assert Model.create(output=x.shape)(X) == (2, 3)
    flat = Model.create(output=x.reshape((x.shape[0] * x.shape[1],)))
    close(flat(X), X.ravel())
    close(Model.create(output=ops.concat([x, x], axis=1))(X), np.concatenate([X, X], 1))
    close(Model.create(output=ops.einsum("ij,ij->i", x, x))(X), (X * X).sum(1))


def test_an_op_with_named_results_gives_a_connection_for_each():
    x = Connection("x")
    best = ops.topk(x, 1)
    model = Model.create(best=best.values, place=best.indices)
    found = model(X)
    close(found["best"], X.max(1, keepdims=True))
    assert found["place"].tolist() == [[2], [0]]
    only = Model.create(place=best.indices[:, 0])
    assert only.output_keys == ("place",)


def test_a_connection_has_no_value():
    x = Connection("x")
    for ask in (bool, float, int, len, iter, np.asarray):
        with pytest.raises(TypeError, match=r"has no value before its model runs"):
            ask(x)


def test_a_function_of_connections_becomes_a_model():
    @Model.from_function
    def line(x, slope, offset):
        return x * slope + offset

    assert line.input_keys == ("x", "slope", "offset")
    close(line(X, np.float32(2), np.float32(1)), 2 * X + 1)
    both = Model.from_function(lambda x: {"twice": x + x, "half": x / 2})
    assert both(X)["half"].tolist() == (X / 2).tolist()


def test_a_function_of_ops_is_a_node():
    def gain(x, strength=2.0):
        return ops.multiply(x, strength)

    model = Model()
    model |= node(gain)(input="input", output="twice")
    model |= node(gain, strength=5.0)(input="input", output="five")
    found = model(X)
    close(found["twice"], 2 * X)
    close(found["five"], 5 * X)


def test_settings_of_ops_are_keys_too():
    model = Model()
    model |= node(ops.softmax)(input="input", axis=0, output="down")
    model |= node(ops.softmax, axis=0)(input="input", output="too")
    found = model(X)
    close(found["down"], found["too"])
    close(np.asarray(found["down"]).sum(0), np.ones(3))


def test_keys_of_ops_are_input_left_right_or_their_arguments():
    keys = {name: tuple(node(name).ports().arguments) for name in ("relu", "add", "where", "matmul")}
    assert keys["relu"] == ("input",)
    assert keys["add"] == keys["matmul"] == ("left", "right")
    assert keys["where"] == ("condition", "x1", "x2")
    assert next(iter(node("concat").ports().arguments)) == "input"
    assert tuple(Linear(1, 1).ports().arguments) == ("input",)
    assert node("topk").ports().outputs == ("values", "indices")


def test_models_are_nodes_of_models():
    inner = two_layers()
    model = Model()
    model |= inner(input="x", output="y")
    model |= node(ops.negative)(input="y", output="z")
    assert (model.input_keys, model.output_keys) == (("x",), ("z",))
    close(model(X), -EXPECTED)
    assert next(n for n, _ in model.named_parameters()) == "model.linear.weight"


def test_keys_of_an_inner_model_wire_the_outer_one():
    inner = two_layers()
    model = Model()
    model |= inner(input="x")
    model |= node(ops.negative)(input=inner.output)
    close(model(X), -EXPECTED)
    with pytest.raises(KeyError, match=r"'hidden' stays inside node 'model': expose_keys\('hidden'\)"):
        model |= node(ops.negative)(input=inner.hidden)


def test_keys_are_attributes_of_models_and_nodes():
    model = Model()
    first = Linear(3, 2)(input="input")
    model |= first
    model |= node(ops.tanh)(input=first.output, output="a")
    model |= node(ops.exp)(input=model.a, output="b")
    assert model.output_keys == ("b",)
    assert first.input.name == "input"
    with pytest.raises(
        AttributeError, match=r"Model has no attribute or key 'c'; its keys are input, a, b, linear_output"
    ):
        _ = model.c
    with pytest.raises(AttributeError, match=r"no attribute or key 'c'"):
        _ = first.c


def test_a_key_that_nobody_named_can_be_read_by_the_name_it_shows():
    model = Model()
    model += Linear(3, 2)
    assert model.output_keys == ("output",)
    model |= node(ops.tanh)(input="output", output="bent")
    assert (model.input_keys, model.output_keys) == (("input",), ("bent",))


def test_a_module_wired_twice_has_one_set_of_parameters():
    shared = Linear(3, 3)
    model = Model()
    model |= shared(input="input", output="once")
    model |= shared(input="once", output="twice")
    assert model.num_parameters() == 12
    assert [n for n, _ in model.named_parameters()] == ["linear.weight", "linear.bias"]
    close(model(X), shared(shared(X)))
    again = Model.from_dict(model.to_dict())
    assert again.num_parameters() == 12


def test_a_parameter_is_a_key_that_nodes_can_read():
    model = Model()
    model |= Linear(3, 2)(input="input", output="output")
    model |= node(ops.sum)(input="linear.weight", output="total")
    assert model.input_keys == ("input",)
    close(model(X)["total"], np.asarray(model.linear.weight).sum())
    model |= node(ops.sum)(input="linear.wait", output="other")
    with pytest.raises(KeyError, match=r"no parameter 'linear.wait'; there are linear.weight, linear.bias"):
        model(X)


def test_layers_learn_their_width_from_the_first_input(be):
    model = Model()
    model |= Linear(dimension=4)(input="input", output="hidden")
    model += MLP(activations=["tanh", None], dimensions=[3, 2])
    assert model.num_parameters() == 0
    assert tuple(model(be.array(X)).shape) == (2, 2)
    assert model.num_parameters() == 4 * 4 + 3 * 5 + 2 * 4
    with pytest.raises(ValueError, match=r"^linear \(Linear; input \(2, 2\)\): expected inputs of 3"):
        model(be.array(X[:, :2]))


def test_every_module_is_a_node():
    model = Model()
    model |= LTC(AutoNCPMap(8, 2, seed=1), return_sequences=False)(input="series", output="state")
    model |= Sequential(Dense(2, 4, "tanh"), Dropout(0.0), Dense(4, 1))(input="state", output="output")
    assert model.input_keys == ("series",)
    series = np.ones((2, 5, 3), "float32")
    found = model(series)
    assert tuple((found["output"] if isinstance(found, dict) else found).shape)[-1] == 1


def test_a_model_trains_by_backward_and_by_functional_call(be):
    model = two_layers().to(backend=be)
    ops.sum(model(tensor.array(be.array(X)))).backward()
    assert model.linear.weight.grad is not None
    params = {k: be.array(np.zeros(p.shape, "float32")) for k, p in model.named_parameters()}
    close(host(functional_call(model, params, be.array(X))[0]), np.zeros((2, 1)))


def test_the_shapes_stated_show_in_the_summary():
    model = Model()
    model |= Linear(dimension=4)(input="input", output="hidden")
    model |= node(ops.relu)(input="hidden", output="output")
    assert "(None, 4)" not in str(model.summary())
    model.set_shapes(input=(None, 3))
    lines = str(model.summary()).splitlines()
    assert lines[0] == "Model"
    assert lines[3].split() == [
        "linear",
        "Linear",
        "input",
        "(None,",
        "3)",
        "hidden",
        "(None,",
        "4)",
        "16",
        "28",
    ]
    assert lines[-1] == "16 parameters, 32 FLOPs"  # of one row: 2 * 3 * 4 + 4, and 4
    assert "hidden (None, 4)" in model.summary()._repr_html_()
    stated = Model()
    stated |= node(ops.exp)(input=Connection("x", shape=(2, 3)), output="y")
    assert "y (2, 3)" in str(stated.summary())


def test_a_model_is_drawn_with_its_nodes_keys_and_shapes(tmp_path):
    model = Model()
    model |= Linear(dimension=4)(input="input", output="hidden")
    model |= node(ops.add)(left="hidden", right="input", output="sum")
    assert "hidden" in model.draw()
    assert "(None, 4)" not in model.draw()
    model.set_shapes(input=(None, 4))
    drawing = model.draw(tmp_path / "model.svg")
    assert (tmp_path / "model.svg").read_text(encoding="utf-8") == drawing == drawing._repr_svg_()
    found = ElementTree.fromstring(drawing)
    words = ["".join(each.itertext()) for each in found.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Linear", "out_features=4", "add", "hidden (None, 4)", "input", "sum"} <= set(words)


def test_the_wiring_is_plain_data():
    first, second, third = two_layers().plan.nodes
    assert (first.name, first.kind, first.outputs) == ("linear", "Linear", {"output": "hidden"})
    assert first.settings == {"in_features": 3, "out_features": 2}
    assert (second.kind, second.reads()) == ("relu", ["hidden"])
    assert (third.name, third.reads()) == ("linear_2", ["active"])
    (told,) = Model.create(output=ops.softmax(Connection("x"), axis=-1)).plan.nodes
    assert told.settings == {}, "what is so anyway is not said"


# Round trips


def everything():
    inner = two_layers()
    model = Model()
    model |= inner(input="x", output="y")
    model |= node(ops.sum, axis=0)(input="y", output="s")
    model |= Connection("y")[..., :1] * 2.0
    model |= node(ops.reshape)(input="y", shape=(-1,), output="flat")
    model.expose_keys("y")
    return model


def test_a_model_as_data_computes_the_same():
    model = everything()
    data = json.loads(json.dumps(model.to_dict()))
    again = Model.from_dict(data)
    again.load_state_dict(model.state_dict())
    assert again.output_keys == model.output_keys
    assert again.to_dict() == model.to_dict()
    for key, value in model(X).items():
        close(again(X)[key], value)


def test_a_saved_and_a_pickled_model_compute_the_same(tmp_path):
    model = everything()
    save(model, tmp_path / "model.safetensors")
    for again in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        for key, value in model(X).items():
            close(again(X)[key], value)


def test_a_function_without_a_name_cannot_be_written():
    model = Model()
    model |= node(lambda x: x)(input="input", output="output")
    with pytest.raises(TypeError, match=r"has no name to be found by"):
        model.to_dict()


# Bad input


def test_an_unknown_key_is_named_with_the_right_ones():
    with pytest.raises(KeyError, match=r"Linear has no key inptu; its keys are input, output"):
        Linear(dimension=1)(inptu="input")
    with pytest.raises(KeyError, match=r"data: no key 'inptu'; there are input"):
        two_layers()(inptu=X)
    with pytest.raises(KeyError, match=r"no node writes the key depth; there are .*hidden"):
        two_layers().expose_keys("depth")
    with pytest.raises(KeyError, match=r"set_shapes: no key 'inptu'; there are input"):
        two_layers().set_shapes(inptu=(2, 3))
    with pytest.raises(TypeError, match=r"softmax has no setting axes"):
        node(ops.softmax, axes=1)
    with pytest.raises(KeyError, match=r"there is no op 'relo'"):
        node("relo")


def test_a_key_given_twice_is_refused():
    with pytest.raises(TypeError, match=r"relu: the key input is given twice"):
        node(ops.relu)("a", input="b")
    with pytest.raises(TypeError, match=r"expected each of input once"):
        two_layers()(X, input=X)
    with pytest.raises(ValueError, match=r"the connection 'a' has a name already, so it cannot be 'b'"):
        Model.create(a=(made := Connection("x") + 1), b=made)
    with pytest.raises(ValueError, match=r"the key 'hidden' is there already, so .* cannot be called so"):
        model = two_layers()
        model |= (more := Connection("input") + 1)
        model.expose_keys(hidden=more)


def test_two_nodes_cannot_write_one_key():
    model = Model()
    model |= node(ops.relu)(input="a", output="y")
    with pytest.raises(
        ValueError, match=r"the key 'y' is written by node 'relu'; 'tanh' cannot write it too"
    ):
        model |= node(ops.tanh)(input="b", output="y")


def test_a_cycle_is_named():
    model = Model()
    model |= node(ops.relu)(input="c", output="a")
    model |= node(ops.tanh)(input="a", output="b")
    model |= node(ops.exp)(input="b", output="c")
    with pytest.raises(ValueError, match=r"the nodes (\w+ -> ){3}\w+ form a cycle"):
        _ = model.output_keys


def test_missing_data_and_an_empty_model_are_said():
    model = Model.from_function(lambda a, b: a + b)
    with pytest.raises(KeyError, match=r"data: nothing is given for 'b'"):
        model(X)
    with pytest.raises(ValueError, match=r"the model has no nodes; add one"):
        Model()(X)
    with pytest.raises(TypeError, match=r"a model is made of modules and wired nodes, got 3"):
        model |= 3
    with pytest.raises(TypeError, match=r"the output 'output' takes the name of a key, got 3"):
        node(ops.relu)(input="a", output=3)


def test_an_error_names_the_node_and_the_shapes_that_met():
    model = Model.from_function(lambda a, b: a @ b)
    with pytest.raises(ValueError, match=r"^matmul \(matmul; a \(2, 3\), b \(2, 3\)\): "):
        model(X, X)


def test_a_module_still_takes_words_beside_arrays():
    class Scaled(Module):
        def forward(self, x, mode="double"):
            return x * (2.0 if mode == "double" else 3.0)

    close(Scaled()(X, mode="triple"), 3 * X)
    close(Scaled()(X, "double"), 2 * X)


def test_the_front_door_has_models():
    import ember_ml

    assert ember_ml.Model is Model
