"""Fourier transforms. float32 gives complex64, float64 complex128; sizes that differ cut or fill with zeros.

`norm` says where the factor 1/n stands: "backward" in the inverse, "forward" in the transform, "ortho" its
square root in both. Transforms are linear and symmetric, so the tape goes back by the same transform.
"""

from ember_ml.core.dtypes import NUMERIC, REAL, Defaults, as_dtype, real_of
from ember_ml.core.op import composite, primitive
from ember_ml.core.rules import as_axes, shape_of
from ember_ml.core.transforms import NORMS, half, transformed, with_sizes
from ember_ml.ops.batching import over_axes
from ember_ml.ops.comparison import greater, less, logical_and
from ember_ml.ops.costs import transforms
from ember_ml.ops.creation import arange, astype, zeros
from ember_ml.ops.elementwise import add, conj, divide, multiply
from ember_ml.ops.indexing import getitem, slice_update
from ember_ml.ops.matrices import complex_of, floating_to
from ember_ml.ops.repetition import roll
from ember_ml.ops.shape import concat, upright

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft",
    "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

_OTHER_WAY = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _check_norm(norm):
    if norm not in NORMS:
        raise ValueError(f"norm must be 'backward', 'ortho' or 'forward', got {norm!r}")


def _whole(x, s=None, axes=None, norm="backward"):
    _check_norm(norm)
    return with_sizes(shape_of(x), *transformed(shape_of(x), s, axes))


def _halved(x, s=None, axes=None, norm="backward"):
    _check_norm(norm)
    sizes, over = transformed(shape_of(x), s, axes)
    return with_sizes(shape_of(x), half(sizes), over)


def _unhalved(x, s=None, axes=None, norm="backward"):
    _check_norm(norm)
    return with_sizes(shape_of(x), *transformed(shape_of(x), s, axes, halved=True))


_spectral = floating_to(complex_of)
_temporal = floating_to(lambda dtype: real_of(complex_of(dtype)))


def _resized(x, shape):
    """Return x cut, or filled up with zeros at the ends, to `shape`."""
    common = tuple(slice(0, min(n, m)) for n, m in zip(shape_of(x), shape, strict=True))
    if any(n > m for n, m in zip(shape_of(x), shape, strict=True)):
        x = getitem(x, index=common)
    if shape_of(x) == tuple(shape):
        return x
    return slice_update(zeros(shape, dtype=as_dtype(x.dtype), like=x), x, index=common)


def _weighed(x, weight, points, axis):
    """Multiply the bins of a half spectrum that stand for two, all but the first and the Nyquist's."""
    k = arange(points // 2 + 1, like=x)
    twice = astype(logical_and(greater(k, 0), less(multiply(k, 2), points)), dtype=real_of(as_dtype(x.dtype)))
    weights = add(multiply(twice, weight - 1.0), 1.0)
    return multiply(x, upright(weights, axis, len(shape_of(x))))


def _fftn_vjp(g, out, x, s, axes, norm):
    _, over = transformed(shape_of(x), s, axes)
    return (_resized(fftn(g, axes=over, norm=norm), shape_of(x)),)


def _ifftn_vjp(g, out, x, s, axes, norm):
    _, over = transformed(shape_of(x), s, axes)
    return (_resized(ifftn(g, axes=over, norm=norm), shape_of(x)),)


def _rfftn_vjp(g, out, x, s, axes, norm):
    sizes, over = transformed(shape_of(x), s, axes)
    halved = _weighed(conj(g), 0.5, sizes[-1], over[-1])  # the inverse counts each bin and its mirror image
    return (_resized(irfftn(halved, s=sizes, axes=over, norm=_OTHER_WAY[norm]), shape_of(x)),)


def _irfftn_vjp(g, out, x, s, axes, norm):
    sizes, over = transformed(shape_of(x), s, axes, halved=True)
    spectrum = conj(rfftn(g, axes=over, norm=_OTHER_WAY[norm]))
    return (_resized(_weighed(spectrum, 2.0, sizes[-1], over[-1]), shape_of(x)),)


@primitive(shape=_whole, dtype=_spectral, kinds=NUMERIC, vjp=_fftn_vjp, batch=over_axes, cost=transforms())
def fftn(x, /, s=None, axes=None, norm="backward"):
    """The transform over several axes (all without `s` and `axes`), of `s` points along them.

    y[k] = sum over t of x[t] e**(-2 pi i k t / n). Raises ValueError for a transform of no points.
    """


@primitive(shape=_whole, dtype=_spectral, kinds=NUMERIC, vjp=_ifftn_vjp, batch=over_axes, cost=transforms())
def ifftn(x, /, s=None, axes=None, norm="backward"):
    """The inverse of `fftn`."""


@primitive(shape=_halved, dtype=_spectral, kinds=REAL, vjp=_rfftn_vjp, batch=over_axes, cost=transforms(0.5))
def rfftn(x, /, s=None, axes=None, norm="backward"):
    """The transform of real data over several axes: of the last one, the n // 2 + 1 bins that tell all."""


@primitive(
    shape=_unhalved,
    dtype=_temporal,
    kinds=NUMERIC,
    vjp=_irfftn_vjp,
    batch=over_axes,
    cost=transforms(0.5, halved=True),
)
def irfftn(x, /, s=None, axes=None, norm="backward"):
    """The inverse of `rfftn`; give `s` where the last axis was odd, else it is taken to be 2 (m - 1)."""


@composite(kinds=NUMERIC)
def fft(x, /, n=None, axis=-1, norm="backward"):
    """The transform along one axis, of n points."""
    return fftn(x, s=_points(n), axes=(axis,), norm=norm)


@composite(kinds=NUMERIC)
def ifft(x, /, n=None, axis=-1, norm="backward"):
    """The inverse of `fft`."""
    return ifftn(x, s=_points(n), axes=(axis,), norm=norm)


@composite(kinds=REAL)
def rfft(x, /, n=None, axis=-1, norm="backward"):
    """The transform of real data along one axis: the n // 2 + 1 bins that tell all."""
    return rfftn(x, s=_points(n), axes=(axis,), norm=norm)


@composite(kinds=NUMERIC)
def irfft(x, /, n=None, axis=-1, norm="backward"):
    """The inverse of `rfft`; n is 2 (m - 1) unless given."""
    return irfftn(x, s=_points(n), axes=(axis,), norm=norm)


@composite(kinds=NUMERIC)
def hfft(x, /, n=None, axis=-1, norm="backward"):
    """The real spectrum of a signal that is Hermitian, given its first half; n is 2 (m - 1) unless given."""
    _check_norm(norm)
    return irfftn(conj(x), s=_points(n), axes=(axis,), norm=_OTHER_WAY[norm])


@composite(kinds=REAL)
def ihfft(x, /, n=None, axis=-1, norm="backward"):
    """The inverse of `hfft`: the first half of the Hermitian signal with this real spectrum."""
    _check_norm(norm)
    return conj(rfftn(x, s=_points(n), axes=(axis,), norm=_OTHER_WAY[norm]))


def _points(n):
    return None if n is None else (n,)


@composite(kinds=NUMERIC)
def fft2(x, /, s=None, axes=(-2, -1), norm="backward"):
    """The transform over two axes, the last ones unless named."""
    return fftn(x, s=s, axes=axes, norm=norm)


@composite(kinds=NUMERIC)
def ifft2(x, /, s=None, axes=(-2, -1), norm="backward"):
    """The inverse of `fft2`."""
    return ifftn(x, s=s, axes=axes, norm=norm)


@composite(kinds=REAL)
def rfft2(x, /, s=None, axes=(-2, -1), norm="backward"):
    """The transform of real data over two axes."""
    return rfftn(x, s=s, axes=axes, norm=norm)


@composite(kinds=NUMERIC)
def irfft2(x, /, s=None, axes=(-2, -1), norm="backward"):
    """The inverse of `rfft2`."""
    return irfftn(x, s=s, axes=axes, norm=norm)


@composite(arrays=("like",))
def fftfreq(n, *, d=1.0, dtype=None, device=None, like=None):
    """The frequency of each bin of `fft` for n samples `d` apart: 0, 1, ... , -2, -1 over n d."""
    return _frequencies(n, d, ((0, (n + 1) // 2), (-(n // 2), 0)), dtype, device, like)


@composite(arrays=("like",))
def rfftfreq(n, *, d=1.0, dtype=None, device=None, like=None):
    """The frequency of each bin of `rfft` for n samples `d` apart: 0 to n // 2 over n d."""
    return _frequencies(n, d, ((0, n // 2 + 1),), dtype, device, like)


def _frequencies(n, d, ranges, dtype, device, like):
    if n < 1:
        raise ValueError(f"expected at least 1 sample, got {n}")
    chosen = Defaults.float if dtype is None else as_dtype(dtype)
    if chosen.kind != "float":
        raise TypeError(f"frequencies are floating-point, got dtype {chosen}")
    bins = [arange(a, b, dtype=chosen, device=device, like=like) for a, b in ranges]
    return divide(bins[0] if len(bins) == 1 else concat(bins), n * d)


@composite()
def fftshift(x, /, axes=None):
    """The spectrum with frequency 0 moved to the middle, n // 2, of each axis, or of those named."""
    return _moved(x, axes, 1)


@composite()
def ifftshift(x, /, axes=None):
    """The inverse of `fftshift`."""
    return _moved(x, axes, -1)


def _moved(x, axes, way):
    over = as_axes(axes, len(shape_of(x)))
    return roll(x, [way * (shape_of(x)[axis] // 2) for axis in over], axis=over)
