"""A workspace: the memory for one chunk of rows, of one thread or several that share it, and tables of offsets into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.backends.engine import columns as col
from spikeport.backends.engine.layout import Array, Room, address, aligned
from spikeport.backends.engine.plan import Floats, Plan
from spikeport.backends.engine.ports import Port
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
    length = min(max(1, steps), max(rows, min(4 * plan.lead, most_rows)))
    return Chunk(max(1, min(samples, MOST_SAMPLES, rows // max(1, length + plan.lead))), length)


class Workspace:
    """Memory and tables for chunks of at most one size.

    Parameters
    ----------
    plan : Plan
        What will run.
    chunk : Chunk
        Most samples and steps of a chunk.
    parts : int
        Threads that may take a chunk together; each has counters and scratch room of its own.
    """

    def __init__(self, plan: Plan, chunk: Chunk, parts: int = 1) -> None:
        self.plan, self.chunk, self.parts = plan, chunk, parts
        self.pitch = plan.lead + chunk.steps
        self._rows = chunk.samples * self.pitch
        self._rooms = {"F": Room(plan.weights.dtype), "I": Room(np.int32), "U": Room(np.uint64), "L": Room(np.int64)}
        self.active: dict[str, tuple[int, Port]] = {}
        self.tallies: dict[str, int] = {}
        for port in plan.ports:
            if port.active:
                self.active[port.path] = (self._rooms["L"].take(port.blocks * LANES), port)
        for stage in plan.stages:
            if stage.counted is not None:
                self.tallies[stage.counted] = self._rooms["L"].take(1)
        # Counters of a run come first, one set for each part; then those of rows.
        self.counters = self._rooms["L"].size
        self._rooms["L"].take(self.counters * (parts - 1))
        self._by_step = self._rooms["L"].take(self._rows * len(plan.by_step))
        self._row_of = {key: self._by_step + i * self._rows for i, key in enumerate(plan.by_step)}
        tables = [(self._port_table(), self._stage_table())]
        tables += [self._own(tables[0], part) for part in range(1, parts)]
        rooms = self._rooms
        self.F, self.I, self.U, self.L = (aligned(rooms[name].size + LANES, rooms[name].dtype) for name in "FIUL")
        #: Floats of no length: what the kernels' floats are like.
        self.like = np.zeros(0, plan.weights.dtype)
        self.sync = np.zeros(2 * LANES, np.int64)
        self._kept = (tables, self._state_table(tables[0][1]))
        self.desks = [self._desk(ports, stages) for ports, stages in tables]

    def _port_table(self) -> Array:
        table = np.full((len(self.plan.ports), col.PORT_COLUMNS), -1, np.int64)
        for row, port in zip(table, self.plan.ports, strict=True):
            self._place(row, port)
            row[col.EMITTED] = self._row_of.get((port.path, "spikes"), -1)
        return table

    def _place(self, row: Array, port: Port) -> None:
        """Give *port* its memory and write its offsets into *row*."""
        rooms, rows = self._rooms, self._rows
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
        if port.currents:
            row[col.CURRENTS] = rooms["F"].take(rows * width)
        if port.stream:
            row[col.IDX] = rooms["I"].take(rows * cap)
            row[col.COUNT] = rooms["I"].take(rows)
            if port.amounts:
                row[col.AMOUNT] = rooms["F"].take(rows * cap)
                row[col.UNIT] = rooms["I"].take(rows)
            if port.packing is not None:
                row[col.CHANNELS] = port.packing.channels
                row[col.SCRATCH] = self._sorting(port)
        if port.active:
            row[col.ACTIVE] = self.active[port.path][0]

    def _sorting(self, port: Port) -> int:
        return self._rooms["I"].take(port.packing.channels + 1 + port.n) if port.packing is not None else -1

    def _stage_table(self) -> Array:
        table = np.full((len(self.plan.stages), col.STAGE_COLUMNS), -1, np.int64)
        for row, stage in zip(table, self.plan.stages, strict=True):
            row[[col.OP, col.SOURCE, col.TARGET, col.DELAY]] = stage.op, stage.source.index, stage.target.index, stage.delay
            row[col.FAN_ALL] = 0
            for column, value in stage.fields.items():
                row[column] = self._floats(value) if isinstance(value, Floats) else value
            if stage.counted is not None:
                row[col.SYNOPS], row[col.TALLY] = self._row_of[stage.counted, "synops"], self.tallies[stage.counted]
        return table

    def _floats(self, need: Floats) -> int:
        return self._rooms["F"].take(need.count * (self.chunk.samples if need.each_sample else 1))

    def _own(self, tables: tuple[Array, Array], part: int) -> tuple[Array, Array]:
        """Return the tables of another part: counters and scratch room of its own, the rest shared."""
        ports, stages = (table.copy() for table in tables)
        for row, port in zip(ports, self.plan.ports, strict=True):
            if port.active:
                row[col.ACTIVE] += part * self.counters
            if port.stream and port.packing is not None:
                row[col.SCRATCH] = self._sorting(port)
        for row, stage in zip(stages, self.plan.stages, strict=True):
            if stage.counted is not None:
                row[col.TALLY] += part * self.counters
            for column, value in stage.fields.items():
                if isinstance(value, Floats) and not value.each_sample:
                    row[column] = self._floats(value)
        return ports, stages

    def _state_table(self, stages: Array) -> Array:
        row_of = {id(stage): row for stage, row in zip(self.plan.stages, stages, strict=True)}
        found = []
        for stage, start, size in self.plan.starts:
            (column,) = (c for c, value in stage.fields.items() if isinstance(value, Floats) and value.each_sample)
            found.append((row_of[id(stage)][column], start, size))
        return np.array(found, np.int64).reshape(-1, col.STATE_COLUMNS)

    def _desk(self, ports: Array, stages: Array) -> Array:
        plan, states = self.plan, self._kept[1]
        desk = np.zeros(col.AT_SYNC + 1, np.int64)
        for column, array in (
            (col.AT_F, self.F), (col.AT_I, self.I), (col.AT_U, self.U), (col.AT_L, self.L), (col.AT_W, plan.weights),
            (col.AT_WI, plan.indices), (col.AT_STAGES, stages), (col.AT_GROUPS, plan.groups), (col.AT_PORTS, ports),
            (col.AT_EDGES, plan.edges), (col.AT_STATES, states), (col.AT_SYNC, self.sync),
        ):  # fmt: skip
            desk[column] = address(array)
        for column, number in (
            (col.GROUPS, len(plan.groups)), (col.PORTS, len(ports)), (col.STATES, len(states)), (col.PITCH, self.pitch),
            (col.LEAD, plan.lead), (col.CHUNK, self.chunk.steps), (col.ROOM, self.chunk.samples), (col.BY_STEP, self._by_step),
        ):  # fmt: skip
            desk[column] = number
        return desk

    def reset(self) -> None:
        """Forget all counts, and a sign to halt."""
        self.sync[:] = 0
        self.L[: self.parts * self.counters] = 0

    def meet(self) -> None:
        """Set the counter by which parts wait for each other to its start; none of them may be under way."""
        self.sync[0] = 0

    def halt(self) -> None:
        """End what is going on here: no thread waits for another any more; each ends its stretch and takes no further one."""
        self.sync[col.HALT] = 1

    def is_halted(self) -> bool:
        """Whether the run has been ended."""
        return bool(self.sync[col.HALT])

    def counted(self) -> Array:
        """Return a copy of the counters of a run, those of all parts added up."""
        found = self.L[: self.parts * self.counters].reshape(self.parts, self.counters)
        return found[0].copy() if self.parts == 1 else found.sum(axis=0)
