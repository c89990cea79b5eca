"""From what Brian2's monitors heard to a trace: rasters, outputs and counts, as the reference has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikeport.backends.brian2.layout import Layout, Ref
from spikeport.ir.fanout import fan_out
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Input
from spikeport.ir.trace import Counts, Recording, Trace


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The steps of a run: one sample after the other, each with the profile's silence behind it.

    Parameters
    ----------
    samples, steps : int
        Of the input.
    silence : int
        Steps without input after each sample.
    is_reset : bool
        Whether every sample starts anew.
    """

    samples: int
    steps: int
    silence: int
    is_reset: bool

    @classmethod
    def of(cls, network: StepNetwork, samples: int, steps: int) -> Course:
        """Return the course of a run of *network*."""
        is_reset = network.profile.boundary == "reset"
        return cls(samples, steps, 0 if is_reset else network.profile.silence, is_reset)

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.samples * (self.steps + self.silence)

    @property
    def period(self) -> int:
        """Steps after which the state starts anew."""
        return self.steps if self.is_reset else self.total

    def late(self, values: Array, delay: int) -> Array:
        """Return *values* (total, neurons) *delay* steps later, zeros before the start."""
        if not delay:
            return values
        whole = values.reshape(-1, self.period, values.shape[-1])
        moved = np.zeros_like(whole)
        moved[:, delay:] = whole[:, : max(self.period - delay, 0)]
        return moved.reshape(values.shape)

    def spread(self, x: Array) -> Array:
        """Return the input *x* (samples, steps, *shape) as float64 (total, neurons), silence put in."""
        with np.errstate(over="ignore"):
            flat = np.asarray(x, np.float64).reshape(self.samples, self.steps, -1)
        quiet = np.zeros((self.samples, self.silence, flat.shape[-1]))
        return np.concatenate([flat, quiet], axis=1).reshape(self.total, -1) if self.silence else flat.reshape(self.total, -1)

    def cut(self, values: Array, shape: tuple[int, ...]) -> Array:
        """Return *values* (total, neurons) as (samples, steps, *shape), silence left out."""
        return values.reshape(self.samples, self.steps + self.silence, *shape)[:, : self.steps]


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
    ops = {e.source: graph[e.source].op for e in graph.edges}
    sources = [p for p, op in ops.items() if isinstance(op, Input) or op.is_spiking or op.is_stateful]
    activity = {p: np.count_nonzero(values.shown(p), axis=(0, 1)).astype(np.int64) for p in sources}
    counts = {}
    for node in graph:
        path, op = node.path, network.ops.get(node.path)
        updates = math.prod(shapes.output[path]) * course.samples * course.steps if path in network.models else None
        per_step = rasters[path].reshape(course.samples, course.steps, -1).sum(axis=2) if path in rasters else None
        events = synops = None
        if op is not None and op.is_weighted:
            active = values.of(layout.entering[path]) != 0
            events = int(np.count_nonzero(active))
            synops = active.astype(np.int64) @ fan_out(op, shapes.input[path]).reshape(-1)
        if per_step is not None or synops is not None or updates is not None:
            counts[path] = Counts(
                None if per_step is None else int(per_step.sum()), events, None if synops is None else int(synops.sum()),
                updates, per_step, synops,
            )  # fmt: skip
    spikes = {p: rasters[p] for p in dict.fromkeys(chosen) if p in graph.spiking}
    return Trace(spikes, out, v, counts, activity, course.samples, course.steps, dict(seconds), dict(meta))


__all__ = ["Course", "Heard", "make_trace"]
