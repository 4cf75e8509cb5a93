"""CSV files into pandas tables, with a report of everything that was changed or refused.

Nothing is guessed in silence: a row that does not fit, a word that was read as missing, a column that was
read as dates each leave a line in the report. Numbers are never invented and rows keep their order.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import DataError, load_pandas
from .times import eight_digit_dates, parse_times, text_dates

if TYPE_CHECKING:
    import pandas

MISSING = {
    "",
    "na",
    "n/a",
    "nan",
    "null",
    "none",
}  # understood by everyone, so not worth a line in the report
MARKERS = {"-", "--", ".", "?", "#n/a"}  # read as missing, and reported
DELIMITERS = ",;\t|"
MOSTLY = 0.9  # numbers make words among them suspicious
LEADING_ZERO = r"0\d+"  # 007 is a name, not seven
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
YEAR = re.compile(r"(1[89]|20|21)\d\d")
OPENERS: dict[str, Callable[..., io.BufferedIOBase]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


class Finding(NamedTuple):
    """A line of the report. `line` is the line of the file, 1-based; None where the whole column is meant."""

    line: int | None
    column: str | None
    value: str
    reason: str


class GenericCSVLoader:
    """Loads CSV files, plain or compressed (.gz, .bz2, .xz, .zip with one file in it).

    Columns become numbers, dates (ISO text and yyyymmdd integers) or truth where every value allows it, else
    they stay text. Rows that are too short are padded with missing values, rows that are too long are left
    out; both are in `report`.
    """

    def __init__(self, compression_support: bool = True) -> None:
        self.compression_support = compression_support
        self._findings: list[Finding] = []

    @property
    def report(self) -> pandas.DataFrame:
        """What the last `load_csv` changed or refused: a table of line, column, value, reason."""
        table = load_pandas().DataFrame(self._findings, columns=list(Finding._fields))
        return table.astype({"line": "Int64"})

    def load_csv(
        self,
        file_path: str | Path,
        header_file: str | Path | None = None,
        index_col: str | None = None,
        datetime_cols: Sequence[str] | None = None,
        encoding: str = "utf-8",
    ) -> pandas.DataFrame:
        """The table in the file.

        `header_file` names the columns, one a line (what follows a comma or colon in it is ignored), for
        files without a header. DataError for files that are missing, unreadable, empty or headerless, for
        columns that are asked for and absent, and for `datetime_cols` that hold no times.
        """
        pd = load_pandas()
        path = Path(file_path)
        self._findings = []
        rows = _rows(path, self._text(path, encoding))
        names = self._header(path, rows, header_file, encoding)
        lines, cells = self._body(path, rows, names)
        for wanted in (*(datetime_cols or ()), *([index_col] if index_col else [])):
            if wanted not in names:
                raise DataError(f"{path.name} has no column {wanted!r}; its columns are {', '.join(names)}")
        columns = {name: [row[i] for row in cells] for i, name in enumerate(names)}
        table = pd.DataFrame(
            {n: self._column(n, c, lines, n in (datetime_cols or ())) for n, c in columns.items()}
        )
        return table.set_index(index_col) if index_col else table

    def _text(self, path: Path, encoding: str) -> str:
        suffix = path.suffix.lower()
        if not self.compression_support and suffix in (*OPENERS, ".zip"):
            raise DataError(
                f"{path.name} is compressed, and this loader was made with compression_support=False"
            )
        try:
            content = _unzipped(path) if suffix == ".zip" else _content(path, OPENERS.get(suffix, open))
            text = content.decode("utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path} is not {encoding} text (byte {error.start}): name its encoding (encoding='latin-1')"
            ) from error
        except BROKEN as error:
            raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
        if not text.strip():
            raise DataError(f"{path} is empty: wanted a line of column names, then rows")
        return text

    def _header(
        self, path: Path, rows: Iterator[tuple[int, list[str]]], header_file: str | Path | None, encoding: str
    ) -> list[str]:
        if header_file is None:
            names = [name.strip() for name in next(rows)[1]]
            if _looks_like_data(names):
                raise DataError(
                    f"{path.name} has no header: its first line is {','.join(names)[:60]!r}; wanted column "
                    "names: add them as the first line, or give header_file, a file with one name a line"
                )
        else:
            listed = self._text(Path(header_file), encoding).splitlines()
            names = [re.split(r"[,:]", line)[0].strip() for line in listed if line.strip()]
        for i, name in enumerate(names):
            if not name:
                names[i] = f"column_{i + 1}"
                self._findings.append(
                    Finding(1, names[i], "", "the column has no name: named by its position")
                )
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"{path.name} has more than one column {twice[0]!r}: wanted different names, rename one"
            )
        return names

    def _body(
        self, path: Path, rows: Iterator[tuple[int, list[str]]], names: list[str]
    ) -> tuple[list[int], list[list[str]]]:
        lines, cells, width = [], [], len(names)
        for line, row in rows:
            if len(row) > width:
                reason = f"{len(row)} values for {width} columns: the row is left out"
                self._findings.append(Finding(line, None, ",".join(row)[:80], reason))
                continue
            if len(row) < width:
                reason = f"{len(row)} values for {width} columns: the rest is missing"
                self._findings.append(Finding(line, names[len(row)], ",".join(row)[:80], reason))
            lines.append(line)
            cells.append(row + [""] * (width - len(row)))
        if not cells:
            left = f" ({len(self._findings)} were refused)" if self._findings else ""
            raise DataError(
                f"{path.name} has column names but no rows{left}: wanted at least one row of data"
            )
        return lines, cells

    def _column(self, name: str, cells: list[str], lines: list[int], is_time: bool) -> pandas.Series:
        pd = load_pandas()
        text = pd.Series(cells, dtype="string", name=name).str.strip()
        low = text.str.lower()
        marked = low.isin(MARKERS)
        text = text.mask(low.isin(MISSING | MARKERS))
        self._note(marked, name, cells, lines, "read as missing")
        numbers = pd.to_numeric(text, errors="coerce").astype("Float64")
        words = text.notna() & numbers.isna()
        if is_time:
            column = parse_times(_numeric(text) if not words.any() else text)
            self._note(text.notna() & column.isna(), name, cells, lines, "not a time: read as missing")
            return column
        if words.any():
            return self._words(text, words, cells, lines)
        if text.notna().any() and text.str.fullmatch(LEADING_ZERO).any():
            return text.astype(object)
        dates = eight_digit_dates(numbers) if text.notna().any() else None
        if dates is None:
            return _numeric(text)
        return self._dates(dates, text, cells, lines, "integers yyyymmdd are read as dates")

    def _words(
        self, text: pandas.Series, words: pandas.Series, cells: list[str], lines: list[int]
    ) -> pandas.Series:
        dates = text_dates(text[text.notna()])
        if dates is not None:
            return self._dates(dates.reindex(text.index), text, cells, lines, "text is read as dates")
        low = text.str.lower()
        if set(low.dropna()) == {"true", "false"}:
            truth = low == "true"
            return truth.astype(bool) if truth.notna().all() else truth.astype("boolean")
        if words.sum() <= (1 - MOSTLY) * text.notna().sum():
            self._note(words, str(text.name), cells, lines, "text among numbers: the column stays text")
        return text.astype(object)

    def _dates(
        self, dates: pandas.Series, text: pandas.Series, cells: list[str], lines: list[int], reason: str
    ) -> pandas.Series:
        self._findings.append(Finding(None, str(text.name), str(text.dropna().iloc[0]), reason))
        self._note(text.notna() & dates.isna(), str(text.name), cells, lines, "not a date: read as missing")
        return dates

    def _note(self, where: pandas.Series, name: str, cells: list[str], lines: list[int], reason: str) -> None:
        for i in where.fillna(False).to_numpy(bool).nonzero()[0]:
            self._findings.append(Finding(lines[i], name, cells[i], reason))


def load_csv(
    file_path: str | Path,
    header_file: str | Path | None = None,
    index_col: str | None = None,
    datetime_cols: Sequence[str] | None = None,
    encoding: str = "utf-8",
) -> pandas.DataFrame:
    """The table in a CSV file: `GenericCSVLoader().load_csv`, for those who need no report."""
    return GenericCSVLoader().load_csv(file_path, header_file, index_col, datetime_cols, encoding)


def _content(path: Path, opener: Callable[..., io.BufferedIOBase]) -> bytes:
    with opener(path, "rb") as file:
        return file.read()


def _unzipped(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = [
            name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")
        ]
        if len(members) != 1:
            raise DataError(
                f"{path.name} holds {len(members)} files; wanted one CSV file: unpack it and choose"
            )
        return archive.read(members[0])


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line of the file on which it starts; blank lines are skipped."""
    first = next(line for line in text.splitlines() if line.strip())
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path.name}, line {reader.line_num}: not valid CSV ({error}): mend that line"
        ) from error


def _looks_like_data(names: list[str]) -> bool:
    """Whether the first line holds values: a number that is no year, or nothing but numbers and dates."""
    numbers = [bool(NUMBER.fullmatch(name)) for name in names]
    if any(number and not YEAR.fullmatch(name) for number, name in zip(numbers, names, strict=True)):
        return True
    dates = [bool(re.match(r"\d{4}-\d\d-\d\d", name)) for name in names]
    return any(dates) or all(numbers)


def _numeric(text: pandas.Series) -> pandas.Series:
    """Text that is all numbers: int64 where all are whole and none is missing, else float64."""
    pd = load_pandas()
    numbers = pd.to_numeric(text)
    whole = pd.api.types.is_integer_dtype(numbers.dtype) and numbers.notna().all()
    return numbers.astype("int64" if whole and abs(numbers).max() < 2**63 else "float64")
