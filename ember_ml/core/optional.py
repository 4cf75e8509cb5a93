"""Optional imports: a missing package becomes a sentence that says how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType


def need(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise ImportError: `<purpose> needs <package>: pip install 'ember-ml[<extra>]'`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"{purpose} needs {package}: pip install 'ember-ml[{extra}]'") from error
