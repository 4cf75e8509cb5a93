"""What a forecast has to beat: the last value, the season before, that plus drift, and a ridge regression.

All of them see no more than the model does, and answer in the target's own unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .forecasting import Examples, ForecastProblem

PENALTIES = 10.0 ** np.arange(-4.0, 6.5, 0.5)


def last_value(examples: Examples) -> np.ndarray:
    """The value at the origin."""
    return examples.anchor


def seasonal_naive(examples: Examples) -> np.ndarray:
    """The value one season before the target: x[t - s]."""
    return examples.season_ago


def seasonal_drift(examples: Examples) -> np.ndarray:
    """The value one season ago plus what was gained since: x[t - s] + x[t - h] - x[t - h - s]."""
    return examples.season_ago + examples.anchor - examples.season_ago_origin


@dataclass(frozen=True, eq=False)
class Ridge:
    """Linear in everything that the model's window holds, with a penalty on the squared weights."""

    weights: np.ndarray  # (length * features,)
    center: np.ndarray  # (length * features,)
    intercept: float
    penalty: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The scaled output: x (n, length, features) -> (n,)."""
        return (x.reshape(len(x), -1) - self.center) @ self.weights + self.intercept


def fit_ridge(train: Examples, validation: Examples) -> Ridge:
    """(Z'Z + a 1)⁻¹ Z'y on the training windows Z, with the penalty a that does best in validation."""
    z = train.x.reshape(len(train), -1).astype(np.float64)
    center, intercept = z.mean(axis=0), float(train.y.mean(dtype=np.float64))
    z = z - center
    size, basis = np.linalg.eigh(z.T @ z)
    projected = basis.T @ (z.T @ (train.y - intercept))
    fits = [
        Ridge(basis @ (projected / (np.maximum(size, 0) + a)), center, intercept, float(a)) for a in PENALTIES
    ]
    return min(fits, key=lambda fit: float(np.mean((fit(validation.x) - validation.y) ** 2)))


def baseline_forecasts(problem: ForecastProblem) -> dict[str, np.ndarray]:
    """Forecasts of the test part by the names in metrics.json; the seasonal ones where there is a season."""
    plan, test = problem.plan, problem.test
    forecasts = {"last_value": last_value(test)}
    if plan.season is not None:
        forecasts |= {"seasonal_naive": seasonal_naive(test), "seasonal_drift": seasonal_drift(test)}
    ridge = fit_ridge(problem.train, problem.validation)
    return forecasts | {"ridge": plan.to_values(ridge(test.x), test)}


def score(forecast: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Root mean square error and mean absolute error."""
    error = np.asarray(forecast, np.float64) - truth
    return {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error)))}


def baseline_scores(problem: ForecastProblem) -> dict[str, dict[str, float]]:
    """`score` of every baseline on the test part."""
    return {
        name: score(forecast, problem.test.truth) for name, forecast in baseline_forecasts(problem).items()
    }
