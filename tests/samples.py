"""Arguments for the laws. They stand in the package, where `ember-ml backends --check` finds them too."""

from ember_ml.cli.samples import (
    DATA_DEPENDENT,
    ELSEWHERE,
    PREPARED,
    SETTLED,
    WRITTEN,
    call,
    cases,
    sample,
    signature,
    takes_floats,
)

__all__ = [
    "DATA_DEPENDENT",
    "ELSEWHERE",
    "PREPARED",
    "SETTLED",
    "WRITTEN",
    "call",
    "cases",
    "sample",
    "signature",
    "takes_floats",
]
