"""Every name that the seeds list is public, documented, and held to the laws or to a test of its own.

The names are read out of the documents, from the lists that say what is there. See tests/test_seeds.py for
where the documents are.
"""

import importlib
import inspect
import re

import pytest

import ember_ml.ops  # noqa: F401  fills the table
from ember_ml import backend
from test_seeds import SEEDS


def text_of(seed, start="", end=r"\Z"):
    """Return a document between two headings."""
    files = sorted(SEEDS.glob(f"{seed}_*"))
    if not files:
        return ""
    found = re.search(rf"{start}(.*?){end}", files[0].read_text(encoding="utf-8"), flags=re.S)
    assert found, f"seed {seed} has no {start!r}"
    return found[1]


def quoted(text):
    """Return the names in backticks of a list."""
    return re.findall(
        r"`(\w+)`", "\n".join(line for line in text.splitlines() if line.lstrip().startswith("-"))
    )


def defined(text):
    """Return the names of the functions whose signatures stand in a text."""
    return re.findall(r"^def (\w+)\(", text, flags=re.M)


def called_on(name, text):
    """Return what is called on a module or an object of this name."""
    return re.findall(rf"\b{name}\.(\w+)\(", text)


METHODS = {"fit", "transform", "fit_transform", "inverse_transform"}  # of a PCA, says the document


def listed():
    """Yield (seed, where the name must be found, name)."""
    if not SEEDS.is_dir():
        return
    readme = text_of("000")
    yield from (("000", "ember_ml", name) for name in called_on("eh", readme))
    yield from (("000", "ember_ml.ops", name) for name in called_on("ops", readme))
    yield from (("000", "ember_ml.tensor", name) for name in called_on("tensor", readme))
    guide = text_of("001", "## Tensor Operations", "## Manual Gradients")
    yield from (("001", "the backend", name) for name in called_on("backend", guide))
    for home in ("ember_ml.tensor", "ember_ml.nn.tensor"):
        tensors = text_of("002", "### Tensor Module", "### Modules Module")
        yield from (("002", home, name) for name in [*quoted(tensors), *defined(tensors)])
    operations = text_of("002", "### Operations Module", "### Backend Module")
    yield from (("002", "ember_ml.ops", name) for name in [*quoted(operations), *defined(operations)])
    chosen = text_of("002", "### Backend Module", "## Models Module")
    yield from (("002", "ember_ml.backend", name) for name in defined(chosen))
    features = text_of("002", "### Features Module", "### Attention Module")
    names = [*quoted(features), *defined(features)]
    yield from (("002", "PCA" if name in METHODS else "ember_ml.nn.features", name) for name in names)
    activations = text_of("002", r"\*\*Function Aliases\*\*", r"\n\n")
    yield from (
        ("002", "ember_ml.nn.modules.activations", name) for name in re.findall(r"`(\w+)`", activations)
    )
    matching = text_of("003")
    methods = re.findall(r"^\s+MatchingBackend\.(\w+)$", matching, flags=re.M)
    yield from (("003", "the backend", name) for name in methods)
    yield from (
        ("003", "ember_ml.compat.tme.backends", name)
        for name in re.findall(r"^   (\w+Backend|BackendManager)$", matching, flags=re.M)
    )
    utilities = re.findall(r"backend_utils\.(\w+)", text_of("004"))
    yield from (("004", "ember_ml.utils.backend_utils", name) for name in utilities)


NAMES = sorted(set(listed()))
pytestmark = pytest.mark.skipif(not NAMES, reason=f"no seeds in {SEEDS}")


def found(home, name):
    if home == "the backend":
        return getattr(backend.get_backend("numpy"), name)
    if home == "PCA":
        return getattr(importlib.import_module("ember_ml.nn.features").PCA, name)
    return getattr(importlib.import_module(home), name)


def test_the_lists_are_read():
    by_seed = {seed: sum(s == seed for s, _, _ in NAMES) for seed in ("000", "001", "002", "003", "004")}
    assert by_seed["000"] >= 8
    assert by_seed["001"] >= 15
    assert by_seed["002"] >= 200
    assert by_seed["003"] >= 50
    assert by_seed["004"] == 4


@pytest.mark.parametrize(("seed", "home", "name"), NAMES)
def test_a_listed_name_is_public_and_documented(seed, home, name):
    try:
        value = found(home, name)
    except ImportError as absent:  # an engine's class, where the engine is not installed
        assert "pip install 'ember-ml[" in str(absent)
        return
    if callable(value):
        assert (inspect.getdoc(value) or "").strip(), f"{home}.{name} says nothing of itself"
        assert (inspect.getdoc(value) or "").strip() != (inspect.getdoc(object) or "")


STANDARD = """
    abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh
    bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
    broadcast_arrays broadcast_to can_cast ceil clip concat conj copysign cos cosh count_nonzero
    cumulative_prod cumulative_sum diff divide empty empty_like equal exp expand_dims expm1 eye finfo
    flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag isdtype
    isfinite isinf isnan less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not
    logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid min minimum moveaxis
    multiply negative nextafter nonzero not_equal ones ones_like permute_dims positive pow prod real
    reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin sinh sort
    sqrt square squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu
    trunc unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
    zeros_like e inf nan newaxis pi bool complex128 complex64 float32 float64 int16 int32 int64 int8
    uint16 uint32 uint64 uint8
"""
LINALG = """
    cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose
    outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""
FFT = "fft fftfreq fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftfreq rfftn"


@pytest.mark.parametrize(
    ("home", "names"), [("", STANDARD), (".linalg", LINALG), (".fft", FFT)], ids=["main", "linalg", "fft"]
)
def test_the_standards_names_are_there(home, names):
    from ember_ml import array_api

    namespace = getattr(array_api, home[1:]) if home else array_api
    assert [name for name in names.split() if not hasattr(namespace, name)] == []
