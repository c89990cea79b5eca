"""Replay: every packet that any sender can send, walked through the tables, against the cores that it is for.

Nothing that the mapper knows is used but the machine, the keys and the tables: a packet starts at its sender's chip, takes
the first entry that matches or goes straight on, and must reach every core of its sender's, no other, and no chip twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.compiler.mapping.routes import Wires
from spikeport.compiler.mapping.walk import walk_all
from spikeport.ir.ops import Array
from spikeport.ir.routing import Machine, Tables

#: What may become of a packet.
VERDICTS = (
    "right", "not delivered to a core that it is for", "delivered to a core that it is not for", "on a chip twice",
    "sent into a dead link", "dropped at its own router: nothing matches", "delivered to a dead core",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What a replay found.

    Parameters
    ----------
    packets : int
        Keys that were walked.
    wrong : array of int64, shape (faults, 2)
        Of every key that does not go as it should, at most one a sender: the key, and its verdict's index.
    visits : array of int64, shape (senders,)
        Routers that a packet of each sender visited.
    """

    packets: int
    wrong: Array
    visits: Array

    @property
    def ok(self) -> bool:
        """Whether every packet goes as it should."""
        return not len(self.wrong)

    def __str__(self) -> str:
        """Return it as a sentence."""
        if self.ok:
            return f"{self.packets:,} keys right"
        key, verdict = self.wrong[0].tolist()
        return f"{len(self.wrong):,} senders wrong, the first with key {key:#010x}: {VERDICTS[verdict]}"


def replay(
    machine: Machine, tables: Tables, chip: Array, wires: Wires, keys: list[Array] | tuple[Array, Array, Array]
) -> Replay:
    """Walk all packets of all senders.

    Parameters
    ----------
    machine : Machine
        Chips, cores and links.
    tables : Tables
        What the routers hold.
    chip : array of int64, shape (senders,)
        Where each sender lies.
    wires : Wires
        Where its packets have to go; a sender without any is not walked.
    keys : list of array of int64
        All keys of each sender; or ``(start, first, count)``, runs of keys by sender in CSR form.
    """
    runs = _runs(keys) if isinstance(keys, list) else keys
    walked, wrong, visits = walk_all(
        machine.links, machine.cores, tables.start, tables.key, tables.mask, tables.route, chip, wires.start, wires.chip,
        wires.bits, *runs,
    )  # fmt: skip
    return Replay(int(walked), wrong, visits)


def _runs(keys: list[Array]) -> tuple[Array, Array, Array]:
    """Return keys as runs of consecutive ones."""
    start, first, count = [0], [], []
    for values in keys:
        cuts = np.flatnonzero(np.diff(values) != 1) + 1
        for piece in np.split(values, cuts) if len(values) else []:
            first.append(int(piece[0]))
            count.append(len(piece))
        start.append(len(first))
    return np.array(start, np.int64), np.array(first, np.int64), np.array(count, np.int64)
