"""What flows between nodes in a workspace: event streams, rasters and sums of a chunk of rows.

A row is one step of one sample. Where a network has delays, a buffer begins with `lead` rows of history.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spikeport.backends.engine.pack import LANES, SLACK, aligned, blocks_of

Array = npt.NDArray[np.generic]


@dataclass(slots=True)
class Stream:
    """Events of all rows in CSR form, ascending in canonical order.

    Parameters
    ----------
    indptr : array of int64, shape (rows + 1,)
    idx : array of int32
        Neuron of each event.
    val : array or None
        Value of each event; None where every value is 1 by construction.
    unit : bool
        Whether all values of the chunk are 1 (found while the stream was made).
    """

    indptr: Array
    idx: Array
    val: Array | None
    unit: bool = True

    @classmethod
    def empty(cls, rows: int, n: int, dtype: npt.DTypeLike | None) -> Stream:
        """Return a stream with room for every neuron in every row; memory is touched only where events are."""
        size = rows * n + SLACK
        return cls(np.zeros(rows + 1, np.int64), np.empty(size, np.int32), None if dtype is None else np.empty(size, dtype))

    def carry(self, rows: int, lead: int) -> None:
        """Move the last *lead* of *rows* rows to the front."""
        first = self.indptr[rows - lead]
        events = slice(int(first), int(self.indptr[rows]))
        count = events.stop - events.start
        self.idx[:count] = self.idx[events].copy()
        if self.val is not None:
            self.val[:count] = self.val[events].copy()
        self.indptr[: lead + 1] = self.indptr[rows - lead : rows + 1] - first

    def clear(self, lead: int) -> None:
        """Forget the history."""
        self.indptr[: lead + 1] = 0
        self.unit = True


@dataclass(slots=True)
class Signal:
    """Output of a node over a chunk, in the forms that its consumers read.

    Parameters
    ----------
    n : int
        Neurons.
    rows : int
        Rows of the buffers, history included.
    place : array of int32 or None
        Canonical index of each packed position; None where positions are canonical.
    words : array of uint64 or None
        Spikes, 64 neurons a word, canonical.
    counts : array or None
        Spikes a step of each neuron, packed positions, where a neuron may spike several times.
    dense : array or None
        Values, canonical, `width` a row.
    native : array or None
        Sums as a weighted node leaves them, packed positions.
    stream : Stream or None
        Non-zero values.
    """

    n: int
    rows: int
    place: Array | None = None
    words: Array | None = None
    counts: Array | None = None
    dense: Array | None = None
    native: Array | None = None
    stream: Stream | None = None
    trace: Array | None = None
    lag: int = 0
    width: int = field(init=False)
    blocks: int = field(init=False)

    def __post_init__(self) -> None:
        self.blocks = blocks_of(self.n)
        self.width = self.blocks * LANES

    def floats(self, dtype: npt.DTypeLike) -> Array:
        """Return a new buffer of a row of values for each row."""
        return aligned(self.rows * self.width, dtype)

    def carry(self, lead: int) -> None:
        """Move the last *lead* rows of every form to the front."""
        for array, pitch in self._rasters():
            tail = array[(self.rows - lead) * pitch : self.rows * pitch].copy()
            array[: lead * pitch] = tail
        if self.stream is not None:
            self.stream.carry(self.rows, lead)

    def clear(self, lead: int) -> None:
        """Forget the history."""
        for array, pitch in self._rasters():
            array[: lead * pitch] = 0
        if self.stream is not None:
            self.stream.clear(lead)

    def _rasters(self) -> list[tuple[Array, int]]:
        found = [(self.words, self.blocks), (self.counts, self.width), (self.dense, self.width), (self.native, self.width)]
        unique = {id(a): (a, pitch) for a, pitch in found if a is not None}
        return list(unique.values())


def canonical_of(signal: Signal, row: Array) -> Array:
    """Return values at packed positions, shape (rows, width), in canonical order, shape (rows, n)."""
    if signal.place is None:
        return row[:, : signal.n]
    out = np.empty((row.shape[0], signal.n), row.dtype)
    out[:, signal.place] = row[:, : signal.n]
    return out
