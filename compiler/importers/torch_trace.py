"""Tracing: torch.fx turns a module's forward into a list of calls; containers vanish, neurons and plain layers remain.

The user's module is run symbolically and left as it was: what its forward wrote into it (states, cached tensors) is
put back (``torch_guard``). It is run until two calls are alike, with what earlier calls kept in the module as signals. A
loop ``for step in range(num_steps)`` unrolls; over a length that comes from the input it unrolls
``LOOP_STEPS`` times, enough to see that each step is like the one before. A container of a library whose forward cannot be
traced as it stands is traced by a function of the library's importer, written with ``one_step``, ``all_steps``,
``previous`` and ``keep``.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import fx, nn

from spikeport.compiler.importers.torch_guard import Guard
from spikeport.compiler.importers.torch_layers import layer_class
from spikeport.compiler.importers.torch_library import Lead, class_name, home_of, library_of, plain_of, refusal
from spikeport.compiler.importers.torch_lines import line_of_error, line_of_forward, reason, way_out
from spikeport.compiler.importers.torch_live import (
    all_steps_of,
    is_kept,
    kept_attribute,
    one_step_of,
    without_side_computations,
)
from spikeport.compiler.importers.torch_proxy import LOOP_STEPS, Value
from spikeport.compiler.importers.torch_traced import Traced, alike

#: The tracer that is at work, for ``previous`` and ``keep``.
_at_work: list[_Tracer] = []


def one_step(signal: Any) -> Any:
    """Return the view of one step of a traced *signal* with a time axis: what is called on it sees ``(batch, ...)``."""
    return signal.tracer.create_proxy("call_function", one_step_of, (signal,), {})


def all_steps(signal: Any, lead: Lead) -> Any:
    """Return what :func:`one_step` took apart, put together again under *lead*."""
    return signal.tracer.create_proxy("call_function", all_steps_of, (signal, lead), {})


def previous(module: Any, name: str) -> Any:
    """Return what the step before left by ``keep(module, name, ...)``, as a traced value; zeros at the start."""
    return _at_work[-1].previous(module, name)


def keep(module: Any, name: str, value: Any) -> None:
    """Leave the traced *value* for the next step."""
    tracer = _at_work[-1]
    tracer.left[tracer.path_of_module(module), name] = value.node


class _Tracer(fx.Tracer):  # type: ignore[misc] # likewise
    """Stops at neurons and at PyTorch's own layers, and remembers in which module it is."""

    def __init__(self, guard: Guard, kept: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__()
        self.guard = guard
        self.has_open_loop = False
        self.values: dict[str, Any] = {}
        self.inside: list[tuple[str, str]] = []
        self.kept = kept
        self.left: dict[tuple[str, str], fx.Node | None] = {}

    def previous(self, module: Any, name: str) -> fx.Proxy:
        full = ".".join(filter(None, (self.path_of_module(module), name)))
        return self.create_proxy("call_function", kept_attribute, (full,), {})

    def create_args_for_root(self, *args: Any, **kwargs: Any) -> Any:
        made = super().create_args_for_root(*args, **kwargs)
        for path, name in self.kept:
            module = self.root.get_submodule(path)
            setattr(module, name, self.previous(module, name))
        return made

    def create_arg(self, a: Any) -> Any:
        # A traced value says that it is a tensor; here it is first of all a traced value.
        return a.node if _is_traced(a) else super().create_arg(a)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        if node.op == "get_attr" and node.target not in self.values:
            # As it is now: the forward may put something else there.
            self.values[str(node.target)] = _attribute(self.root, str(node.target))
        # Not fx's record_stack_traces: that loads torch._inductor, which takes a second.
        node.meta["line"] = line_of_forward()
        return node

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return Value(node, self)

    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        if library_of(m) is not None or plain_of(m) is not None or layer_class(m) is not None:
            return True
        return _forward_of(m) is None and bool(super().is_leaf_module(m, module_qualified_name))

    def call_module(self, m: Any, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path = self.path_of_module(m)
        self.inside.append((path, class_name(m)))
        self.guard.called(path)
        instead = _forward_of(m)
        result = super().call_module(m, forward if instead is None else partial(instead, m), args, kwargs)
        self.inside.pop()  # not in a finally: where tracing fails, the innermost module stays on top
        return result


def _forward_of(module: Any) -> Callable[..., Any] | None:
    """Return the function that is traced in place of the forward of a library's container, or None."""
    library = home_of(module)
    return None if library is None else library.inside(module)


@contextmanager
def _forward_replaced(root: Any) -> Iterator[None]:
    """Give *root* the forward that is traced in its place, if there is one."""
    instead, own = _forward_of(root), type(root)
    if instead is not None:
        root.__class__ = type(own.__name__, (own,), {"forward": instead, "__module__": own.__module__})
    try:
        yield
    finally:
        root.__class__ = own


@contextmanager
def _zeros_traced(tracer: _Tracer) -> Iterator[None]:
    """Trace ``torch.zeros`` of a traced size: it is no function of a tensor, so torch.fx does not see it."""
    original = torch.zeros

    def zeros(*args: Any, **kwargs: Any) -> Any:
        sizes = [i for a in (*args, *kwargs.values()) for i in (a if isinstance(a, (list, tuple)) else (a,))]
        if any(isinstance(i, fx.Proxy) for i in sizes):
            return tracer.create_proxy("call_function", original, args, kwargs)
        return original(*args, **kwargs)

    torch.zeros = zeros
    try:
        yield
    finally:
        torch.zeros = original


class _Cell(nn.Module):  # type: ignore[misc] # torch is read without its types
    """A single neuron that takes its state and returns it, as a network of its own."""

    def __init__(self, name: str, cell: Any) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, cell)

    def forward(self, input: Any, state: Any = None) -> Any:
        return self.get_submodule(self.name)(input, state)


def as_container(module: Any) -> Any:
    """Return *module*, put into a container under its class's name where it is a single layer or neuron."""
    library = library_of(module)
    if library is not None and not library.keeps_state(module) and len(library.state_arguments(module)) == 1:
        return _Cell(type(module).__name__.lower(), module)
    if layer_class(module) is not None or library is not None or plain_of(module) is not None:
        return nn.Sequential(OrderedDict([(type(module).__name__.lower(), module)]))
    return module


#: Calls of a forward after which it must have settled.
_CALLS = 6


def trace(root: Any) -> Traced:
    """Return the calls of *root*'s forward that reach an output or a neuron, and the tensors that it reads by name.

    The forward is run several times: what it does must not hang on how often it was called.

    Raises
    ------
    ImportModelError
        E022 where the forward depends on data, or does something else that cannot be traced; E023 where it relies on
        changes in place; E031 where it takes decisions on what an earlier call kept in the module, or changes its layers.
    """
    with Guard(root) as guard:
        runs: list[tuple[Traced, tuple[tuple[str, str], ...]]] = []
        kept: dict[tuple[str, str], None] = {}
        for _ in range(_CALLS):
            found = tuple(kept)
            traced, left = _traced(root, found, guard)
            if runs and runs[-1][1] == found:
                if not alike(traced, runs[-1][0]):
                    raise _unsettled(root)
                return replace(traced, earlier=tuple(run for run, others in runs if others != found))
            runs.append((traced, found))
            kept |= dict.fromkeys(left)
    raise _unsettled(root)


def _unsettled(root: Any) -> Exception:
    return refusal(
        "E031", "", f"the forward of this {class_name(root)} does not do the same in each call: it counts its calls, draws at "
        "random, or keeps a value that changes what it does", "keep no values in the module beside the neurons' own, and leave "
        "what is random or counted outside", **{"class": class_name(root)},
    )  # fmt: skip


def _traced(root: Any, kept: tuple[tuple[str, str], ...], guard: Guard) -> tuple[Traced, list[tuple[str, str]]]:
    """Return what a run calls that finds *kept*, and the attributes in which it left something itself."""
    guard.start()
    tracer = _Tracer(guard, kept)
    graph, own = _run(root, tracer)
    guard.end()
    for path, name in guard.changes():
        module = root.get_submodule(path)
        raise refusal(
            "E031", path, f"the forward changes {name} of this {class_name(module)}, which is then another layer from step to "
            "step", "set it before the import, outside of the forward", **{"class": class_name(module)},
        )  # fmt: skip
    values = {target: _settled(value, guard) for target, value in tracer.values.items()}
    written = {f"{path}.{name}" if path else name: node for (path, name), node in (own | tracer.left).items()}
    for node in graph.nodes:
        if any(n.graph is not graph for n in node.all_input_nodes):
            raise refusal(
                "E031", "", f"the forward of this {class_name(root)} uses a value that an earlier call left outside of the "
                "module's attributes",
                "keep spikes in an attribute (self.last = spikes), or use a recurrent neuron of the library",
            )  # fmt: skip
        if is_kept(node):
            node.meta["written"] = written.get(str(node.args[0]))
    without_side_computations(root, graph)
    steps = LOOP_STEPS if tracer.has_open_loop else None
    found = Traced(graph, values, dict(guard.hidden), frozenset(guard.forgotten), frozenset(guard.meddled), steps)
    return found, list(own)


def _settled(value: Any, guard: Guard) -> Any:
    """Return a tensor that is read by name as it is now: a later call may write into it."""
    return value.detach().clone() if isinstance(value, torch.Tensor) and id(value) not in guard.hidden else value


def _run(root: Any, tracer: _Tracer) -> tuple[fx.Graph, dict[tuple[str, str], fx.Node | None]]:
    """Run *root* symbolically; return its calls, and what it left in which attributes of modules (None: not one value)."""
    _at_work.append(tracer)
    with _zeros_traced(tracer), _forward_replaced(root), torch.no_grad():
        try:
            graph = tracer.trace(root, _defaults(root))
        except Exception as error:
            path, name = tracer.inside[-1] if tracer.inside else ("", class_name(root))
            if tracer.kept:
                names = ", ".join(".".join(filter(None, k)) for k in tracer.kept)
                raise refusal(
                    "E031", path, f"the second call of the forward of this {name} cannot be traced, where it finds what the "
                    f"first one left in {names}: {reason(error)}", "keep no values in the module beside the neurons' own",
                    **{"class": name},
                ) from error  # fmt: skip
            line = line_of_error(error)
            raise refusal(
                "E022", path, f"the forward of this {name}{f' (line {line})' if line else ''} cannot be traced: "
                f"{reason(error)}", way_out(error), **{"class": name},
            ) from error  # fmt: skip
        finally:
            _at_work.pop()
    left: dict[tuple[str, str], fx.Node | None] = {}
    for path, module in root.named_modules():
        own = {k: v for k, v in module.__dict__.items() if k not in ("_buffers", "_parameters", "_modules")}
        for name, value in (*own.items(), *module._buffers.items()):
            if _is_traced(value):
                left[path, name] = value.node
            elif _holds_traced(value):
                left[path, name] = None
    return graph, left


def _defaults(root: Any) -> dict[str, Any] | None:
    """Return the options of the forward that have a default: what it does without them is what is imported."""
    parameters = list(inspect.signature(type(root).forward).parameters.values())[1:]
    return {p.name: p.default for p in parameters if isinstance(p.default, (bool, int, float, str))} or None


def _is_traced(value: Any) -> bool:
    return issubclass(type(value), fx.Proxy)


def _holds_traced(value: Any, depth: int = 5) -> bool:
    """Whether a container, or an object that holds attributes, holds traced values."""
    if isinstance(value, dict):
        items: Any = value.values()
    elif isinstance(value, (list, tuple, set, deque)):
        items = value
    elif isinstance(value, (nn.Module, torch.Tensor, type)) or callable(value) or _is_traced(value):
        return False
    else:
        items = getattr(value, "__dict__", {}).values()
    return depth > 0 and any(_is_traced(v) or _holds_traced(v, depth - 1) for v in items)


def _attribute(root: Any, target: str) -> Any:
    """Return what *root* holds under a dotted name, past torch.fx, which traces parameters that are asked for."""
    path, _, name = target.rpartition(".")
    module = root
    for part in filter(None, path.split(".")):
        module = module._modules[part] if part in module._modules else module.__dict__[part]
    for held in (module._parameters, module._buffers, module.__dict__):
        if name in held:
            return held[name]
    return getattr(module, name)
