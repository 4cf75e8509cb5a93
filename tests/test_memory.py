"""What is called again and again keeps nothing: memory does not grow with the number of calls."""

import gc
import linecache
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from ember_ml import ops
from ember_ml.compiler import compile, grad
from ember_ml.tensor import array

NOISE = 100.0  # bytes a call: free lists, dicts that grow once. An entry kept with its text takes 500
PYTHON_KEEPS = 300.0  # of a function made from text: names of files and of variables
JAX_KEEPS = 500.0  # of a gradient: JAX itself notes each number that it puts on a device


def step(carry, x):
    return ops.tanh(carry + x), carry


def calls(be):
    """Return what is called, and how often."""
    x, xs = (be.array(np.ones(shape, "float32")) for shape in (4, (3, 4)))
    t, leaf = array(x), array(x, requires_grad=True)
    slope = grad(lambda x: ops.sum(ops.sin(x) * x))
    compiled = compile(slope, be)

    def backward():
        leaf.grad = None
        ops.sum(leaf * leaf).backward()

    return {
        "op": (20_000, lambda: ops.add(x, x)),
        "operator": (20_000, lambda: t + t),
        "compiled": (20_000, lambda: compiled(x)),
        "loop": (400, lambda: ops.scan(step, x, xs)),
        "grad": (400, lambda: slope(x)),
        "backward": (400, backward),
    }


def growth(call, count):
    """Return how many bytes more there are after each of `count` calls, in the best of three runs."""
    for _ in range(10):
        call()
    tracemalloc.start()
    try:
        held = [measured(call, count // 3) for _ in range(4)]
    finally:
        tracemalloc.stop()
    return min(after - before for before, after in pairwise(held)) / (count // 3)


def measured(call, count):
    """Return how much memory is held after so many calls."""
    for _ in range(count):
        call()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("name", ["op", "operator", "compiled", "loop", "grad", "backward"])
def test_calls_keep_nothing(be, name):
    count, call = calls(be)[name]
    assert growth(call, count) < (JAX_KEEPS if be == "jax" and name == "grad" else NOISE)


@pytest.mark.parametrize("name", ["line", "loop"])
def test_compiled_functions_that_are_gone_leave_nothing(be, name):
    f = {"line": lambda x: ops.sin(x) * 2.0, "loop": lambda x: ops.scan(step, x[0], x)}[name]
    x = be.array(np.ones((3, 4), "float32"))
    if be == "jax" and name == "loop":
        pytest.skip("XLA compiles each anew, and keeps programs of its own")
    assert growth(lambda: compile(f, be, jit=be != "jax")(x), 100) < PYTHON_KEEPS


def test_the_text_of_a_compiled_function_can_be_read_as_long_as_it_lives():
    f, before = compile(ops.sin, "numpy", jit=False), {*linecache.cache}
    f(np.ones(4))
    (file,) = {*linecache.cache} - before
    assert linecache.getline(file, 1) == "def evaluate(x):\n"
    del f
    gc.collect()
    assert file not in linecache.cache
