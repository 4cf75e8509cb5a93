"""Mithril's names: `import ember_ml.compat.mithril as ml`; nothing else in a program changes."""

import typing

from ember_ml.compat.mithril import backends as backends
from ember_ml.compat.mithril import models as models
from ember_ml.compiler import compile as compile
from ember_ml.core.dtypes import DTYPES

_DTYPES = {**DTYPES, "float": DTYPES["float32"], "double": DTYPES["float64"], "int": DTYPES["int32"]}


def __getattr__(name: str) -> typing.Any:
    """Return a dtype, a backend's class, or a node's."""
    if name in _DTYPES:
        return _DTYPES[name]
    return getattr(backends if name.endswith("Backend") else models, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_DTYPES, *dir(backends), *dir(models)})
