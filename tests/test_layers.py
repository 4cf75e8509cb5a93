"""The rule of dependency: a file imports only from its own layer's folder and from the layers below it.

Every import counts, wherever it stands: at the top, in a function, under `if TYPE_CHECKING`, relative,
or as a string given to `import_module` or `need`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FRONT_DOOR = "ember_ml/__init__.py"
EDGES = {"data", "export", "visualization", "cli", "utils", "compat"}
LAYERS = [
    {"core"},
    {"ops", "backend"},  # these two meet by name in TABLE, and never import each other
    {"compiler"},
    {"tensor", "array_api"},
    {"nn", "wave", "matching", "features"},
    {"training", "models"},
    EDGES,
]
LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
EXCEPTIONS = {("ember_ml/ops/__init__.py", "ember_ml.backend")}  # hands on set_backend & co, as seed 002 asks

ENGINES = {
    "torch",
    "jax",
    "jaxlib",
    "mlx",
    "cupy",
    "cupyx",
    "pyfftw",
    "numba",
    "array_api_compat",
    "array_api_extra",
}
HOST_LIBRARIES = {
    "numpy",
    "scipy",
}  # engines in backend/; above the compiler, tools for files, figures and wiring
HOST_LEVEL = LEVEL["nn"]

FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "ember_ml").rglob("*.py"))


def faults(file: str, source: str) -> list[str]:
    """Say which imports of `file` break the rule, each with its line."""
    if file == FRONT_DOOR:
        allowed = front_door_allows
    elif (folder := folder_of(Path(file).with_suffix("").parts)) in LEVEL:
        allowed = lambda name: layer_allows(folder, name) or (file, name) in EXCEPTIONS
    else:
        return [f"{file} stands in no layer: {folder!r} is missing in LAYERS"]
    return [f"{file}:{line} imports {name}" for line, name in imports(file, source) if not allowed(name)]


def front_door_allows(name: str) -> bool:
    return top(name) not in ENGINES | HOST_LIBRARIES


def layer_allows(folder: str, name: str) -> bool:
    """Say whether a file in `folder` may import the module `name`."""
    level = LEVEL[folder]
    if top(name) == "ember_ml":
        target = folder_of(name.split("."))
        if target not in LEVEL:  # the front door, or a name that only it knows
            return folder in EDGES
        return target == folder or LEVEL[target] < level or (LEVEL[target] == level > LEVEL["compiler"])
    if folder == "core":
        return top(name) in sys.stdlib_module_names
    if top(name) in ENGINES:
        return folder == "backend"
    if top(name) in HOST_LIBRARIES:
        return folder == "backend" or level >= HOST_LEVEL
    return True


def imports(file: str, source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the absolute name of every module that `source` imports."""
    package = Path(file).parent.parts  # an __init__.py is its own package, and its folder says so too
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                yield from ((node.lineno, alias.name) for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                base = resolve("." * level + (module or ""), package)
                # `from ember_ml import ops` and `from .. import ops` name the folder last
                names = [f"{base}.{alias.name}" for alias in aliases] if base == "ember_ml" else [base]
                yield from ((node.lineno, name) for name in names)
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Constant(value=str(name)), *_],
            ):
                if called in ("import_module", "__import__", "need"):
                    yield node.lineno, resolve(name, package)


def resolve(name: str, package: tuple[str, ...]) -> str:
    """Return `name` without leading dots: '..core' in ('ember_ml', 'ops') is 'ember_ml.core'."""
    rest = name.lstrip(".")
    dots = len(name) - len(rest)
    start = package[: len(package) - dots + 1] if dots else ()
    return ".".join([*start, rest] if rest else start)


def folder_of(parts) -> str:
    return parts[1] if len(parts) > 1 else "the front door"


def top(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("file", FILES)
def test_file_imports_only_from_its_layer_and_below(file):
    found = faults(file, (ROOT / file).read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


def test_every_file_is_looked_at():
    assert FRONT_DOOR in FILES
    assert {Path(file).parts[1] for file in FILES} >= {"core", "ops", "backend", "compiler", "tensor", "nn"}


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("core/op.py", "import numpy as np"),
        ("core/op.py", "import rich"),
        ("core/op.py", "from ember_ml.ops import add"),
        ("core/op.py", "from ember_ml import ops"),
        ("core/op.py", "from .. import ops"),
        ("core/op.py", "from ..ops.elementwise import add"),
        ("ops/linalg.py", "from ember_ml.backend import get_backend"),
        ("ops/linalg.py", "import ember_ml"),
        ("ops/linalg.py", "def f():\n    import numpy"),
        ("ops/linalg.py", "from numpy.linalg import inv"),
        ("ops/__init__.py", "from ember_ml.backend.base import Backend"),
        ("ops/__init__.py", "from ember_ml.compiler import grad"),
        ("backend/numpy_backend.py", "from ember_ml.ops import add"),
        ("backend/base.py", "import importlib\nimportlib.import_module('ember_ml.ops')"),
        ("backend/base.py", "from importlib import import_module\nimport_module('..tensor', __package__)"),
        ("compiler/grad.py", "if TYPE_CHECKING:\n    from ember_ml.tensor import EmberTensor"),
        ("compiler/grad.py", "__import__('jax')"),
        ("tensor/__init__.py", "from ..nn import Module"),
        ("tensor/creation.py", "import numpy"),
        ("array_api.py", "from .training import Adam"),
        ("nn/modules/dense.py", "import torch"),
        ("nn/modules/dense.py", "import jax.numpy as jnp"),
        ("nn/modules/dense.py", "import array_api_compat.torch"),
        ("nn/modules/dense.py", "need('torch', extra='torch', purpose='Dense')"),
        ("nn/modules/dense.py", "from ...training import Adam"),
        ("nn/modules/dense.py", "from ember_ml import zeros"),
        ("nn/modules/dense.py", "from ember_ml.data import load_csv"),
        ("models/liquid.py", "from ember_ml.visualization import report"),
        ("cli/train.py", "import torch"),
        ("__init__.py", "import numpy"),
        ("common.py", "import os"),
        ("helpers/text.py", "import os"),
    ],
)
def test_a_forbidden_import_is_found(file, source):
    assert faults(f"ember_ml/{file}", source)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            "core/op.py",
            "import ast, sys\nfrom collections.abc import Callable\nfrom . import tree",
        ),
        (
            "ops/linalg.py",
            "from ember_ml.core import primitive\nfrom ..core.spec import Spec\nfrom .elementwise import add",
        ),
        ("ops/__init__.py", "from ember_ml.backend import set_backend"),
        (
            "backend/torch_backend.py",
            "import torch\nimport numpy\nfrom ember_ml.core import TABLE\nfrom .base import Backend",
        ),
        ("compiler/grad.py", "from ember_ml import ops, backend, core"),
        ("tensor/ember_tensor.py", "from ember_ml import array_api\nfrom ember_ml.compiler import grad"),
        (
            "nn/modules/wiring/map.py",
            "import numpy as np\nfrom ....tensor import EmberTensor\nfrom ....features import PCA",
        ),
        ("models/liquid.py", "from ember_ml.training import Trainer\nfrom scipy import sparse"),
        (
            "cli/train.py",
            "import ember_ml as eh\nimport pandas\nfrom ember_ml import Model, data",
        ),
        (
            "__init__.py",
            "from importlib import import_module\nimport_module('.training', __name__)\nfrom . import ops",
        ),
    ],
)
def test_an_allowed_import_passes(file, source):
    assert faults(f"ember_ml/{file}", source) == []
