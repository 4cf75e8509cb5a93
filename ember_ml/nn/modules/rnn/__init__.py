"""Recurrent networks: one scan over a cell."""

from ember_ml.nn.modules.rnn.cfc import CfC as CfC
from ember_ml.nn.modules.rnn.cfc import CfCCell as CfCCell
from ember_ml.nn.modules.rnn.cfc import WiredCfCCell as WiredCfCCell
from ember_ml.nn.modules.rnn.ltc import LTC as LTC
from ember_ml.nn.modules.rnn.ltc import LTCCell as LTCCell
from ember_ml.nn.modules.rnn.recurrent import Cell as Cell
from ember_ml.nn.modules.rnn.recurrent import RecurrentLayer as RecurrentLayer
