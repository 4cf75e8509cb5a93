"""A table of text, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Summary:
    """Rows under a title and a head, and a line that sums them up. Columns of numbers stand to the right."""

    def __init__(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], total: str):
        self.title, self.head, self.rows, self.total = title, tuple(head), [tuple(r) for r in rows], total

    def __str__(self) -> str:
        cells = [self.head, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.head))]
        lines = [
            "  ".join(
                c.rjust(w) if i in self._numbers else c.ljust(w) for i, (c, w) in enumerate(pairs)
            ).rstrip()
            for pairs in (list(zip(row, widths, strict=True)) for row in cells)
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join([self.title, lines[0], rule, *lines[1:], rule, self.total])

    __repr__ = __str__

    @property
    def _numbers(self) -> set[int]:
        """The columns that hold numbers alone."""
        columns = range(len(self.head))
        return {i for i in columns if all(row[i].replace(",", "").isdigit() for row in self.rows)}

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.head)
        body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in self.rows)
        caption = f"{escape(self.title)}: {escape(self.total)}"
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"
