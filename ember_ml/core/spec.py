"""What is known of an array before it exists: shape and dtype. Also an interpreter.

An op given `Spec`s returns the `Spec` of its result: a primitive by its shape rule and dtype rule,
a composite by running its body.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ember_ml.core import tree
from ember_ml.core.dispatch import SCALARS, Interpreter, register_type
from ember_ml.core.dtypes import DType, as_dtype
from ember_ml.core.rules import shape_of

if TYPE_CHECKING:
    from ember_ml.core.op import Op


@dataclass(frozen=True, slots=True)
class Spec:
    """The shape and dtype of an array that does not exist yet. A weak one stands for a Python number."""

    shape: tuple[int, ...]
    dtype: DType
    weak: bool = False

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def spec_of(x: Any) -> Any:
    """Return the `Spec` of an array of any kind; a Python scalar stays what it is."""
    kind = type(x)
    if kind is Spec or kind in SCALARS:
        return x
    return Spec(shape_of(x), as_dtype(x.dtype))


def specs_of(args: Any) -> Any:
    """Return a tree of arrays as the same tree of `Spec`s."""
    return tree.map(spec_of, args)


def infer(op: Op, args: tuple, attrs: dict) -> Any:
    """Return the `Spec`s of the result of `op`, or raise the error that its rules find.

    Raises the rule's own ValueError, TypeError or IndexError, with the name of the op in front.
    """
    given = specs_of(args)
    try:
        if op.spec is not None:
            return op.spec(*given, **attrs)
        if op.body is not None:
            return op.body(*given, **attrs)
        op.check_kinds(given)
        shape = op.shape(*given, **attrs)
        _, dtype = op.dtype(given, attrs)
    except (ValueError, TypeError, IndexError) as fault:
        if getattr(fault, "op", None) is None:
            fault.args = (f"{op.name}: {fault}",)
            fault.op = op.name  # pyright: ignore[reportAttributeAccessIssue]
        raise
    if isinstance(shape, list):
        return tuple(Spec(each, dtype) for each in shape)
    return Spec(shape, dtype)


class Specs(Interpreter):
    """The interpreter that computes what a result will look like."""

    level = 2

    def bind(self, op: Op, types: tuple) -> Any:
        """Return the function from arguments to the `Spec` of the result."""
        return partial(_infer, op)

    def __str__(self) -> str:
        return "specs"


def _infer(op: Op, *args: Any, **attrs: Any) -> Any:
    return infer(op, args, attrs)


SPECS = Specs()
register_type(Spec, SPECS)
