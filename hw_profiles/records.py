"""The records that a target consists of: fabric, encodings of synapses, cost sets, step time, input and output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from spikeport.ir.ops import Array
from spikeport.ir.units import Quantity

#: Resources of a core that a target may limit, each with its unit and meaning.
CORE_RESOURCES: dict[str, tuple[str, str]] = {
    "neurons": ("1", "neurons"),
    "in_axons": ("1", "input axons: presynaptic neurons that a core listens to"),
    "out_axons": ("1", "output axons: pairs of a neuron and a core that it sends to"),
    "fan_in": ("1", "synapses of one neuron"),
    "synapse_memory": ("B", "synapse memory"),
    "local_memory": ("B", "local memory"),
    "neuron_configs": ("1", "different sets of time constants and refractory periods"),
    "threshold_configs": ("1", "different thresholds"),
    "synapse_configs": ("1", "different synapse formats"),
}
#: Resources of a chip.
CHIP_RESOURCES: dict[str, tuple[str, str]] = {
    "sdram": ("B", "shared memory of the chip"),
    "router_entries": ("1", "entries of the routing table"),
}
RESOURCES = CORE_RESOURCES | CHIP_RESOURCES

#: Events that a cost set may price.
EVENTS: dict[str, str] = {
    "synop": "synaptic operation",
    "synop_dense": "synaptic operation of densely stored weights",
    "synop_sparse": "synaptic operation of sparsely stored weights",
    "synop_conv": "synaptic operation of a shared kernel",
    "update": "update of a neuron",
    "update_active": "update of a neuron that receives or spikes",
    "update_inactive": "update of an idle neuron",
    "soma_access": "access to a neuron",
    "soma_update": "update of a neuron, beside its access",
    "soma_spike": "spike of a neuron, beside its update",
    "packet_out": "packet sent by a core",
    "packet_in": "packet received by a core",
    "tile_spike": "delivery of a packet within a tile",
    "hop_ew": "hop of a packet to the east or west",
    "hop_ns": "hop of a packet to the north or south",
    "packet_router": "visit of a packet to a router",
}


@dataclass(frozen=True, slots=True)
class Dead:
    """What of a machine does not work.

    Parameters
    ----------
    chips : tuple of (x, y)
        Whole chips, with all of their links.
    cores : tuple of (x, y, processor)
        Single cores.
    links : tuple of (x, y, link)
        Links, 0 east to 5 south; both directions are left alone.
    """

    chips: tuple[tuple[int, int], ...] = ()
    cores: tuple[tuple[int, int, int], ...] = ()
    links: tuple[tuple[int, int, int], ...] = ()

    def __or__(self, other: Dead) -> Dead:
        """Return what is dead in either."""
        return Dead(
            tuple(sorted({*self.chips, *other.chips})), tuple(sorted({*self.cores, *other.cores})),
            tuple(sorted({*self.links, *other.links})),
        )  # fmt: skip

    def __bool__(self) -> bool:
        """Whether anything is dead."""
        return bool(self.chips or self.cores or self.links)


@dataclass(frozen=True, slots=True)
class Fabric:
    """Cores, tiles and chips, and how packets travel between them.

    Parameters
    ----------
    kind : {"mesh"}
        Grid of tiles; the chips form a grid too, and a hop between chips counts as a hop between tiles.
    casting : {"unicast", "multicast"}
        Whether a spike is one packet for every core that needs it, or one packet that the routers copy.
    tiles : (Quantity, Quantity)
        Tiles of a chip in x and y.
    cores_per_tile, cores_per_chip : Quantity
        Usable cores.
    chips_per_board : Quantity or None
        Where chips come on boards.
    positions : tuple of (x, y)
        Places of a board's chips on its grid; empty where chips form a square by themselves.
    fewer_cores : tuple of (x, y)
        Places whose chip has one core fewer.
    model : str
        How distances are counted, for the report.
    tables : {"none", "ternary"}
        Whether the mapper makes routing tables: lines of a key and a mask with bits that do not matter.
    dead : Dead
        What does not work.
    """

    kind: Literal["mesh"]
    casting: Literal["unicast", "multicast"]
    tiles: tuple[Quantity, Quantity]
    cores_per_tile: Quantity
    cores_per_chip: Quantity
    chips_per_board: Quantity | None
    positions: tuple[tuple[int, int], ...]
    fewer_cores: tuple[tuple[int, int], ...]
    model: str
    tables: Literal["none", "ternary"] = "none"
    dead: Dead = Dead()

    @property
    def stride(self) -> int:
        """Distance of the core indices of neighbouring chips."""
        return int(self.cores_per_chip.value or 1)

    def cores_of(self, chip: int) -> int:
        """Return the usable cores of *chip*."""
        short = bool(self.positions) and self.positions[chip % len(self.positions)] in self.fewer_cores
        return self.stride - short

    def boards(self, chips: int) -> int | None:
        """Return the boards that *chips* chips need; None where there are no boards."""
        return None if self.chips_per_board is None else math.ceil(chips / int(self.chips_per_board.value or 1))

    def tile_of(self, cores: Array) -> Array:
        """Return the index of the tile of each core, counted over all chips."""
        per_chip = int(self.tiles[0].value or 1) * int(self.tiles[1].value or 1)
        return cores // self.stride * per_chip + cores % self.stride // int(self.cores_per_tile.value or 1)

    def coordinates(self, cores: Array, chips: int) -> tuple[Array, Array]:
        """Return the grid coordinates (x, y) of the tile of each core on a machine of *chips* chips."""
        wide, high = int(self.tiles[0].value or 1), int(self.tiles[1].value or 1)
        chip = cores // self.stride
        tile = cores % self.stride // int(self.cores_per_tile.value or 1)
        if self.positions:
            places = np.array(self.positions)
            size = places.max(axis=0) + 1
            board, seat = chip // len(places), chip % len(places)
            return places[seat, 0] + size[0] * board + tile * 0, places[seat, 1] + 0 * tile
        columns = max(1, math.ceil(math.sqrt(chips)))
        return chip % columns * wide + tile % wide, chip // columns * high + tile // wide


@dataclass(frozen=True, slots=True)
class Encoding:
    """How synapses lie in memory.

    An axon with n weights takes ``row_bits`` and, for every block of ``block`` weights, ``header_bits`` and
    ``n * (weight bits + index_bits + delay bits)``, rounded up to ``word_bits``. A synapse has delay bits where its
    connection waits for more than one step, which every spike takes: as many as the steps beyond it need.

    Parameters
    ----------
    name : {"dense", "sparse", "shared"}
        Every neuron of the slice has a place; only non-zero weights have one; a kernel is stored once a core.
    index_bits, header_bits, block, word_bits, row_bits : Quantity
        As in the formula.
    delay_bits : Quantity or None
        Most bits that a delay takes; None where delays are stored in ``index_bits`` or elsewhere.
    """

    name: Literal["dense", "sparse", "shared"]
    index_bits: Quantity
    header_bits: Quantity
    block: Quantity
    word_bits: Quantity
    row_bits: Quantity
    delay_bits: Quantity | None = None

    def bits(self, weights: Array, weight_bits: int, delay: int = 0) -> int:
        """Return the bits of axons with the given numbers of *weights*, whose connection waits *delay* steps."""
        each, header = weight_bits + int(self.index_bits.value or 0), int(self.header_bits.value or 0)
        if self.delay_bits is not None and delay > 1:
            each += min(int(self.delay_bits.value or 0), (delay - 1).bit_length())
        word, block = int(self.word_bits.value or 1), int(self.block.value or 1)
        counts = np.asarray(weights, np.int64)
        full, rest = counts // block, counts % block
        whole = -(-(block * each + header) // word) * word
        last = np.where(rest > 0, -(-(rest * each + header) // word) * word, 0)
        return int((full * whole + last).sum()) + int(self.row_bits.value or 0) * int(counts.size)


@dataclass(frozen=True, slots=True)
class CostSet:
    """Energy and time of events, from one source of numbers.

    Parameters
    ----------
    name : str
        Such as ``published`` or ``calibrated``.
    energy, time : Mapping[str, Quantity]
        Of each event, in J and s.
    """

    name: str
    energy: Mapping[str, Quantity] = field(default_factory=dict)
    time: Mapping[str, Quantity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cycles:
    """What a processor that simulates neurons takes of its clock.

    Parameters
    ----------
    clock : Quantity
        In Hz.
    neuron, synapse : Quantity
        Cycles of a neuron's update in a step, and of a synaptic event.
    """

    clock: Quantity
    neuron: Quantity
    synapse: Quantity


@dataclass(frozen=True, slots=True)
class StepTime:
    """What bounds a step from below.

    Parameters
    ----------
    fixed : Quantity or None
        Length of a step where a timer sets it.
    barriers : Mapping[str, tuple of (tiles, Quantity)]
        Synchronisation by the number of tiles, for each cost set, ascending.
    cycles : Cycles or None
        Of the cores, where they are processors that must be done within ``fixed``.
    """

    fixed: Quantity | None
    barriers: Mapping[str, tuple[tuple[int, Quantity], ...]]
    cycles: Cycles | None = None

    @property
    def budget(self) -> float | None:
        """Cycles that a core has in a step; None where no timer sets it or no clock is known."""
        if self.fixed is None or self.fixed.value is None or self.cycles is None or self.cycles.clock.value is None:
            return None
        return self.fixed.value * self.cycles.clock.value

    def barrier(self, cost_set: str, tiles: int) -> Quantity | None:
        """Return the time of the barrier over *tiles* tiles, linear between the given points, constant beyond."""
        points = self.barriers.get(cost_set, ())
        if not points or any(q.value is None for _, q in points):
            return None
        value = float(np.interp(tiles, [n for n, _ in points], [q.value or 0.0 for _, q in points]))
        return Quantity(value, "s", points[0][1].kind, points[0][1].source)


@dataclass(frozen=True, slots=True)
class IoCase:
    """A network that was measured while a host, or the chip's own processors, fed and read it at every step.

    Parameters
    ----------
    values_in, values_out : int
        Inputs and outputs of the network: the most values that a step exchanges.
    step : Quantity
        Length of its step, in s, which input and output set.
    """

    values_in: int
    values_out: int
    step: Quantity


@dataclass(frozen=True, slots=True)
class HostIo:
    """How many values a step can enter and leave a chip, and how long that takes.

    Parameters
    ----------
    values_in, values_out : Quantity
        Most values of a step and a chip; unknown where nobody published them.
    measured : tuple of IoCase
        What was measured. Time for other networks is unknown; it is not interpolated.
    """

    values_in: Quantity
    values_out: Quantity
    measured: tuple[IoCase, ...] = ()

    @property
    def span(self) -> tuple[float, float] | None:
        """Shortest and longest measured step, in s."""
        found = [case.step.value for case in self.measured if case.step.value is not None]
        return (min(found), max(found)) if found else None
