"""Stated rates: a trace without a run, for pricing a network at a mean rate that the user names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from spikeport.ir.fanout import synapse_count
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Delay, Flatten, Input, Neuron, Op, Scale, SumPool2d
from spikeport.ir.profile import Profile
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.trace import Counts, Trace


@dataclass(frozen=True, slots=True)
class StatedRates:
    """Mean rates of events, taken as equal and steady over the neurons of a layer.

    Parameters
    ----------
    rate_hz : float
        Of every input and neuron, in events a second of model time.
    steps : int
        Steps of a sample.
    samples : int
        Samples.
    by_layer : Mapping[str, float]
        Rates of single inputs and layers, in Hz.
    """

    rate_hz: float
    steps: int
    samples: int = 1
    by_layer: Mapping[str, float] = field(default_factory=dict)

    def trace(self, graph: Graph, profile: Profile) -> Trace:
        """Return the trace that a run at these rates would give on the average: counts are means, not whole numbers.

        Raises
        ------
        UsageError
            E642 for a rate that is no rate, above one event a step, or of a layer that is not there.
        """
        self._check(graph, profile)
        total = self.samples * self.steps
        shapes = infer_shapes(graph)[0]
        share = _shares(graph, {n.path: self.by_layer.get(n.path, self.rate_hz) * profile.dt for n in graph})
        activity, counts = {}, {}
        for node in graph:
            path, shape = node.path, shapes.output[node.path]
            size = math.prod(shape)
            if graph.out_of(path):
                activity[path] = np.broadcast_to(np.float64(share[path] * total), shape)
            spikes = round(share[path] * size * total) if node.op.is_spiking else None
            updates = size * total if isinstance(node.op, Neuron) else None
            events = synops = None
            if node.op.is_weighted:
                entering = _entering(graph, path, share)
                events = round(entering * math.prod(shapes.input[path]) * total)
                synops = round(entering * synapse_count(node.op, shapes.input[path]) * total)
            if spikes is not None or updates is not None or synops is not None:
                counts[path] = Counts(spikes, events, synops, updates)
        meta = {"stated_rates": {"rate_hz": self.rate_hz, "by_layer": dict(self.by_layer)}, "backend": None}
        return Trace({}, {}, {}, counts, activity, self.samples, self.steps, {}, meta)

    def _check(self, graph: Graph, profile: Profile) -> None:
        found = []
        if self.steps < 1 or self.samples < 1:
            found.append(Diagnostic("E642", "", f"{self.samples} samples of {self.steps} steps", "give at least 1 of both"))
        for path, rate in (("", self.rate_hz), *self.by_layer.items()):
            if path and not (path in graph and (graph[path].op.is_spiking or type(graph[path].op) is Input)):
                names = [n.path for n in graph if n.op.is_spiking or type(n.op) is Input]
                found.append(Diagnostic("E642", path, f"no input or spiking layer {path!r}{did_you_mean(path, names)}",
                                        f"one of {', '.join(names[:20])}"))  # fmt: skip
            if not (math.isfinite(rate) and 0 <= rate * profile.dt <= 1):
                found.append(
                    Diagnostic("E642", path, f"a mean rate of {rate:g} Hz is {rate * profile.dt:g} a step of {profile.dt:g} s",
                               f"give 0 to {1 / profile.dt:g} Hz", {"rate_hz": rate, "dt": profile.dt})
                )  # fmt: skip
        if found:
            raise UsageError(found)


def _entering(graph: Graph, path: str, share: Mapping[str, float]) -> float:
    """Return the share of steps in which a value enters: of several independent sources, that of any."""
    return 1 - math.prod(1 - share[e.source] for e in graph.into(path))


def _shares(graph: Graph, own: Mapping[str, float]) -> dict[str, float]:
    """Return the share of steps in which each node's output is not zero, stateless nodes following their inputs."""
    out = {n.path: own[n.path] for n in graph if n.op.is_spiking or type(n.op) is Input}
    out |= {n.path: 1.0 for n in graph if n.path not in out and isinstance(n.op, Neuron)}
    pending = [n.path for n in graph if n.path not in out]
    while pending:
        ready = [p for p in pending if all(e.source in out for e in graph.into(p))]
        if not ready:  # a loop through a Delay: start it at its own rate
            ready = [p for p in pending if isinstance(graph[p].op, Delay)][:1] or pending[:1]
            out |= {p: own[p] for p in ready}
        for p in ready:
            out.setdefault(p, _through(graph[p].op, _entering(graph, p, out) if p not in out else out[p]))
        pending = [p for p in pending if p not in out]
    return out


def _through(op: Op, share: float) -> float:
    if isinstance(op, SumPool2d):
        return 1 - (1 - share) ** math.prod(op.kernel_size)
    if isinstance(op, (Flatten, Scale, Delay, Input)):
        return share
    return 1.0 if share else 0.0  # a weighted sum: almost every output sees some event
