"""What goes wrong with data, in words that say what to do; and pandas, imported on use."""

from __future__ import annotations

from types import ModuleType

from ember_ml.core.optional import need


class DataError(ValueError):
    """The data cannot be used as asked: says what was given, what is wanted and what to do."""


def load_pandas() -> ModuleType:
    """Pandas, or an ImportError that says how to install it."""
    return need("pandas", extra="data", purpose="reading tables")
