"""One compiled training step of a liquid network: the same on every engine."""

import numpy as np
import pytest

from ember_ml import ops
from ember_ml.backend import use_backend
from ember_ml.compiler import compile, value_and_grad
from ember_ml.nn import LTC, AutoNCPMap, CfC, functional_call
from ember_ml.tensor import set_seed
from ember_ml.training.optimizer import SGD

RNG = np.random.default_rng(9)
X = RNG.normal(size=(16, 12, 3)).astype("float32")
TIMES = RNG.uniform(0.5, 2.0, size=(16, 12)).astype("float32")
Y = np.cumsum(X, axis=1)[..., :2].astype("float32") / 4
STEPS = 10


def losses(be, kind):
    """Return the losses of some steps of training from the same seed."""
    set_seed(1)
    layer = kind(AutoNCPMap(14, 2, seed=2), return_sequences=True, input_size=3)
    optimizer = SGD(learning_rate=0.1)

    @compile
    def step(params, state, x, times, y):
        def objective(params):
            return ops.mean(ops.square(functional_call(layer, params, x, None, times)[0] - y))

        loss, slopes = value_and_grad(objective)(params)
        return loss, *optimizer.update(params, slopes, state)

    params = {n: p.data for n, p in layer.named_parameters()}
    state, found, data = optimizer.init(params), [], [be.array(a) for a in (X, TIMES, Y)]
    for _ in range(STEPS):
        loss, params, state = step(params, state, *data)
        found.append(float(np.asarray(loss)))
    return found


@pytest.fixture(scope="module")
def of_numpy():
    with use_backend("numpy") as be:
        return {kind: losses(be, kind) for kind in (CfC, LTC)}


@pytest.mark.parametrize("kind", [CfC, LTC])
def test_losses_agree_on_every_engine_and_fall(be, of_numpy, kind):
    found = losses(be, kind)
    np.testing.assert_allclose(found, of_numpy[kind], rtol=1e-5)
    assert found[-1] < 0.95 * found[0]
