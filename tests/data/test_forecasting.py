"""Forecasting problems: what is known at the origin, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest

from ember_ml.data import (
    DataError,
    ForecastPlan,
    baseline_scores,
    fit_ridge,
    forecast_windows,
    forecasting_problem,
    load_csv,
    read_series,
    seasonal_drift,
)

pd = pytest.importorskip("pandas")
CO2 = Path(__file__).parents[2] / "examples" / "data" / "co2.csv"


def weekly(rows=520, *, gaps=(), drop=(), seed=0):
    """A yearly cycle on a slope with noise; `gaps` lose their value, `drop` their row."""
    week = np.arange(rows)
    value = (
        0.05 * week
        + 3 * np.sin(2 * np.pi * week / 52.1775)
        + np.random.default_rng(seed).normal(0, 0.2, rows)
    )
    value[list(gaps)] = np.nan
    times = np.datetime64("1990-01-06", "s") + week * np.timedelta64(7 * 86_400, "s")
    return pd.DataFrame({"week": times, "value": value}).drop(index=list(drop)).reset_index(drop=True)


def problem_of(frame, **more):
    return forecasting_problem(read_series(frame, target="value"), **{"horizon": 13, **more})


@pytest.fixture(scope="module")
def co2():
    return forecasting_problem(read_series(load_csv(CO2), target="co2"), horizon=13)


def test_co2_is_read_as_a_weekly_record_with_its_missing_weeks(co2):
    assert co2.series.time == "date"
    assert co2.series.clock.describe() == "7 days"
    assert (len(co2.series), co2.series.missing, co2.series.absent, co2.plan.season) == (2284, 59, 0, 52)


def test_co2_is_tested_on_its_last_eight_years(co2):
    assert co2.test.target_times[0] == np.datetime64("1994-01-01")
    assert co2.test.target_times[-1] == np.datetime64("2001-12-29")
    assert len(co2.test) == 418


def test_co2_baselines_have_their_known_errors(co2):
    rmse = {name: scores["rmse"] for name, scores in baseline_scores(co2).items()}
    assert rmse["last_value"] == pytest.approx(3.23, abs=0.01)
    assert rmse["seasonal_naive"] == pytest.approx(1.90, abs=0.01)
    assert rmse["seasonal_drift"] == pytest.approx(0.81, abs=0.01)
    assert rmse["ridge"] == pytest.approx(
        0.54, abs=0.01
    )  # 0.59 on plain lags; ours is given the model's inputs


def test_a_window_says_what_the_table_says():
    frame = weekly()
    made = problem_of(frame, length=4)
    test, plan, values = made.test, made.plan, frame["value"].to_numpy()
    last = len(frame) - 1  # the last target; its origin is 13 weeks before
    assert test.truth[-1] == values[last]
    assert test.anchor[-1] == values[last - 13]
    assert test.season_ago[-1] == values[last - 52]
    assert test.season_ago_origin[-1] == values[last - 65]
    assert seasonal_drift(test)[-1] == pytest.approx(
        values[last - 52] + values[last - 13] - values[last - 65]
    )
    x = test.x[-1] * np.array(plan.scale) + np.array(plan.center)
    np.testing.assert_allclose(x[:, 0], values[last - 16 : last - 12] - values[last - 13], atol=1e-5)
    changes = [values[last - 52 * k] - values[last - 13 - 52 * k] for k in (1, 2, 3)]
    np.testing.assert_allclose(x[-1, 1], np.mean(changes), atol=1e-5)
    np.testing.assert_allclose(plan.to_values(test.y, test), test.truth, atol=1e-5)


def test_windows_hold_observed_values_and_their_real_distances():
    frame = weekly(gaps=(500, 501), drop=(503,))
    test = problem_of(frame, length=4).test
    after = test.elapsed[np.flatnonzero(test.origin_times == frame["week"][502].to_datetime64())[0]]
    np.testing.assert_allclose(after, [1, 1, 1, 3])
    assert (test.elapsed > 0).all()
    np.testing.assert_allclose(test.elapsed.max(), 3)


def test_weeks_without_a_value_are_neither_origins_nor_targets():
    frame = weekly(gaps=(470,), drop=(480,))
    lost = {np.datetime64("1990-01-06") + np.timedelta64(7 * week, "D") for week in (470, 480)}
    made = problem_of(frame)
    for part in (made.train, made.validation, made.test):
        assert not lost & set(part.target_times.astype("datetime64[D]").tolist())
        assert not lost & set(part.origin_times.astype("datetime64[D]").tolist())
        assert np.isfinite(part.x).all()
        assert np.isfinite(part.y).all()


def test_every_forecast_is_made_a_horizon_before_its_target():
    made = problem_of(weekly(gaps=(300, 301, 310), drop=(350, 351)))
    for part in (made.train, made.validation, made.test):
        np.testing.assert_array_equal(part.target_times - part.origin_times, np.timedelta64(13 * 7, "D"))


@pytest.mark.parametrize("origin", [250, 400, 506])
def test_changing_the_future_changes_no_window_of_the_past(origin):
    frame = weekly(gaps=(200, 201, 380), drop=(390,))
    frame["other"] = np.random.default_rng(1).normal(size=len(frame))
    plan = problem_of(frame).plan
    windows = forecast_windows(read_series(frame, target="value"), plan)
    now = windows.origin_times <= frame["week"][origin].to_datetime64()
    changed = frame.copy()
    changed.loc[origin + 1 :, ["value", "other"]] += 1000.0
    changed.loc[origin + 5, "value"] = np.nan
    again = forecast_windows(read_series(changed, target="value"), plan)
    for name in ("x", "elapsed", "anchor", "season_ago_origin"):
        np.testing.assert_array_equal(
            getattr(windows, name)[now], getattr(again, name)[: now.sum()], err_msg=name
        )


def test_the_scaling_comes_from_the_training_part_alone():
    frame = weekly()
    made = problem_of(frame)
    changed = frame.copy()
    changed.loc[changed["week"] > made.train.target_times[-1], "value"] *= 50
    again = problem_of(changed)
    assert again.plan == made.plan
    np.testing.assert_array_equal(again.train.x, made.train.x)
    np.testing.assert_array_equal(again.train.y, made.train.y)


def test_training_windows_have_mean_nought_and_deviation_one():
    train = problem_of(weekly()).train
    np.testing.assert_allclose(train.x.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(train.x.std(axis=(0, 1)), 1, atol=1e-4)
    np.testing.assert_allclose(np.mean(train.y**2), 1, rtol=1e-5)


def test_each_part_is_known_before_the_next_makes_its_first_forecast():
    made = problem_of(weekly())
    assert made.train.target_times[-1] <= made.validation.origin_times[0]
    assert made.validation.target_times[-1] <= made.test.origin_times[0]


def test_a_short_horizon_and_a_long_one_look_back_whole_seasons():
    assert problem_of(weekly(), horizon=1).plan.seasonal_lag == 52
    assert problem_of(weekly(800), horizon=60).plan.seasonal_lag == 104


def test_without_a_season_the_seasonal_baselines_are_left_out():
    made = problem_of(weekly(), season=None)
    assert made.plan.features == ("change since",)
    assert set(baseline_scores(made)) == {"last_value", "ridge"}


def test_other_numeric_columns_become_inputs_and_carry_their_last_value():
    frame = weekly()
    frame["rain"] = np.arange(len(frame), dtype=float)
    frame["site"] = "north"
    frame.loc[500, "rain"] = np.nan
    made = problem_of(frame, length=3)
    rain = made.test.x[-1, :, -1] * made.plan.scale[-1] + made.plan.center[-1]
    assert made.plan.inputs == ("rain",)
    np.testing.assert_allclose(rain, [504, 505, 506], rtol=1e-5)
    row = np.flatnonzero(made.test.origin_times == frame["week"][500].to_datetime64())[0]
    np.testing.assert_allclose(
        made.test.x[row, :, -1] * made.plan.scale[-1] + made.plan.center[-1], [498, 499, 499], rtol=1e-5
    )
    assert "site" in " ".join(made.notes)


def test_a_plan_survives_json_and_forecasts_beyond_the_table():
    frame = weekly()
    plan = problem_of(frame).plan
    again = ForecastPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    windows = forecast_windows(read_series(frame, target="value", clock=plan.clock), again)
    assert np.isnan(windows.truth[-13:]).all()
    assert np.isfinite(windows.truth[:-13]).all()
    assert windows.target_times[-1] == frame["week"].iloc[-1] + np.timedelta64(91, "D")
    assert np.isfinite(windows.x).all()


def test_a_plan_refuses_a_table_with_other_inputs():
    frame = weekly()
    plan = problem_of(frame).plan
    with pytest.raises(DataError, match="trained on 'value'"):
        forecast_windows(read_series(frame.assign(more=np.arange(len(frame)) * 0.5), target="value"), plan)


def test_the_ridge_solves_its_normal_equations():
    made = problem_of(weekly(), length=4)
    ridge = fit_ridge(made.train, made.validation)
    z = made.train.x.reshape(len(made.train), -1).astype(float) - ridge.center
    left = (z.T @ z + ridge.penalty * np.eye(z.shape[1])) @ ridge.weights
    np.testing.assert_allclose(left, z.T @ (made.train.y - ridge.intercept), atol=1e-6)


def test_irregular_times_are_kept_as_they_are():
    rng = np.random.default_rng(2)
    seconds = np.cumsum(rng.uniform(0.8, 1.2, 400)) * 3600
    frame = pd.DataFrame({"timestamp": (1e9 + seconds).astype(int), "value": np.sin(seconds / 9000)})
    made = problem_of(frame, horizon=2, length=5)
    assert not made.series.is_regular
    assert made.plan.clock.unit == "seconds"
    lead = (made.test.target_times - made.test.origin_times).astype(float) / made.plan.clock.step
    assert (abs(lead - 2) < 0.5).all()
    assert 0.7 < made.test.elapsed.min() < 0.9
    assert 1.1 < made.test.elapsed.max() < 1.3


def test_rows_out_of_order_are_sorted_and_it_is_said():
    frame = weekly()
    shuffled = frame.sample(frac=1, random_state=0)
    made, again = problem_of(frame), problem_of(shuffled)
    np.testing.assert_array_equal(made.test.x, again.test.x)
    assert "sorted" in " ".join(again.notes)


def test_rows_are_counted_where_no_column_holds_times():
    made = problem_of(weekly()[["value"]], horizon=2)
    assert made.plan.clock.unit == "row"
    assert made.plan.season is None


def test_bad_requests_are_refused_in_one_sentence():
    frame = weekly()
    text = frame.astype({"value": object})
    text.loc[7, "value"] = "broken"
    twice = pd.concat([frame, frame.iloc[[3]]])
    for bad, more, words in (
        (frame, {"target": "co3"}, "no column 'co3' to forecast; the columns are week, value"),
        (frame, {"target": "value", "time": "when"}, "no time column 'when'; the columns are week, value"),
        (text, {"target": "value"}, "column 'value' holds text in data row 8: 'broken'"),
        (frame, {"target": "week"}, "holds times; wanted numbers"),
        (twice, {"target": "value"}, "share a time"),
        (frame.assign(value=np.nan), {"target": "value"}, "no value in any of its 520 rows"),
        (frame.assign(site="north"), {"target": "value", "inputs": ["site"]}, "input 'site' is categorical"),
        (frame.assign(name="x"), {"target": "value", "time": "name"}, "column 'name' holds no times"),
        (frame.iloc[:0], {"target": "value"}, "has no rows"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            read_series(bad, **more)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        (520, {"horizon": 0}, "horizon is 0"),
        (520, {"season": 1}, "season is 1"),
        (520, {"season": 300}, "a season of 300 wants at least 900"),
        (520, {"length": 0}, "length is 0"),
        (520, {"shares": (0.5, 0.6)}, "shares"),
        (30, {}, "no forecast can be made|part has"),
    ],
)
def test_problems_that_cannot_be_made_say_why(rows, more, words):
    with pytest.raises(DataError, match=words):
        problem_of(weekly(rows), **more)
