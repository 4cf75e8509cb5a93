"""LTC against ncps given the same weights, in value and gradient; constraints; limits of time; refusals."""

import numpy as np
import pytest

import oracles
from conftest import close
from ember_ml import ops
from ember_ml.compiler import value_and_grad
from ember_ml.nn import LTC, AutoNCPMap, CfC, FullyConnectedMap, LTCCell, functional_call
from ember_ml.tensor import EmberTensor
from oracles import in_torch, ltc_names, shaken

torch = oracles.torch
ncps = pytest.importorskip("ncps.torch")
wirings = pytest.importorskip("ncps.wirings")

RNG = np.random.default_rng(6)
BATCH, STEPS, INPUTS, UNITS, OUTPUTS = 3, 4, 4, 12, 3
X = RNG.normal(size=(BATCH, STEPS, INPUTS))
V = RNG.normal(size=(BATCH, UNITS)) * 0.3
TIMES = RNG.uniform(0.1, 3.0, size=(BATCH, STEPS))


def host(x):
    return np.asarray(x.data if isinstance(x, EmberTensor) else x)


def agree(got, want, dtype):
    close(host(got), want, dtype, **oracles.near(want, dtype))


def cells(dtype, full=False, **settings):
    wiring = wirings.FullyConnected(UNITS, OUTPUTS) if full else wirings.AutoNCP(UNITS, OUTPUTS, seed=3)
    theirs = shaken(lambda: ncps.LTCCell(wiring, INPUTS, **settings), dtype)
    theirs.apply_weight_constraints()
    if full:
        neurons = FullyConnectedMap(UNITS, OUTPUTS, INPUTS)
        neurons.build()
    else:
        neurons = oracles.map_like(wiring)
    ours = LTCCell(neurons, **settings).to(dtype=dtype)
    ours.load_state_dict(ltc_names(theirs, oracles.values))
    return ours, theirs


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ode_unfolds": 1},
        {"implicit_param_constraints": True},
        {"input_mapping": "linear", "output_mapping": None},
        {"full": True},
    ],
    ids=str,
)
def test_a_step_is_that_of_ncps(be, dtype, settings):
    ours, theirs = cells(dtype, **settings)
    x, v = X[:, 0].astype(dtype), V.astype(dtype)
    for time in (1.0, 0.05, TIMES[:, :1].astype(dtype)):
        is_array = isinstance(time, np.ndarray)
        output, state = ours(be.array(x), be.array(v), be.array(time) if is_array else time)
        want = theirs(in_torch(x, dtype), in_torch(v, dtype), in_torch(time, dtype) if is_array else time)
        agree(output, want[0].detach().numpy(), dtype)
        agree(state, want[1].detach().numpy(), dtype)


def test_a_sequence_and_its_gradients_are_those_of_a_loop_of_ncps_cells(be, dtype):
    ours, theirs = cells(dtype)
    layer = LTC(ours)
    weights = np.cos(np.arange(BATCH * STEPS * OUTPUTS)).reshape(BATCH, STEPS, -1).astype(dtype)
    x, times = in_torch(X, dtype).requires_grad_(), in_torch(TIMES, dtype).requires_grad_()
    v, outputs = torch.zeros(BATCH, UNITS, dtype=x.dtype), []
    for t in range(STEPS):
        y, v = theirs(x[:, t], v, times[:, t : t + 1])
        outputs.append(y)
    want = torch.stack(outputs, 1)
    (want * in_torch(weights, dtype)).sum().backward()

    def loss(params, x, times):
        output = functional_call(layer, params, x, None, times)[0]
        return ops.sum(output * be.array(weights)), output

    given = (be.array(X.astype(dtype)), be.array(TIMES.astype(dtype)))
    params = {n: p.data for n, p in layer.named_parameters()}
    (_, output), (found, x_slope, t_slope) = value_and_grad(loss, (0, 1, 2), has_aux=True)(params, *given)
    agree(output, want.detach().numpy(), dtype)
    agree(x_slope, x.grad.numpy(), dtype)
    agree(t_slope, times.grad.numpy(), dtype)
    for name, slope in ltc_names(theirs, oracles.slopes).items():
        agree(found[f"cell.{name}"], slope, dtype)


def test_only_existing_synapses_have_weights():
    wiring = AutoNCPMap(32, 4)
    cell = LTCCell(wiring, input_size=8)
    assert wiring.synapse_count < 32 * 32 / 4
    for name in ("w", "sigma", "mu", "erev"):
        assert getattr(cell, name).shape == (wiring.synapse_count,)
        assert getattr(cell, f"sensory_{name}").shape == (wiring.sensory_synapse_count,)


def test_first_values_lie_in_the_ranges_of_ncps(be):
    cell = LTCCell(FullyConnectedMap(30), input_size=20)
    for name, (low, high) in {
        "gleak": (0.001, 1),
        "vleak": (-0.2, 0.2),
        "cm": (0.4, 0.6),
        "w": (0.001, 1),
    }.items():
        values = host(getattr(cell, name))
        assert low <= values.min() < values.max() <= high
    assert set(np.unique(host(cell.erev))) == {-1.0, 1.0}
    np.testing.assert_array_equal(host(cell.erev), cell.neuron_map.adjacency_matrix[cell.synapses])


def test_no_time_leaves_the_state_unchanged(be):
    layer = LTC(AutoNCPMap(UNITS, OUTPUTS), return_state=True, input_size=INPUTS)
    state = be.array(V.astype("float32"))
    _, last = layer(be.array(X.astype("float32")), state, 0.0)
    close(host(last), V.astype("float32"), atol=2e-5)  # 24 unfolds, each of 1e-6 / 6 of time
    _, last = layer(be.array(X.astype("float32")), state, be.array(np.zeros((BATCH, STEPS), "float32")))
    close(host(last), V.astype("float32"), atol=2e-5)


def test_a_long_time_forgets_where_it_started(be):
    layer = LTC(AutoNCPMap(UNITS, OUTPUTS), return_state=True, input_size=INPUTS, ode_unfolds=60)
    x = be.array(np.repeat(X[:, :1], 30, axis=1).astype("float32"))
    _, one = layer(x, be.array(V.astype("float32")), 1e3)
    _, other = layer(x, be.array(V.astype("float32") + 0.2), 1e3)
    close(host(one), host(other), atol=1e-4)


def test_many_short_steps_are_one_long_one_of_as_many_unfolds(be):
    wiring = AutoNCPMap(UNITS, OUTPUTS)
    long = LTC(wiring, return_state=True, input_size=INPUTS, ode_unfolds=6)
    short = LTC(wiring, return_state=True, ode_unfolds=1)
    short.load_state_dict(long.state_dict())
    x = be.array(X[:, :1].astype("float32"))
    _, one = long(x, be.array(V.astype("float32")), 1.2)
    _, six = short(
        be.array(np.repeat(X[:, :1], 6, axis=1).astype("float32")), be.array(V.astype("float32")), 0.2
    )
    close(host(one), host(six))


def test_weights_that_must_not_be_negative_say_so_and_an_optimizer_keeps_them(be):
    from ember_ml.training.optimizer import SGD

    layer = LTC(AutoNCPMap(UNITS, OUTPUTS), input_size=INPUTS)
    bounded = {n for n, p in layer.named_parameters() if p.nonnegative}
    assert bounded == {"cell.gleak", "cell.cm", "cell.w", "cell.sensory_w"}
    free = LTC(AutoNCPMap(UNITS, OUTPUTS), input_size=INPUTS, implicit_param_constraints=True)
    assert not any(p.nonnegative for p in free.parameters())
    ops.sum(layer(EmberTensor(be.array(X.astype("float32"))))).backward()
    SGD(layer.parameters(), learning_rate=100.0).step()
    for name, p in layer.named_parameters():
        assert name not in bounded or host(p).min() >= 0
    assert any(host(p).min() < 0 for n, p in layer.named_parameters() if n not in bounded)


def test_a_layer_takes_a_map_a_number_a_cell_or_a_layer_that_has_a_map():
    wiring = AutoNCPMap(UNITS, OUTPUTS)
    assert LTC(wiring, input_size=3).cell.neuron_map is wiring
    assert np.abs(LTC(5, input_size=3).neuron_map.adjacency_matrix).sum() == 25
    cell = LTCCell(wiring, ode_unfolds=2)
    assert LTC(cell).cell is cell
    assert LTC(CfC(wiring)).cell.neuron_map is wiring
    assert LTCCell(LTC(wiring)).neuron_map is wiring
    assert LTCCell(4, input_size=2).synapses[0].size == 16


def test_what_is_no_map_and_no_mapping_is_refused():
    for make in (LTC, LTCCell):
        with pytest.raises(TypeError, match=f"{make.__name__}: expected a neuron map, a number of neurons"):
            make("ncp")
    with pytest.raises(ValueError, match="input_mapping must be 'affine', 'linear' or None, got 'square'"):
        LTCCell(4, input_size=2, input_mapping="square")
    with pytest.raises(ValueError, match="the number of inputs is unknown"):
        LTCCell(4)
