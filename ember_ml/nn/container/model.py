"""Models: modules wired by the names of keys.

>>> from ember_ml import ops
>>> from ember_ml.nn import Linear, Model, node
>>> model = Model()
>>> model |= Linear(dimension=8)(input="input", output="hidden")
>>> model += node(ops.relu)
>>> model += Linear(dimension=1)(output="price")
>>> model.input_keys, model.output_keys
(('input',), ('price',))

A key that no node reads is an output; `expose_keys` makes outputs of others.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

from ember_ml.core import tree
from ember_ml.core.files import written_whole
from ember_ml.core.op import FAULTS
from ember_ml.core.trace import named
from ember_ml.nn.container.drawing import Drawing, draw
from ember_ml.nn.container.outline import boxes_and_wires, summary
from ember_ml.nn.container.plan import Key, Node, Plan, plan_of, unused
from ember_ml.nn.modules.connection import Connection, Ports, Wired, wire
from ember_ml.nn.modules.module import Module, blame
from ember_ml.nn.modules.summary import Summary
from ember_ml.nn.saving import build, describe
from ember_ml.tensor.conversion import owner_of


class Model(Module):
    """A module whose `forward` runs nodes wired by key names; see the top of this file.

    Called with arrays, by position in the order of `input_keys` or by key, it returns its output, a dict of
    outputs where it has several. Called with names or connections it becomes a node of another model. Every
    key is an attribute too, to wire with. A module wired twice is one module: it has one set of parameters.
    """

    cost_key: str | None = None  # the output that training lowers, where there are several

    def __init__(self) -> None:
        self._wired: dict[Wired, str] = {}  # each node and its name, under which its module is an attribute
        self._writers: dict[str, Wired | None] = {}  # of each key that somebody named; None for an input
        self._exposed: tuple[Connection, ...] = ()
        self._hidden: tuple[str, ...] = ()
        self._called: dict[Connection, str] = {}  # names here of connections that have none of their own
        self._sizes: dict[str, tuple[int | None, ...]] = {}
        self._plan: Plan | None = None

    # Building

    def __ior__(self, other: Any) -> Model:
        """Add a wired node and what it was computed from, a tuple of them, or a module as it is."""
        for each in other if isinstance(other, list | tuple) else (other,):
            self._adopt(wire(each, (), {}) if isinstance(each, Module) else each)
        return self

    def __iadd__(self, other: Any) -> Model:
        """Add a module or a wired node whose one free input reads what the node before it wrote."""
        wired = wire(other, (), {}) if isinstance(other, Module) else other
        free = wired.free() if isinstance(wired, Wired) else []
        if self._wired and len(free) > 1:
            raise ValueError(f"{wired.module.kind}: += joins one free input, but {', '.join(free)} are free")
        if self._wired and free:
            wired.inputs[free[0]] = next(reversed(self._wired))
        self._adopt(wired)
        return self

    @classmethod
    def create(cls, **outputs: Connection) -> Model:
        """Return the model that computes these connections, under these names."""
        model = cls()
        model |= tuple(outputs.values())
        model.expose_keys(**outputs)
        model._hidden, model._plan = tuple(k for k in model.output_keys if k not in outputs), None
        return model

    @classmethod
    def from_function(cls, function: Callable) -> Model:
        """Return the model of a function of connections; a decorator. Its arguments name the inputs.

        It returns one connection, which becomes `output`, or a dict of them by name.
        """
        made = function(*(Connection(name) for name in inspect.signature(function).parameters))
        return cls.create(**(made if isinstance(made, dict) else {"output": made}))

    def expose_keys(self, *keys: str | Connection, **names: Connection) -> None:
        """Make outputs of keys that nodes read, and give connections names. Raises KeyError."""
        for name, c in names.items():
            if (known := c.name or self._called.get(c, name)) != name:
                raise ValueError(f"the connection {known!r} has a name already, so it cannot be {name!r}")
            if self._writers.get(name, c.node) is not c.node:
                raise ValueError(f"the key {name!r} is there already, so {c!r} cannot be called so")
            self._called.update({c: name} if c.name is None else {})
            self._writers[name] = c.node
        self._plan = None
        written = {c.identity: c for each in self._wired for c in each.outputs.values()}
        called = {name: c for c, name in self.plan.keys.items()}
        given = [k.identity if isinstance(k, Connection) else called.get(k) for k in (*keys, *names.values())]
        if unknown := [str(k) for k, c in zip((*keys, *names), given, strict=True) if c not in written]:
            raise KeyError(f"no node writes the key {', '.join(unknown)}; there are {', '.join(self.keys)}")
        self._exposed, self._plan = (*self._exposed, *(written[c] for c in given)), None

    def set_shapes(self, shapes: dict[str, Iterable] | None = None, /, **more: Iterable) -> None:
        """State the shapes of inputs; None, or a name, is any size. Raises KeyError for what is no input."""
        given = {**(shapes or {}), **more}
        self.check_keys("set_shapes", given)
        sizes = {k: tuple(None if isinstance(n, str) else n for n in shape) for k, shape in given.items()}
        self._sizes = {**self._sizes, **sizes}

    def _adopt(self, other: Any) -> None:
        if not isinstance(other, Connection) or other.node is None:
            raise TypeError(f"a model is made of modules and wired nodes, got {other!r}")
        stack = [(other.node, False)]
        while stack:
            wired, done = stack.pop()
            if wired in self._wired:
                continue
            if done:
                self._enter(wired, re.sub("(?<=[a-z])(?=[A-Z][a-z])", "_", wired.module.kind).lower())
                continue
            wired.inputs = tree.map(self._own, wired.inputs)
            stack += [
                (wired, True),
                *((c.node, False) for c in reversed(wired.sources()) if c.node is not None),
            ]

    def _enter(self, wired: Wired, wanted: str) -> None:
        """Add a node under a name like the wanted one."""
        name = unused(vars(self), wanted if getattr(type(self), wanted, None) is None else f"{wanted}_node")
        for c in wired.outputs.values():
            if c.name is not None and (other := self._writers.get(c.name)) is not None:
                known = self._wired[other]
                raise ValueError(
                    f"the key {c.name!r} is written by node {known!r}; {name!r} cannot write it too"
                )
        for c in (*wired.sources(), *wired.outputs.values()):
            if c.name is not None:
                self._writers[c.name] = self._writers.get(c.name, c.node)
                self._sizes.update({} if c.sizes is None else {c.name: c.sizes})
        self._writers.update({c.name: wired for c in wired.outputs.values() if c.name is not None})
        setattr(self, name, wired.module)
        self._wired[wired] = name
        self._plan = None

    def _own(self, x: Any) -> Any:
        """Return what a connection stands for here.

        That is the key that is called so, or the output of a node that is a model with such a key inside.
        """
        if not isinstance(x, Connection) or x.node in self._wired:
            return x
        if x.node is None:
            if x.name is None or (x.name not in self._called.values() and x.name in self._writers):
                return x
            found = self.plan.connections.get(x.name, x)
            if found.name is None:
                self._called[found] = x.name  # from now on, as somebody relies on it
            return found
        for wired in self._wired:
            if isinstance(wired.module, Model) and x.node in wired.module._wired:
                key = wired.module.plan.keys[x.identity]
                if key not in wired.outputs:
                    raise KeyError(f"{key!r} stays inside node {self._wired[wired]!r}: expose_keys({key!r})")
                return wired.outputs[key]
        return x

    # What it is

    @property
    def plan(self) -> Plan:
        """The wiring as plain data. Raises ValueError for a cycle."""
        if (plan := self._plan) is None:  # and making it is no change of a setting
            plan = vars(self)["_plan"] = plan_of(self._wired, self._exposed, self._hidden, self._called)
        return plan

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys that no node writes."""
        return self.plan.inputs

    @property
    def output_keys(self) -> tuple[str, ...]:
        """The keys that it returns."""
        return self.plan.outputs

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key."""
        return tuple(self.plan.keys.values())

    def __getattr__(self, key: str) -> Connection:
        """Return the connection that is called `key`."""
        if key.startswith("_") or (found := self.plan.connections.get(key)) is None:
            known = "" if key.startswith("_") else f"; its keys are {', '.join(self.keys)}"
            raise AttributeError(f"{type(self).__name__} has no attribute or key {key!r}{known}")
        return found

    def ports(self) -> Ports:
        return Ports({k: k for k in self.input_keys}, self.input_keys, self.output_keys)

    def check_keys(self, what: str, keys: Iterable[str], *, among: Iterable[str] = ()) -> None:
        """Raise the KeyError for keys that are no inputs, nor `among` others."""
        known = [*self.input_keys, *among]
        if unknown := [k for k in keys if k not in known]:
            raise KeyError(f"{what}: no key {', '.join(map(repr, unknown))}; there are {', '.join(known)}")

    # Running

    def forward(self, *args: Any, **values: Any) -> Any:
        """Run the nodes on the inputs, by position or by key."""
        if not self._wired:
            raise ValueError("the model has no nodes; add one: model |= Linear(dimension=1)(input='input')")
        twice = values.keys() & set(self.input_keys[: len(args)])
        if twice or len(args) > len(self.input_keys):
            raise TypeError(
                f"expected each of {', '.join(self.input_keys)} once, got {len(args)} by position"
                + (f", and {', '.join(twice)} by key too" if twice else "")
            )
        found = self.run({**dict(zip(self.input_keys, args, strict=False)), **values})
        outputs = {k: found[k] for k in self.output_keys}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()), None)

    def run(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the value of every key, given those of the inputs. Raises KeyError for a missing one."""
        self.check_keys("data", values)
        if missing := [k for k in self.input_keys if k not in values]:
            raise KeyError(f"data: nothing is given for {', '.join(map(repr, missing))}")
        found = dict(values)
        for node in self.plan.nodes:
            try:
                result = self.run_node(node, found)
            except (*FAULTS, KeyError) as error:
                shapes = ", ".join(
                    f"{k} {tuple(found[k].shape)}" for k in node.reads() if owner_of(found.get(k))
                )
                blame(vars(self)[node.name], error, f"; {shapes}")
                self._locate(error)
                raise
            found.update({key: named(x, key) for key, x in _spread(node, result).items()})
        return found

    def run_node(self, node: Node, found: dict[str, Any]) -> Any:
        """Return what one node makes of the values of the keys that it reads."""
        given = tree.map(lambda x: self._value(x, found) if type(x) is Key else x, node.inputs)
        return vars(self)[node.name](**{node.arguments[port]: x for port, x in given.items()})

    def _value(self, key: Key, found: dict[str, Any]) -> Any:
        """Return the value of a key, which may be the name of a parameter."""
        if key.name in found:
            return found[key.name]
        own = dict(self.named_parameters())
        if key.name not in own:
            raise KeyError(f"there is no parameter {key.name!r}; there are {', '.join(own)}")
        return own[key.name]

    # Saving and showing

    def get_config(self) -> dict[str, Any]:
        own = {id(m): m for m in (vars(self)[node.name] for node in self.plan.nodes)}
        nodes = []
        for node in self.plan.nodes:
            keys = tree.map(lambda x: Connection(x.name) if type(x) is Key else x, node.inputs)
            nodes.append([node.name, list(own).index(id(vars(self)[node.name])), keys, node.outputs])
        exposed = [self.plan.keys[c.identity] for c in self._exposed]
        config = {"modules": list(own.values()), "nodes": nodes, "exposed": exposed}
        return {**config, "hidden": self._hidden, "shapes": self._sizes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Model:
        model = cls()
        for name, place, inputs, outputs in config["nodes"]:
            model._enter(wire(config["modules"][place], (), {**inputs, **outputs}), name)
        model.expose_keys(*config["exposed"])
        model._hidden, model._sizes, model._plan = tuple(config["hidden"]), dict(config["shapes"]), None
        return model

    def to_dict(self) -> dict[str, Any]:
        """Return the model without its parameters as data that JSON can hold; `nn.save` keeps them too.

        Raises TypeError for a node that is a function without an importable name.
        """
        return describe(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Model:
        """Return the model that `to_dict` described, with new parameters."""
        return build(data)

    def pruned(self, hidden: Iterable[str]) -> Model:
        """Return a model of the same modules without these outputs and what serves them alone."""
        hidden = tuple(hidden)
        if unknown := [k for k in hidden if k not in self.output_keys]:
            known = ", ".join(self.output_keys)
            raise KeyError(f"discard_keys: no output {', '.join(map(repr, unknown))}; there are {known}")
        other = copy.copy(self)
        other._hidden, other._plan, other._called = (*self._hidden, *hidden), None, dict(self._called)
        kept = {node.name for node in other.plan.nodes}
        for name in set(self._wired.values()) - kept:
            del vars(other)[name]
        other._wired = {wired: name for wired, name in self._wired.items() if name in kept}
        return other

    def renewed(self) -> Model:
        """Return the same wiring of new modules, whose parameters are drawn anew."""
        other, made = copy.copy(self), {}
        for name in self._wired.values():
            module = vars(self)[name]
            if id(module) not in made:
                own = module.renewed() if isinstance(module, Model) else None
                made[id(module)] = own or (build(describe(module)) if module.num_parameters() else module)
            vars(other)[name] = made[id(module)]
        return other

    def compiled_for(self, backend: Any, how: dict[str, Any], **chosen: Any) -> Any:
        """Return the model compiled: what `compile(model, ...)` gives."""
        from ember_ml.nn.container.compiled_model import CompiledModel  # which is made of models

        return CompiledModel(self, backend, how, **chosen)

    def summary(self) -> Summary:
        """Return a table of the nodes: what they read and write, parameters; shapes and FLOPs where known.

        FLOPs are counted as in `ember_ml.compiler.cost`, an open size (`set_shapes`) as 1.
        """
        return summary(self)

    def draw(self, path: str | PathLike | None = None) -> Drawing:
        """Return the wiring drawn as SVG, which a notebook shows; with `path`, write it there too.

        Nodes are boxes, those with parameters in colour, and keys the lines between them, with their shapes
        where `set_shapes` makes them known.
        """
        drawing = draw(*boxes_and_wires(self))
        if path is not None:
            with written_whole(path) as part:
                part.write_text(drawing, encoding="utf-8")
        return drawing

    @property
    def sizes(self) -> dict[str, tuple[int | None, ...]]:
        """The shapes of inputs, as `set_shapes` stated them."""
        return self._sizes


def _spread(node: Node, result: Any) -> dict[str, Any]:
    """Return what a node made by the keys that it writes."""
    if len(node.outputs) == 1:
        return dict.fromkeys(node.outputs.values(), result)
    values = [result[port] for port in node.outputs] if isinstance(result, dict) else result
    return dict(zip(node.outputs.values(), values, strict=True))
