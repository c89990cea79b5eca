"""What a forward does to its module while it is traced: watched where it matters, and undone.

Tracing runs the user's code. It may count calls, fill lists, reset or write the neurons' states, set a threshold: all of it
is put back. What changes a neuron or a layer is reported, since a graph would not have it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import nn

from spikeport.compiler.importers.torch_library import STEP, home_of, library_of, plain_of

#: What stands for a hidden state while a forward is traced: no state, so that a reset shows.
_MARK = torch.full((1,), 7.25)
#: Tensors up to this many values are put back when a forward writes into them.
_SMALL = 2**16
_DEPTH = 5


@dataclass(slots=True)
class Guard:
    """A module while its forward is traced: a context that leaves it as it was.

    Parameters
    ----------
    root : torch.nn.Module
        In eval mode within the context.
    """

    root: Any
    #: By identity: what stood for which state of which neuron.
    hidden: dict[int, tuple[Any, str, str]] = field(default_factory=dict)
    #: Neurons whose state the last run reset or wrote before their first call or after their last, and between two calls.
    forgotten: set[str] = field(default_factory=set)
    meddled: set[str] = field(default_factory=set)
    _marks: dict[str, dict[str, Any]] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)
    _attributes: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    _containers: list[tuple[Any, Any]] = field(default_factory=list)
    _tensors: list[tuple[Any, int, Any]] = field(default_factory=list)
    _leaves: dict[str, dict[str, Any]] = field(default_factory=dict)
    _versions: dict[str, list[tuple[str, Any, int]]] = field(default_factory=dict)

    def __enter__(self) -> Guard:
        seen: set[int] = set()
        for path, module in self.root.named_modules():
            self._attributes.append((module, dict(module.__dict__)))
            for value in module.__dict__.values():
                self._remember(value, seen, _DEPTH)
            if is_leaf(module):
                self._leaves[path] = _own(module)
                self._versions[path] = [(n, t, t._version) for n, t in _own_tensors(module)]
        for module in self.root.modules():
            module.training = False
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for tensor, version, copy in self._tensors:
            if tensor._version != version and copy is not None:
                with torch.no_grad():
                    tensor.data.copy_(copy)
        for container, content in self._containers:
            if isinstance(container, (list, deque)):
                container.clear()
                container.extend(content)
            else:
                held = container if isinstance(container, (dict, set)) else container.__dict__
                held.clear()
                held.update(content)
        for module, attributes in self._attributes:
            module.__dict__.clear()
            module.__dict__.update(attributes)

    def _remember(self, value: Any, seen: set[int], depth: int) -> None:
        """Keep what *value* holds, and what is in it."""
        if id(value) in seen or depth == 0 or isinstance(value, (nn.Module, nn.UninitializedParameter, type)):
            return
        if isinstance(value, torch.Tensor):
            seen.add(id(value))
            is_small = value.numel() <= _SMALL and not value.is_meta and value.layout == torch.strided
            copy = value.detach().clone() if is_small else None
            self._tensors.append((value, value._version, copy))
            return
        if isinstance(value, (dict, list, set, deque)):
            seen.add(id(value))
            self._containers.append((value, type(value)(value) if isinstance(value, (list, set)) else value.copy()))
            for item in value.values() if isinstance(value, dict) else value:
                self._remember(item, seen, depth - 1)
        elif isinstance(value, tuple):
            for item in value:
                self._remember(item, seen, depth - 1)
        elif isinstance(getattr(value, "__dict__", None), dict) and not callable(value):
            seen.add(id(value))
            self._containers.append((value, dict(value.__dict__)))
            for item in value.__dict__.values():
                self._remember(item, seen, depth - 1)

    # The states of neurons.

    def start(self) -> None:
        """Begin a run: put a mark into every hidden state of a neuron of one step."""
        self.forgotten.clear()
        self.meddled.clear()
        self._calls.clear()
        for path, module in self.root.named_modules():
            library = library_of(module)
            if library is not None and not library.refusals(module, path) and library.lead(module) == STEP:
                self._mark(path, module)

    def _mark(self, path: str, module: Any) -> None:
        library = library_of(module)
        self._marks[path] = {}
        for name, role in () if library is None else library.hidden(module).items():
            mark = _MARK.clone()
            setattr(module, name, mark)
            self._marks[path][name] = mark
            self.hidden[id(mark)] = (mark, path, role)

    def _is_changed(self, path: str) -> bool:
        module = self.root.get_submodule(path)
        return any(
            getattr(module, name, None) is not mark or not torch.equal(mark, _MARK) for name, mark in self._marks[path].items()
        )

    def called(self, path: str) -> None:
        """Look at the state of the neuron at *path* before a call of it."""
        if path in self._marks and self._is_changed(path):
            (self.meddled if self._calls.get(path) else self.forgotten).add(path)
            self._mark(path, self.root.get_submodule(path))
        self._calls[path] = self._calls.get(path, 0) + 1

    def end(self) -> None:
        """Look at all states at the end of a run."""
        self.forgotten.update(path for path in self._marks if self._is_changed(path))

    def changes(self) -> list[tuple[str, str]]:
        """Return (path, attribute) of what was changed in layers and neurons, beside the neurons' states."""
        found = []
        for path, before in self._leaves.items():
            module = self.root.get_submodule(path)
            now = _own(module)
            found += [(path, name) for name in sorted({*before, *now}) if before.get(name) is not now.get(name)]
            found += [(path, name) for name, tensor, version in self._versions[path] if tensor._version != version]
        return found


def is_leaf(module: Any) -> bool:
    """Whether *module* is read as a whole: a neuron, or a layer without parts."""
    return library_of(module) is not None or plain_of(module) is not None or not any(True for _ in module.children())


def _hidden_names(module: Any) -> set[str]:
    home = home_of(module)
    library = library_of(module)
    return set() if home is None or library is None or library.refusals(module, "") else set(library.hidden(module))


def _own(module: Any) -> dict[str, Any]:
    """Return the attributes of a layer, its parameters and buffers among them, without the states of neurons."""
    hidden = _hidden_names(module)
    found: dict[str, Any] = {}
    for name, value in module.__dict__.items():
        if name in ("_parameters", "_buffers", "_memories"):
            found.update({n: v for n, v in value.items() if n not in hidden})
        elif name not in hidden and name != "training":
            found[name] = value
    return found


def _own_tensors(module: Any) -> list[tuple[str, Any]]:
    hidden = _hidden_names(module)
    named = [*module.named_parameters(), *module.named_buffers()]
    return [(n, t) for n, t in named if n not in hidden and not isinstance(t, nn.UninitializedParameter)]
