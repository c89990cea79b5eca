"""Ways of packets: distances on the grid of tiles, the busiest links, and multicast trees that go X first, then Y."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from spikeport.compiler.mapping.chains import Chain
from spikeport.compiler.mapping.traffic import OUTSIDE, Traffic, traffic
from spikeport.hw_profiles.target import Target
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.shapes import infer_shapes

Cell = tuple[int, int]


def tree(start: Cell, ends: set[Cell]) -> set[Cell]:
    """Return the tiles that a packet from *start* to all *ends* visits, the first one included."""
    x0, y0 = start
    visited = {start}
    columns: dict[int, list[int]] = {}
    for x, y in ends:
        columns.setdefault(x, []).append(y)
    for x in range(min([x0, *columns]), max([x0, *columns]) + 1):
        visited.add((x, y0))
    for x, ys in columns.items():
        visited.update((x, y) for y in range(min([y0, *ys]), max([y0, *ys]) + 1))
    return visited


def places(program: Program, target: Target, found: Traffic) -> tuple[Array, Array]:
    """Return the grid coordinates of all senders; what is outside enters at the first tile."""
    cores = np.array([s.core for s in found.senders], np.int64)
    x, y = target.fabric.coordinates(np.where(cores == OUTSIDE, 0, cores), program.chips)
    return x, y


def busiest(x0: Array, y0: Array, x1: Array, y1: Array, packets: Array) -> dict[str, Array]:
    """Return, for the busiest link to the east or west and that to the north or south, which packets cross it.

    Packets go along X from (x0, y0) to (x1, y0), then along Y to (x1, y1). Each direction of a link counts by itself.

    Parameters
    ----------
    x0, y0, x1, y1 : array of int64
        Tiles of senders and receivers, one entry for each stream of packets.
    packets : array of float64
        Packets of each stream.

    Returns
    -------
    dict
        By cost event (``hop_ew``, ``hop_ns``) a boolean array over the streams; no stream where none moves that way.
    """
    return {"hop_ew": _crossing(y0, x0, x1, packets), "hop_ns": _crossing(x1, y0, y1, packets)}


def _crossing(lane: Array, start: Array, end: Array, packets: Array) -> Array:
    """Return which streams cross the busiest link of all lanes; a stream takes those between *start* and *end*."""
    best, crossed = 0.0, np.zeros(lane.shape, bool)
    if not lane.size:
        return crossed
    size = (int(lane.max()) + 1, int(max(start.max(), end.max())) + 2)
    for moves in (start < end, end < start):
        low, high = np.minimum(start, end)[moves], np.maximum(start, end)[moves]
        load = np.zeros(size)
        np.add.at(load, (lane[moves], low), packets[moves])
        np.add.at(load, (lane[moves], high), -packets[moves])
        load = load.cumsum(axis=1)
        where, at = np.unravel_index(int(load.argmax()), size)
        if load[where, at] > best:
            best = float(load[where, at])
            crossed = moves & (lane == where) & (np.minimum(start, end) <= at) & (at < np.maximum(start, end))
    return crossed


def trees(program: Program, target: Target, found: Traffic) -> dict[int, set[Cell]]:
    """Return the tiles visited by a packet of each sender that sends at all, by its row."""
    x, y = places(program, target, found)
    ends: dict[int, set[Cell]] = {}
    for row, end in zip(found.source.tolist(), found.target.tolist(), strict=True):
        ends.setdefault(row, set()).add((int(x[end]), int(y[end])))
    return {row: tree((int(x[row]), int(y[row])), cells) for row, cells in ends.items()}


def router_entries(program: Program, into: Mapping[str, tuple[Chain, ...]], target: Target) -> int:
    """Return the most entries that a router needs: one for every sender whose tree visits it, none merged."""
    if target.fabric.casting != "multicast" or not program.slices:
        return 0
    found = traffic(program, into, infer_shapes(program.graph)[0], target)
    load = Counter(cell for visited in trees(program, target, found).values() for cell in visited)
    return max(load.values(), default=0)
