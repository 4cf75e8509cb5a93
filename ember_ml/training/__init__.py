"""Training: losses, optimizers, and the trainer."""

from ember_ml.training.history import History as History
from ember_ml.training.loss import Loss as Loss
from ember_ml.training.loss import MSELoss as MSELoss
from ember_ml.training.optimizer import SGD as SGD
from ember_ml.training.optimizer import Adam as Adam
from ember_ml.training.optimizer import Optimizer as Optimizer
from ember_ml.training.optimizer import cosine_decay as cosine_decay
from ember_ml.training.train_model import TrainModel as TrainModel
from ember_ml.training.trainer import Trainer as Trainer
