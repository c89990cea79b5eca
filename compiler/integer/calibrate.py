"""Calibration: what the source model does on data, and what the lowered network does beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.compiler.integer.entry import Entry
from spikeport.compiler.integer.links import readouts
from spikeport.compiler.integer.merge import Merged
from spikeport.compiler.passes.base import Evaluator
from spikeport.ir.dynamics import NeuronModel, State, step
from spikeport.ir.graph import Graph
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array, Linear
from spikeport.ir.profile import Profile
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording, Trace

#: Samples that the reference runs, which is slow; an evaluator runs more.
FEW, MANY = 16, 128


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The source model on calibration data.

    Parameters
    ----------
    samples, steps : int
    values : Mapping[str, array, shape (samples, steps, *shape)]
        What inputs (as integers) and populations (spikes) send.
    wanted : Mapping[str, array, shape (samples, steps, *shape)]
        Spikes of each population, membranes of each integrator.
    """

    samples: int
    steps: int
    values: Mapping[str, Array]
    wanted: Mapping[str, Array]

    def measure(
        self, graph: Graph, profile: Profile, arithmetic: str, lag: Mapping[str, int], network: StepNetwork,
        data: Mapping[str, Array], evaluator: Evaluator | None, labels: Array | None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return what the whole lowered network does on the data, beside the source model: spikes and mismatches by layer."""
        most = max(lag.values(), default=0)
        given = {p: _drained(np.asarray(x)[: self.samples], most) for p, x in data.items()}
        if evaluator is None:
            trace = run_reference(build_network(graph, profile, arithmetic), given, Recording(None, False))
        else:
            trace = evaluator.run(graph, given, profile, arithmetic)
        layers: dict[str, Any] = {}
        for path in network.graph.spiking:
            late = lag.get(path, 0)
            ours = trace.spikes[path][:, late : late + self.steps]
            theirs = self.wanted[path]
            layers[path] = {
                "spikes": [int(theirs.sum()), int(ours.sum())], "mismatches": int(np.count_nonzero(theirs != ours)),
                "places": int(theirs.size),
            }  # fmt: skip
        found = {"samples": self.samples, "steps": self.steps, "layers": layers}
        ends = [source for output in network.graph.outputs for source, _ in readouts(network.graph, output)]
        if labels is not None and len(ends) == 1 and ends[0] in layers:
            end = ends[0]
            late = lag.get(end, 0)
            both = (self.wanted[end], trace.spikes[end][:, late : late + self.steps])
            found["correct"] = [int(np.count_nonzero(_winners(raster) == labels[: self.samples])) for raster in both]
        return found


def calibrate(
    network: StepNetwork, data: Mapping[str, Array], entering: Mapping[str, Entry], evaluator: Evaluator | None
) -> Calibration:
    """Return the source model on *data*."""
    samples = next(iter(data.values())).shape[0]
    samples = min(samples, FEW if evaluator is None else MANY)
    given = {path: np.asarray(x)[:samples] for path, x in data.items()}
    trace: Trace
    if evaluator is None:
        recording = Recording(tuple(network.models), True)
        trace = run_reference(network, given, recording)
    else:
        trace = evaluator.run(network.graph, given, network.profile)
    values: dict[str, Array] = {p: np.rint(x * entering[p].scale) for p, x in given.items()}
    wanted: dict[str, Array] = {}
    for path, model in network.models.items():
        if model.threshold is None:
            wanted[path] = trace.v[path]
            continue
        raster = trace.spikes[path]
        if model.output_delay:  # the raster shows what was sent some steps before
            raster = np.concatenate([raster[:, model.output_delay :], np.zeros_like(raster[:, : model.output_delay])], axis=1)
        wanted[path] = raster
        values[path] = np.minimum(raster, 1)
    return Calibration(samples, next(iter(given.values())).shape[1], values, wanted)


def _winners(raster: Array) -> Array:
    """Return the neuron with the most spikes of each sample, the first of several."""
    return np.asarray(raster.sum(axis=1).reshape(raster.shape[0], -1).argmax(axis=1))


def later(values: Array, delay: int) -> Array:
    """Return *values* (samples, steps, ...) *delay* steps later."""
    if not delay:
        return values
    late = np.zeros_like(values)
    late[:, delay:] = values[:, :-delay] if delay < values.shape[1] else 0
    return late


def _drained(values: Array, steps: int) -> Array:
    return np.concatenate([values, np.zeros((values.shape[0], steps, *values.shape[2:]), values.dtype)], axis=1)


def through(merged: Merged, values: Array, shape: tuple[int, ...]) -> Array:
    """Return what the connection makes of *values*, shape (samples, steps, *source): whole numbers, so in any order."""
    samples, steps = values.shape[:2]
    flat = values.reshape(samples * steps, *values.shape[2:]).astype(np.float64)
    if isinstance(merged.op, Linear):
        out = flat.reshape(samples * steps, -1) @ np.asarray(merged.op.weight, np.float64).T
    else:
        out = merged.op.apply(flat)
    return out.reshape(samples, steps, *shape)


def differing(model: NeuronModel, x: Array, wanted: Array, scale: Array | float) -> float:
    """Return how far *model* is from the source model's population where the same enters both.

    Parameters
    ----------
    model : NeuronModel
        On the chip's grid.
    x : array, shape (samples, steps, *shape)
        What enters it.
    wanted : array, shape (samples, steps, *shape)
        Its own of `Calibration.wanted`.
    scale : array or float
        What its membrane was multiplied by.

    Returns
    -------
    float
        For a population that spikes: neurons and steps with another spike. For an integrator: squared error of the membrane.
    """
    state = State.initial(model, len(x), np.float64)
    wrong = 0.0
    for t in range(x.shape[1]):
        spikes = step(model, state, x[:, t])
        if model.threshold is None:
            wrong += float(np.sum((state.v / scale - wanted[:, t]) ** 2))
        else:
            wrong += float(np.count_nonzero(spikes != np.minimum(wanted[:, t], 1)))
    return wrong


def relative_error(pairs: Iterable[tuple[Array, Array]]) -> float:
    """Return the squared error of weights, of (old, effective) of each connection, relative to the squares of the old."""
    error = total = 0.0
    for old, effective in pairs:
        error += float(np.sum((effective - old) ** 2))
        total += float(np.sum(old**2))
    return error / total if total else 0.0
