"""What kind of values each column holds: numbers, times, categories or truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import load_pandas
from .times import EARLIEST, LATEST, eight_digit_dates, named_epoch, text_dates

if TYPE_CHECKING:
    import pandas

TRUTH = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"0", "1"})
CODES = 20  # integers with fewer different values than this, and
CODE_SHARE = 0.05  # fewer than this share of the rows, are codes


class GenericTypeDetector:
    """Sorts columns into kinds.

    Two-valued columns (true/false, yes/no, t/f, 0/1) are boolean; eight-digit integers of which 99 % are
    dates between 1800 and 2200 are datetime, and so is ISO text; years are numbers; other integers with fewer
    than 20 different values, in less than 5 % of the rows, are codes: categorical.
    """

    def detect_column_types(self, df: pandas.DataFrame) -> dict[str, list[str]]:
        """The names of the columns of each kind, in their order in the table; every column appears once."""
        kinds: dict[str, list[str]] = {"numeric": [], "datetime": [], "categorical": [], "boolean": []}
        for name in df.columns:
            kinds[column_kind(df[name])].append(name)
        return kinds


def column_kind(column: pandas.Series) -> str:
    """One of numeric, datetime, categorical, boolean. A column without values is numeric."""
    pd = load_pandas()
    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "datetime"
    present = column.dropna()
    if present.empty:
        return "numeric"
    if _is_truth(present):
        return "boolean"
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return "categorical" if text_dates(present) is None else "datetime"
    if eight_digit_dates(present) is not None or named_epoch(column):
        return "datetime"
    return "categorical" if _is_code(present) else "numeric"


def _is_truth(present: pandas.Series) -> bool:
    values = present.unique()
    if len(values) != 2:
        return False
    words = {f"{value:g}" if isinstance(value, float) else str(value).strip().lower() for value in values}
    return words in TRUTH


def _is_code(present: pandas.Series) -> bool:
    if not (present % 1 == 0).all() or present.between(EARLIEST, LATEST).all():
        return False
    different = present.nunique()
    return different < CODES and different < CODE_SHARE * len(present)
