"""Modules: what they hold and under which names, modes, states, configurations, and how they are called."""

import copy
import pickle

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile
from ember_ml.nn import Dense, Dropout, Linear, Model, Module, Parameter, Sequential, Tanh, functional_call
from ember_ml.tensor import EmberTensor
from ember_ml.training import SGD, Trainer

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


class Scale(Module):
    def __init__(self, factor=2.0):
        self.factor = factor
        self.weight = Parameter(ops.asarray([factor]))

    def forward(self, x):
        return x * self.weight


class Forest(Module):
    """As seed 002 writes modules: no call of `super().__init__`."""

    def __init__(self):
        self.last = Parameter(ops.ones((2,)))
        self.steps = [Scale(1.0), {"deep": [Scale(2.0)], "free": Parameter(ops.zeros((3,)))}]
        self.named = {"a": Scale(3.0)}
        self.pair = (Scale(4.0), None)
        self.shared = self.steps[0]
        self.again = self.last


class RunningMean(Module):
    def __init__(self, width=3):
        self.register_buffer("mean", ops.zeros((width,)))
        self.register_buffer("count", ops.asarray(0, dtype="int32"))

    def forward(self, x):
        if self.training:
            self.mean = self.mean * 0.9 + ops.mean(x, axis=0) * 0.1
            self.count = self.count + 1
        return x - self.mean


class Lazy(Module):
    def __init__(self, units):
        self.units = units

    def build(self, input_shape):
        self.weight = Parameter(ops.uniform((input_shape[-1], self.units), -1.0, 1.0))

    def forward(self, x):
        return x @ self.weight


def host(x):
    return np.asarray(x.data if isinstance(x, EmberTensor) else x)


# What it holds


def test_parameters_are_found_in_attributes_lists_dicts_tuples_and_modules_in_order_of_assignment():
    assert [name for name, _ in Forest().named_parameters()] == [
        *(
            "last",
            "steps.0.weight",
            "steps.1.deep.0.weight",
            "steps.1.free",
            "named.a.weight",
            "pair.0.weight",
        ),
    ]


def test_a_shared_parameter_comes_once_under_its_first_name():
    forest = Forest()
    found = [id(p) for p in forest.parameters()]
    assert len(found) == len(set(found)) == 6
    tied = Linear(3, 3)
    tied.twin = tied.weight
    assert [n for n, _ in tied.named_parameters()] == ["weight", "bias"]


def test_a_parameter_set_later_is_found_and_one_deleted_is_not():
    module = Scale()
    module.bias = Parameter(ops.zeros((1,)))
    assert [n for n, _ in module.named_parameters()] == ["weight", "bias"]
    del module.weight
    assert [n for n, _ in module.named_parameters()] == ["bias"]
    module.bias = None
    assert list(module.parameters()) == []


def test_without_recursion_only_its_own_parameters_are_found():
    forest = Forest()
    assert [n for n, _ in forest.named_parameters(recurse=False)] == ["last", "steps.1.free"]
    assert [n for n, _ in forest.named_parameters(prefix="net")][:2] == ["net.last", "net.steps.0.weight"]


def test_modules_are_found_once_each_and_children_are_those_directly_below():
    forest = Forest()
    assert [n for n, _ in forest.named_modules()] == ["", "steps.0", "steps.1.deep.0", "named.a", "pair.0"]
    net = Sequential(Sequential(Scale()), Scale())
    assert [type(m).__name__ for m in net.children()] == ["Sequential", "Scale"]
    assert len(list(net.modules())) == 4


def test_modules_that_hold_each_other_are_walked_once():
    child, parent = Scale(), Scale()
    parent.child, child.parent = child, parent
    assert [n for n, _ in parent.named_parameters()] == ["weight", "child.weight"]
    assert [n for n, _ in child.named_parameters()] == ["weight", "parent.weight"]


def test_registering_is_another_way_to_set_an_attribute(be):
    module = Module()
    module.register_parameter("w", be.array([1.0, 2.0]))
    module.register_parameter("empty", None)
    module.add_module("inner", Scale())
    module.register_buffer("seen", be.array([0.0]))
    module.register_buffer("seen", be.array([3.0]))
    assert [n for n, _ in module.named_parameters()] == ["w", "inner.weight"]
    assert isinstance(module.w, Parameter)
    assert [(n, b.tolist()) for n, b in module.named_buffers()] == [("seen", [3.0])]
    assert len(list(module.buffers())) == 1
    assert module.num_parameters() == 3


def test_buffers_have_dotted_names_and_are_no_parameters():
    net = Sequential(Dense(3, 3), RunningMean())
    assert [n for n, _ in net.named_buffers()] == ["layers.1.mean", "layers.1.count"]
    assert [n for n, _ in net.named_parameters()] == ["layers.0.kernel", "layers.0.bias"]
    assert list(net.state_dict()) == ["layers.0.kernel", "layers.0.bias", "layers.1.mean", "layers.1.count"]


def test_a_buffer_assigned_as_a_native_array_is_still_a_tensor_to_others(be):
    module = RunningMean()
    module.mean = be.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(host(module.state_dict()["mean"]), [1, 2, 3])
    assert all(isinstance(b, EmberTensor) for b in module.buffers())


# Calls


def test_native_in_native_out_tensor_in_tensor_out(be):
    net = Sequential(Dense(3, 4, "tanh"), Tanh(), Linear(4, 2))
    native = net(be.array(X))
    assert be.owns(type(native))
    wrapped = net(EmberTensor(be.array(X)))
    assert type(wrapped) is EmberTensor
    np.testing.assert_array_equal(host(native), host(wrapped))


def test_inside_all_arrays_are_tensors_in_trees_and_settings_too(be):
    seen = []

    class Looks(Module):
        def forward(self, pair, *, extra=None):
            seen.extend([*pair["both"], extra])
            return {"sum": pair["both"][0] + extra, "label": "kept", "n": 3}

    x = be.array(X)
    out = Looks()({"both": [x, x]}, extra=x)
    assert all(isinstance(each, EmberTensor) for each in seen)
    assert be.owns(type(out["sum"]))
    assert (out["label"], out["n"]) == ("kept", 3)


def test_a_native_call_records_nothing_and_a_tensor_call_does(be):
    recorded = []

    class Watches(Scale):
        def forward(self, x):
            y = super().forward(x)
            recorded.append(y.requires_grad)
            return y

    module = Watches()
    module(be.array(X))
    assert module(EmberTensor(be.array(X))).requires_grad
    assert recorded == [False, True]


class Mixes(Module):
    def __init__(self):
        self.weight = Parameter(ops.ones((7, 2)))

    def forward(self, x):
        return x @ self.weight


class Holds(Module):
    def __init__(self, inner):
        self.parts = {"first": Sequential(Tanh(), inner)}

    def forward(self, x):
        return self.parts["first"](x)


def run_in_a_trainer(net, x):
    Trainer(net, SGD()).fit((x, x), epochs=1)


def run_in_a_model(net, x):
    model = Model()
    model |= net(input="input", output="output")
    model(x)


WAYS = {
    "called": (lambda net, x: net(x), ""),
    "with a tensor": (lambda net, x: net(EmberTensor(x)), ""),
    "as a function": (lambda net, x: functional_call(net, {}, x), ""),
    "compiled": (lambda net, x: compile(net)({}, x), ""),
    "trained": (run_in_a_trainer, ""),
    "as a node": (run_in_a_model, "holds."),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (lambda: Dense(5, 2), r"\(Dense\): expected inputs of 5 features"),
        (lambda: Linear(5, 2), r"\(Linear\): expected inputs of 5 features"),
        (lambda: Mixes(), r"\(Mixes\): matmul: "),
    ],
)
def test_an_error_begins_with_the_path_of_the_layer_in_which_it_arose(way, inner, words):
    run, before = WAYS[way]
    with pytest.raises(ValueError, match=rf"^{before}parts\.first\.layers\.1 {words}"):
        run(Holds(inner()), X)


def test_a_key_error_and_a_layer_called_by_itself_keep_their_words():
    class Looks(Module):
        def forward(self, x):
            return {}["nothing"]

    with pytest.raises(KeyError, match=r"layers\.0 \(Looks\): nothing"):
        Sequential(Looks())(X)
    with pytest.raises(ValueError, match=r"^Dense: expected inputs of 5"):
        Dense(5, 2)(X)


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="Module has no forward method"):
        Module()(np.ones(3))


def test_building_happens_once_for_the_first_input_even_when_given_by_keyword(be):
    module = Lazy(4)
    assert not module.built
    first = module(x=be.array(X))
    weight = module.weight
    second = module(be.array(X))
    assert module.built
    assert module.weight is weight
    assert module.input_shape == (5, 3)
    np.testing.assert_array_equal(host(first), host(second))


def test_what_is_built_is_of_the_engine_of_the_input(be):
    from ember_ml.backend import use_backend

    module = Lazy(4)
    with use_backend("numpy"):
        out = module(be.array(X))
    assert be.owns(type(out))
    assert be.owns(type(module.weight.data))


def test_building_goes_to_the_bottom_without_computing(be):
    net = Sequential(Lazy(4), RunningMean(4), Lazy(2))
    net.ensure_built(be.array(X))
    assert [tuple(p.shape) for p in net.parameters()] == [(3, 4), (4, 2)]
    np.testing.assert_array_equal(host(net[1].mean), 0.0)
    assert net[1].count.item() == 0
    assert all(be.owns(type(p.data)) for p in net.parameters())
    assert net(be.array(X)).shape == (5, 2)


# Modes


def test_train_and_eval_reach_every_module_below():
    forest = Forest()
    forest.dropout = Dropout(0.5)
    assert forest.training
    assert forest.eval() is forest
    assert not any(m.training for m in forest.modules())
    assert forest.train() is forest
    assert all(m.training for m in forest.modules())


def test_apply_calls_a_function_on_every_module():
    seen = []
    forest = Forest()
    assert forest.apply(lambda m: seen.append(type(m).__name__)) is forest
    assert seen == ["Forest", "Scale", "Scale", "Scale", "Scale"]


def test_zero_grad_forgets(be):
    module = Dense(3, 2)
    ops.sum(module(EmberTensor(be.array(X)))).backward()
    assert all(p.grad is not None for p in module.parameters())
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())


def test_to_changes_the_dtype_of_floats_alone(be):
    module = Sequential(Dense(3, 2), RunningMean()).to(dtype="float64")
    assert {n: str(x.dtype) for n, x in (*module.named_parameters(), *module.named_buffers())} == {
        "layers.0.kernel": "float64",
        "layers.0.bias": "float64",
        "layers.1.mean": "float64",
        "layers.1.count": "int32",
    }
    assert all(isinstance(p, Parameter) for p in module.parameters())


def test_to_moves_a_module_from_engine_to_engine(be):
    from ember_ml.backend import use_backend

    with use_backend("numpy"):
        module = Dense(3, 2)
        want = module(X)
    module.to(backend=be)
    out = module(be.array(X))
    assert be.owns(type(out))
    close(host(out), want)
    with pytest.raises(ValueError, match="no device 'tpu'"):
        module.to("tpu")


# State


def test_a_state_travels_from_one_module_to_another(be):
    one, other = Sequential(Dense(3, 2), RunningMean(2)), Sequential(Dense(3, 2), RunningMean(2))
    one(be.array(X))
    other.load_state_dict(one.state_dict())
    one.eval()
    other.eval()
    np.testing.assert_array_equal(host(one(be.array(X))), host(other(be.array(X))))


def test_loading_keeps_dtype_and_engine_and_copies(be):
    module = Dense(3, 2).to(dtype="float64")
    given = {"kernel": np.ones((3, 2), "float32"), "bias": np.zeros(2)}
    module.load_state_dict(given)
    given["kernel"][...] = 7
    given["bias"][...] = 7
    assert be.owns(type(module.kernel.data))
    assert str(module.kernel.dtype) == "float64"
    np.testing.assert_array_equal(host(module.kernel), 1.0)
    np.testing.assert_array_equal(host(module.bias), 0.0)


def test_loading_from_another_engine_works(be):
    from ember_ml.backend import use_backend

    with use_backend("numpy"):
        source = Dense(3, 2)
    module = Dense(3, 2)
    module.load_state_dict(source.state_dict())
    np.testing.assert_array_equal(host(module.kernel), host(source.kernel))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("bias"), KeyError, r"missing \['bias'\], unexpected nothing"),
        (lambda s: s.update(scale=np.ones(2)), KeyError, r"missing nothing, unexpected \['scale'\]"),
        (lambda s: s.update(bias=np.ones(3)), ValueError, r"'bias' has shape \(3,\), expected \(2,\)"),
        (lambda s: s.update(bias="text"), TypeError, None),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(be, change, error, words):
    module = Dense(3, 2)
    before = {n: host(x).copy() for n, x in module.state_dict().items()}
    state = {"kernel": np.full((3, 2), 9.0), "bias": np.full(2, 9.0)}
    change(state)
    with pytest.raises(error, match=words):
        module.load_state_dict(state)
    for name, x in module.state_dict().items():
        np.testing.assert_array_equal(host(x), before[name])


def test_without_strict_what_matches_is_taken(be):
    module = Dense(3, 2)
    kernel = host(module.kernel).copy()
    module.load_state_dict({"bias": np.ones(2), "other": np.ones(1)}, strict=False)
    np.testing.assert_array_equal(host(module.bias), 1.0)
    np.testing.assert_array_equal(host(module.kernel), kernel)
    with pytest.raises(ValueError, match="'bias' has shape"):
        module.load_state_dict({"bias": np.ones(3)}, strict=False)


# Configuration


def test_a_config_makes_an_equal_module_and_stays_as_it_was():
    module = Dense(3, 2, activation="tanh", use_bias=False)
    config = module.get_config()
    kept = dict(config)
    again = Dense.from_config(config)
    assert config == kept
    assert again.get_config() == config
    assert again.bias is None


def test_a_constructor_argument_that_is_not_kept_is_named():
    class Forgets(Module):
        def __init__(self, units, depth=1):
            self.layer = Scale(units)

    with pytest.raises(TypeError, match=r"Forgets.get_config: keep units as attributes, or override it"):
        Forgets(3.0).get_config()


# Copies


def test_a_deep_copy_shares_nothing(be):
    module = Dense(3, 2)
    other = copy.deepcopy(module)
    other.load_state_dict({"kernel": np.zeros((3, 2)), "bias": np.zeros(2)})
    assert host(module(be.array(X))).any()
    assert not host(other(be.array(X))).any()
    assert [n for n, _ in other.named_parameters()] == ["kernel", "bias"]


def test_a_pickled_module_computes_the_same(be):
    module = Sequential(Dense(3, 4, "relu"), RunningMean(4), Dense(4, 2)).eval()
    again = pickle.loads(pickle.dumps(module))
    np.testing.assert_array_equal(host(again(be.array(X))), host(module(be.array(X))))
    assert not again.training


# Display


def test_repr_shows_settings_and_the_tree():
    net = Sequential(Dense(3, 2, "tanh"), Dropout(0.25))
    assert repr(net) == (
        "Sequential(\n"
        "  (layers.0): Dense(input_dim=3, units=2, activation='tanh', use_bias=True, "
        "kernel_initializer='glorot_uniform')\n"
        "  (layers.1): Dropout(rate=0.25)\n"
        ")"
    )


def test_summary_counts_what_is_trained():
    text = str(Sequential(Dense(300, 20), Linear(20, 1, bias=False)).summary())
    assert "Sequential" in text
    assert "layers.0.kernel" in text
    assert "(300, 20)" in text
    assert "6,000" in text
    assert text.endswith("6,040 parameters")
    assert len({len(line) for line in text.splitlines()[1:-2]}) == 1, "columns line up"


def test_the_html_form_is_a_table_and_escapes_names():
    module = Module()
    module.parts = {"<b>": Parameter(ops.ones((2,)))}
    html = module._repr_html_()
    assert html.startswith("<table>")
    assert "parts.&lt;b&gt;" in html
    assert "<b>" not in html


# Sequential


def test_sequential_takes_modules_or_a_list_and_grows(be):
    one, two = Scale(2.0), Scale(3.0)
    for net in (Sequential(one, two), Sequential([one, two]), Sequential().append(one).add(two)):
        close(host(net(be.array(X))), X * 6)
        assert len(net) == 2
        assert list(net) == [one, two]
        assert net[1] is two
        close(host(net[:1](be.array(X))), X * 2)
    named = Sequential()
    named.add_module("first", one)
    close(host(named(be.array(X))), X * 2)
    assert named.first is one
    assert len(list(named.parameters())) == 1
    with pytest.raises(TypeError, match="expected a Module, got function"):
        Sequential(lambda x: x)
