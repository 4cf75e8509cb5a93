"""Complex numbers: values against NumPy, gradients against torch's and against finite differences."""

import numpy as np
import pytest

from conftest import close
from ember_ml import ops, tensor
from ember_ml.cli.samples import PREPARED, SETTLED, call, cases, sample
from ember_ml.compiler import compile, custom_vjp, grad, vjp
from ember_ml.core import TABLE, Spec, as_dtype, tree
from ember_ml.core.trace import constant

RNG = np.random.default_rng(5)
Z = (RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))).astype("complex64")
W = (RNG.normal(size=4) + 1j * RNG.normal(size=4)).astype("complex64")

UNARY = """
    abs acos acosh angle asin asinh atan atanh conj cos cosh exp expm1 imag log log10 log1p log2 negative real
    reciprocal rsqrt sign sin sinh sqrt square tan tanh positive
"""
BINARY = ["add", "subtract", "multiply", "divide", "power"]
IN_TORCH = {"sign": "sgn", "power": "pow"}


def of_numbers(name, *numbers):
    """Return a real loss over what an op makes of complex arrays."""
    out = TABLE[name].function(*numbers)
    return ops.sum(ops.square(ops.abs(ops.add(out, 1))))


@pytest.mark.parametrize("name", [*UNARY.split(), *BINARY])
def test_complex_gradients_are_torchs(be, name):
    torch = pytest.importorskip("torch")
    arrays = [Z, W] if name in BINARY else [Z]
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = getattr(torch, IN_TORCH.get(name, name))(*leaves)
    (out + 1).abs().square().sum().backward()
    places = tuple(range(len(arrays)))
    natives = [be.array(a) for a in arrays]
    f = grad(lambda *numbers: of_numbers(name, *numbers), places)
    for run in (f, compile(f, be)) if name in ("multiply", "abs", "power") else (f,):
        for got, leaf in zip(run(*natives), leaves, strict=True):
            close(
                np.asarray(got), leaf.grad.resolve_conj().numpy(), rtol=1e-4, atol=1e-4
            )  # chains of float32 steps


def as_complex(args):
    """Return the arguments of a law with imaginary parts of their own size."""
    rng = np.random.default_rng(2)
    return tree.map(
        lambda a: np.asarray(a + 1j * rng.uniform(0.2, 0.8, a.shape)) if a.dtype.kind == "f" else a, args
    )


def takes_complex(op, number):
    """Whether an op's rules accept the law's arguments made complex, and give numbers for them."""
    args, settings = sample(op, number, "float64")
    specs = tree.map(lambda a: Spec(a.shape, as_dtype(a.dtype)), as_complex(args))
    some = any(s.dtype.kind == "complex" for s in tree.leaves(specs))
    if "complex" not in op.kinds or not some or "dtype" in settings:
        return False
    try:
        outs = call(op, specs, settings)
    except (TypeError, ValueError):  # an op within is for real numbers
        return False
    return all(s.dtype.kind in ("float", "complex") for s in tree.leaves(outs))


COMPLEX_CASES = [
    pytest.param(op, i, id=f"{op.name}-{i}")
    for op, i in cases()
    if op.differentiable
    and not op.creates
    and op.vjp is not constant
    and op.name not in {*PREPARED, *SETTLED}  # decompositions: tests/ops/test_linalg.py
    and takes_complex(op, i)
]


@pytest.mark.parametrize(("op", "number"), COMPLEX_CASES)
def test_complex_gradients_agree_with_finite_differences(op, number):
    """Of real f: the gradient is f's derivative by the real part, plus i times that by the imaginary part."""
    args, settings = sample(op, number, "float64")
    flat, structure = tree.flatten(as_complex(args))
    places = [i for i, a in enumerate(flat) if a.dtype.kind == "c"]
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(size=np.shape(o)) + 1j * rng.normal(size=np.shape(o))
        for o in tree.leaves(call(op, tree.unflatten(structure, flat), settings))
    ]

    def loss(*values):
        full = list(flat)
        for place, value in zip(places, values, strict=True):
            full[place] = value
        outs = tree.leaves(call(op, tree.unflatten(structure, full), settings))
        parts = [ops.sum(ops.real(ops.multiply(o, w))) for o, w in zip(outs, weights, strict=True)]
        return sum(parts[1:], parts[0])

    values = [flat[i] for i in places]
    for k, got in enumerate(grad(loss, tuple(range(len(values))))(*values)):
        want = np.zeros_like(values[k])
        for i in np.ndindex(want.shape):
            for unit in (1, 1j):
                shifted = []
                for step in (1e-6, -1e-6):
                    moved = [x.copy() for x in values]
                    moved[k][i] += step * unit
                    shifted.append(loss(*moved))
                want[i] += unit * (shifted[0] - shifted[1]) / 2e-6
        close(np.asarray(got), want, "float64", rtol=1e-6, atol=1e-7)


def test_a_compiled_real_program_knows_nothing_of_conjugates(be):
    compiled = compile(grad(lambda x: ops.sum(ops.abs(ops.multiply(x, ops.exp(x))))), be)
    compiled(be.array(np.ones(3, "float32")))
    assert "conj" not in compiled.source


def test_backward_of_a_tensor_gives_torchs_gradient(be):
    z = tensor.array(be.array(Z))
    z.requires_grad = True
    ops.sum(ops.square(ops.abs(z))).backward()
    close(np.asarray(z.grad), 2 * Z)


def test_vjp_takes_and_gives_torchs_cotangents(be):
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(Z, requires_grad=True)
    (leaf * leaf).backward(torch.tensor(Z + 1j))
    _, pull = vjp(ops.square, be.array(Z))
    close(np.asarray(pull(be.array(Z + np.complex64(1j)))[0]), leaf.grad.resolve_conj().numpy(), rtol=1e-4)


def test_a_rule_of_ones_own_sees_torchs_cotangents(be):
    """f = z**2 by hand: torch's gradient of sum |f|**2 is 2 f times the conjugate of f'."""

    @custom_vjp
    def squared(z):
        return ops.square(z)

    squared.defvjp(
        lambda z: (ops.square(z), z), lambda z, g: (ops.multiply(g, ops.multiply(ops.conj(z), 2)),)
    )
    got = grad(lambda z: ops.sum(ops.square(ops.abs(squared(z)))))(be.array(Z))
    close(np.asarray(got), 4 * Z**2 * np.conj(Z), rtol=1e-4)


@pytest.mark.parametrize("name", UNARY.split())
def test_complex_values_agree_with_numpy(be, name):
    reference = {"negative": np.negative, "rsqrt": lambda z: 1 / np.sqrt(z)}.get(name) or getattr(np, name)
    for run in (TABLE[name].function, compile(TABLE[name].function, be)):
        close(np.asarray(run(be.array(Z))), reference(Z))


def test_complex_numbers_have_no_order(be):
    z = tensor.array(be.array(Z))
    for op in (ops.max, ops.min, ops.argmax, ops.sort, ops.maximum, ops.floor_divide, ops.less, ops.floor):
        args = (z, z) if op in (ops.maximum, ops.floor_divide, ops.less) else (z,)
        with pytest.raises(TypeError, match="got complex64"):
            op(*args)
