"""Which backend is active, why, and what is saved. What depends on a fresh process runs in one."""

import asyncio
import logging
import threading
import warnings

import numpy as np
import pytest

import ember_ml as eh
from conftest import ENGINES
from ember_ml import backend, ops
from ember_ml.backend import Backend, selection
from ember_ml.backend.numpy_backend import NumPyBackend
from ember_ml.core import TABLE, as_dtype
from processes import in_a_new_process

OTHERS = [name for name in ENGINES if name != "numpy"]
needs_another = pytest.mark.skipif(not OTHERS, reason="NumPy alone is installed here")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's folder of settings, empty, and a process that has chosen nothing yet."""
    for prefix in ("EMBER_ML", "ember_ml"):
        for word in ("BACKEND", "DEVICE"):
            monkeypatch.delenv(f"{prefix}_{word}", raising=False)
    monkeypatch.setenv("EMBER_ML_HOME", str(tmp_path / "home"))
    before = selection._Choice.asked, selection._Choice.found
    devices = {name: b.device for name, b in selection._INSTANCES.items()}
    selection._Choice.asked = selection._Choice.found = None
    yield tmp_path / "home"
    selection._Choice.asked, selection._Choice.found = before
    for name, device in devices.items():
        selection._INSTANCES[name].device = device


def write(home, **files):
    home.mkdir(exist_ok=True)
    for name, text in files.items():
        (home / name.replace("dot_", ".")).write_text(text)


# Order: use_backend > set_backend > the environment > config > .backend > NumPy


@needs_another
def test_the_first_match_wins(home, monkeypatch):
    one, two = OTHERS[0], OTHERS[-1]
    reset = lambda: setattr(selection._Choice, "found", None)
    assert (str(backend.get_backend()), backend.why_active()) == ("numpy", "the default")
    write(home, dot_backend=one, dot_device="cpu")
    reset()
    assert (str(backend.get_backend()), backend.why_active()) == (one, str(home / ".backend"))
    write(home, config=f"# my choice\nbackend = {two}\ndevice = 'cpu'\n")
    reset()
    assert (str(backend.get_backend()), backend.why_active()) == (two, str(home / "config"))
    monkeypatch.setenv("ember_ml_BACKEND", "numpy")
    reset()
    assert (str(backend.get_backend()), backend.why_active()) == ("numpy", "ember_ml_BACKEND")
    monkeypatch.setenv("EMBER_ML_BACKEND", one)
    monkeypatch.setenv("EMBER_ML_DEVICE", "cpu")
    reset()
    assert (str(backend.get_backend()), backend.why_active()) == (one, "EMBER_ML_BACKEND")
    backend.set_backend("numpy")
    assert (str(backend.get_backend()), backend.why_active()) == ("numpy", "set_backend")
    with backend.use_backend(one):
        assert (str(backend.get_backend()), backend.why_active()) == (one, "use_backend")
        assert str(backend.get_backend("numpy")) == "numpy"
    assert str(backend.get_backend()) == "numpy"


def test_the_environment_is_read_in_a_new_process():
    code = "import ember_ml as eh; print(eh.get_backend(), eh.zeros((1,)).backend)"
    for name in ("EMBER_ML_BACKEND", "ember_ml_BACKEND"):
        assert in_a_new_process(code, **{name: ENGINES[-1]}) == f"{ENGINES[-1]} {ENGINES[-1]}"


def test_nothing_is_written_without_being_asked(home):
    backend.set_backend(ENGINES[-1])
    backend.auto_select_backend()
    assert not home.exists()


def test_a_choice_is_saved_when_asked_and_whole(home):
    backend.set_backend(ENGINES[-1], persist=True)
    assert (home / ".backend").read_text() == ENGINES[-1]
    assert sorted(p.name for p in home.iterdir()) == [".backend", ".device"]
    code = "import ember_ml as eh; print(eh.get_backend())"
    assert in_a_new_process(code, EMBER_ML_HOME=str(home)) == ENGINES[-1]
    backend.set_backend("numpy", "cpu", persist=True)
    assert ((home / ".backend").read_text(), (home / ".device").read_text()) == ("numpy", "cpu")
    assert sorted(p.name for p in home.iterdir()) == [".backend", ".device"]


def test_a_full_disk_leaves_the_old_choice_and_no_scraps(home, monkeypatch):
    backend.set_backend("numpy", persist=True)
    written = []

    def full(path, text, **_):
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        path.write_bytes(text.encode())

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        backend.set_backend(ENGINES[-1], persist=True)
    monkeypatch.undo()
    assert (home / ".backend").read_text() == "numpy"
    assert sorted(p.name for p in home.iterdir()) == [".backend", ".device"]


@needs_another
def test_saving_says_so_when_a_higher_rule_hides_the_choice(home, monkeypatch):
    monkeypatch.setenv("EMBER_ML_BACKEND", OTHERS[0])
    with pytest.warns(
        UserWarning,
        match=rf"saved backend 'numpy', but EMBER_ML_BACKEND asks for '{OTHERS[0]}' and is read first",
    ):
        backend.set_backend("numpy", persist=True)
    monkeypatch.delenv("EMBER_ML_BACKEND")
    write(home, config=f"backend = {OTHERS[0]}\n")
    with pytest.warns(
        UserWarning, match=rf"saved backend 'numpy', but .*config asks for '{OTHERS[0]}' and is read first"
    ):
        backend.set_backend("numpy", persist=True)
    write(home, config="backend = numpy\n")
    backend.set_backend("numpy", persist=True)  # the same choice twice hides nothing


@pytest.mark.parametrize("saved", ["tensorflow", "", "\x00\xff", "two words", "cupyy"])
def test_a_saved_backend_that_is_not_there_warns_once_and_falls_back(home, saved):
    write(home, dot_backend=saved)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [str(backend.get_backend()) for _ in range(3)] == ["numpy"] * 3
    if not saved:
        assert not told
        return
    (only,) = told
    assert "asks for backend" in str(only.message)
    assert "unknown backend" in str(only.message)
    assert str(only.message).endswith("using numpy")
    assert backend.why_active() == "fallback"


def test_a_saved_device_that_is_not_there_falls_back(home):
    write(home, dot_backend="numpy", dot_device="cuda")
    with pytest.warns(UserWarning, match="has no device 'cuda' here; it has cpu; using numpy"):
        assert str(backend.get_backend()) == "numpy"


BLOCKED = """
    import sys, warnings
    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {blocked!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize("name", ["torch", "torch_optimized", "jax", "mlx"])
def test_an_engine_that_is_not_installed_says_how_to_install_it(name):
    package = selection.ENGINES[name].package
    code = (
        BLOCKED.format(blocked=[package])
        + f"""
    import ember_ml as eh
    from ember_ml import backend
    try:
        eh.set_backend({name!r})
    except ImportError as error:
        print(error)
    assert {name!r} not in backend.available_backends()
    print(eh.get_backend())
    """
    )
    assert (
        in_a_new_process(code)
        == f"backend {name!r} needs {package}: pip install 'ember-ml[{package}]'\nnumpy"
    )


def test_without_any_engine_numpy_is_chosen_automatically_and_all_works():
    code = (
        BLOCKED.format(blocked=["torch", "jax", "mlx", "cupy"])
        + """
    import ember_ml as eh
    from ember_ml import ops, backend
    print(eh.auto_select_backend(), backend.available_backends(), float(ops.sum(ops.ones((2, 3)))))
    """
    )
    assert in_a_new_process(code) == "('numpy', 'cpu') ['numpy'] 6.0"


@pytest.mark.parametrize(
    "fault",
    ["raise OSError('libcudart.so: cannot open shared object')", "raise ImportError('libmkl')", "x = 1"],
)
def test_an_engine_that_is_installed_but_broken_is_no_obstacle(tmp_path, fault):
    """A wheel for another machine, or a folder that happens to have the name."""
    for package in ("torch", "jax", "mlx"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(fault)
    code = """
    import ember_ml as eh
    from ember_ml import backend
    assert backend.available_backends() == ["numpy"], backend.available_backends()
    assert eh.auto_select_backend() == ("numpy", "cpu")
    try:
        eh.set_backend("torch")
    except ImportError as error:
        print(error)
    """
    told = in_a_new_process(code, PYTHONPATH=str(tmp_path))
    assert told.startswith("backend 'torch': torch is installed but does not load: ")


def test_an_unknown_name_lists_the_known_ones():
    for ask in (backend.get_backend, backend.set_backend, lambda n: backend.use_backend(n).__enter__()):
        with pytest.raises(
            ValueError, match=r"unknown backend 'tensorflow'; known: numpy, torch, torch_optimized, jax, mlx"
        ):
            ask("tensorflow")


def test_a_wrong_device_is_refused_and_changes_nothing(be):
    before = str(be), be.device, backend.why_active()
    with pytest.raises(ValueError, match=f"backend {be} has no device 'abacus' here; it has .*cpu"):
        backend.set_backend(be, "abacus")
    assert (str(be), be.device, backend.why_active()) == before


# Contexts


@needs_another
def test_contexts_nest_and_close_after_an_error(home):
    with backend.use_backend(OTHERS[0]), backend.use_backend("numpy"):
        assert str(backend.get_backend()) == "numpy"
    with pytest.raises(KeyError), backend.use_backend(OTHERS[0]):
        raise KeyError
    assert str(backend.get_backend()) == "numpy"


@needs_another
def test_threads_keep_their_own_context(home):
    gate, seen = threading.Barrier(len(ENGINES)), {}

    def work(name):
        with backend.use_backend(name):
            gate.wait()
            seen[name] = (str(backend.get_backend()), backend.get_backend(name).owns(type(ops.zeros((2,)))))

    threads = [threading.Thread(target=work, args=(name,)) for name in ENGINES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == {name: (name, True) for name in ENGINES}


@needs_another
def test_async_tasks_keep_their_own_context(home):
    async def work(name):
        with backend.use_backend(name):
            for _ in range(3):
                await asyncio.sleep(0)
                assert str(backend.get_backend()) == name
                assert backend.get_backend(name).owns(type(ops.zeros((2,))))
        return str(backend.get_backend())

    async def both():
        return await asyncio.gather(*(work(name) for name in ENGINES * 2))

    assert asyncio.run(both()) == ["numpy"] * (2 * len(ENGINES))


# The object


def test_a_backend_is_named_and_compares_with_its_name(be):
    name = str(be)
    assert be == name
    assert be != "tensorflow"
    assert be.name == name
    assert {be: 1}[name] == 1
    assert f"{be}" == name
    assert "seed" not in repr(be)


def test_configured_instances_stand_side_by_side():
    wide, narrow = NumPyBackend(dtype="float64", randomness_seed=1), NumPyBackend(dtype="float16")
    assert (wide.zeros(3, 4).shape, wide.zeros(3, 4).dtype) == ((3, 4), "float64")
    assert (narrow.zeros((3, 4)).dtype, narrow.array([1.5, 2]).dtype) == ("float16", "float16")
    assert wide.zeros(2, dtype="int32").dtype == "int32"
    assert repr(wide) == "NumPyBackend(dtype='float64')"
    assert (
        ops.zeros((1,), like=wide.zeros(1)).dtype == "float32"
    )  # ops on native arrays use the engine's settings
    assert wide.add(wide.ones(2), wide.ones(2)).dtype == "float64"


def test_a_configured_instance_draws_the_same_numbers_again():
    first = NumPyBackend(randomness_seed=1).normal((3,))
    assert (NumPyBackend(randomness_seed=1).normal((3,)) == first).all()
    assert (NumPyBackend(randomness_seed=2).normal((3,)) != first).all()


def test_methods_of_a_backend_are_the_ops_of_the_table(be):
    x = be.array(np.array([[1.0, 2.0]], "float32"))
    for name in ("add", "multiply"):
        np.testing.assert_array_equal(np.asarray(getattr(be, name)(x, x)), np.asarray(TABLE[name](x, x)))
    for made in (
        be.ones(2, 3),
        be.full((2,), 1.5),
        be.arange(3),
        be.eye(2),
        be.uniform((2,)),
        be.concatenate([x, x]),
    ):
        assert be.owns(type(made))
    with pytest.raises(
        AttributeError, match=f"{type(be).__name__} has no 'multipli', and there is no op of that name"
    ):
        be.multipli


def test_setting_an_instance_keeps_its_own_device(home):
    mine = NumPyBackend(device="cpu")
    backend.set_backend(mine)
    assert mine.device == "cpu"


def test_auto_selection_returns_name_and_device_sets_them_and_says_why(home, caplog):
    with caplog.at_level(logging.INFO, logger="ember_ml"):
        name, device = eh.auto_select_backend()
    assert (str(backend.get_backend()), backend.get_device().partition(":")[0]) == (name, device)
    assert name in ENGINES
    assert any(f"backend {name} on {device}: " in r.getMessage() for r in caplog.records)


def test_the_engines_own_namespace_is_at_hand():
    with backend.use_backend("numpy"):
        assert backend.get_backend_module() is np


# A user's own


class Counted:
    """An array type of somebody's own: a NumPy array in a box."""

    def __init__(self, inner):
        self.inner = np.asarray(inner)

    shape = property(lambda self: self.inner.shape)
    dtype = property(lambda self: self.inner.dtype)
    ndim = property(lambda self: self.inner.ndim)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.inner, dtype)


class _Namespace:
    def __getattr__(self, name):
        function = getattr(np, name)

        def call(*args, **settings):
            plain = [a.inner if type(a) is Counted else a for a in args]
            return Counted(function(*plain, **settings))

        return call if callable(function) and not isinstance(function, type) else function


class CountedBackend(Backend):
    """The engine of `Counted`."""

    array_types = (Counted,)
    xp = _Namespace()

    def native_dtype(self, dtype):
        return np.dtype(as_dtype(dtype))


@pytest.fixture
def registered():
    backend.register_backend("counted", CountedBackend)
    yield backend.get_backend("counted")
    backend.unregister_backend("counted")


def test_a_backend_of_ones_own_works_like_the_others(registered):
    x = registered.array([[1.0, 2.0], [3.0, 4.0]])
    assert type(x) is Counted
    assert str(registered) == "counted"
    y = ops.matmul(ops.add(x, 1.0), x)
    assert type(y) is Counted
    np.testing.assert_array_equal(y.inner, np.array([[2.0, 3.0], [4.0, 5.0]]) @ x.inner)
    with backend.use_backend("counted"):
        assert type(ops.zeros((2,))) is Counted
    assert "counted" in backend.available_backends()
    with pytest.raises(TypeError, match="add: arrays of different backends, counted and numpy"):
        ops.add(x, np.ones(2))


def test_a_backend_that_was_taken_back_is_gone():
    backend.register_backend("counted", CountedBackend)
    x = backend.get_backend("counted").array([1.0])
    ops.add(x, x)
    backend.unregister_backend("counted")
    with pytest.raises(ValueError, match="unknown backend 'counted'"):
        backend.get_backend("counted")
    with pytest.raises(TypeError, match=r"add: expected arrays, got .*Counted"):
        ops.add(x, x)


def test_what_is_no_backend_is_not_registered():
    for wrong in (int, NumPyBackend(), "numpy"):
        with pytest.raises(TypeError, match="register_backend: expected a subclass of Backend"):
            backend.register_backend("mine", wrong)


def test_a_better_numpy_may_take_the_place_of_ours():
    class NumPyBackend(selection.backend_class("numpy")):  # the same name as ours, and still another class
        pass

    backend.register_backend("numpy", NumPyBackend)
    try:
        assert type(backend.get_backend("numpy")) is NumPyBackend
        assert backend.available_backends().count("numpy") == 1
        np.testing.assert_array_equal(ops.add(np.ones(2), 1), [2, 2])
    finally:
        backend.unregister_backend("numpy")
    assert type(backend.get_backend("numpy")) is not NumPyBackend


def test_what_chooses_a_backend_is_found_where_the_original_has_it():
    from ember_ml.backend import base

    assert base.register_backend is backend.register_backend
    assert base.set_backend is backend.set_backend
    assert base.get_backend is backend.get_backend
    assert base.auto_select_backend is backend.auto_select_backend
    assert ops.set_backend is backend.set_backend
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        base.nothing


# What importing and meeting cost


def test_importing_loads_no_engine_and_prints_nothing():
    code = """
    import sys
    import ember_ml
    heavy = {"numpy", "scipy", "torch", "jax", "mlx", "cupy", "rich", "typer", "pandas"}
    print(sorted({name.partition(".")[0] for name in sys.modules} & heavy))
    """
    assert in_a_new_process(code) == "[]"


def test_using_numpy_loads_no_other_engine():
    code = """
    import sys
    import ember_ml as eh
    from ember_ml import ops
    from ember_ml.compiler import compile, grad
    compile(grad(lambda x: ops.sum(ops.tanh(x))))(ops.ones((2,)))
    print(sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "torch", "jax", "mlx", "cupy"}))
    """
    assert in_a_new_process(code) == "['numpy']"


def test_jax_64_bits_come_with_the_choice_and_not_with_a_meeting():
    if "jax" not in ENGINES:
        pytest.skip("jax is not installed here")
    code = """
    import jax, jax.numpy as jnp
    from ember_ml import ops, backend
    x = ops.add(jnp.ones(2), 1.0)
    ops.softmax(x)
    try:
        ops.zeros((2,), dtype="float64", like=x)
    except TypeError as error:
        print(error)
    print(jax.config.read("jax_enable_x64"), x.dtype, ops.arange(3, like=x).dtype)
    with backend.use_backend("jax"):
        wide, usual = ops.zeros((2,), dtype="float64"), ops.zeros((2,))
        print(jax.config.read("jax_enable_x64"), wide.dtype, usual.dtype)
    """
    told = in_a_new_process(code).splitlines()
    assert told[0].startswith("jax has no float64 while its 64-bit mode is off: ")
    assert told[1:] == ["False float32 int32", "True float64 float32"]


def test_jax_64_bits_stay_off_where_the_environment_says_so():
    if "jax" not in ENGINES:
        pytest.skip("jax is not installed here")
    code = """
    import ember_ml as eh, jax
    eh.set_backend("jax")
    print(jax.config.read("jax_enable_x64"), eh.get_backend().supports("float64"))
    """
    assert in_a_new_process(code, JAX_ENABLE_X64="0") == "False False"


def test_an_engine_that_cannot_compute_here_is_refused_when_it_is_chosen():
    """As CuPy without a GPU: it can be imported, and fails at its first array."""

    class Idle(Backend):
        def works(self):
            return False

    backend.register_backend("idle", Idle)
    try:
        before = backend.get_backend()
        for choose in (backend.set_backend, lambda name: backend.use_backend(name).__enter__()):
            with pytest.raises(ValueError, match="backend 'idle' is installed, but cannot compute here"):
                choose("idle")
        assert backend.get_backend() is before
        assert "idle" not in backend.available_backends()
    finally:
        backend.unregister_backend("idle")
