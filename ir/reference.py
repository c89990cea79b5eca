"""The reference interpreter: slow and obvious, in the canonical order of sums; the oracle of everything else."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.ir.dynamics import State, step
from spikeport.ir.fanout import fan_out
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Input
from spikeport.ir.trace import Counts, Recording, Trace


def run_reference(network: StepNetwork, inputs: Mapping[str, Array], recording: Recording | None = None) -> Trace:
    """Step *network* over *inputs*.

    Parameters
    ----------
    network : StepNetwork
        What to run, in its own arithmetic.
    inputs : Mapping[str, array, shape (samples, steps, *shape)]
        Values of every Input node.
    recording : Recording
        What to keep beside the graph's outputs.

    Returns
    -------
    Trace
    """
    started = time.perf_counter()
    recording = recording or Recording()
    inputs = network.entering(inputs)
    samples, steps = next(iter(inputs.values())).shape[:2]
    keep = _Keeper(network, recording, samples, steps)
    with np.errstate(over="ignore", invalid="ignore"):  # whoever asked for the run judges what left the number range
        _advance(network, inputs, keep, samples, steps)
    return keep.trace({"run": time.perf_counter() - started})


def tested_membrane(network: StepNetwork, inputs: Mapping[str, Array], path: str, last: int) -> Array:
    """Return the membrane of the neuron *path* that is compared with its threshold in step *last*, (samples, *shape)."""
    run = _Run(network, next(iter(inputs.values())).shape[0])
    model = network.models[path]
    if model.reset == "subtract_once":
        # The same step up to the test; the rest of it is left out.
        model = dataclasses.replace(model, reset="subtract", reset_when="next_step_keep_input")
    elif not model.reset_when.startswith("next_step") and model.threshold is not None:
        model = dataclasses.replace(model, reset="none", clamp_low=None)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(last):
            run.step({p: x[:, t] for p, x in inputs.items()})
        run.network = dataclasses.replace(network, models={**network.models, path: model})
        run.step({p: x[:, last] for p, x in inputs.items()})
    return run.states[path].v


def silent_inputs(network: StepNetwork, steps: int) -> dict[str, Array]:
    """Return what enters each neuron node in the first *steps* steps while inputs and neurons are silent: its biases.

    Returns
    -------
    dict of str to array, shape (steps, *shape)
    """
    run = _Silent(network, 1)
    nothing = {path: np.zeros((1, *network.shapes.output[path])) for path in network.graph.inputs}
    found: dict[str, list[Array]] = {path: [] for path in network.models}
    for _ in range(steps):
        run.step(nothing)
        for path, values in found.items():
            values.append(run.entered[path][run.t][0])
    return {path: np.array(values) for path, values in found.items()}


def _advance(network: StepNetwork, inputs: Mapping[str, Array], keep: _Keeper, samples: int, steps: int) -> None:
    if network.profile.boundary == "reset":
        # Samples do not touch each other: all of them at once, one batch axis.
        run = _Run(network, samples)
        for t in range(steps):
            run.step({p: x[:, t] for p, x in inputs.items()})
            keep.store(slice(None), t, run)
    else:
        run = _Run(network, 1)
        silent = {p: np.zeros((1, *x.shape[2:])) for p, x in inputs.items()}
        for sample in range(samples):
            for t in range(steps):
                run.step({p: x[sample : sample + 1, t] for p, x in inputs.items()})
                keep.store(slice(sample, sample + 1), t, run)
            for _ in range(network.profile.silence):
                run.step(silent)


class _Run:
    """State of all nodes for a batch, and the values of the last steps."""

    def __init__(self, network: StepNetwork, batch: int) -> None:
        self.network, self.batch, self.t = network, batch, -1
        self.dtype = network.arithmetic.dtype
        self.states = {p: State.initial(m, batch, self.dtype) for p, m in network.models.items()}
        self.entered: dict[str, dict[int, Array]] = defaultdict(dict)  # what enters a node, by step
        self.left: dict[str, dict[int, Array]] = defaultdict(dict)  # what leaves it, by step
        self.depth = network.warmup + max((m.output_delay for m in network.models.values()), default=0)

    def step(self, inputs: Mapping[str, Array]) -> None:
        """Evaluate all nodes once."""
        self.t += 1
        for path in self.network.schedule.order:
            op = self.network.graph[path].op
            x = np.asarray(inputs[path], self.dtype) if type(op) is Input else self._gather(path)
            self.entered[path][self.t] = x
            if path in self.network.models:
                self.left[path][self.t] = self._neuron(path, x)
            elif path in self.network.delays:
                self.left[path][self.t] = self._delayed(path)
            else:
                self.left[path][self.t] = self.network.leaving(path, x)
            for line in (self.entered[path], self.left[path]):
                line.pop(self.t - self.depth - 1, None)

    def output(self, path: str, delay: int = 0) -> Array:
        """Return what left *path* *delay* steps ago; zeros before the start."""
        zeros = (self.batch, *self.network.shapes.output[path])
        return self.left[path].get(self.t - delay, np.zeros(zeros, self.dtype))

    def _gather(self, path: str) -> Array:
        """Return the sum of what enters *path*, in the order of ranks."""
        total = np.zeros((self.batch, *self.network.shapes.input[path]), self.dtype)
        for number, edge in enumerate(self.network.graph.into(path)):
            value = self.output(edge.source, self.network.schedule.delays[edge])
            total = value if number == 0 else total + value
        return total

    def _neuron(self, path: str, x: Array) -> Array:
        model, state = self.network.models[path], self.states[path]
        spikes = step(model, state, x)
        if model.threshold is None:
            return state.v
        value = spikes.astype(self.dtype)
        return value if model.amplitude is None else value * model.amplitude

    def _delayed(self, path: str) -> Array:
        lags, line = self.network.delays[path], self.entered[path]
        value = np.zeros((self.batch, *lags.shape), self.dtype)
        for lag in np.unique(lags):
            old = line.get(self.t - int(lag))
            if old is not None:
                value = np.where(lags == lag, old, value)
        return value


class _Silent(_Run):
    """A run in which no neuron sends anything."""

    def _neuron(self, path: str, x: Array) -> Array:
        return np.zeros_like(x)


class _Keeper:
    """Arrays to record into, and the counts of what happened."""

    def __init__(self, network: StepNetwork, recording: Recording, samples: int, steps: int) -> None:
        graph = network.graph
        chosen = recording.selected(graph.spiking)
        self.network, self.samples, self.steps = network, samples, steps
        full = (samples, steps)
        self.spikes = {p: np.zeros((*full, *network.shapes.output[p]), np.int64) for p in chosen if p in graph.spiking}
        shown = [*graph.outputs, *(p for p in chosen if p not in graph.spiking and p not in graph.outputs)]
        self.out = {p: np.zeros((*full, *network.shapes.output[p]), network.arithmetic.dtype) for p in shown}
        watched = [p for p in [*chosen, *graph.spiking] if p in network.models] if recording.state else []
        self.v = {p: np.zeros((*full, *network.shapes.output[p]), network.arithmetic.dtype) for p in watched}
        self.i = {p: np.zeros_like(a) for p, a in self.v.items() if network.models[p].has_current}
        self.fan = {p: fan_out(op, network.shapes.input[p]) for p, op in network.ops.items() if op.is_weighted}
        self.synops = {p: np.zeros(full, np.int64) for p in self.fan}
        self.events = dict.fromkeys(self.fan, 0)
        self.emitted = {p: np.zeros(full, np.int64) for p in graph.spiking}
        ops = {e.source: graph[e.source].op for e in graph.edges}
        sources = [p for p, op in ops.items() if isinstance(op, Input) or op.is_spiking or op.is_stateful]
        self.activity = {p: np.zeros(network.shapes.output[p], np.int64) for p in sources}

    def store(self, rows: slice, t: int, run: _Run) -> None:
        """Keep step *t* of the samples *rows*."""
        for path, array in self.spikes.items():
            array[rows, t] = self._raster(path, run)
        for path, array in self.out.items():
            value = run.output(path)
            array[rows, t] = value.real - value.imag if np.iscomplexobj(value) else value
        for path, array in self.v.items():
            array[rows, t] = run.states[path].v
        for path, array in self.i.items():
            array[rows, t] = run.states[path].current
        for path, fan in self.fan.items():
            active = run.entered[path][run.t] != 0
            self.events[path] += int(np.count_nonzero(active))
            self.synops[path][rows, t] = (active * fan).reshape(active.shape[0], -1).sum(axis=1)
        for path, array in self.emitted.items():
            raster = self._raster(path, run)
            array[rows, t] = raster.reshape(raster.shape[0], -1).sum(axis=1)
        for path, total in self.activity.items():
            total += np.count_nonzero(run.output(path), axis=0)

    def _raster(self, path: str, run: _Run) -> Array:
        """Return the spike counts that are visible now (a profile may show them late)."""
        model = self.network.models.get(path)
        value = run.output(path, 0 if model is None else model.output_delay)
        return (
            value.astype(np.int64)
            if model is None or model.amplitude is None
            else np.rint(value / model.amplitude).astype(np.int64)
        )

    def trace(self, seconds: dict[str, float], **meta: Any) -> Trace:
        """Return what was kept."""
        counts = {}
        for node in self.network.graph:
            path, size = node.path, int(np.prod(self.network.shapes.output[node.path]))
            per_step = self.emitted.get(path)
            synops = self.synops.get(path)
            updates = size * self.samples * self.steps if path in self.network.models else None
            if per_step is not None or synops is not None or updates is not None:
                counts[path] = Counts(
                    spikes=None if per_step is None else int(per_step.sum()), events=self.events.get(path),
                    synops=None if synops is None else int(synops.sum()), updates=updates,
                    spikes_per_step=per_step, synops_per_step=synops,
                )  # fmt: skip
        return Trace(
            self.spikes, self.out, self.v, counts, self.activity, self.samples, self.steps, seconds, meta, self.i
        )  # fmt: skip
