"""Energy: counts times the costs of a target, line by line, with interval, class and source.

What is counted for each event:

- a neuron is *accessed* at every step. It is *updated* beside that (or *active*, by the published figures) where it is not
  idle: its membrane is another than 0 before or after the step, or it spikes. Where a run recorded no membranes, all
  neurons are priced as updated, and the low end takes those that spike only.
- a *spike* costs beside the update of its neuron; a *packet* leaves for every core that the neuron has synapses on (one tree
  on fabrics that copy packets), and its hops are those of its tree where the program has one, else of the X-Y way between
  the tiles.
- a *synaptic operation* is one weight, not 0, met by one event; its cost depends on how the weights are stored.

Costs of the calibrated set add up: an update costs its access too, a spike its access and update too. That is how the fit
was made (SANA-FE, doi:10.1109/TCAD.2025.3537971: access in every step, update where there is input, bias or membrane).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from spikeport.backends.counting import CoreCounts
from spikeport.hw_profiles.records import CostSet
from spikeport.hw_profiles.target import Target
from spikeport.ir.units import Kind, Quantity, unknown

#: Which events make which line.
LINES: dict[str, tuple[str, ...]] = {
    "synapse": ("synop", "synop_dense", "synop_sparse", "synop_conv"),
    "soma": ("update", "update_active", "update_inactive", "soma_access", "soma_update", "soma_spike"),
    "network": ("packet_out", "packet_in", "tile_spike", "hop_ew", "hop_ns", "packet_router"),
}


#: The line that contains another, where a target's own law does not tell the two apart.
WITHIN = {"synapse": "core", "soma": "core", "management": "static"}


@dataclass(frozen=True, slots=True)
class Events:
    """How often an event happened: *low* where the model leaves a range, *value* what is priced."""

    value: float
    low: float


def events(counts: CoreCounts) -> dict[str, Events]:
    """Return the number of each event in the whole run."""
    synops = {name: float(matrix.sum()) for name, matrix in counts.synops.items()}
    updates = float(counts.neurons.sum()) * counts.samples * counts.steps
    spikes = float(counts.spikes.sum())
    arrived = float(counts.packets_in.sum())
    exact = {
        **dict.fromkeys(("synop_dense", "synop_sparse", "synop_conv"), 0.0), **synops, "synop": sum(synops.values()),
        "update": updates, "soma_access": updates, "soma_update": updates, "soma_spike": spikes,
        "packet_out": float(counts.packets_out.sum()), "packet_in": arrived, "tile_spike": arrived, "hop_ew": counts.hops_ew,
        "hop_ns": counts.hops_ns, "packet_router": counts.router_visits,
    }  # fmt: skip
    out = {name: Events(n, n) for name, n in exact.items()}
    # Without recorded membranes nobody knows which neurons are idle: none of them, or at the most those that do not spike.
    most, least = (updates, min(spikes, updates)) if counts.active is None else (float(counts.active.sum()),) * 2
    out["update_active"] = out["soma_update"] = Events(most, least)
    out["update_inactive"] = Events(updates - most, updates - least)
    return out


def kind_of(parts: list[Quantity]) -> Kind:
    """Return the class of what is computed from *parts*: no better than the worst of them."""
    return "estimated" if any(q.kind == "estimated" for q in parts) else "modelled"


def of_line(name: str, happened: Mapping[str, Events], target: Target) -> Quantity:
    """Return the energy of a line: the first cost set that has it gives the value, all of them the interval."""
    found: list[tuple[float, float, list[Quantity], str]] = []
    missing = f"{target.name} has no published figure for it"
    for costs in target.costs:
        priced = _in_set(name, happened, costs)
        if isinstance(priced, str):
            missing = priced
        elif priced is not None:
            found.append((*priced, costs.name))
    if not found:
        return unknown("J", missing)
    value, _, parts, first = found[0]
    bounds = [bound for v, low, _, _ in found for bound in (v, low)]
    sets = f"cost set {first}" + (f", interval over {', '.join(n for *_, n in found)}" if len(found) > 1 else "")
    sources = "; ".join(dict.fromkeys(q.source for q in parts))
    return Quantity(value, "J", kind_of(parts), f"counts times {sets} ({sources})", min(bounds), max(bounds))


def _in_set(name: str, happened: Mapping[str, Events], costs: CostSet) -> tuple[float, float, list[Quantity]] | str | None:
    """Return (value, low, costs used), the reason why it is unknown, or None where the set says nothing of the line."""
    used = {event: costs.energy[event] for event in LINES[name] if event in costs.energy}
    if not used:
        return None
    blank = next((q for e, q in used.items() if q.value is None and happened[e].value), None)
    if blank is not None:
        return blank.source
    value = sum(happened[e].value * (q.value or 0.0) for e, q in used.items())
    low = sum(happened[e].low * (q.value or 0.0) for e, q in used.items())
    return value, low, list(used.values())


def in_sets(happened: Mapping[str, Events], target: Target) -> dict[str, dict[str, Quantity]]:
    """Return the lines of each cost set by itself, those left out that it does not price; low is its own range."""
    out: dict[str, dict[str, Quantity]] = {}
    for costs in target.costs:
        for name in LINES:
            priced = _in_set(name, happened, costs)
            if priced is not None and not isinstance(priced, str):
                value, low, parts = priced
                sources = "; ".join(dict.fromkeys(q.source for q in parts))
                text = f"counts times cost set {costs.name} ({sources})"
                out.setdefault(costs.name, {})[name] = Quantity(value, "J", kind_of(parts), text, low, value)
    return out


def dynamic(parts: Mapping[str, Quantity], sets: Mapping[str, Mapping[str, Quantity]]) -> Quantity:
    """Return the sum of *parts*, the lines that follow the activity; its interval runs over the sums of the cost sets.

    A sum takes all of its lines from one set: the ends of the lines by themselves would mix the sets.
    """
    whole = total(parts, strict=True)
    sums = [total(lines, strict=True) for lines in sets.values() if set(lines) == set(parts)]
    ends = [end for q in sums for end in (q.low, q.high) if end is not None]
    return whole if whole.value is None or not ends else dataclasses.replace(whole, low=min(ends), high=max(ends))


def of_power(power: Quantity | None, time: Quantity, factor: float, what: str, reason: str) -> Quantity:
    """Return the energy of *factor* times *power* over *time*; unknown where one of them is."""
    if power is None:
        return unknown("J", reason)
    if power.value is None:
        return unknown("J", power.source)
    if time.value is None:
        return unknown("J", f"the time is unknown: {time.source}")
    low, high = (bound if bound is not None else time.value for bound in (time.low, time.high))
    scale = power.value * factor
    source = f"{power.value:g} W x {what} over the chip time ({power.source})"
    return Quantity(scale * time.value, "J", kind_of([power, time]), source, scale * low, scale * high)


def lines(target: Target, counts: CoreCounts, time: Quantity, chips: int, boards: int | None) -> dict[str, Quantity]:
    """Return all lines of the energy of the run; those that another line contains are left out (see ``WITHIN``).

    Parameters
    ----------
    target : Target
        Costs.
    counts : CoreCounts
        What happened.
    time : Quantity
        Chip time of the whole run.
    chips : int
        Chips in use.
    boards : int or None
        Boards that run; None where there are none.
    """
    happened = events(counts)
    power, none = target.power, f"{target.name} has no published figure for it"
    out: dict[str, Quantity] = {}
    if "core_active" in power:
        cores = counts.allocated
        out["core"] = of_power(power["core_active"], time, cores, f"{cores} cores", none)
    else:
        out["synapse"], out["soma"] = of_line("synapse", happened, target), of_line("soma", happened, target)
    out["network"] = of_line("network", happened, target)
    if target.step.barriers:
        out["barrier"] = unknown("J", "no energy of a barrier is published; its time is a line of its own")
    static = of_power(power.get("static_per_chip"), time, chips, f"{chips} chips", none)
    if boards is not None and power.get("static_per_board") is not None:
        whole = of_power(power["static_per_board"], time, boards, f"{boards} boards", none)
        if static.value is not None and whole.value is not None:
            source = f"{static.source}; at most {whole.source}"
            static = Quantity(static.value, "J", static.kind, source, static.low, max(whole.value, static.value))
    out["static"] = static
    if "management_per_chip" in power:
        out["management"] = of_power(power["management_per_chip"], time, chips, f"{chips} chips", none)
    out["host_io"] = of_power(power.get("host_io"), time, 1, "one host link", none)
    return out


def total(parts: Mapping[str, Quantity], *, strict: bool) -> Quantity:
    """Return the sum of *parts*; with ``strict`` unknown where one of them is, else of those that are known."""
    blank = [f"{name} ({q.source})" for name, q in parts.items() if q.value is None]
    known = {name: q for name, q in parts.items() if q.value is not None}
    if (blank and strict) or not known:
        return unknown("J", f"unknown: {'; '.join(blank)}" if blank else "nothing was priced")
    value = sum(q.value or 0.0 for q in known.values())
    low = sum(q.low if q.low is not None else (q.value or 0.0) for q in known.values())
    high = sum(q.high if q.high is not None else (q.value or 0.0) for q in known.values())
    source = f"sum of {', '.join(known)}" + (f"; without {', '.join(n for n in parts if n not in known)}" if blank else "")
    return Quantity(value, "J", kind_of(list(known.values())), source, low, high)
