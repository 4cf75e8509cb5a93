"""A liquid network that reads a window of a series and says one number about its future."""

from __future__ import annotations

from typing import Any

from ember_ml import ops
from ember_ml.nn import LTC, AutoNCPMap, CfC, FullyConnectedMap, Linear, Module
from ember_ml.ops.random import drawing_from, key

MODELS = {
    "cfc": "CfC on AutoNCP({units}, {motors})",
    "cfc-dense": "CfC, {units} neurons fully connected",
    "ltc": "LTC on AutoNCP({units}, {motors})",
    "ltc-dense": "LTC, {units} neurons fully connected",
}  # name -> what it is, in words


class Forecaster(Module):
    """A liquid network over a window, and a linear readout of its last output and of the window's last step.

        y = [network(x, elapsed)[last], x[last]] w + b

    Shapes: x (batch, time, features), elapsed (batch, time), the time since the step before -> (batch,).
    The same seed gives the same wiring and the same first weights. ValueError for an unknown `model`.
    """

    network: CfC | LTC
    readout: Linear

    def __init__(self, features: int, model: str = "cfc", *, units: int = 32, motors: int = 4, seed: int = 0):
        if model not in MODELS:
            raise ValueError(f"Forecaster: unknown model {model!r}; known: {', '.join(MODELS)}")
        self.features, self.model, self.units, self.motors, self.seed = features, model, units, motors, seed
        with drawing_from(key(seed)):
            self.network = self._network()
            width = units if model == "cfc-dense" else motors
            self.readout = Linear(width + features, 1)
        self.built = True

    def _network(self) -> CfC | LTC:
        if self.model == "cfc-dense":
            return CfC(self.units, input_size=self.features)
        if self.model == "ltc-dense":
            neurons = FullyConnectedMap(self.units, output_dim=self.motors, seed=self.seed)
        else:
            neurons = AutoNCPMap(self.units, self.motors, seed=self.seed)
        if self.model == "cfc":
            return CfC(neurons, input_size=self.features)
        return LTC(neurons, return_sequences=False, input_size=self.features)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in ("features", "model", "units", "motors", "seed")}

    @property
    def words(self) -> str:
        """What it is, for people: "CfC on AutoNCP(32, 4)"."""
        return MODELS[self.model].format(units=self.units, motors=self.motors)

    def forward(self, x: Any, elapsed: Any) -> Any:
        """Return what lies ahead of each window: (batch, time, features), (batch, time) -> (batch,)."""
        seen = ops.concat([self.network(x, time_deltas=elapsed), x[:, -1]], axis=-1)
        return ops.squeeze(self.readout(seen), axis=-1)
