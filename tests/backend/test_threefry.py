"""Random words on the host: the definition's, in blocks and by Numba. No generator is touched."""

import random
import subprocess
import sys

import numpy as np
import pytest

from ember_ml import backend, ops
from ember_ml.backend import threefry
from ember_ml.core import TABLE

KEY = np.array([0x89ABCDEF, 0xFFFFFFFF], "uint32")
SIZES = [0, 1, 7, threefry._BLOCK, 2 * threefry._BLOCK + 5]
DRAWS = {
    "random_pairs": lambda n: (),
    "random_bits": lambda n: (),
    "unit_uniform float32": lambda n: ("float32",),
    "unit_uniform float64": lambda n: ("float64",),
}


def draw(name, size):
    op = TABLE[name.split()[0]]
    return op.function(KEY, (size,), *DRAWS[name](size))


def definition(name, size):
    """Return what the op's body says, on words that its own body made."""
    pairs = TABLE["random_pairs"].define(KEY, (size,))
    if name == "random_pairs":
        return pairs
    if name == "random_bits":
        return pairs[0] ^ pairs[1]
    if name.endswith("float32"):
        return ((pairs[0] ^ pairs[1]) >> 9).astype("float32") * np.float32(2.0**-23)
    return (pairs[0] * 2.0**20 + (pairs[1] >> 12)) * 2.0**-52


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", DRAWS)
def test_blocks_give_the_words_of_the_definition(name, size, monkeypatch):
    monkeypatch.setattr(threefry, "_numba", lambda: None)
    with backend.use_backend("numpy"):
        got, want = draw(name, size), definition(name, size)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", DRAWS)
def test_compiled_loops_give_the_words_of_the_definition(name, size, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(threefry, "_LARGE", 0)
    with backend.use_backend("numpy"):
        got, want = draw(name, size), definition(name, size)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_numba_is_imported_for_large_draws_alone():
    pytest.importorskip("numba")
    program = (
        "import sys; from ember_ml import ops; ops.uniform((1000,)); assert 'numba' not in sys.modules; "
        f"ops.uniform(({threefry._LARGE},)); assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_array_of_too_many_is_refused_before_memory_is_asked_for(be):
    for name, settings in DRAWS.items():
        op = TABLE[name.split()[0]]
        with pytest.raises(ValueError, match=r"random numbers come in arrays of less than 2\*\*32"):
            op.function(be.array(KEY), (2**16, 2**16), *settings(0))


def test_no_generator_of_an_engine_is_touched(be):
    torch = pytest.importorskip("torch")
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    ops.set_seed(3)
    for op in (ops.uniform, ops.normal, ops.exponential, ops.gamma, ops.poisson, ops.bernoulli, ops.binomial):
        op((5,))
    ops.randint((5,), 9)
    ops.permutation(5)
    ops.categorical([0.0, 1.0])
    after = random.getstate(), np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert torch.equal(before[2], after[2])
