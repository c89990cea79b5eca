"""Kernels of fully connected layers: weights in blocks of 64 postsynaptic neurons, each block presynaptic-major.

A block's sums stay in registers while the events of a row pass by, in ascending order: the canonical sum, started at the
bias. Where a chunk is dense, rows are taken four at a time so that each weight is read once for all of them; adding
``w * 0`` changes no sum, so both ways give the same bits.
"""

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import (
    AMOUNT,
    BLOCKS,
    CAP,
    COUNT,
    DELAY,
    FAN,
    FAN_ALL,
    IDX,
    PORT_COLUMNS,
    SOURCE,
    SYNOPS,
    TALLY,
    TARGET,
    UNIT,
    VALUES,
    WORDS,
    A,
    B,
    C,
    D,
    E,
    G,
    H,
    J,
    K,
    N,
)
from spikeport.backends.engine.events import emitted
from spikeport.backends.engine.frame import INLINE, OPTIONS
from spikeport.backends.engine.neurons import plain_block
from spikeport.backends.engine.vec import LANES, at, past, put, scalar, vfull, vload, vstore

#: Share of active inputs above which rows are done four at a time (measured: benchmarks/density.py).
DENSE_ABOVE = 0.5
NARROW = 16


@njit(**INLINE)
def tally(stage, port, I, L, WI, row):  # noqa: E741
    """Count the events that enter in `row` and the synapses that they meet."""
    source = row - stage[DELAY]
    count = np.int64(at(I, port[COUNT] + source))
    synops = count * stage[FAN_ALL]
    if stage[FAN] >= 0:
        synops = np.int64(0)
        start = port[IDX] + source * port[CAP]
        for k in range(start, start + count):
            synops += np.int64(at(WI, stage[FAN] + np.int64(at(I, k))))
    put(L, stage[TALLY], at(L, stage[TALLY]) + count)
    put(L, stage[SYNOPS] + row, synops)


def _adder(lanes):
    """Return the sum over a row's events for `lanes` neurons."""

    @njit(**INLINE)
    def add(acc, I, F, W, port, source, weights, scale):  # noqa: E741
        start = port[IDX] + source * port[CAP]
        stop = start + np.int64(at(I, port[COUNT] + source))
        if port[AMOUNT] < 0 or at(I, port[UNIT] + source) != 0:
            for k in range(start, stop):
                acc = acc + vload(W, weights + np.int64(at(I, k)) * lanes, lanes)
        else:
            amounts = port[AMOUNT] + source * port[CAP] - start
            for k in range(start, stop):
                weight = vload(W, weights + np.int64(at(I, k)) * lanes, lanes)
                acc = acc + weight * vfull(at(F, amounts + k), lanes)
        return acc

    return add


add_64, add_16 = _adder(LANES), _adder(NARROW)


@njit(**INLINE)
def block_sum(stage, port, I, F, W, b, row, scratch):  # noqa: E741
    """Return the finished sums of block `b`; a narrow last block passes through `scratch` (64 floats, zeros behind 16)."""
    source = row - stage[DELAY]
    if stage[C] and b == stage[H] - 1:
        narrow = vload(W, stage[B] + b * LANES, NARROW)
        vstore(F, scratch, add_16(narrow, I, F, W, port, source, stage[A] + b * port[N] * LANES, 1))
        return vload(F, scratch, LANES)
    acc = vload(W, stage[B] + b * LANES, LANES)
    return add_64(acc, I, F, W, port, source, stage[A] + b * port[N] * LANES, 1)


@njit(**INLINE)
def is_dense(stage, port, I, frame):  # noqa: E741
    """Whether so many inputs of the chunk are active that rows are better done four at a time."""
    samples, pitch, lead, first, last = frame
    if samples * (last - first) < 4:
        return False
    total = 0
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            total += np.int64(at(I, port[COUNT] + row - stage[DELAY]))
    return total > DENSE_ABOVE * port[N] * samples * (last - first)


@njit(**INLINE)
def spread(port, I, F, source, into):  # noqa: E741
    """Write the events of a row as values of all neurons."""
    for j in range(port[N]):
        put(F, into + j, scalar(F, 0))
    start = port[IDX] + source * port[CAP]
    for e in range(np.int64(at(I, port[COUNT] + source))):
        value = scalar(F, 1)
        if port[AMOUNT] >= 0:
            value = at(F, port[AMOUNT] + source * port[CAP] + e)
        put(F, into + np.int64(at(I, start + e)), value)


@njit(**OPTIONS)
def four_rows(stage, port, target, F, I, W, s, t, frame):  # noqa: E741
    """Sum four rows from step `t` of sample `s` together, each weight read once."""
    pitch, lead = frame[1], frame[2]
    row = s * pitch + lead + t
    n, scratch = port[N], stage[K]
    for r in range(4):
        spread(port, I, F, row + r - stage[DELAY], scratch + r * n)
    x0, x1, x2, x3 = scratch, scratch + n, scratch + 2 * n, scratch + 3 * n
    blocks = target[BLOCKS]
    for b in range(blocks):
        a0 = vload(W, stage[B] + b * LANES, LANES)
        a1, a2, a3 = a0, a0, a0
        lanes = LANES
        weights = stage[A] + b * n * LANES
        if stage[C] and b == blocks - 1:
            for r in range(4):
                narrow = vload(W, stage[B] + b * LANES, NARROW)
                for j in range(n):
                    x = vfull(at(F, scratch + r * n + j), NARROW)
                    narrow = narrow + vload(W, weights + j * NARROW, NARROW) * x
                vstore(F, target[VALUES] + ((row + r) * blocks + b) * lanes, narrow)
                for j in range(NARROW, lanes):
                    put(F, target[VALUES] + ((row + r) * blocks + b) * lanes + j, scalar(F, 0))
            continue
        for j in range(n):
            weight = vload(W, weights + j * LANES, LANES)
            a0 = a0 + weight * vfull(at(F, x0 + j), LANES)
            a1 = a1 + weight * vfull(at(F, x1 + j), LANES)
            a2 = a2 + weight * vfull(at(F, x2 + j), LANES)
            a3 = a3 + weight * vfull(at(F, x3 + j), LANES)
        where = target[VALUES] + (row * blocks + b) * LANES
        vstore(F, where, a0)
        vstore(F, where + blocks * LANES, a1)
        vstore(F, where + 2 * blocks * LANES, a2)
        vstore(F, where + 3 * blocks * LANES, a3)


@njit(**OPTIONS)
def dense(stage, ports, F, I, U, L, W, WI, frame):  # noqa: E741
    """Sum a fully connected layer.

    A: W, weights; B: W, bias of 64*H; C: whether the last block holds 16 neurons; H: blocks; J: F, 64 floats;
    K: F, four rows of inputs.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last = frame
    blocks = target[BLOCKS]
    many = is_dense(stage, port, I, frame)
    for s in range(samples):
        start = s * pitch + lead
        for row in range(start + first, start + last):
            tally(stage, port, I, L, WI, row)
        by_four = first
        if many:
            by_four = first + (last - first) // 4 * 4
            for t in range(first, by_four, 4):
                four_rows(stage, port, target, F, I, W, s, t, frame)
        if by_four < last:
            for b in range(blocks):
                for row in range(start + by_four, start + last):
                    total = block_sum(stage, port, I, F, W, b, row, stage[J])
                    vstore(F, target[VALUES] + (row * blocks + b) * LANES, total)


@njit(**OPTIONS)
def dense_neuron(stage, ports, F, I, U, L, W, WI, frame):  # noqa: E741
    """Sum a fully connected layer and step its LIF or IF neurons at once; the sums never reach memory.

    As `dense`, and D: W, parameters; E: F, state; G: flags and reset, 8 bits each.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last = frame
    blocks = target[BLOCKS]
    flags, reset = stage[G] >> 8, stage[G] & 255
    width = blocks * LANES
    params = past(W, stage[D])
    for s in range(samples):
        state = past(F, stage[E] + s * 3 * width)
        for b in range(blocks):
            for row in range(s * pitch + lead + first, s * pitch + lead + last):
                total = block_sum(stage, port, I, F, W, b, row, stage[J])
                put(U, target[WORDS] + row * blocks + b, plain_block(total, params, state, width, b * LANES, flags, reset))
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            tally(stage, port, I, L, WI, row)
            emitted(target, U, L, row)
