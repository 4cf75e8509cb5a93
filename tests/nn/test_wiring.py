"""Wiring: counts against ncps and arithmetic, reachability by graph search, configs, and refusals."""

import inspect
import json

import numpy as np
import pytest

from ember_ml.nn.modules.wiring import (
    AutoNCPMap,
    FanoutNCPMap,
    FullyConnectedMap,
    NCPMap,
    NeuronMap,
    RandomMap,
    wiring_from_config,
)
from ember_ml.nn.modules.wiring.synapses import mended

AUTO_SIZES = [(8, 1), (20, 4), (19, 5), (32, 8), (64, 20), (100, 3), (4, 1)]
SPARSITIES = [0.1, 0.3, 0.5, 0.75, 0.9, 0.99]


def every_kind():
    return [
        FullyConnectedMap(6, output_dim=2, seed=3),
        RandomMap(7, output_dim=3, sparsity_level=0.6, seed=4),
        NCPMap(10, 2, sparsity_level=0.4, seed=5),
        NCPMap(
            8, 3, 4, seed=6, command_neurons=5, sensory_to_motor_sparsity=0.5, motor_to_inter_sparsity=0.9
        ),
        NCPMap.from_fanout(12, 7, 3, 4, 3, 6, 2, seed=7),
        AutoNCPMap(20, 4, seed=8),
    ]


def name(wiring):
    return type(wiring).__name__


def matrices(wiring):
    return wiring.adjacency_matrix, wiring.sensory_adjacency_matrix


def same_wiring(a, b):
    return all(np.array_equal(x, y) for x, y in zip(matrices(a), matrices(b), strict=True))


def reached(start, adjacency):
    """Return the neurons found from `start` by breadth-first search along the rows of `adjacency`."""
    found, frontier = set(start), list(start)
    while frontier:
        following = set(np.flatnonzero(adjacency[frontier].any(axis=0)).tolist()) - found
        found |= following
        frontier = list(following)
    return found


def assert_no_neuron_is_lost(wiring):
    adjacency, sensory = matrices(wiring)
    everyone = set(range(wiring.units))
    assert reached(np.flatnonzero(sensory.any(axis=0)).tolist(), adjacency) == everyone
    assert reached(wiring.get_neuron_groups()["motor"], adjacency.T) == everyone
    assert sensory.any(axis=1).all(), "an input feeds nothing"


# Signatures and order


def test_the_seeds_signatures_are_accepted():
    first = ["units", "output_dim", "input_dim", "sparsity_level", "seed"]
    for kind in (NeuronMap, FullyConnectedMap, RandomMap):
        assert list(inspect.signature(kind).parameters) == first
    assert list(inspect.signature(NCPMap).parameters) == [
        "inter_neurons", "motor_neurons", "sensory_neurons", "sparsity_level", "seed",
        "sensory_to_inter_sparsity", "sensory_to_motor_sparsity", "inter_to_inter_sparsity",
        "inter_to_motor_sparsity", "motor_to_motor_sparsity", "motor_to_inter_sparsity", "command_neurons",
    ]  # fmt: skip
    assert RandomMap(5, 2, 3, 0.5, 1).input_dim == 3
    assert NCPMap(5, 2, 3).input_dim == 3


def test_the_base_map_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        NeuronMap(5)


def test_neurons_are_numbered_motor_command_inter_and_processed_the_other_way():
    wiring = NCPMap(5, 2, command_neurons=3)
    wiring.build(4)
    groups = wiring.get_neuron_groups()
    assert groups == {
        "sensory": [0, 1, 2, 3],
        "inter": [5, 6, 7, 8, 9],
        "command": [2, 3, 4],
        "motor": [0, 1],
    }
    assert wiring.num_layers == 3
    assert wiring.layer_sizes == [5, 3, 2]
    layers = [wiring.get_neurons_of_layer(layer) for layer in range(3)]
    assert layers == [groups["inter"], groups["command"], groups["motor"]]


def test_without_command_neurons_there_are_two_layers():
    wiring = NCPMap(5, 2)
    assert wiring.units == 7
    assert wiring.layer_sizes == [5, 2]
    assert wiring.get_neuron_groups()["command"] == []
    assert NCPMap(5, 2, command_neurons=0) == wiring


@pytest.mark.parametrize("wiring", [FullyConnectedMap(6, output_dim=2), RandomMap(6, output_dim=2)], ids=name)
def test_unstructured_maps_have_one_layer_and_their_motor_neurons_first(wiring):
    assert wiring.num_layers == 1
    assert wiring.layer_sizes == [6]
    assert wiring.get_neurons_of_layer(0) == [0, 1, 2, 3, 4, 5]
    assert wiring.get_neuron_groups() == {
        "sensory": [],
        "inter": [2, 3, 4, 5],
        "command": [],
        "motor": [0, 1],
    }


# Counts


def test_a_fully_connected_map_joins_everything_and_two_in_three_excite():
    wiring = FullyConnectedMap(90, output_dim=4)
    wiring.build(50)
    assert wiring.synapse_count == 90 * 90
    assert wiring.sensory_synapse_count == 50 * 90
    assert np.mean(wiring.adjacency_matrix == 1) == pytest.approx(2 / 3, abs=0.02)
    assert np.mean(wiring.sensory_adjacency_matrix == 1) == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.5, 0.9])
def test_a_random_map_has_exactly_the_density_asked_for(sparsity):
    wiring = RandomMap(40, sparsity_level=sparsity, seed=1)
    wiring.build(15)
    assert wiring.synapse_count == round(1600 * (1 - sparsity))
    assert wiring.sensory_synapse_count == round(600 * (1 - sparsity))


def test_a_random_map_joins_every_pair_equally_often():
    share = np.mean(
        [_built(RandomMap(6, sparsity_level=0.7, seed=s), 2).get_recurrent_mask() for s in range(2000)], 0
    )
    assert share.mean() == pytest.approx(11 / 36, abs=1e-6)
    np.testing.assert_allclose(share, 11 / 36, atol=5 * np.sqrt(11 / 36 * 25 / 36 / 2000))


def test_a_tiny_random_map_still_has_a_synapse():
    wiring = _built(RandomMap(2, sparsity_level=0.9), 1)
    assert wiring.synapse_count == 1
    assert wiring.sensory_synapse_count == 1


def test_group_sparsities_count_what_they_leave():
    wiring = NCPMap(
        10, 4, 6, seed=2, sparsity_level=0.5,
        sensory_to_inter_sparsity=0.25, sensory_to_motor_sparsity=0.75, inter_to_inter_sparsity=0.9,
        inter_to_motor_sparsity=0.0, motor_to_motor_sparsity=0.5, motor_to_inter_sparsity=1.0,
    )  # fmt: skip
    wiring.build()
    motor, inter = slice(0, 4), slice(4, 14)
    adjacency, sensory = (np.abs(matrix) for matrix in matrices(wiring))
    assert sensory[:, inter].sum() == 45
    assert sensory[:, motor].sum() == 6
    assert adjacency[inter, inter].sum() == 10
    assert adjacency[inter, motor].sum() == 40
    assert adjacency[motor, motor].sum() == 8
    assert adjacency[motor, inter].sum() == 0


def test_with_command_neurons_the_inter_sparsities_govern_the_command_pathways():
    wiring = NCPMap(
        6, 2, 3, seed=2, inter_to_inter_sparsity=0.0, inter_to_motor_sparsity=0.0, command_neurons=4
    )
    wiring.build()
    expected = np.zeros((12, 12))
    expected[6:, 2:6] = 1  # inter -> command
    expected[2:6, 2:6] = 1  # command -> command
    expected[2:6, :2] = 1  # command -> motor
    np.testing.assert_array_equal(wiring.get_recurrent_mask(), expected)


def test_an_explicit_zero_sparsity_is_honoured():
    dense = _built(NCPMap(9, 3, sparsity_level=0.8, sensory_to_inter_sparsity=0.0), 5)
    assert dense.sensory_synapse_count == 45
    level = _built(NCPMap(9, 3, sparsity_level=0.0), 5)
    assert level.synapse_count == 9 * 9 + 9 * 3


def test_ncp_polarities_are_balanced():
    adjacency, sensory = matrices(_built(NCPMap(60, 30, sparsity_level=0.0), 60))
    for matrix, synapses in ((adjacency, 60 * 90), (sensory, 3600)):
        assert np.abs(matrix).sum() == synapses
        assert abs(matrix.sum()) < 5 * np.sqrt(synapses)


@pytest.mark.parametrize("seed", range(5))
def test_fans_are_met_neuron_by_neuron(seed):
    wiring = _built(NCPMap.from_fanout(12, 7, 3, 4, 3, 6, 2, seed=seed), 5)
    motor, command, inter = slice(0, 3), slice(3, 10), slice(10, 22)
    adjacency, sensory = (np.abs(matrix) for matrix in matrices(wiring))
    adopted = sensory.sum() > 5 * 4
    assert (sensory[:, inter].sum(axis=1) >= 4).all()
    assert adopted or (sensory[:, inter].sum(axis=1) == 4).all()
    assert (adjacency[inter, command].sum(axis=1) >= 3).all()
    assert (adjacency[command, motor].sum(axis=0) >= 2).all()
    assert adjacency[command, command].sum() == 6
    assert sensory[:, :10].sum() == 0
    for source, target in ((inter, inter), (inter, motor), (command, inter), (motor, slice(None))):
        assert adjacency[source, target].sum() == 0


@pytest.mark.parametrize(("units", "outputs"), AUTO_SIZES)
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_auto_ncp_chooses_the_numbers_that_ncps_chooses(units, outputs, sparsity):
    wirings = pytest.importorskip("ncps.wirings")
    theirs, ours = wirings.AutoNCP(units, outputs, sparsity), AutoNCPMap(units, outputs, sparsity)
    theirs.build(6)
    ours.build(6)
    assert ours.units == theirs.units
    assert ours.output_dim == theirs.output_dim
    assert ours.num_layers == theirs.num_layers
    for layer in range(3):
        assert ours.get_neurons_of_layer(layer) == list(theirs.get_neurons_of_layer(layer))
    for fan in ("sensory_fanout", "inter_fanout", "recurrent_command_synapses", "motor_fanin"):
        assert getattr(ours, fan) == getattr(theirs, f"_{fan}"), fan


@pytest.mark.parametrize(("units", "outputs"), AUTO_SIZES)
def test_auto_ncp_totals_are_those_of_ncps_where_no_neuron_is_left_out(units, outputs):
    wirings = pytest.importorskip("ncps.wirings")
    compared = 0
    for seed in range(40):
        theirs, ours = (
            wirings.AutoNCP(units, outputs, 0.2, seed=seed),
            AutoNCPMap(units, outputs, 0.2, seed=seed),
        )
        theirs.build(30)
        ours.build(30)
        totals = _totals_by_pathway(ours), _totals_by_pathway(theirs)
        plain = [30 * ours.sensory_fanout, ours.inter_neurons * ours.inter_fanout, outputs * ours.motor_fanin]
        for mine, yours, unrepaired in zip(*totals, plain, strict=True):
            assert mine >= unrepaired
            if yours == unrepaired == mine:
                compared += 1
    assert compared > 40


@pytest.mark.parametrize("kind", ["one command neuron", "narrow trunk"])
def test_totals_with_repairs_are_those_of_ncps_where_they_are_determined(kind):
    wirings = pytest.importorskip("ncps.wirings")
    fans = {"one command neuron": (9, 1, 4, 9, 1, 1, 1), "narrow trunk": (10, 5, 1, 10, 5, 0, 1)}[kind]
    for seed in range(10):
        theirs, ours = wirings.NCP(*fans, seed=seed), NCPMap.from_fanout(*fans, seed=seed)
        theirs.build(3)
        ours.build(3)
        assert ours.sensory_synapse_count == theirs.sensory_synapse_count
        assert ours.synapse_count == theirs.synapse_count


def test_the_wired_cfc_of_ncps_runs_on_our_wiring():
    torch = pytest.importorskip("torch")
    ncps_torch = pytest.importorskip("ncps.torch")
    cell = ncps_torch.WiredCfCCell(5, AutoNCPMap(20, 4))
    output, state = cell(torch.ones(2, 5), torch.zeros(2, 20), 1.0)
    assert output.shape == (2, 4)
    assert state.shape == (2, 20)


# Reachability


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 0.99])
def test_no_neuron_of_an_auto_ncp_is_lost_whatever_the_seed(sparsity):
    for seed in range(60):
        for units, outputs, inputs in ((20, 4, 1), (12, 8, 3), (50, 2, 7)):
            assert_no_neuron_is_lost(_built(AutoNCPMap(units, outputs, sparsity, seed=seed), inputs))


@pytest.mark.parametrize("command", [None, 1, 6])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95])
def test_no_neuron_of_an_ncp_is_lost_whatever_the_seed(command, sparsity):
    for seed in range(60):
        wiring = NCPMap(14, 3, sparsity_level=sparsity, seed=seed, command_neurons=command)
        assert_no_neuron_is_lost(_built(wiring, 1 + seed % 9))


def test_repairs_happen_only_where_a_neuron_was_left_out():
    wiring = _built(NCPMap.from_fanout(30, 6, 2, 1, 1, 0, 1, seed=0), 2)
    sensory = np.abs(wiring.sensory_adjacency_matrix)[:, 8:]
    assert (sensory.sum(axis=0) == 1).all(), "30 inter neurons, 2 inputs: each is adopted by exactly one"
    adjacency = np.abs(wiring.adjacency_matrix)
    assert (adjacency[8:, 2:8].sum(axis=1) == 1).all(), "30 inter neurons leave out none of 6 command neurons"
    assert (adjacency[2:8, :2].sum(axis=1) == 1).all()


@pytest.mark.parametrize("is_transposed", [False, True])
def test_a_neuron_left_out_gets_the_mean_number_of_partners(is_transposed):
    links = np.ones((6, 4), dtype=bool)
    links[:, 3] = False
    links = links.T if is_transposed else links
    repaired = mended(np.random.default_rng(0), links)
    assert (repaired[links]).all()
    assert repaired.sum() == 18 + 18 // 4
    assert links.sum() == 18, "the argument is left alone"


def test_a_closed_trunk_is_left_closed_where_the_inputs_feed_the_motor_neurons():
    wiring = _built(NCPMap(5, 2, sensory_to_inter_sparsity=1.0, sensory_to_motor_sparsity=0.0), 3)
    assert np.abs(wiring.sensory_adjacency_matrix).sum(axis=0).tolist() == [3, 3, 0, 0, 0, 0, 0]


# Seeds


@pytest.mark.parametrize("position", range(6))
def test_the_same_seed_draws_the_same_wiring(position):
    first, second = every_kind()[position], every_kind()[position]
    assert same_wiring(_built(first, 4), _built(second, 4))
    assert first == second


@pytest.mark.parametrize("kind", [FullyConnectedMap, RandomMap])
def test_another_seed_draws_another_wiring_and_no_seed_is_a_fixed_one(kind):
    assert not same_wiring(_built(kind(12, seed=1), 4), _built(kind(12, seed=2), 4))
    assert same_wiring(_built(kind(12), 4), _built(kind(12), 4))
    assert same_wiring(_built(kind(12), 4), _built(kind(12, seed=22222), 4))
    assert not same_wiring(_built(kind(12), 4), _built(kind(12, seed=0), 4))


@pytest.mark.parametrize("position", [0, 1, 2, 4, 5])
def test_synapses_among_neurons_do_not_depend_on_the_number_of_inputs(position):
    few, many = _built(every_kind()[position], 2), _built(every_kind()[position], 50)
    np.testing.assert_array_equal(few.adjacency_matrix, many.adjacency_matrix)


def test_drawing_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    _built(AutoNCPMap(20, 4), 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Building and masks


@pytest.mark.parametrize("wiring", every_kind(), ids=name)
def test_masks_are_the_synapses_and_stay_the_same(wiring):
    wiring.build(4)
    adjacency, sensory = matrices(wiring)
    for matrix, shape in ((adjacency, (wiring.units,) * 2), (sensory, (4, wiring.units))):
        assert matrix.dtype == np.int32
        assert matrix.shape == shape
        assert set(np.unique(matrix)) <= {-1, 0, 1}
    for _ in range(2):
        np.testing.assert_array_equal(wiring.get_recurrent_mask(), adjacency != 0)
        np.testing.assert_array_equal(wiring.get_input_mask(), sensory != 0)
        np.testing.assert_array_equal(wiring.get_output_mask(), np.arange(wiring.units) < wiring.output_dim)
    assert wiring.get_input_mask().dtype == wiring.get_output_mask().dtype == np.float32
    assert wiring.synapse_count == wiring.get_recurrent_mask().sum() > 0
    assert wiring.sensory_synapse_count == wiring.get_input_mask().sum() > 0


def test_writing_into_a_mask_leaves_the_map_alone():
    wiring = _built(FullyConnectedMap(3), 2)
    wiring.get_recurrent_mask()[...] = 0
    assert wiring.synapse_count == 9


@pytest.mark.parametrize("wiring", every_kind(), ids=name)
def test_building_twice_changes_nothing(wiring):
    assert not wiring.is_built()
    wiring.build(4)
    assert wiring.is_built()
    before = [matrix.copy() for matrix in matrices(wiring)]
    wiring.build(4)
    wiring.build()
    assert all(np.array_equal(a, b) for a, b in zip(before, matrices(wiring), strict=True))


def test_building_again_does_not_bring_back_what_was_removed_by_hand():
    wiring = _built(FullyConnectedMap(4), 2)
    wiring.adjacency_matrix[1, 2] = 0
    wiring.build(2)
    assert wiring.synapse_count == 15


def test_another_number_of_inputs_is_refused_once_one_is_known():
    for wiring in (_built(RandomMap(5), 3), RandomMap(5, input_dim=3), NCPMap(5, 2, 3)):
        with pytest.raises(ValueError, match="this map has 3 inputs, asked for 4; make a new map"):
            wiring.build(4)
    with pytest.raises(ValueError, match="this map has 3 inputs, asked for 4"):
        _built(RandomMap(5), 3).set_input_dim(4)


def test_building_without_a_number_of_inputs_says_what_to_do():
    for ask in (RandomMap(5).build, RandomMap(5).get_input_mask, RandomMap(5).get_recurrent_mask):
        with pytest.raises(ValueError, match=r"number of inputs is unknown; call build\(input_dim\)"):
            ask()


def test_masks_build_the_map_when_the_number_of_inputs_is_known():
    wiring = NCPMap(10, 2, 3)
    assert wiring.get_input_mask().sum() >= 15
    assert wiring.is_built()
    late = NCPMap(10, 2)
    late.set_input_dim(3)
    assert not late.is_built()
    np.testing.assert_array_equal(late.get_input_mask(), wiring.get_input_mask())


def test_counts_are_zero_before_building():
    wiring = AutoNCPMap(20, 4)
    assert (wiring.synapse_count, wiring.sensory_synapse_count) == (0, 0)


# Editing


def test_synapses_can_be_added_and_replaced():
    wiring = _built(NCPMap(5, 2), 3)
    count = wiring.synapse_count
    wiring.add_synapse(0, 6, -1)
    assert wiring.adjacency_matrix[0, 6] == -1
    assert wiring.get_recurrent_mask()[0, 6] == 1
    wiring.add_synapse(0, 6, 1)
    assert wiring.adjacency_matrix[0, 6] == 1
    assert wiring.synapse_count == count + 1
    wiring.add_sensory_synapse(2, 0, -1)
    assert wiring.sensory_adjacency_matrix[2, 0] == -1


def test_synapses_added_before_building_stay():
    for polarity in (-1, 1):
        wiring = FullyConnectedMap(4, input_dim=2)
        wiring.add_synapse(1, 2, polarity)
        wiring.add_sensory_synapse(0, 3, polarity)
        wiring.build()
        assert wiring.adjacency_matrix[1, 2] == wiring.sensory_adjacency_matrix[0, 3] == polarity
        assert wiring.synapse_count == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((7, 0, 1), "src is 7, but the neurons are 0 to 6"),
        ((-1, 0, 1), "src is -1"),
        ((0, 7, 1), "dest is 7, but the neurons are 0 to 6"),
        ((0, -1, 1), "dest is -1"),
        ((0, 0, 0), "polarity is 0, expected -1"),
        ((0, 0, 2), "polarity is 2"),
    ],
)
def test_impossible_synapses_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NCPMap(5, 2).add_synapse(*arguments)


def test_impossible_sensory_synapses_are_refused():
    wiring = NCPMap(5, 2)
    with pytest.raises(ValueError, match="number of inputs is unknown"):
        wiring.add_sensory_synapse(0, 0, 1)
    wiring.build(3)
    with pytest.raises(ValueError, match="src is 3, but the inputs are 0 to 2"):
        wiring.add_sensory_synapse(3, 0, 1)
    with pytest.raises(ValueError, match="dest is 7"):
        wiring.add_sensory_synapse(0, 7, 1)
    with pytest.raises(ValueError, match="polarity is 3"):
        wiring.add_sensory_synapse(0, 0, 3)


# Configs


@pytest.mark.parametrize("is_built", [False, True])
@pytest.mark.parametrize("position", range(6))
def test_a_config_survives_json_and_makes_the_same_map(position, is_built):
    wiring = every_kind()[position]
    if is_built:
        wiring.build(4)
    config = json.loads(json.dumps(wiring.get_config()))
    for again in (type(wiring).from_config(config), wiring_from_config(config)):
        assert type(again) is type(wiring)
        assert again.is_built() is is_built
        assert again == wiring
        assert same_wiring(_built(again, 4), _built(every_kind()[position], 4))
    assert "synapses" not in config


@pytest.mark.parametrize("position", range(6))
def test_a_config_keeps_what_was_edited_by_hand(position):
    wiring = _built(every_kind()[position], 4)
    wiring.add_synapse(0, 4, -wiring.adjacency_matrix[0, 4] or 1)
    wiring.adjacency_matrix[:, 1] = 0
    assert wiring != _built(every_kind()[position], 4)
    again = wiring_from_config(json.loads(json.dumps(wiring.get_config())))
    assert same_wiring(again, wiring)
    assert again == wiring
    assert "sensory_synapses" not in wiring.get_config()
    wiring.add_sensory_synapse(0, 2, -wiring.sensory_adjacency_matrix[0, 2] or 1)
    assert same_wiring(wiring_from_config(wiring.get_config()), wiring)


def test_a_config_keeps_edits_made_before_building():
    wiring = RandomMap(5, input_dim=2, sparsity_level=0.8)
    wiring.add_synapse(1, 1, -1)
    again = wiring_from_config(wiring.get_config())
    assert not again.is_built()
    assert same_wiring(_built(again, 2), _built(wiring, 2))


def test_a_map_of_ones_own_has_a_config_and_a_name():
    class RingMap(NeuronMap):
        def __init__(self, units, stride=1):
            super().__init__(units, output_dim=1)
            self.stride = stride

        def build(self, input_dim=None):
            super().build(input_dim)
            for neuron in range(self.units):
                self.add_synapse(neuron, (neuron + self.stride) % self.units, 1)
            self.add_sensory_synapse(0, 0, 1)

    wiring = _built(RingMap(5, stride=2), 3)
    assert wiring.synapse_count == 5
    assert wiring.get_config() == {
        "class_name": "RingMap", "units": 5, "stride": 2, "input_dim": 3, "is_built": True
    }  # fmt: skip
    assert same_wiring(wiring_from_config(wiring.get_config()), wiring)


def test_configs_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="config of a RandomMap; use wiring_from_config"):
        NCPMap.from_config(RandomMap(5).get_config())
    with pytest.raises(ValueError, match=r"class_name is 'StarMap', expected one of .*'AutoNCPMap'"):
        wiring_from_config({"class_name": "StarMap"})
    with pytest.raises(ValueError, match=r"unknown keys \['unit'\]"):
        RandomMap.from_config({"unit": 5})


def test_maps_are_equal_when_their_configs_are():
    assert RandomMap(5, seed=1) == RandomMap(5, seed=1)
    assert RandomMap(5, seed=1) != RandomMap(5, seed=2)
    assert RandomMap(5, seed=1) != _built(RandomMap(5, seed=1), 2)
    assert RandomMap(5) != FullyConnectedMap(5)
    assert RandomMap(5) != "RandomMap"


# Words


def test_a_map_introduces_itself():
    wiring = NCPMap.from_fanout(4, 2, 1, 4, 2, 0, 2, seed=3)
    assert repr(wiring).endswith("seed=3): 7 neurons, 1 outputs, not built>")
    wiring.build(3)
    assert repr(wiring).startswith("<FanoutNCPMap(inter_neurons=4, command_neurons=2, motor_neurons=1, ")
    assert repr(wiring).endswith("3 inputs, 7 neurons, 1 outputs, 12 sensory synapses, 10 synapses>")
    assert "<th>command</th><td>2</td>" in wiring._repr_html_()
    assert "12 sensory synapses" in wiring._repr_html_()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: AutoNCPMap(10, 8),
            r"output_size must be less than units - 2, got 8 of 10 units; give units >= 11",
        ),
        (lambda: AutoNCPMap(10, 3, 0.05), r"at least 0\.1 .* less than 1 .* got 0\.05"),
        (lambda: AutoNCPMap(10, 3, 1.0), r"got 1\.0"),
        (lambda: RandomMap(10, sparsity_level=1.0), r"from 0 to below 1; got 1\.0"),
        (lambda: RandomMap(10, sparsity_level=-0.1), r"got -0\.1"),
        (lambda: RandomMap(10, sparsity_level=float("nan")), "got nan"),
        (lambda: RandomMap(0), "units must be at least 1, got 0"),
        (lambda: RandomMap(5, output_dim=6), "output_dim is 6 but there are 5 units"),
        (lambda: RandomMap(5, input_dim=0), "input_dim must be at least 1"),
        (lambda: RandomMap(5).build(0), "input_dim must be at least 1"),
        (lambda: RandomMap(5, seed=-1), "seed must be at least 0"),
        (
            lambda: FullyConnectedMap(5, sparsity_level=0.5),
            "sparsity_level must be 0, got 0.5; use RandomMap",
        ),
        (lambda: FullyConnectedMap(5).get_neurons_of_layer(1), "no layer 1, only 0 to 0"),
        (lambda: AutoNCPMap(10, 3).get_neurons_of_layer(-1), "no layer -1, only 0 to 2"),
        (lambda: NCPMap(5, 2, motor_to_inter_sparsity=1.1), "motor_to_inter_sparsity .* got 1.1"),
        (
            lambda: NCPMap(5, 2, sensory_to_inter_sparsity=1.0),
            "no way leads .* sensory_to_inter_sparsity being 1",
        ),
        (
            lambda: NCPMap(5, 2, command_neurons=2, inter_to_inter_sparsity=1.0),
            "inter_to_inter_sparsity being 1",
        ),
        (
            lambda: NCPMap.from_fanout(5, 3, 2, 6, 1, 1, 1),
            "sensory_fanout is 6 but there are only 5 inter neurons",
        ),
        (
            lambda: NCPMap.from_fanout(5, 3, 2, 1, 4, 1, 1),
            "inter_fanout is 4 but there are only 3 command neurons",
        ),
        (
            lambda: NCPMap.from_fanout(5, 3, 2, 1, 1, 10, 1),
            "recurrent_command_synapses is 10 .* only 9 pairs",
        ),
        (
            lambda: NCPMap.from_fanout(5, 3, 2, 1, 1, 1, 4),
            "motor_fanin is 4 but there are only 3 command neurons",
        ),
        (lambda: NCPMap.from_fanout(5, 3, 2, 0, 1, 1, 1), "sensory_fanout must be at least 1, got 0"),
    ],
)
def test_impossible_wirings_are_refused_with_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_fractional_count_is_a_type_error():
    with pytest.raises(TypeError, match=r"units must be an integer, got 5\.5"):
        RandomMap(5.5)
    assert isinstance(NCPMap.from_fanout(5, 3, 2, 1, 1, 1, 1), FanoutNCPMap)


def _built(wiring, input_dim):
    wiring.build(input_dim)
    return wiring


def _totals_by_pathway(wiring):
    inter, command, motor = (wiring.get_neurons_of_layer(layer) for layer in range(3))
    adjacency = np.abs(wiring.adjacency_matrix)
    return (
        np.abs(wiring.sensory_adjacency_matrix).sum(),
        adjacency[np.ix_(inter, command)].sum(),
        adjacency[np.ix_(command, motor)].sum(),
    )
