"""Threads that choose different engines: each computes on its own, whatever the others do meanwhile."""

import threading
from itertools import cycle, islice

import numpy as np
import pytest

from conftest import ENGINES, close
from ember_ml import ops
from ember_ml.backend import get_backend, set_backend, use_backend
from ember_ml.compiler import compile, grad, vmap

ROUNDS = 40
W = np.array([[0.5, -1.0], [2.0, 0.25]])


def together(*works):
    """Run functions at the same time, each in a thread; raise what the first of them raised that failed."""
    start, raised = threading.Barrier(len(works)), []

    def run(work):
        start.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@pytest.fixture
def kept_choice():
    """Leave the process's choice of backend as it was."""
    before = get_backend()
    yield
    set_backend(before.name)


def loss(x, w):
    rows = vmap(lambda row: ops.tanh(ops.matmul(row, w)))(x)
    last, _ = ops.scan(lambda c, row: (c + row * row, None), ops.zeros((2,), dtype="float64"), rows)
    return ops.sum(last)


def slope(x):
    """Return the gradient of `loss` in x, by hand."""
    hidden = np.tanh(x @ W)
    return 2 * hidden * (1 - hidden**2) @ W.T


def computes(name):
    """Return work on one engine: eager, differentiated, and compiled anew now and then."""

    def work():
        with use_backend(name) as be:
            w = be.array(W)
            run = compile(grad(loss), be)
            for i in range(ROUNDS):
                x = np.cos(np.arange(2.0 + 2 * (i % 3)) + i).reshape(-1, 2)
                assert get_backend() is be
                assert be.owns(type(ops.ones((2,)))), "what has no array argument joins this thread's choice"
                got = run(be.array(x), w) if i % 4 else grad(loss)(be.array(x), w)
                assert be.owns(type(got))
                close(be.to_numpy(got), slope(x), "float64", rtol=1e-5, atol=1e-6)  # MLX's tanh in float64

    return work


def test_threads_on_different_engines_compute_compile_and_differentiate_at_once():
    together(*map(computes, islice(cycle(ENGINES), max(4, len(ENGINES)))))


@pytest.mark.usefixtures("kept_choice")
def test_a_choice_for_the_process_disturbs_no_thread_that_has_its_own():
    def chooses():
        for name in islice(cycle(ENGINES), 50 * ROUNDS):
            set_backend(name)

    together(chooses, *map(computes, ENGINES[:3]))


@pytest.mark.usefixtures("kept_choice")
def test_a_thread_takes_the_process_choice_and_no_other_threads():
    inside, done, seen = threading.Event(), threading.Event(), []
    set_backend("numpy")

    def holds():
        with use_backend(ENGINES[-1]):
            inside.set()
            done.wait(10)

    def looks():
        inside.wait(10)
        seen.append((get_backend().name, type(ops.zeros((2,)))))
        done.set()

    together(holds, looks)
    assert seen == [("numpy", np.ndarray)]


@pytest.mark.usefixtures("kept_choice")
def test_a_switch_while_another_thread_records_does_not_enter_its_program(be):
    """What is created without an array joins the engine that the program is for."""
    recording, switched = threading.Event(), threading.Event()

    def f(x):
        recording.set()
        switched.wait(10)
        return x + ops.ones((2,), dtype="float64")

    def records():
        got = compile(f, be)(be.array(np.array([1.0, 2.0])))
        assert be.owns(type(got))
        close(be.to_numpy(got), np.array([2.0, 3.0]), "float64")

    def switches():
        recording.wait(10)
        for name in ENGINES:
            set_backend(name)
            with use_backend(name):
                switched.set()

    together(records, switches)
