"""Modules: layers, and what they are made of."""

from ember_ml.nn.modules.activations import LeCunTanh as LeCunTanh
from ember_ml.nn.modules.activations import ReLU as ReLU
from ember_ml.nn.modules.activations import Sigmoid as Sigmoid
from ember_ml.nn.modules.activations import Softmax as Softmax
from ember_ml.nn.modules.activations import Softplus as Softplus
from ember_ml.nn.modules.activations import Tanh as Tanh
from ember_ml.nn.modules.activations import get_activation as get_activation
from ember_ml.nn.modules.connection import Connection as Connection
from ember_ml.nn.modules.dense import Dense as Dense
from ember_ml.nn.modules.dense import Linear as Linear
from ember_ml.nn.modules.dropout import Dropout as Dropout
from ember_ml.nn.modules.module import BaseModule as BaseModule
from ember_ml.nn.modules.module import Module as Module
from ember_ml.nn.modules.operation import Operation as Operation
from ember_ml.nn.modules.operation import node as node
from ember_ml.nn.modules.parameter import Parameter as Parameter
from ember_ml.nn.modules.rnn import LTC as LTC
from ember_ml.nn.modules.rnn import CfC as CfC
from ember_ml.nn.modules.rnn import CfCCell as CfCCell
from ember_ml.nn.modules.rnn import LTCCell as LTCCell
from ember_ml.nn.modules.rnn import WiredCfCCell as WiredCfCCell
from ember_ml.nn.modules.wiring import AutoNCPMap as AutoNCPMap
from ember_ml.nn.modules.wiring import FullyConnectedMap as FullyConnectedMap
from ember_ml.nn.modules.wiring import NCPMap as NCPMap
from ember_ml.nn.modules.wiring import NeuronMap as NeuronMap
from ember_ml.nn.modules.wiring import RandomMap as RandomMap
