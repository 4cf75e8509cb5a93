"""Arrays that two processes see: written in one, read and changed in the other."""

import multiprocessing
from multiprocessing.managers import SharedMemoryManager

import numpy as np
import pytest

from ember_ml import backend

VALUES = np.arange(12.0).reshape(3, 4)


def total(name, shared):
    """Return the sum of a shared array, in the process that runs this."""
    with backend.use_backend(name) as be:
        return float(be.sum(be.from_sharedarr(shared)))


def fill_first_row(shared):
    """Write to a shared array, in the process that runs this."""
    backend.get_backend("numpy").from_sharedarr(shared)[0] = -1.0


SPAWN = multiprocessing.get_context("spawn")  # engines with threads of their own do not survive a fork


@pytest.fixture(scope="module")
def other_process():
    with SPAWN.Pool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def manager():
    with SharedMemoryManager(ctx=SPAWN) as manager:
        yield manager


@pytest.mark.parametrize("with_memory", [True, False])
def test_another_process_reads_the_same_values(be, other_process, manager, with_memory):
    shared = be.to_sharedarr(be.array(VALUES), manager if with_memory else None)
    assert len(shared) == (3 if with_memory else 1)
    if with_memory:
        assert other_process.apply(total, (be.name, shared)) == VALUES.sum()
    back = be.from_sharedarr(shared)
    assert be.owns(type(back))
    assert str(back.dtype).endswith("float64")
    np.testing.assert_array_equal(np.asarray(back), VALUES)


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_what_another_process_writes_is_seen_here(other_process, manager, name):
    if name not in backend.available_backends():
        pytest.skip(f"{name} is not installed")
    with backend.use_backend(name) as be:
        shared = be.to_sharedarr(be.array(VALUES), manager)
        seen = be.from_sharedarr(shared)[:2]  # a view holds the memory open, too
        other_process.apply(fill_first_row, (shared,))
        np.testing.assert_array_equal(np.asarray(seen), [[-1.0] * 4, VALUES[1]])


def test_memory_that_is_too_small_is_refused(manager):
    with pytest.raises(ValueError, match="needs 8000000 bytes"):
        backend.get_backend("numpy").from_sharedarr((manager.SharedMemory(size=64), (1000, 1000), "float64"))
