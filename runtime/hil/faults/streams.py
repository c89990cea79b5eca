"""Faults of a byte stream: what `proxy` does to one way of one connection, decided by positions alone.

A stream is a row of blocks of 64 bytes. Whether a fault strikes a block, and how, is drawn from the fault's text (its seed in
it), the number of the connection, the way and the number of the block: the same text does the same to the same positions,
however TCP cuts the stream into pieces and whenever those come.

=============  =======================================================================================================
delay          ms, p=1: with probability p a block leaves ms milliseconds after it came, and nothing overtakes it
drop           p: with probability p a block is left out; what comes behind it does arrive
corrupt        p, after=0: with probability p one bit of a block is turned over, in blocks that begin at *after* or later
duplicate      p, after=0: with probability p a block comes twice, once it is whole; blocks as with corrupt
truncate       after: the stream ends, in good order, behind its first *after* bytes; the other way goes on
half_open      after=0: behind its first *after* bytes nothing comes through, not even that the connection was closed
reset          after=0: behind the first *after* bytes of the way the whole connection is reset (RST) to both ends
=============  =======================================================================================================

Several faults act one behind the other, in the order of the text: positions are those of the stream that the one before gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Literal

from spikeport.runtime.hil.faults.spec import Fault

Way = Literal["up", "down"]
#: A piece of a stream, and the seconds that it has to wait.
Piece = tuple[float, bytes]
#: Bytes of a block.
BLOCK = 64


class Stage:
    """A fault in one way of one connection: pieces in, pieces out. Made by `stage_of`.

    ``over`` is the fault's name once nothing more comes through, and empty before.
    """

    def __init__(self, fault: Fault, connection: int, way: Way, strike: Callable[[str], None]) -> None:
        self.fault, self.over = fault, ""
        self._place, self._strike = f"{fault} {connection} {way}", strike
        self._at = 0

    def feed(self, piece: Piece) -> Iterator[Piece]:
        """Yield what becomes of *piece*, which comes next in the stream."""
        raise NotImplementedError

    def _blocks(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield the parts of *data* by block: number of the block, where in it the part begins, the part."""
        at = 0
        while at < len(data):
            block, inside = divmod(self._at, BLOCK)
            part = data[at : at + BLOCK - inside]
            self._at += len(part)
            at += len(part)
            yield block, inside, part

    def _drawn(self, block: int) -> int:
        """Return 64 bits for what happens in a struck block, or -1 where the block is not struck."""
        digest = hashlib.blake2b(f"{self._place} {block}".encode(), digest_size=16).digest()
        is_struck = int.from_bytes(digest[:8], "big") < self.fault.get("p", 1.0) * 2**64
        return int.from_bytes(digest[8:], "big") if is_struck and block * BLOCK >= self.fault.get("after", 0) else -1


class _Blocks(Stage):
    """delay, drop, corrupt, duplicate: what happens to single blocks."""

    _copy = b""

    def feed(self, piece: Piece) -> Iterator[Piece]:
        delay, data = piece
        for block, inside, part in self._blocks(data):
            drawn = self._drawn(block)
            if drawn < 0:
                yield delay, part
                continue
            if not inside:
                self._strike(self.fault.name)
            if self.fault.name == "delay":
                yield delay + self.fault.get("ms") / 1e3, part
            elif self.fault.name == "corrupt":
                yield delay, _flipped(part, drawn % (8 * BLOCK) - 8 * inside)
            elif self.fault.name == "duplicate":
                self._copy = part if not inside else self._copy + part
                yield delay, part + self._copy if len(self._copy) == BLOCK else part


class _Cut(Stage):
    """truncate, half_open, reset: what happens behind a position."""

    def feed(self, piece: Piece) -> Iterator[Piece]:
        delay, data = piece
        left = self.fault.get("after", 0) - self._at
        self._at += len(data)
        if left > 0:
            yield delay, data[:left]
        if len(data) >= left and not self.over:
            self.over = self.fault.name
            self._strike(self.over)


def stage_of(fault: Fault, connection: int, way: Way, strike: Callable[[str], None] = lambda name: None) -> Stage:
    """Return *fault* for one way of the connection with that number; *strike* is told its name whenever it strikes."""
    kind = _Cut if fault.name in ("truncate", "half_open", "reset") else _Blocks
    return kind(fault, connection, way, strike)


def _flipped(part: bytes, bit: int) -> bytes:
    """Return *part* with a bit turned over, unchanged where the bit is in another part of its block."""
    if not 0 <= bit < 8 * len(part):
        return part
    out = bytearray(part)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)
