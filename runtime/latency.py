"""Chip time: a step takes the longest of its bounds over all cores, and the barrier; not the sum of all work.

Source: law of step time, Timcheck et al. 2026: dendritic operations, synaptic operations, reads of synaptic memory, the busiest
link and the barrier each bound a step, and the largest bound decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.backends.counting import CoreCounts
from spikeport.hw_profiles.records import CostSet
from spikeport.hw_profiles.target import Target
from spikeport.ir.ops import Array
from spikeport.ir.units import Quantity, unknown
from spikeport.runtime.energy import kind_of

#: Work of a core in a step: the events whose times add up to one bound.
BOUNDS: dict[str, tuple[str, ...]] = {
    "neuron updates": ("update", "update_active", "soma_access", "soma_update", "soma_spike"),
    "synaptic operations": ("synop", "synop_dense", "synop_sparse", "synop_conv"),
    "received packets": ("packet_in", "tile_spike"),
    "sent packets": ("packet_out",),
}
#: Values of a block of steps that are held at once.
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class ChipTime:
    """Chip time of the whole run, and what bounds it.

    Parameters
    ----------
    time : Quantity
        In s.
    bounded_by : str
        The bound that decides most steps, with its core and layers.
    has_course : bool
        Whether steps were known one by one; else the mean step stands for all, and peaks are missed.
    """

    time: Quantity
    bounded_by: str
    has_course: bool


def chip_time(target: Target, counts: CoreCounts) -> ChipTime:
    """Return how long the chip takes for the run."""
    total = counts.samples * counts.steps
    fixed = target.step.fixed
    if fixed is not None:
        if fixed.value is None:
            return ChipTime(unknown("s", f"length of a step: {fixed.source}"), "the timer", True)
        value = fixed.value * total
        source = f"{total} steps of {fixed.value:g} s, set by a timer ({fixed.source}); overruns are not modelled"
        return ChipTime(Quantity(value, "s", kind_of([fixed]), source, value, value), "the timer", True)
    found: list[tuple[float, list[Quantity], str]] = []
    for costs in target.costs:
        barrier = target.step.barrier(costs.name, counts.tiles)
        if costs.time and barrier is not None and all(q.value is not None for q in costs.time.values()):
            work, what = _work(costs, counts)
            found.append((work + (barrier.value or 0.0) * total, [*costs.time.values(), barrier], what))
    if not found:
        return ChipTime(unknown("s", f"{target.name} has no published time of events and barriers"), "unknown", False)
    has_course = all(path in counts.series for path in _active(counts))
    value, parts, what = found[0]
    source = "per step the longest bound over cores with steady shares of their layers, and the barrier" if has_course else (
        "the mean step for all: longest bound over all cores, and the barrier (steps were not recorded one by one)"
    )  # fmt: skip
    low, high = min(v for v, _, _ in found), max(v for v, _, _ in found)
    text = f"{source}; links between tiles are not among the bounds ({'; '.join(dict.fromkeys(q.source for q in parts))})"
    return ChipTime(Quantity(value, "s", kind_of(parts), text, low, high), what, has_course)


def _active(counts: CoreCounts) -> list[str]:
    moved = counts.packets_in.sum(axis=0) + counts.packets_out.sum(axis=0)
    return [path for path, amount in zip(counts.sources, moved, strict=True) if amount]


def loads(costs: CostSet, counts: CoreCounts) -> dict[str, tuple[Array, Array]]:
    """Return for each bound the time of a mean step that each core needs: constant (cores,) and by source (cores, sources)."""
    total = counts.samples * counts.steps
    by_source: Mapping[str, Array] = {
        **counts.synops, "synop": sum(counts.synops.values(), np.zeros(counts.spikes.shape)), "soma_spike": counts.spikes,
        "packet_in": counts.packets_in, "tile_spike": counts.packets_in, "packet_out": counts.packets_out,
    }  # fmt: skip
    out = {}
    for name, names in BOUNDS.items():
        constant, moving = np.zeros(len(counts.cores)), np.zeros(counts.spikes.shape)
        for event in names:
            each = costs.time.get(event)
            if each is None or each.value is None:
                continue
            if event in by_source:
                moving = moving + by_source[event] * (each.value / total)
            elif not event.startswith("synop"):
                constant = constant + counts.neurons * each.value
        if constant.any() or moving.any():
            out[name] = (constant, moving)
    return out


def _work(costs: CostSet, counts: CoreCounts) -> tuple[float, str]:
    """Return the sum over all steps of the longest bound, and the bound that most of it comes from."""
    total = counts.samples * counts.steps
    found = loads(costs, counts)
    if not found or not len(counts.cores):
        return 0.0, "the barrier"
    names = list(found)
    constant = np.concatenate([found[n][0] for n in names])
    moving = np.concatenate([found[n][1] for n in names])
    flat = np.ones(total)
    course = np.stack([counts.series[p].reshape(-1) if p in counts.series else flat for p in counts.sources])
    if not counts.series:
        course = course[:, :1]
    whole, share = 0.0, np.zeros(len(constant))
    block = max(1, _BLOCK // max(1, len(constant)))
    weight = total / course.shape[1]
    for start in range(0, course.shape[1], block):
        each = constant[:, None] + moving @ course[:, start : start + block]
        longest = each.argmax(axis=0)
        peaks = each[longest, np.arange(each.shape[1])]
        whole += float(peaks.sum()) * weight
        np.add.at(share, longest, peaks)
    row = int(share.argmax())
    core = row % len(counts.cores)
    return whole, f"{names[row // len(counts.cores)]} on core {int(counts.cores[core])} ({counts.layers[core]})"
