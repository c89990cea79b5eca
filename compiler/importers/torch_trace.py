"""Tracing: torch.fx turns a module's forward into a list of calls; containers vanish, neurons and plain layers remain.

The user's module is run symbolically and left as it was: what its forward wrote into it (states, cached tensors) is
put back. A forward that keeps something in the module for its next call is run a second time, to see whether it reads
that. A loop ``for step in range(num_steps)`` unrolls; over a length that comes from the input it unrolls
``LOOP_STEPS`` times, enough to see that each step is like the one before. A container of a library whose forward cannot be
traced as it stands is traced by a function of the library's importer, written with ``one_step``, ``all_steps``,
``previous`` and ``keep``.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePath
from types import FrameType
from typing import Any

import torch
from torch import fx, nn

from spikeport.compiler.importers.torch_layers import LAYERS
from spikeport.compiler.importers.torch_library import STEP, Lead, class_name, home_of, library_of, plain_of, refusal
from spikeport.compiler.importers.torch_live import (
    all_steps_of,
    is_kept,
    kept_attribute,
    one_step_of,
    without_side_computations,
)
from spikeport.compiler.importers.torch_proxy import Argument, Value

_TORCH = PurePath(torch.__file__).parent
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

    def __init__(self, kept: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__()
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

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        # Not fx's record_stack_traces: that loads torch._inductor, which takes a second.
        node.meta["line"] = _line_of_forward()
        return node

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return Argument(node, self) if node.op == "placeholder" else Value(node, self)

    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        if library_of(m) is not None or plain_of(m) is not None:
            return True
        return _forward_of(m) is None and bool(super().is_leaf_module(m, module_qualified_name))

    def call_module(self, m: Any, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.inside.append((self.path_of_module(m), class_name(m)))
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


def _line_of_forward() -> str:
    """Return the line of the user's code that is running, as ``12 of net.py``; empty where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if line := _line(frame, frame.f_lineno):
            return line
        frame = frame.f_back
    return ""


def _line(frame: FrameType, number: int) -> str:
    """Return ``12 of net.py`` for a frame of a module's method outside of PyTorch; empty for others."""
    file = PurePath(frame.f_code.co_filename)
    first = frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None
    return f"{number} of {file.name}" if isinstance(first, nn.Module) and not file.is_relative_to(_TORCH) else ""


@contextmanager
def _left_as_it_was(root: Any) -> Iterator[None]:
    """Put back what a symbolic run writes into the modules' attributes and buffers."""
    kinds = (dict, list, set)
    before = [
        (m, dict(m.__dict__), [(v, v.copy()) for v in m.__dict__.values() if isinstance(v, kinds)]) for m in root.modules()
    ]
    try:
        yield
    finally:
        for module, attributes, held in before:
            module.__dict__.clear()
            module.__dict__.update(attributes)
            for container, content in held:
                container.clear()
                container.extend(content) if isinstance(container, list) else container.update(content)


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


@dataclass(frozen=True, slots=True)
class Traced:
    """What a forward calls.

    Parameters
    ----------
    graph : torch.fx.Graph
        Calls that reach an output or a neuron.
    values : dict of str to tensor
        What it reads by name.
    hidden : dict of int to (tensor, path, role)
        By identity, what stood for the hidden states of neurons while the forward was traced.
    forgotten : tuple of str
        Neurons whose hidden state the forward resets.
    first : Traced or None
        The same of the first call, where later calls find something that it left in the module.
    """

    graph: fx.Graph
    values: dict[str, Any]
    hidden: dict[int, tuple[Any, str, str]] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()
    first: Traced | None = None


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
    if type(module) in LAYERS or library is not None or plain_of(module) is not None:
        return nn.Sequential(OrderedDict([(type(module).__name__.lower(), module)]))
    return module


def trace(root: Any) -> Traced:
    """Return the calls of *root*'s forward that reach an output or a neuron, and the tensors that it reads by name.

    Raises
    ------
    ImportModelError
        E022 where the forward depends on data, or does something else that cannot be traced; E023 where it relies on
        changes in place; E031 where it takes decisions on what an earlier call kept in the module.
    """
    traced, kept = _traced(root, ())
    if not kept:
        return traced
    again, _ = _traced(root, tuple(kept))
    return replace(again, first=traced)


def _traced(root: Any, kept: tuple[tuple[str, str], ...]) -> tuple[Traced, list[tuple[str, str]]]:
    """Return what a run calls that finds *kept*, and the attributes in which it left something itself."""
    with _left_as_it_was(root):
        hidden = _marked_states(root)
        graph, own, left = _run(root, kept)
        values = {str(n.target): _attribute(root, str(n.target)) for n in graph.nodes if n.op == "get_attr"}
        # A reset puts another tensor there, or writes zeros into it.
        forgotten = [
            path for mark, path, _, name in hidden
            if getattr(root.get_submodule(path), name, None) is not mark or not torch.equal(mark, _MARK)
        ]  # fmt: skip
    written = {f"{path}.{name}" if path else name: node for (path, name), node in (own | left).items()}
    for node in graph.nodes:
        if is_kept(node):
            node.meta["written"] = written.get(str(node.args[0]))
    without_side_computations(root, graph)
    marks = {id(mark): (mark, path, role) for mark, path, role, _ in hidden}
    return Traced(graph, values, marks, tuple(dict.fromkeys(forgotten))), list(own)


#: What stands for a hidden state while a forward is traced: no state, so that a reset shows.
_MARK = torch.full((1,), 7.25)


def _marked_states(root: Any) -> list[tuple[Any, str, str, str]]:
    """Put a mark into every hidden state of a neuron of one step; return (mark, path, role, attribute)."""
    found = []
    for path, module in root.named_modules():
        library = library_of(module)
        if library is None or library.refusals(module, path) or library.lead(module) != STEP:
            continue
        for name, role in library.hidden(module).items():
            mark = _MARK.clone()
            setattr(module, name, mark)
            found.append((mark, path, role, name))
    return found


def _run(
    root: Any, kept: tuple[tuple[str, str], ...]
) -> tuple[fx.Graph, dict[tuple[str, str], fx.Node | None], dict[tuple[str, str], fx.Node | None]]:
    """Run *root* symbolically; return its calls, and what it left in which attributes of modules (None: not one value).

    *kept* are the attributes in which an earlier call left something. What ``keep`` left comes last.
    """
    tracer = _Tracer(kept)
    _at_work.append(tracer)
    with _zeros_traced(tracer), _forward_replaced(root), torch.no_grad():
        try:
            graph = tracer.trace(root)
        except Exception as error:
            path, name = tracer.inside[-1] if tracer.inside else ("", class_name(root))
            if kept:
                names = ", ".join(".".join(filter(None, k)) for k in kept)
                raise refusal(
                    "E031", path, f"the second call of the forward of this {name} cannot be traced, where it finds what the "
                    f"first one left in {names}: {_reason(error)}", "keep no values in the module beside the neurons' own",
                    **{"class": name},
                ) from error  # fmt: skip
            line = _line_of_error(error)
            raise refusal(
                "E022", path, f"the forward of this {name}{f' (line {line})' if line else ''} cannot be traced: "
                f"{_reason(error)}", _way_out(error), **{"class": name},
            ) from error  # fmt: skip
        finally:
            _at_work.pop()
    left: dict[tuple[str, str], fx.Node | None] = {}
    for path, module in root.named_modules():
        for name, value in module.__dict__.items():
            if isinstance(value, fx.Proxy):
                left[path, name] = value.node
            elif isinstance(value, (list, tuple, dict)) and _holds_traced(value):
                left[path, name] = None
    return graph, left, tracer.left


def _holds_traced(value: Any) -> bool:
    """Whether a container holds traced values, at any depth."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return any(isinstance(v, fx.Proxy) or _holds_traced(v) for v in items)


def _line_of_error(error: Exception) -> str:
    """Return the innermost line of a forward outside of PyTorch that *error* passed, as ``12 of net.py``; else empty."""
    found, here = "", error.__traceback__
    while here is not None:
        if line := _line(here.tb_frame, here.tb_lineno):
            found = line
        here = here.tb_next
    return found


def _way_out(error: Exception) -> str:
    if "control flow" in str(error):
        return (
            "a graph does the same in every step, whatever the data: decide by an option of the module (self.flag), or outside "
            "of it; a gate on data is no weighted sum"
        )
    return "give an nn.Sequential, or a module whose forward is one time step without Python control flow on data"


def _reason(error: Exception) -> str:
    text = str(error).split("\n")[0]
    if "iterated" in text:
        return "it iterates over a tensor that it computed; write `for step in range(x.shape[0])` and take x[step]"
    if "control flow" in text:
        return "it takes an if or a while on a tensor's values"
    return text or type(error).__name__


def _attribute(root: Any, target: str) -> Any:
    value = root
    for name in target.split("."):
        value = getattr(value, name)
    return value
