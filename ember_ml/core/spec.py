"""What is known of an array before it exists: shape and dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ember_ml.core import tree
from ember_ml.core.dispatch import SCALARS
from ember_ml.core.dtypes import DType, as_dtype
from ember_ml.core.rules import shape_of


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
    if type(args) is tuple and not any(isinstance(x, list | tuple | dict) for x in args):
        return tuple(map(spec_of, args))
    return tree.map(spec_of, args)
