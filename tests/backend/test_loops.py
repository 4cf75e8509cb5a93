"""Graphs printed as loops: they compute what NumPy computes, or they are left to NumPy."""

import math
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import close
from ember_ml import backend, ops
from ember_ml.compiler import value_and_grad
from ember_ml.compiler.codegen import build
from ember_ml.compiler.passes import simplify
from ember_ml.core import Spec, as_dtype, tree
from ember_ml.core.graph import trace_graph

pytest.importorskip("numba")
from ember_ml.backend import loops
from ember_ml.backend.loops import functions, products
from ember_ml.backend.loops.program import _kernel as kernel_of

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def folder(tmp_path_factory, monkeypatch):
    """One folder for what is compiled, not the user's."""
    monkeypatch.setenv("EMBER_ML_HOME", str(tmp_path_factory.getbasetemp() / "home"))


def drawn(*shape, dtype="float32"):
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    if "int" in dtype:
        return RNG.integers(0, 5, shape).astype(dtype)
    return RNG.normal(size=shape).astype(dtype)


def graph_of(f, *args):
    engine = backend.get_backend("numpy")
    leaves, structure = tree.flatten(args)
    specs = [Spec(x.shape, as_dtype(x.dtype)) for x in leaves]
    with engine.activated():
        graph, _, _ = trace_graph(
            lambda *xs: f(*tree.unflatten(structure, xs)), specs, expands=lambda op: False
        )
        return simplify(graph, engine, ())[0], leaves


def by_numpy(graph, leaves):
    with np.errstate(all="ignore"):
        return build(graph, backend.get_backend("numpy")).function(*leaves)


def agree(f, *args):
    """Assert that f by loops is f by NumPy, to the tolerance of the dtype, and return what the loops gave."""
    graph, leaves = graph_of(f, *args)
    loops.printed(graph)  # which says what it has no words for
    function = loops.program(graph).run
    before = [x.copy() for x in leaves]
    found = function(*leaves)
    for x, old in zip(leaves, before, strict=True):
        np.testing.assert_array_equal(x, old)
    for ours, theirs in zip(found, by_numpy(graph, leaves), strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if ours.dtype.kind == "f":
            scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=1)
            close(ours / scale, theirs / scale, ours.dtype)
        else:
            np.testing.assert_array_equal(ours, theirs)
    return found


def test_elementwise_steps_broadcast_in_every_form(dtype):
    def f(a, row, column, number, cube):
        left = ops.multiply(ops.add(a, row), ops.subtract(column, number))
        right = ops.where(ops.greater(a, 0), ops.maximum(a, row), ops.divide(column, 3))
        return left, right, ops.add(cube, left), ops.subtract(2, number), ops.square(ops.negative(row)), a

    agree(f, *(drawn(*s, dtype=dtype) for s in ((4, 3), (3,), (4, 1), (), (2, 1, 3))))


def test_functions_of_floats(dtype):
    def f(x):
        size = ops.abs(x)
        curves = (ops.exp(x), ops.tanh(x), ops.sigmoid(x), ops.log(size), ops.log1p(size), ops.sqrt(size))
        steps = (ops.floor(x), ops.ceil(x), ops.trunc(x), ops.round(x), ops.sign(x), ops.isfinite(x))
        others = (
            ops.logaddexp(x, 1),
            ops.sin(x),
            ops.erf(x),
            ops.expm1(x),
            ops.power(size, 1.5),
            ops.atan2(x, 2),
        )
        return curves, steps, others

    agree(f, (3 * drawn(5, 21)).astype(dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_infinities_and_nan_go_where_they_go_in_numpy():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 3e38, 1e-45], "float32")

    def f(x, y):
        pairs = ops.add(x, y), ops.multiply(x, y), ops.divide(x, y), ops.maximum(x, y), ops.minimum(x, y)
        curves = ops.exp(x), ops.tanh(x), ops.sigmoid(x), ops.log(x), ops.log1p(x), ops.logaddexp(x, y)
        return pairs, curves, ops.max(x), ops.min(y, axis=1), ops.sum(x), ops.isnan(x), ops.relu(x)

    agree(f, x, x[:, None].copy())


def test_integers_keep_their_dtypes_and_wrap():
    def f(a, b, small, truth):
        sums = ops.sum(a, axis=0), ops.sum(truth), ops.sum(small, axis=1), ops.prod(small)
        logic = ops.logical_and(truth, ops.greater(a, 2)), ops.logical_not(truth), ops.any(truth, axis=0)
        casts = ops.astype(a, "float32"), ops.astype(truth, "int32"), ops.astype(small, "bool")
        chained = ops.astype(ops.add(a, a), "float64"), ops.greater(ops.multiply(small, 99), 200)
        more = chained, ops.where(truth, a, 7), ops.max(small, axis=0), ops.all(truth), ops.divide(a, 2)
        return ops.add(a, a), ops.multiply(a, b), ops.subtract(small, 9), sums, logic, casts, more

    a = np.full((3, 4), 2**30, "int32")
    agree(f, a, drawn(4, dtype="int32"), drawn(3, 4, dtype="uint8"), drawn(3, 4, dtype="bool"))


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2)])
def test_reductions_over_any_axes(axis):
    def f(x):
        def over(op):
            return op(ops.multiply(x, 2), axis=axis), op(x, axis=axis, keepdims=True)

        return (
            over(ops.sum),
            over(ops.max),
            ops.softmax(x, axis=-1),
            ops.mean(x, axis=axis),
            ops.sum(ops.square(x)),
        )

    agree(f, drawn(5, 1, 17) if axis == 1 else drawn(5, 4, 17))


def test_views_are_read_and_written_in_place(dtype):
    def f(x, y):
        turned = ops.permute_dims(x, axes=(2, 0, 1))
        picked = x[1:, ::-1, None, 2], x[..., -1], x[0], ops.flip(x, axis=(0, 2))
        flat = (
            ops.reshape(turned, shape=(-1,)),
            ops.reshape(x, shape=(6, 4)),
            ops.broadcast_to(y, shape=(3, 4)),
        )
        joined = ops.concat([y, ops.add(y, 1), y[:2]], axis=0), ops.stack([x, ops.tanh(x)], axis=1)
        return ops.add(turned, 1), picked, flat, joined, ops.matrix_transpose(ops.exp(x)), y

    agree(f, drawn(2, 3, 4, dtype=dtype), drawn(4, dtype=dtype))


def test_a_transpose_does_not_share_the_loop_of_what_it_turns():
    def f(x):
        y = ops.tanh(x)
        return y + ops.matrix_transpose(y), ops.flip(y) * y, ops.sum(y, axis=1) + ops.sum(y, axis=0)

    agree(f, drawn(5, 5))


def test_a_part_outlives_what_it_was_joined_into():
    def f(x, y):
        part = ops.tanh(x)
        joined = ops.concat([part, y], axis=1) @ ops.concat([y, ops.exp(part)], axis=0)
        for _ in range(4):
            joined = ops.sigmoid(joined @ y)
        return ops.matrix_transpose(part) @ joined

    agree(f, drawn(9, 9), drawn(9, 9))


@pytest.mark.parametrize("rows", [1, 40])
def test_matrix_products_of_every_layout(dtype, rows):
    def f(a, b, vector, stack):
        plain = a @ b, ops.matrix_transpose(b) @ ops.matrix_transpose(a), a[:, 1:6] @ b[1:6, 2:]
        vectors = a @ vector, vector @ b, vector @ vector, stack @ vector
        return plain, vectors, stack @ b, stack @ ops.matrix_transpose(stack), a @ ops.matrix_transpose(stack)

    shapes = (rows, 7), (7, 33), (7,), (2, 3, rows, 7)
    agree(f, *(drawn(*s, dtype=dtype) for s in shapes))


def test_gathering_adding_and_writing_at_places():
    places = np.array([[3, 0, -1], [1, 1, 2]])

    def f(x, y, places):
        added = ops.index_add(x, places, ops.multiply(y, 2), axis=1), ops.index_add(x, places[0], 1.0, axis=1)
        return ops.take(x, places, axis=1), added, ops.take(x, places[1], axis=0)[..., 0], ops.pad(x, 1)

    agree(f, drawn(5, 4), drawn(5, 2, 3), places)


def test_a_place_out_of_bounds_is_refused():
    graph, _ = graph_of(lambda x, places: ops.take(x, places, axis=0), drawn(4), np.arange(3))
    function = loops.program(graph).run
    with pytest.raises(IndexError, match="out of bounds"):
        function(drawn(4), np.array([0, 4, 1]))


def cell(weights, drive, state, x):
    gate = ops.sigmoid(state @ weights + x + drive)
    state = ops.add(ops.multiply(state, gate), ops.multiply(ops.tanh(x * drive), 1 - gate))
    return state, state[:, :2]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_and_its_gradient(dtype, reverse):
    def loss(weights, drive, state, xs):
        last, ys = ops.scan(lambda s, x: cell(weights, drive, s, x), state, xs, reverse=reverse)
        return ops.mean(ops.square(ys)) + ops.sum(last)

    f = value_and_grad(loss, argnums=(0, 1, 2, 3))
    agree(f, *(drawn(*s, dtype=dtype) for s in ((6, 6), (6,), (3, 6), (5, 3, 6))))


def test_a_scan_whose_carry_changes_places():
    def f(a, b, xs):
        (a, b, n), ys = ops.scan(lambda c, x: ((c[1], c[0] + x, c[2] + 1), (c[0], x)), (a, b, 0), xs)
        inner, _ = ops.scan(lambda c, x: (ops.scan(lambda d, y: (d * 0.5 + y, d), c, xs)[0] + x, c), a, xs)
        swapped, _ = ops.scan(lambda c, x: ((c[1], c[0]), x), (a, b), xs)
        return a, b, n, ys, inner, swapped

    agree(f, drawn(4), drawn(4), drawn(3, 4))


def test_a_training_step_of_a_deep_network():
    def loss(params, x, y):
        for i, (w, b) in enumerate(params):
            x = x @ ops.matrix_transpose(w) + b
            x = x if i == 2 else ops.relu(x)
        return ops.mean(ops.square(x - y))

    sizes = (5, 32, 16, 1)
    params = [(drawn(n, m), drawn(n)) for m, n in pairwise(sizes)]
    agree(value_and_grad(loss), params, drawn(64, 5), drawn(64, 1))


def test_results_are_new_arrays_and_arguments_may_have_gaps():
    graph, _ = graph_of(lambda x: (x, x, x[0], ops.add(x, 1)), drawn(4, 6))
    function = loops.program(graph).run
    wide = drawn(4, 12)
    for x in (wide[:, ::2], wide[:, ::-2], np.asfortranarray(wide[:, :6])):
        found = function(x)
        np.testing.assert_array_equal(found[0], x)
        np.testing.assert_array_equal(found[3], x + 1)
        assert not any(np.shares_memory(a, b) for a in found for b in (x, *found) if a is not b)
    with pytest.raises(ValueError, match="this program takes"):
        function(wide)
    number = loops.program(graph_of(lambda x: ops.add(x, 1), np.float32(2))[0]).run
    assert number(np.float32(2))[0] == number(np.array(2, "float32"))[0] == 3
    frozen = wide[:, :6].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(function(frozen)[2], frozen[0])


def test_a_second_process_loads_what_the_first_compiled():
    graph, _ = graph_of(lambda x: ops.exp(x) + 3, drawn(4))
    loops.program(graph).run
    name = next(n for n in reversed(sys.modules) if n.startswith("loops_"))
    del sys.modules[name]
    kernel = kernel_of(loops.printed(graph).source)
    assert sum(kernel.stats.cache_hits.values()) == 1
    assert not kernel.stats.cache_misses


def test_without_a_folder_it_compiles_all_the_same(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMBER_ML_HOME", str(tmp_path / "file"))
    agree(lambda x: ops.exp(x) - 3, drawn(4))


def test_threads_share_a_function():
    graph, _ = graph_of(lambda x: ops.sum(ops.exp(x @ x), axis=0), drawn(16, 16))
    function, wrong = loops.program(graph).run, []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=(16, 16)).astype("float32") / 9
        want = function(x)[0].copy()
        wrong.extend(i for i in range(300) if not np.array_equal(function(x)[0], want))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.parametrize(
    "f",
    [
        lambda x: ops.sort(x, axis=0),
        lambda x: ops.astype(x, "float16"),
        lambda x: ops.multiply(x, 1j),
        lambda x: x[:0],
        lambda x: ops.linalg.inv(x) if hasattr(ops, "linalg") else ops.inv(x),
    ],
)
def test_what_the_printer_has_no_words_for_is_left_to_numpy(f):
    graph, _ = graph_of(f, drawn(3, 3))
    assert loops.program(graph) is None
    with pytest.raises(ValueError, match="no words for"):
        loops.printed(graph)


def test_it_pays_where_steps_are_many_and_small():
    def f(w, x):
        for _ in range(8):
            x = ops.tanh(x @ w)
        return x

    assert loops.pays(graph_of(f, drawn(16, 16), drawn(4, 16))[0])
    assert not loops.pays(graph_of(f, drawn(600, 600), drawn(600, 600))[0])
    assert not loops.pays(graph_of(lambda x: ops.sin(x), drawn(1000, 100))[0])


def as_python(printed):
    """Return the printed text as a function that runs without Numba, one number at a time."""
    text = printed.source[printed.source.index("def loops(") :]
    scope = {"np": np, "math": math, "length": int, "keep": id, "pointer": lambda x: x.reshape(-1)}
    scope |= {"plus": np.add, "times": np.multiply, "larger": np.maximum, "smaller": np.minimum}
    scope |= {f"{name}32": EXACT[name] for name in EXACT}

    def matrix(x, at, rows, columns):
        step = x.itemsize
        strides = (step, at[1] * step) if at[2] else (at[1] * step, step)
        return np.lib.stride_tricks.as_strided(x[at[0] :], (rows, columns), strides)

    def product(routine, sizes, a, a_at, b, b_at, c, c_at, added):
        rows, inner, columns = sizes
        out = matrix(c, c_at, rows, columns)
        out[:] = added * out + matrix(a, a_at, rows, inner) @ matrix(b, b_at, inner, columns)

    scope |= {"product": product, "empty": lambda size, dtype: np.full(size, 99, dtype)}
    exec(text.replace("np.empty", "empty"), scope)

    def run(*leaves):
        results = [np.empty(s.shape, str(s.dtype)) for s in printed.graph.out_specs]
        scope["loops"](*leaves, *printed.constants, *results, *printed.products)
        return results

    return run


UNARY = (
    ops.tanh,
    ops.sigmoid,
    ops.square,
    ops.negative,
    ops.relu,
    ops.abs,
    ops.matrix_transpose,
    ops.softmax,
)
BINARY = (ops.add, ops.subtract, ops.multiply, ops.maximum, ops.matmul, ops.matmul)


def joined(x, y, which):
    return ops.concat([x, y], axis=which % 2)[:4, -4:], ops.concat([x[:, 1:], y[:, :1]], axis=1)[::-1]


def scanned(x, y, which):
    last, rows = ops.scan(
        lambda c, r: (ops.tanh(c @ y + r), c * r if which % 2 else ops.sum(c, axis=0) + r[0]),
        x,
        ops.stack([x, y, x]),
        reverse=which % 3 == 0,
    )
    return last, rows[1] if which % 2 else ops.add(rows[1], x)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(*[st.integers(0, 99)] * 4), min_size=3, max_size=9))
def test_texts_of_random_graphs_and_their_gradients(choices):
    def f(a, row, column):
        known = [a, ops.add(row, column)]
        for kind, which, i, j in choices:
            x, y = known[i % len(known)], known[j % len(known)]
            if kind % 5 == 0:
                known.append(UNARY[which % len(UNARY)](x))
            elif kind % 5 == 1:
                known.append(ops.add(ops.mean(x, axis=which % 2, keepdims=True), y))
            elif kind % 5 == 2:
                known.extend(joined(x, y, which))
            elif kind % 5 == 3:
                known.extend(scanned(x, y, which))
            else:
                known.append(ops.multiply(BINARY[which % len(BINARY)](x, y), 0.3))
        return ops.sum(ops.tanh(known[-1])), known[2:]

    args = drawn(4, 4) / 2, drawn(4), drawn(4, 1)
    graph, leaves = graph_of(value_and_grad(f, argnums=(0, 1, 2), has_aux=True), *args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "SMALL", 20)  # or such small ones would never be BLAS's
        printed = loops.printed(graph)
    for ours, theirs in zip(as_python(printed)(*leaves), by_numpy(graph, leaves), strict=True):
        scale = np.abs(theirs).max(initial=1)
        close(ours / scale, theirs / scale, rtol=2e-4, atol=2e-5)  # deep chains, summed in another order


def units_off(found, exact):
    """Return how far numbers are from exact ones, in units of their last place."""
    right = exact.astype(found.dtype)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(np.where(np.isfinite(right), right, 1))).astype(exact.dtype)
        off = np.abs(found.astype(exact.dtype) - exact) / unit
    same = (found == right) | (np.isnan(found) & np.isnan(right))
    return np.where(same & ~np.isfinite(off), 0, off)


EXACT = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "log": np.log,
    "log1p": np.log1p,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("width", [32, 64])
def test_functions_err_by_at_most_two_units_in_the_last_place(name, width):
    from numba import njit

    dtype, function = np.dtype(f"f{width // 8}"), getattr(functions, f"{name}{width}")
    patterns = RNG.integers(0, 2**width, 200_000, dtype=f"u{width // 8}").view(dtype)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, np.finfo(dtype).smallest_subnormal]
    ends = np.log([np.finfo(dtype).max, np.finfo(dtype).smallest_normal, np.finfo(dtype).smallest_subnormal])
    near = [np.linspace(end - 2, end + 2, 10_001) for end in (*ends, -1, 0, 1)]
    x = np.concatenate([patterns, *near, np.linspace(-20, 20, 100_001), edges]).astype(dtype)

    @njit
    def fill(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    found = np.empty_like(x)
    fill(x, found)
    exact = EXACT[name](x.astype(np.longdouble if width == 64 else np.float64))
    assert units_off(found, exact).max() <= 2
    zero = found[x == 0]
    np.testing.assert_array_equal(np.signbit(zero), np.signbit(EXACT[name](x[x == 0])))
