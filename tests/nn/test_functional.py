"""Modules as functions of their parameters: values, buffers that come out, keys, gradients, compilation."""

import pickle
from collections import OrderedDict, defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile, grad, value_and_grad
from ember_ml.nn import (
    LTC,
    AutoNCPMap,
    CfC,
    Dense,
    Dropout,
    Linear,
    Module,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    functional_call,
)
from ember_ml.ops.random import key as random_key
from ember_ml.tensor import EmberTensor

RNG = np.random.default_rng(1)
X = RNG.normal(size=(6, 3))
TIMES = RNG.uniform(0.5, 2.0, size=(2, 4))
SEQUENCES = RNG.normal(size=(2, 4, 3))


class RunningMean(Module):
    """Both ways to change a buffer: a new value, and in place."""

    def __init__(self, width=3):
        self.register_buffer("mean", ops.zeros((width,)))
        self.register_buffer("count", ops.asarray(0.0))

    def forward(self, x):
        self.mean = self.mean * 0.5 + ops.mean(x, axis=0) * 0.5
        self.count += 1.0
        return x - self.mean


class Penalised(Module):
    """Looks its own parameters up, as weight decay does, and uses methods of tensors."""

    def __init__(self):
        self.layer = Dense(3, 2)

    def forward(self, x):
        return self.layer(x).sum() + sum(p.square().sum() for p in self.parameters())


class Lazy(Module):
    def build(self, input_shape):
        self.weight = Parameter(ops.uniform((input_shape[-1], 2), -1.0, 1.0))

    def forward(self, x):
        return x @ self.weight


def host(x):
    return np.asarray(x.data if isinstance(x, EmberTensor) else x)


def values(module):
    return {n: p.data for n, p in module.named_parameters()}


def everything(module):
    return {n: host(x).copy() for n, x in module.state_dict().items()}


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def mlp():
    return Sequential(
        Linear(3, 5), Tanh(), Linear(5, 4), ReLU(), Dense(4, 4, "sigmoid"), Softplus(), Linear(4, 2)
    )


# Values


def test_other_values_are_used_and_the_module_stays(be):
    module = Sequential(Dense(3, 2), Tanh())
    before, x = everything(module), be.array(X.astype("float32"))
    kernel = be.array(RNG.normal(size=(3, 2)).astype("float32"))
    output, buffers = functional_call(module, {"layers.0.kernel": kernel}, x)
    close(host(output), np.tanh(X.astype("float32") @ host(kernel)))
    assert be.owns(type(output))
    assert buffers == {}
    same(everything(module), before)


def test_unknown_names_are_named_beside_the_known():
    with pytest.raises(KeyError, match=r"no parameter or buffer offset, weight; there are kernel, bias"):
        functional_call(Dense(3, 2), {"weight": np.ones((3, 2)), "offset": np.ones(2)}, X)


def test_parameters_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"'kernel' has shape \(4, 2\), expected \(3, 2\); .* another model"):
        functional_call(Dense(3, 2), {"kernel": np.ones((4, 2))}, X)


def test_a_shared_parameter_is_replaced_everywhere(be):
    layer = Dense(3, 3, use_bias=False)
    module = Sequential(layer, Tanh(), layer)
    twice = be.array(2 * np.eye(3, dtype="float32"))
    output, _ = functional_call(module, {"layers.0.kernel": twice}, be.array(X.astype("float32")))
    close(host(output), 2 * np.tanh(2 * X.astype("float32")))


def test_a_module_may_look_its_parameters_up_and_use_methods(be):
    module, x = Penalised(), be.array(X.astype("float32"))
    params = {n: be.array(np.full(p.shape, 2.0, "float32")) for n, p in module.named_parameters()}
    want = 2 * (X.sum() * 2 + 6 * 2) + 8 * 4
    output, _ = functional_call(module, params, x)
    close(host(output), want, rtol=1e-5)  # a sum of 18 terms that cancel
    close(host(compile(module)(params, x)), want, rtol=1e-5)
    slope = grad(lambda p: functional_call(module, p, x)[0])(params)
    close(host(slope["layer.bias"]), 6 + 4 * np.ones(2))


class Rows(list):
    """A list that somebody named."""


@pytest.mark.parametrize(
    "hold",
    [
        list,
        tuple,
        Rows,
        lambda layers: dict(enumerate(layers)),
        lambda layers: OrderedDict(enumerate(layers)),
        lambda layers: defaultdict(list, enumerate(layers)),
    ],
)
def test_a_gradient_reaches_layers_in_any_list_or_dict(hold):
    class Holds(Module):
        def __init__(self):
            self.layers = hold([Dense(3, 3), Dense(3, 2)])

        def forward(self, x):
            for i in range(2):
                x = self.layers[i](x)
            return x

    module, x = Holds(), X.astype("float32")
    slopes = grad(lambda p: ops.sum(functional_call(module, p, x)[0]))(values(module))
    assert sorted(slopes) == [f"layers.{i}.{name}" for i in range(2) for name in ("bias", "kernel")]
    assert all(host(g).any() for g in slopes.values())


# Settings


@pytest.mark.parametrize(
    ("change", "want"),
    [
        (lambda net: setattr(net[0], "activation", "relu"), lambda net, x: np.maximum(x, 0)),
        (lambda net: setattr(net, "layers", [net[0], Tanh()]), lambda net, x: np.tanh(x)),
        (lambda net: net.append(Tanh()), lambda net, x: np.tanh(x)),
        (lambda net: setattr(net[0], "bias", None), lambda net, x: x - 1.0),
    ],
)
def test_a_compiled_module_follows_its_settings(be, change, want):
    net = Sequential(Dense(3, 3))
    params = {"layers.0.kernel": be.array(np.eye(3, dtype="float32"))}
    net[0].bias.data = be.array(np.ones(3, "float32"))
    run, x = compile(net), be.array(X.astype("float32"))
    for _ in range(2):
        close(host(run(params, x)), host(x) + 1.0)
    change(net)
    for _ in range(2):
        close(host(run(params, x)), want(net, host(x) + 1.0), atol=1e-6)  # 1 is added and taken away
    assert len(run.graphs) == 2


def test_going_from_mode_to_mode_compiles_twice_and_reading_a_module_never(be):
    net = Sequential(Dense(3, 3), Dropout(0.5))
    run, x = compile(net), be.array(X.astype("float32"))
    for _ in range(3):
        net.train()
        run(values(net), x)
        net(x)
        net.eval()
        run(values(net), x)
    assert len(run.graphs) == 2


def test_a_module_from_a_file_follows_its_settings_too(be):
    net = Dense(3, 3)
    net.activation = "tanh"
    net = pickle.loads(pickle.dumps(net))
    run, x = compile(net), be.array(X.astype("float32"))
    for name in ("relu", "sigmoid", "tanh", "relu"):
        net.activation = name
        close(host(run(values(net), x)), host(net(x)))


def test_a_module_that_is_built_by_the_first_call_is_compiled_once(be):
    run, x = compile(CfC(4)), be.array(SEQUENCES.astype("float32"))
    for _ in range(2):
        run({}, x)
    assert len(run.graphs) == 1


def test_a_compiled_module_follows_its_buffers(be):
    net = Sequential(RunningMean()).eval()
    run, x = compile(net), be.array(X.astype("float32"))
    for value in (1.0, 2.0):
        net[0].mean = be.array(np.full(3, value, "float32"))
        first = host(run({}, x))
        net[0].mean.data = be.array(np.full(3, 4.0 * value, "float32"))
        close(host(run({}, x)), first - 1.5 * value, atol=1e-6)  # half of the old mean counts


# Buffers


def test_buffers_assigned_inside_come_out_and_stay_outside(be):
    module = Sequential(RunningMean(), Dense(3, 1))
    before, x = everything(module), be.array(X.astype("float32"))
    buffers = {n: b.data for n, b in module.named_buffers()}
    for _ in range(2):
        _, buffers = functional_call(module, values(module), x, buffers=buffers)
    mean = X.astype("float32").mean(0)
    close(host(buffers["layers.0.mean"]), 0.75 * mean)
    assert float(host(buffers["layers.0.count"])) == 2.0
    assert all(be.owns(type(b)) for b in buffers.values())
    same(everything(module), before)


def test_buffers_assigned_inside_are_outputs_of_a_compiled_step(be):
    module = Sequential(RunningMean(), Dense(3, 1))
    before, x = everything(module), be.array(X.astype("float32"))

    @compile
    def step(params, buffers, x):
        def objective(params):
            output, after = functional_call(module, params, x, buffers=buffers)
            return ops.mean(ops.square(output)), after

        (_, after), slopes = value_and_grad(objective, has_aux=True)(params)
        return slopes, after

    buffers = {n: b.data for n, b in module.named_buffers()}
    for _ in range(3):
        slopes, buffers = step(values(module), buffers, x)
    close(host(buffers["layers.0.mean"]), 0.875 * X.astype("float32").mean(0))
    assert float(host(buffers["layers.0.count"])) == 3.0
    assert host(slopes["layers.1.kernel"]).any()
    same(everything(module), before)


# Random


def test_a_key_makes_dropout_reproducible_and_another_key_another_mask(be):
    module, x = Dropout(0.5), be.array(np.ones((40, 40), "float32"))

    def drop(seed):
        return host(functional_call(module, {}, x, key=random_key(seed, like=x))[0])

    np.testing.assert_array_equal(drop(3), drop(3))
    assert (drop(3) != drop(4)).any()


def test_two_layers_draw_differently_from_one_key(be):
    x = be.array(np.ones((40, 40), "float32"))

    class Two(Module):
        def __init__(self):
            self.one, self.two = Dropout(0.5), Dropout(0.5)

        def forward(self, x):
            return self.one(x), self.two(x)

    one, two = functional_call(Two(), {}, x, key=random_key(0, like=x))[0]
    assert (host(one) != host(two)).any()


def test_the_same_key_gives_the_same_mask_compiled_and_on_every_engine(be):
    module, x = Dropout(0.5), be.array(np.ones((8, 5), "float32"))
    run = compile(lambda x, key: functional_call(module, {}, x, key=key)[0])
    got = host(run(x, random_key(7, like=x)))
    np.testing.assert_array_equal(got, host(functional_call(module, {}, x, key=random_key(7, like=x))[0]))
    ones = np.ones((8, 5), "float32")
    np.testing.assert_array_equal(got, functional_call(module, {}, ones, key=random_key(7, like=ones))[0])


# Building


def test_what_is_below_and_not_built_is_built_first_and_trained(be):
    module = Sequential(Lazy(), Dense(2, 1))
    x = be.array(X.astype("float32"))
    functional_call(module, {}, x)
    assert list(values(module)) == ["layers.0.weight", "layers.1.kernel", "layers.1.bias"]
    slopes = grad(lambda p: ops.sum(functional_call(module, p, x)[0]))(values(module))
    assert host(slopes["layers.0.weight"]).any()


def test_building_inside_a_compiled_function_leaves_numbers_behind(be):
    module = Sequential(CfC(4), Lazy())
    x = be.array(SEQUENCES.astype("float32"))
    output = compile(lambda x: module(x))(x)
    assert all(be.owns(type(p.data)) for p in module.parameters())
    close(host(module(x)), host(output))


# Threads


def test_calls_in_threads_do_not_meet(be):
    module = Sequential(Dense(3, 2), RunningMean(2))
    before, x = everything(module), be.array(X.astype("float32"))

    def call(scale):
        params = {"layers.0.kernel": be.array(np.full((3, 2), scale, "float32"))}
        return [host(functional_call(module, params, x)[1]["layers.1.mean"]) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(call, range(8)))
    for scale, means in enumerate(found):
        for mean in means:
            close(
                mean, 0.5 * scale * X.astype("float32").sum(1).mean() * np.ones(2), atol=1e-5
            )  # sums cancel
    same(everything(module), before)


# Compiled, and gradients


def modules():
    return {
        "dense": (lambda: Dense(3, 2, "tanh"), X),
        "linear": (lambda: Linear(3, 2), X),
        "mlp": (mlp, X),
        "cfc": (lambda: CfC(AutoNCPMap(8, 2, seed=1), return_sequences=True), SEQUENCES),
        "cfc with a backbone": (lambda: CfC(5, backbone_units=6, backbone_layers=2), SEQUENCES),
        "ltc": (lambda: LTC(AutoNCPMap(8, 2, seed=1), ode_unfolds=2), SEQUENCES),
    }


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in modules()), ("mlp", "float64"), ("cfc", "float64")]
)
def test_compiled_eager_and_functional_agree_in_value_and_gradient(be, name, dtype):
    make, data = modules()[name]
    module, x = make(), be.array(data.astype(dtype))
    module(x)
    module.to(dtype=dtype)
    params = values(module)

    def loss(params, x):
        return ops.mean(ops.square(functional_call(module, params, x)[0]))

    close(host(compile(module)(params, x)), host(module(x)), dtype)
    eager_value, eager = value_and_grad(loss)(params, x)
    value, compiled = compile(value_and_grad(loss))(params, x)
    ops.mean(ops.square(module(EmberTensor(x)))).backward()
    close(host(value), host(eager_value), dtype)
    assert str(host(value).dtype) == dtype
    for n, p in module.named_parameters():
        # a gradient is a sum over batch and time, whose order differs
        close(host(compiled[n]), host(p.grad), dtype, atol=1e-6 if dtype == "float32" else 1e-13)
        close(host(eager[n]), host(p.grad), dtype, atol=1e-6 if dtype == "float32" else 1e-13)


def test_gradients_reach_parameters_given_as_tensors(be):
    module = Dense(3, 2)
    kernel = EmberTensor(be.array(np.ones((3, 2), "float32")), requires_grad=True)
    output, _ = functional_call(module, {"kernel": kernel}, EmberTensor(be.array(X.astype("float32"))))
    ops.sum(output).backward()
    close(host(kernel.grad), X.astype("float32").sum(0)[:, None] * np.ones(2), rtol=1e-4)  # sums cancel
    assert module.kernel.grad is None
    assert module.bias.grad is None


def theirs(torch, module):
    """Return torch's module of the same layers and weights."""
    nn = torch.nn
    if isinstance(module, Sequential):
        return nn.Sequential(*(theirs(torch, each) for each in module))
    plain = {Tanh: nn.Tanh, ReLU: nn.ReLU, Softplus: nn.Softplus, Sigmoid: nn.Sigmoid}
    if type(module) in plain:
        return plain[type(module)]()
    weight = host(module.weight) if isinstance(module, Linear) else host(module.kernel).T
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=getattr(torch, str(weight.dtype)))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight.copy()))
        layer.bias.copy_(torch.tensor(host(module.bias).copy()))
    activation = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}.get(getattr(module, "activation", None))
    return nn.Sequential(layer, activation()) if activation else layer


@pytest.mark.parametrize("name", ["dense", "linear", "mlp"])
def test_values_and_gradients_are_those_of_torch(be, dtype, name):
    torch = pytest.importorskip("torch")
    make, data = modules()[name]
    module = make().to(dtype=dtype)
    oracle = theirs(torch, module)
    x = be.array(data.astype(dtype))
    their_x = torch.tensor(data.astype(dtype), requires_grad=True)
    want = oracle(their_x)
    close(host(module(x)), want.detach().numpy(), dtype)
    want.square().sum().backward()
    params, slope = grad(lambda p, x: ops.sum(ops.square(functional_call(module, p, x)[0])), (0, 1))(
        values(module), x
    )
    tolerance = {"atol": 2e-6 if dtype == "float32" else 1e-13, "rtol": 5e-5 if dtype == "float32" else 1e-12}
    close(host(slope), their_x.grad.numpy(), dtype, **tolerance)  # sums over the batch, in another order
    turned = [host(params[n]).T if n.endswith("kernel") else host(params[n]) for n in values(module)]
    for got, p in zip(turned, oracle.parameters(), strict=True):
        close(got, p.grad.numpy(), dtype, **tolerance)
