"""The walk: one compiled function that takes a chunk of rows through all stages, without coming back to Python."""

import hashlib
from pathlib import Path

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import (
    AMOUNT,
    BLOCKS,
    CAP,
    CONV,
    COUNT,
    COUNT_VALUES,
    DENSE,
    DENSE_NEURON,
    EMITTED,
    EVENTS_OF_VALUES,
    EVENTS_OF_WORDS,
    GATHER,
    IDX,
    LAG,
    NEURON,
    OP,
    POOL,
    PORT_COLUMNS,
    SCALE,
    SPARSE,
    STAGE_COLUMNS,
    THRESHOLD,
    UNIT,
    VALUES,
    VALUES_OF_WORDS,
    WORDS,
)
from spikeport.backends.engine.dense import dense, dense_neuron
from spikeport.backends.engine.elements import gather, lag, neuron, scale, threshold
from spikeport.backends.engine.events import (
    count_values,
    enter,
    enter_silence,
    events_of_values,
    events_of_words,
    values_of_words,
)
from spikeport.backends.engine.frame import INLINE, OPTIONS
from spikeport.backends.engine.recording import record
from spikeport.backends.engine.scatter import conv, pool, sparse
from spikeport.backends.engine.vec import LANES, at, past, pointer, put, scalar


@njit(**OPTIONS)
def do(stage, ports, edges, F, I, U, L, W, WI, frame):  # noqa: E741
    """Do one stage for the rows of *frame*."""
    op = stage[OP]
    if op == DENSE_NEURON:
        dense_neuron(stage, ports, F, I, U, L, W, WI, frame)
    elif op == DENSE:
        dense(stage, ports, F, I, U, L, W, WI, frame)
    elif op == EVENTS_OF_WORDS:
        events_of_words(stage, ports, F, I, U, L, W, WI, frame)
    elif op == NEURON:
        neuron(stage, ports, F, U, L, W, frame)
    elif op == GATHER:
        gather(stage, ports, edges, F, WI, frame)
    elif op == CONV:
        conv(stage, ports, F, I, U, L, W, WI, frame)
    elif op == POOL:
        pool(stage, ports, F, I, U, L, W, WI, frame)
    elif op == SPARSE:
        sparse(stage, ports, F, I, U, L, W, WI, frame)
    elif op == EVENTS_OF_VALUES:
        events_of_values(stage, ports, F, I, U, L, W, WI, frame)
    elif op == VALUES_OF_WORDS:
        values_of_words(stage, ports, F, I, U, L, W, WI, frame)
    elif op == COUNT_VALUES:
        count_values(stage, ports, F, I, U, L, W, WI, frame)
    elif op == THRESHOLD:
        threshold(stage, ports, F, U, L, W, frame)
    elif op == SCALE:
        scale(stage, ports, F, W, frame)
    elif op == LAG:
        lag(stage, ports, F, WI, frame)


@njit(**INLINE)
def move(pool, start, pitch, width, frame):
    """Make the last rows of every sample its history."""
    samples, rows, lead, _, last = frame
    for s in range(samples):
        for r in range(lead):
            source, target = start + (s * rows + last + r) * pitch, start + (s * rows + r) * pitch
            for k in range(width):
                put(pool, target + k, at(pool, source + k))


@njit(**OPTIONS)
def carry(ports, number, F, I, U, L, frame):  # noqa: E741
    """Keep the last `lead` rows of the chunk as the history of the next one."""
    for p in range(number):
        port = past(ports, p * PORT_COLUMNS)
        blocks = port[BLOCKS]
        if port[WORDS] >= 0:
            move(U, port[WORDS], blocks, blocks, frame)
        if port[VALUES] >= 0:
            move(F, port[VALUES], blocks * LANES, blocks * LANES, frame)
        if port[EMITTED] >= 0:
            move(L, port[EMITTED], 1, 1, frame)
        if port[IDX] >= 0:
            samples, rows, lead, _, last = frame
            for s in range(samples):
                for r in range(lead):
                    source, target = s * rows + last + r, s * rows + r
                    count = at(I, port[COUNT] + source)
                    put(I, port[COUNT] + target, count)
                    for k in range(np.int64(count)):
                        put(I, port[IDX] + target * port[CAP] + k, at(I, port[IDX] + source * port[CAP] + k))
                        if port[AMOUNT] >= 0:
                            put(F, port[AMOUNT] + target * port[CAP] + k, at(F, port[AMOUNT] + source * port[CAP] + k))
                    if port[UNIT] >= 0:
                        put(I, port[UNIT] + target, at(I, port[UNIT] + source))


@njit(**OPTIONS)
def forget(ports, number, F, I, U, L, frame):  # noqa: E741
    """Clear the history of every sample."""
    samples, rows, lead, _, _ = frame
    for p in range(number):
        port = past(ports, p * PORT_COLUMNS)
        for s in range(samples):
            for row in range(s * rows, s * rows + lead):
                for b in range(port[BLOCKS]):
                    if port[WORDS] >= 0:
                        put(U, port[WORDS] + row * port[BLOCKS] + b, np.uint64(0))
                    if port[VALUES] >= 0:
                        for k in range(LANES):
                            put(F, port[VALUES] + (row * port[BLOCKS] + b) * LANES + k, scalar(F, 0))
                if port[EMITTED] >= 0:
                    put(L, port[EMITTED] + row, 0)
                if port[IDX] >= 0:
                    put(I, port[COUNT] + row, np.int32(0))
                    if port[UNIT] >= 0:
                        put(I, port[UNIT] + row, np.int32(1))


def _fingerprint() -> int:
    """Return a number that changes with any source file of the engine.

    numba's cache looks at the file of the compiled function alone; what it calls lies in other files.
    """
    sha = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        sha.update(file.read_bytes())
    return int.from_bytes(sha.digest()[:6], "big")


def _compiled(fingerprint: int):
    """Return the entry points; *fingerprint* is part of their key in numba's cache."""

    @njit(cache=True, **OPTIONS)
    def walk(stages, groups, ports, edges, F, I, U, L, W, WI, state, origin, frame):  # noqa: E741
        """Do all stages for a chunk.

        Parameters
        ----------
        stages, ports, edges : int64, shape (n, columns)
            See ``columns``.
        groups : int64, shape (n, 3)
            First stage, behind the last stage, whether the stages are to be taken step by step (a loop).
        state : int64, shape (n, 3)
            For each neuron stage: where its state lies in F, where its initial value lies in W, floats of a sample.
        origin : bool
            Whether samples begin here: state and history are set to the start.
        frame : tuple of int
            See ``frame``.
        """
        samples, pitch, lead, first, last = frame
        if fingerprint < 0:
            return
        to = pointer(F), pointer(I), pointer(U), pointer(L)
        of = pointer(W), pointer(WI)
        table, about, between = pointer(stages), pointer(ports), pointer(edges)
        if origin:
            for n in range(state.shape[0]):
                for s in range(samples):
                    for k in range(state[n, 2]):
                        put(to[0], state[n, 0] + s * state[n, 2] + k, at(of[0], state[n, 1] + k))
        for g in range(groups.shape[0]):
            if groups[g, 2]:
                for t in range(first, last):
                    for n in range(groups[g, 0], groups[g, 1]):
                        do(past(table, n * STAGE_COLUMNS), about, between, *to, *of, (samples, pitch, lead, t, t + 1))
            else:
                for n in range(groups[g, 0], groups[g, 1]):
                    do(past(table, n * STAGE_COLUMNS), about, between, *to, *of, frame)

    @njit(cache=True, **OPTIONS)
    def take_in(x, port, sample, step, steps, F, I, L, frame):  # noqa: E741
        """Bring rows of the input array *x* (flat) into the workspace."""
        if fingerprint < 0:
            return
        enter(pointer(x), pointer(port), sample, step, steps, pointer(F), pointer(I), pointer(L), frame)

    @njit(cache=True, **OPTIONS)
    def take_silence(ports, inputs, F, I, frame):  # noqa: E741
        """Bring rows without input into the workspace."""
        if fingerprint < 0:
            return
        for k in range(inputs.shape[0]):
            enter_silence(past(pointer(ports), inputs[k] * PORT_COLUMNS), pointer(F), pointer(I), frame)

    @njit(cache=True, **OPTIONS)
    def start(ports, F, I, U, L, frame):  # noqa: E741
        """Clear the history of all samples of a chunk."""
        if fingerprint < 0:
            return
        forget(pointer(ports), ports.shape[0], pointer(F), pointer(I), pointer(U), pointer(L), frame)

    @njit(cache=True, **OPTIONS)
    def go_on(ports, F, I, U, L, frame):  # noqa: E741
        """Make the last rows of the chunk the history of the next one; what is recorded must be copied out before."""
        if fingerprint < 0:
            return
        carry(pointer(ports), ports.shape[0], pointer(F), pointer(I), pointer(U), pointer(L), frame)

    @njit(cache=True, **OPTIONS)
    def show(port, form, behind, out, sample, step, steps, F, U, W, WI, frame):
        """Copy what left a port into a recording *out*, zeros of (samples, steps, neurons), flat."""
        if fingerprint < 0:
            return
        record(
            pointer(port), form, behind, pointer(out), sample, step, steps, pointer(F), pointer(U), pointer(W), pointer(WI),
            frame,
        )  # fmt: skip

    return walk, take_in, take_silence, start, go_on, show


walk, take_in, take_silence, start, go_on, show = _compiled(_fingerprint())

__all__ = ["go_on", "show", "start", "take_in", "take_silence", "walk"]
