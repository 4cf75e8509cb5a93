"""Devices and their memory. What needs an accelerator is asked of one, where there is one."""

import threading

import numpy as np
import pytest

from ember_ml import backend, ops, tensor
from ember_ml.backend import memory


def accelerator(be):
    return next((d for d in be.devices() if d != "cpu"), None)


def test_the_devices_are_those_that_answer(be):
    assert ops.get_available_devices() == be.devices()
    assert be.device_count() >= 1
    for device in be.devices():
        assert ops.is_available(device)
        moved = be.to_device(be.ones(2), device)
        assert be.device_of(moved).partition(":")[0] == device
    assert not ops.is_available("abacus")
    assert not ops.is_available("cpu:99")
    assert not ops.is_available("cpu:x")
    assert ops.is_available("cuda") == ("cuda" in be.devices())


def test_arrays_and_tensors_tell_their_device_and_move(be):
    for x in (be.ones(2), tensor.ones(2)):
        here = ops.get_device(x)
        assert ops.to_device(x, here) is x
        with pytest.raises(ValueError, match=f"backend {be} has no device 'abacus' here; it has "):
            ops.to_device(x, "abacus")
    assert ops.get_device() == ops.get_default_device() == be.default_device()
    for ask in (ops.get_device, lambda x: ops.to_device(x, "cpu"), ops.synchronize):
        with pytest.raises(TypeError, match="expected an array, got list"):
            ask([1.0])
    if (other := accelerator(be)) is not None:
        moved = ops.to_device(tensor.ones(2), "cpu")
        assert ops.get_device(ops.to_device(moved, other)).partition(":")[0] == other


def test_what_is_created_goes_where_it_was_told(be):
    last = be.devices()[-1]
    before = be.device
    try:
        backend.set_device(last)
        assert ops.get_default_device() == last
        assert ops.get_device(ops.zeros((2,))).partition(":")[0] == last
    finally:
        be.device = before
    with pytest.raises(ValueError, match="has no device 'abacus' here"):
        ops.set_default_device("abacus")
    assert be.device == before


def test_a_device_may_be_chosen_for_a_context(be):
    before = be.device
    with be.set_device(0) as chosen:
        assert chosen is be
        assert be.device in (f"{be.devices()[0]}:0", "cpu")
        with backend.set_device("cpu" if "cpu" in be.devices() else be.devices()[0]):
            assert be.device == be.devices()[-1]
            seen = []
            other = threading.Thread(target=lambda: seen.append(be.device))
            other.start()
            other.join()
            assert seen == [before]  # another thread has its own
        assert be.device in (f"{be.devices()[0]}:0", "cpu")
    assert be.device == before
    with pytest.raises(KeyError), be.set_device(0):
        raise KeyError
    assert be.device == before


def test_memory_is_told_in_bytes(be):
    facts = ops.memory_info()
    assert set(facts) == {"total", "available", "used"}
    assert 0 < facts["available"] <= facts["total"]
    assert 0 < facts["used"] or accelerator(be)
    assert isinstance(ops.memory_usage(), int)
    assert 0 < be.get_available_memory() <= facts["total"]
    be.free_cache()
    ops.synchronize()
    ops.synchronize(be.ones(2))


def test_what_this_process_uses_grows_with_what_it_holds():
    before = memory.host_memory()["used"]
    held = np.ones(2**23)
    assert memory.host_memory()["used"] - before > 0.9 * held.nbytes


def group(root, name, **files):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file.replace("_", ".", 1)).write_text(text)


def test_the_limits_of_containers_count(tmp_path, monkeypatch):
    """A process in /outer/inner of version 2, of which the outer one is the tighter."""
    root, gib = tmp_path / "cgroup", 2**30
    group(root, "outer/inner", memory_max="max", memory_current=str(gib))
    stat = f"anon 5\ninactive_file {gib // 2}"
    group(root, "outer", memory_max=str(2 * gib), memory_current=str(gib), memory_stat=stat)
    real = memory._read

    def read(path):
        if str(path) == "/proc/self/cgroup":
            return "0::/outer/inner\n"
        facts = "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n"
        return facts if str(path) == "/proc/meminfo" else real(path)

    monkeypatch.setattr(memory, "_CGROUPS", root)
    monkeypatch.setattr(memory, "_read", read)
    facts = memory.host_memory()
    assert facts["total"] == 2 * gib
    assert facts["available"] == 2 * gib - gib + gib // 2


def test_the_limits_of_the_older_kind_count_too(tmp_path, monkeypatch):
    root = tmp_path / "cgroup"
    group(root, "memory/box")
    (root / "memory/box/memory.limit_in_bytes").write_text("1000000000")
    (root / "memory/box/memory.usage_in_bytes").write_text("400000000")
    real = memory._read
    monkeypatch.setattr(memory, "_CGROUPS", root)
    monkeypatch.setattr(
        memory, "_read", lambda p: "7:cpu:/box\n5:memory:/box\n" if str(p) == "/proc/self/cgroup" else real(p)
    )
    facts = memory.host_memory()
    assert (facts["total"], facts["available"]) == (1000000000, 600000000)


def test_without_proc_the_system_is_asked(monkeypatch):
    monkeypatch.setattr(memory, "_read", lambda path: "")
    facts = memory.host_memory()
    assert 0 < facts["available"] <= facts["total"]
    assert facts["used"] > 0
