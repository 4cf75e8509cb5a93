"""Properties of every op, on arguments that Hypothesis draws from the op's contract.

Shapes come from the shape rule (any that broadcast, any axes of a reduction; else those of a sample), dtypes
from the kinds that the op takes, values from its domain. On every engine, through EmberTensor, the result has
the shape and dtype that the rules tell, and NumPy's values; on JAX, which compiles for every new shape, the
first example is computed eagerly and the others in one graph. On NumPy, compiled code gives them too, and the
gradient says how the result changes along a line drawn at random.
"""

import math
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

import ember_ml.ops  # noqa: F401  fills the table
from conftest import ENGINES, close
from ember_ml import backend
from ember_ml.cli.samples import DATA_DEPENDENT, WRITTEN, call, cases, sample
from ember_ml.compiler import compile, vjp
from ember_ml.core import TABLE, Spec, as_dtype, rules, tree
from ember_ml.core.dtypes import real_of
from ember_ml.core.trace import constant
from ember_ml.tensor import EmberTensor

OPS = sorted({op.name for op, _ in cases()})
DTYPES = {
    "bool": ["bool"],
    "uint": ["uint8"],
    "int": ["int32", "int64", "int8"],
    "float": ["float32", "float64"],
    "complex": ["complex64"],
}
REDUCTIONS = (rules.reduced, rules.reduced_not_empty)


@st.composite
def calls(draw, op):
    """Draw NumPy arguments and settings for an op."""
    number = draw(st.integers(0, len(WRITTEN.get(op.name, [0])) - 1))
    args, given_settings = sample(op, number, "float64")
    has_axis = "axis" in op.define.__code__.co_varnames
    narrow = op.name in UNIQUE_FOR_FLOATS or "dtype" in given_settings
    kinds = [kind for kind in op.kinds if kind == "float" or not narrow]
    dtype = draw(st.sampled_from([d for kind in kinds for d in DTYPES[kind]]))
    if op.name not in WRITTEN and op.shape in (rules.same, rules.broadcast) and not op.sequence:
        shapes = draw(shapes_that_broadcast(len(args), has_axis))
    elif op.shape in REDUCTIONS and has_axis:
        shapes = [draw(st.lists(st.integers(2, 4), min_size=1, max_size=3).map(tuple))]
        ndim = len(shapes[0])
        given_settings["axis"] = draw(st.none() | st.integers(-ndim, ndim - 1))
        given_settings["keepdims"] = draw(st.booleans())
    else:
        shapes = None
    return redrawn(draw, op, args, shapes, dtype), given_settings


@st.composite
def shapes_that_broadcast(draw, count, has_axis):
    sizes = st.integers(2, 4) if has_axis else st.integers(0, 3)
    whole = draw(st.lists(sizes, min_size=int(has_axis), max_size=3).map(tuple))
    return [
        tuple(1 if draw(st.booleans()) else n for n in whole[draw(st.integers(0, len(whole))) :])
        if i
        else whole
        for i in range(count)
    ]


def redrawn(draw, op, args, shapes, dtype):
    """Return the arguments of a sample with new values, and with new shapes where they are given."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    domains = op.domain if isinstance(op.domain[0], tuple) else [op.domain] * len(args)
    kind = as_dtype(dtype).kind

    def fresh(x, shape, domain):
        if isinstance(x, list):
            return [fresh(each, each.shape, domain) for each in x]
        if x.dtype != "float64":  # places, truths and keys stay
            return x
        if kind == "bool":
            return random.random(shape) < 0.5
        if kind in ("int", "uint"):
            low = max(math.ceil(domain[0]), 0 if kind == "uint" or op.name in NOT_BELOW_0 else -9)
            return random.integers(low, max(low, math.floor(domain[1])), shape, dtype, endpoint=True)
        drawn = random.uniform(*domain, shape)
        return np.asarray(drawn + 1j * random.uniform(*domain, shape) if kind == "complex" else drawn, dtype)

    return [
        fresh(x, getattr(x, "shape", ()) if shapes is None else shapes[i], domain)
        for i, (x, domain) in enumerate(zip(args, domains, strict=False))
    ]


UNIQUE_FOR_FLOATS = {
    "qr",
    "svd",
    "pca",
}  # whole numbers may give equal singular values, and any basis is right
NOT_BELOW_0 = {"power"}  # an integer to a negative power is no integer


def outcome(run):
    """Return what a call gives, or the type and the words of its refusal."""
    try:
        return run(), None
    except (ValueError, TypeError, IndexError) as refusal:
        return None, (type(refusal), str(refusal))


def on(be, args):
    """Return NumPy arguments as tensors of an engine."""
    return tree.map(lambda a: EmberTensor(be.array(a)), args)


def computed(be, op, args, settings):
    with backend.use_backend(be):
        if op.creates:
            like = EmberTensor(be.array(np.zeros(2, "float32")))
            key = {"key": EmberTensor(be.array(np.array([3, 4], "uint32")))} if "key" in op.arrays else {}
            return outcome(lambda: call(op, [], {**settings, **key, "like": like}))
        return outcome(lambda: call(op, on(be, args), settings))


def told(op, args, settings):
    """Return the specs that the rules promise; None where the shape depends on values."""
    if op.creates:
        key = {"key": Spec((2,), as_dtype("uint32"))} if "key" in op.arrays else {}
        return outcome(lambda: call(op, [], {**settings, **key, "like": Spec((2,), as_dtype("float32"))}))
    specs = tree.map(lambda a: Spec(a.shape, as_dtype(a.dtype)), args)
    found, refusal = outcome(lambda: call(op, specs, settings))
    return (None, None) if refusal and refusal[0] is rules.UnknownShape else (found, refusal)


def declared(be, op, dtypes, when):
    """Return the gap of an engine that concerns an op on these dtypes, if there is one."""
    return next((gap for gap in be.gaps if gap.when == when and gap.covers(op.name, dtypes)), None)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPS)
def test_results_are_as_the_rules_tell_and_as_numpys(name, engine):
    op, be = TABLE[name], backend.get_backend(engine)
    waiting, seen = [], []

    @seed(zlib.crc32(name.encode()))
    @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls(op))
    def holds(case):
        args, given_settings = case
        dtypes = {as_dtype(a.dtype) for a in tree.leaves(args)}
        assume(all(be.supports(d) for d in dtypes) and not declared(be, op, dtypes, "eager"))
        specs, refusal = told(op, args, given_settings)
        want, of_values = computed(backend.get_backend("numpy"), op, args, given_settings)
        assume(not (of_values and of_values[0] is np.linalg.LinAlgError))
        gap = declared(be, op, dtypes, "accuracy")
        alone = op.creates or refusal or of_values or specs is None or not seen
        if engine == "jax" and not alone:
            waiting.append((args, given_settings, specs, want, gap))
            return
        got, refused = computed(be, op, args, given_settings)
        assert refused == refusal
        if refused:
            return
        seen.append(args)
        are_as_told(got, specs, want, gap)

    holds()
    if waiting:
        in_one_graph(op, be, waiting)


def in_one_graph(op, be, examples):
    def together(*groups):
        return [call(op, list(group), e[1]) for group, e in zip(groups, examples, strict=True)]

    groups = [tree.map(be.array, args) for args, *_ in examples]
    for got, (args, given_settings, *wanted) in zip(compile(together, be)(*groups), examples, strict=True):
        try:
            are_as_told(tree.map(EmberTensor, got), *wanted)
        except AssertionError as error:
            raise AssertionError(f"{op.name} of {args} with {given_settings}: {error}") from error


def are_as_told(got, specs, want, gap):
    if specs is not None:
        for g, t in zip(tree.leaves(got), tree.leaves(specs), strict=True):
            assert (g.shape, g.dtype) == (t.shape, t.dtype)
    agree(got, want, gap)


def agree(got, want, gap):
    loose = {} if gap is None else {"rtol": gap.tolerance, "atol": gap.tolerance}
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        if w.dtype.kind in ("bool", "int", "uint"):
            np.testing.assert_array_equal(np.asarray(g), np.asarray(w))
        else:
            close(np.asarray(g), np.asarray(w), real_of(w.dtype), **loose)


COMPILABLE = [name for name in OPS if not TABLE[name].creates and name not in DATA_DEPENDENT]


@pytest.mark.parametrize("name", COMPILABLE)
def test_compiled_and_differentiated_on_numpy(name):
    op, be = TABLE[name], backend.get_backend("numpy")

    @seed(zlib.crc32(name.encode()) + 1)
    @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls(op))
    def holds(case):
        args, given_settings = case
        if told(op, args, given_settings)[1]:  # refused by contract; that all engines agree is the test above
            return
        before = tree.map(np.copy, args)
        want, of_values = computed(be, op, args, given_settings)
        if of_values:
            return
        tree.map(np.testing.assert_array_equal, args, before)
        compiled = compile(lambda *a: call(op, list(a), given_settings), be)
        agree(tree.map(EmberTensor, compiled(*args)), want, None)
        if (
            all(a.dtype == "float64" for a in tree.leaves(args))
            and op.differentiable
            and op.vjp is not constant
        ):
            follows(op, args, given_settings)

    holds()


def follows(op, args, given_settings):
    """Assert that the gradient tells how the result changes along a line."""
    random = np.random.default_rng(5)
    flat, structure = tree.flatten(args)
    along = [random.normal(size=np.shape(a)) for a in flat]

    def f(*values):
        out = call(op, tree.unflatten(structure, values), given_settings)
        return [x for x in tree.leaves(out) if as_dtype(x.dtype) == "float64"]

    outs, pull = vjp(lambda *values: f(*values), *flat)
    if not outs:
        return
    weights = [random.normal(size=np.shape(o)) for o in outs]
    slope = sum(np.vdot(g, d) for g, d in zip(pull(weights), along, strict=True))
    step = 1e-6
    ends = [f(*(a + sign * step * d for a, d in zip(flat, along, strict=True))) for sign in (1, -1)]
    rise = sum(np.vdot(w, (hi - lo) / (2 * step)) for w, hi, lo in zip(weights, *ends, strict=True))
    assert not np.isfinite(rise) or slope == pytest.approx(rise, rel=1e-5, abs=1e-6)
