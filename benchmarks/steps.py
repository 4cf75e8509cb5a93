# ruff: noqa: E402 - how many threads there are is settled before the engines are imported
"""One training step, loss and all parameter gradients, of three small models: ours and those of others.

float32, weights stored (out, in). Every contender takes a dict of parameters, x and y that lie with it, and
returns the loss and a dict of gradients; all must agree with hand-written NumPy (which is 1.0) to 1e-4 of the
largest entry of each gradient. All stand in one process on one core and take turns in an order shuffled each
round, about 20 ms each; the clock is the CPU time of the process; a ratio is taken within a round.

    python benchmarks/steps.py [--only a,b] [--contenders tuned,ember] [--rounds 41]
"""

from timing import alternate, calls_in, columns, console, one_core, setting

one_core()

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from rich.table import Table

PACKAGES = ("numpy", "numba", "torch", "jax", "autograd", "pytensor")
NAMES = (("w1", "b1"), ("w2", "b2"), ("w3", "b3"))
ACCURACY = 1e-4


@dataclass(frozen=True)
class Case:
    """A network of dense layers with relu between them, and a batch for it."""

    title: str
    widths: tuple[int, ...]
    batch: int
    labels: bool = False  # integer classes under a softmax cross-entropy, else targets under a mean square

    def arrays(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Return parameters, inputs and targets."""
        rng = np.random.default_rng(0)
        params = {}
        for (w, b), inside, out in zip(NAMES, self.widths, self.widths[1:], strict=False):
            params[w] = rng.normal(0, inside**-0.5, (out, inside)).astype("float32")
            params[b] = rng.normal(0, 0.1, out).astype("float32")
        x = rng.normal(size=(self.batch, self.widths[0])).astype("float32")
        shape = (self.batch, self.widths[-1])
        y = (
            rng.integers(0, shape[1], shape[0], "int32")
            if self.labels
            else rng.normal(size=shape).astype("float32")
        )
        return params, x, y


CASES = {
    "a": Case("(a) linear regression, 100 x 5 -> 1, mean square", (5, 1), 100),
    "b": Case("(b) 5 -> 32 -> 16 -> 1, batch 64, mean square", (5, 32, 16, 1), 64),
    "c": Case(
        "(c) 784 -> 512 -> 256 -> 10, batch 256, softmax cross-entropy", (784, 512, 256, 10), 256, True
    ),
}


def affine(x: Any, w: Any, b: Any) -> Any:
    return x @ w.T + b


def network(p: dict, x: Any, relu: Callable, linear: Callable = affine) -> Any:
    """Return what the last layer computes; the same words for every library that differentiates by itself."""
    *hidden, (w, b) = NAMES[: len(p) // 2]
    for v, c in hidden:
        x = relu(linear(x, p[v], p[c]))
    return linear(x, p[w], p[b])


# NumPy by hand


def square_head(out: np.ndarray, y: np.ndarray) -> tuple:
    error = out - y
    return np.mean(error**2), 2 * error / error.size


def label_head(out: np.ndarray, y: np.ndarray) -> tuple:
    rows = np.arange(len(y))
    shifted = out - out.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    slope = np.exp(logs)
    slope[rows, y] -= 1
    return -np.mean(logs[rows, y]), slope / len(y)


def naive(case: Case) -> Callable:
    """Return the step as one writes it at first; every line allocates."""
    params, x, y = case.arrays()
    head = label_head if case.labels else square_head

    def shallow(p, x, y):
        loss, slope = head(x @ p["w1"].T + p["b1"], y)
        return loss, {"w1": slope.T @ x, "b1": slope.sum(axis=0)}

    def deep(p, x, y):
        h1 = np.maximum(x @ p["w1"].T + p["b1"], 0)
        h2 = np.maximum(h1 @ p["w2"].T + p["b2"], 0)
        loss, d3 = head(h2 @ p["w3"].T + p["b3"], y)
        d2 = (d3 @ p["w3"]) * (h2 > 0)
        d1 = (d2 @ p["w2"]) * (h1 > 0)
        return loss, {
            "w1": d1.T @ x,
            "b1": d1.sum(axis=0),
            "w2": d2.T @ h1,
            "b2": d2.sum(axis=0),
            "w3": d3.T @ h2,
            "b3": d3.sum(axis=0),
        }

    return partial(deep if len(params) > 2 else shallow, params, x, y)


def square_into(out: np.ndarray, y: np.ndarray) -> Callable:
    """Return the loss of `out`, which becomes its own slope; the same for `label_into`."""
    subtract, multiply = np.subtract, np.multiply
    flat, factor = out.reshape(-1), np.float32(2 / out.size)

    def head():
        subtract(out, y, out=out)
        loss = flat.dot(flat) / flat.size
        multiply(out, factor, out=out)
        return loss

    return head


def label_into(out: np.ndarray, y: np.ndarray) -> Callable:
    reduce_max, reduce_sum = np.maximum.reduce, np.add.reduce
    column, chosen = (
        np.empty((len(out), 1), out.dtype),
        np.ravel_multi_index((np.arange(len(y)), y), out.shape),
    )
    picked, flat, factor = np.empty(len(out), out.dtype), out.reshape(-1), np.float32(1 / len(out))

    def head():
        reduce_max(out, axis=1, keepdims=True, out=column)
        np.subtract(out, column, out=out)
        flat.take(chosen, out=picked, mode="clip")
        np.exp(out, out=out)
        reduce_sum(out, axis=1, keepdims=True, out=column)
        np.divide(out, column, out=out)
        np.log(column, out=column)
        loss = (reduce_sum(column, axis=None) - reduce_sum(picked)) * factor
        flat[chosen] -= 1
        np.multiply(out, factor, out=out)
        return loss

    return head


def tuned(case: Case) -> Callable:
    """Return the step into arrays made before, by functions and views that are bound before."""
    params, x, y = case.arrays()
    gradients = {name: np.empty_like(value) for name, value in params.items()}
    names = NAMES[: len(params) // 2]
    outs = [np.empty((case.batch, width), "float32") for width in case.widths[1:]]
    inputs = [x, *outs[:-1]]
    slopes = [*map(np.empty_like, outs[:-1]), outs[-1]]
    masks = [np.empty(out.shape, "bool") for out in outs]
    head = (label_into if case.labels else square_into)(outs[-1], y)
    dot, add, maximum, multiply, greater, total = (
        np.dot, np.add, np.maximum, np.multiply, np.greater, np.add.reduce,
    )  # fmt: skip
    forward = [(a, params[w].T, params[b], out) for a, (w, b), out in zip(inputs, names, outs, strict=True)]
    last = forward.pop()
    backward = [
        (
            slopes[i].T,
            slopes[i],
            inputs[i],
            gradients[w],
            gradients[b],
            params[w],
            slopes[i - 1],
            masks[i - 1],
        )
        for i, (w, b) in reversed(list(enumerate(names)))
    ]
    first = backward.pop()

    def step():
        for a, w, b, out in forward:
            dot(a, w, out=out)
            add(out, b, out=out)
            maximum(out, 0, out=out)
        a, w, b, out = last
        dot(a, w, out=out)
        add(out, b, out=out)
        loss = head()
        for turned, slope, a, dw, db, w, before, mask in backward:
            dot(turned, a, out=dw)
            total(slope, axis=0, out=db)
            dot(slope, w, out=before)
            greater(a, 0, out=mask)
            multiply(before, mask, out=before)
        turned, slope, a, dw, db, *_ = first
        dot(turned, a, out=dw)
        total(slope, axis=0, out=db)
        return loss, gradients

    return step


def numba_by_hand(case: Case) -> Callable:
    """Return the step as loops fused around BLAS, into arrays made before."""
    import numba_steps

    params, x, y = case.arrays()
    gradients = {name: np.empty_like(value) for name, value in params.items()}
    given = (*params.values(), x, y, *gradients.values())
    head = numba_steps.label_head if case.labels else numba_steps.square_head
    kernel = numba_steps.deep_with(head) if len(params) > 2 else numba_steps.shallow
    return lambda: (kernel(*given), gradients)


# Libraries that differentiate by themselves


def engine_named(name: str, speed: bool = False) -> Any:
    """Return one of our backends; `speed` is whether NumPy's may use Numba."""
    import ember_ml
    from ember_ml.backend.numpy_backend import NumPyBackend

    return NumPyBackend(enable_optimizations=speed) if name == "numpy" else ember_ml.get_backend(name)


def ember_parts(case: Case, engine: Any) -> tuple[Callable, tuple]:
    """Return the loss as our users write it, and its arguments on an engine."""
    from ember_ml import ops

    def loss(p, x, y):
        out = network(p, x, ops.relu)
        if case.labels:
            return ops.sparse_categorical_crossentropy(y, out, from_logits=True)
        return ops.mse(y, out)

    params, x, y = case.arrays()
    given = {name: engine.array(value) for name, value in params.items()}
    return loss, (given, engine.array(x), engine.array(y))


def ember(case: Case, name: str = "numpy", speed: bool = False) -> Callable:
    """Return our compiled step on an engine."""
    from ember_ml.compiler import compile, value_and_grad

    engine = engine_named(name, speed)
    loss, given = ember_parts(case, engine)
    step = compile(value_and_grad(loss), engine)
    return awaited(step, *given) if name == "jax" else partial(step, *given)


def awaited(step: Callable, *given: Any) -> Callable:
    """Return what waits for JAX, which else only begins."""
    import jax

    return lambda: jax.block_until_ready(step(*given))


def jax_by_hand(case: Case) -> Callable:
    import jax
    import jax.numpy as jnp

    def loss(p, x, y):
        out = network(p, x, jax.nn.relu)
        if case.labels:
            return -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1).mean()
        return jnp.mean((out - y) ** 2)

    return awaited(jax.jit(jax.value_and_grad(loss)), *jax.tree.map(jnp.asarray, case.arrays()))


def torch_eager(case: Case) -> Callable:
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    arrays, x, y = case.arrays()
    params = {name: torch.tensor(value, requires_grad=True) for name, value in arrays.items()}
    leaves = list(params.values())
    x, y = torch.from_numpy(x), torch.from_numpy(y.astype("int64") if case.labels else y)
    head = functional.cross_entropy if case.labels else functional.mse_loss

    def step():
        loss = head(network(params, x, torch.relu, functional.linear), y)
        slopes = torch.autograd.grad(loss, leaves)
        return loss.detach(), dict(zip(params, slopes, strict=True))

    return step


def hips(case: Case) -> Callable:
    import autograd
    import autograd.numpy as anp

    def loss(p, x, y):
        out = network(p, x, lambda z: anp.maximum(z, 0))
        if not case.labels:
            return anp.mean((out - y) ** 2)
        shifted = out - anp.max(out, axis=1, keepdims=True)
        logs = shifted - anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))
        return -anp.mean(logs[np.arange(len(y)), y])

    return partial(autograd.value_and_grad(loss), *case.arrays())


def pytensor_numba(case: Case) -> Callable:
    """Return PyTensor's step, compiled by its Numba linker, which trusts its inputs."""
    import pytensor
    import pytensor.tensor as pt

    pytensor.config.floatX = "float32"
    params, x, y = case.arrays()
    names = {name: pt.TensorType("float32", value.shape)(name) for name, value in params.items()}
    given = pt.TensorType(x.dtype, x.shape)("x"), pt.TensorType(y.dtype, y.shape)("y")
    out = network(names, given[0], lambda z: pt.maximum(z, 0))
    if case.labels:
        loss = -pt.special.log_softmax(out, axis=1)[np.arange(case.batch), given[1]].mean()
    else:
        loss = ((out - given[1]) ** 2).mean()
    slopes = pytensor.grad(loss, list(names.values()))
    step = pytensor.function([*names.values(), *given], [loss, *slopes], mode="NUMBA")
    step.trust_input = True
    arrays = (*params.values(), x, y)

    def run():
        found, *slopes = step(*arrays)
        return found, dict(zip(params, slopes, strict=True))

    return run


# Who each is, the package that it needs, and how it is made
CONTENDERS: dict[str, tuple[str, str, Callable[[Case], Callable]]] = {
    "numpy": ("NumPy by hand", "numpy", naive),
    "tuned": ("NumPy by hand, all out=", "numpy", tuned),
    "numba": ("Numba by hand", "numba", numba_by_hand),
    "ember": ("ember_ml, NumPy", "ember_ml", ember),
    "ember-speed": ("ember_ml, NumPy and Numba", "numba", partial(ember, speed=True)),
    "ember-torch": ("ember_ml, torch", "torch", partial(ember, name="torch")),
    "ember-jax": ("ember_ml, JAX", "jax", partial(ember, name="jax")),
    "jax": ("jax.jit by hand", "jax", jax_by_hand),
    "torch": ("torch eager", "torch", torch_eager),
    "autograd": ("HIPS autograd", "autograd", hips),
    "pytensor": ("PyTensor, Numba", "pytensor", pytensor_numba),
}


def steps(case: Case, names: list[str]) -> dict[str, Callable]:
    """Return the step of every contender that is installed, each checked against the first."""
    made = {name: CONTENDERS[name][2](case) for name in names if find_spec(CONTENDERS[name][1])}
    loss, slopes = naive(case)()
    for name, step in made.items():
        found, gradients = step()
        np.testing.assert_allclose(float(found), loss, rtol=ACCURACY, err_msg=name)
        for key, wanted in slopes.items():
            got = np.asarray(gradients[key])
            if got.dtype != "float32":
                raise TypeError(f"{name}: the gradient of {key} is {got.dtype}, not float32")
            np.testing.assert_allclose(
                got, wanted, rtol=0, atol=ACCURACY * np.abs(wanted).max(), err_msg=f"{name} {key}"
            )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(CASES), help="which of a, b, c")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help=", ".join(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=41)
    options = parser.parse_args()
    names = ["numpy", *(name for name in options.contenders.split(",") if name != "numpy")]
    told = console()
    told.print(setting(PACKAGES, f"one thread; {options.rounds} rounds of about 20 ms each"))
    for key in options.only.split(","):
        made = steps(CASES[key], names)
        calls = {name: calls_in(step, 0.02) for name, step in made.items()}
        seen = alternate(made, options.rounds, calls=calls)
        table = Table("who", "CPU µs, median (quartiles)", "fastest", "over NumPy", title=CASES[key].title)
        for name, values in seen.items():
            table.add_row(CONTENDERS[name][0], *columns(values, seen["numpy"], 1, 1e6))
        told.print(table)


if __name__ == "__main__":
    main()
