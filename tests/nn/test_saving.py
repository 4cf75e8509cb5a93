"""Modules in files: what comes back, what is refused, and that nothing is ever half written."""

import json
import pickle
import stat
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from conftest import close
from ember_ml import ops
from ember_ml.backend import use_backend
from ember_ml.nn import (
    LTC,
    AutoNCPMap,
    CfC,
    CfCCell,
    Dense,
    Dropout,
    FullyConnectedMap,
    Linear,
    LTCCell,
    Module,
    NCPMap,
    Parameter,
    RandomMap,
    Sequential,
    Softmax,
    load,
    saving,
)

X = np.random.default_rng(8).normal(size=(3, 5, 4)).astype("float32")


class RunningMean(Module):
    def __init__(self, width):
        self.width = width
        self.register_buffer("mean", ops.zeros((width,)))

    def forward(self, x):
        if self.training:
            self.mean = ops.mean(x, axis=(0, 1))
        return x - self.mean


class Lazy(Module):
    def __init__(self, units, options=None):
        self.units, self.options = units, options

    def build(self, input_shape):
        self.weight = Parameter(ops.uniform((input_shape[-1], self.units), -1.0, 1.0))

    def forward(self, x):
        return x @ self.weight


def custom_map():
    neurons = AutoNCPMap(12, 2, seed=3)
    neurons.build(4)
    neurons.adjacency_matrix[...] = np.where(neurons.adjacency_matrix > 0, 0, neurons.adjacency_matrix)
    neurons.add_synapse(11, 0, 1)
    neurons.add_sensory_synapse(3, 0, -1)
    return neurons


MODULES = {
    "CfC": lambda: CfC(AutoNCPMap(12, 2, seed=3), return_sequences=True, mask_time_gate=True),
    "CfC with a backbone": lambda: CfC(5, mode="pure", backbone_units=6, backbone_activation="silu"),
    "CfC of a cell": lambda: CfC(CfCCell(4, 3, "no_gate", backbone_layers=0, input_mask=np.eye(4, 3))),
    "CfC backwards": lambda: CfC(NCPMap(6, 2, command_neurons=3), go_backwards=True, mode="no_gate"),
    "LTC": lambda: LTC(AutoNCPMap(12, 2, seed=5), return_sequences=False, ode_unfolds=3),
    "LTC of a cell": lambda: LTC(LTCCell(RandomMap(7, 2, 4), ode_unfolds=2, input_mapping=None)),
    "LTC with synapses of one's own": lambda: LTC(custom_map(), output_mapping="linear"),
    "CfC with synapses of one's own": lambda: CfC(custom_map()),
    "LTC of a number": lambda: LTC(5, implicit_param_constraints=True, ode_unfolds=2),
    "Sequential": lambda: Sequential(
        *(
            CfC(FullyConnectedMap(6, 3), return_sequences=True),
            Dense(3, 4, "relu"),
            Dropout(0.5),
            RunningMean(4),
        ),
        *(Linear(4, 3, bias=False), Softmax(), Lazy(2)),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_what_is_saved_comes_back(be, tmp_path, name):
    module = MODULES[name]()
    x = be.array(X)
    module.ensure_built(x)
    if name == "Sequential":
        module(x)  # the running mean moves
    module.eval()
    module.save(tmp_path / "module.safetensors")
    again = load(tmp_path / "module.safetensors").eval()
    assert type(again) is type(module)
    assert repr(again) == repr(module)
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(module(x)))
    if hasattr(module, "neuron_map") and hasattr(module.neuron_map, "adjacency_matrix"):
        np.testing.assert_array_equal(again.neuron_map.adjacency_matrix, module.neuron_map.adjacency_matrix)
    assert list(again.state_dict()) == list(module.state_dict())


def test_a_file_moves_from_any_engine_to_any(be, tmp_path):
    for first, second in (("numpy", be), (be, "numpy")):
        with use_backend(first) as one:
            module = MODULES["LTC"]()
            want = np.asarray(module(one.array(X)))
            module.save(tmp_path / "module")
        with use_backend(second) as other:
            again = load(tmp_path / "module")
            assert all(other.owns(type(p.data)) for p in again.parameters())
            close(np.asarray(again(other.array(X))), want)


def test_a_module_that_is_not_built_is_saved_as_that(be, tmp_path):
    CfC(AutoNCPMap(12, 2), return_sequences=True).save(tmp_path / "module")
    again = load(tmp_path / "module")
    assert not again.built
    assert again(be.array(X)).shape == (3, 5, 2)


def test_dtypes_are_kept(be, tmp_path):
    module = Dense(4, 2).to(dtype="float64")
    module.save(tmp_path / "module")
    again = load(tmp_path / "module")
    assert str(again.kernel.dtype) == "float64"
    np.testing.assert_array_equal(np.asarray(again.kernel), np.asarray(module.kernel))


def test_settings_of_every_plain_kind_are_kept(tmp_path):
    options = {"a": [1, 2.5, None, True], 3: ("x", (1, 2)), "n": np.int64(4), "array": np.arange(3)}
    Lazy(2, options).save(tmp_path / "module")
    again = load(tmp_path / "module").options
    np.testing.assert_array_equal(again.pop("array"), options.pop("array"))
    assert again == options
    assert type(again[3]) is tuple


# The file


def test_the_file_is_plain_safetensors_with_json_and_no_pickle(be, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickle was used")

    for name in ("dumps", "loads", "dump", "load"):
        monkeypatch.setattr(pickle, name, refuse)
    module = MODULES["CfC"]()
    module(be.array(X))
    module.save(tmp_path / "module")
    load(tmp_path / "module")
    with safe_open(tmp_path / "module", framework="numpy") as file:
        assert sorted(file.keys()) == sorted(module.state_dict())
        described = json.loads(file.metadata()["module"])
    assert described["module"] == "ember_ml.nn.modules.rnn.cfc:CfC"


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "module.safetensors"
    module = Dense(4, 2)
    module.save(path)
    before = path.read_bytes()

    write = Path.write_bytes

    def full_disk(path, data):
        write(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        Dense(4, 3).save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["module.safetensors"]


def test_a_setting_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "module"
    Dense(4, 2).save(path)
    before = path.read_bytes()
    words = "save: the function .*lambda.* has no name to be found by; pass an activation by name"
    with pytest.raises(TypeError, match=words):
        Sequential(Dense(4, 2, activation=lambda x: x)).save(path)
    with pytest.raises(TypeError, match="save: cannot write a setting of type set"):
        Lazy(2, {"a": {1, 2}}).save(path)
    assert path.read_bytes() == before


def test_folders_are_made_and_the_file_is_as_readable_as_others(tmp_path):
    path = tmp_path / "deep" / "er" / "module"
    Dense(4, 2).save(path)
    other = tmp_path / "other"
    other.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_an_activation_by_name_or_of_ours_is_kept(be, tmp_path):
    for activation in ("tanh", ops.tanh):
        module = Dense(4, 2, activation=activation)
        module.save(tmp_path / "module")
        close(np.asarray(load(tmp_path / "module")(be.array(X))), np.asarray(module(be.array(X))))


# Refusals


def test_files_of_others_are_refused(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"kernel": np.ones((4, 2))}, foreign)
    with pytest.raises(
        ValueError, match=r"foreign.safetensors holds no ember_ml module; it was written by something"
    ):
        load(foreign)
    text = tmp_path / "text"
    text.write_text("not safetensors at all")
    with pytest.raises(ValueError, match=r"text is no safetensors file"):
        load(text)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*missing"):
        load(tmp_path / "missing")


@pytest.mark.parametrize("name", ["antigravity:Net", "os:system", "tests.nowhere:Net", "ember_ml.nn:save"])
def test_a_file_imports_nothing_and_names_modules_only(tmp_path, name):
    import sys

    described = json.dumps({"module": name, "config": {"dict": []}, "input_shape": None})
    save_file({"a": np.ones(1)}, tmp_path / "evil", metadata={"format": saving.FORMAT, "module": described})
    with pytest.raises(ValueError, match=f"the file holds a {name}, which is not known"):
        load(tmp_path / "evil")
    assert "antigravity" not in sys.modules


def test_named_tuples_and_the_like_come_back_as_plain_tuples(tmp_path):
    pair = namedtuple("pair", "a b")
    Lazy(2, pair(1, 2)).save(tmp_path / "module")
    assert load(tmp_path / "module").options == (1, 2)
