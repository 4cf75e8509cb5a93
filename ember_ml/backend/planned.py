"""A transform of real data, or the inverse of one, planned once for arrays of known shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ember_ml.backend.vocabulary import into
from ember_ml.core.dtypes import DType, as_dtype
from ember_ml.core.rules import shape_of
from ember_ml.core.transforms import half, transformed, with_sizes

if TYPE_CHECKING:
    from ember_ml.backend.base import Backend


class Planned:
    """One transform of arrays of one shape: `planned(x)`, or `planned(x, out)` to have it written there.

    Returns the result, which is `out` where arrays change in place, and a new array elsewhere: rebind it.
    """

    name: str  # rfftn or irfftn
    given: tuple[int, ...]  # the shape that it takes
    dtype: DType  # and the dtype to which it casts
    sizes: tuple[int, ...]  # points along each axis
    axes: tuple[int, ...]

    def __init__(self, backend: Backend, name: str, given: Any, points: Any, dtype: Any, axes: Any):
        self.backend, self.name, self.given, self.dtype = backend, name, tuple(given), as_dtype(dtype)
        _, self.axes = transformed(self.given, None, axes)
        self.sizes = tuple(points[a] for a in self.axes)
        expected = with_sizes(points, half(self.sizes), self.axes) if name == "irfftn" else tuple(points)
        if self.given != expected:
            raise ValueError(
                f"build_fft: {name} to points of shape {tuple(points)} takes {expected}, got {self.given}"
            )
        backend.refuse(name, [self.dtype])
        backend.prepare_transform(name, self.dtype.name, tuple(points), self.axes)

    def __call__(self, x: Any, out: Any = None) -> Any:
        """Return the transform of an array of the planned shape. Raises ValueError for another shape."""
        if shape_of(x) != self.given:
            raise ValueError(f"{self.name}: planned for an array of shape {self.given}, got {shape_of(x)}")
        x = self.backend.cast_to(x, self.dtype)
        made = self.backend.transform(self.name, x, self.sizes, self.axes, "backward", out)
        return made if out is None or made is out else into(self.backend, self.name, out, made)
