"""A workspace: the memory of one thread for one chunk of rows, and the tables with offsets into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.backends.engine import columns as col
from spikeport.backends.engine import walk as kernels
from spikeport.backends.engine.layout import Array, Room, aligned
from spikeport.backends.engine.plan import Floats, Plan, Port
from spikeport.backends.engine.vec import LANES

#: Bytes of rows that a chunk may take: half of a common second-level cache, the rest is for weights.
CHUNK_BYTES = 1 << 20
#: Most rows and samples of a chunk.
MOST_ROWS, MOST_SAMPLES = 4096, 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """Size of a chunk: samples side by side, and steps of each."""

    samples: int
    steps: int


def chunk_size(plan: Plan, samples: int, steps: int, item: int, most_rows: int = MOST_ROWS) -> Chunk:
    """Return the chunk for a run of *samples* by *steps* with floats of *item* bytes, so that its rows stay in cache."""
    width = sum(LANES * p.blocks for p in plan.ports if p.values) * item + sum(p.n for p in plan.ports if p.stream)
    rows = max(1, min(most_rows, CHUNK_BYTES // max(1, width)))
    # History is copied from chunk to chunk: keep that small beside the work.
    length = min(steps, max(rows, min(4 * plan.lead, most_rows)))
    return Chunk(max(1, min(samples, MOST_SAMPLES, rows // max(1, length + plan.lead))), length)


class Workspace:
    """Memory and tables for chunks of at most one size.

    Parameters
    ----------
    plan : Plan
        What will run.
    chunk : Chunk
        Most samples and steps of a chunk.
    """

    def __init__(self, plan: Plan, chunk: Chunk) -> None:
        self.plan, self.chunk = plan, chunk
        self.pitch = plan.lead + chunk.steps
        rows = chunk.samples * self.pitch
        rooms = {"F": Room(plan.weights.dtype), "I": Room(np.int32), "U": Room(np.uint64), "L": Room(np.int64)}
        self.ports = np.full((len(plan.ports), col.PORT_COLUMNS), -1, np.int64)
        self.active: dict[str, tuple[int, Port]] = {}
        self.tallies: dict[str, int] = {}
        for port in plan.ports:  # counters of a run first, so that they can be kept apart from counters of rows
            if port.active:
                self.active[port.path] = (rooms["L"].take(port.blocks * LANES), port)
        for stage in plan.stages:
            if stage.counted is not None:
                self.tallies[stage.counted] = rooms["L"].take(1)
        self.counters = rooms["L"].size
        self._rows = rooms["L"].take(rows * len(plan.by_step))
        by_step = {key: self._rows + i * rows for i, key in enumerate(plan.by_step)}
        for row, port in zip(self.ports, plan.ports, strict=True):
            self._place(row, port, rooms, rows)
            row[col.EMITTED] = by_step.get((port.path, "spikes"), -1)
        self.stages = np.full((len(plan.stages), col.STAGE_COLUMNS), -1, np.int64)
        fields: dict[int, Mapping[int, int]] = {}
        for row, stage in zip(self.stages, plan.stages, strict=True):
            row[[col.OP, col.SOURCE, col.TARGET, col.DELAY]] = stage.op, stage.source.index, stage.target.index, stage.delay
            row[col.FAN_ALL] = 0
            placed: dict[int, int] = {}
            for column, value in stage.fields.items():
                if isinstance(value, Floats):
                    placed[column] = rooms["F"].take(value.count * (chunk.samples if value.each_sample else 1))
                    row[column] = placed[column]
                else:
                    row[column] = value
            fields[id(stage)] = placed
            if stage.counted is not None:
                row[col.SYNOPS], row[col.TALLY] = by_step[stage.counted, "synops"], self.tallies[stage.counted]
        starts = [(next(iter(self._states(fields[id(s)], s.fields))), w, size) for s, w, size in plan.starts]
        self.states = np.array(starts, np.int64).reshape(-1, 3)
        self.F, self.I, self.U, self.L = (aligned(rooms[name].size + LANES, rooms[name].dtype) for name in "FIUL")

    @staticmethod
    def _states(placed: Mapping[int, int], fields: Mapping[int, int | Floats]) -> list[int]:
        return [placed[c] for c, value in fields.items() if isinstance(value, Floats) and value.each_sample]

    def _place(self, row: Array, port: Port, rooms: Mapping[str, Room], rows: int) -> None:
        """Give *port* its memory and write its offsets into *row*."""
        cap = -(-port.n // 16) * 16 + 16
        row[[col.N, col.BLOCKS, col.CAP]] = port.n, port.blocks, cap
        row[[col.PLACE, col.CHANNEL, col.AMPLITUDE]] = port.place, port.channel, port.amplitude
        width = port.blocks * LANES
        if port.words:
            row[col.WORDS] = rooms["U"].take(rows * port.blocks)
        if port.values:
            row[col.VALUES] = rooms["F"].take(rows * width)
        if port.trace:
            row[col.TRACE] = row[col.VALUES] if port.trace_is_values else rooms["F"].take(rows * width)
        if port.stream:
            row[col.IDX] = rooms["I"].take(rows * cap)
            row[col.COUNT] = rooms["I"].take(rows)
            if port.amounts:
                row[col.AMOUNT] = rooms["F"].take(rows * cap)
                row[col.UNIT] = rooms["I"].take(rows)
            if port.packing is not None:
                row[col.CHANNELS] = port.packing.channels
                row[col.SCRATCH] = rooms["I"].take(port.packing.channels + 1 + port.n)
        if port.active:
            row[col.ACTIVE] = self.active[port.path][0]

    def frame(self, samples: int, steps: int) -> tuple[int, int, int, int, int]:
        """Return the frame of a chunk that fills *samples* and *steps* of the room."""
        return samples, self.pitch, self.plan.lead, 0, steps

    def reset(self) -> None:
        """Forget all counts."""
        self.L[: self.counters] = 0

    def begin(self, samples: int) -> None:
        """Forget the history."""
        if self.plan.lead:
            kernels.start(self.ports, self.F, self.I, self.U, self.L, self.frame(samples, 0))

    def walk(self, frame: tuple[int, int, int, int, int], *, origin: bool) -> None:
        """Take a chunk, whose inputs are in, through all stages."""
        plan = self.plan
        kernels.walk(
            self.stages, plan.groups, self.ports, plan.edges, self.F, self.I, self.U, self.L, plan.weights, plan.indices,
            self.states, origin, frame,
        )  # fmt: skip

    def go_on(self, frame: tuple[int, int, int, int, int]) -> None:
        """Make ready for the next chunk of the same samples; what is recorded must be copied out before."""
        if self.plan.lead:
            kernels.go_on(self.ports, self.F, self.I, self.U, self.L, frame)

    def by_step(self) -> Array:
        """Return the counters of rows as (plan.by_step, samples, lead + steps), a view."""
        count, samples = len(self.plan.by_step), self.chunk.samples
        return self.L[self._rows : self._rows + count * samples * self.pitch].reshape(count, samples, self.pitch)
