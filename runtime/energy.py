"""Energy: counts times the costs of a target, line by line, with interval, class and source."""

from __future__ import annotations

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
    # Which updates count as active is not published: all of them, or at the least those that spike.
    out["update_active"] = Events(updates, min(spikes, updates))
    out["update_inactive"] = Events(0.0, max(updates - spikes, 0.0))
    # The fit accesses every neuron, and updates those with a membrane, an input or a bias: how many is not counted.
    out["soma_update"] = Events(updates, min(spikes, updates))
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


def lines(target: Target, counts: CoreCounts, time: Quantity, chips: int) -> dict[str, Quantity]:
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
    """
    happened = events(counts)
    power, none = target.power, f"{target.name} has no published figure for it"
    out: dict[str, Quantity] = {}
    if "core_active" in power:
        cores = len(counts.cores)
        out["core"] = of_power(power["core_active"], time, cores, f"{cores} cores", none)
    else:
        out["synapse"], out["soma"] = of_line("synapse", happened, target), of_line("soma", happened, target)
    out["network"] = of_line("network", happened, target)
    static = of_power(power.get("static_per_chip"), time, chips, f"{chips} chips", none)
    boards = target.fabric.boards(chips)
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
