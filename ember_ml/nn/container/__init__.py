"""Containers: modules made of modules."""

from ember_ml.nn.container.mlp import MLP as MLP
from ember_ml.nn.container.model import Model as Model
from ember_ml.nn.container.sequential import Sequential as Sequential
from ember_ml.nn.modules.dense import Linear as Linear
from ember_ml.nn.modules.dropout import Dropout as Dropout
