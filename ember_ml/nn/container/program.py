"""The plain functions of a model: from dicts of arrays to outputs and gradients. `compile` compiles these.

What is checked here is checked while tracing, once for each combination of keys, shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from threading import RLock
from typing import Any

from ember_ml.core import Graph, Traced, spec_of, tree
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import lift, trace_graph, variables
from ember_ml.core.op import TABLE
from ember_ml.core.reverse import conjugated, linearize
from ember_ml.core.trace import constant, name_of
from ember_ml.nn.container.model import Model
from ember_ml.nn.container.plan import unused
from ember_ml.nn.functional import functional_call
from ember_ml.tensor.conversion import owner_of

_BUILDING = RLock()


@dataclass
class Program:
    """A model and what was chosen when it was compiled."""

    model: Model
    sizes: dict[str, tuple[int | None, ...]]  # of inputs, None for any size
    constants: dict[str, Any]
    data: frozenset[str]  # never differentiated
    trainable: tuple[str, ...]  # inputs that are
    cost: str | None  # the output that `True` differentiates, where there are several
    backward: dict[str, tuple] = field(default_factory=dict)  # by name: outputs, and the graph from their
    # cotangents to gradients; grows as `ahead` is traced

    def forward(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs by key."""
        return self._outputs(self._values(params, data))

    def joint(self, params: dict[str, Any], data: dict[str, Any], cotangents: dict[str, Any]) -> tuple:
        """Return the outputs, and the gradients for the cotangents of some of them."""
        outputs, gradients = self._linearized(params, data)
        return outputs, gradients(cotangents)

    def scalar(self, params: dict[str, Any], data: dict[str, Any]) -> tuple:
        """Return the outputs, and the gradients of the one that is a number."""
        outputs, gradients = self._linearized(params, data)
        key = self.cost or next(iter(outputs))
        if key not in outputs:
            raise ValueError(f"output_gradients=True: the model has no output {key!r}; add_loss makes it")
        if len(outputs) > 1 and self.cost is None:
            raise ValueError(
                f"output_gradients=True differentiates one output, and there are {', '.join(outputs)}; "
                "give a dict, or discard_keys"
            )
        if spec_of(outputs[key]).shape != ():
            raise ValueError(
                f"output_gradients=True needs a single number, and {key!r} has shape {outputs[key].shape}; "
                "give its gradient in a dict, or a function that returns one"
            )
        return outputs, gradients({key: TABLE["ones_like"](outputs[key])})

    def ahead(self, params: dict[str, Any], data: dict[str, Any]) -> tuple:
        """Return the outputs, and under the name of a backward program what it needs of the forward one."""
        outputs, gradients = self._linearized(params, data)
        keys = [k for k, x in outputs.items() if _differentiable(x)]

        def pull(*cotangents: Any) -> dict[str, Any]:
            return gradients(dict(zip(keys, cotangents, strict=True)))

        graph, captured, _ = trace_graph(pull, [spec_of(outputs[k]) for k in keys])
        residuals: dict[str, Traced] = {}
        for x in captured:
            if type(x) is Traced:
                residuals[unused(residuals, name_of(x) or "kept")] = x
        specs = {k: spec_of(outputs[k]) for k in outputs}
        name = f"backward_{len(self.backward)}"  # one thread at a time traces this
        self.backward[name] = (specs, keys, list(residuals), lift(graph, list(residuals.values())))
        return outputs, {name: residuals}

    def behind(self, residuals: dict[str, dict], cotangents: dict[str, Any]) -> dict[str, Any]:
        """Return the gradients, given what `ahead` returned and cotangents of some outputs."""
        ((name, kept),) = residuals.items()
        specs, keys, needed, graph = self.backward[name]
        _check_cotangents(cotangents, specs)
        given = [
            TABLE["astype"](cotangents[k], dtype=specs[k].dtype)
            if k in cotangents
            else TABLE["zeros"](specs[k].shape, dtype=specs[k].dtype)
            for k in keys
        ]
        return tree.unflatten(graph.structure, graph(*(kept[k] for k in needed), *given))

    def is_built(self) -> bool:
        """Whether every parameter is made."""
        return all(m.is_settled for m in self.model.modules())

    def build(self, inputs: Iterable[Any]) -> None:
        """Make the parameters that are not made, for inputs like these: one thread at a time."""
        with _BUILDING:
            self.model.ensure_built(*inputs)

    @property
    def compile_key(self) -> Callable[[], tuple]:
        """What tells whether the compiled functions still hold; see `Settings`."""
        return self.model.compile_key

    def _values(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return all that is given, by key, checked. Builds what is not built."""
        if twice := sorted([*(params.keys() & data.keys()), *({*params, *data} & self.constants.keys())]):
            raise KeyError(f"{', '.join(map(repr, twice))} is given twice: in params, data or constant_keys")
        values = {**params, **data, **self.constants}
        for key, x in values.items():
            self._check(key, x)
        if missing := [k for k in self.model.input_keys if k not in values]:
            raise KeyError(f"data: nothing is given for {', '.join(map(repr, missing))}")
        self.build(values[k] for k in self.model.input_keys)
        own = dict(self.model.named_parameters())
        self.model.check_keys("params and data", values, among=own)
        if missing := [k for k in own if k not in values]:
            raise KeyError(f"params: nothing is given for {', '.join(map(repr, missing))}")
        return values

    def _check(self, key: str, x: Any) -> None:
        if not (isinstance(x, bool | int | float | complex) or owner_of(x)):
            raise TypeError(f"{key!r} must be an array, got {type(x).__name__}; make one with backend.array")
        want, have = self.sizes.get(key), tuple(getattr(x, "shape", ()))
        if want is not None and have != tuple(m if n is None else n for n, m in zip_longest(want, have)):
            raise ValueError(f"{key!r} has shape {have}, expected {want}")

    def _outputs(self, values: dict[str, Any]) -> dict[str, Any]:
        inputs = self.model.input_keys
        params = {k: x for k, x in values.items() if k not in inputs}
        result, _ = functional_call(self.model, params, *(values[k] for k in inputs))
        keys = self.model.output_keys
        return dict.fromkeys(keys, result) if len(keys) == 1 else result

    def _linearized(self, params: dict[str, Any], data: dict[str, Any]) -> tuple[dict, Callable]:
        """Return the outputs, and the function from cotangents by key to gradients by key."""
        values = self._values(params, data)
        names = [k for k in self.trained(values) if k in values]
        for name in names:
            if not _differentiable(values[name]):
                raise TypeError(f"gradients need floating-point values, and {name!r} is {values[name].dtype}")
        found: dict[str, Any] = {}

        def flat(*given: Any) -> list:
            found.update(self._outputs({**values, **dict(zip(names, given, strict=True))}))
            return tree.leaves(found)

        leaves, pull = linearize(flat, [values[k] for k in names])
        outputs = tree.unflatten(tree.structure(found), leaves)

        def gradients(cotangents: dict[str, Any]) -> dict[str, Any]:
            _check_cotangents(cotangents, outputs)
            given: list = []
            for key in sorted(outputs):
                size = len(tree.leaves(outputs[key]))
                given += [conjugated(cotangents[key])] if key in cotangents else [None] * size
            try:
                slopes = dict(zip(names, map(conjugated, pull(given)), strict=True))
            except TypeError:
                for key in names:
                    self._zero(key, values, cotangents)  # says for which key an op has no rule
                raise
            return {k: self._zero(k, values, cotangents) if g is None else g for k, g in slopes.items()}

        return outputs, gradients

    def trained(self, keys: Iterable[str]) -> list[str]:
        """Return those of the keys that have gradients: parameters, and inputs that are trainable."""
        inputs = {*self.model.input_keys} - {*self.trainable}
        return [k for k in keys if k not in inputs and k not in self.data and k not in self.constants]

    def _zero(self, key: str, values: dict[str, Any], wanted: Iterable[str]) -> Any:
        """Return zeros for what the outputs do not depend on.

        Raises TypeError where an op without a gradient stands between, unless it is `stop_gradient`.
        """

        def alone(x: Any) -> list:
            outputs = self._outputs({**values, key: x})
            return [outputs[k] for k in wanted]

        graph, _, _ = trace_graph(alone, [spec_of(values[key])])
        if walls := _walls(graph):
            nodes = [n.name for n in self.model.plan.nodes if n.kind in walls]
            raise TypeError(
                f"no gradient reaches {key!r} {spec_of(values[key]).shape} from {', '.join(wanted)}: "
                f"{', '.join(walls)} has none" + (f" (node {', '.join(nodes)})" if nodes else "")
            )
        return TABLE["zeros_like"](values[key])


def _walls(graph: Graph) -> list[str]:
    """Return the ops at which every gradient for the inputs ends, though the values depend on them."""
    reached, walls = set(graph.inputs), []
    for step in graph.steps:
        if reached.isdisjoint(variables(step.args)):
            continue
        if step.op.vjp is constant or not step.op.differentiable:
            walls += [] if step.op.name in (*walls, "stop_gradient") else [step.op.name]
        else:
            reached.update(step.outs)
    return walls


def _differentiable(x: Any) -> bool:
    return not isinstance(x, tuple | list | dict) and spec_of(x).dtype.kind in FLOATING


def _check_cotangents(given: dict[str, Any], outputs: dict[str, Any]) -> None:
    """Raise for gradients that do not fit the outputs, arrays or specs."""
    if unknown := [k for k in given if k not in outputs]:
        raise KeyError(
            f"output_gradients: no output {', '.join(map(repr, unknown))}; there are {', '.join(outputs)}; "
            "a key between nodes becomes an output by expose_keys"
        )
    for key, x in given.items():
        if not _differentiable(outputs[key]):
            raise TypeError(f"output_gradients: {key!r} holds no floating-point array, so it has no gradient")
        if spec_of(x).shape != (want := spec_of(outputs[key]).shape):
            raise ValueError(f"output_gradients: {key!r} has shape {spec_of(x).shape}, expected {want}")
