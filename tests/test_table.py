"""The laws of `ember_ml.cli.laws`: for every op of the table, on every engine installed here."""

import pytest

from conftest import ENGINES
from ember_ml.backend import use_backend
from ember_ml.cli import laws
from ember_ml.cli.laws import Case
from samples import cases

CASES = cases()
IDS = [f"{op.name}-{i}" for op, i in CASES]


@pytest.fixture(params=CASES, ids=IDS)
def case(request):
    return request.param


def hold(law, be, case, dtype):
    if reason := law(be, Case(*case, dtype)):
        pytest.skip(reason)


def test_value_agrees_with_numpy(case, be, dtype):
    hold(laws.value_agrees_with_numpy, be, case, dtype)


def test_shape_and_dtype_rules_tell_the_truth(case, be, dtype):
    hold(laws.rules_tell_the_truth, be, case, dtype)


def test_inputs_are_not_mutated(case, be):
    hold(laws.arguments_are_not_changed, be, case, "float32")


def test_gradient_agrees_with_finite_differences(case, be):
    hold(laws.gradient_agrees_with_finite_differences, be, case, "float64")


# Compilers take most of the time of all tests, and a second dtype shows little: it is NumPy's to show.
@pytest.mark.parametrize(
    ("engine", "dtype"), [*((name, "float32") for name in ENGINES), ("numpy", "float64")]
)
def test_compiled_equals_eager(case, engine, dtype):
    with use_backend(engine) as be:
        hold(laws.compiled_equals_eager, be, case, dtype)


# Rules of batching are written in ops, so what one engine shows of them holds for all; others compute a few.
@pytest.mark.parametrize(
    ("case", "engine"),
    [
        pytest.param(case, engine, id=f"{name}-{engine}")
        for i, (case, name) in enumerate(zip(CASES, IDS, strict=True))
        for engine in (ENGINES if i % 10 == 0 else ENGINES[:1])
    ],
)
def test_many_at_once_equal_one_by_one(case, engine):
    with use_backend(engine) as be:
        hold(laws.batched_equals_stacked, be, case, "float32")
