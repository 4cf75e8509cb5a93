"""A stranger's engine, layer and pass, each in one file, held to what ours are held to."""

import importlib
import re

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, ops, tensor
from ember_ml.cli.check import check
from ember_ml.cli.laws import LAWS, all_cases, native
from ember_ml.cli.samples import call, sample
from ember_ml.compiler import compile, grad, passes, value_and_grad
from ember_ml.core import TABLE, dispatch, tree
from ember_ml.nn import Linear, Model, Parameter, Sequential, load, save
from ember_ml.tensor import EmberTensor
from ember_ml.training import Adam, Trainer
from fixtures.lists_backend import LISTS, ListArray, ListsBackend
from fixtures.zoneout import ZoneoutRNN

# An engine that computes with lists

OWN = sorted(name for name, op in TABLE.items() if op.body is None and hasattr(LISTS, name))
CASES = [case for case in all_cases() if case.op.name in (*OWN, "getitem", "stop_gradient")]
RULES = [
    pytest.param(law, case, id=f"{case}-{law}")
    for case in CASES
    for law in LAWS
    if (law != "gradients" or case.dtype == "float64") and law != "arguments unchanged"  # see below
]
CORNERED = ["divide", "power", "exp", "log", "sqrt", "tanh", "logaddexp", "maximum", "minimum", "sign"]
RNG = np.random.default_rng(0)


@pytest.fixture
def lists():
    """The engine, registered and active while the test runs."""
    backend.register_backend("lists", ListsBackend)
    try:
        with backend.use_backend("lists") as chosen:
            yield chosen
    finally:
        backend.unregister_backend("lists")


@pytest.mark.parametrize(("law", "case"), RULES)
def test_every_op_of_an_engine_of_lists_keeps_the_laws(lists, law, case):
    if reason := LAWS[law](lists, case):
        pytest.skip(reason)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ops_leave_lists_as_they_are(lists, case):
    """That law believes an engine which says that its arrays do not change; here it is looked at."""
    args, settings = sample(*case)
    given = native(lists, args)
    before = [list(x.values) for x in tree.leaves(given)]
    call(case.op, given, settings)
    assert [x.values for x in tree.leaves(given)] == before


def test_the_command_holds_it_to_the_laws_too(capsys):
    assert check("fixtures.lists_backend:ListsBackend", ["tanh", "matmul", "softplus", "mse", "softmax"])
    assert "keeps every law" in capsys.readouterr().out
    assert "lists" not in backend.available_backends()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy says what the lists answer in silence
@pytest.mark.parametrize("name", CORNERED)
def test_lists_answer_at_the_corners_as_ieee_754_does(lists, name, dtype):
    edges = np.array([0.0, -0.0, 1.0, -1.0, 1e3, -1e3, np.inf, -np.inf, np.nan], dtype)
    args = [edges] if len(TABLE[name].arrays) == 1 else [edges[:, None], edges]
    want = getattr(np, name)(*args)
    close(lists.to_numpy(TABLE[name](*map(lists.array, args))), want, dtype)


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "silu", "softmax", "log_softmax", "mean", "var"])
def test_composites_need_no_line_of_the_engine(lists, name):
    function, x = getattr(ops, name), RNG.normal(size=(3, 4))
    weighed = lambda w: lambda x: ops.sum(ops.multiply(function(x), w))
    w = RNG.normal(size=np.shape(function(x)))
    given, weight = lists.array(x), lists.array(w)
    close(lists.to_numpy(function(given)), function(x), "float64")
    close(lists.to_numpy(grad(weighed(weight))(given)), grad(weighed(w))(x), "float64")
    close(lists.to_numpy(compile(function)(given)), function(x), "float64")


def loss(params, x, y):
    hidden = ops.tanh(ops.add(ops.matmul(x, params["w"]), params["b"]))
    return ops.mse(y, ops.matmul(hidden, params["v"]))


def test_a_network_learns_on_lists_as_on_numpy_by_a_program_of_calls_to_lists(lists):
    params = {name: RNG.normal(size=s) for name, s in {"w": (3, 4), "b": (4,), "v": (4, 1)}.items()}
    x, y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 1))
    step, wanted = compile(value_and_grad(loss)), compile(value_and_grad(loss))
    own = {name: lists.array(p) for name, p in params.items()}
    for _ in range(3):
        value, slopes = step(own, lists.array(x), lists.array(y))
        want, want_slopes = wanted(params, x, y)
        assert type(value) is ListArray
        close(lists.to_numpy(value), want, "float64")
        for name in params:
            close(lists.to_numpy(slopes[name]), want_slopes[name], "float64")
        own = {n: ops.subtract(p, ops.multiply(slopes[n], 0.1)) for n, p in own.items()}
        params = {n: p - 0.1 * want_slopes[n] for n, p in params.items()}
    assert re.search(r"tanh_1 = tanh\(\w+\)  # float64 \(6, 4\)", step.source)


def test_a_loop_runs_on_lists(lists):
    x = RNG.normal(size=(5, 2))
    run = lambda x: ops.scan(lambda c, row: (ops.tanh(ops.add(c, row)),) * 2, x[0], x)[1]
    summed = lambda x: ops.sum(run(x))
    close(lists.to_numpy(compile(run)(lists.array(x))), run(x), "float64")
    close(lists.to_numpy(grad(summed)(lists.array(x))), grad(summed)(x), "float64")


def test_tensors_wrap_lists(lists):
    x = tensor.array([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert (x.backend, x.dtype, type(x.data)) == ("lists", "float32", ListArray)
    assert (x @ x.mT + 1).tolist() == [[6.0, 12.0], [12.0, 26.0]]
    assert x[:, -1].tolist() == [2.0, 4.0]
    assert float(x[0, 1]) == 2.0
    assert repr(x)
    ops.sum(x**2 / 2).backward()
    assert x.grad.tolist() == x.tolist()
    other = tensor.array(x.data)
    other[0] = 7.0
    assert (other.tolist(), x[0].tolist()) == ([[7.0, 7.0], [3.0, 4.0]], [1.0, 2.0])
    moved = tensor.to_backend(other, "numpy")
    np.testing.assert_array_equal(moved, [[7, 7], [3, 4]])
    assert type(tensor.to_backend(np.ones(2), "lists")) is ListArray


@pytest.mark.parametrize(
    "name", ["sin", "isnan", "cosh", "any", "cumulative_sum", "floor_divide", "sort", "prod"]
)
def test_what_an_engine_of_lists_lacks_it_says(lists, name):
    x = lists.array([0.5, 1.0])
    args = (x, x) if len(TABLE[name].arrays) == 2 else (x,)
    words = f"{name} on lists: the engine has no such function"
    with pytest.raises(NotImplementedError, match=words):
        TABLE[name](*args)


def test_an_engine_of_lists_goes_without_a_trace():
    owners = {type_: owner for type_, owner in dispatch.OWNERS.items() if owner is None or owner.level}
    backend.register_backend("lists", ListsBackend)
    with backend.use_backend("lists") as lists:
        x = lists.array([1.0])
        ops.tanh(x)
    backend.unregister_backend("lists")
    assert "lists" not in backend.available_backends()
    with pytest.raises(ValueError, match="unknown backend 'lists'"):
        backend.get_backend("lists")
    with pytest.raises(TypeError, match=r"tanh: expected arrays, got fixtures\.lists_backend\.ListArray"):
        ops.tanh(x)
    assert {
        type_: owner for type_, owner in dispatch.OWNERS.items() if owner is None or owner.level
    } == owners
    close(ops.tanh(np.ones(2)), np.tanh(np.ones(2)), "float64")


# A layer with a state and with chance

BATCH, STEPS, FEATURES, UNITS = 3, 6, 2, 5
X = RNG.normal(size=(BATCH, STEPS, FEATURES)).astype("float32")
WEIGHTS = {
    "input_kernel": RNG.normal(size=(FEATURES, UNITS)).astype("float32"),
    "recurrent_kernel": RNG.normal(size=(UNITS, UNITS)).astype("float32") / 2,
    "bias": RNG.normal(size=UNITS).astype("float32"),
}


@pytest.fixture
def made(be):
    """Make a layer with the weights above."""

    def make(zoneout, **settings):
        layer = ZoneoutRNN(UNITS, zoneout, **settings)
        layer.ensure_built(be.array(X))
        layer.load_state_dict({name: be.array(w) for name, w in WEIGHTS.items()})
        return layer

    return make


def looped(keeps, first=None):
    """Compute the states (batch, time, units) by a loop, given how much of the last each step keeps."""
    h = np.zeros((BATCH, UNITS)) if first is None else first
    w, u, b = (WEIGHTS[name].astype("float64") for name in ("input_kernel", "recurrent_kernel", "bias"))
    states = []
    for t in range(STEPS):
        keep = keeps if np.isscalar(keeps) else keeps[:, t]
        h = keep * h + (1 - keep) * np.tanh(X[:, t] @ w + h @ u + b)
        states.append(h)
    return np.stack(states, 1).astype("float32")


def kept(be, states, first=0.0):
    """Return which units kept their state in each step (batch, time, units)."""
    states = be.to_numpy(states)
    before = np.concatenate([np.full_like(states[:, :1], first), states[:, :-1]], 1)
    return states == before


def test_without_zoneout_it_is_a_plain_recurrent_network(be, made):
    close(be.to_numpy(made(0.0)(be.array(X))), looped(0))
    close(be.to_numpy(made(0.0).eval()(be.array(X))), looped(0))


def test_with_all_zoned_out_the_state_stays(be, made):
    first = RNG.normal(size=(BATCH, UNITS)).astype("float32")
    for layer in (made(1.0, return_state=True), made(1.0, return_state=True).eval()):
        states, last = layer(be.array(X), be.array(first))
        np.testing.assert_array_equal(be.to_numpy(states), np.broadcast_to(first[:, None], states.shape))
        np.testing.assert_array_equal(be.to_numpy(last), first)


def test_in_evaluation_a_step_is_the_expectation_of_training(be, made):
    first = RNG.normal(size=(BATCH, UNITS)).astype("float32")
    close(be.to_numpy(made(0.3).eval()(be.array(X), be.array(first))), looped(0.3, first))
    many = 4000
    x, state = np.repeat(X[:1, :1], many, 0), np.repeat(first[:1], many, 0)
    one_step = made(0.3, return_sequences=False)
    mean = be.to_numpy(one_step(be.array(x), be.array(state))).mean(0)
    want = be.to_numpy(one_step.eval()(be.array(x[:1]), be.array(state[:1])))[0]
    gap = np.abs(
        first[0] - np.tanh(X[0, 0] @ WEIGHTS["input_kernel"] + first[0] @ WEIGHTS["recurrent_kernel"])
    )
    assert (np.abs(mean - want) < 5 * np.maximum(gap, 2) * np.sqrt(0.3 * 0.7 / many)).all()


def test_in_training_each_unit_keeps_its_state_or_is_new(be, made):
    states = made(0.4)(be.array(X))
    masks = kept(be, states)
    assert 0 < masks.mean() < 1
    close(be.to_numpy(states), looped(masks))


def test_masks_are_fresh_in_each_step_and_each_call_of_a_compiled_step(be, made):
    layer = made(0.5)
    params = layer.state_dict()
    step = compile(value_and_grad(lambda p, x: ops.sum(ops.square(layer.functional(p, x)))), be)
    run = compile(layer, be)
    first, second = (kept(be, run(params, be.array(X))) for _ in range(2))
    assert (first != second).any()
    assert all((first[:, s] != first[:, t]).any() for t in range(STEPS) for s in range(t))
    assert len(run.graphs) == 1
    losses = {float(step(params, be.array(X))[0]) for _ in range(4)}
    assert len(losses) == 4
    assert len(step.graphs) == 1


def test_the_same_seed_gives_the_same_masks_on_every_engine(be):
    def drawn(engine):
        with backend.use_backend(engine) as chosen:
            layer = ZoneoutRNN(UNITS, 0.4)
            layer.ensure_built(chosen.array(X))
            layer.load_state_dict({name: chosen.array(w) for name, w in WEIGHTS.items()})
            run = compile(layer, chosen)
            ops.set_seed(11)
            once = layer(chosen.array(X)), run(layer.state_dict(), chosen.array(X))
            return [chosen.to_numpy(states) for states in once]

    for mine, numpys in zip(drawn(be), drawn("numpy"), strict=True):
        close(mine, numpys)
        close(mine, looped(kept(backend.get_backend("numpy"), mine)))


def test_gradients_in_evaluation_are_slopes(be, made):
    layer, w = made(0.3).eval().to(dtype="float64"), RNG.normal(size=(BATCH, STEPS, UNITS))
    params, x = layer.state_dict(), X.astype("float64")

    @compile
    def loss(params, x, state):
        return ops.sum(ops.multiply(layer.functional(params, x, state), be.array(w)))

    first = np.full((BATCH, UNITS), 0.2)
    given = [{n: be.to_numpy(p) for n, p in params.items()}, x, first]
    slopes = tree.leaves(grad(loss, (0, 1, 2))(*tree.map(be.array, given)))
    leaves, structure = tree.flatten(given)
    for k, (leaf, got) in enumerate(zip(leaves, slopes, strict=True)):
        for place in list(np.ndindex(leaf.shape))[:6]:
            moved = []
            for step in (1e-6, -1e-6):
                others = [np.array(each) for each in leaves]
                others[k][place] += step
                moved.append(float(loss(*tree.map(be.array, tree.unflatten(structure, others)))))
            want = (moved[0] - moved[1]) / 2e-6
            # as in the laws: central differences are good to about 1e-9, MLX's float64 functions to 1e-6
            close(be.to_numpy(got)[place], want, "float64", rtol=1e-5, atol=1e-6 if be != "mlx" else 1e-3)


def test_in_training_no_gradient_goes_through_what_is_zoned_out(be, made):
    layer, params = made(1.0), {n: be.array(w) for n, w in WEIGHTS.items()}
    slopes = compile(grad(lambda p, x: ops.sum(layer.functional(p, x))), be)(params, be.array(X))
    for name in WEIGHTS:
        assert not be.to_numpy(slopes[name]).any()
    state = EmberTensor(be.array(np.full((BATCH, UNITS), 0.2, "float32")), requires_grad=True)
    ops.sum(layer(EmberTensor(be.array(X)), state)).backward()
    np.testing.assert_array_equal(be.to_numpy(state.grad.data), np.full((BATCH, UNITS), float(STEPS)))


def network():
    return Sequential(ZoneoutRNN(8, 0.1, return_sequences=False), Linear(dimension=1))


def test_it_trains_to_the_same_numbers_on_every_engine(be):
    x = RNG.normal(size=(64, 5, 2)).astype("float32")
    y = np.tanh(x[:, :, :1].sum(1))

    def trained(engine):
        ops.set_seed(2)
        with backend.use_backend(engine) as chosen:
            trainer = Trainer(network(), Adam(learning_rate=0.02), seed=4)
            before = trainer.evaluate((x, y))
            first = chosen.to_numpy(trainer.module[0].recurrent_kernel.data)
            trainer.fit((x, y), epochs=6, batch_size=16)
            moved = np.abs(chosen.to_numpy(trainer.module[0].recurrent_kernel.data) - first)
            return before, trainer.evaluate((x, y)), moved

    before, after, moved = trained(be)
    assert after < 0.5 * before
    assert moved.min() > 0
    if be != "numpy":
        close(after, trained("numpy")[1], rtol=1e-3)  # 24 steps of Adam, each of which carries roundings on


def test_its_state_dict_and_its_file_bring_it_back(be, made, tmp_path):
    layer, other = made(0.3), ZoneoutRNN(UNITS, 0.3)
    other.ensure_built(be.array(X))
    other.load_state_dict(layer.state_dict())
    assert sorted(layer.state_dict()) == sorted(WEIGHTS)
    want = be.to_numpy(layer.eval()(be.array(X)))
    np.testing.assert_array_equal(be.to_numpy(other.eval()(be.array(X))), want)
    save(Sequential(layer), tmp_path / "layer.safetensors")
    again = load(tmp_path / "layer.safetensors").eval()
    assert repr(again[0]) == "ZoneoutRNN(units=5, zoneout=0.3, return_sequences=True, return_state=False)"
    np.testing.assert_array_equal(be.to_numpy(again(be.array(X))), want)


def test_it_stands_in_a_model(be, made):
    class Reader(Model):
        def __init__(self):
            super().__init__()
            self |= made(0.3).eval()(input="x", output="h")

    model = Reader()
    want = looped(0.3)
    close(be.to_numpy(model(be.array(X))), want)
    compiled = compile(model, be)
    close(be.to_numpy(compiled.evaluate(model.state_dict(), {"x": be.array(X)})["h"]), want)


def test_what_does_not_fit_it_names(be, made):
    layer = made(0.3)
    with pytest.raises(ValueError, match=r"ZoneoutRNN: zoneout must be in \[0, 1\], got 1\.5"):
        ZoneoutRNN(UNITS, 1.5)
    with pytest.raises(
        ValueError, match=r"ZoneoutRNN: expected inputs \(batch, time, 2\), got shape \(3, 6\)"
    ):
        layer(be.array(X[..., 0].copy()))
    with pytest.raises(ValueError, match=r"ZoneoutRNN: expected a state of shape \(3, 5\), got \(5,\)"):
        layer(be.array(X), be.array(np.zeros(UNITS, "float32")))


def test_one_strangers_layer_runs_on_anothers_engine(lists):
    layer = ZoneoutRNN(UNITS, 0.3).eval()
    layer.input_kernel, layer.recurrent_kernel, layer.bias = (
        Parameter(lists.array(w)) for w in WEIGHTS.values()
    )
    layer.built = True
    given = layer.state_dict(), lists.array(X)
    close(lists.to_numpy(layer(given[1])), looped(0.3))
    close(lists.to_numpy(compile(layer)(*given)), looped(0.3))
    slopes = compile(grad(lambda p, x: ops.sum(layer.functional(p, x))))(*given)
    with backend.use_backend("numpy"):
        want = grad(lambda p, x: ops.sum(layer.functional(p, x)))(WEIGHTS, X)
    for name in WEIGHTS:
        close(lists.to_numpy(slopes[name]), want[name])


# A pass of the compiler


@pytest.fixture
def division(monkeypatch):
    """The stranger's rules, asked while the test runs."""
    known = {name: {op: list(several) for op, several in of.items()} for name, of in passes.RULES.items()}
    monkeypatch.setattr(passes, "RULES", known)
    importlib.reload(importlib.import_module("fixtures.division"))


def steps_of(f, x, **settings):
    compiled = compile(f, **settings)
    compiled(x)
    return [step.op.name for step in compiled.graphs[0].steps]


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
@pytest.mark.parametrize("divisor", [1, 2, 8, 64])
def test_integers_are_divided_by_a_power_of_two_without_division(be, division, dtype, divisor):
    x = np.array([-128, -64, -9, -8, -7, -1, 0, 1, 7, 8, 9, 63, 64, 127]).astype(dtype)
    both = compile(lambda x: (ops.floor_divide(x, divisor), ops.remainder(x, divisor)))
    quotient, rest = both(be.array(x))
    np.testing.assert_array_equal(be.to_numpy(quotient), x // divisor)
    np.testing.assert_array_equal(be.to_numpy(rest), x % divisor)
    assert {step.op.name for step in both.graphs[0].steps} <= {"bitwise_right_shift", "bitwise_and", "astype"}


def test_a_rule_answers_only_where_it_holds(division):
    x = np.arange(-5, 6)
    assert steps_of(lambda x: x // 8, x) == ["bitwise_right_shift"]
    for f, given in [(lambda x: x // 6, x), (lambda x: x // -8, x), (lambda x: x // 8, x * 1.0)]:
        assert steps_of(f, given) == ["floor_divide"]


def test_a_rule_is_left_out_with_its_pass(division):
    assert steps_of(lambda x: x % 8, np.arange(5), without=("strength",)) == ["remainder"]
