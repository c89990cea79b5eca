"""The steps of a run on a simulator that has no batch: one sample after the other, in one go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.ir.fanout import fan_out
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Input
from spikeport.ir.trace import Counts


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

    def counts(self, network: StepNetwork, rasters: Mapping[str, Array], entered: Callable[[str], Array]) -> dict[str, Counts]:
        """Return what happened at every node that spikes, holds synapses or is updated, as the reference counts it.

        Parameters
        ----------
        network : StepNetwork
            What ran.
        rasters : Mapping[str, array of int64, shape (samples, steps, *shape)]
            Visible spikes of every spiking node.
        entered : callable
            ``entered(path)`` is what entered a weighted node, (samples, steps, neurons).
        """
        found = {}
        for node in network.graph:
            path, op = node.path, network.ops.get(node.path)
            size = math.prod(network.shapes.output[path])
            updates = size * self.samples * self.steps if path in network.models else None
            per_step = rasters[path].reshape(self.samples, self.steps, -1).sum(axis=2) if path in rasters else None
            events = synops = None
            if op is not None and op.is_weighted:
                active = entered(path) != 0
                events = int(np.count_nonzero(active))
                synops = active.astype(np.int64) @ fan_out(op, network.shapes.input[path]).reshape(-1)
            if per_step is not None or synops is not None or updates is not None:
                found[path] = Counts(
                    None if per_step is None else int(per_step.sum()), events, None if synops is None else int(synops.sum()),
                    updates, per_step, synops,
                )  # fmt: skip
        return found


def activity(network: StepNetwork, shown: Callable[[str], Array]) -> dict[str, Array]:
    """Return how often each neuron of every source of events sent a value: inputs, spiking and stateful nodes.

    ``shown(path)`` is what left a node, (samples, steps, *shape).
    """
    ops = {e.source: network.graph[e.source].op for e in network.graph.edges}
    sources = [p for p, op in ops.items() if isinstance(op, Input) or op.is_spiking or op.is_stateful]
    return {p: np.count_nonzero(shown(p), axis=(0, 1)).astype(np.int64) for p in sources}


__all__ = ["Course", "activity"]
