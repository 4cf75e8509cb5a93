"""Seed 001's two examples, a line and a network of layers, trained on every engine that is installed here.

The parameters start equal, so the losses must stay equal; the table shows how far they drift apart.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import ember_ml.compat.mithril as ml
from ember_ml import available_backends, get_backend, set_seed

STEPS, LEARNING_RATE = 100, 0.05


def line() -> Any:
    """Return a linear regression."""
    model = ml.Model()
    model |= ml.Linear(dimension=1)(input="input", output="output")
    return model


def layers() -> Any:
    """Return a network of three layers."""
    model = ml.Model()
    model |= ml.Linear(dimension=32)(input="input", output="hidden1")
    model += ml.Relu()(input="hidden1", output="hidden1_act")
    model += ml.Linear(dimension=16)(input="hidden1_act", output="hidden2")
    model += ml.Relu()(input="hidden2", output="hidden2_act")
    model += ml.Linear(dimension=1)(input="hidden2_act", output="output")
    return model


def losses(model: Any, backend: Any, x: np.ndarray, y: np.ndarray) -> Iterator[float]:
    """Yield the mean squared error of each step of gradient descent."""
    compiled = ml.compile(model, backend, shapes={"input": (None, x.shape[1])})
    data, target = {"input": backend.array(x)}, backend.array(y)
    params = compiled.get_parameters()
    for _ in range(STEPS):
        outputs, gradients = compiled.evaluate(
            params, data, output_gradients=lambda found: {"output": 2 * (found["output"] - target) / len(y)}
        )
        for name, gradient in gradients.items():
            params[name] = params[name] - LEARNING_RATE * gradient
        yield float(((outputs["output"] - target) ** 2).mean())


def main() -> None:
    """Train both models on each engine and print the errors side by side."""
    set_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 5)).astype("float32")
    slopes = np.array([[1.0], [-0.5], [0.25], [0.1], [0.7]])
    y = (x @ slopes + 0.1 * rng.standard_normal((100, 1))).astype("float32")
    engines = [name for name in ("numpy", "torch", "jax", "mlx") if name in available_backends()]
    print(f"{'model':8}{'engine':8}{'first':>10}{'last':>10}  largest difference from numpy")
    for build in (line, layers):
        model = build()
        found = {name: np.array(list(losses(model, get_backend(name), x, y))) for name in engines}
        for name, errors in found.items():
            apart = abs(errors / found["numpy"] - 1).max()
            print(f"{build.__name__:8}{name:8}{errors[0]:10.5f}{errors[-1]:10.5f}  {apart:.1e}")


if __name__ == "__main__":
    main()
