"""What CfC and LTC share as layers: elapsed times, states, directions, unbatched input, and refusals."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops
from ember_ml.compiler import compile
from ember_ml.nn import LTC, AutoNCPMap, CfC, CfCCell, LTCCell, Module, WiredCfCCell
from ember_ml.nn.modules.rnn import Cell, RecurrentLayer
from ember_ml.tensor import EmberTensor

RNG = np.random.default_rng(7)
BATCH, STEPS, INPUTS, UNITS, OUTPUTS = 3, 5, 4, 9, 2
X = RNG.normal(size=(BATCH, STEPS, INPUTS)).astype("float32")
TIMES = RNG.uniform(0.2, 2.0, size=(BATCH, STEPS)).astype("float32")

KINDS = {
    "wired CfC": lambda **settings: CfC(AutoNCPMap(UNITS, OUTPUTS), input_size=INPUTS, **settings),
    "CfC": lambda **settings: CfC(UNITS, input_size=INPUTS, backbone_units=6, **settings),
    "LTC": lambda **settings: LTC(AutoNCPMap(UNITS, OUTPUTS), input_size=INPUTS, ode_unfolds=2, **settings),
}


@pytest.fixture(params=KINDS)
def make(request):
    return KINDS[request.param]


def host(x):
    return np.asarray(x.data if isinstance(x, EmberTensor) else x)


def looped(layer, be, times=None, state=None, x=X):
    """Return all outputs and the last state, one step of the cell at a time."""
    outputs = []
    for t in range(x.shape[1]):
        elapsed = 1.0 if times is None else be.array(np.ascontiguousarray(times[:, t]))
        y, state = layer.cell(be.array(np.ascontiguousarray(x[:, t])), state, elapsed)
        outputs.append(host(y))
    return np.stack(outputs, 1), host(state)


# Elapsed times


def test_a_layer_is_a_loop_over_its_cell(be, make):
    layer = make(return_sequences=True, return_state=True)
    for times in (None, TIMES):
        output, last = layer(be.array(X), None, None if times is None else be.array(times))
        want, state = looped(layer, be, times)
        close(host(output), want)
        close(host(last), state)


def test_times_may_be_a_number_batch_by_time_with_or_without_an_axis_or_shared(be, make):
    layer = make(return_sequences=True)
    x = be.array(X)
    want, _ = looped(layer, be, TIMES)
    for times in (TIMES, TIMES[..., None], TIMES.astype("float64")):
        close(host(layer(x, time_deltas=be.array(times))), want)
    shared = np.broadcast_to(TIMES[0], TIMES.shape)
    close(host(layer(x, timespans=be.array(TIMES[0]))), looped(layer, be, shared)[0])
    half, _ = looped(layer, be, np.full_like(TIMES, 0.5))
    for times in (
        0.5,
        np.float32(0.5),
        np.float64(0.5),
        be.array(np.float64(0.5)),
        be.array(np.float32(0.5)),
    ):
        close(host(layer(x, None, times)), half)
    double, _ = looped(layer, be, np.full_like(TIMES, 2.0))
    close(host(layer(x, None, 2)), double)
    close(host(layer(x, None, be.array(np.full((BATCH, STEPS), 2)))), double)
    close(host(layer(x)), looped(layer, be)[0])


def test_a_batch_as_large_as_the_number_of_units_is_nothing_special(be, make):
    """Where ncps takes (batch,) times for one time a neuron (its issues 81 to 83)."""
    x, times = np.concatenate([X, 2 * X, -X]), np.concatenate([TIMES, TIMES / 2, 2 * TIMES])
    assert len(x) == UNITS
    layer = make()
    whole = host(layer(be.array(x), time_deltas=be.array(times)))
    for i in (0, 4, 8):
        alone = layer(be.array(x[i : i + 1]), time_deltas=be.array(times[i : i + 1]))
        close(host(alone), whole[i : i + 1])


def test_a_batch_as_large_as_the_number_of_steps_goes_by_batch(be, make):
    x, times = np.concatenate([X, 2 * X[:2]]), np.concatenate([TIMES, TIMES[:2] / 2])
    assert len(x) == STEPS
    layer = make(return_sequences=True)
    close(host(layer(be.array(x), time_deltas=be.array(times))), looped(layer, be, times, x=x)[0])


def test_time_first_means_times_too(be, make):
    layer = make(return_sequences=True, batch_first=False)
    want, _ = looped(layer, be, TIMES)
    output = layer(be.array(X.swapaxes(0, 1).copy()), time_deltas=be.array(TIMES.T.copy()))
    close(host(output).swapaxes(0, 1), want)
    with pytest.raises(ValueError, match=r"as \(time, batch\) = \(5, 3\).*got shape \(3, 5\)"):
        layer(be.array(X.swapaxes(0, 1).copy()), time_deltas=be.array(TIMES))


def test_times_of_another_shape_are_refused_with_the_shapes_that_fit(be, make):
    layer = make()
    name = type(layer).__name__
    for shape in ((BATCH, STEPS + 1), (BATCH,), (BATCH, STEPS, 2), (STEPS, BATCH), (1, BATCH, STEPS, 1)):
        words = rf"{name}: expected elapsed times as a number, as \(batch, time\) = \(3, 5\), the same with"
        with pytest.raises(ValueError, match=words):
            layer(be.array(X), time_deltas=be.array(np.ones(shape, "float32")))


def test_times_that_are_no_numbers_are_refused(be, make):
    layer = make()
    name = type(layer).__name__
    for time in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{name}: expected finite elapsed times, got {time}"):
            layer(be.array(X), time_deltas=time)
    with pytest.raises(
        TypeError, match=f"{name}: expected elapsed times as a number or an array, got a list"
    ):
        layer(be.array(X), time_deltas=[1.0, 2.0])
    with pytest.raises(
        ValueError, match=f"{name}: give time_deltas or timespans, which mean the same, not both"
    ):
        layer(be.array(X), time_deltas=1.0, timespans=1.0)


# States, directions, forms


def test_a_returned_state_continues_the_sequence_exactly(be, make):
    layer = make(return_sequences=True, return_state=True)
    whole, last = layer(be.array(X), None, be.array(TIMES))
    first, state = layer(be.array(X[:, :2].copy()), None, be.array(TIMES[:, :2].copy()))
    second, end = layer(be.array(X[:, 2:].copy()), state, be.array(TIMES[:, 2:].copy()))
    close(np.concatenate([host(first), host(second)], 1), host(whole))
    close(host(end), host(last))


def test_without_sequences_the_last_output_comes_alone(be, make):
    every, last = make(return_sequences=True), make(return_sequences=False)
    last.load_state_dict(every.state_dict())
    close(host(last(be.array(X))), host(every(be.array(X)))[:, -1])
    assert last(be.array(X)).shape == (BATCH, last.cell.output_size)


def test_backwards_is_forwards_on_the_mirrored_sequence(be, make):
    forwards, backwards = make(return_sequences=True), make(return_sequences=True, go_backwards=True)
    backwards.load_state_dict(forwards.state_dict())
    mirrored = forwards(be.array(X[:, ::-1].copy()), None, be.array(TIMES[:, ::-1].copy()))
    close(host(backwards(be.array(X), None, be.array(TIMES))), host(mirrored)[:, ::-1])
    alone = make(return_sequences=False, go_backwards=True)
    alone.load_state_dict(forwards.state_dict())
    close(host(alone(be.array(X), None, be.array(TIMES))), host(mirrored)[:, -1])


def test_one_sequence_needs_no_batch(be, make):
    for sequences in (True, False):
        for batch_first in (True, False):
            layer = make(return_sequences=sequences, return_state=True, batch_first=batch_first)
            x = X[:1] if batch_first else X[:1].swapaxes(0, 1).copy()
            state = np.full((1, UNITS), 0.1, "float32")
            want, want_last = layer(be.array(x), be.array(state), be.array(TIMES[0]))
            output, last = layer(be.array(X[0]), be.array(state[0]), be.array(TIMES[0]))
            close(host(output), host(want).reshape(host(output).shape))
            assert output.shape == (
                (STEPS, layer.cell.output_size) if sequences else (layer.cell.output_size,)
            )
            close(host(last), host(want_last)[0])


def test_gradients_reach_the_first_state(be, make):
    layer = make()
    state = EmberTensor(be.array(np.full((BATCH, UNITS), 0.1, "float32")), requires_grad=True)
    ops.sum(layer(EmberTensor(be.array(X)), state)).backward()
    assert host(state.grad).any()


@pytest.mark.parametrize(
    ("inputs", "weights"), [("float64", "float32"), ("float32", "float64"), ("int32", "float32")]
)
def test_inputs_and_parameters_meet_in_one_dtype(be, make, inputs, weights):
    layer = make(return_state=True).to(dtype=weights)
    x = (X * 3).astype(inputs)
    output, last = layer(be.array(x), be.array(np.zeros((BATCH, UNITS), "float32")), be.array(TIMES))
    want = "float64" if "float64" in (inputs, weights) else "float32"
    assert {str(host(output).dtype), str(host(last).dtype)} == {want}
    close(
        host(output), host(layer.to(dtype="float64")(be.array(x.astype("float64")), None, be.array(TIMES))[0])
    )


def test_the_number_of_inputs_is_that_of_the_first_input(be):
    for layer in (CfC(AutoNCPMap(UNITS, OUTPUTS)), CfC(UNITS), LTC(AutoNCPMap(UNITS, OUTPUTS)), LTC(3)):
        assert not layer.built
        assert list(layer.parameters()) == []
        layer(be.array(X))
        assert layer.built
        assert layer.input_size == layer.cell.input_size == INPUTS
        assert all(be.owns(type(p.data)) for p in layer.parameters())


def test_one_graph_serves_all_calls_of_a_shape(be, make):
    layer = make(return_sequences=True)
    params = {n: p.data for n, p in layer.named_parameters()}
    run = compile(layer)
    for _ in range(2):
        close(host(run(params, be.array(X), None, be.array(TIMES))), looped(layer, be, TIMES)[0])
    assert len(run.graphs) == 1


# Refusals


def test_wrong_shapes_name_the_layer_and_what_is_wanted(be, make):
    layer = make()
    name = type(layer).__name__
    cases = [
        ((X[..., :3], None), rf"{name}: expected inputs of 4 features in the last axis, got shape \("),
        (
            (X[0, 0], None),
            rf"{name}: expected inputs \(batch, time, features\) or \(time, features\), got shape \(4,\)",
        ),
        ((X[None], None), rf"{name}: expected inputs .* got shape \(1, 3, 5, 4\)"),
        (
            (X, np.zeros((BATCH, 4))),
            rf"{name}: expected an initial state \(batch, units\) = \(3, 9\), got shape \(3, 4\)",
        ),
        ((X, np.zeros((1, UNITS))), rf"{name}: expected an initial state .* got shape \(1, 9\)"),
    ]
    for (x, state), words in cases:
        with pytest.raises(ValueError, match=words):
            layer(be.array(np.ascontiguousarray(x)), None if state is None else be.array(state))


@pytest.mark.parametrize(
    "cell",
    [
        lambda: CfCCell(INPUTS, UNITS),
        lambda: WiredCfCCell(AutoNCPMap(UNITS, OUTPUTS), input_size=INPUTS),
        lambda: LTCCell(AutoNCPMap(UNITS, OUTPUTS), input_size=INPUTS),
    ],
)
def test_a_cell_refuses_wrong_shapes_too(be, cell):
    cell = cell()
    name = type(cell).__name__
    with pytest.raises(
        ValueError, match=rf"{name}: expected inputs of 4 features in the last axis, got shape \(3, 2\)"
    ):
        cell(be.array(X[:, 0, :2].copy()))
    with pytest.raises(
        ValueError, match=rf"{name}: expected inputs \(batch, features\), got shape \(3, 5, 4\)"
    ):
        cell(be.array(X))
    with pytest.raises(
        ValueError, match=rf"{name}: expected the time elapsed as a number, \(3,\) or \(3, 1\), got"
    ):
        cell(be.array(X[:, 0].copy()), elapsed=be.array(np.ones(UNITS, "float32")))


# A cell of one's own


class Leaky(Cell):
    """h' = h + (1 - e**-t) (x - h), by a body that knows nothing of layers."""

    def __init__(self, size):
        self.input_size = self.units = self.output_size = size

    def project(self, x, elapsed):
        share = 1.0 - ops.exp(-elapsed) if getattr(elapsed, "shape", ()) else 1.0 - np.exp(-elapsed)
        return {"x": x, "share": ops.ones_like(x) * share}

    def step(self, state, row):
        state = state + row["share"] * (row["x"] - state)
        return state, state


class LeakyLayer(RecurrentLayer):
    def __init__(self, size):
        self.cell, self.return_sequences, self.return_state = Leaky(size), True, False
        self.go_backwards, self.batch_first, self.built = False, True, True


def test_a_layer_of_ones_own_needs_a_cell_alone(be):
    output = host(LeakyLayer(INPUTS)(be.array(X), None, be.array(TIMES)))
    h = np.zeros((BATCH, INPUTS))
    for t in range(STEPS):
        h = h + (1 - np.exp(-TIMES[:, t : t + 1])) * (X[:, t] - h)
        close(output[:, t], h.astype("float32"))
    assert issubclass(LeakyLayer, Module)
