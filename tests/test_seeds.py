"""The documents that define this library, executed: the Python blocks of seeds 000 and 001 run as written.

The documents are not part of the repository: they are looked for in ../shared/seeds, or in EMBER_ML_SEEDS.
A block that cannot run as it stands is named below with the reason and the smallest repair: names or data put
before it, or a question that the document leaves to the reader's machine. No call is edited or deleted;
imports of another library's name read our namespace of that name (`IMPORTED`).
"""

import os
import re
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import ENGINES
from ember_ml import backend, tensor

SEEDS = Path(os.environ.get("EMBER_ML_SEEDS") or Path(__file__).parents[2] / "shared" / "seeds")


class Repair(NamedTuple):
    """What stands before a block, or in the place of a comment that leaves it to the reader, and why."""

    reason: str
    before: str = ""
    filled: tuple[str, str] = ("", "")  # the comment, and what a reader would write there


TENSOR = "from ember_ml import tensor"
NAMES_ALONE = "an excerpt: what it imports stands in another block"
OPERANDS = "an excerpt: its arrays are the reader's"
CONFIGURED = "import numpy as np; from mithril.backends import NumpyBackend; backend = NumpyBackend()"
LINEAR = "model = ml.Model(); model |= ml.Linear(dimension=1)(input='input', output='output')"
COMPILED = f"""import numpy as np
import mithril as ml
from mithril.backends import NumpyBackend
backend = NumpyBackend()
{LINEAR}
compiled_model = ml.compile(model, backend)
inputs = np.arange(12.0).reshape(4, 3) / 12
targets = inputs @ np.array([[1.0], [-1.0], [0.5]])
params = compiled_model.get_parameters()
learning_rate, num_epochs = 0.01, 5
"""
THE_MODEL = "an excerpt: its compiled model, parameters and data are the reader's"
NEVER_IMPORTED = "the document uses `tensor` and never imports it"
REPAIRS = {
    "000": {
        7: Repair(NEVER_IMPORTED, TENSOR),
        8: Repair(
            "an excerpt of a class, without the names that it derives from",
            "from abc import ABC, abstractmethod",
        ),
        12: Repair(NEVER_IMPORTED, TENSOR),
        13: Repair(NEVER_IMPORTED, TENSOR),
        14: Repair(
            f"{NEVER_IMPORTED}; and `.cuda()` needs a GPU: where there is none, it stays on the CPU",
            f"{TENSOR}\nimport torch\nif not torch.cuda.is_available(): torch.Tensor.cuda = lambda x: x",
        ),
    },
    "001": {
        1: Repair(
            "its model is left to the reader, and a model without nodes cannot be compiled",
            filled=("# ... define your model ...", LINEAR.partition("; ")[2]),
        ),
        2: Repair(NAMES_ALONE, CONFIGURED),
        3: Repair(NAMES_ALONE, CONFIGURED),
        4: Repair(NAMES_ALONE, CONFIGURED),
        5: Repair(OPERANDS, f"{CONFIGURED}; a = backend.ones(2, 2); b = backend.full((2, 2), 4.0)"),
        6: Repair(OPERANDS, f"{CONFIGURED}; a = backend.array(np.arange(12).reshape(2, 3, 2))"),
        7: Repair(OPERANDS, f"{CONFIGURED}; a = backend.array([[1, 2], [3, 4]])"),
        8: Repair(THE_MODEL, COMPILED),
        9: Repair(
            f"{THE_MODEL}; and its loop uses `outputs` before the first step has made them",
            f"{COMPILED}data_loader = [(inputs, targets)]\n"
            "outputs = compiled_model.evaluate(params, {'input': inputs})",
        ),
        10: Repair(
            f"{THE_MODEL}; and its loop takes output gradients from the block before",
            f"{COMPILED}outputs = compiled_model.evaluate(params, {{'input': inputs}})\n"
            "output_gradients = {'output': 2 * (outputs['output'] - targets)}",
        ),
        11: Repair(NAMES_ALONE, CONFIGURED),
        12: Repair(OPERANDS, f"{CONFIGURED}; a = b = c = backend.array([1.0, 2.0])"),
        14: Repair(NAMES_ALONE, CONFIGURED),
        15: Repair(NAMES_ALONE, CONFIGURED),
        16: Repair(OPERANDS, f"{CONFIGURED}; large_tensor = backend.zeros(100, 100)"),
        17: Repair(OPERANDS, f"{CONFIGURED}; a = backend.ones(2); b = backend.ones(2)"),
        18: Repair(OPERANDS, f"{CONFIGURED}; tensor = backend.ones(2)"),
        19: Repair(
            f"{OPERANDS}; and a window needs a screen",
            f"{CONFIGURED}; activation = backend.rand(64)\n"
            "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot\n"
            "matplotlib.pyplot.show = lambda: None",
        ),
        20: Repair(OPERANDS, f"{CONFIGURED}; tensor = backend.ones(2)"),
        21: Repair(THE_MODEL, COMPILED),
        23: Repair(
            f"{THE_MODEL}; and what it minimises takes one parameter for each name, so each is a number, "
            "its model has a loss, and the image is missing too",
            f"""{COMPILED}from ember_ml.nn import Connection
x, a, b, target = map(Connection, ("input", "a", "b", "target"))
model = ml.Model.create(loss=((a * x + b - target) ** 2).mean())
line = {{"input": backend.array([0.0, 1.0, 2.0]), "target": backend.array([1.0, 3.0, 5.0])}}
compiled_model = ml.compile(model, backend, constant_keys={{"target": line["target"]}})
image = backend.array(np.eye(8))
inputs, param_names, initial_params = line["input"], ["a", "b"], [0.0, 0.0]
""",
        ),
        22: Repair(OPERANDS, f"{CONFIGURED}; tensor = backend.rand(4, 4)"),
        24: Repair(NAMES_ALONE, CONFIGURED),
        26: Repair(OPERANDS, "import numpy as np; inputs = np.array([1.0, 2.0])"),
        28: Repair(NAMES_ALONE, "import mithril as ml; from mithril.backends import NumpyBackend"),
    },
}
IMPORTED = {"mithril": "ember_ml.compat.mithril"}
NEEDS = {"torch": "torch", "torch_optimized": "torch", "mlx": "mlx", "jax": "jax"}


def blocks(seed):
    """Return the Python blocks of a seed, in order."""
    files = sorted(SEEDS.glob(f"{seed}_*"))
    if not files:
        return []
    text = files[0].read_text(encoding="utf-8")
    found = re.findall(r"^( *)```python\n(.*?)^\1```", text, flags=re.M | re.S)
    return [textwrap.dedent(block) for _, block in found]


def ours(text):
    """Return a program whose imports of another library read our namespace of its name."""
    for theirs, here in IMPORTED.items():
        text = re.sub(rf"^((?:from|import) ){theirs}\b", rf"\1{here}", text, flags=re.M)
        text = re.sub(rf"(; (?:from|import) ){theirs}\b", rf"\1{here}", text)
    return text


def completed(text, repair):
    """Return a block with what its comment leaves to the reader."""
    comment, written = repair.filled
    assert comment in text
    return text.replace(comment, written, 1) if comment else text


def found(seed):
    got = [pytest.param(seed, i, text, id=f"{seed}-{i}") for i, text in enumerate(blocks(seed), start=1)]
    absent = pytest.mark.skip(reason=f"seed {seed} is not in {SEEDS}; EMBER_ML_SEEDS says where it is")
    return got or [pytest.param(seed, 0, "", id=seed, marks=absent)]


@pytest.fixture
def undisturbed(tmp_path, monkeypatch):
    """What a block chooses or changes is undone."""
    from ember_ml.backend import selection

    monkeypatch.setenv("EMBER_ML_HOME", str(tmp_path))
    if "torch" in ENGINES:
        import torch

        monkeypatch.setattr(torch.Tensor, "cuda", torch.Tensor.cuda)
    before = selection._Choice.asked, selection._Choice.found
    yield
    selection._Choice.asked, selection._Choice.found = before


@pytest.mark.parametrize(("seed", "number", "text"), [*found("000"), *found("001")])
def test_a_block_of_the_document_runs(seed, number, text, undisturbed, capsys):
    wanted = {NEEDS[name] for name in re.findall(r"set_backend\(['\"](\w+)['\"]", text) if name in NEEDS}
    for name in wanted - set(ENGINES):
        pytest.skip(f"the block chooses {name}, which is not installed here")
    repair = REPAIRS[seed].get(number, Repair(""))
    text = completed(text, repair)
    state: dict = {"__name__": "__main__"}
    exec(compile(ours(repair.before), f"<what seed {seed} block {number} lacks>", "exec"), state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(ours(text), f"<seed {seed}, block {number}>", "exec"), state)
    told = capsys.readouterr().out
    assert number not in SAID.get(seed, {}) or re.fullmatch(SAID[seed][number], told, flags=re.S), told
    check = SHOWN.get(seed, {}).get(number)
    assert check is None or check(state)


SHAPES = r"x shape: \(3, 4\)\ny shape: \(4, 5\)\nz shape: \(3, 5\)\nw shape: \(3, 5\)\n"
SAID = {
    "000": {12: SHAPES, 13: rf"Selected backend: \w+\n{SHAPES}"},
    "001": {27: "".join(rf"Epoch {epoch}, MSE: [0-9.]+\n" for epoch in range(0, 100, 10))},
}


def drawn_on(name):
    return lambda state: (
        type(state["x"]) is tensor.EmberTensor and state["x"].shape == (3, 4) and state["x"].backend == name
    )


def trains(state):
    """Whether the parameters are better than those that the model starts with."""
    compiled, data = state["compiled_model"], {"input": state["inputs"]}

    def error(params):
        return ((compiled.evaluate(params, data)["output"] - state["targets"]) ** 2).mean()

    return error(state["params"]) < error(compiled.get_parameters())


SHOWN = {
    "000": {
        1: drawn_on("numpy"),
        2: drawn_on("torch"),
        3: drawn_on("torch"),  # the same tensors, compiled otherwise
        4: drawn_on("mlx"),
        5: lambda state: backend.get_backend() == "torch",
        6: lambda state: str(backend.get_backend()) in ENGINES,
        7: lambda state: state["y"].shape == (3, 3) and bool((state["z"].to_numpy() >= 0).all()),
        9: lambda state: type(backend.get_backend("numpy")) is state["NumPyBackend"],
        10: lambda state: backend.get_backend() == "numpy",
        14: lambda state: type(state["x"]) is tensor.EmberTensor and state["x"].shape == (3, 4),
    },
    "001": {
        2: lambda state: state["backend"].ones(2).dtype == "float64",
        3: lambda state: state["backend"].ones(2).dtype == "int8",
        4: lambda state: [state[n].shape for n in ("x", "zeros", "ones", "rand")] == [(3, 4)] * 4,
        5: lambda state: state["c"].tolist() == [[8, 8], [8, 8]],
        6: lambda state: len(state["parts"]) == 2 and state["c"].shape == (4, 3, 2),
        1: lambda state: state["compiled_model"].output_keys == ("output",),
        7: lambda state: (
            [state["total"].tolist(), state["average"].tolist(), state["maximum"], state["minimum"]]
            == [[4, 6], [1.5, 3.5], 4, 1]
        ),
        8: trains,
        9: trains,
        10: trains,
        17: lambda state: state["a"].tolist() == [2, 2],
        21: lambda state: state["compiled_model"].input_keys == ("input",),
        22: lambda state: state["result"].dtype == "complex128",
        23: lambda state: abs(state["result"].x - [2.0, 1.0]).max() < 1e-4,
        27: lambda state: state["mse"] < 0.3,  # of about 2 at the start, 0.01 of it noise
        28: lambda state: state["compiled_model"].output_keys == ("output",),
    },
}


@pytest.mark.skipif(not blocks("000"), reason=f"no seeds in {SEEDS}")
@pytest.mark.parametrize("seed", REPAIRS)
def test_every_repair_is_still_needed_and_names_a_block(seed, undisturbed):
    texts = blocks(seed)
    assert set(REPAIRS[seed]) <= set(range(1, len(texts) + 1))
    for number, repair in REPAIRS[seed].items():
        assert repair.reason
        with pytest.raises((NameError, AttributeError, ValueError)):
            exec(compile(ours(texts[number - 1]), "<without its repair>", "exec"), {})
