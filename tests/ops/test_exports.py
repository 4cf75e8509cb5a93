"""What `ember_ml.ops` hands on: what each of its files names in `__all__`, and nothing else of theirs."""

from importlib import import_module
from pathlib import Path

from ember_ml import ops
from ember_ml.core import TABLE

FILES = [import_module(f"ember_ml.ops.{path.stem}") for path in Path(ops.__file__).parent.glob("[!_]*.py")]
NAMED = {f.__name__: set(getattr(f, "__all__", ())) for f in FILES}


def test_a_file_exports_the_ops_that_it_defines():
    unsaid = {name for name, op in TABLE.items() if name not in NAMED.get(op.define.__module__, ())}
    assert {name for name in unsaid if TABLE[name].define.__module__.startswith("ember_ml.ops.")} == set()


def test_a_file_exports_what_is_its_own():
    borrowed = [
        (f.__name__, name)
        for f in FILES
        for name in NAMED[f.__name__]
        if vars(f)[name].__module__ != f.__name__
    ]
    assert borrowed == []


def test_ops_hands_on_what_its_files_export_and_no_helper():
    homes = {name: getattr(each, "__module__", None) for name, each in vars(ops).items()}
    handed_on = {name for name, home in homes.items() if home in NAMED}
    assert handed_on == set().union(*NAMED.values())
