"""Traced calls, evaluated on expressions: what each layer and neuron is given, and which states are handed to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from spikeport.compiler.importers.torch_expr import (
    Expr,
    Fired,
    In,
    Kept,
    Layer,
    Size,
    Stack,
    Zero,
    argument,
    is_zeros,
)
from spikeport.compiler.importers.torch_functions import function
from spikeport.compiler.importers.torch_library import STEP, class_name, library_of, refusal
from spikeport.compiler.importers.torch_live import is_item_written, is_kept, place
from spikeport.compiler.importers.torch_proxy import is_shape, is_size
from spikeport.compiler.importers.torch_traced import Traced


@dataclass(slots=True)
class Reader:
    """Evaluates traced calls on expressions."""

    root: Any
    constants: dict[str, Any]
    hidden: Mapping[int, tuple[Any, str, str]]
    env: dict[fx.Node, Any] = field(default_factory=dict)
    entered: dict[str, list[Expr]] = field(default_factory=dict)
    states: dict[str, Fired] = field(default_factory=dict)
    anew: list[str] = field(default_factory=list)
    handed_on: list[tuple[str, str, str]] = field(default_factory=list)

    def value(self, item: Any) -> Any:
        """Return the value of an argument."""
        if isinstance(item, fx.Node):
            return self.env[item]
        if isinstance(item, (list, tuple)):
            values = [self.value(i) for i in item]
            if hasattr(item, "_fields"):
                return type(item)(*values)
            return values if isinstance(item, list) else tuple(values)
        if isinstance(item, dict):
            return {k: self.value(v) for k, v in item.items()}
        return item

    def run(self, node: fx.Node) -> Any:
        """Return the value of *node*."""
        if node.op == "placeholder":
            return In(str(node.target))
        if node.op == "get_attr":
            value = self.constants[str(node.target)]
            if id(value) not in self.hidden:
                return value
            _, path, role = self.hidden[id(value)]
            return Fired(path, role, len(self.entered[path]) - 1) if path in self.entered else Zero()
        if is_kept(node):
            return Kept(str(node.args[0]))
        args = [self.value(a) for a in node.args]
        kwargs = {k: self.value(v) for k, v in node.kwargs.items()}
        if node.op == "output":
            return args[0]
        if node.op == "call_module":
            return self.module(str(node.target), args, kwargs)
        if is_item_written(node):
            self._write(node, args[0], args[1], args[2])
            return None
        if is_shape(node):
            return Size(args[0], None)
        if is_size(node):
            whole = args[0] if isinstance(args[0], Size) else Size(args[0], None)
            start = whole.axis[0] or 0 if isinstance(whole.axis, tuple) else 0
            if isinstance(args[1], slice):
                return Size(whole.of, (args[1].start, args[1].stop))
            return Size(whole.of, start + args[1])
        return function(node, args, kwargs, self.root)

    def _write(self, node: fx.Node, base: Any, key: Any, value: Any) -> None:
        """Take ``result[step] = spikes``, steps in order into zeros, for a stack of these."""
        items = base.items if isinstance(base, Stack) else ()
        keys = key if isinstance(key, tuple) else (key,)
        places = [axis for axis, k in enumerate(keys) if k != slice(None) and k is not Ellipsis]
        axis = places[0] if len(places) == 1 else 2
        is_next = isinstance(value, Expr) and axis < 2 and type(keys[axis]) is int and keys[axis] == len(items)
        is_next &= not items or base.axis == axis
        if not is_next or not (isinstance(base, (Zero, Stack)) or is_zeros(base)):
            path, what = place(node, self.root)
            raise refusal(
                "E023", path, f"{what} writes a part of a tensor; only x[step] = signal is known, step by step from 0 into "
                "zeros",
                "append each step's signal to a list, and return torch.stack of it", function="setitem",
            )  # fmt: skip
        self.env[node.args[0]] = Stack((*items, value), axis)

    def module(self, path: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Return what the layer or neuron at *path* gives."""
        module = self.root.get_submodule(path)
        library = library_of(module)
        names = () if library is None else library.state_arguments(module)
        signal = args[0] if args else next((v for k, v in kwargs.items() if k not in names), None)
        if is_zeros(signal):
            signal = Zero()
        if not isinstance(signal, Expr):
            raise not_a_signal(signal, path, module)
        if library is None:
            return Layer(path, signal)
        calls = self.entered.setdefault(path, [])
        given = dict(zip(names, args[1:], strict=False)) | {k: v for k, v in kwargs.items() if k in names}
        for name, state in given.items():
            self._state(state, name, path, module, len(calls))
        if library.lead(module) == STEP:
            starts_anew = names and not library.keeps_state(module) and all(given.get(n) is None for n in names)
            if starts_anew and calls:
                raise refusal(
                    "E026", path, f"this {class_name(module)} is called without its state of the step before, and starts anew",
                    f"hand on the {names[0]} that it returned", **{"class": class_name(module)},
                )  # fmt: skip
            if not calls and (starts_anew or any(isinstance(v, Zero) or is_zeros(v) for v in given.values())):
                self.anew.append(path)
        calls.append(signal)
        results = tuple(Fired(path, role, len(calls) - 1) for role in library.results(module))
        return results if len(results) > 1 else results[0]

    def _state(self, state: Any, name: str, path: str, module: Any, step: int) -> None:
        """Refuse a *state* that is not the neuron's own of the step before, or zeros at the start."""
        if getattr(module, "init_hidden", False) and state is not None:
            raise refusal(
                "E026", path, f"this {class_name(module)} has init_hidden=True and is given {name}",
                "leave the argument out, or set init_hidden=False",
            )  # fmt: skip
        role = "spikes" if name == "spk" else name
        if state is None or (step and state == Fired(path, role, step - 1)):
            return
        if step == 0 and (isinstance(state, Zero) or is_zeros(state)):
            return
        if step == 0 and isinstance(state, Kept):
            self.handed_on.append((state.name, path, role))
            return
        source = argument(state)
        if step == 0 and source:
            if self.states.setdefault(source, Fired(path, role, 0)).path == path:
                return
            raise refusal(
                "E026", path, f"{name} of this {class_name(module)} is {source!r}, which is the state of "
                f"{self.states[source].path} too", "give each neuron a state of its own",
            )  # fmt: skip
        raise refusal(
            "E026", path, f"{name} of this {class_name(module)} is not its own state of the step before",
            f"start from zeros and hand on the {name} that the neuron returned",
        )  # fmt: skip


def not_a_signal(value: Any, path: str, module: Any) -> Exception:
    """Return the refusal of a layer that is given something other than one signal."""
    if isinstance(value, tuple) and value and isinstance(value[0], Fired):
        return refusal(
            "E026", path, f"this {class_name(module)} is given all that {value[0].path} returns, "
            f"({', '.join(v.role for v in value)}), not its spikes alone",
            f"set init_hidden=True (and output=False) in {value[0].path}, or take its first result",
        )  # fmt: skip
    return refusal(
        "E023", path, f"this {class_name(module)} is given {type(value).__name__}, not a signal that follows from the input",
        "feed it from the forward's arguments",
    )  # fmt: skip


def read(root: Any, traced: Traced) -> tuple[Reader, Any]:
    """Return the reader of a forward, and what the forward returns."""
    reader = Reader(root, traced.values, traced.hidden)
    returned: Any = None
    for node in traced.graph.nodes:
        reader.env[node] = returned = reader.run(node)
    return reader, returned
