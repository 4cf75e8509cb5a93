"""An exception in a function that is being traced closes every trace on its way out."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.backend import get_backend
from ember_ml.compiler import compile, custom_vjp, grad, jacobian, jvp, vjp, vmap
from ember_ml.core import Traced, dispatch


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises, no Exception."""


def with_rule(f):
    """Return f with a gradient rule that calls it forward and backward."""
    ruled = custom_vjp(f)
    ruled.defvjp(lambda x: (f(x), x), lambda x, g: (ops.multiply(g, f(x)),))
    return ruled


# Ways to have a function of an array traced, called with an array
TRACERS = {
    "compile": lambda f, x: compile(f)(x),
    "grad": lambda f, x: grad(lambda x: ops.sum(f(x)))(x),
    "vjp": lambda f, x: vjp(f, x)[1](x)[0],
    "jvp": lambda f, x: jvp(f, (x,), (x,))[1],
    "jacobian": lambda f, x: jacobian(f)(x),
    "vmap": lambda f, x: vmap(f)(x),
    "scan": lambda f, x: ops.scan(lambda c, _: (f(c), None), x, length=2)[0],
    "cond": lambda f, x: ops.cond(ops.sum(x) > 0.0, f, ops.cos, x),
    "while_loop": lambda f, x: ops.while_loop(lambda c: ops.sum(c) < -9.0, f, x),
    "custom_vjp": lambda f, x: grad(lambda x: ops.sum(with_rule(f)(x)))(x),
}


@contextmanager
def nothing_left_open(be):
    """Check, whatever is raised within, that what is computed next is computed, and right."""
    try:
        yield
    finally:
        assert dispatch.AMBIENT.get() is None
        assert get_backend() is be
        assert type(ops.zeros((2,))) is not Traced
        close(grad(lambda x: ops.sum(x * x))(be.array([1.0, 2.0])), np.array([2.0, 4.0]))


def failing(error, after):
    """Return a function that fails when it is called for the time that `after` counts."""
    calls = []

    def f(x):
        calls.append(x)
        if len(calls) > after:
            raise error
        return ops.sin(x) * 2.0

    return f


@pytest.mark.parametrize("error", [KeyError("mine"), Interrupted("mine"), StopIteration("mine")], ids=repr)
@pytest.mark.parametrize("outer", TRACERS)
@pytest.mark.parametrize("inner", TRACERS)
def test_an_exception_at_any_depth_leaves_no_open_trace(inner, outer, error):
    be = get_backend()
    x = be.array([0.1, 0.2])
    with pytest.raises(type(error), match="mine"), nothing_left_open(be):
        TRACERS[outer](lambda x: ops.sum(TRACERS[inner](failing(error, 0), ops.stack([x, x]))), x)


@pytest.mark.parametrize("name", TRACERS)
def test_an_exception_leaves_no_open_trace_on_any_engine(be, name):
    with pytest.raises(KeyError, match="mine"), nothing_left_open(be):
        TRACERS[name](failing(KeyError("mine"), 0), be.array([0.1, 0.2]))


def test_a_rule_of_ones_own_that_fails_backward_leaves_no_open_trace(be):
    with pytest.raises(KeyError, match="mine"), nothing_left_open(be):
        TRACERS["custom_vjp"](failing(KeyError("mine"), 1), be.array([0.1, 0.2]))


def test_a_compiled_function_that_failed_once_compiles_the_next_time(be):
    fails = [True]

    def f(x):
        if fails.pop():
            raise KeyError("mine")
        return x * 2.0

    run, x = compile(f, be), be.array([1.0, 2.0])
    with pytest.raises(KeyError, match="mine"), nothing_left_open(be):
        run(x)
    fails.append(False)
    close(run(x), np.array([2.0, 4.0]))


def test_an_exception_in_one_thread_is_none_of_anothers():
    traced, failed, found = threading.Event(), threading.Event(), []

    def f(x):
        traced.set()
        failed.wait(10)
        return ops.add(x, ops.ones((2,)))  # created while the other thread's trace has gone

    thread = threading.Thread(target=lambda: found.append(compile(f, "numpy")(np.array([1.0, 2.0]))))
    thread.start()
    traced.wait(10)
    with pytest.raises(KeyError, match="mine"), nothing_left_open(get_backend()):
        compile(failing(KeyError("mine"), 0))(np.array([1.0, 2.0]))
    failed.set()
    thread.join()
    close(found[0], np.array([2.0, 3.0]))


def test_traces_that_a_generator_holds_open_between_its_steps_stay_apart():
    """A generator runs in its caller's context, so its gradients are taken one at a time, each whole."""

    def slopes(x):
        for power in (1, 2, 3):
            yield grad(lambda y, power=power: ops.sum(ops.power(y, power)))(x)

    x = np.array([2.0])
    steps = slopes(x)
    got = [next(steps), compile(lambda x: next(steps) * x)(x), next(steps)]
    close(np.concatenate(got), np.array([1.0, 8.0, 12.0]))
