"""Adding an op, an engine or a layer touches one file: a stranger adds all three, following CONTRIBUTING."""

import importlib.util
import textwrap

import numpy as np
import pytest

from conftest import close
from ember_ml import backend, ops, tensor
from ember_ml.compiler import compile, grad
from ember_ml.core import TABLE, Spec, as_dtype


def load(folder, name, text):
    """Import a file that somebody wrote."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def table():
    """The op table, put back as it was."""
    before = set(TABLE)
    yield TABLE
    for name in set(TABLE) - before:
        del TABLE[name]


OPS = '''
    """Two ops that nobody had."""

    from ember_ml.core import composite, primitive
    from ember_ml.ops import cos, divide, multiply, sin, subtract, where, equal


    @composite()
    def versine(x, /, scale=1.0):
        """scale * (1 - cos x), which is what navigators used."""
        return multiply(subtract(1.0, cos(x)), scale)


    @primitive(domain=(0.1, 1.0), vjp=lambda g, out, x: (multiply(g, divide(subtract(cos(x), out), x)),))
    def sinc(x, /):
        """sin(x) / x."""
'''


def test_an_op_is_one_entry_in_one_file(tmp_path, table, be):
    mine = load(tmp_path, "my_ops", OPS)
    x = np.array([[0.3, 0.7]])
    given = be.array(x)
    loose = {"rtol": 1e-6} if be == "mlx" else {}  # its float64 sin and cos, a declared gap

    # a composite has everything at once: value, shape, gradient, compiled form, method, tensors
    close(mine.versine(given, scale=2.0), 2 * (1 - np.cos(x)), "float64", **loose)
    assert mine.versine(Spec((1, 2), as_dtype("float64"))) == Spec((1, 2), as_dtype("float64"))
    close(grad(lambda x: ops.sum(mine.versine(x)))(given), np.sin(x), "float64", **loose)
    close(compile(mine.versine, be)(given), 1 - np.cos(x), "float64", **loose)
    close(be.versine(given), 1 - np.cos(x), "float64", **loose)
    assert type(mine.versine(tensor.array(x))) is tensor.EmberTensor
    assert TABLE["versine"].define.__doc__.startswith("scale * (1 - cos x)")

    # a primitive has its rules, and what an engine lacks it says
    assert mine.sinc(Spec((1, 2), as_dtype("float32"))) == Spec((1, 2), as_dtype("float32"))
    if be == "mlx":
        with pytest.raises(
            NotImplementedError, match=r"sinc on mlx: the engine has no such function; write an @override"
        ):
            mine.sinc(given)


ENGINE = '''
    """An engine: arrays in boxes, with a sinc and without a tangent."""

    import numpy as np

    from ember_ml.backend import Backend, Gap, override
    from ember_ml.core import as_dtype


    class Box:
        """The array type of this engine."""

        def __init__(self, inside):
            self.inside = np.asarray(inside)
            self.shape, self.dtype, self.ndim = self.inside.shape, self.inside.dtype, self.inside.ndim

        def __getitem__(self, index):
            return Box(self.inside[index])

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.inside, dtype)


    class Library:
        """The engine's own functions."""

        def __getattr__(self, name):
            function = getattr(np, name)

            def call(*args, **settings):
                return Box(function(*(a.inside if isinstance(a, Box) else a for a in args), **settings))

            return call


    class BoxBackend(Backend):
        name = "box"
        array_types = (Box,)
        xp = Library()
        gaps = (Gap("tan", "a box has no tangent"),)

        def native_dtype(self, dtype):
            return np.dtype(as_dtype(dtype))

        @override
        def sinc(self, x):
            return self.xp.divide(self.xp.sin(x), x)
'''


def test_an_engine_is_one_file_and_a_line(tmp_path, table):
    mine = load(tmp_path, "my_ops", OPS)
    engine = load(tmp_path, "box_backend", ENGINE)
    backend.register_backend("box", engine.BoxBackend)  # the line; in this repository it stands in ENGINES
    try:
        with backend.use_backend("box") as box:
            x = box.array([0.5, 1.0], dtype="float64")
            assert type(x) is engine.Box
            y = ops.softmax(ops.add(x, 1.0))
            assert type(y) is engine.Box
            close(np.asarray(y), np.exp([0.5, 1.0]) / np.exp([0.5, 1.0]).sum(), "float64")
            close(np.asarray(mine.sinc(x)), np.sin([0.5, 1.0]) / [0.5, 1.0], "float64")
            slope = grad(lambda x: ops.sum(mine.sinc(x)))(x)
            close(
                np.asarray(slope),
                (np.cos([0.5, 1.0]) - np.sin([0.5, 1.0]) / [0.5, 1.0]) / [0.5, 1.0],
                "float64",
            )
            close(
                np.asarray(compile(lambda x: mine.versine(mine.sinc(x)))(x)),
                1 - np.cos(np.sin([0.5, 1.0]) / [0.5, 1.0]),
                "float64",
            )
            with pytest.raises(NotImplementedError, match="tan on box: a box has no tangent"):
                ops.tan(x)
        assert "box" in backend.available_backends()
        with pytest.raises(TypeError, match="different backends, box and numpy"):
            ops.add(x, np.ones(2))
    finally:
        backend.unregister_backend("box")
        for op in TABLE.values():
            op.forget()


LAYER = '''
    """A layer: how strongly each feature is turned up."""

    from ember_ml import ops
    from ember_ml.nn import Module, Parameter


    class Gain(Module):
        """x * gain, one gain a feature. Shapes: x (..., features) -> the same."""

        gain: Parameter  # (features,), starts at 1

        def __init__(self, features):
            self.features = features
            self.gain = Parameter(ops.ones((features,)))

        def forward(self, x):
            return x * self.gain
'''


def test_a_layer_is_one_file(tmp_path, be):
    nn = pytest.importorskip("ember_ml.nn")
    layer = load(tmp_path, "gain", LAYER).Gain(3)
    x = be.array(np.array([[1.0, 2.0, 3.0]], "float32"))
    close(layer(x), np.array([[1.0, 2.0, 3.0]]))
    assert be.owns(type(layer(x)))
    model = nn.Sequential([layer, nn.Linear(3, 1)])
    assert next(name for name, _ in model.named_parameters()).endswith("gain")
    ops.sum(model(tensor.array(x))).backward()
    assert layer.gain.grad is not None
    state = model.state_dict()
    close(state[next(k for k in state if k.endswith("gain"))], np.ones(3))
    params = dict(layer.named_parameters())
    slope = compile(grad(lambda p, x: ops.sum(nn.functional_call(layer, p, x)[0])), be)(
        {k: v.data for k, v in params.items()}, x
    )
    close(slope["gain"], np.array([1.0, 2.0, 3.0]))
