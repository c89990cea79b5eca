"""From what a simulator recorded of its populations to a trace: values of all nodes, rasters and counts as in the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.backends.course import Course, activity
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array
from spikeport.ir.trace import Recording, Trace

#: What a population can write down in each step: spikes, current, membrane.
Heard = Mapping[tuple[str, str], Array]


def wanted(network: StepNetwork, recording: Recording) -> tuple[tuple[str, str], ...]:
    """Return what has to be recorded, as (path, "s", "u" or "v"): all spikes, since counts need them, and the states asked for.

    Integrators are read by their membranes.
    """
    spiking = network.graph.spiking
    states = [*recording.selected(spiking), *spiking] if recording.state else []
    found = []
    for path, model in network.models.items():
        keys = "s" if model.threshold is not None else "v"
        if path in states:
            keys += "uv" if model.has_current else "v"
        found += [(path, key) for key in dict.fromkeys(keys)]
    return tuple(found)


@dataclass(slots=True)
class _Values:
    """Values of nodes, from those of populations: what is between them is computed here, by the ops' own reference."""

    network: StepNetwork
    course: Course
    inputs: Mapping[str, Array]
    heard: Heard
    kept: dict[str, Array] = field(default_factory=dict)

    def left(self, path: str) -> Array:
        """Return what left the node *path*, (total, neurons)."""
        if path not in self.kept:
            self.kept[path] = self._left(path)
        return self.kept[path]

    def _left(self, path: str) -> Array:
        if path in self.inputs:
            return self.course.spread(self.inputs[path])
        if path in self.network.models:
            key = "v" if self.network.models[path].threshold is None else "s"
            return self.heard[path, key].astype(np.float64)
        x = self.entered(path).reshape(-1, *self.network.shapes.input[path])
        return self.network.ops[path].apply(x).reshape(x.shape[0], -1)

    def entered(self, path: str) -> Array:
        """Return what entered the node *path*, (total, neurons)."""
        total = np.zeros((self.course.total, math.prod(self.network.shapes.input[path])))
        for edge in self.network.graph.into(path):
            total = total + self.course.late(self.left(edge.source), self.network.schedule.delays[edge])
        return total

    def shown(self, path: str) -> Array:
        """Return what left the node *path*, (samples, steps, *shape)."""
        return self.course.cut(self.left(path), self.network.shapes.output[path])


def make_trace(
    network: StepNetwork, recording: Recording, course: Course, inputs: Mapping[str, Array], heard: Heard,
    seconds: Mapping[str, float], meta: Mapping[str, Any],
) -> Trace:  # fmt: skip
    """Return the trace of a run.

    Parameters
    ----------
    inputs : Mapping[str, array, shape (samples, steps, *shape)]
        As they enter the network.
    heard : Mapping[(str, str), array, shape (total, neurons)]
        What ``wanted`` asked for.
    """
    graph, shapes = network.graph, network.shapes
    values = _Values(network, course, inputs, heard)
    chosen = recording.selected(graph.spiking)
    rasters = {p: values.shown(p).astype(np.int64) for p in graph.spiking}
    out = {p: values.shown(p) for p in dict.fromkeys([*graph.outputs, *(p for p in chosen if p not in graph.spiking)])}
    states = {
        name: {p: course.cut(array.astype(np.float64), shapes.output[p]) for (p, key), array in heard.items()
               if key == of and recording.state and (p in chosen or p in graph.spiking)}
        for name, of in (("v", "v"), ("i", "u"))
    }  # fmt: skip
    counts = course.counts(network, rasters, lambda path: course.cut(values.entered(path), (-1,)))
    spikes = {p: rasters[p] for p in dict.fromkeys(chosen) if p in graph.spiking}
    return Trace(
        spikes, out, states["v"], counts, activity(network, values.shown), course.samples, course.steps, dict(seconds),
        dict(meta), states["i"],
    )  # fmt: skip


__all__ = ["Heard", "make_trace", "wanted"]
