"""A compiled model: parameters and data in, outputs and gradients out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import suppress
from itertools import combinations
from typing import Any

from ember_ml.backend import Backend, get_backend
from ember_ml.compiler import compile
from ember_ml.core import spec_of
from ember_ml.core.files import written_whole
from ember_ml.nn.container.model import Model
from ember_ml.nn.container.outline import input_specs
from ember_ml.nn.container.program import Program
from ember_ml.nn.modules.module import Module
from ember_ml.nn.modules.settings import Part
from ember_ml.tensor.conversion import bare, native, owner_of, to_engine


class CompiledModel:
    """What `compile(model, ...)` returns; see `evaluate`.

    Each new combination of keys, shapes and dtypes is compiled once. It is safe to use from threads, and
    pickles. The model's nodes are those of the moment when it was compiled; its parameters are not touched.
    """

    def __init__(
        self,
        model: Model,
        backend: Backend | None,
        how: dict[str, Any],
        *,
        shapes: dict[str, Any] | None,
        constant_keys: dict[str, Any] | None,
        data_keys: Iterable[str],
        trainable_keys: Iterable[str],
        discard_keys: Iterable[str],
        inference: bool,
        file: Any,
    ):
        model = model.pruned(discard_keys or ())
        if not model.plan.nodes:
            raise ValueError("compile: the model has no nodes; add one, such as model |= Linear(dimension=1)")
        model.set_shapes(shapes or {})
        self.model, self.backend, self.inference = model, backend, inference
        self.file, self._written = file, 0
        data, trainable, constants = set(data_keys or ()), tuple(trainable_keys or ()), constant_keys or {}
        held = {k: _held(x, self._engine()) for k, x in constants.items()}
        self.program = Program(model, model.sizes, held, frozenset(data), trainable, model.cost_key)
        self._prepare()
        self._check_choice({"constant_keys": constants, "data_keys": data, "trainable_keys": trainable})
        self._parts = {
            name: compile(Part(self.program, name), backend, **how)
            for name in ("forward", "joint", "scalar", "ahead", "behind")
        }
        self._forward = self._parts["forward"]

    def evaluate(
        self,
        params: Any = None,
        data: dict[str, Any] | None = None,
        *,
        output_gradients: dict[str, Any] | bool | Callable | None = None,
    ) -> Any:
        """Return the outputs by key; with output gradients, (outputs, gradients), both by key.

        `output_gradients` is the gradient of some number in each output, by key; or True, if the number is
        an output; or a function from the outputs to such a dict, which makes a training step one forward and
        one backward pass. There is a gradient for each parameter and trainable key, less the data keys.

        Raises KeyError for a key that is unknown, missing or given twice, ValueError for a shape, TypeError
        for a dtype that does not fit, and where an op without a gradient bars the way to a parameter.
        """
        if type(params) is not dict:
            params = {} if params is None else self._plain(params, data or {})
        data = {} if data is None else data
        if output_gradients is None or output_gradients is False:
            result = self._forward(params, data)
        elif self.inference:
            raise ValueError("evaluate: compiled with inference=True, so there are no gradients")
        elif output_gradients is True:
            result = self._parts["scalar"](params, data)
        elif callable(output_gradients):
            outputs, residuals = self._parts["ahead"](params, data)
            result = outputs, self._parts["behind"](residuals, output_gradients(outputs))
        else:
            result = self._parts["joint"](params, data, output_gradients)
        if self.file is not None:
            self._write()
        return result

    def get_parameters(self) -> Any:
        """Return the model's parameters as native arrays by dotted name, copies, in the backend's dtype.

        Where shapes are not known yet, a mapping that fills itself at its first `evaluate`.
        """
        return self._now_or_later(self._values)

    def randomize_params(self) -> Any:
        """Return new first values of the parameters, drawn as the modules draw them; see `set_seed`."""
        return self._now_or_later(self._drawn)

    def _now_or_later(self, make: Callable[[Backend], dict[str, Any]]) -> Any:
        return make(self._engine()) if self.program.is_built() else Parameters(make)

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys of data that `evaluate` needs."""
        return tuple(k for k in self.model.input_keys if k not in self.program.constants)

    @property
    def output_keys(self) -> tuple[str, ...]:
        """The keys of what `evaluate` returns."""
        return self.model.output_keys

    @property
    def source(self) -> str:
        """The printed Python of every program made so far."""
        return "\n\n".join(filter(None, (part.source for part in self._parts.values())))

    def summary(self) -> Any:
        """Return a table of the nodes, with shapes where they are known."""
        return self.model.summary()

    def _check_choice(self, chosen: dict[str, Iterable[str]]) -> None:
        """Raise for keys that the model does not have, and for one that is chosen twice."""
        known = [*self.model.input_keys, *(name for name, _ in self.model.named_parameters())]
        for what, keys in chosen.items():
            to_come = [k for k in keys if "." in k and not self.program.is_built()]  # parameters, perhaps
            self.model.check_keys(what, keys, among=[*known, *to_come])
        for (one, keys), (other, others) in combinations(chosen.items(), 2):
            if both := set(keys) & set(others):
                raise ValueError(f"compile: {', '.join(sorted(both))} stands in {one} and in {other}")

    def _prepare(self) -> None:
        """Make the parameters, if the shapes that are known decide theirs.

        Where an input is no float, such as class numbers, the first data will tell.
        """
        if (specs := input_specs(self.model)) is None:
            return
        with self._engine().activated(), suppress(TypeError, IndexError):
            self.program.build(specs.values())

    def _engine(self, *arrays: Any) -> Backend:
        """Return the engine chosen, or that of the arrays; the active backend if it is one and the same."""
        active = get_backend()
        owners = (owner_of(bare(x)) for x in arrays)
        found = next((o for o in owners if isinstance(o, Backend)), active)
        return self.backend or (active if active.array_types == found.array_types else found)

    def _plain(self, params: Any, data: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as a dict, made for these data where they were not made yet."""
        if not isinstance(params, Parameters):
            return dict(params)
        engine = self._engine(*data.values())
        with engine.activated():
            given = {**data, **self.program.constants}
            if not self.program.is_built():
                self.program.build(given[k] for k in self.model.input_keys if k in given)
            return params.filled(engine)

    def _values(self, engine: Backend, model: Module | None = None) -> dict[str, Any]:
        left_out = {*self.program.constants, *self.program.data}
        named = (model or self.model).named_parameters()
        return {k: _held(p, engine) for k, p in named if k not in left_out}

    def _drawn(self, engine: Backend) -> dict[str, Any]:
        with engine.activated():
            return self._values(engine, self.model.renewed())

    def _write(self) -> None:
        """Write the printed Python, if there is more of it than the last time."""
        made = sum(len(part.graphs) for part in self._parts.values())
        if made != self._written:
            self._written = made
            with written_whole(self.file) as part:
                part.write_text(self.source, encoding="utf-8")


def _held(x: Any, engine: Backend) -> Any:
    """Return a copy of an array as the engine has it, floats in its own dtype; of a number, itself."""
    if isinstance(x, bool | int | float | complex):
        return x
    with engine.activated():
        made = to_engine(native(x), engine, copy=True)
    is_float = all(d is not None and d.kind == "float" for d in (engine.dtype, spec_of(made).dtype))
    return native(made, engine.dtype) if is_float else made


class Parameters(MutableMapping):
    """Parameters by name that are made when the first data come, and a dict from then on."""

    def __init__(self, make: Callable[[Backend], dict[str, Any]]):
        self._make, self._held = make, None

    def filled(self, engine: Backend) -> dict[str, Any]:
        """Return the dict, made now for an engine if need be."""
        if self._held is None:
            self._held = self._make(engine)
        return self._held

    def _known(self) -> dict[str, Any]:
        if self._held is None:
            raise LookupError(
                "the parameters are made at the first evaluate, which knows the shapes; "
                "to have them now, compile with shapes={'input': (None, 5)}"
            )
        return self._held

    def __getitem__(self, name: str) -> Any:
        return self._known()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._known()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __repr__(self) -> str:
        return "Parameters(made at the first evaluate)" if self._held is None else f"Parameters({self._held})"
