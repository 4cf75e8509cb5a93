"""CfC against ncps given the same weights, in value and gradient; masks; settings; refusals."""

import numpy as np
import pytest

import oracles
from conftest import close
from ember_ml import ops
from ember_ml.compiler import value_and_grad
from ember_ml.nn import (
    LTC,
    AutoNCPMap,
    CfC,
    CfCCell,
    FullyConnectedMap,
    LTCCell,
    NCPMap,
    RandomMap,
    WiredCfCCell,
    functional_call,
)
from oracles import cfc_names, in_torch, lecun_tanh_of_ncps, motors_first, motors_last, shaken, wired_names

torch = oracles.torch
ncps = pytest.importorskip("ncps.torch")
wirings = pytest.importorskip("ncps.wirings")

RNG = np.random.default_rng(5)
BATCH, STEPS, INPUTS, UNITS = 3, 5, 4, 6
X = RNG.normal(size=(BATCH, STEPS, INPUTS))
H = RNG.normal(size=(BATCH, UNITS))
TIMES = RNG.uniform(0.1, 3.0, size=(BATCH, STEPS))


def host(x):
    return np.asarray(x)


def agree(got, want, dtype):
    close(host(got), want, dtype, **oracles.near(want, dtype))


def cells(mode, layers, dtype):
    sizes = {"backbone_units": 7, "backbone_layers": layers}
    theirs = shaken(lambda: ncps.CfCCell(INPUTS, UNITS, mode, **sizes), dtype)
    ours = CfCCell(INPUTS, UNITS, mode, **sizes, backbone_activation=lecun_tanh_of_ncps).to(dtype=dtype)
    ours.load_state_dict(cfc_names(theirs, oracles.values))
    return ours, theirs


def wired(dtype, mode="default", units=13, outputs=3):
    wiring = wirings.AutoNCP(units, outputs, seed=4)
    theirs = shaken(lambda: ncps.WiredCfCCell(INPUTS, wiring, mode), dtype)
    ours = WiredCfCCell(oracles.map_like(wiring), mode).to(dtype=dtype)
    ours.load_state_dict(wired_names(theirs, oracles.values))
    return ours, theirs


# One step


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("mode", ["default", "pure", "no_gate"])
def test_a_step_is_that_of_ncps(be, dtype, mode, layers):
    ours, theirs = cells(mode, layers, dtype)
    x, h = X[:, 0].astype(dtype), H.astype(dtype)
    for time in (1.0, 0.3, TIMES[:, :1].astype(dtype)):
        given = be.array(time) if isinstance(time, np.ndarray) else time
        output, state = ours(be.array(x), be.array(h), given)
        ts = in_torch(time, dtype) if isinstance(time, np.ndarray) else time
        want, _ = theirs(in_torch(x, dtype), in_torch(h, dtype), ts)
        agree(output, want.detach().numpy(), dtype)
        np.testing.assert_array_equal(host(output), host(state))


@pytest.mark.parametrize("mode", ["default", "pure", "no_gate"])
def test_a_wired_step_is_that_of_ncps(be, dtype, mode):
    ours, theirs = wired(dtype, mode)
    sizes = theirs.layer_sizes
    h = np.linspace(-1, 1, BATCH * 13).reshape(BATCH, 13).astype(dtype)
    output, state = ours(be.array(X[:, 0].astype(dtype)), be.array(h), be.array(TIMES[:, 0].astype(dtype)))
    want, their_state = theirs(
        in_torch(X[:, 0], dtype), in_torch(motors_last(h, sizes), dtype), in_torch(TIMES[:, :1], dtype)
    )
    agree(output, want.detach().numpy(), dtype)
    agree(state, motors_first(their_state.detach(), sizes), dtype)
    np.testing.assert_array_equal(host(state)[:, :3], host(output))


# Whole sequences, and gradients


def ncps_loop(cell, x, times, h):
    outputs = []
    for t in range(x.shape[1]):
        y, h = cell(x[:, t], h, times[:, t : t + 1])
        outputs.append(y)
    return torch.stack(outputs, 1), h


@pytest.mark.parametrize(
    ("make", "names", "units"),
    [
        (lambda dtype: cells("default", 0, dtype), cfc_names, UNITS),
        (lambda dtype: cells("default", 2, dtype), cfc_names, UNITS),
        (lambda dtype: cells("pure", 1, dtype), cfc_names, UNITS),
        (lambda dtype: cells("no_gate", 1, dtype), cfc_names, UNITS),
        (wired, wired_names, 13),
    ],
    ids=["default-0", "default-2", "pure-1", "no_gate-1", "wired"],
)
def test_a_sequence_and_its_gradients_are_those_of_a_loop_of_ncps_cells(be, dtype, make, names, units):
    ours, theirs = make(dtype)
    layer = CfC(ours, return_sequences=True)
    weights = np.cos(np.arange(BATCH * STEPS * ours.output_size)).reshape(BATCH, STEPS, -1).astype(dtype)
    x = in_torch(X, dtype).requires_grad_()
    times = in_torch(TIMES, dtype).requires_grad_()
    want, _ = ncps_loop(theirs, x, times, torch.zeros(BATCH, units, dtype=x.dtype))
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
    for name, slope in names(theirs, oracles.slopes).items():
        agree(found[f"cell.{name}"], slope, dtype)


# Masks


def test_masked_weights_have_no_influence_at_all(be):
    wiring = AutoNCPMap(16, 3, sparsity_level=0.6, seed=1)
    layer = CfC(wiring, return_sequences=True, input_size=INPUTS)
    x = be.array(X.astype("float32"))
    before = host(layer(x))
    params = {n: p.data for n, p in layer.named_parameters()}
    slopes = value_and_grad(lambda p: ops.sum(ops.square(functional_call(layer, p, x)[0])))(params)[1]
    cut = 0
    for i, cell in enumerate(layer.cell.layers):
        absent = cell.input_mask == 0
        cut += absent.sum()
        assert not host(slopes[f"cell.layers.{i}.input_kernel"])[absent].any()
        wild = np.where(absent, 1e6, host(cell.input_kernel)).astype("float32")
        cell.load_state_dict({"input_kernel": wild}, strict=False)
    assert cut > 100
    np.testing.assert_array_equal(host(layer(x)), before)


@pytest.mark.parametrize(("masks", "heads"), [(False, 2), (True, 4)])
def test_the_mask_covers_the_state_heads_and_on_request_the_time_gate(masks, heads):
    wiring = AutoNCPMap(16, 3, seed=1)
    cell = WiredCfCCell(wiring, input_size=INPUTS, mask_time_gate=masks)
    first = cell.layers[0]
    neurons = wiring.get_neurons_of_layer(0)
    synapses = np.abs(wiring.sensory_adjacency_matrix[:, neurons])
    parts = np.split(first.input_mask, 4, axis=1)
    for part in parts[:heads]:
        np.testing.assert_array_equal(part, synapses)
    for part in parts[heads:]:
        np.testing.assert_array_equal(part, 1)


def test_a_cell_takes_a_mask_for_its_inputs(be):
    mask = np.zeros((INPUTS, UNITS))
    cell = CfCCell(INPUTS, UNITS, "pure", backbone_layers=0, input_mask=mask)
    x = X[:, 0].astype("float32")
    one, other = (host(cell(be.array(each))[0]) for each in (x, 2 * x))
    np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="a mask reaches the heads directly; set backbone_layers=0"):
        CfCCell(INPUTS, UNITS, input_mask=mask)


@pytest.mark.parametrize("wiring", [FullyConnectedMap(5, 2), RandomMap(6, 2), NCPMap(5, 2)], ids=repr)
def test_every_kind_of_map_makes_a_cell_whose_motor_neurons_are_the_output(be, wiring):
    cell = WiredCfCCell(wiring, input_size=INPUTS)
    output, state = cell(be.array(X[:, 0].astype("float32")))
    assert state.shape == (BATCH, wiring.units)
    np.testing.assert_array_equal(host(state)[:, :2], host(output))
    assert cell.synapse_count == wiring.synapse_count
    assert cell.sensory_synapse_count == wiring.sensory_synapse_count


# Time


def test_a_longer_time_moves_the_gate_from_one_head_to_the_other(be):
    cell = CfCCell(1, 1, backbone_layers=0)
    zero = np.zeros((1, 4))
    cell.load_state_dict(
        {"input_kernel": zero, "recurrent_kernel": zero, "bias": np.array([-0.5, 0.8, 1.0, 0.0])}
    )
    x = be.array(np.zeros((1, 1), "float32"))
    states = [float(host(cell(x, elapsed=t)[0])[0, 0]) for t in (-50.0, 0.0, 0.5, 2.0, 50.0)]
    assert states == sorted(states)
    close(states[0], np.tanh(-0.5))
    close(states[1], (np.tanh(-0.5) + np.tanh(0.8)) / 2)
    close(states[-1], np.tanh(0.8))


# What may be given


def test_a_layer_takes_a_map_a_number_a_cell_or_a_layer_that_has_a_map():
    wiring = AutoNCPMap(12, 2)
    assert isinstance(CfC(wiring, input_size=3).cell, WiredCfCCell)
    assert isinstance(CfC(5, input_size=3).cell, CfCCell)
    cell = CfCCell(3, 5)
    assert CfC(cell).cell is cell
    ltc = LTC(wiring, input_size=3)
    assert CfC(ltc).neuron_map is wiring
    assert CfC(LTCCell(wiring, input_size=3)).neuron_map is wiring
    assert isinstance(CfC(ltc).cell, WiredCfCCell)
    assert WiredCfCCell(CfC(wiring, input_size=3)).neuron_map is wiring
    assert np.abs(WiredCfCCell(7, input_size=3).neuron_map.adjacency_matrix).sum() == 49


@pytest.mark.parametrize("wrong", ["ncp", None, 2.5, True, CfCCell(3, 5)], ids=repr)
def test_what_is_no_map_is_refused(wrong):
    wanted = "expected a neuron map, a number of neurons, or a layer that has a map"
    with pytest.raises(TypeError, match=f"WiredCfCCell: {wanted}"):
        WiredCfCCell(wrong)
    if not isinstance(wrong, CfCCell):
        with pytest.raises(TypeError, match=f"CfC: {wanted}"):
            CfC(wrong)


def test_a_map_for_other_inputs_is_refused():
    with pytest.raises(ValueError, match="this map has 3 inputs, asked for 5"):
        CfC(AutoNCPMap(12, 2), input_size=3).neuron_map.build(5)
    with pytest.raises(ValueError, match="this map has 3 inputs, asked for 5"):
        CfC(CfC(AutoNCPMap(12, 2), input_size=3), input_size=5)


def test_an_unknown_mode_lists_the_known():
    with pytest.raises(ValueError, match="unknown mode 'gated'; known: default, pure, no_gate"):
        CfCCell(3, 4, "gated")
