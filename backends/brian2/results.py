"""From what Brian2's monitors heard to a trace: rasters, outputs and counts, as the reference has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikeport.backends.brian2.layout import Layout, Ref
from spikeport.backends.course import Course, activity
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array
from spikeport.ir.trace import Recording, Trace


@dataclass(slots=True)
class Heard:
    """What the monitors of a run hold.

    Parameters
    ----------
    events : Mapping[str, (steps, neurons, values)]
        By group: where ``y`` was not 0.
    states : Mapping[str, array of shape (total, neurons)]
        By group: membranes.
    sizes : Mapping[str, int]
        By group: neurons.
    """

    events: Mapping[str, tuple[Array, Array, Array]]
    states: Mapping[str, Array]
    sizes: Mapping[str, int]


@dataclass(slots=True)
class _Values:
    """Values of nodes, laid out when asked for."""

    network: StepNetwork
    layout: Layout
    course: Course
    inputs: Mapping[str, Array]
    heard: Heard
    kept: dict[str, Array] = field(default_factory=dict)

    def of(self, ref: Ref) -> Array:
        """Return the value *ref*, (samples, steps, neurons)."""
        path, delay = ref
        if path not in self.kept:
            self.kept[path] = self._whole(path)
        values = self.course.late(self.kept[path], delay)
        return self.course.cut(values, values.shape[1:])

    def shown(self, path: str, later: int = 0) -> Array:
        """Return what leaves the node *path*, *later* steps late: (samples, steps, *shape)."""
        root, delay = self.layout.shown[path]
        values = self.of((root, delay + later))
        return values.reshape(*values.shape[:2], *self.network.shapes.output[path])

    def _whole(self, path: str) -> Array:
        if path in self.inputs:
            return self.inputs[path]
        sum_of = path.endswith("+") and path not in self.network.graph
        shape = self.network.shapes.input[path[:-1]] if sum_of else self.network.shapes.output[path]
        values = np.zeros((self.course.total, math.prod(shape)))
        steps, neurons, y = self.heard.events[self.layout.places[path]]
        values[steps, neurons] = y
        return values


def make_trace(
    network: StepNetwork, layout: Layout, recording: Recording, course: Course, inputs: Mapping[str, Array], heard: Heard,
    seconds: Mapping[str, float], meta: Mapping[str, object],
) -> Trace:  # fmt: skip
    """Return the trace of a run; *inputs* as `Course.spread` gives them."""
    graph, shapes = network.graph, network.shapes
    values = _Values(network, layout, course, inputs, heard)
    chosen = recording.selected(graph.spiking)

    def raster(path: str) -> Array:
        model = network.models.get(path)
        shown = values.shown(path, 0 if model is None else model.output_delay)
        with np.errstate(invalid="ignore", divide="ignore"):
            counts = shown if model is None or model.amplitude is None else np.rint(shown / model.amplitude)
            return counts.astype(np.int64)

    rasters = {p: raster(p) for p in graph.spiking}
    shown = dict.fromkeys((*graph.outputs, *(p for p in chosen if p not in graph.spiking)))
    watched = [p for p in dict.fromkeys((*chosen, *graph.spiking)) if p in network.models] if recording.state else []
    v = {p: course.cut(heard.states[layout.places[p]], shapes.output[p]).copy() for p in watched}
    out = {p: values.shown(p).copy() for p in shown}
    counts = course.counts(network, rasters, lambda path: values.of(layout.entering[path]))
    spikes = {p: rasters[p] for p in dict.fromkeys(chosen) if p in graph.spiking}
    return Trace(
        spikes, out, v, counts, activity(network, values.shown), course.samples, course.steps, dict(seconds), dict(meta)
    )


__all__ = ["Course", "Heard", "make_trace"]
