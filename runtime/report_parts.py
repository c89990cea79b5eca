"""Parts of a report: what each cost set says, what the time is made of, what cores hold, what is to say of inputs."""

from __future__ import annotations

import dataclasses

import numpy as np

from spikeport.backends.counting import CoreCounts
from spikeport.hw_profiles.records import RESOURCES
from spikeport.hw_profiles.target import Target
from spikeport.ir.program import Program
from spikeport.ir.trace import Trace
from spikeport.ir.units import Quantity, unknown
from spikeport.runtime import energy
from spikeport.runtime.latency import ChipTime
from spikeport.runtime.report_io import host_step
from spikeport.runtime.report_records import Amount, CoreUse, CostSetLines, Used
from spikeport.runtime.report_value import TIME_LINES


def amount(name: str, quantity: Quantity, samples: int, within: str | None = None) -> Amount:
    """Return *quantity* with the share of one of *samples*."""
    scaled = {k: v / samples for k in ("value", "low", "high") if (v := getattr(quantity, k)) is not None}
    return Amount(name, quantity, dataclasses.replace(quantity, **scaled), within)


def cost_set_lines(target: Target, counts: CoreCounts, chip: ChipTime, samples: int) -> tuple[CostSetLines, ...]:
    """Return the run by each cost set alone."""
    priced = energy.in_sets(energy.events(counts), target)
    out = []
    for name in (c.name for c in target.costs):
        lines, times = priced.get(name, {}), chip.sets.get(name, {})
        shown = [amount(k, q, samples) for k, q in lines.items()]
        if lines:
            shown.append(amount("dynamic", energy.total(lines, strict=True), samples))
        spent = [amount(k, q, samples) for k, q in times.items()]
        if times:
            value = sum(q.value or 0.0 for q in times.values())
            whole = Quantity(value, "s", energy.kind_of(list(times.values())), f"sum of {', '.join(times)}", value, value)
            spent.append(amount("chip", whole, samples))
        out.append(CostSetLines(name, tuple(shown), tuple(spent)))
    return tuple(out)


def times(chip: ChipTime, target: Target | None, samples: int) -> tuple[Amount, ...]:
    """Return the lines of the chip time, and that of input and output beside them, which is in no sum."""
    if target is None:
        return ()
    found = {**chip.parts, "host_io": unknown("s", host_step(target).source)}
    return tuple(amount(name, found[name], samples) for name in TIME_LINES if name in found)


def mean_step(time: Quantity, trace: Trace) -> Quantity:
    """Return the mean length of a step, in s."""
    total = max(1, trace.samples * trace.steps)
    scaled = {k: v / total for k in ("value", "low", "high") if (v := getattr(time, k)) is not None}
    return dataclasses.replace(time, **scaled)


def by_core(program: Program) -> tuple[CoreUse, ...]:
    """Return what each core takes of each resource."""
    names: dict[int, list[str]] = {}
    used: dict[int, dict[str, int]] = {}
    for s in program.slices:
        names.setdefault(s.core, []).append(s.path)
        total = used.setdefault(s.core, {})
        for resource, n in s.usage.items():
            total[resource] = total.get(resource, 0) + n
    return tuple(CoreUse(core, ", ".join(dict.fromkeys(names[core])), used[core]) for core in sorted(used))


def usage(program: Program, target: Target) -> tuple[Used, ...]:
    """Return the fullest place for each resource."""
    held: dict[str, dict[int, tuple[int, str]]] = {}
    for s in program.slices:
        for resource, used in s.usage.items():
            place = s.core // target.fabric.stride if resource in target.chip else s.core
            before, names = held.setdefault(resource, {}).get(place, (0, ""))
            names = names if s.path in names.split(", ") else ", ".join(filter(None, (names, s.path)))
            held[resource][place] = (before + used, names)
    out = []
    for resource, (used, limit) in program.usage.items():
        unit, meaning = RESOURCES.get(resource, ("1", "cores in use, and those of the chips in use"))
        where = layer = ""
        if resource in held:
            place, (_, layer) = max(held[resource].items(), key=lambda item: (item[1][0], -item[0]))
            where = f"{'chip' if resource in target.chip else 'core'} {place}"
        out.append(Used(resource, meaning, unit, used, limit, where, layer))
    return tuple(out)


def of_inputs(program: Program, trace: Trace, target: Target) -> list[str]:
    """Return what is to say of inputs whose values are no spikes."""
    binary, counted = trace.meta.get("binary_inputs"), trace.meta.get("input_spikes", {})
    if binary is None or target.support["graded_input"].status == "native":
        return []
    return [
        f"{path}: a value n is priced as n spikes ({float(np.sum(counted[path])) / max(1, trace.samples * trace.steps):,.1f} a "
        f"step): {target.support['graded_input'].how}"
        if path in counted
        else f"{path}: its values are not spikes, and {target.name} takes events without a value: each is priced as one event; "
        "encode the input as spikes, or leave its first layer to the host"
        for path in program.graph.inputs
        if path not in binary or path in counted
    ]
