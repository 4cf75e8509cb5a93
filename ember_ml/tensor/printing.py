"""How a tensor looks: as text, and as a small table in a notebook."""

from __future__ import annotations

from typing import Any

from ember_ml.backend import Backend
from ember_ml.tensor.conversion import host, owner_of

_EDGE = 5  # rows and columns shown at each end of a table


def as_text(x: Any) -> str:
    """Return the values as NumPy prints them, then what they are.

    >>> from ember_ml import tensor
    >>> tensor.array([[1.0, 2.0], [3.0, 4.0]])
    EmberTensor([[1. 2.]
                 [3. 4.]], shape=(2, 2), dtype=float32, backend=numpy)
    """
    name = type(x).__name__
    if not isinstance(owner_of(x.data), Backend):
        return f"{name}({x.data!r})"
    values = str(host(x.data)).replace("\n", "\n" + " " * (len(name) + 1))
    return f"{name}({values}, {_traits(x)})"


def _traits(x: Any) -> str:
    tracked = ", requires_grad=True" if x.requires_grad else ""
    return f"shape={x.shape}, dtype={x.dtype}, backend={x.backend}{tracked}"


def as_html(x: Any) -> str:
    """Return a table of a tensor of two dimensions, its ends if it is large; of any other what it is."""
    caption = f"{type(x).__name__} {_traits(x)}"
    if x.ndim != 2 or not isinstance(owner_of(x.data), Backend):
        return f"<code>{caption}</code>"
    values = host(x.data)
    rows, columns = (_shown(n) for n in x.shape)
    lines = "".join(f"<tr>{''.join(f'<td>{_cell(values, i, j)}</td>' for j in columns)}</tr>" for i in rows)
    return f"<table><caption><code>{caption}</code></caption>{lines}</table>"


def _shown(size: int) -> list[int | None]:
    """Return which places along an axis are shown; None stands for those between."""
    if size <= 2 * _EDGE:
        return list(range(size))
    return [*range(_EDGE), None, *range(size - _EDGE, size)]


def _cell(values: Any, i: int | None, j: int | None) -> str:
    if i is None or j is None:
        return "…"
    value = values[i, j].item()
    return f"{value:.6g}" if isinstance(value, float | complex) else str(value)
