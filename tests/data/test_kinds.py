"""Which kind a column is."""

import pytest

from ember_ml.data import GenericTypeDetector

pd = pytest.importorskip("pandas")


def kind_of(values, name="column", **more):
    kinds = GenericTypeDetector().detect_column_types(pd.DataFrame({name: pd.Series(values, **more)}))
    found = [kind for kind, names in kinds.items() if name in names]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    "values", [[True, False], ["yes", "no", None], ["T", "f"], [0, 1, 1], [0.0, 1.0, None], ["True", "false"]]
)
def test_two_valued_columns_are_boolean(values):
    assert kind_of(values) == "boolean"


def test_two_values_that_are_no_truth_are_not_boolean():
    assert kind_of([2, 3]) == "numeric"
    assert kind_of(["red", "green"]) == "categorical"
    assert kind_of([0.0, 0.5, 1.0]) == "numeric"


def test_eight_digit_integers_are_dates_if_nearly_all_are():
    days = [20010100 + day for day in range(1, 29)] * 8
    assert kind_of(days) == "datetime"
    assert kind_of([*days, 20011399]) == "datetime"
    assert kind_of([*days, *[20011399] * 9]) == "numeric"


def test_eight_digit_integers_outside_the_centuries_are_numbers():
    assert kind_of([17990101, 17990102, 17990103]) == "numeric"
    assert kind_of([22010101, 22010102, 22010103]) == "numeric"


def test_years_are_numbers_and_codes_are_categories():
    assert kind_of([2001, 2002] * 100) == "numeric"
    assert kind_of([1, 2, 3] * 100) == "categorical"
    assert kind_of([1, 2, 3]) == "numeric"
    assert kind_of([1.5, 2.5, 3.5] * 100) == "numeric"


def test_iso_text_is_datetime_and_other_text_is_categorical():
    assert kind_of(["2001-01-01", "2001-01-02T10:00:00", None]) == "datetime"
    assert kind_of(["2001/1/1", "2001/1/2"]) == "datetime"
    assert kind_of(["2001", "spring"]) == "categorical"


def test_seconds_since_1970_are_times_only_under_a_name_that_says_so():
    seconds = [1_000_000_000 + i for i in range(50)]
    assert kind_of(seconds, name="timestamp") == "datetime"
    assert kind_of(seconds, name="population") == "numeric"


def test_columns_without_values_and_tables_without_rows_have_a_kind():
    assert kind_of([None, None]) == "numeric"
    assert kind_of([], dtype="float64") == "numeric"
