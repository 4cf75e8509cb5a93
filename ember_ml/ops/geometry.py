"""Arrays moved about in space. Coordinates are array indices; the centre of n places is n // 2."""

from ember_ml.core.dtypes import NUMERIC, as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import as_shape, shape_of
from ember_ml.ops.creation import asarray, astype
from ember_ml.ops.elementwise import add, subtract
from ember_ml.ops.grids import indices
from ember_ml.ops.indexing import getitem
from ember_ml.ops.interpolation import map_coordinates
from ember_ml.ops.products import matmul
from ember_ml.ops.shape import matrix_transpose, reshape
from ember_ml.ops.windows import padded

__all__ = ["extract_center", "rigid_transform", "topleft_pad"]


@composite()
def topleft_pad(x, /, shape, padval=0):
    """The array at the first corner of one of another shape, filled up with `padval`, cut where larger."""
    sizes = _sizes_for(x, shape)
    return padded(x, [(0, new - n) for n, new in zip(shape_of(x), sizes, strict=True)], padval)


@composite()
def extract_center(x, /, newshape):
    """The middle of an array: along each axis the places from (n - new) // 2 on.

    Raises ValueError for a new size above the old one.
    """
    sizes = _sizes_for(x, newshape)
    if any(new > n for n, new in zip(shape_of(x), sizes, strict=True)):
        raise ValueError(f"shape {shape_of(x)} has no middle of shape {sizes}")
    starts = [(n - new) // 2 for n, new in zip(shape_of(x), sizes, strict=True)]
    return getitem(x, index=tuple(slice(a, a + n) for a, n in zip(starts, sizes, strict=True)))


def _sizes_for(x, shape):
    sizes = as_shape(shape)
    if len(sizes) != len(shape_of(x)):
        raise ValueError(f"an array of shape {shape_of(x)} needs as many new sizes, got {sizes}")
    return sizes


@composite(kinds=NUMERIC, arrays=("x", "rotation_matrix", "arr_mask", "translation"))
def rigid_transform(
    x,
    rotation_matrix,
    arr_mask=None,
    translation=None,
    use_geometric_center=False,
    order=3,
    *,
    center=None,
):
    """x and its mask turned about their centre, then moved: out(p) = x(R^-1 (p - c - t) + c).

    Shapes: x and `arr_mask` (d axes), `rotation_matrix` (d, d), `translation` (d,). Coordinates are array
    indices in the order of the axes, as columns: R takes (1, 0, 0), a step along the first axis, to its first
    column. R is taken for a rotation, whose inverse is its transpose. The centre c is n // 2 along each axis;
    (n - 1) / 2 with `use_geometric_center`; or `center`, a number for each axis. Outside of x is 0.

    `order` is that of `map_coordinates`. The mask is interpolated linearly at most, so that it stays within
    its bounds; without one, the second of the pair is None. Differentiable in all four arrays.
    """
    shape = shape_of(x)
    ndim, dtype = len(shape), as_dtype(x.dtype)
    _require(shape, rotation_matrix, arr_mask, translation, center)
    if center is None:
        center = [(n - 1) / 2 if use_geometric_center else float(n // 2) for n in shape]
    middle = asarray([[float(c)] for c in center], dtype=dtype, like=x)
    moved = middle
    if translation is not None:
        moved = add(middle, reshape(astype(translation, dtype=dtype), shape=(ndim, 1)))
    places = reshape(indices(shape, dtype=dtype, like=x), shape=(ndim, -1))
    inverse = matrix_transpose(astype(rotation_matrix, dtype=dtype))
    source = reshape(add(matmul(inverse, subtract(places, moved)), middle), shape=(ndim, *shape))
    out = map_coordinates(x, source, order=order)
    if arr_mask is None:
        return out, None
    return out, map_coordinates(astype(arr_mask, dtype=dtype), source, order=min(order, 1))


def _require(shape, rotation_matrix, mask, translation, center):
    ndim = len(shape)
    if shape_of(rotation_matrix) != (ndim, ndim):
        found = shape_of(rotation_matrix)
        raise ValueError(f"an array of {ndim} axes needs a rotation ({ndim}, {ndim}), got shape {found}")
    if mask is not None and shape_of(mask) != shape:
        raise ValueError(f"the mask must have the array's shape {shape}, got {shape_of(mask)}")
    if translation is not None and shape_of(translation) != (ndim,):
        raise ValueError(f"a translation has shape ({ndim},), got {shape_of(translation)}")
    if center is not None and len(center) != ndim:
        raise ValueError(f"a centre has {ndim} coordinates, got {center}")
