"""Optimizers and learning-rate schedules."""

from ember_ml.training.optimizer.adam import Adam as Adam
from ember_ml.training.optimizer.optimizer import Optimizer as Optimizer
from ember_ml.training.optimizer.optimizer import Schedule as Schedule
from ember_ml.training.optimizer.optimizer import cosine_decay as cosine_decay
from ember_ml.training.optimizer.sgd import SGD as SGD
