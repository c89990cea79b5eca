"""Kernels that set a workspace to the start of its samples, and that keep the last rows of a chunk for the next one."""

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import (
    AMOUNT,
    BLOCKS,
    CAP,
    COUNT,
    EMITTED,
    IDX,
    PORT_COLUMNS,
    STATE_COLUMNS,
    UNIT,
    VALUES,
    WORDS,
)
from spikeport.backends.engine.frame import INLINE, OPTIONS
from spikeport.backends.engine.vec import LANES, at, past, put, scalar


@njit(**INLINE)
def move(pool, start, pitch, width, frame):
    """Make the last rows of every sample its history."""
    samples, rows, lead, _, last, _, _ = frame
    for s in range(samples):
        for r in range(lead):
            source, target = start + (s * rows + last + r) * pitch, start + (s * rows + r) * pitch
            for k in range(width):
                put(pool, target + k, at(pool, source + k))


@njit(**OPTIONS)
def carry(ports, number, F, I, U, L, frame):
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
            samples, rows, lead, _, last, _, _ = frame
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
def forget(ports, number, F, I, U, L, frame):
    """Clear the history of every sample."""
    samples, rows, lead, _, _, _, _ = frame
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


@njit(**INLINE)
def set_out(table, number, F, W, samples):
    """Set the state of all neurons to the start."""
    for n in range(number):
        row = past(table, n * STATE_COLUMNS)
        for s in range(samples):
            for k in range(row[2]):
                put(F, row[0] + s * row[2] + k, at(W, row[1] + k))
