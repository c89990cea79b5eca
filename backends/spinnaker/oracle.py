"""The oracle of the mapping: what PACMAN makes of the emitted program, beside what we made of the same network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.backends.mapping_check import MappingCheck, Pair
from spikeport.backends.spinnaker.board import map_on_board
from spikeport.backends.spinnaker.cells import Wire, wires_of
from spikeport.backends.spinnaker.machine import options_of
from spikeport.backends.spinnaker.script import script_files
from spikeport.ir.network import build_network
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.routing import LINK_BITS, Routing, opposite

#: An entry of PACMAN's tables: key, mask, links, processors.
Line = tuple[int, int, tuple[int, ...], tuple[int, ...]]
Chip = tuple[int, int]


def check_mapping(
    program: Program, inputs: Mapping[str, Array], activity: Mapping[str, Array], environment: Path | None = None
) -> MappingCheck:
    """Return the mapping of *program* beside PACMAN's.

    Parameters
    ----------
    program : Program
        Mapped on a machine with routing tables, in arithmetic ``spinnaker1``.
    inputs : Mapping[str, array]
        What the emitted program runs on; the mapping does not depend on it.
    activity : Mapping[str, array of int]
        Spikes of each neuron of every input and population, for the packets: a run's, see `Trace`.
    environment : Path or None
        sPyNNaker's; None for the one that is found.

    Raises
    ------
    BackendUnavailable, RunError
        See `map_on_board`.
    UnsupportedError
        E550 for what no program for sPyNNaker can say.
    """
    routing = program.routing
    if routing is None:
        raise AssertionError("the program has no routing tables")
    network = build_network(program.graph, program.profile, program.arithmetic)
    files = script_files(network, program, inputs, "the oracle's")
    found = map_on_board(files, environment, options_of(routing.machine))
    wires = wires_of(network)
    theirs = _Theirs.of(found, wires, activity)
    ours = _our_figures(program, routing, activity)
    asked = {(wire.source, wire.target) for wire in wires if wire.synapses.values.size}
    pairs = tuple(Pair(name, ours[name], theirs.figures[name], text) for name, text in FIGURES.items())
    missing, surplus = sorted(asked - theirs.joined), sorted(theirs.joined - asked)
    return MappingCheck("sPyNNaker 7.4.1", pairs, len(asked), tuple(missing), tuple(surplus), found["seconds"])


#: Figures by name.
FIGURES = {
    "cores": "cores, those of inputs and delays included",
    "chips": "chips",
    "entries": "table entries, before compression",
    "compressed": "table entries, compressed",
    "largest": "entries of the largest compressed table",
    "packets": "packets",
    "packet_hops": "packet-hops: routers that packets visit",
}


def _our_figures(program: Program, routing: Routing, activity: Mapping[str, Array]) -> dict[str, float]:
    cores = program.allocated
    sent = routing.packets(activity)
    return {
        "cores": len(cores),
        "chips": len({routing.machine.place(core)[0] for core in cores}),
        "entries": int(routing.tables.sizes().sum()),
        "compressed": int(routing.compressed.sizes().sum()),
        "largest": int(routing.compressed.sizes().max(initial=0)),
        "packets": float(np.sum(sent)),
        "packet_hops": float(np.dot(routing.trees.visits(), sent)),
    }


@dataclass(frozen=True, slots=True)
class _Theirs:
    """PACMAN's figures, and the pairs of layers that its tables connect."""

    figures: Mapping[str, float]
    joined: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, found: Mapping[str, Any], wires: tuple[Wire, ...], activity: Mapping[str, Array]) -> _Theirs:
        places = found["placements"]
        tables = {_chip(name): [_line(e) for e in entries] for name, entries in found["compressed"].items()}
        board = _Board(found["machine"], tables)
        holds = {(p["x"], p["y"], p["processor"]): p for p in places}
        packets = hops = 0.0
        joined: set[tuple[str, str]] = set()
        for place in places:
            sent = _sent(place, wires, activity) if place["keys"] else 0.0
            for key, _ in place["keys"]:
                visits, reached = board.walk((place["x"], place["y"]), key)
                packets += sent
                hops += sent * visits
                # What a delay extension hears it says again later, in the name of its source.
                ends = [holds[core] for core in reached if core in holds]
                joined |= {(place["population"], end["population"]) for end in ends if not end.get("delays")}
        sizes = [len(table) for table in found["compressed"].values()]
        figures = {
            "cores": len(places),
            "chips": len({(p["x"], p["y"]) for p in places}),
            "entries": sum(len(table) for table in found["tables"].values()),
            "compressed": sum(sizes),
            "largest": max(sizes, default=0),
            "packets": packets,
            "packet_hops": hops,
        }
        return cls(figures, frozenset(joined))


def _sent(place: Mapping[str, Any], wires: tuple[Wire, ...], activity: Mapping[str, Array]) -> float:
    """Return the packets that a vertex sends: a delay extension sends one for every stage that a neuron's synapses wait for."""
    part = slice(place["first"], place["first"] + place["neurons"])
    spikes = activity[place["population"]].reshape(-1)[part].astype(np.float64)
    if not place.get("delays"):
        return float(spikes.sum())
    stages: dict[int, Array] = {}
    for wire in wires:
        stage = (wire.delay - 1) // place["steps"]
        if wire.source == place["population"] and stage > 0:
            used = np.zeros(activity[wire.source].size, bool)
            used[wire.synapses.columns] = True
            stages[stage] = stages.get(stage, np.zeros_like(used)) | used
    return float(sum((spikes * used[part]).sum() for used in stages.values()))


def _chip(name: str) -> Chip:
    x, y = name.split(",")
    return int(x), int(y)


def _line(entry: list[Any]) -> Line:
    key, mask, links, processors, _ = entry
    return int(key), int(mask), tuple(links), tuple(processors)


class _Board:
    """Chips with links and routing tables, along which packets go as routers send them.

    Parameters
    ----------
    machine : Mapping
        ``chips`` by place, each with ``links``.
    tables : Mapping[(x, y), list of Line]
        In order of precedence.
    """

    def __init__(self, machine: Mapping[str, Any], tables: Mapping[Chip, list[Line]]) -> None:
        self.links: dict[Chip, dict[int, Chip]] = {
            _chip(name): {int(link): (end[0], end[1]) for link, end in chip["links"].items()}
            for name, chip in machine["chips"].items()
        }
        self.tables = tables

    def walk(self, start: Chip, key: int) -> tuple[int, list[tuple[int, int, int]]]:
        """Return how many routers a packet of *key* visits from the chip *start*, and the (x, y, processor) that it reaches."""
        visits, reached = 0, []
        waiting: list[tuple[Chip, int | None]] = [(start, None)]
        while waiting:
            chip, came = waiting.pop()
            visits += 1
            links, processors = self._route(chip, key, came)
            reached += [(*chip, p) for p in processors]
            waiting += [(self.links[chip][link], opposite(link)) for link in links]
            if visits > len(self.links) * LINK_BITS:
                raise RuntimeError(f"a packet of key {key:#x} goes round in circles")
        return visits, reached

    def _route(self, chip: Chip, key: int, came: int | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        for match, mask, links, processors in self.tables.get(chip, ()):
            if key & mask == match:
                return links, processors
        # Without an entry it goes straight on; one of the chip's own is dropped.
        return ((), ()) if came is None else ((opposite(came),), ())


__all__ = ["FIGURES", "check_mapping"]
