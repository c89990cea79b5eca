"""Which node shows whose value, what enters it, which weighted nodes need no group, and whose events a run needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Affine, Delay, Flatten, Linear, Neuron, Output, Scale, Threshold
from spikeport.ir.trace import Recording

#: A value: what left a node, so many steps ago. ``"PATH+"`` is the sum of what enters PATH.
Ref = tuple[str, int]

#: Nodes that work element by element, and therefore can sum what enters them themselves.
ELEMENTWISE = (Neuron, Scale, Threshold, Delay)


@dataclass(slots=True)
class Where:
    """What is where in a network.

    Parameters
    ----------
    network : StepNetwork
    recording : Recording
    shown : dict of str to Ref
        What every node shows: its own value, or that of another some steps late.
    entering : dict of str to Ref
        What enters each weighted node.
    merged : dict of str to str
        Weighted nodes that accumulate in the group of the node that they feed.
    watched : set of str
        Nodes and sums whose events a run needs: for the recording, for counts and for activity.
    """

    network: StepNetwork
    recording: Recording
    shown: dict[str, Ref] = field(default_factory=dict)
    entering: dict[str, Ref] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    watched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph = self.network.graph
        for path in self.network.schedule.order:
            self.shown[path] = self._show(path)
        self.merged = {p: t for p in self.network.ops if (t := self._target_of(p)) is not None}
        self.entering = {p: self.value_into(p) for p, op in self.network.ops.items() if op.is_weighted}
        sources = {e.source for e in graph.edges}
        self.watched = {n.path for n in graph if n.op.is_spiking or (n.op.is_stateful and n.path in sources)}
        self.watched |= {self.shown[p][0] for p in (*graph.outputs, *self.recording.selected(graph.spiking))}
        self.watched |= {root for root, _ in self.entering.values()}

    def has_group(self, path: str) -> bool:
        """Whether the node *path* is no other's name, no accumulator and no input."""
        return self.shown[path] == (path, 0) and path not in self.merged and path not in self.network.graph.inputs

    def terms(self, path: str) -> list[tuple[str, Ref]]:
        """Return (source node, value) of each edge into *path*, in the order of the sum."""
        found = []
        for edge in self.network.graph.into(path):
            root, delay = self._resolve(edge.source)
            found.append((edge.source, (root, delay + self.network.schedule.delays[edge])))
        return found

    def value_into(self, path: str) -> Ref:
        """Return the one value that enters *path*: that of its only edge, or of a sum."""
        terms = self.terms(path)
        return terms[0][1] if len(terms) == 1 else (f"{path}+", 0)

    def sums(self, path: str) -> bool:
        """Whether the node *path* can sum what enters it in its own group."""
        op = self.network.graph[path].op
        return isinstance(op, ELEMENTWISE) or type(op) in (Flatten, Output)

    def _show(self, path: str) -> Ref:
        """Return what the node *path* shows: itself, unless it only repeats another."""
        graph = self.network.graph
        if type(graph[path].op) in (Flatten, Output) and len(graph.into(path)) == 1:
            (edge,) = graph.into(path)
            root, delay = self._resolve(edge.source)
            return root, delay + self.network.schedule.delays[edge]
        return path, 0

    def _resolve(self, path: str) -> Ref:
        """Return what *path* shows, also where its turn in the schedule comes later (over a delayed edge)."""
        return self.shown[path] if path in self.shown else self._show(path)

    def _target_of(self, path: str) -> str | None:
        """Return the node in whose group the weighted node *path* can accumulate: the only one that it feeds, at once."""
        graph = self.network.graph
        if not isinstance(graph[path].op, (Affine, Linear)) or path in (self.recording.paths or ()):
            return None
        out = graph.out_of(path)
        if len(out) != 1 or self.network.schedule.delays[out[0]]:
            return None
        target = out[0].target
        return target if self.shown[target] == (target, 0) and self.sums(target) else None


__all__ = ["ELEMENTWISE", "Ref", "Where"]
