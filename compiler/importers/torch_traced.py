"""What a traced forward calls, as a value, and whether two calls of it did the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx


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
    forgotten, meddled : set of str
        Neurons whose hidden state the forward resets or writes before their first call or after their last, and between two
        of their calls.
    loop_steps : int or None
        Steps to which loops over a length that is not known were unrolled; None without such a loop.
    earlier : tuple of Traced
        The same of the first calls, where later calls find something that these left in the module.
    """

    graph: fx.Graph
    values: dict[str, Any]
    hidden: dict[int, tuple[Any, str, str]] = field(default_factory=dict)
    forgotten: frozenset[str] = frozenset()
    meddled: frozenset[str] = frozenset()
    loop_steps: int | None = None
    earlier: tuple[Traced, ...] = ()


def alike(one: Traced, other: Traced) -> bool:
    """Whether two runs of a forward call the same, with the same constants."""
    if len(one.graph.nodes) != len(other.graph.nodes) or (one.forgotten, one.meddled) != (other.forgotten, other.meddled):
        return False
    place = {a: i for g in (one.graph, other.graph) for i, a in enumerate(g.nodes)}

    def plain(item: Any, run: Traced) -> Any:
        if isinstance(item, fx.Node):
            return ("node", place[item])
        if isinstance(item, (tuple, list)):
            return [plain(i, run) for i in item]
        if isinstance(item, dict):
            return {k: plain(v, run) for k, v in item.items()}
        return [plain(i, run) for i in (item.start, item.stop, item.step)] if isinstance(item, slice) else item

    for a, b in zip(one.graph.nodes, other.graph.nodes, strict=True):
        if a.op != b.op or plain(a.args, one) != plain(b.args, other) or plain(a.kwargs, one) != plain(b.kwargs, other):
            return False
        if a.op == "get_attr":
            if not _same_constant(one.values[str(a.target)], one, other.values[str(b.target)], other):
                return False
        elif a.target != b.target:
            return False
    return True


def _same_constant(one: Any, run: Traced, other: Any, other_run: Traced) -> bool:
    states = run.hidden.get(id(one), (None,))[1:], other_run.hidden.get(id(other), (None,))[1:]
    if any(states):
        return bool(states[0] == states[1])
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return bool(one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other))
    return bool(one == other)
