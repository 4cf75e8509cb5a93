"""The interpreter that computes what a result will look like, and no number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ember_ml.core.dispatch import Interpreter, register_type
from ember_ml.core.op import Op
from ember_ml.core.spec import Spec


class Specs(Interpreter):
    """Gives an op meaning on `Spec`s: the `Spec` of its result."""

    level = 2

    def bind(self, op: Op, types: tuple) -> Callable:
        """Return the function from arguments to the `Spec` of the result."""
        return partial(_infer, op)

    def __str__(self) -> str:
        return "specs"


def _infer(op: Op, *args: Any, **attrs: Any) -> Any:
    return op.infer(args, attrs)


register_type(Spec, Specs())
