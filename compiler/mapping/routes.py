"""Routes: a multicast tree for every sender, around all that is dead, few links in all and few different ways a population.

A tree is grown from its root to the ends nearest to it first, each joined to the nearest chip of the tree by the way that
goes along its longest dimension first (the tree of Navaridas et al. 2015, doi:10.1016/j.parco.2015.01.002, with the whole
tree as the neighbourhood); where that meets a dead link, by the shortest way around. Senders of a population that lie
on several chips share one tree where that costs few hops more: its packets then leave a chip the same way whichever slice
they come from, and one entry does for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.compiler.mapping.grow import grow, medoid, prune
from spikeport.ir.diagnostics import CapacityError, Diagnostic
from spikeport.ir.ops import Array
from spikeport.ir.routing import LINK_BITS, Machine, Trees

#: Visits of routers that a shared tree may take for every one of trees of their own.
SHARE = 1.125


@dataclass(frozen=True, slots=True, eq=False)
class Wires:
    """Where packets have to go: for each sender the chips, and the processors on each.

    Parameters
    ----------
    start : array of int64, shape (senders + 1,)
        First row of each sender.
    chip : array of int64
        Chips, ascending within a sender.
    bits : array of int64
        Route bits of the processors there (bit 6 + p).
    """

    start: Array
    chip: Array
    bits: Array

    @classmethod
    def of(cls, senders: int, source: Array, core: Array, machine: Machine) -> Wires:
        """Return the wires of pairs (sender, core number); a pair may be given more than once."""
        chip, processor = core // machine.stride, core % machine.stride + 1
        order = np.argsort(source * machine.chips + chip, kind="stable")
        source, chip, bits = source[order], chip[order], np.int64(1) << (LINK_BITS + processor[order])
        first = np.flatnonzero(np.r_[True, (source[1:] != source[:-1]) | (chip[1:] != chip[:-1])]) if source.size else source
        joined = np.bitwise_or.reduceat(bits, first) if source.size else bits
        start = np.searchsorted(source[first], np.arange(senders + 1))
        return cls(start.astype(np.int64), chip[first], joined)


def route(machine: Machine, group: Array, chip: Array, wires: Wires) -> Trees:
    """Return a tree for each sender.

    Parameters
    ----------
    machine : Machine
        Chips and links.
    group : array of int64, shape (senders,)
        Population of each.
    chip : array of int64, shape (senders,)
        Where it lies.
    wires : Wires
        Where its packets go.

    Raises
    ------
    CapacityError
        E410 where a chip cannot be reached.
    """
    grower = _Grower(machine, wires)
    rows: list[Array] = [np.zeros((0, 3), np.int64)] * len(group)
    order = np.argsort(group, kind="stable")
    marks = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0]) if order.size else order
    for members in np.split(order, marks[1:]) if order.size else []:
        members = members[wires.start[members + 1] > wires.start[members]]
        if not members.size:
            continue
        own: dict[int, Array] = {}
        sources = np.unique(chip[members])
        for source in sources.tolist():
            own |= grower.trees(source, members[chip[members] == source], chip)
        best = own
        if sources.size > 1:
            ends = np.unique(np.concatenate([sources, *(grower.ends(m) for m in members.tolist())]))
            shared = grower.trees(int(medoid(machine.xy, grower.size, sources, ends)), members, chip, ends)
            visits = [sum(len(tree) for tree in trees.values()) for trees in (shared, own)]
            best = shared if visits[0] <= SHARE * visits[1] else own
        for member, tree in best.items():
            rows[member] = tree
    start = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    flat = np.concatenate(rows) if rows else np.zeros((0, 3), np.int64)
    return Trees(start, flat[:, 0].copy(), flat[:, 1].copy(), flat[:, 2].copy())


class _Grower:
    """Grows trees, and keeps the arrays that it needs for it."""

    def __init__(self, machine: Machine, wires: Wires) -> None:
        self.machine, self.wires = machine, wires
        wraps = int(_wraps(machine))
        self.size = np.array([machine.width, machine.height, wraps], np.int64)
        n = machine.chips
        self.up, self.parent, self.nodes = np.full(n, -1), np.full(n, -2), np.zeros(n, np.int64)
        self.need, self.out = np.zeros(n, np.int64), np.zeros((n + 1, 3), np.int64)

    def ends(self, sender: int) -> Array:
        """Return the chips that *sender* sends to."""
        return self.wires.chip[self.wires.start[sender] : self.wires.start[sender + 1]]

    def trees(self, root: int, members: Array, chip: Array, ends: Array | None = None) -> dict[int, Array]:
        """Return the trees of *members*, cut out of one tree from *root* to *ends* (theirs, by default)."""
        if ends is None:
            ends = np.unique(np.concatenate([self.ends(m) for m in members.tolist()]))
        count = grow(self.machine.xy, self.size, self.machine.links, root, ends, self.up, self.parent, self.nodes)
        if count < 0:
            x, y = self.machine.xy[-1 - count].tolist()
            raise CapacityError(
                Diagnostic("E410", "", f"no living link leads to chip {x},{y} of {self.machine.name}",
                           "leave out some of the dead links", {"chip": [x, y]})
            )  # fmt: skip
        made: dict[int, Array] = {}
        # Slices of a population on one chip mostly send to the same cores: they share the rows.
        known: dict[tuple[int, bytes, bytes], Array] = {}
        for member in members.tolist():
            rows = slice(self.wires.start[member], self.wires.start[member + 1])
            ends_of, bits = self.wires.chip[rows], self.wires.bits[rows]
            same = int(chip[member]), ends_of.tobytes(), bits.tobytes()
            if same not in known:
                last = prune(self.machine.links, root, same[0], ends_of, bits, self.up, self.parent, self.need, self.out)
                known[same] = self.out[:last].copy()
            made[member] = known[same]
        self.parent[self.nodes[:count]] = -2
        return made


def _wraps(machine: Machine) -> bool:
    """Return whether any link of *machine* leads around the edge of its grid."""
    far = np.abs(machine.xy[machine.links] - machine.xy[:, None, :]).max(axis=2) > 1
    return bool((far & (machine.links >= 0)).any()) or (machine.width, machine.height) == (2, 2)
