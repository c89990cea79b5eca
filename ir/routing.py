"""Routing: the machine of chips and links, who sends under which key, the trees of packets, and the tables of the routers.

Links are numbered as SpiNNaker does: 0 east (+1, 0), 1 north-east (+1, +1), 2 north (0, +1), 3 west (-1, 0),
4 south-west (-1, -1), 5 south (0, -1). A *route* is an int: bits 0 to 5 are links, bit ``6 + p`` is processor p of the
chip. A packet matches the first entry of a table with ``packet & mask == key``; without one it goes straight on, out of the
link opposite to that by which it came (the default route).
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.ir.ops import Array

#: Half-open range of indices on each axis of a population's shape.
Box = tuple[tuple[int, int], ...]

#: Step on the grid of chips that each link takes.
LINKS: tuple[tuple[int, int], ...] = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
#: Bits of a route below those of the processors.
LINK_BITS = 6
#: Most processors of a chip that a route has room for: 24 bits in all.
MAX_PROCESSORS = 18


def opposite(link: int) -> int:
    """Return the link by which a packet arrives that was sent out by *link*."""
    return (link + 3) % 6


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """Chips, their working cores and links. Chip 0 is where a host is connected; processor 0 is the monitor.

    Core ``c`` of a program is processor ``c % stride + 1`` of chip ``c // stride``, so that a dead core leaves a gap in the
    numbers and moves none.

    Parameters
    ----------
    name : str
        For reports, such as ``SpiNN-5 board``.
    width, height : int
        Extent of the grid; links wrap around it where a chip is at their other end.
    xy : array of int64, shape (chips, 2)
        Place of each chip.
    cores : array of int64, shape (chips,)
        Bit p is set where processor p works and is free for the program.
    links : array of int64, shape (chips, 6)
        Chip at the other end of each link, -1 where there is none or it is dead.
    board : array of int64, shape (chips,)
        Board of each chip.
    stride : int
        Distance of the core numbers of neighbouring chips.
    """

    name: str
    width: int
    height: int
    xy: Array
    cores: Array
    links: Array
    board: Array
    stride: int

    @property
    def chips(self) -> int:
        """Number of chips."""
        return len(self.xy)

    @property
    def boards(self) -> int:
        """Number of boards."""
        return int(self.board.max(initial=-1)) + 1

    def at(self, x: int, y: int) -> int | None:
        """Return the chip at (x, y); None where none works."""
        found = np.flatnonzero((self.xy[:, 0] == x) & (self.xy[:, 1] == y))
        return int(found[0]) if found.size else None

    def processors(self, chip: int) -> tuple[int, ...]:
        """Return the working processors of *chip* that are free for the program."""
        return tuple(p for p in range(MAX_PROCESSORS) if int(self.cores[chip]) >> p & 1)

    def place(self, core: int) -> tuple[int, int]:
        """Return (chip, processor) of a core's number."""
        return core // self.stride, core % self.stride + 1

    def number(self, chip: int, processor: int) -> int:
        """Return the number of a core from its chip and processor."""
        return chip * self.stride + processor - 1


def key_bits(box: Box, blocks: tuple[int, ...] = ()) -> int:
    """Return how many bits of a key number the neurons of *box* and, above them, the *blocks* of a delay slice."""
    size = math.prod(stop - start for start, stop in box)
    return (size - 1).bit_length() + (max(blocks, default=1) - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Sender:
    """What sends packets: a slice of a population, a piece of an input, or the delay slice of one of these.

    Neuron n of its box (in C order) sends ``key | n``. A delay slice listens to a slice and sends what it heard again
    later: after ``delay_steps * b`` steps, for every b in ``delay_blocks``, as ``key | (b - 1) << width | n``, where
    ``width`` are the bits of n.

    Parameters
    ----------
    path : str
        Population or input.
    box : Box
        Its neurons.
    chip, processor : int
        Where it lies.
    core : int
        The same as one number, as in `Slice`.
    key, mask : int
        All its packets, and those of nobody else, have ``packet & mask == key``.
    slice : int
        Index of the slice in the program; -1 for an input.
    delay_blocks : tuple of int
        Blocks of ``delay_steps`` by which a delay slice delays; none for what sends at once.
    delay_steps : int
        Steps of a block; 0 for what sends at once.
    """

    path: str
    box: Box
    chip: int
    processor: int
    core: int
    key: int
    mask: int
    slice: int = -1
    delay_blocks: tuple[int, ...] = ()
    delay_steps: int = 0

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(stop - start for start, stop in self.box)

    @property
    def where(self) -> tuple[builtins.slice, ...]:
        """The box as an index into an array of the population's shape."""
        return tuple(builtins.slice(start, stop) for start, stop in self.box)

    @property
    def width(self) -> int:
        """Bits of the key that number the neurons."""
        return key_bits(self.box)

    def keys(self) -> Array:
        """Return all keys that it can send, ascending, as int64."""
        neurons = np.arange(self.size, dtype=np.int64)
        if not self.delay_blocks:
            return self.key + neurons
        return np.concatenate([self.key + ((b - 1) << self.width) + neurons for b in sorted(self.delay_blocks)])


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Multicast trees: row r of sender s, ``start[s] <= r < start[s + 1]``, is a chip that its packets visit, root first.

    Parameters
    ----------
    start : array of int64, shape (senders + 1,)
        First row of each sender; no rows for one to which nobody listens.
    chip : array of int64
        Chip.
    arrives : array of int64
        Link by which packets come in; -1 at the root.
    route : array of int64
        Links and processors by which they go on.
    """

    start: Array
    chip: Array
    arrives: Array
    route: Array

    def visits(self) -> Array:
        """Return how many routers a packet of each sender visits, the first one included."""
        return np.diff(self.start)

    def senders(self) -> Array:
        """Return the sender of each row."""
        return np.repeat(np.arange(len(self.start) - 1), self.visits())


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a routing table.

    Parameters
    ----------
    key, mask : int
        Matches packets with ``packet & mask == key``; 32 bits.
    route : int
        Links and processors.
    defaultable : bool
        Whether all packets that it is for would go the same way without it.
    """

    key: int
    mask: int
    route: int
    defaultable: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """Routing tables of all chips, one after the other, each in order of precedence.

    Parameters
    ----------
    start : array of int64, shape (chips + 1,)
        First entry of each chip.
    key, mask, route : array of int64
        Of each entry.
    defaultable : array of bool
        See `Entry`.
    """

    start: Array
    key: Array
    mask: Array
    route: Array
    defaultable: Array

    def sizes(self) -> Array:
        """Return the number of entries of each chip."""
        return np.diff(self.start)

    def of(self, chip: int) -> tuple[Entry, ...]:
        """Return the table of *chip*."""
        rows = range(int(self.start[chip]), int(self.start[chip + 1]))
        return tuple(Entry(int(self.key[r]), int(self.mask[r]), int(self.route[r]), bool(self.defaultable[r])) for r in rows)


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """How the packets of a program find their way.

    Parameters
    ----------
    machine : Machine
        What it was routed on.
    senders : tuple of Sender
        All that send, or take a core to do so.
    trees : Trees
        By sender.
    tables : Tables
        As the trees ask for them: an entry for every population, or part of one, that takes the same way through a chip.
    compressed : Tables
        What is loaded: the same ways for all packets that can come, in fewer entries, default routes used.
    """

    machine: Machine
    senders: tuple[Sender, ...]
    trees: Trees
    tables: Tables
    compressed: Tables

    @property
    def cores(self) -> tuple[int, ...]:
        """Numbers of the cores that senders take: those of slices, of inputs and of delay slices."""
        return tuple(sorted({s.core for s in self.senders}))

    def packets(self, activity: Mapping[str, Array]) -> Array:
        """Return the packets of every sender that somebody hears, (senders,) float64.

        *activity* is the spikes of each neuron, by population and input. A delay slice sends one for each block that it waits.
        """
        spikes = [float(np.sum(activity[s.path][s.where])) * max(1, len(s.delay_blocks)) for s in self.senders]
        return np.where(self.trees.visits() > 0, spikes, 0.0)
