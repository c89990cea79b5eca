"""Vertices: all that takes a core of its own on a machine with routing tables, and who sends to whom.

Beside the slices of populations these are the pieces of inputs (spike sources), and a delay slice behind every slice or
piece from which a connection waits longer than the ring buffers of a core can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.compiler.mapping.chains import Chain
from spikeport.compiler.mapping.traffic import OUTSIDE, Traffic
from spikeport.hw_profiles.target import Target
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Delay
from spikeport.ir.profile import Profile
from spikeport.ir.program import Box


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
    sdram : int
        Bytes of the chip's shared memory.
    """

    path: str
    box: Box
    slice: int
    blocks: tuple[int, ...]
    sdram: int


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """Vertices in the order of placement, and pairs (source vertex, target vertex)."""

    vertices: tuple[Vertex, ...]
    source: Array
    target: Array


def wiring(graph: Graph, profile: Profile, target: Target, found: Traffic) -> Wiring:
    """Return the vertices that *found* asks for: inputs first, then slices, each with its delay slice behind it.

    Parameters
    ----------
    graph, profile
        For the delays that lie in nodes.
    target : Target
        Its longest delay without delay slices.
    found : Traffic
        Links between slices.
    """
    native = int(target.max_delay.value or 1)
    of_chain = [_blocks(chain, graph, profile, native) for chain in found.chains]
    waits: dict[int, set[int]] = {}
    for chain, blocks in enumerate(of_chain):
        later = blocks - {0}
        if later:
            for row in np.unique(found.source[found.chain == chain]).tolist():
                waits.setdefault(row, set()).update(later)
    slices = len(found.senders) - sum(1 for s in found.senders if s.core == OUTSIDE)  # inputs stand behind the slices
    order = [*range(slices, len(found.senders)), *range(slices)]
    vertices: list[Vertex] = []
    place, delayed = np.zeros(len(found.senders), np.int64), np.full(len(found.senders), -1)
    for row in order:
        s = found.senders[row]
        index = row if row < slices else -1
        place[row] = len(vertices)
        vertices.append(Vertex(s.path, s.box, index, (), s.usage.get("sdram", 0)))
        if row in waits:
            delayed[row] = len(vertices)
            vertices.append(Vertex(s.path, s.box, index, tuple(sorted(waits[row])), 0))
    direct = np.array([0 in blocks for blocks in of_chain], bool)[found.chain]
    late = np.array([bool(blocks - {0}) for blocks in of_chain], bool)[found.chain]
    end = place[found.target]
    behind = np.flatnonzero(delayed >= 0)
    return Wiring(
        tuple(vertices),
        np.concatenate([place[found.source[direct]], delayed[found.source[late]], place[behind]]),
        np.concatenate([end[direct], end[late], delayed[behind]]),
    )


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
