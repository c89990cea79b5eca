"""The walk: one compiled function that takes samples through all stages, chunk by chunk, without coming back to Python.

Several threads may take the same samples together: each calls the function with its own number, they share out rows or
blocks of every stage, and wait for each other behind it. Which thread computes what changes no sum, so no bit.
"""

import hashlib
from pathlib import Path

import numpy as np
from numba import from_dtype, njit, types

from spikeport.backends.engine.border import show, take_in
from spikeport.backends.engine.columns import (
    AT_EDGES,
    AT_F,
    AT_GROUPS,
    AT_I,
    AT_L,
    AT_PORTS,
    AT_STAGES,
    AT_STATES,
    AT_SYNC,
    AT_U,
    AT_W,
    AT_WI,
    BY_STEP,
    CHUNK,
    CONV,
    COUNT_SPIKES,
    COUNT_VALUES,
    DENSE,
    DENSE_NEURON,
    EVENTS_OF_VALUES,
    EVENTS_OF_WORDS,
    GATHER,
    GROUP_COLUMNS,
    GROUPS,
    HALT,
    LAG,
    LEAD,
    NARROW_DENSE,
    NEURON,
    OP,
    PITCH,
    POOL,
    PORTS,
    ROOM,
    SCALE,
    SPARSE,
    STAGE_COLUMNS,
    STATES,
    THRESHOLD,
    VALUES_OF_WORDS,
)
from spikeport.backends.engine.dense import dense, dense_neuron
from spikeport.backends.engine.elements import gather, lag, neuron, scale, threshold
from spikeport.backends.engine.events import (
    count_spikes,
    count_values,
    events_of_values,
    events_of_words,
    values_of_words,
)
from spikeport.backends.engine.frame import INLINE, OPTIONS, one_step, share_rows
from spikeport.backends.engine.history import carry, forget, set_out
from spikeport.backends.engine.narrow import narrow_dense
from spikeport.backends.engine.scatter import conv, pool, sparse
from spikeport.backends.engine.vec import (
    arrive,
    at,
    floats_at,
    int32_at,
    int64_at,
    past,
    pointer,
    seen,
    uint64_at,
)

#: Looks at the others' counter before the core is offered to somebody else.
PATIENCE = 4000
sched_yield = types.ExternalFunction("sched_yield", types.int32())


@njit(**OPTIONS)
def wait(sync, target):
    """Wait until the counter at `sync` has reached `target`; the sign to halt behind it ends all waiting."""
    looks = 0
    while seen(sync) < target and seen(past(sync, HALT)) == 0:
        looks += 1
        if looks >= PATIENCE:
            sched_yield()
            looks = 0


@njit(**INLINE)
def together(sync, target, parts):
    """Wait for all parts; return the counter's next target, or -1 where the run was halted: rows may be half done then."""
    if parts > 1:
        arrive(sync)
        wait(sync, target)
        if seen(past(sync, HALT)) != 0:
            return np.int64(-1)
    return target + parts


@njit(**OPTIONS)
def do(stage, ports, edges, F, I, U, L, W, WI, frame):
    """Do one stage for the rows of *frame*."""
    op = stage[OP]
    if frame[6] > 1 and op not in (DENSE, DENSE_NEURON, NARROW_DENSE, NEURON, GATHER):
        frame = share_rows(frame)
    if op == DENSE_NEURON:
        dense_neuron(stage, ports, F, I, U, L, W, WI, frame)
    elif op == DENSE:
        dense(stage, ports, F, I, L, W, WI, frame)
    elif op == EVENTS_OF_WORDS:
        events_of_words(stage, ports, F, I, U, L, W, WI, frame)
    elif op == NEURON:
        neuron(stage, ports, F, U, W, frame)
    elif op == GATHER:
        gather(stage, ports, edges, F, WI, frame)
    elif op == CONV:
        conv(stage, ports, F, I, L, W, WI, frame)
    elif op == POOL:
        pool(stage, ports, F, I, WI, frame)
    elif op == SPARSE:
        sparse(stage, ports, F, I, L, W, WI, frame)
    elif op == EVENTS_OF_VALUES:
        events_of_values(stage, ports, F, I, U, L, WI, frame)
    elif op == VALUES_OF_WORDS:
        values_of_words(stage, ports, F, U, W, frame)
    elif op == COUNT_VALUES:
        count_values(stage, ports, F, U, L, frame)
    elif op == COUNT_SPIKES:
        count_spikes(stage, ports, F, U, L, W, frame)
    elif op == THRESHOLD:
        threshold(stage, ports, F, U, W, frame)
    elif op == SCALE:
        scale(stage, ports, F, W, frame)
    elif op == LAG:
        lag(stage, ports, F, WI, frame)
    elif op == NARROW_DENSE:
        narrow_dense(stage, ports, F, I, U, L, W, WI, frame)


@njit(**INLINE)
def stages_of(group, stages, ports, edges, F, I, U, L, W, WI, frame, sync, target):
    """Do the stages of a group for the rows of a chunk, one after the other or, in a loop, step by step."""
    parts = frame[6]
    if group[2]:
        for t in range(frame[3], frame[4]):
            for n in range(group[0], group[1]):
                do(past(stages, n * STAGE_COLUMNS), ports, edges, F, I, U, L, W, WI, one_step(frame, t))
                target = together(sync, target, parts)
                if target < 0:
                    return target
    else:
        for n in range(group[0], group[1]):
            do(past(stages, n * STAGE_COLUMNS), ports, edges, F, I, U, L, W, WI, frame)
            target = together(sync, target, parts)
            if target < 0:
                return target
    return target


def _fingerprint() -> int:
    """Return a number that changes with any file of the engine: numba's cache looks at the compiled function's alone."""
    sha = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        sha.update(file.read_bytes())
    return int.from_bytes(sha.digest()[:6], "big")


def _compiled(fingerprint: int):
    """Return the entry point; *fingerprint* is part of its key in numba's cache."""

    @njit(cache=True, **OPTIONS)
    def walk(like, desk, inputs, views, late, by_step, sample, samples, begin, end, steps, is_start, part, parts):
        """Take samples through the steps *begin* to *end*.

        Parameters
        ----------
        like : array of no elements
            Its type is that of the floats.
        desk : int64
            Where the workspace's memory and tables lie; see ``columns``.
        inputs, views : int64, shape (n, columns)
            Arrays to read from and to record into.
        late : int64, shape (n,)
            Steps that each row of *by_step* lies behind.
        by_step : int64, shape (n, all samples, steps)
            Counts by step.
        sample, samples : int
            First sample in these arrays, and number of samples that are taken side by side.
        begin, end, steps : int
            Steps to take, and steps of a sample in these arrays; 0 has no input and records nothing: silence.
        is_start : bool
            Whether the samples begin here: state and history are set to the start.
        part, parts : int
            Number of this thread, and of all that take these samples together.
        """
        if fingerprint < 0:
            return
        target = parts
        F, I, U, L = floats_at(like, desk[AT_F]), int32_at(desk[AT_I]), uint64_at(desk[AT_U]), int64_at(desk[AT_L])
        W, WI = floats_at(like, desk[AT_W]), int32_at(desk[AT_WI])
        ports, stages, edges = int64_at(desk[AT_PORTS]), int64_at(desk[AT_STAGES]), int64_at(desk[AT_EDGES])
        groups, sync = int64_at(desk[AT_GROUPS]), int64_at(desk[AT_SYNC])
        sources, shown = pointer(inputs), pointer(views)
        pitch, lead = desk[PITCH], desk[LEAD]
        if is_start and part == 0:
            forget(ports, desk[PORTS], F, I, U, L, (samples, pitch, lead, 0, 0, 0, 1))
            set_out(int64_at(desk[AT_STATES]), desk[STATES], F, W, samples)
        for step in range(begin, end, desk[CHUNK]):
            frame = (samples, pitch, lead, 0, min(desk[CHUNK], end - step), part, parts)
            take_in(like, sources, inputs.shape[0], ports, sample, step, steps, F, I, L, frame)
            target = together(sync, target, parts)
            for g in range(desk[GROUPS]):
                if target < 0:
                    return
                group = past(groups, g * GROUP_COLUMNS)
                target = stages_of(group, stages, ports, edges, F, I, U, L, W, WI, frame, sync, target)
            if target < 0:
                return
            if steps:
                show(like, shown, views.shape[0], ports, sample, step, steps, F, U, W, WI, frame)
                if part == 0:
                    for row in range(late.shape[0]):
                        for s in range(samples):
                            counts = desk[BY_STEP] + (row * desk[ROOM] + s) * pitch + lead - late[row]
                            for t in range(frame[4]):
                                by_step[row, sample + s, step + t] = at(L, counts + t)
            target = together(sync, target, parts)
            if lead and target >= 0:
                if part == 0:
                    carry(ports, desk[PORTS], F, I, U, L, frame)
                target = together(sync, target, parts)
            if target < 0:
                return

    return walk


walk = _compiled(_fingerprint())


def make_ready(dtype):
    """Compile the walk for floats of *dtype*, or fetch it from numba's cache: before a run, not in its time."""
    number, flag = types.int64, types.boolean
    floats, row, table = from_dtype(np.dtype(dtype))[::1], number[::1], number[:, ::1]
    walk.compile((floats, row, table, table, row, number[:, :, ::1], *5 * (number,), flag, number, number))


__all__ = ["make_ready", "walk"]
