"""Convolutions over one to three axes, channels first as in torch: x (batch, channels, *space).

Everything here is one op, `convolution`, whose gradients are convolutions again (Dumoulin and Visin 2016,
chapter 4). As in every such library it is a correlation: the kernel is not turned round.
"""

import math

from ember_ml.core.dtypes import as_dtype
from ember_ml.core.op import composite
from ember_ml.core.rules import shape_of
from ember_ml.ops.batching import convolved
from ember_ml.ops.costs import size
from ember_ml.ops.elementwise import add
from ember_ml.ops.products import matmul
from ember_ml.ops.shape import flip, matrix_transpose, permute_dims, reshape, upright
from ember_ml.ops.windows import Each, each, padded, sliding_windows, span, spread

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution",
]  # fmt: skip


def _convolved(x, weight, stride, padding, dilation, input_dilation, groups):
    shape, kernel = shape_of(x), shape_of(weight)
    _require_match(shape, kernel, groups)
    out = []
    for n, k, s, (low, high), d, gap in zip(
        shape[2:], kernel[2:], stride, padding, dilation, input_dilation, strict=True
    ):
        room = span(n, gap) + low + high - span(k, d)
        if room < 0:
            wide = span(k, d)
            raise ValueError(
                f"a kernel that spans {wide} does not fit in {wide + room} places, padding included"
            )
        out.append(room // s + 1)
    return (shape[0], kernel[0], *out)


def _require_match(shape, kernel, groups):
    if not 3 <= len(shape) <= 5 or len(kernel) != len(shape):
        raise ValueError(
            f"expected x (batch, channels, *space) and weight (out, channels, *kernel) of one to three axes "
            f"in space, got shapes {shape} and {kernel}"
        )
    if shape[1] != kernel[1] * groups or kernel[0] % groups:
        raise ValueError(
            f"x {shape} has {shape[1]} channels, but weight {kernel} in {groups} groups takes "
            f"{kernel[1] * groups} and gives {kernel[0]}"
        )


def _convolution_vjp(g, out, x, weight, stride, padding, dilation, input_dilation, groups):
    spans = [span(k, d) for k, d in zip(shape_of(weight)[2:], dilation, strict=True)]
    fed = [span(n, d) for n, d in zip(shape_of(x)[2:], input_dilation, strict=True)]
    made = [span(n, s) for n, s in zip(shape_of(g)[2:], stride, strict=True)]
    lows = [low for low, _ in padding]
    for_x = [(span - 1 - low, n + low - m) for span, low, n, m in zip(spans, lows, fed, made, strict=True)]
    for_weight = [
        (low, m + span - 1 - n - low) for span, low, n, m in zip(spans, lows, fed, made, strict=True)
    ]
    to_x = convolution(
        g,
        _turned(weight, groups),
        stride=input_dilation,
        padding=tuple(for_x),
        dilation=dilation,
        input_dilation=stride,
        groups=groups,
    )
    to_weight = convolution(
        _batch_for_channels(x, groups),
        _exchanged(g),
        stride=dilation,
        padding=tuple(for_weight),
        dilation=stride,
        input_dilation=input_dilation,
        groups=groups,
    )
    return to_x, _exchanged(to_weight)


def _turned(weight, groups):
    """Return the kernel of the way back: turned round in space, with outputs and inputs exchanged."""
    out, inside, *kernel = shape_of(weight)
    space = tuple(range(2, 2 + len(kernel)))
    parts = reshape(flip(weight, axis=space), shape=(groups, out // groups, inside, *kernel))
    back = permute_dims(parts, axes=(0, 2, 1, *(a + 1 for a in space)))
    return reshape(back, shape=(groups * inside, out // groups, *kernel))


def _batch_for_channels(x, groups):
    """Return x (batch, groups * channels, ...) as (channels, groups * batch, ...)."""
    batch, channels, *space = shape_of(x)
    parts = reshape(x, shape=(batch, groups, channels // groups, *space))
    laid = permute_dims(parts, axes=(2, 1, 0, *range(3, 3 + len(space))))
    return reshape(laid, shape=(channels // groups, groups * batch, *space))


def _exchanged(x):
    return permute_dims(x, axes=(1, 0, *range(2, len(shape_of(x)))))


def _convolution_flops(out, x, weight, **_):
    """Each number of the result joins a kernel's worth of others, the zeros of padding and spreading too."""
    return 2 * size(out) * math.prod(shape_of(weight)[1:])


@composite(vjp=_convolution_vjp, batch=convolved, cost=_convolution_flops)
def convolution(x, weight, /, *, stride, padding, dilation, input_dilation, groups):
    """The sums of products of a kernel with each place of x, as `conv2d` has them, with every setting named.

    Shapes: x (batch, groups * c, *space), weight (out, c, *kernel) -> (batch, out, *places). For each axis of
    space, one number of `stride`, `dilation` (gaps in the kernel), `input_dilation` (zeros between the values
    of x, which makes it a transposed convolution) and a pair of `padding`; what is negative is cut off.
    """
    batch, out, *places = _convolved(x, weight, stride, padding, dilation, input_dilation, groups)
    inside, *kernel = shape_of(weight)[1:]
    seen = sliding_windows(padded(spread(x, input_dilation), padding), tuple(kernel), stride, dilation)
    parts = reshape(seen, shape=(batch, groups, inside, *places, *kernel))
    at, within = range(3, 3 + len(kernel)), range(3 + len(kernel), 3 + 2 * len(kernel))
    size = inside * math.prod(kernel)
    filters = reshape(weight, shape=(groups, out // groups, size))
    if math.prod(kernel) > math.prod(places):  # as in a gradient: the windows, which are long, lie in rows
        rows = reshape(permute_dims(parts, axes=(1, 0, *at, 2, *within)), shape=(groups, -1, size))
        made = reshape(matmul(rows, matrix_transpose(filters)), shape=(groups, batch, *places, out // groups))
        last = len(kernel) + 2
        laid = permute_dims(made, axes=(1, 0, last, *range(2, last)))
    else:
        columns = permute_dims(parts, axes=(0, 1, 2, *within, *at))
        laid = matmul(filters, reshape(columns, shape=(batch, groups, size, math.prod(places))))
    return reshape(laid, shape=(batch, out, *places))


def _convolve(x, weight, bias, stride, padding, dilation, groups, ndim):
    kernel = _checked(x, weight, bias, ndim, shape_of(weight)[:1])
    stride, dilation = each("stride", stride, ndim), each("dilation", dilation, ndim)
    pairs = _pairs(padding, kernel, stride, dilation)
    settings = {"stride": stride, "padding": pairs, "dilation": dilation, "input_dilation": (1,) * ndim}
    return _finished(x, weight, bias, ndim, groups=groups, **settings)


def _convolve_back(x, weight, bias, stride, padding, output_padding, groups, dilation, ndim):
    made = tuple(n * groups for n in shape_of(weight)[1:2])
    kernel = _checked(x, weight, bias, ndim, made)
    stride, dilation = each("stride", stride, ndim), each("dilation", dilation, ndim)
    padding, extra = each("padding", padding, ndim, 0), each("output_padding", output_padding, ndim, 0)
    for more, s, d in zip(extra, stride, dilation, strict=True):
        if more >= max(s, d):
            raise ValueError(f"output_padding {more} must be smaller than the stride {s} or the dilation {d}")
    if shape_of(weight)[0] % groups:
        raise ValueError(f"weight {shape_of(weight)} does not divide into {groups} groups")
    rooms = [span(k, d) - 1 - p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    pairs = tuple((n, n + more) for n, more in zip(rooms, extra, strict=True))
    settings = {"stride": (1,) * ndim, "padding": pairs, "dilation": dilation, "input_dilation": stride}
    return _finished(x, _turned(weight, groups), bias, ndim, groups=groups, **settings)


def _checked(x, weight, bias, ndim, channels):
    """Return the size of the kernel. Raises ValueError and TypeError for what cannot be convolved."""
    for array in (x, weight) if bias is None else (x, weight, bias):
        if (dtype := as_dtype(array.dtype)).kind != "float":
            raise TypeError(f"expected floating-point arrays, got {dtype}")
    shape, kernel = shape_of(x), shape_of(weight)
    if len(shape) not in (ndim + 1, ndim + 2) or len(kernel) != ndim + 2:
        raise ValueError(
            f"expected x of {ndim + 2} axes (or {ndim + 1}, without the batch) and weight of {ndim + 2}, "
            f"got shapes {shape} and {kernel}"
        )
    if bias is not None and shape_of(bias) != channels:
        raise ValueError(f"bias must have the shape {channels} of the channels made, got {shape_of(bias)}")
    return kernel[2:]


def _pairs(padding, kernel, stride, dilation):
    """Return the padding of each axis, before and after."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"padding 'same' needs a stride of 1, got {stride}")
        rooms = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in rooms)
    if isinstance(padding, str):
        raise ValueError(f"padding must be integers, 'same' or 'valid', got {padding!r}")
    return tuple((p, p) for p in each("padding", padding, len(kernel), 0))


def _finished(x, weight, bias, ndim, **settings):
    """Return the convolution of x, with or without a batch, and its bias."""
    batch = x if len(shape_of(x)) == ndim + 2 else reshape(x, shape=(1, *shape_of(x)))
    _convolved(batch, weight, **settings)  # engines would let some of it pass
    out = convolution(batch, weight, **settings)
    if bias is not None:
        out = add(out, upright(bias, 1, ndim + 2))
    return out if batch is x else reshape(out, shape=shape_of(out)[1:])


_ARRAYS = ("x", "weight", "bias")


@composite(arrays=_ARRAYS)
def conv1d(x, weight, bias=None, stride: Each = 1, padding: Each | str = 0, dilation: Each = 1, groups=1):
    """Convolution over one axis, as `conv2d` over two."""
    return _convolve(x, weight, bias, stride, padding, dilation, groups, 1)


@composite(arrays=_ARRAYS)
def conv2d(x, weight, bias=None, stride: Each = 1, padding: Each | str = 0, dilation: Each = 1, groups=1):
    """Convolution over two axes, as torch.nn.functional.conv2d.

    Shapes: x (batch, groups * c, h, w) or without the batch, weight (out, c, kh, kw), bias (out,) ->
    (batch, out, h', w') with h' = (h + 2 padding - dilation (kh - 1) - 1) // stride + 1. Settings are an
    integer or one for each axis; padding may be "same" (stride 1 alone; an odd place goes to the end) or
    "valid". TypeError for arrays that are not floating-point.
    """
    return _convolve(x, weight, bias, stride, padding, dilation, groups, 2)


@composite(arrays=_ARRAYS)
def conv3d(x, weight, bias=None, stride: Each = 1, padding: Each | str = 0, dilation: Each = 1, groups=1):
    """Convolution over three axes, as `conv2d` over two."""
    return _convolve(x, weight, bias, stride, padding, dilation, groups, 3)


@composite(arrays=_ARRAYS)
def conv_transpose1d(
    x,
    weight,
    bias=None,
    stride: Each = 1,
    padding: Each = 0,
    output_padding: Each = 0,
    groups=1,
    dilation: Each = 1,
):
    """Transposed convolution over one axis, as `conv_transpose2d` over two."""
    return _convolve_back(x, weight, bias, stride, padding, output_padding, groups, dilation, 1)


@composite(arrays=_ARRAYS)
def conv_transpose2d(
    x,
    weight,
    bias=None,
    stride: Each = 1,
    padding: Each = 0,
    output_padding: Each = 0,
    groups=1,
    dilation: Each = 1,
):
    """The gradient of `conv2d` in its x, as a function: torch.nn.functional.conv_transpose2d.

    Shapes: x (batch, groups * c, h, w) or without the batch, weight (groups * c, out, kh, kw), bias
    (groups * out,) -> (batch, groups * out, h', w') with
    h' = (h - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.
    """
    return _convolve_back(x, weight, bias, stride, padding, output_padding, groups, dilation, 2)


@composite(arrays=_ARRAYS)
def conv_transpose3d(
    x,
    weight,
    bias=None,
    stride: Each = 1,
    padding: Each = 0,
    output_padding: Each = 0,
    groups=1,
    dilation: Each = 1,
):
    """Transposed convolution over three axes, as `conv_transpose2d` over two."""
    return _convolve_back(x, weight, bias, stride, padding, output_padding, groups, dilation, 3)
