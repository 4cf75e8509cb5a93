"""The standard's array object, its dtypes and its inspection; SciPy and scikit-learn take it as it is."""

import inspect
import math
import operator
import subprocess
import sys

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.extra.array_api import make_strategies_namespace

import ember_ml
from conftest import ENGINES
from ember_ml import array_api as xp
from ember_ml import backend
from ember_ml.tensor import EmberTensor

STRATEGIES = make_strategies_namespace(xp)  # what Hypothesis draws for any library that follows the standard
SHAPES = st.sampled_from([(), (0,), (3,), (2, 3), (2, 0, 3)])
KINDS = {"bool": True, "int": 1, "uint": 1, "float": 1.0, "complex": 1j}


def few(be, check, *drawn):
    """Run a check on drawn values: a few on JAX, which compiles each shape and dtype, more elsewhere."""
    examples = 4 if be == "jax" else 20
    how = settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    how(given(st.tuples(*drawn))(lambda values: check(*values)))()


def dtypes(kind=None):
    return st.sampled_from(list(xp.__array_namespace_info__().dtypes(kind=kind).values()))


def arrays():
    return dtypes().flatmap(lambda dtype: STRATEGIES.arrays(dtype, SHAPES))


def equals(got, want):
    assert isinstance(got, EmberTensor)
    assert got.shape == np.shape(want)
    np.testing.assert_array_equal(np.asarray(got), want)


# Its values


def test_reading_by_integers_slices_none_and_ellipsis(be):
    def check(x, data):
        index = data.draw(STRATEGIES.indices(x.shape, allow_newaxis=True))
        equals(x[index], np.asarray(x)[index])
        assert x[index].dtype == x.dtype

    few(be, check, arrays(), st.data())


def test_writing_keeps_the_dtype(be):
    def check(x, data):
        index = data.draw(STRATEGIES.indices(x.shape))
        want, dtype = np.array(np.asarray(x)), x.dtype
        region = STRATEGIES.arrays(dtype, np.shape(want[index]))
        value = data.draw(region | STRATEGIES.from_dtype(dtype))
        x[index] = value
        want[index] = np.asarray(value)
        equals(x, want)
        assert x.dtype == dtype

    few(be, check, arrays(), st.data())


def test_masks_of_the_whole_shape_no_axes_included(be):
    def check(x, data):
        mask = data.draw(STRATEGIES.arrays(xp.bool, x.shape))
        want, where = np.array(np.asarray(x)), np.asarray(mask)
        equals(x[mask], want[where])
        value = data.draw(STRATEGIES.from_dtype(x.dtype))
        x[mask] = value
        want[where] = value
        equals(x, want)

    few(be, check, arrays(), st.data())


def test_integer_arrays_beside_integers(be):
    def check(shape, data):
        x = xp.reshape(xp.arange(math.prod(shape)), shape)
        common = data.draw(st.sampled_from([(2,), (2, 2), (0,)]))
        one = [
            st.integers(-n, n - 1)
            | hnp.arrays(
                data.draw(st.sampled_from(["int64", "uint8"])), common, elements=st.integers(0, n - 1)
            )
            for n in shape
        ]
        index = tuple(data.draw(each) for each in one)
        equals(
            x[tuple(xp.asarray(i) if isinstance(i, np.ndarray) else i for i in index)], np.asarray(x)[index]
        )

    few(be, check, st.sampled_from([(3, 4), (2, 3, 4)]), st.data())


def test_single_values_are_python_numbers(be):
    def check(dtype, data):
        number = data.draw(STRATEGIES.from_dtype(dtype, allow_nan=False) if dtype.kind in ("float", "complex")
                           else STRATEGIES.from_dtype(dtype))  # fmt: skip
        x = xp.asarray(number, dtype=dtype)
        ask = {"bool": bool, "uint": operator.index, "int": int, "float": float, "complex": complex}[
            dtype.kind
        ]
        assert type(ask(x)) is ask(0).__class__
        assert ask(x) == number
        equals(xp.full((2,), number, dtype=dtype), np.full(2, number, str(dtype)))

    few(be, check, dtypes(), st.data())


def test_integers_of_sixty_four_bits_arrive_whole(be):
    top = 2**64 - 1
    x = xp.asarray([0, top], dtype=xp.uint64)
    x[0] = top
    assert x.tolist() == [top, top]
    assert int(xp.full((), top, dtype=xp.uint64)) == top


# Its operators

OPERATORS = {
    **dict.fromkeys(("add", "sub", "mul", "pow", "matmul"), "numeric"),
    **dict.fromkeys(("floordiv", "mod"), ("integral", "real floating")),
    "truediv": ("real floating", "complex floating"),
    **dict.fromkeys(("and", "or", "xor"), ("bool", "integral")),
    **dict.fromkeys(("lshift", "rshift"), "integral"),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_in_place_and_reflected_agree_with_the_plain_one(name, be):
    plain = getattr(operator, f"__{name}__")
    for dtype in xp.__array_namespace_info__().dtypes(kind=OPERATORS[name]).values():
        x, y = xp.ones((2, 2), dtype=dtype), xp.ones((2, 2), dtype=dtype)
        want, place = plain(x, y), x
        assert want.dtype == dtype
        x = getattr(operator, f"__i{name}__")(x, y)
        assert x is place
        equals(x, np.asarray(want))
        assert x.dtype == dtype
        if name != "matmul":
            reflected = plain(KINDS[dtype.kind], y)
            assert (reflected.dtype, reflected.shape) == (dtype, (2, 2))


def test_in_place_neither_shape_nor_kind_of_dtype_may_change(be):
    x = xp.ones((2,), dtype=xp.int32)
    with pytest.raises(ValueError, match=r"in place: shape \(2,\) cannot become \(3, 2\)"):
        x += xp.ones((3, 2), dtype=xp.int32)
    with pytest.raises(TypeError, match="in place: int32 cannot become float"):
        x += 1.5


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
def test_truths_have_no_arithmetic(name, be):
    x = xp.asarray([True, False])
    for other in (x, True):
        with pytest.raises(TypeError, match=r"bool"):
            getattr(operator, name)(x, other)


def test_what_is_no_number_equals_nothing(be):
    x = xp.asarray([1.0])
    assert (x == "abc") is False
    assert (x != "abc") is True
    assert (x == None) is False  # noqa: E711 - the operator is what is tested


# Passing it on


def test_arrays_pass_through_dlpack_and_lists(be):
    def check(x):
        for y in (xp.from_dlpack(x), xp.from_dlpack(x, copy=True), xp.asarray(np.asarray(x))):
            equals(y, np.asarray(x))
            assert (y.dtype, y.backend) == (x.dtype, be)
        equals(x, np.from_dlpack(x))
        listed = xp.asarray(np.asarray(x).tolist(), dtype=x.dtype)
        assert listed.dtype == x.dtype

    few(be, check, arrays())


def test_a_copy_is_made_when_asked_for_and_refused_when_forbidden(be):
    x = xp.asarray([1.0, 2.0])
    assert xp.asarray(x, copy=False) is x
    assert xp.astype(x, xp.float32, copy=False) is x
    for y in (xp.asarray(x, copy=True), xp.astype(x, xp.float32)):
        y[0] = 7.0
        assert float(x[0]) == 1.0
    with pytest.raises(ValueError, match="only by a copy"):
        xp.asarray([1.0], copy=False)
    with pytest.raises(ValueError, match="only by a copy"):
        xp.asarray(x, dtype=xp.float64, copy=False)


def test_devices_and_namespace(be):
    x = xp.ones(3)
    assert x.to_device(x.device) is x
    assert xp.zeros(3, device=x.device).device == x.device
    with pytest.raises(ValueError, match="stream"):
        x.to_device(x.device, stream=1)
    for version in (None, "2022.12", "2023.12", "2024.12"):
        assert x.__array_namespace__(api_version=version) is xp
    with pytest.raises(ValueError, match=r"unknown version '2021\.01'; known: 2021\.12"):
        x.__array_namespace__(api_version="2021.01")


def test_what_the_namespace_says_of_itself(be):
    info = xp.__array_namespace_info__()
    assert set(info.capabilities()) == {"boolean indexing", "data-dependent shapes", "max dimensions"}
    assert all(type(v) is t for v, t in zip(info.capabilities().values(), (bool, bool, int), strict=True))
    assert info.default_device() in info.devices()
    assert info.default_dtypes() == {
        "real floating": "float32", "complex floating": "complex64", "integral": "int64", "indexing": "int64",
    }  # fmt: skip
    assert xp.asarray(0.0).dtype == "float32"
    assert xp.argmax(xp.ones(3)).dtype == "int64"
    had = info.dtypes()
    assert {name: getattr(xp, name) for name in had} == had
    assert ("complex128" in had) == hasattr(xp, "complex128") == be.supports("complex128")
    assert list(info.dtypes(kind=("bool", "signed integer"))) == ["bool", "int8", "int16", "int32", "int64"]


def test_mlx_has_no_complex128_and_says_so():
    if "mlx" not in ENGINES:
        pytest.skip("mlx is not installed here")
    with backend.use_backend("mlx"), pytest.raises(AttributeError, match="mlx has no dtype complex128"):
        _ = xp.complex128


# Dtypes


@pytest.mark.parametrize("name", ["float32", "float64", "complex64", "complex128"])
def test_limits_of_floats_are_numpys(name):
    got, want = xp.finfo(ember_ml.core.as_dtype(name)), np.finfo(name)
    for field in ("bits", "eps", "max", "min", "smallest_normal"):
        assert getattr(got, field) == getattr(want, field)
        assert type(getattr(got, field)) in (int, float)
    assert got.dtype == str(want.dtype)


@pytest.mark.parametrize("name", ["int8", "int64", "uint8", "uint64"])
def test_limits_of_integers_are_numpys(name):
    got, want = xp.iinfo(xp.zeros(1, dtype=name)), np.iinfo(name)
    assert (got.bits, got.max, got.min, got.dtype) == (want.bits, want.max, want.min, name)


def test_limits_are_asked_of_the_right_dtypes():
    with pytest.raises(TypeError, match="finfo: expected a floating-point dtype, got int32"):
        xp.finfo(xp.int32)
    with pytest.raises(TypeError, match="iinfo: expected an integer dtype, got float32"):
        xp.iinfo(xp.float32)


def test_kinds_of_dtypes():
    assert xp.isdtype(xp.uint8, "integral")
    assert not xp.isdtype(xp.bool, "numeric")
    assert xp.isdtype(xp.float32, ("complex floating", xp.float32))
    assert xp.isdtype(xp.bool, "bool")
    assert not xp.isdtype(xp.float64, xp.float32)
    with pytest.raises(ValueError, match="unknown kind 'fraction'; known: bool, signed integer"):
        xp.isdtype(xp.float32, "fraction")


@pytest.mark.parametrize(
    ("given_as", "to", "can"),
    [
        ("int8", "int16", True), ("uint8", "int16", True), ("int16", "int8", False),
        ("int64", "uint64", False),
        ("float32", "float64", True), ("float64", "float32", False), ("float32", "complex64", True),
        ("float64", "complex64", False), ("int8", "float64", False), ("bool", "bool", True),
        ("bool", "int8", False),
    ],
)  # fmt: skip
def test_casting_follows_promotion(given_as, to, can):
    dtype = getattr(xp, given_as)
    assert xp.can_cast(dtype, getattr(xp, to)) is can
    assert xp.can_cast(xp.zeros(1, dtype=dtype), getattr(xp, to)) is can


def test_numbers_are_weak_among_dtypes():
    assert xp.result_type(xp.int8, xp.uint8) == xp.int16
    assert xp.result_type(xp.zeros(2, dtype=xp.int8), 300, xp.int16) == xp.int16
    assert xp.result_type(xp.float64, 1, True) == xp.float64
    assert xp.result_type(xp.float32, 1j) == xp.complex64
    with pytest.raises(TypeError, match="at least one array or dtype, got numbers alone"):
        xp.result_type(1, 2.0)


def test_complex_numbers_do_not_become_real_by_a_cast(be):
    x = xp.asarray([1 + 2j])
    with pytest.raises(TypeError, match=r"complex64 does not become float32; take real\(x\) or imag\(x\)"):
        xp.astype(x, xp.float32)
    equals(xp.astype(x, xp.bool), [True])


# Signatures: what is positional, what goes by name, and the defaults

SIGNATURES = """
arange(start, /, stop=None, step=1, *, dtype=None, device=None)
asarray(obj, /, *, dtype=None, device=None, copy=None)
astype(x, dtype, /, *, copy=True, device=None);can_cast(from_, to, /);clip(x, /, min=None, max=None)
empty(shape, *, dtype=None, device=None);empty_like(x, /, *, dtype=None, device=None)
eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None);finfo(type, /);iinfo(type, /)
from_dlpack(x, /, *, device=None, copy=None);full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None);isdtype(dtype, kind);result_type(*arrays_and_dtypes)
linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True);meshgrid(*arrays, indexing="xy")
broadcast_arrays(*arrays);broadcast_to(x, /, shape);concat(arrays, /, *, axis=0);expand_dims(x, /, axis)
flip(x, /, *, axis=None);moveaxis(x, source, destination, /);permute_dims(x, /, axes);tile(x, repetitions, /)
repeat(x, repeats, /, *, axis=None);reshape(x, /, shape, *, copy=None);roll(x, /, shift, *, axis=None)
squeeze(x, /, axis);stack(arrays, /, *, axis=0);unstack(x, /, *, axis=0);where(condition, x1, x2, /)
tril(x, /, *, k=0);take_along_axis(x, indices, /, *, axis=-1);tensordot(x1, x2, /, *, axes=2)
argmax(x, /, *, axis=None, keepdims=False);count_nonzero(x, /, *, axis=None, keepdims=False)
searchsorted(x1, x2, /, *, side="left", sorter=None);sort(x, /, *, axis=-1, descending=False, stable=True)
argsort(x, /, *, axis=-1, descending=False, stable=True)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)
cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False);vecdot(x1, x2, /, *, axis=-1)
max(x, /, *, axis=None, keepdims=False);mean(x, /, *, axis=None, keepdims=False);pow(x1, x2, /)
sum(x, /, *, axis=None, dtype=None, keepdims=False);var(x, /, *, axis=None, correction=0.0, keepdims=False)
linalg.cholesky(x, /, *, upper=False);linalg.cross(x1, x2, /, *, axis=-1);linalg.diagonal(x, /, *, offset=0)
linalg.matrix_norm(x, /, *, keepdims=False, ord="fro");linalg.matrix_power(x, n, /);linalg.outer(x1, x2, /)
linalg.matrix_rank(x, /, *, rtol=None);linalg.pinv(x, /, *, rtol=None);linalg.qr(x, /, *, mode="reduced")
linalg.svd(x, /, *, full_matrices=True);linalg.trace(x, /, *, offset=0, dtype=None);linalg.solve(x1, x2, /)
linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2);fft.fftshift(x, /, *, axes=None)
fft.fft(x, /, *, n=None, axis=-1, norm="backward");fft.fftn(x, /, *, s=None, axes=None, norm="backward")
fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)
"""


@pytest.mark.parametrize("text", [s for s in SIGNATURES.replace("\n", ";").split(";") if s])
def test_signature_is_the_standards(text):
    name, _, parameters = text.partition("(")
    scope = {}
    exec(f"def wanted({parameters}: pass", scope)
    namespace, _, function = name.rpartition(".")
    ours = inspect.signature(getattr(getattr(xp, namespace) if namespace else xp, function)).parameters
    for place, want in enumerate(inspect.signature(scope["wanted"]).parameters.values()):
        by_name = want.kind in (want.POSITIONAL_OR_KEYWORD, want.KEYWORD_ONLY)
        got = ours[want.name] if want.kind is want.KEYWORD_ONLY else list(ours.values())[place]
        assert got.name == want.name or want.kind is want.VAR_POSITIONAL
        assert got.kind in (want.kind, want.POSITIONAL_OR_KEYWORD)
        assert not by_name or want.default in (want.empty, got.default)


# Other libraries that speak the standard. SciPy reads its switch when it is imported, so in a new process.

TAKEN = """
import os, sys
os.environ["SCIPY_ARRAY_API"] = "1"
import numpy as np
import sklearn
from scipy import special, stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler
import ember_ml
from ember_ml import array_api as xp

ember_ml.set_backend(sys.argv[1])
x = np.random.default_rng(0).normal(size=(50, 4))
calls = {
    "logsumexp": lambda x: special.logsumexp(x, axis=1),
    "zscore": lambda x: stats.zscore(x, axis=0),
    "PCA": lambda x: PCA(2, svd_solver="full").fit_transform(x),
    "MinMaxScaler": lambda x: MinMaxScaler().fit_transform(x),
}
for name, call in calls.items():
    want = call(x)
    with sklearn.config_context(array_api_dispatch=True):
        got = call(xp.asarray(x))
    assert type(got) is ember_ml.EmberTensor, (name, type(got))
    assert got.backend == sys.argv[1] and got.dtype == "float64", (name, got)
    np.testing.assert_allclose(np.asarray(got), want, rtol=1e-9, atol=1e-12, err_msg=name)
"""


@pytest.mark.parametrize("engine", [name for name in ("numpy", "torch") if name in ENGINES])
def test_scipy_and_scikit_learn_take_tensors_and_return_tensors(engine):
    pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TAKEN, engine], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
