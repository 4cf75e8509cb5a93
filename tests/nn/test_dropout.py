"""Dropout: what it keeps, when it acts, and where its masks come from."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile
from ember_ml.nn import Dense, Dropout, Module, Sequential, functional_call
from ember_ml.tensor import EmberTensor, set_seed

ONES = np.ones((200, 200), "float32")


def host(x):
    return np.asarray(x)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_it_keeps_the_expectation(be, rate):
    set_seed(0)
    out = host(Dropout(rate)(be.array(ONES)))
    kept = out != 0
    close(out[kept], 1 / (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / ONES.size)


def test_every_call_draws_a_fresh_mask(be):
    layer = Dropout(0.5)
    assert (host(layer(be.array(ONES))) != host(layer(be.array(ONES)))).any()


def test_every_call_of_a_compiled_function_draws_a_fresh_mask(be):
    module = Dropout(0.5)
    run, x = compile(lambda x: module(x)), be.array(ONES)
    first, second = host(run(x)), host(run(x))
    assert set(np.unique(first)) == {0.0, 2.0}
    assert (first != second).any()
    assert len(run.graphs) == 1


def test_every_step_of_a_loop_draws_a_fresh_mask(be):
    layer = Dropout(0.5)
    _, rows = ops.scan(lambda c, x: (c, layer(x)), be.array(np.float32(0)), be.array(ONES[:4]))
    rows = host(rows)
    assert all((rows[i] != rows[j]).any() for i in range(4) for j in range(i))


def test_under_a_key_every_step_of_a_loop_draws_a_fresh_mask_too(be):
    class Steps(Module):
        def __init__(self):
            self.drop = Dropout(0.5)

        def forward(self, x):
            return ops.map(self.drop, x)

    x = be.array(ONES[:4])
    rows = host(functional_call(Steps(), {}, x, key=ops.key(3, like=x))[0])
    assert all((rows[i] != rows[j]).any() for i in range(4) for j in range(i))


def test_it_is_off_in_eval_and_at_rate_0(be):
    net = Sequential(Dropout(0.5), Dropout(0.0)).eval()
    np.testing.assert_array_equal(host(net(be.array(ONES))), ONES)
    np.testing.assert_array_equal(host(Dropout(0.0)(be.array(ONES))), ONES)
    assert (host(net.train()(be.array(ONES))) == 0).any()


def test_a_compiled_module_follows_its_mode(be):
    net, x = Sequential(Dropout(0.5)), be.array(ONES)
    run = compile(net)
    assert (host(run({}, x)) == 0).any()
    net.eval()
    np.testing.assert_array_equal(host(run({}, x)), ONES)


def test_the_training_argument_overrides_the_mode(be):
    layer = Dropout(0.5)
    np.testing.assert_array_equal(host(layer(be.array(ONES), training=False)), ONES)
    assert (host(layer.eval()(be.array(ONES), training=True)) == 0).any()


def test_a_seed_brings_the_masks_back(be):
    net, x = Sequential(Dropout(0.5), Dropout(0.5, seed=3)), be.array(ONES)
    run = compile(lambda x: net(x))
    set_seed(5)
    first = [host(net(x)), host(run(x)), host(net(x))]
    set_seed(5)
    for again, want in zip([host(net(x)), host(run(x)), host(net(x))], first, strict=True):
        np.testing.assert_array_equal(again, want)


def test_masks_agree_on_every_engine(be):
    from ember_ml.backend import use_backend

    set_seed(2)
    mine = host(Dropout(0.3)(be.array(ONES)))
    with use_backend("numpy"):
        set_seed(2)
        np.testing.assert_array_equal(mine, Dropout(0.3)(ONES))


def test_layers_of_different_seeds_differ(be):
    x = be.array(ONES)
    set_seed(1)
    one = host(Dropout(0.5, seed=1)(x))
    set_seed(1)
    assert (host(Dropout(0.5, seed=2)(x)) != one).any()


def test_gradients_pass_where_values_pass(be):
    x = EmberTensor(be.array(ONES), requires_grad=True)
    out = Dropout(0.5)(x)
    ops.sum(out).backward()
    np.testing.assert_array_equal(host(x.grad), host(out))


def test_what_is_dropped_is_zero_even_where_it_was_not_finite(be):
    out = host(Dropout(0.5)(be.array(np.full((50, 50), np.inf, "float32"))))
    assert set(np.unique(out)) == {0.0, np.inf}


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match=r"Dropout: rate must be in \[0, 1\), got"):
        Dropout(rate)


def test_it_trains_inside_a_network(be):
    net = Sequential(Dense(200, 3), Dropout(0.5))
    ops.sum(net(EmberTensor(be.array(ONES)))).backward()
    assert host(net[0].kernel.grad).any()


def test_its_compiled_program_is_short():
    """Folding a key is arithmetic on two numbers, done on the host and not by a hundred lines on arrays."""
    run = compile(Dropout(0.5))
    run({}, ONES)
    assert len(run.source.splitlines()) < 15
