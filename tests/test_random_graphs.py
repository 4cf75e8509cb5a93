"""The law of random graphs: what holds for every op holds for programs of them.

Hypothesis draws programs of 3 to 15 lines from the forms below: broadcasting, shared and unused values,
several results, constants, mixed dtypes, empty arrays, loops and branches in loops and branches, functions
mapped, differentiated and compiled within each other. On every engine a program gives NumPy's float64 values
compiled, and its gradient is the same, by finite differences and by jax.grad and torch.autograd of the very
same program. NumPy and torch get 300, one to a compiled function, and eagerly too; JAX and MLX, whose
compilers take most of the time, 40 (EMBER_ML_PROGRAMS=300: that many), twenty to a compiled function, and one
in ten eagerly too. A program that fails is printed as Python; one that has a function of its own is shrunk
before.
"""

import math
import os
import re
import textwrap
from functools import cached_property
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from conftest import ENGINES
from ember_ml import ops
from ember_ml.backend import use_backend
from ember_ml.compiler import compile, grad, vmap
from ember_ml.core import tree

# A hundred roundings of 1e-16, made larger by what follows them; MLX's float64 exp and sin are good to 1e-6.
CLOSE = {"rtol": 1e-8, "atol": 1e-9}
CLOSE_ON_MLX = {"rtol": 1e-3, "atol": 1e-4}
CLOSE_IN_SINGLE = {"rtol": 1e-5, "atol": 1e-6}  # a hundred roundings of 6e-8
CLOSE_TO_DIFFERENCES = {"rtol": 1e-4, "atol": 1e-5}  # central ones, with steps of 1e-5
LARGE = 20.0  # what is larger goes through a tanh, lest numbers explode

# How often a form is drawn, and the form: {a} is any value, {b} one that broadcasts with it, {w} one that
# leaves the shape of a row of {a}, {m} a right factor of {a}, {s} one of {a}'s shape; {c} a number.
FORMS = [
    (3, "ops.add({a}, {b})"), (2, "ops.subtract({a}, {b})"), (4, "ops.multiply({a}, {b})"),
    (2, "ops.divide({a}, ops.add(ops.square({b}), 1.0))"), (1, "ops.maximum({a}, {b})"),
    (1, "ops.minimum({a}, {b})"), (1, "ops.logaddexp({a}, {b})"), (2, "ops.multiply({a}, {c})"),
    (1, "ops.where(ops.greater({a}, {b}), ops.sin({a}), {b})"), (1, "ops.subtract({c}, {a})"),
    (1, "ops.atan2({a}, ops.add(ops.square({b}), 1.0))"), (1, "ops.power({a}, 3)"),
    (2, "ops.sin({a})"), (2, "ops.tanh({a})"), (1, "ops.sigmoid({a})"), (1, "ops.softplus({a})"),
    (1, "ops.gelu({a})"), (1, "ops.erf({a})"), (2, "ops.exp(ops.negative(ops.square({a})))"),
    (1, "ops.relu({a})"), (1, "ops.abs({a})"), (1, "ops.elu({a})"), (1, "ops.square({a})"),
    (1, "ops.log(ops.add(ops.abs({a}), 0.5))"), (1, "ops.sqrt(ops.add(ops.square({a}), 1.0))"),
    (1, "ops.power(ops.add(ops.abs({a}), 0.5), {c})"), (1, "ops.clip({a}, -0.7, 0.9)"),
    (1, "ops.floor({a})"), (1, "ops.sign({a})"), (1, "ops.stop_gradient({a})"),
    (1, "ops.astype(ops.less({a}, {b}), dtype='float64')"),
    (1, "ops.astype(ops.argmax({a}, axis={axis}), dtype='float64')"),
    (3, "ops.sum({a}, axis={axes}, keepdims={truth})"), (2, "ops.mean({a}, axis={axes}, keepdims={truth})"),
    (1, "ops.max({a}, axis={axis}, keepdims={truth})"), (1, "ops.min({a})"), (1, "ops.var({a}, axis={axis})"),
    (1, "ops.prod({a}, axis={axis})"), (1, "ops.logsumexp({a}, axis={axis})"),
    (1, "ops.vector_norm(ops.add({a}, 3.0), axis={axis})"),
    (2, "ops.softmax({a}, axis={axis})"), (1, "ops.log_softmax({a}, axis={axis})"),
    (1, "ops.cumulative_sum({a}, axis={axis})"), (1, "ops.sort({a}, axis={axis})"),
    (1, "ops.flip({a}, axis={axis})"), (1, "ops.roll({a}, 1, axis={axis})"),
    (4, "ops.matmul({a}, {m})"), (1, "ops.einsum('...i,...i->...', {a}, {s})"),
    (1, "ops.reshape({a}, shape=(-1,))"), (1, "ops.reshape({a}, shape={turned})"),
    (2, "ops.permute_dims({a}, axes={order})"), (1, "ops.expand_dims({a}, axis={axis})"),
    (2, "ops.getitem({a}, index={index})"), (1, "ops.concat([{a}, {s}], axis={axis})"),
    (1, "ops.stack([{a}, {s}, {a}], axis={axis})"), (1, "ops.pad({a}, 1, constant_values={c})"),
    (1, "ops.slice_update({a}, {w}, index=-1)"), (1, "ops.broadcast_to({a}, shape=(2, *{shape}))"),
    (1, "ops.take({a}, ops.asarray([0, -1, 0], dtype='int64', like={a}), axis={axis})"),
    (1, "ops.take_along_axis({a}, ops.argsort({s}, axis={axis}), axis={axis})"),
    (1, "ops.mse({a}, {s})"), (1, "ops.huber_loss({a}, {s})"),
    (1, "ops.categorical_crossentropy(ops.softmax({s}), {a}, from_logits=True)"),
    (2, "ops.scan(lambda c, x: (ops.tanh(ops.add(c, ops.multiply(x, {w}))), c), {row}, {a})[1]"),
    (1, "ops.scan(lambda c, x: (ops.sin(ops.subtract(x, c)), c), {row}, {a}, reverse=True)[0]"),
    (1, "ops.cond(ops.greater(ops.sum({a}), 0.0), lambda x: ops.multiply(x, {w}), ops.cos, {a})"),
    (1, "vmap(lambda row: ops.multiply(ops.softmax(row, axis=None), {w}))({a})"),
    (1, "vmap(lambda row: ops.sum(ops.multiply(row, {w})))({a})"),
    (1, "grad(lambda x: ops.sum(ops.sin(ops.multiply(x, {w}))))({a})"),
    # Loops and branches within each other; what they capture comes from outside of all of them.
    (1, "ops.scan(lambda c, x: (ops.cond(ops.greater(ops.sum(c), ops.sum(x)), lambda c: ops.sin("
        "ops.add(c, {w})), lambda c: ops.multiply(c, x), c), ops.sum(c)), {row}, {a})[1]"),
    (1, "ops.scan(lambda c, x: (ops.scan(lambda d, _: (ops.tanh(ops.add(d, ops.multiply(x, {w}))), None), c,"
        " length=2)[0], c), {row}, {a})[0]"),
    (1, "ops.cond(ops.less(ops.sum({a}), 0.3), lambda x: ops.scan(lambda c, r: (ops.add(ops.multiply(c, {w}),"
        " ops.sin(r)), c), {row}, x)[1], lambda x: ops.cond(ops.greater(ops.max(x), 0.5), ops.sin, ops.cos,"
        " x), {a})"),
    (1, "ops.scan(lambda c, x: (ops.add(c, grad(lambda y: ops.sum(ops.multiply(ops.sin(y), ops.multiply(y,"
        " {w}))))(x)), c), {row}, {a})[0]"),
    (1, "ops.stop_gradient(ops.while_loop(lambda v: ops.less(v[1], 3), lambda v: (ops.scan(lambda c, r: ("
        "ops.sin(ops.add(c, r)), c), {row}, v[0])[1], ops.add(v[1], 1)), ({a}, 0))[0])"),
    (1, "vmap(lambda row: ops.scan(lambda c, x: (ops.sin(ops.add(c, x)), c), ops.sum(row),"
        " ops.reshape(row, shape=(-1,)))[1])({a})"),
    # Transformations within each other.
    (1, "grad(lambda x: ops.sum(ops.square(grad(lambda y: ops.sum(ops.multiply(ops.sin(y), y)))(x))))({a})"),
    (1, "grad(lambda x: ops.sum(vmap(lambda row: ops.sum(ops.sin(ops.multiply(row, {w}))))(x)))({a})"),
    (1, "vmap(grad(lambda row: ops.sum(ops.multiply(ops.tanh(row), {w}))))({a})"),
    (1, "compile(lambda x: ops.multiply(ops.sin(x), ops.add(x, {c})))({a})"),
    (1, "grad(lambda x: ops.sum(compile(grad(lambda y: ops.sum(ops.power(y, 3))))(x)))({a})"),
    # Dtypes that meet, and arrays of nothing.
    (1, "ops.multiply(ops.astype({a}, dtype='float32'), {b})"),
    (1, "ops.astype(ops.multiply(ops.astype({a}, dtype='int32'), 3), dtype='float64')"),
    (1, "ops.astype(ops.sum(ops.astype({a}, dtype='int64'), axis={axis}), dtype='float64')"),
    (1, "ops.where(ops.logical_and(ops.greater({a}, -0.5), ops.logical_not(ops.less({a}, {b}))), {a}, 2)"),
    (1, "ops.multiply({a}, ops.astype(ops.any(ops.greater({a}, {c}), axis={axis}, keepdims=True),"
        " dtype='float64'))"),
    (1, "ops.concat([ops.getitem({a}, index=slice(0, 0)), {a}], axis=0)"),
    (1, "ops.add({w}, ops.sum(ops.sin(ops.getitem({a}, index=(slice(0, 0), ...))), axis=0))"),
    (1, "ops.scan(lambda c, x: (ops.add(ops.sin(c), x), c), ops.add({row}, 0.5),"
        " ops.getitem({a}, index=slice(0, 0)))[0]"),
]  # fmt: skip
NEED_AN_AXIS = (
    "{axis}",
    "{axes}",
    "{m}",
    "{w}",
    "{row}",
    "{index}",
    "einsum",
    "entropy",
    "pad",
    "slice",
    "vmap",
)
WEIGHTED = [form for weight, form in FORMS for _ in range(weight)]
SHAPES = [(2, 3), (), (3,), (3, 2), (2, 1), (1, 3), (2, 2, 3)]
SCOPE = {"ops": ops, "vmap": vmap, "grad": grad, "compile": compile}


class Program:
    """A function of arrays as text: the shapes of its arguments, its lines, the names that it returns."""

    def __init__(self, shapes, lines, results):
        self.shapes, self.lines, self.results = shapes, lines, results

    def __repr__(self):
        arguments = ", ".join(f"x{i}" for i in range(len(self.shapes)))
        body = [*self.lines, f"return {', '.join(self.results)},"]
        return f"\ndef program({arguments}):  # shapes {self.shapes}\n" + textwrap.indent(
            "\n".join(body), "    "
        )

    @cached_property
    def function(self):
        """The function from arrays to a tuple of arrays."""
        scope = dict(SCOPE)
        exec(repr(self), scope)
        return scope["program"]

    @property
    def smooth(self):
        """Whether its gradient is the slope of its values, at steps of 1e-5."""
        return not {"stop_gradient", "float32"} & {*re.findall(r"\w+", repr(self))}

    def close(self, be):
        """Return how close values must be to NumPy's."""
        if be == "mlx":
            return CLOSE_ON_MLX
        return CLOSE_IN_SINGLE if "float32" in repr(self) else CLOSE

    def arguments(self, shift=0.0):
        """Return NumPy arguments, the same ones for each shape and place."""
        plain = [argument(i, shape) for i, shape in enumerate(self.shapes)]
        return [np.array(x + shift * np.cos(9 * x)) for x in plain]

    def loss(self, *args):
        """Return the sum of all results, each value with a weight of its own."""
        total = 0.0
        for out in self.function(*args):
            places = ops.reshape(
                ops.arange(math.prod(out.shape), dtype="float64", like=args[0]), shape=tuple(out.shape)
            )
            total = ops.add(total, ops.sum(ops.multiply(ops.cos(places), out)))
        return total

    def run(self, *args):
        """Return the results, and the gradients of the loss."""
        return self.function(*args), grad(self.loss, tuple(range(len(args))))(*args)


def argument(place, shape):
    return np.asarray(1.5 * np.sin(1.0 + place + 2.3 * np.arange(math.prod(shape)))).reshape(shape)


# Drawing


@st.composite
def programs(draw):
    """Draw a program: how many lines it has, and the number that decides on everything else.

    With fewer lines it is the beginning of the same program, so what fails shrinks to where it does.
    """
    count, rng = draw(st.integers(3, 15)), Random(draw(st.integers(0, 2**32 - 1)))
    shapes = (SHAPES[0], *rng.choices(SHAPES, k=rng.randrange(3)))
    values = {f"x{i}": argument(i, shape) for i, shape in enumerate(shapes)}
    lines = []
    for i in range(count):
        text = filled(rng, rng.choice(WEIGHTED), values)
        found = evaluated(text, values)
        if found.size > 60:
            text = f"ops.sum({text}, axis=0)"
        if np.abs(found).max(initial=0.0) > LARGE:
            text = f"ops.tanh({text})"
        values[f"v{i}"] = found = evaluated(text, values)
        assume(np.isfinite(found).all())
        lines.append(f"v{i} = {text}")
    more = [f"v{i}" for i in range(count - 1) if rng.random() < 0.1]
    program = Program(shapes, lines, [f"v{count - 1}", *more])
    assume(is_stable(program))
    return program


def evaluated(text, values):
    with np.errstate(all="ignore"):
        return np.asarray(eval(text, {**SCOPE, **values}))


def filled(rng, form, values):
    """Return a form with its places filled: names of values whose shapes fit, and settings."""
    needs_axis = any(part in form for part in NEED_AN_AXIS)
    a = rng.choice(recent([x for x in values if values[x].ndim or not needs_axis]))
    shape = values[a].shape
    ndim, turned = len(shape), a if len(shape) < 2 else f"ops.matrix_transpose({a})"

    def named(suits, otherwise):
        return rng.choice(recent([x for x in values if suits(values[x].shape)]) or [otherwise])

    makers = {
        "a": lambda: a,
        "b": lambda: named(lambda s: fits(np.broadcast_shapes, s, shape), a),
        "s": lambda: named(lambda s: s == shape, a),
        "w": lambda: named(lambda s: fits(np.broadcast_shapes, s, shape[1:]) == shape[1:], "0.7"),
        "m": lambda: named(lambda s: fits(product_shape, shape, s), turned),
        "c": lambda: rng.choice([0.5, 2.0, -1.5, 3]),
        "truth": lambda: rng.random() < 0.5,
        "axis": lambda: rng.randrange(-ndim, ndim),
        "axes": lambda: rng.choice([None, rng.randrange(-ndim, ndim), tuple(range(ndim))]),
        "order": lambda: tuple(rng.sample(range(ndim), ndim)),
        "index": lambda: rng.choice(["0", "-1", "(..., 0)", "(slice(None, None, -1), None)", "slice(0, 1)"]),
        "shape": lambda: shape,
        "turned": lambda: shape[::-1],
        "row": lambda: f"ops.zeros_like(ops.getitem({a}, index=0))",
    }
    return form.format(**{name: make() for name, make in makers.items() if f"{{{name}}}" in form})


def recent(names):
    """Return names with the last ones repeated, so that programs grow deep."""
    return [*names, *names[-3:], *names[-1:]]


def product_shape(left, right):
    return np.matmul(np.zeros(left), np.zeros(right)).shape


def fits(rule, *shapes):
    """Return the shape that a rule tells, or None where it refuses."""
    try:
        return rule(*shapes)
    except ValueError:
        return None


def is_stable(program):
    """Whether values and gradient are finite and change little with the arguments: no step is near."""
    with np.errstate(all="ignore"):
        found = [tree.leaves(program.run(*program.arguments(shift))) for shift in (0.0, 1e-10, -1e-10, 3e-9)]
    return all(
        np.isfinite(x).all() and np.allclose(x, y, rtol=1e-6, atol=1e-6)
        for other in found[1:]
        for x, y in zip(found[0], other, strict=True)
    )


# The law


def hold(be, programs, eagerly=1):
    """Assert that programs do on an engine what they do on NumPy: compiled, and one in `eagerly` at once."""
    args, others = ([[be.array(x) for x in p.arguments(shift)] for p in programs] for shift in (0.0, 0.1))
    run = compile(lambda args: [p.run(*each) for p, each in zip(programs, args, strict=True)], be)
    compiled, _ = run(args), run(others)  # another call changes nothing that was returned
    for i, (program, own, got) in enumerate(zip(programs, args, compiled, strict=True)):
        want = program.run(*program.arguments())
        agree(be, program, got, want)
        if i % eagerly == 0:
            agree(be, program, program.run(*own), want)


def agree(be, program, got, want, **tolerance):
    assert tree.structure(got) == tree.structure(want)
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert be.owns(type(g))
        close = tolerance or program.close(be)
        np.testing.assert_allclose(be.to_numpy(g), w, **close, err_msg=repr(program))


def differences(program):
    """Return the slopes of the loss by central differences."""
    args, step = program.arguments(), 1e-5
    slopes = [np.zeros_like(x) for x in args]
    for x, slope in zip(args, slopes, strict=True):
        for i in np.ndindex(x.shape):
            kept = x[i]
            x[i] = kept + step
            above = program.loss(*args)
            x[i] = kept - step
            slope[i] = (above - program.loss(*args)) / (2 * step)
            x[i] = kept
    return slopes


def law(examples, *phases):
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate, *phases),
        suppress_health_check=list(HealthCheck),
    )


TWENTY = st.lists(programs(), min_size=20, max_size=20)
GROUPS = int(os.environ.get("EMBER_ML_PROGRAMS", "40")) // 20  # by hand, JAX and MLX get 300 too


@law(300, Phase.shrink)
@given(programs())
def test_numpy_runs_programs_compiled_as_eagerly_with_the_gradient_of_finite_differences(program):
    with use_backend("numpy") as be:
        hold(be, [program])
        if program.smooth:
            _, gradient = program.run(*program.arguments())
            agree(be, program, list(gradient), differences(program), **CLOSE_TO_DIFFERENCES)


@pytest.mark.skipif("torch" not in ENGINES, reason="torch is not installed")
@law(300, Phase.shrink)
@given(programs())
def test_torch_runs_programs_and_its_autograd_agrees(program):
    import torch

    with use_backend("torch") as be:
        hold(be, [program])
        args = [torch.tensor(x, requires_grad=True) for x in program.arguments()]
        loss = program.loss(*args)
        slopes = (
            torch.autograd.grad(loss, args, materialize_grads=True)
            if loss.requires_grad
            else [x * 0 for x in args]
        )
        agree(be, program, [x.detach() for x in slopes], list(program.run(*program.arguments())[1]))


@pytest.mark.skipif("jax" not in ENGINES, reason="jax is not installed")
@law(GROUPS)
@given(TWENTY)
def test_jax_runs_programs_and_its_grad_agrees(programs):
    import jax

    with use_backend("jax") as be:
        hold(be, programs, eagerly=10)
        args = [[be.array(x) for x in program.arguments()] for program in programs]
        total = lambda args: sum(p.loss(*each) for p, each in zip(programs, args, strict=True))
        for program, slopes in zip(programs, jax.jit(jax.grad(total))(args), strict=True):
            agree(be, program, slopes, list(program.run(*program.arguments())[1]))


@pytest.mark.skipif("mlx" not in ENGINES, reason="mlx is not installed")
@law(GROUPS)
@given(TWENTY)
def test_mlx_runs_programs(programs):
    with use_backend("mlx") as be:
        hold(be, programs, eagerly=10)
