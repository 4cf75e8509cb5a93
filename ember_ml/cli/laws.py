"""The laws: what holds for every op of the table, on every engine.

The tests hold our engines to them, `ember-ml backends --check` a user's. A law is a function of a backend and
a case; it raises AssertionError where it is broken, and returns why where it does not apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ember_ml import ops
from ember_ml.backend import Backend, use_backend
from ember_ml.cli.samples import DATA_DEPENDENT, call, cases, sample, takes_floats
from ember_ml.compiler import compile, grad, vmap
from ember_ml.core import Op, Spec, as_dtype, tree
from ember_ml.core.dtypes import real_of
from ember_ml.core.op import FAULTS
from ember_ml.core.trace import constant

TOLERANCE = {"float32": (2e-5, 2e-6), "float64": (1e-12, 1e-13)}  # rtol, atol: a claim, stated once
_EXACT = ("b", "i", "u")


class Case(NamedTuple):
    """An op of the table, which of its samples, and the float dtype of what is drawn."""

    op: Op
    number: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.op.name}-{self.number} {self.dtype}"


def all_cases(dtypes: tuple[str, ...] = tuple(TOLERANCE)) -> list[Case]:
    """Return every sample of every op, in each of these dtypes."""
    return [Case(op, number, dtype) for op, number in cases() for dtype in dtypes]


def close(got: Any, want: Any, dtype: str = "float32", *, rtol: Any = None, atol: Any = None) -> None:
    """Assert that numbers agree as closely as their dtype promises, unless the caller says why not."""
    default = TOLERANCE[str(dtype)]
    np.testing.assert_allclose(
        np.asarray(got, dtype=np.result_type(want)),
        want,
        rtol=default[0] if rtol is None else rtol,
        atol=default[1] if atol is None else atol,
    )


# The laws


def value_agrees_with_numpy(be: Backend, case: Case) -> str | None:
    """The value of an op is NumPy's, to the precision of its dtype."""
    args, settings = sample(*case)
    if reason := _passed_over(be, case.op, args, settings):
        return reason
    _is_numpys(be, case, _eager(be, case))
    return None


def rules_tell_the_truth(be: Backend, case: Case) -> str | None:
    """The shape and the dtype of a result are those that the op's rules tell."""
    args, settings = sample(*case)
    if reason := _passed_over(be, case.op, args, settings):
        return reason
    got = _eager(be, case)
    specs = tree.map(lambda a: Spec(a.shape, as_dtype(a.dtype)), args)
    if case.op.name in DATA_DEPENDENT:
        with raises(TypeError, "compiled code does not know"):
            call(case.op, specs, settings)
        return None
    if case.op.creates:
        key = {"key": Spec((2,), as_dtype("uint32"))} if "key" in case.op.arrays else {}
        specs, settings = [], {**settings, **key, "like": Spec((), as_dtype("float32"))}
    for g, t in zip(tree.leaves(got), tree.leaves(call(case.op, specs, settings)), strict=True):
        _same((tuple(g.shape), as_dtype(g.dtype)), (t.shape, t.dtype))
    return None


def arguments_are_not_changed(be: Backend, case: Case) -> str | None:
    """An op leaves its arguments as they are."""
    args, settings = sample(*case)
    if not be.mutable:
        return "arrays do not change here"
    if reason := _passed_over(be, case.op, args, settings):
        return reason
    given = native(be, tree.map(np.copy, args))
    for x in tree.leaves(given):
        if isinstance(x, np.ndarray):
            x.flags.writeable = False
    call(case.op, given, {**settings, **_key(case.op, be)})
    tree.map(lambda x, a: np.testing.assert_array_equal(be.to_numpy(x), a), given, args)
    return None


def gradient_agrees_with_finite_differences(be: Backend, case: Case) -> str | None:
    """The gradient of an op, at float64, is the slope that its values show."""
    args, settings = sample(case.op, case.number, "float64")
    if reason := no_gradient(be, case):
        return reason
    f, floats = loss_of(case.op, settings, native(be, args), [be.array(w) for w in weights_for(*case[:2])])
    places = tuple(range(len(floats)))
    if case.op.vjp is None and case.op.linearize is None and case.op.body is None:
        with raises(TypeError, f"{case.op.name} has no gradient rule"):
            grad(f, places)(*floats)
        return None
    slopes_agree(be, case, grad(f, places)(*floats))
    return None


def slopes_agree(be: Backend, case: Case, gradients: Any) -> None:
    """Assert that the gradients of a case are what central differences show on NumPy."""
    # in float64 these are good to about 1e-9; MLX's float64 to 1e-6 in a few functions
    loose = be == "mlx"
    for g, want in zip(gradients, slopes_on_numpy(*case[:2]), strict=True):
        close(be.to_numpy(g), want, "float64", rtol=1e-5 if loose else 1e-6, atol=5e-6 if loose else 1e-7)


def no_gradient(be: Backend, case: Case) -> str | None:
    """Say why the law of gradients does not apply to a case."""
    args, settings = sample(case.op, case.number, "float64")
    if not smooth(case.op, args):
        return "no gradient by contract"
    if not be.supports("float64"):
        return f"{be} has no float64"
    return _passed_over(be, case.op, args, settings)


def compiled_equals_eager(be: Backend, case: Case) -> str | None:
    """A compiled function returns what the op returns eagerly, dtype and shape included."""
    return compiled_together(be, [case])[0]


def compiled_together(
    be: Backend, cases: Sequence[Case], *, jit: bool = True, numpys: bool = False
) -> list[str | None]:
    """Hold many cases to the law of compiled code, in one function: a compiler may take a second for each.

    With `numpys` their values are held to NumPy's instead. Returns of each case why the law does not apply.
    An AssertionError names the cases that break it; what keeps the function from being compiled is raised
    for the case that does.
    """
    reasons, jobs = [], []
    for case in cases:
        reason, job = _job(be, case)
        reasons.append(reason)
        if job is not None:
            jobs.append((case, *job))

    def together(*groups: Any) -> Any:
        return [function(*given) for (_, function, _), given in zip(jobs, groups, strict=True)]

    try:
        got = compile(together, be, jit=jit)(*(given for _, _, given in jobs)) if jobs else []
    except (AssertionError, LookupError, *FAULTS) as error:
        if len(cases) == 1:
            raise
        for case in cases:  # to name the one
            compiled_together(be, [case], jit=jit, numpys=numpys)
        raise AssertionError(f"only together they fail: {', '.join(map(str, cases))}") from error
    broken = []
    for (case, function, given), out in zip(jobs, got, strict=True):
        try:
            if numpys and not case.op.creates:
                _is_numpys(be, case, out)
                continue
            for g, w in zip(tree.leaves(out), tree.leaves(function(*given)), strict=True):
                _equal(be, case, g, w)
        except AssertionError as error:
            broken.append(f"{case}: {error}")
    assert not broken, "\n".join(broken)
    return reasons


def batched_equals_stacked(be: Backend, case: Case) -> str | None:
    """An op at several places at once returns what it returns at each, whichever arguments are mapped."""
    op = case.op
    args, settings = sample(*case)
    if op.creates and not _key(op, be):
        return "no arrays to map over"
    if op.name in DATA_DEPENDENT:
        return "the shape of its result differs from place to place"
    if not op.creates and (reason := _passed_over(be, op, args, settings)):
        return reason
    flat, structure = tree.flatten([np.array([3, 4], "uint32")] if op.creates else args)

    def function(*arrays: Any) -> Any:
        given = tree.unflatten(structure, arrays)
        return call(op, [], {**settings, "key": given[0]}) if op.creates else call(op, given, settings)

    for mapped in dict.fromkeys(((True,) * len(flat), *_one_and_others(len(flat)))):
        places = [
            [be.array(_turned(a, i)) if m else be.array(a) for a, m in zip(flat, mapped, strict=True)]
            for i in range(3)
        ]
        rows = [
            ops.stack(list(each)) if m else each[0]
            for each, m in zip(zip(*places, strict=True), mapped, strict=True)
        ]
        got = vmap(function, in_axes=tuple(0 if m else None for m in mapped))(*rows)
        for i, place in enumerate(places):
            for g, w in zip(
                tree.leaves(got), tree.leaves(compile(function, be, jit=False)(*place)), strict=True
            ):
                _equal(be, case, g[i], w)
    return None


def _turned(x: np.ndarray, places: int) -> np.ndarray:
    """Return the values of an array, or of the columns of integers, moved on by so many places."""
    return np.roll(x, places, axis=None if x.ndim < 2 or x.dtype.kind in "fc" else -2)


def _one_and_others(count: int) -> list[tuple[bool, ...]]:
    """Return the choices of the first alone, and of all but the first."""
    return [tuple((k == 0) == first for k in range(count)) for first in (True, False)] if count > 1 else []


LAWS: dict[str, Callable[[Backend, Case], str | None]] = {
    "values": value_agrees_with_numpy,
    "shapes and dtypes": rules_tell_the_truth,
    "arguments unchanged": arguments_are_not_changed,
    "gradients": gradient_agrees_with_finite_differences,
    "compiled code": compiled_equals_eager,
    "many at once": batched_equals_stacked,
}


# What NumPy says. Remembered, since a user's backend may come to own NumPy's arrays.


@cache
def value_on_numpy(case: Case) -> list[np.ndarray]:
    """Return what NumPy computes for a case, the results in order."""
    args, settings = sample(*case)
    with use_backend("numpy") as numpy:
        got = call(case.op, args, {**settings, **_key(case.op, numpy)})
    return [np.asarray(x) for x in tree.leaves(got)]


@cache
def weights_for(op: Op, number: int) -> list[np.ndarray]:
    """Return a random weight for each value that an op returns at float64."""
    rng = np.random.default_rng(1)

    def drawn(o: np.ndarray) -> np.ndarray:
        return rng.normal(size=o.shape) + (1j * rng.normal(size=o.shape) if np.iscomplexobj(o) else 0)

    return [drawn(o) for o in value_on_numpy(Case(op, number, "float64"))]


@cache
def slopes_on_numpy(op: Op, number: int) -> list[np.ndarray]:
    """Return the gradients that central differences of an op's weighted results show."""
    args, settings = sample(op, number, "float64")
    reference, wide = loss_of(op, settings, args, weights_for(op, number))
    found = []
    for k, a in enumerate(wide):
        want = np.zeros_like(a)
        for i, unit in product(np.ndindex(a.shape), (1, 1j) if np.iscomplexobj(a) else (1,)):
            shifted = []
            for step in (1e-6, -1e-6):
                moved = [x.copy() for x in wide]
                moved[k][i] += step * unit
                shifted.append(reference(*moved))
            want[i] += unit * (shifted[0] - shifted[1]) / 2e-6
        found.append(want)
    return found


# What the laws share


def smooth(op: Op, args: list) -> bool:
    """Whether the law of gradients applies: floats in, and not constant by contract."""
    return takes_floats(op, args) and op.vjp is not constant and not op.creates


def loss_of(op: Op, settings: dict, args: Any, weights: list) -> tuple[Callable, list]:
    """Return a function of the float arrays of an op, its outputs weighted and summed; and those arrays."""
    flat, structure = tree.flatten(args)
    places = [i for i, a in enumerate(flat) if as_dtype(a.dtype).kind in ("float", "complex")]

    def weighted(o: Any, w: Any) -> Any:
        kind = as_dtype(w.dtype).kind
        o = ops.astype(o, dtype=w.dtype) if as_dtype(o.dtype) == "bool" else o
        return ops.sum(ops.real(ops.multiply(o, w)) if kind == "complex" else ops.multiply(o, w))

    def f(*values: Any) -> Any:
        full = list(flat)
        for place, value in zip(places, values, strict=True):
            full[place] = value
        outs = tree.leaves(call(op, tree.unflatten(structure, full), settings))
        parts = [weighted(o, w) for o, w in zip(outs, weights, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = ops.add(total, part)
        return total

    return f, [flat[i] for i in places]


@lru_cache(maxsize=1)
def _eager(be: Backend, case: Case) -> Any:
    """Return what a backend computes for a case: two laws look at it, one after the other."""
    args, settings = sample(*case)
    return call(case.op, native(be, args), {**settings, **_key(case.op, be)})


def native(be: Backend, args: Any) -> Any:
    """Return NumPy arguments as a backend's."""
    return tree.map(be.array, args)


def tolerance(be: Backend, case: Case) -> dict:
    """Return the tolerance that a gap in accuracy claims, if there is one."""
    for gap in be.gaps:
        if gap.when == "accuracy" and gap.covers(case.op.name, [case.dtype]):
            return {"rtol": gap.tolerance, "atol": gap.tolerance}
    return {}


def _job(be: Backend, case: Case) -> tuple[str | None, tuple[Callable, list] | None]:
    """Return why a case is not to be compiled, or a function to compile and its arguments."""
    op = case.op
    args, settings = sample(*case)
    if op.creates:
        given = [be.array(np.array([3, 4], "uint32"))]
    elif reason := _passed_over(be, op, args, settings):
        return reason, None
    else:
        given = native(be, args)

    def function(*arrays: Any) -> Any:
        if not op.creates:
            return call(op, list(arrays), settings)
        keys = {"key": arrays[0]} if _key(op, be) else {}
        return call(op, [], {**settings, **keys, "like": arrays[0]})

    if op.name in DATA_DEPENDENT:
        with raises(TypeError, "compiled code does not know"):
            compile(function, be)(*given)
        return None, None
    return None, (function, given)


def _key(op: Op, be: Backend) -> dict:
    return {"key": be.array(np.array([3, 4], "uint32"))} if "key" in op.arrays and op.creates else {}


def _passed_over(be: Backend, op: Op, args: list, settings: dict) -> str | None:
    """Say why a case does not apply: a dtype is missing, or a gap refuses it, which it then must."""
    asked = [settings["dtype"]] if settings.get("dtype") is not None else []
    dtypes = [str(as_dtype(d)) for d in (*(a.dtype for a in tree.leaves(args)), *asked)]
    if lacking := [d for d in dtypes if not be.supports(d)]:
        return f"{be} has no {lacking[0]}"
    for gap in be.gaps:
        if gap.when == "eager" and gap.covers(op.name, dtypes):
            with raises(NotImplementedError if gap.dtypes is None else TypeError, gap.reason):
                call(op, native(be, args), settings)
            return gap.reason
    return None


def _is_numpys(be: Backend, case: Case, got: Any) -> None:
    loose = tolerance(be, case)
    for g, w in zip(tree.leaves(got), value_on_numpy(case), strict=True):
        assert be.owns(type(g)), f"the result is no array of {be} but {type(g).__name__}"
        if w.dtype.kind in _EXACT:
            np.testing.assert_array_equal(be.to_numpy(g), w)
        else:
            narrow = real_of(as_dtype(w.dtype))
            close(be.to_numpy(g), w, case.dtype if narrow == case.dtype else "float32", **loose)


def _equal(be: Backend, case: Case, got: Any, want: Any) -> None:
    """Assert that two arrays agree in shape, dtype and values."""
    dtype = as_dtype(want.dtype)
    _same((tuple(got.shape), as_dtype(got.dtype)), (tuple(want.shape), dtype))
    if dtype.kind in ("float", "complex"):
        close(be.to_numpy(got), be.to_numpy(want), real_of(dtype).name, **tolerance(be, case))
    else:
        np.testing.assert_array_equal(be.to_numpy(got), be.to_numpy(want))


def _same(got: Any, want: Any) -> None:
    assert got == want, f"got {got}, the rules say {want}"


@contextmanager
def raises(kind: type[Exception], words: str) -> Iterator[None]:
    """Assert that an error of this kind is raised, with these words in it."""
    try:
        yield
    except kind as error:
        assert re.search(re.escape(words), str(error)), f"the error says {error!r}, not {words!r}"
    else:
        raise AssertionError(f"no {kind.__name__} is raised, which should say {words!r}")
