"""Counting in sampling steps."""

import numpy as np
import pytest

from ember_ml.data import Clock, DataError


def dates(start, stop, unit):
    return np.arange(start, stop, dtype=f"datetime64[{unit}]").astype("datetime64[s]")


def test_the_step_is_the_median_gap_so_that_missing_rows_do_not_matter():
    days = np.delete(dates("2001-01-01", "2001-03-01", "D"), [3, 4, 5, 20])
    clock = Clock.of(days)
    assert clock == Clock("seconds", 86_400.0)
    assert np.diff(clock.count(days))[2] == 4
    assert clock.season() == 7


def test_months_are_all_one_step_long():
    months = dates("2000-01", "2004-01", "M")
    clock = Clock.of(months)
    assert clock == Clock("months", 1.0)
    np.testing.assert_allclose(np.diff(clock.count(months)), 1.0)
    np.testing.assert_array_equal(clock.moment(clock.count(months)), months)
    assert clock.season() == 12
    assert Clock.of(months[::3]).season() == 4
    assert Clock.of(months[::12]).season() is None


@pytest.mark.parametrize(("hours", "season"), [(1, 24), (3, 8), (6, 4), (24, 7), (24 * 7, 52), (24 * 14, 26)])
def test_the_usual_season_follows_from_the_step(hours, season):
    assert Clock("seconds", hours * 3600.0).season() == season


def test_a_year_of_weeks_is_not_a_whole_number():
    assert Clock("seconds", 7 * 86_400.0).period(52) == pytest.approx(52.1775)
    assert Clock("seconds", 3600.0).period(24) == 24


def test_counting_is_undone_by_moment():
    moments = dates("1958-03-29", "1958-05-29", "W")
    clock = Clock.of(moments)
    np.testing.assert_array_equal(clock.moment(clock.count(moments)), moments)
    numbers = np.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(Clock.of(numbers).count(numbers), [0, 1, 2])


def test_one_moment_has_no_step():
    with pytest.raises(DataError, match="at least two"):
        Clock.of(dates("2001-01-01", "2001-01-02", "D"))


@pytest.mark.parametrize(
    ("clock", "words"),
    [(("seconds", 604_800.0), "7 days"), (("seconds", 3600.0), "1 hour"), (("months", 3.0), "3 months")],
)
def test_a_step_is_said_in_words(clock, words):
    assert Clock(*clock).describe() == words
