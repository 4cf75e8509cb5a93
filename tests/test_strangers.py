"""A stranger's engine and a stranger's layer, each in one file, held to what ours are held to."""

import re

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, ops, tensor
from ember_ml.cli.check import check
from ember_ml.cli.laws import LAWS, all_cases, native
from ember_ml.cli.samples import call, sample
from ember_ml.compiler import compile, grad, value_and_grad
from ember_ml.core import TABLE, dispatch, tree
from fixtures.lists_backend import LISTS, ListArray, ListsBackend

# An engine that computes with lists

OWN = sorted(name for name, op in TABLE.items() if op.body is None and hasattr(LISTS, name))
CASES = [case for case in all_cases() if case.op.name in (*OWN, "getitem", "stop_gradient")]
TRUTHS = pytest.mark.xfail(raises=TypeError, strict=True, reason="the law of gradients multiplies truths")
RULES = [
    pytest.param(
        law, case, id=f"{case}-{law}", marks=[TRUTHS] if str(case)[:8] + law == "astype-1gradients" else []
    )
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


TRANSLATED = pytest.mark.xfail(
    raises=AttributeError,
    strict=True,
    reason="what Standard translates ends in the namespace's AttributeError",
)


@pytest.mark.parametrize(
    "name",
    [
        *("sin", "isnan", "flip", "cosh", "any"),
        *(
            pytest.param(name, marks=TRANSLATED)
            for name in ("cumulative_sum", "floor_divide", "sort", "prod")
        ),
    ],
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
