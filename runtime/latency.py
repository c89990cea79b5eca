"""Chip time: a step takes the longest of its bounds over all cores, and the barrier; not the sum of all work.

Within a core two things run beside each other: the neurons, one after the other (access, update, spike, packets out), and
the events that arrive, one after the other (packet in, its synapses). The longer of them bounds the step on that core, the
busiest link bounds it too, and the barrier over the tiles in use follows.

Source: law of step time, Timcheck et al. 2026: dendritic operations, synaptic operations, reads of synaptic memory, the busiest
link and the barrier each bound a step, and the largest bound decides. That access, update, spike and packets of a core add
up, and so do packets in and their synapses, is the law under which the calibrated times were fitted (SANA-FE's simple timing
model, doi:10.1109/TCAD.2025.3537971). The time of a hop is taken as the time that a packet holds a link.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spikeport.backends.counting import CoreCounts
from spikeport.hw_profiles.records import CostSet
from spikeport.hw_profiles.target import Target
from spikeport.ir.ops import Array
from spikeport.ir.units import Quantity, unknown
from spikeport.runtime.energy import kind_of

#: Work of a core in a step: the events whose times add up to one bound.
BOUNDS: dict[str, tuple[str, ...]] = {
    "neuron updates": ("update", "update_active", "update_inactive", "soma_access", "soma_update", "soma_spike", "packet_out"),
    "incoming events": ("packet_in", "tile_spike", "synop", "synop_dense", "synop_sparse", "synop_conv"),
}
#: Links that bound a step: the event whose time a packet holds the busiest of them.
LINKS = {"hop_ew": "busiest link between east and west", "hop_ns": "busiest link between north and south"}
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
    parts : Mapping[str, Quantity]
        What it is made of: ``cores`` and ``barrier``, or ``timer``.
    sets : Mapping[str, Mapping[str, Quantity]]
        The same for each cost set.
    """

    time: Quantity
    bounded_by: str
    has_course: bool
    parts: Mapping[str, Quantity] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Quantity]] = field(default_factory=dict)


def chip_time(target: Target, counts: CoreCounts) -> ChipTime:
    """Return how long the chip takes for the run."""
    total = counts.samples * counts.steps
    fixed = target.step.fixed
    if fixed is not None:
        if fixed.value is None:
            return ChipTime(unknown("s", f"length of a step: {fixed.source}"), "the timer", True)
        value = fixed.value * total
        source = f"{total} steps of {fixed.value:g} s, set by a timer ({fixed.source}); overruns are not modelled"
        time = Quantity(value, "s", kind_of([fixed]), source, value, value)
        return ChipTime(time, "the timer", True, {"timer": time})
    found: list[tuple[float, list[Quantity], str]] = []
    sets: dict[str, dict[str, Quantity]] = {}
    for costs in target.costs:
        barrier = target.step.barrier(costs.name, counts.tiles)
        if costs.time and barrier is not None and all(q.value is not None for q in costs.time.values()):
            work, what = _work(costs, counts)
            wait = (barrier.value or 0.0) * total
            found.append((work + wait, [*costs.time.values(), barrier], what))
            sets[costs.name] = _parts(work, wait, costs, barrier, counts)
    if not found:
        return ChipTime(unknown("s", f"{target.name} has no published time of events and barriers"), "unknown", False)
    has_course = all(path in counts.series for path in _active(counts))
    value, parts, what = found[0]
    source = "per step the longest bound over cores with steady shares of their layers, and the barrier" if has_course else (
        "the mean step for all: longest bound over all cores, and the barrier (steps were not recorded one by one)"
    )  # fmt: skip
    low, high = min(v for v, _, _ in found), max(v for v, _, _ in found)
    text = f"{source} ({'; '.join(dict.fromkeys(q.source for q in parts))})"
    time = Quantity(value, "s", kind_of(parts), text, low, high)
    return ChipTime(time, what, has_course, {name: _over(sets, name) for name in ("cores", "barrier")}, sets)


def _parts(work: float, wait: float, costs: CostSet, barrier: Quantity, counts: CoreCounts) -> dict[str, Quantity]:
    kind = kind_of(list(costs.time.values()))
    return {
        "cores": Quantity(work, "s", kind, f"longest bound over cores and links, cost set {costs.name}", work, work),
        "barrier": Quantity(
            wait, "s", kind_of([barrier]), f"{counts.samples * counts.steps} barriers over {counts.tiles} tiles, linear "
            f"between the given numbers of tiles ({barrier.source})", wait, wait,
        ),
    }  # fmt: skip


def _over(sets: Mapping[str, Mapping[str, Quantity]], name: str) -> Quantity:
    """Return the part *name* of the first cost set, its interval over all of them."""
    found = [parts[name] for parts in sets.values()]
    values = [q.value for q in found if q.value is not None]
    return dataclasses.replace(found[0], low=min(values), high=max(values))


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
                constant = constant + _neurons(event, counts) * each.value
        if constant.any() or moving.any():
            out[name] = (constant, moving)
    return out


def _neurons(event: str, counts: CoreCounts) -> Array:
    """Return the neurons of each core that *event* happens to in a mean step; those that may be idle count as active."""
    if event not in ("update_active", "update_inactive", "soma_update"):
        return counts.neurons
    busy = counts.neurons if counts.active is None else counts.active / (counts.samples * counts.steps)
    return np.asarray(counts.neurons - busy if event == "update_inactive" else busy)


def links(costs: CostSet, counts: CoreCounts) -> dict[str, Array]:
    """Return for each kind of link the time that a mean step holds the busiest of them, by source."""
    total = counts.samples * counts.steps
    out = {}
    for event, name in LINKS.items():
        each, packets = costs.time.get(event), counts.links.get(event)
        if each is not None and each.value is not None and packets is not None and packets.any():
            out[name] = packets * (each.value / total)
    return out


def _work(costs: CostSet, counts: CoreCounts) -> tuple[float, str]:
    """Return the sum over all steps of the longest bound, and the bound that most of it comes from."""
    total = counts.samples * counts.steps
    found, held = loads(costs, counts), links(costs, counts)
    if not found or not len(counts.cores):
        return 0.0, "the barrier"
    names = list(found)
    constant = np.concatenate([*(found[n][0] for n in names), np.zeros(len(held))])
    moving = np.concatenate([*(found[n][1] for n in names), *(h[None] for h in held.values())])
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
    if row >= len(names) * len(counts.cores):
        return whole, list(held)[row - len(names) * len(counts.cores)]
    core = row % len(counts.cores)
    return whole, f"{names[row // len(counts.cores)]} on core {int(counts.cores[core])} ({counts.layers[core]})"
