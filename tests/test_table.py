"""The laws of `ember_ml.cli.laws`: for every op of the table, on every engine installed here.

JAX and MLX take up to a second for each graph that they compile: there, many ops share one, and a law that
is broken names the ops that break it.
"""

import numpy as np
import pytest

from conftest import ENGINES, close
from ember_ml.backend import get_backend, use_backend
from ember_ml.cli import laws
from ember_ml.cli.laws import Case
from ember_ml.cli.samples import DATA_DEPENDENT, cases, sample
from ember_ml.compiler import compile, grad
from ember_ml.core import tree

CASES = cases()
NAMES = {case: f"{case[0].name}-{case[1]}" for case in CASES}
TENTH = CASES[::10]
QUICK = [name for name in ENGINES if name in ("numpy", "torch")]
TOGETHER = 16


def each(choices):
    """Parametrise a test by cases, an engine with each, and what else there is."""
    return [pytest.param(case, *others, id="-".join((NAMES[case], *others))) for case, *others in choices]


def chunks(chosen):
    """Return the cases that share a graph."""
    starts = range(0, len(chosen), TOGETHER)
    return [
        pytest.param(part := chosen[i : i + TOGETHER], id=f"{NAMES[part[0]]}..{NAMES[part[-1]]}")
        for i in starts
    ]


def hold(law, be, case, dtype):
    if reason := law(be, Case(*case, dtype)):
        pytest.skip(reason)


def draws_floats(case):
    """Whether a second dtype makes another case of this one."""
    args, _ = sample(*case, "float64")
    return case[0].creates or any(str(a.dtype) in ("float64", "complex128") for a in tree.leaves(args))


def has_slope(case):
    return laws.smooth(case[0], sample(*case, "float64")[0])


WIDE = [case for case in CASES if draws_floats(case)]
SLOPED = [case for case in CASES if has_slope(case)]
# JAX compiles for each dtype anew, hence float64 for some here, and for all in one graph below.
VALUES = [(case, engine, "float32") for case in CASES for engine in ENGINES] + [
    (case, engine, "float64") for case in WIDE for engine in ENGINES if engine != "jax" or case in TENTH
]


@pytest.mark.parametrize(("case", "engine", "dtype"), each(VALUES))
def test_value_agrees_with_numpy_and_rules_tell_the_truth(case, engine, dtype):
    with use_backend(engine) as be:
        if engine != "numpy":  # which is the measure
            hold(laws.value_agrees_with_numpy, be, case, dtype)
        hold(laws.rules_tell_the_truth, be, case, dtype)


@pytest.mark.parametrize("engine", [name for name in ENGINES if get_backend(name).mutable])
@pytest.mark.parametrize("case", CASES, ids=NAMES.values())
def test_inputs_are_not_mutated(case, engine):
    with use_backend(engine) as be:
        hold(laws.arguments_are_not_changed, be, case, "float32")


# What is differentiated in one graph on JAX, below: a graph needs shapes, and truths have no slope to weigh.
GRAPHED = [
    case
    for case in SLOPED
    if case[0].name not in DATA_DEPENDENT
    and all(w.dtype.kind in "fc" for w in laws.value_on_numpy(Case(*case, "float64")))
]
SLOPES = [
    (case, name)
    for case in SLOPED
    for name in ENGINES
    if name != "jax" or case in TENTH or case not in GRAPHED
]


@pytest.mark.parametrize(("case", "engine"), each(SLOPES))
def test_gradient_agrees_with_finite_differences(case, engine):
    with use_backend(engine) as be:
        hold(laws.gradient_agrees_with_finite_differences, be, case, "float64")


@pytest.mark.parametrize(
    ("case", "engine", "dtype"),
    each([*((c, e, "float32") for c in CASES for e in QUICK), *((c, "numpy", "float64") for c in WIDE)]),
)
def test_compiled_equals_eager(case, engine, dtype):
    with use_backend(engine) as be:
        hold(laws.compiled_equals_eager, be, case, dtype)


def engine(name):
    """Return the name of an engine, if it is installed."""
    return name if name in ENGINES else pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("chunk", chunks(CASES))
def test_compiled_equals_eager_on_jax(chunk):
    with use_backend(engine("jax")) as be:
        laws.compiled_together(be, [Case(*case, "float32") for case in chunk])


@pytest.mark.parametrize("chunk", chunks(WIDE))
def test_compiled_float64_on_jax_is_numpys(chunk):
    with use_backend(engine("jax")) as be:
        laws.compiled_together(be, [Case(*case, "float64") for case in chunk], numpys=True)


# MLX's compiler takes a second for each chain that it fuses. It is given all primitives and every tenth
# composite; the others are chains of these primitives, and hold to the law as our compiler wrote them.
FUSED = [case for case in CASES if case[0].body is None or case in TENTH]


@pytest.mark.parametrize("chunk", chunks(FUSED))
def test_compiled_equals_eager_on_mlx(chunk):
    with use_backend(engine("mlx")) as be:
        laws.compiled_together(be, [Case(*case, "float32") for case in chunk])


@pytest.mark.parametrize("chunk", chunks([case for case in CASES if case not in FUSED]))
def test_our_programs_on_mlx_equal_eager(chunk):
    with use_backend(engine("mlx")) as be:
        laws.compiled_together(be, [Case(*case, "float32") for case in chunk], jit=False)


@pytest.mark.parametrize("chunk", chunks(GRAPHED))
def test_gradients_on_jax_are_finite_differences_and_its_own(chunk):
    """In one graph. Where they are not, the case alone is what the test fails with."""
    with use_backend(engine("jax")) as be:
        chunk = [case for case in chunk if not laws.no_gradient(be, Case(*case, "float64"))]
        try:
            gradients_are_right(be, chunk)
        except Exception:
            for case in chunk:
                gradients_are_right(be, [case])
            raise


# JAX has no rule of its own for the first two, nor for bases with more vectors than the matrix determines.
WITHOUT_ORACLE = {"nextafter-0", *(f"eig-{n}" for n in range(9)), "qr-3", "svd-1", "svd-2", "svd-5"}


def gradients_are_right(be, chunk):
    jax = pytest.importorskip("jax", reason="jax is the oracle")
    drawn = [sample(*case, "float64") for case in chunk]
    given = [laws.native(be, args) for args, _ in drawn]
    weights = [[be.array(w) for w in laws.weights_for(*case)] for case in chunk]
    own = [i for i, (op, number) in enumerate(chunk) if f"{op.name}-{number}" not in WITHOUT_ORACLE]

    def slopes(grad, i, args):
        f, floats = laws.loss_of(chunk[i][0], drawn[i][1], args, weights[i])
        return grad(f, tuple(range(len(floats))))(*floats)

    got = compile(lambda *args: [slopes(grad, i, x) for i, x in enumerate(args)], be)(*given)
    want = jax.jit(lambda *args: [slopes(jax.grad, i, args[i]) for i in own])(*given)
    for case, gradients in zip(chunk, got, strict=True):
        laws.slopes_agree(be, Case(*case, "float64"), gradients)
    for i, gradients in zip(own, want, strict=True):
        for mine, other in zip(got[i], gradients, strict=True):
            close(mine, np.conj(other), "float64")  # JAX says its complex ones conjugated


# Rules of batching are written in ops, so what one engine shows of them holds for all; others compute a few.
@pytest.mark.parametrize(
    ("case", "engine"),
    each([(case, name) for case in CASES for name in (ENGINES if case in TENTH else ENGINES[:1])]),
)
def test_many_at_once_equal_one_by_one(case, engine):
    with use_backend(engine) as be:
        hold(laws.batched_equals_stacked, be, case, "float32")
