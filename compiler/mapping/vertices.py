"""Vertices: all that takes a core of its own on a machine with routing tables, and who sends to whom.

Beside the slices of populations these are the pieces of inputs (spike sources), and a delay slice behind every slice or
piece from which a connection waits longer than the ring buffers of a core can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.compiler.mapping.chains import Chain
from spikeport.compiler.mapping.traffic import Traffic
from spikeport.hw_profiles.target import Target
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Delay
from spikeport.ir.profile import Profile
from spikeport.ir.program import Box, Program


@dataclass(frozen=True, slots=True)
class Vertex:
    """What takes a core.

    Parameters
    ----------
    path : str
        Population or input.
    box : Box
        Its neurons.
    slice : int
        Index of the slice in the program; -1 for a piece of an input.
    blocks : tuple of int
        Blocks by which a delay slice delays; none for others.
    steps : int
        Steps of a block; 0 for others.
    sdram : int
        Bytes of the chip's shared memory.
    """

    path: str
    box: Box
    slice: int
    blocks: tuple[int, ...]
    steps: int
    sdram: int


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Vertices in the order of placement, and pairs (source vertex, target vertex)."""

    vertices: tuple[Vertex, ...]
    source: Array
    target: Array


def wiring(draft: Program, target: Target, found: Traffic) -> Wiring:
    """Return the vertices that *found* asks for: inputs first, then slices, each with its delay slices behind it.

    A sender has a delay slice for every length of blocks, which is the longest delay that the cores of the targets do
    themselves: most have one, or none.

    Parameters
    ----------
    draft : Program
        Slices in the order of placement; graph and profile for the delays that lie in nodes.
    target : Target
        Its longest delay without delay slices.
    found : Traffic
        Links between its slices.
    """
    sizes = draft.largest()
    native = [target.native_delay(sizes[chain.target]) or 1 for chain in found.chains]
    blocks = [_blocks(chain, draft.graph, draft.profile, n) for chain, n in zip(found.chains, native, strict=True)]
    waits: dict[int, dict[int, set[int]]] = {}
    for number, (waited, steps) in enumerate(zip(blocks, native, strict=True)):
        if waited - {0}:
            for row in np.unique(found.source[found.chain == number]).tolist():
                waits.setdefault(row, {}).setdefault(steps, set()).update(waited - {0})
    slices = len(draft.slices)  # inputs stand behind them
    vertices: list[Vertex] = []
    place = np.zeros(len(found.senders), np.int64)
    delayed: dict[tuple[int, int], int] = {}
    for row in (*range(slices, len(found.senders)), *range(slices)):
        s = found.senders[row]
        index = row if row < slices else -1
        place[row] = len(vertices)
        vertices.append(Vertex(s.path, s.box, index, (), 0, s.usage.get("sdram", 0)))
        for steps, waited in sorted(waits.get(row, {}).items()):
            delayed[row, steps] = len(vertices)
            vertices.append(Vertex(s.path, s.box, index, tuple(sorted(waited)), steps, 0))
    direct = np.array([0 in b for b in blocks], bool)[found.chain]
    late = np.flatnonzero(np.array([bool(b - {0}) for b in blocks], bool)[found.chain])
    keys = zip(found.source[late].tolist(), found.chain[late].tolist(), strict=True)
    behind = np.array([delayed[row, native[number]] for row, number in keys], np.int64)
    end = place[found.target]
    slow = np.array(list(delayed.values()), np.int64)
    before = np.array([place[row] for row, _ in delayed], np.int64)
    return Wiring(
        tuple(vertices), np.concatenate([place[found.source[direct]], behind, before]),
        np.concatenate([end[direct], end[late], slow]),
    )  # fmt: skip


def _blocks(chain: Chain, graph: Graph, profile: Profile, native: int) -> set[int]:
    """Return the blocks of *native* steps beyond the first in which events of *chain* arrive."""
    delays = {0}
    longest = 0
    for path in chain.through:
        op = graph[path].op
        if isinstance(op, Delay):
            steps = op.steps(profile.dt)
            longest += int(steps.max(initial=0))
            delays = {d + int(s) for d in delays for s in np.unique(steps)}
    # The chain's delay holds the longest of each node: what is left are the edges.
    return {max(0, d + chain.delay - longest - 1) // native for d in delays}
