"""Whether the cores keep pace: cycles of each core in each step of a run, against those that its clock has.

sPyNNaker's costs are published as a rate only: within a factor of 2 of 10,000 synaptic events a millisecond and core, which
is 20 to 40 cycles an event (Rhodes et al. 2018, doi:10.3389/fnins.2018.00816). The figures used here are counts of the
instructions that sPyNNaker 7.4.1's ``IF_curr_exp.aplx`` runs for a synapse and for a neuron, with the ARM9E-S's extra
cycles for loads, long products and taken branches. What a packet costs beside its synapses (interrupt, table, DMA) is
unknown: it is counted in packets, not in cycles, so that a core within its budget may still be late, and one beyond is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.backends.spinnaker.plan import Plan
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.units import Quantity

#: 25 instructions; interval of the published rate.
SYNAPSE = Quantity(31.0, "1", "estimated", "25 instructions of sPyNNaker 7.4.1's inner loop, ARM9E-S timing", 20.0, 40.0)
#: 94 instructions of the update, 34 of its two ring buffers; a share of a quarter for loads, products and branches.
NEURON = Quantity(165.0, "1", "estimated", "128 instructions of sPyNNaker 7.4.1's update and transfer, ARM9E-S timing")
#: Cycles of a step: 1 ms of 200 MHz (Furber et al. 2014, doi:10.1109/JPROC.2014.2304638).
STEP_S, CLOCK_HZ = 1e-3, 200e6
BUDGET = STEP_S * CLOCK_HZ
#: Most entries of the table of synapses by source neuron and core.
ENTRIES = 1 << 26


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
    """

    cores: tuple[int, ...]
    events: Array
    packets: Array
    neurons: Array

    def cycles(self) -> Array:
        """Return the cycles of each core in each step, those of packets left out."""
        return np.asarray(self.events * (SYNAPSE.value or 0.0) + self.neurons * (NEURON.value or 0.0))

    def summary(self) -> Summary:
        """Return the busiest core and step, and how many are late."""
        cycles = self.cycles()
        if not cycles.size:
            return Summary(self.cores[0], 0.0, 0.0, 0, 0, 0, 0)
        step, busy = (int(i) for i in np.unravel_index(int(cycles.argmax()), cycles.shape))
        return Summary(
            self.cores[busy], float(cycles.max()), float(cycles[:, busy].mean()), int(self.packets[step, busy]),
            int(self.events.sum()), int(np.count_nonzero(cycles > BUDGET)), int(cycles.size),
        )  # fmt: skip


def load_of(program: Program, plan: Plan, given: Array, raster: Array) -> Load | None:
    """Return the load of a run; None for a program that is not mapped, or too large to follow by step.

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
    cores = program.cores
    if not cores:
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
    return Load(cores, events, packets, neurons)


def _shape(program: Program, path: str) -> tuple[int, ...]:
    """Return the shape of a population: that which its slices fill."""
    slices = program.slices_of(path)
    return tuple(max(s.box[axis][1] for s in slices) for axis in range(len(slices[0].box)))


def told(program: Program, load: Load | None, rings: Mapping[str, Mapping[str, list[int]]]) -> tuple[str, ...]:
    """Return what a report says of pace and saturation, a line each."""
    lines = []
    dt = program.profile.dt
    factor = STEP_S / dt
    if abs(factor - 1) > 1e-9:
        lines.append(f"a step of the model ({dt:g} s) is one of the machine (0.001 s): time-scale factor {factor:g}")
    if load is not None:
        lines.append(_pace(program, load, factor))
    for path, ring in rings.items():
        if any(ring["saturated"]):
            (exc, inh), (most_exc, most_inh) = ring["saturated"], ring["largest"]
            full = Diagnostic(
                "E561", path, f"{exc:,} excitatory and {inh:,} inhibitory slots of its ring buffers saturated at 65,535 (up to "
                f"{most_exc:,} and {most_inh:,} came in)", "compile with --data like this input", {}, "warning",
            )  # fmt: skip
            lines.append(f"{full.code} at {path}: {full.message}; {full.hint}")
    return tuple(lines)


def _pace(program: Program, load: Load, factor: float) -> str:
    found = load.summary()
    layers = ", ".join(dict.fromkeys(s.path for s in program.slices if s.core == found.core))
    share = found.most_cycles / BUDGET
    pace = "every core ends its steps in time"
    if found.late:
        pace = (
            f"{found.late:,} of {found.places:,} steps of cores are too long: time-scale factor {factor * share:.3g}, or "
            "the neurons on more cores"
        )  # fmt: skip
    return (
        f"real time: {pace}; the busiest (core {found.core}: {layers}) takes {found.most_cycles:,.0f} of {BUDGET:,.0f} cycles "
        f"in its busiest step ({100 * share:.3g} %), {found.mean_cycles:,.0f} on average; estimated: {NEURON.value:g} a "
        f"neuron, {SYNAPSE.value:g} a synaptic event; what the {found.packets:,} packets of that step cost beside is unknown"
    )  # fmt: skip


__all__ = ["BUDGET", "NEURON", "SYNAPSE", "Load", "Summary", "load_of", "told"]
