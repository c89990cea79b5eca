"""How values lie in memory: rows of 64-neuron blocks, packed orders of populations, and pools that hold all arrays.

A *row* is one step of one sample. A node's values of a row take a whole number of blocks of 64, padded behind the last
neuron. Kernels get one flat array for each type and offsets into it, so that one compiled function serves any network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeport.backends.engine.vec import LANES
from spikeport.ir.diagnostics import Diagnostic, RunError

Array = npt.NDArray[Any]

#: Bytes of a cache line; arrays and offsets are aligned to it.
LINE = 64


def blocks_of(n: int) -> int:
    """Return the number of 64-neuron blocks that *n* neurons take."""
    return -(-n // LANES)


def aligned(size: int, dtype: npt.DTypeLike) -> Array:
    """Return an array of *size* zeros that begins at a cache line; memory is taken only where it is written."""
    item = np.dtype(dtype).itemsize
    raw = np.zeros(size * item + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size * item].view(dtype)


def address(array: Array) -> int:
    """Return where the first element of *array* lies in memory."""
    found: int = array.__array_interface__["data"][0]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Order of a feature map in memory: position by position, the channels of a position side by side.

    A convolution adds the weights of all output channels at once; so they lie together. The canonical order (C order of
    the shape, channel first) is what sums and recordings follow.

    Parameters
    ----------
    channels, positions : int
        Of the map; 64-neuron blocks run over ``position * channels + channel``.
    """

    channels: int
    positions: int

    @property
    def place(self) -> Array:
        """Canonical index of each packed position: int32, shape (neurons,)."""
        grid = np.arange(self.channels * self.positions, dtype=np.int32).reshape(self.channels, self.positions)
        return np.ascontiguousarray(grid.T).reshape(-1)

    @property
    def channel(self) -> Array:
        """Channel of each packed position: int32, shape (neurons,)."""
        return np.tile(np.arange(self.channels, dtype=np.int32), self.positions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packing) and (self.channels, self.positions) == (other.channels, other.positions)

    def __hash__(self) -> int:
        return hash((self.channels, self.positions))


def packed(values: Array, packing: Packing | None) -> Array:
    """Return the canonical *values* (any shape) flat and in packed order."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return flat if packing is None else flat[packing.place]


def padded(values: Array, fill: float = 0.0) -> Array:
    """Return flat *values* filled up to whole blocks."""
    out = np.full(blocks_of(values.size) * LANES, fill, values.dtype)
    out[: values.size] = values
    return out


def permutation(source: Packing | None, target: Packing | None, n: int) -> Array | None:
    """Return the packed position in *source* of each packed position in *target*: int32; None where they agree."""
    if source == target:
        return None
    canonical = np.arange(n, dtype=np.int32) if target is None else target.place
    if source is None:
        return canonical
    where = np.empty(n, np.int32)
    where[source.place] = np.arange(n, dtype=np.int32)
    return where[canonical]


class Pool:
    """Read-only arrays of one type, gathered into a single one; each begins at a cache line."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.parts: list[tuple[int, Array]] = []
        self.size = 0

    def add(self, values: Array) -> int:
        """Keep *values* and return their offset.

        Raises
        ------
        RunError
            E802 where whole numbers do not fit the pool: a connection of more than 2^31 weights.
        """
        most = int(np.max(values)) if self.dtype.kind == "i" and values.size else 0
        if most > np.iinfo(np.int32).max:
            raise RunError(
                Diagnostic("E802", "", f"a connection has {most:,} weights or more; the engine holds 2,147,483,647 of one",
                           "split the layer")
            )  # fmt: skip
        offset = self.size
        self.parts.append((offset, np.asarray(values, self.dtype).reshape(-1)))
        line = LINE // self.dtype.itemsize
        self.size += -(-values.size // line) * line
        return offset

    def array(self) -> Array:
        """Return all that was added as one array; a block beyond the end may be read, so there is one."""
        out = aligned(self.size + LANES, self.dtype)
        for offset, values in self.parts:
            out[offset : offset + values.size] = values
        return out


class Room:
    """Sizes of the writeable arrays of one type, counted before there is memory behind them."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0

    def take(self, count: int) -> int:
        """Return the offset of *count* new elements."""
        offset = self.size
        line = LINE // self.dtype.itemsize
        self.size += -(-count // line) * line
        return offset
