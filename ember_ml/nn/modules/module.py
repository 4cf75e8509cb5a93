"""Modules: parameters, buffers and submodules held as attributes, and `forward`.

A module is a tree. What it holds is found by looking at its attributes when asked (in lists and dicts too),
so nothing need be registered, and a subclass need not call `super().__init__`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from ember_ml.backend import get_backend
from ember_ml.core import tree
from ember_ml.core.dispatch import AMBIENT
from ember_ml.core.dtypes import FLOATING
from ember_ml.core.graph import trace_graph
from ember_ml.core.op import FAULTS
from ember_ml.core.rules import shape_of
from ember_ml.core.spec import spec_of
from ember_ml.nn.modules.connection import LEVEL, Ports, ports_of, wire
from ember_ml.nn.modules.parameter import Parameter
from ember_ml.nn.modules.settings import CONTAINERS, Settings, inside, walk
from ember_ml.nn.modules.summary import Summary
from ember_ml.tensor import EmberTensor, no_grad
from ember_ml.tensor.conversion import bare, engine_of, native, owner_of, to_engine


class Module(Settings):
    """The base of every layer and model.

    A subclass sets `Parameter`s and modules as attributes and defines `forward`. `build(input_shape)` may
    make them later, when the shape of the first input is known. Called with native arrays, a module returns
    native arrays of that engine and records nothing for `backward`; inside, all arrays are EmberTensors.
    """

    training: bool = True  # whether dropout drops and running statistics run; see train() and eval()
    built: bool = False
    input_shape: tuple[int, ...] | None = None  # for which `build` was called
    origin: Module | None = None  # of which this is a copy, made for one functional call

    def forward(self, *args: Any, **settings: Any) -> Any:
        """Compute the module's output. A subclass defines it."""
        raise TypeError(f"{type(self).__name__} has no forward method; define forward(self, x)")

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make what depends on the input's shape. Called once, before the first forward."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Build if need be, and compute `forward`; given names of keys or connections, wire a node."""
        leaves = tree.leaves((args, settings))
        owners = {owner_of(x) for x in leaves} - {None}
        if any(x.level == LEVEL for x in owners) or (not owners and any(isinstance(x, str) for x in leaves)):
            return wire(self, args, settings)
        try:
            if not self.built:
                self._build_for((args, settings))
            if not owners or any(isinstance(x, EmberTensor) for x in leaves):
                return self.forward(*args, **settings)
            args, settings = tree.map(as_tensor, (args, settings))
            with no_grad():
                return tree.map(bare, self.forward(*args, **settings))
        except (*FAULTS, KeyError) as error:
            blame(self, error)
            self._locate(error)
            raise

    def _locate(self, error: Exception) -> None:
        """Let an error that arose in a module below begin with that module's dotted name."""
        layer, about, words = error.layer  # pyright: ignore[reportAttributeAccessIssue] - `blame` set it
        name = next((name for name, m in self.named_modules() if id(m) == layer), "")
        if name:
            error.args = (f"{name} ({about}): {words}",)

    @property
    def is_settled(self) -> bool:
        return self.built or type(self).build is Module.build

    def ports(self) -> Ports:
        """Return the keys at which models can wire it: the arguments of `forward`, the first as `input`."""
        return ports_of(self.forward)

    def ensure_built(self, *args: Any) -> None:
        """Build for these inputs what is not built yet, modules below too; nothing is computed."""
        self._build_for(args)
        if all(m.is_settled for m in self.modules()):
            return
        leaves, structure = tree.flatten(args)
        arrays = [i for i, x in enumerate(leaves) if owner_of(x) is not None]
        copy = replaced(self, {})

        def dry(*values: Any) -> Any:
            given = list(leaves)
            for place, value in zip(arrays, values, strict=True):
                given[place] = EmberTensor(value)
            return tree.map(bare, copy(*tree.unflatten(structure, given)))

        trace_graph(dry, [spec_of(leaves[i]) for i in arrays])

    def _build_for(self, given: Any) -> None:
        """Build for the shape and the engine of the first array among `given`, unless it is done."""
        first = next((x for x in tree.leaves(given) if owner_of(x) is not None), None)
        if self.built or first is None:
            return
        if type(self).build is Module.build:
            self.built = True
            return
        if self.origin is not None:  # what is built lasts, the copy does not
            self.origin._build_for(given)
            vars(self).update(vars(replaced(self.origin, {})))
            return
        outside = AMBIENT.set(None)  # first values are numbers, not part of a program that is being recorded
        try:
            with engine_of(bare(first)).activated():
                self.build(tuple(first.shape))
        finally:
            AMBIENT.reset(outside)
        self.input_shape, self.built = tuple(first.shape), True

    # What it holds

    def register_parameter(self, name: str, param: Any) -> None:
        """Set a parameter as the attribute `name`; None leaves the place empty."""
        setattr(self, name, param if param is None or isinstance(param, Parameter) else Parameter(param))

    def register_buffer(self, name: str, buffer: Any) -> None:
        """Set an array that is saved but not trained as the attribute `name`."""
        names = vars(self).get("_buffer_names", ())
        self._buffer_names = names if name in names else (*names, name)
        setattr(
            self, name, buffer if buffer is None or isinstance(buffer, EmberTensor) else EmberTensor(buffer)
        )

    def add_module(self, name: str, module: Module) -> None:
        """Set a submodule as the attribute `name`."""
        setattr(self, name, module)

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter and its dotted name, in order of assignment; a shared one by its first."""
        yield from self._named(Parameter, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield every parameter."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, EmberTensor]]:
        """Yield every buffer with its dotted name."""
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name in module.__dict__.get("_buffer_names", ()):
                value = getattr(module, name)
                if value is None:
                    continue
                if not isinstance(value, EmberTensor):  # it was assigned as a native array
                    value = EmberTensor(value)
                    setattr(module, name, value)
                yield f"{path}.{name}" if path else name, value

    def buffers(self, recurse: bool = True) -> Iterator[EmberTensor]:
        """Yield every buffer."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and every one below it with its dotted name, each once."""
        yield prefix, self
        yield from self._named(Module, prefix, True)

    def modules(self) -> Iterator[Module]:
        """Yield this module and every one below it, each once."""
        return (m for _, m in self.named_modules())

    def children(self) -> Iterator[Module]:
        """Yield the modules directly below this one."""
        return (m for _, m in self._named(Module, "", False))

    def _named(self, kind: type, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        return walk(self, kind, Module if recurse else (), prefix)

    # Modes and places

    def train(self, mode: bool = True) -> Module:
        """Switch training behaviour (dropout, running statistics) on or off, below too; return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch training behaviour off; return the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of every parameter."""
        for p in self.parameters():
            p.grad = None

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Call `function` on this module and every one below it; return the module."""
        for module in self.modules():
            function(module)
        return self

    def to(self, device: str | None = None, dtype: Any = None, *, backend: Any = None) -> Module:
        """Move every parameter and buffer to a device, dtype or backend; return the module.

        The dtype is that of floats: integers, such as counts of steps, stay what they are. Gradients are
        forgotten.
        """
        for p in (*self.parameters(), *self.buffers()):
            data = p.data if backend is None else to_engine(p.data, get_backend(backend))
            p.data = native(data, dtype if p.dtype.kind in FLOATING else None, device)
            p.grad = None
        return self

    def num_parameters(self) -> int:
        """Return how many numbers are trained."""
        return sum(p.size for p in self.parameters())

    # Saving

    def state_dict(self) -> dict[str, Any]:
        """Return every parameter and buffer as a native array by its dotted name."""
        return {name: x.data for name, x in (*self.named_parameters(), *self.named_buffers())}

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Set parameters and buffers to copies of these values, in their own dtype, engine and place.

        Raises KeyError for names missing or left over (unless `strict` is False), ValueError for a wrong
        shape; then nothing is changed.
        """
        own = dict((*self.named_parameters(), *self.named_buffers()))
        missing, extra = sorted(own.keys() - state_dict.keys()), sorted(state_dict.keys() - own.keys())
        if strict and (missing or extra):
            raise KeyError(
                f"load_state_dict: missing {missing or 'nothing'}, unexpected {extra or 'nothing'}"
            )
        values = {name: _as_in(x, state_dict[name], name) for name, x in own.items() if name in state_dict}
        for name, value in values.items():
            own[name].data = value

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, read from the attributes of the same names."""
        parameters = inspect.signature(type(self).__init__).parameters
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names = [name for name, p in parameters.items() if p.kind in kinds][1:]
        missing = [
            n for n in names if n not in vars(self) and parameters[n].default is inspect.Parameter.empty
        ]
        if missing:
            raise TypeError(
                f"{type(self).__name__}.get_config: keep {', '.join(missing)} as attributes, or override it"
            )
        return {name: getattr(self, name) for name in names if name in vars(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """Return a new module from what `get_config` returned."""
        return cls(**config)

    def save(self, path: Any) -> None:
        """Write parameters, buffers and configuration to a safetensors file; see `ember_ml.nn.load`."""
        from ember_ml.nn.saving import save

        save(self, path)

    # Functional form and display

    def functional(self, params: dict[str, Any], *args: Any) -> Any:
        """Return the output for other parameter values: what `compile(module)(params, *args)` compiles."""
        from ember_ml.nn.functional import functional_call

        return functional_call(self, params, *args)[0]

    def __repr__(self) -> str:
        inner = [f"  ({name}): {m!r}".replace("\n", "\n  ") for name, m in self._named(Module, "", False)]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return "\n".join([head, *inner, ")"]) if inner else f"{head})"

    def extra_repr(self) -> str:
        """Return what stands in the brackets of the module's text."""
        return ", ".join(f"{n}={v!r}" for n, v in self.shown_settings().items())

    @property
    def kind(self) -> str:
        """What it is called as a node of a model."""
        return type(self).__name__

    def shown_settings(self) -> dict[str, Any]:
        """Return the constructor's arguments that are numbers, truths or words."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {n: vars(self)[n] for n in names if isinstance(vars(self).get(n), bool | int | float | str)}

    def summary(self) -> Summary:
        """Return a table of the parameters: name, shape, dtype, count."""
        rows = [(n, str(p.shape), str(p.dtype), f"{p.size:,}") for n, p in self.named_parameters()]
        total = f"{self.num_parameters():,} parameters"
        return Summary(type(self).__name__, ("parameter", "shape", "dtype", "count"), rows, total)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def replaced(module: Module, swap: dict[int, Any]) -> Module:
    """Return a copy of a tree of modules in which the tensors with these ids are others; it stays itself."""
    memo: dict[int, Any] = dict(swap)

    def copied(value: Any) -> Any:
        if not isinstance(value, (EmberTensor, Module, *CONTAINERS)):
            return value
        if id(value) in memo:
            return memo[id(value)]
        if isinstance(value, tuple):
            return tuple.__new__(type(value), map(copied, value))
        new = memo[id(value)] = copy.copy(value)
        if isinstance(value, EmberTensor):
            return new
        place: Any = vars(new) if isinstance(value, Module) else new
        for key, each in inside(value):
            place[key] = copied(each)
        if isinstance(value, Module):
            place["origin"] = value
        return new

    return copied(module)


BaseModule = Module


def blame(module: Module, error: Any, given: str = "") -> None:
    """Note in an error the innermost module that it passed through, and what that was given."""
    layer, _, words = getattr(error, "layer", (id(module), "", None))
    if layer == id(module):
        if words is None:
            words = error.args[0] if isinstance(error, KeyError) and error.args else error
            words = str(words).removeprefix(f"{module.kind}: ")
        vars(error)["layer"] = (layer, f"{module.kind}{given}", words)


def lacks_tensors(values: Any) -> bool:
    """Whether there are arrays, native or traced, and none of them is a tensor yet."""
    arrays = [x for x in tree.leaves(values) if owner_of(x) is not None]
    return bool(arrays) and not any(isinstance(x, EmberTensor) for x in arrays)


def as_tensor(x: Any) -> Any:
    """Return an array as a tensor; anything else as it is."""
    return x if owner_of(x) is None or isinstance(x, EmberTensor) else EmberTensor(x)


def _as_in(tensor: EmberTensor, value: Any, name: str) -> Any:
    """Return a copy of a value in the engine, dtype and place of a tensor, as a native array."""
    given = native(value)
    check_shape("load_state_dict", name, given, tensor)
    return native(to_engine(given, tensor.backend, copy=True), tensor.dtype, tensor.device)


def check_shape(what: str, name: str, value: Any, tensor: EmberTensor) -> None:
    """Raise ValueError for a value that does not fit the place of a tensor."""
    if shape_of(value) != tensor.shape:
        raise ValueError(
            f"{what}: {name!r} has shape {shape_of(value)}, expected {tensor.shape}; "
            "are these the parameters of another model?"
        )
