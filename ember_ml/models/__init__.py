"""Models: modules put together for a task."""

from .forecaster import MODELS as MODELS
from .forecaster import Forecaster as Forecaster
