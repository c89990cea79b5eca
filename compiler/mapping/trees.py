"""Ways of packets: distances on the grid of tiles, and multicast trees that go X first, then Y."""

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
