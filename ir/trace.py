"""The trace: what a run gives back, whatever ran it. Keys are the user's layer names; nothing in it is priced yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from spikeport.ir.ops import Array


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What happened at one node, summed over samples and steps, and per step where pricing needs the maximum.

    Parameters
    ----------
    spikes : int or None
        Spikes emitted, several in a step counted as several; None for a node that does not spike.
    events : int or None
        Non-zero values that entered a weighted node.
    synops : int or None
        Synaptic operations: for each event the non-zero weights that it meets.
    updates : int or None
        Neuron updates.
    spikes_per_step, synops_per_step : array of int64, shape (samples, steps), or None
        The same by step.
    """

    spikes: int | None = None
    events: int | None = None
    synops: int | None = None
    updates: int | None = None
    spikes_per_step: Array | None = None
    synops_per_step: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A run's results.

    Parameters
    ----------
    spikes : Mapping[str, array of integers, shape (samples, steps, *shape)]
        Recorded spiking nodes: spike counts by step.
    out : Mapping[str, array of floats, shape (samples, steps, *shape)]
        Graph outputs and other recorded nodes.
    v : Mapping[str, array of floats, shape (samples, steps, *shape)]
        Membranes after the reset, where states were recorded.
    counts : Mapping[str, Counts]
        For every node that spikes, holds synapses or is updated.
    activity : Mapping[str, array of int64, shape (*shape)]
        For every source of events (inputs, spiking and stateful nodes that feed something): non-zero values by neuron,
        summed over samples and steps.
    samples, steps : int
        Size of the run.
    seconds : Mapping[str, float]
        Host time by phase, measured by the backend.
    meta : Mapping
        Backend, profile, arithmetic, dt, digests, versions.
    i : Mapping[str, array of floats, shape (samples, steps, *shape)]
        Currents of the neurons (Lava's ``u``), where states were recorded, in the arithmetics of chips.
    """

    spikes: Mapping[str, Array]
    out: Mapping[str, Array]
    v: Mapping[str, Array]
    counts: Mapping[str, Counts]
    activity: Mapping[str, Array]
    samples: int
    steps: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    i: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("spikes", "out", "v", "counts", "activity", "seconds", "meta", "i"):
            given = getattr(self, name)
            # What is read-only already stays as it is: a backend may lay its counts out when they are asked for.
            if not isinstance(given, MappingProxyType):
                object.__setattr__(self, name, MappingProxyType(dict(given)))

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by their names in an ``.npz`` of a run: ``spikes/PATH``, ``out/PATH``, ``v/PATH``, ``i/PATH``."""
        groups = (("spikes", self.spikes), ("out", self.out), ("v", self.v), ("i", self.i))
        return {f"{group}/{path}": array for group, found in groups for path, array in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class Recording:
    """What a run shall keep.

    Parameters
    ----------
    paths : tuple of str or None
        Nodes beside the graph's outputs; None keeps every spiking node.
    state : bool
        Whether to keep membranes (and currents in the arithmetics of chips): of the recorded neurons, and of every spiking one.
    """

    paths: tuple[str, ...] | None = ()
    state: bool = False

    def selected(self, spiking: tuple[str, ...]) -> tuple[str, ...]:
        """Return the paths to record beside the outputs, given the graph's spiking nodes."""
        return spiking if self.paths is None else self.paths
