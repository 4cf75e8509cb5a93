"""The laws: for every op of the table, on every engine installed here."""

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, ops
from ember_ml.compiler import compile, grad
from ember_ml.core import Spec, as_dtype, tree
from ember_ml.core.trace import constant
from samples import call, cases, sample, takes_floats

CASES = cases()
IDS = [f"{op.name}-{i}" for op, i in CASES]
EXACT = ("b", "i", "u")


@pytest.fixture(params=CASES, ids=IDS)
def case(request):
    return request.param


def native(be, args):
    return tree.map(lambda a: be.array(a), args)


def host(x):
    return np.asarray(x)


def key_for(op, be):
    return {"key": be.array(np.array([3, 4], "uint32"))} if "key" in op.arrays and op.creates else {}


def tolerance(op, be, dtype):
    for gap in be.gaps:
        if gap.when == "accuracy" and gap.op == op.name and dtype in (gap.dtypes or (dtype,)):
            return {"rtol": gap.tolerance, "atol": gap.tolerance}
    return {}


def test_value_agrees_with_numpy(case, be, dtype):
    op, number = case
    args, settings = sample(op, number, dtype)
    got = call(op, native(be, args), {**settings, **key_for(op, be)})
    numpy = backend.get_backend("numpy")
    with backend.use_backend("numpy"):
        want = call(op, args, {**settings, **key_for(op, numpy)})
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert be.owns(type(g))
        if np.asarray(w).dtype.kind in EXACT:
            np.testing.assert_array_equal(host(g), w)
        else:
            close(
                host(g), w, dtype if np.asarray(w).dtype == dtype else "float32", **tolerance(op, be, dtype)
            )


def test_shape_and_dtype_rules_tell_the_truth(case, be, dtype):
    op, number = case
    args, settings = sample(op, number, dtype)
    got = call(op, native(be, args), {**settings, **key_for(op, be)})
    if op.creates:
        key = {"key": Spec((2,), as_dtype("uint32"))} if "key" in op.arrays else {}
        told = call(op, [], {**settings, **key, "like": Spec((), as_dtype("float32"))})
    else:
        told = call(op, tree.map(lambda a: Spec(a.shape, as_dtype(a.dtype)), args), settings)
    for g, t in zip(tree.leaves(got), tree.leaves(told), strict=True):
        assert (tuple(g.shape), as_dtype(g.dtype)) == (t.shape, t.dtype)


def test_inputs_are_not_mutated(case):
    op, number = case
    args, settings = sample(op, number, "float32")
    before = tree.map(np.copy, args)
    for a in tree.leaves(args):
        a.flags.writeable = False
    call(op, args, {**settings, **key_for(op, backend.get_backend("numpy"))})
    tree.map(np.testing.assert_array_equal, args, before)


def smooth(op, args):
    """Whether the law of gradients applies: floats in, and not constant by contract."""
    return takes_floats(op, args) and op.vjp is not constant and not op.creates


def loss_of(op, settings, args, weights):
    """Return a function of the float arrays of an op: its outputs, weighted, summed."""
    flat, structure = tree.flatten(args)
    places = [i for i, a in enumerate(flat) if np.asarray(a).dtype.kind == "f"]

    def f(*values):
        full = list(flat)
        for place, value in zip(places, values, strict=True):
            full[place] = value
        outs = tree.leaves(call(op, tree.unflatten(structure, full), settings))
        parts = [ops.sum(ops.multiply(o, w)) for o, w in zip(outs, weights, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = ops.add(total, part)
        return total

    return f, [flat[i] for i in places]


def weights_for(op, args, settings):
    outs = tree.leaves(call(op, args, settings))
    rng = np.random.default_rng(1)
    return [rng.normal(size=np.shape(o)) for o in outs]


def test_gradient_agrees_with_finite_differences(case, be):
    op, number = case
    args, settings = sample(op, number, "float64")
    if not smooth(op, args):
        pytest.skip("no gradient by contract")
    weights = weights_for(op, args, settings)
    f, floats = loss_of(op, settings, native(be, args), [be.array(w) for w in weights])
    if op.vjp is None and op.linearize is None and op.body is None:
        with pytest.raises(TypeError, match=f"{op.name} has no gradient rule"):
            grad(f, tuple(range(len(floats))))(*floats)
        return
    got = grad(f, tuple(range(len(floats))))(*floats)
    reference, wide = loss_of(op, settings, args, weights)
    for k, (g, a) in enumerate(zip(got, wide, strict=True)):
        want = np.empty_like(a)
        for i in np.ndindex(a.shape):
            shifted = []
            for step in (1e-6, -1e-6):
                moved = [x.copy() for x in wide]
                moved[k][i] += step
                shifted.append(reference(*moved))
            want[i] = (shifted[0] - shifted[1]) / 2e-6
        # central differences in float64 are good to about 1e-9; MLX's float64 to 1e-6 in a few functions
        loose = be == "mlx"
        close(host(g), want, "float64", rtol=1e-5 if loose else 1e-6, atol=5e-6 if loose else 1e-7)


def test_compiled_equals_eager(case, be, dtype):
    op, number = case
    args, settings = sample(op, number, dtype)
    if op.creates:
        keys = key_for(op, be)
        made = compile(
            lambda key: call(op, [], {**settings, **({"key": key} if keys else {}), "like": key}), be
        )
        key = be.array(np.array([3, 4], "uint32"))
        got, want = made(key), call(op, [], {**settings, **keys, "like": key})
    else:
        given = native(be, args)
        got, want = compile(lambda *a: call(op, list(a), settings), be)(*given), call(op, given, settings)
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert (tuple(g.shape), as_dtype(g.dtype)) == (tuple(w.shape), as_dtype(w.dtype))
        if as_dtype(w.dtype).kind != "float":
            np.testing.assert_array_equal(host(g), host(w))
        else:
            close(host(g), host(w), as_dtype(w.dtype).name, **tolerance(op, be, dtype))
