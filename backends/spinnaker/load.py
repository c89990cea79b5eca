"""Whether the cores keep pace: cycles of each core in each step of a run, against those that its clock has.

The cycles of a neuron and of a synaptic event, the clock and the step are the target's (``[step.cycles]``). What a packet
costs beside its synapses (interrupt, table, DMA) is unknown: it is counted in packets, not in cycles, so that a core within
its budget may still be late, and one beyond is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.backends.spinnaker.plan import Plan
from spikeport.hw_profiles.records import StepTime
from spikeport.hw_profiles.target import load_target, target_names
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import Array
from spikeport.ir.program import Program

#: Most entries of the table of synapses by source neuron and core.
ENTRIES = 1 << 26


@dataclass(frozen=True, slots=True)
class Pace:
    """What a core takes of its clock, as its target says.

    Parameters
    ----------
    step : float
        Length of a step in s.
    budget : float
        Cycles that a core has in it.
    neuron, synapse : float
        Cycles of a neuron in a step, and of a synaptic event.
    """

    step: float
    budget: float
    neuron: float
    synapse: float


def pace_of(target: str) -> Pace | None:
    """Return the pace of the target called *target*; None for a file of the user's, and where a number is unknown."""
    return _pace_of(load_target(target).step) if target in target_names() else None


def _pace_of(step: StepTime) -> Pace | None:
    if step.fixed is None or step.fixed.value is None or step.budget is None or step.cycles is None:
        return None
    neuron, synapse = step.cycles.neuron.value, step.cycles.synapse.value
    return None if neuron is None or synapse is None else Pace(step.fixed.value, step.budget, neuron, synapse)


@dataclass(frozen=True, slots=True)
class Summary:
    """A load in short.

    Parameters
    ----------
    core : int
        The busiest.
    most_cycles, mean_cycles : float
        Of its busiest step, and of its mean one.
    packets : int
        That arrive at it in its busiest step.
    events : int
        Synaptic events of all cores and steps.
    late, places : int
        Steps of cores beyond the budget, and all.
    """

    core: int
    most_cycles: float
    mean_cycles: float
    packets: int
    events: int
    late: int
    places: int


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What the cores of a mapped program did.

    Parameters
    ----------
    cores : tuple of int
        Indices of the cores.
    events : array of int64, shape (steps of the run, cores)
        Synaptic events by the step in which they arrive.
    packets : array of int64, shape (steps of the run, cores)
        Packets that arrive, from neurons with a synapse on the core.
    neurons : array of int64, shape (cores,)
    pace : Pace
        What they take.
    """

    cores: tuple[int, ...]
    events: Array
    packets: Array
    neurons: Array
    pace: Pace

    def cycles(self) -> Array:
        """Return the cycles of each core in each step, those of packets left out."""
        return np.asarray(self.events * self.pace.synapse + self.neurons * self.pace.neuron)

    def summary(self) -> Summary:
        """Return the busiest core and step, and how many are late."""
        cycles = self.cycles()
        if not cycles.size:
            return Summary(self.cores[0], 0.0, 0.0, 0, 0, 0, 0)
        step, busy = (int(i) for i in np.unravel_index(int(cycles.argmax()), cycles.shape))
        return Summary(
            self.cores[busy], float(cycles.max()), float(cycles[:, busy].mean()), int(self.packets[step, busy]),
            int(self.events.sum()), int(np.count_nonzero(cycles > self.pace.budget)), int(cycles.size),
        )  # fmt: skip


def load_of(program: Program, plan: Plan, given: Array, raster: Array) -> Load | None:
    """Return the load of a run; None for a program not mapped on a target with a pace, or too large to follow by step.

    Parameters
    ----------
    program : Program
        Mapped.
    plan : Plan
        What ran.
    given : array, shape (steps, neurons of all inputs)
        Packets of the inputs.
    raster : array, shape (steps, neurons)
        Spikes of the populations.
    """
    cores, pace = program.cores, pace_of(program.target)
    if not cores or pace is None:
        return None
    column = {core: i for i, core in enumerate(cores)}
    place, neurons = np.zeros(len(plan.v), np.int64), np.zeros(len(cores), np.int64)
    for path, where in plan.populations.items():
        of = np.zeros(_shape(program, path), np.int64)
        for s in program.slices_of(path):
            of[s.where] = column[s.core]
            neurons[column[s.core]] += s.size
        place[where] = of.reshape(-1)
    events = np.zeros((len(raster), len(cores)), np.int64)
    packets = np.zeros_like(events)
    links = plan.links
    for number, one in enumerate(plan.connections):
        size, at = int(links["source_size"][number]), int(links["rows_at"][number])
        if size * len(cores) > ENTRIES:
            return None
        rows = links["rows"][at : at + size + 1]
        ids = links["ids"][rows[0] : rows[-1]]
        fan = np.zeros((size, len(cores)), np.int64)
        np.add.at(fan, (np.repeat(np.arange(size), np.diff(rows)), place[ids + links["target_first"][number]]), 1)
        sent = raster[:, plan.populations[one.source]] if one.source in plan.populations else given[:, plan.inputs[one.source]]
        sent = np.abs(sent).astype(np.float64)  # products of doubles are fast, and exact below 2^53
        events += np.rint(sent @ fan.astype(np.float64)).astype(np.int64)
        packets += np.rint(sent @ (fan > 0).astype(np.float64)).astype(np.int64)
    return Load(cores, events, packets, neurons, pace)


def _shape(program: Program, path: str) -> tuple[int, ...]:
    """Return the shape of a population: that which its slices fill."""
    slices = program.slices_of(path)
    return tuple(max(s.box[axis][1] for s in slices) for axis in range(len(slices[0].box)))


def told(program: Program, load: Load | None, rings: Mapping[str, Mapping[str, list[int]]]) -> tuple[str, ...]:
    """Return what a report says of pace and saturation, a line each."""
    lines = []
    pace = pace_of(program.target)
    if pace is not None:
        dt, factor = program.profile.dt, pace.step / program.profile.dt
        if abs(factor - 1) > 1e-9:
            lines.append(
                f"a step of the model ({dt:g} s) is one of the machine ({pace.step:g} s): time-scale factor {factor:g}"
            )
        if load is not None:
            lines.append(_in_time(program, load, factor))
    for path, ring in rings.items():
        if any(ring["saturated"]):
            (exc, inh), (most_exc, most_inh) = ring["saturated"], ring["largest"]
            full = Diagnostic(
                "E561", path, f"{exc:,} excitatory and {inh:,} inhibitory slots of its ring buffers saturated at 65,535 (up to "
                f"{most_exc:,} and {most_inh:,} came in)", "compile with --data like this input", {}, "warning",
            )  # fmt: skip
            lines.append(f"{full.code} at {path}: {full.message}; {full.hint}")
    return tuple(lines)


def _in_time(program: Program, load: Load, factor: float) -> str:
    found, budget = load.summary(), load.pace.budget
    layers = ", ".join(dict.fromkeys(s.path for s in program.slices if s.core == found.core))
    share = found.most_cycles / budget
    pace = "every core ends its steps in time"
    if found.late:
        pace = (
            f"{found.late:,} of {found.places:,} steps of cores are too long: time-scale factor {factor * share:.3g}, or "
            "the neurons on more cores"
        )  # fmt: skip
    return (
        f"real time: {pace}; the busiest (core {found.core}: {layers}) takes {found.most_cycles:,.0f} of {budget:,.0f} cycles "
        f"in its busiest step ({100 * share:.3g} %), {found.mean_cycles:,.0f} on average; estimated: {load.pace.neuron:g} a "
        f"neuron, {load.pace.synapse:g} a synaptic event; what the {found.packets:,} packets of that step cost beside is "
        "unknown"
    )  # fmt: skip


__all__ = ["Load", "Pace", "Summary", "load_of", "pace_of", "told"]
