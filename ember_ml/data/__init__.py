"""Tables in, with their types, times and gaps; forecasting problems out, and what has to be beaten."""

from .baselines import Ridge as Ridge
from .baselines import baseline_forecasts as baseline_forecasts
from .baselines import baseline_scores as baseline_scores
from .baselines import fit_ridge as fit_ridge
from .baselines import last_value as last_value
from .baselines import score as score
from .baselines import seasonal_drift as seasonal_drift
from .baselines import seasonal_naive as seasonal_naive
from .errors import DataError as DataError
from .forecasting import Examples as Examples
from .forecasting import ForecastPlan as ForecastPlan
from .forecasting import ForecastProblem as ForecastProblem
from .forecasting import forecast_windows as forecast_windows
from .forecasting import forecasting_problem as forecasting_problem
from .kinds import GenericTypeDetector as GenericTypeDetector
from .series import Series as Series
from .series import read_series as read_series
from .table import GenericCSVLoader as GenericCSVLoader
from .table import load_csv as load_csv
from .times import Clock as Clock
