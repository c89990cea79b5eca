"""Kernel of fully connected layers in arithmetic loihi, where spikes come in: weights of one byte.

A synapse's weight is ``unit * (byte + offset)``. Bytes are summed in 16 bits, which hold 255 of them; floats sum those
sums. All of it is exact, so the order of sums does not matter. A row of a block of 64 neurons is one cache line.
"""

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import (
    BLOCKS,
    CAP,
    COUNT,
    DELAY,
    IDX,
    PORT_COLUMNS,
    SOURCE,
    TARGET,
    VALUES,
    WORDS,
    A,
    B,
    C,
    D,
    E,
    G,
    M,
    N,
)
from spikeport.backends.engine.dense import my_blocks, tally
from spikeport.backends.engine.frame import INLINE, OPTIONS
from spikeport.backends.engine.neurons import STATES, whole_block
from spikeport.backends.engine.vec import LANES, at, past, put, scalar, vfull, vstore
from spikeport.backends.engine.vecmath import vfloats, vload_bytes

#: Bytes, each at most 128 in size, whose sum fits 16 bits.
HELD = 255


@njit(**INLINE)
def scaled(total, count, stage, F):
    """Return the sums of weights that `count` bytes with these sums are."""
    return (total + vfull(scalar(F, stage[B] * count), LANES)) * vfull(scalar(F, stage[C]), LANES)


@njit(**INLINE)
def pair_of_bytes(stage, port, I, F, WI, b, row):
    """Return the finished sums of the blocks `b` and `b + 1`, whose weights lie side by side."""
    source = row - stage[DELAY] - stage[M]
    start = port[IDX] + source * port[CAP]
    count = np.int64(at(I, port[COUNT] + source))
    weights = 4 * stage[A] + b * port[N] * LANES
    low = vfull(scalar(F, 0), LANES)
    high = low
    for begin in range(start, start + count, HELD):
        some = vfull(np.int16(0), LANES)
        more = some
        for k in range(begin, min(begin + HELD, start + count)):
            here = weights + np.int64(at(I, k)) * (2 * LANES)
            some = some + vload_bytes(WI, here, LANES)
            more = more + vload_bytes(WI, here + LANES, LANES)
        low = low + vfloats(F, some)
        high = high + vfloats(F, more)
    return scaled(low, count, stage, F), scaled(high, count, stage, F)


@njit(**INLINE)
def block_of_bytes(stage, port, I, F, WI, b, row):
    """Return the finished sums of block `b`, which has no other one beside it."""
    source = row - stage[DELAY] - stage[M]
    start = port[IDX] + source * port[CAP]
    count = np.int64(at(I, port[COUNT] + source))
    weights = 4 * stage[A] + b * port[N] * LANES
    total = vfull(scalar(F, 0), LANES)
    for begin in range(start, start + count, HELD):
        some = vfull(np.int16(0), LANES)
        for k in range(begin, min(begin + HELD, start + count)):
            some = some + vload_bytes(WI, weights + np.int64(at(I, k)) * LANES, LANES)
        total = total + vfloats(F, some)
    return scaled(total, count, stage, F)


@njit(**OPTIONS)
def narrow_dense(stage, ports, F, I, U, L, W, WI, frame):
    """Sum a fully connected layer, and step its neurons at once where they are its only reader.

    A: WI, weights, four in an element; B: offset; C: unit; H: pairs of blocks; G: flags of the neurons, or -1 to write sums;
    D: W, parameters; E: F, state; M: steps that the neurons lie behind the sums.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks, values, words, flags = target[BLOCKS], target[VALUES], target[WORDS], stage[G]
    width = blocks * LANES
    params = past(W, stage[D])
    begin_block, pairs_end, end_block = my_blocks(stage, blocks, frame)
    for s in range(samples):
        begin, end = s * pitch + lead + first, s * pitch + lead + last
        state = past(F, stage[E] + s * STATES * width)
        if frame[5] == 0:
            for row in range(begin, end):
                tally(stage, port, I, L, WI, row)
        for b in range(begin_block, pairs_end, 2):
            for row in range(begin, end):
                low, high = pair_of_bytes(stage, port, I, F, WI, b, row)
                if flags < 0:
                    vstore(F, values + (row * blocks + b) * LANES, low)
                    vstore(F, values + (row * blocks + b + 1) * LANES, high)
                    continue
                put(U, words + row * blocks + b, whole_block(low, params, state, width, b * LANES, flags))
                put(U, words + row * blocks + b + 1, whole_block(high, params, state, width, (b + 1) * LANES, flags))
        for b in range(max(begin_block, pairs_end), end_block):
            for row in range(begin, end):
                total = block_of_bytes(stage, port, I, F, WI, b, row)
                if flags < 0:
                    vstore(F, values + (row * blocks + b) * LANES, total)
                    continue
                put(U, words + row * blocks + b, whole_block(total, params, state, width, b * LANES, flags))


__all__ = ["narrow_dense"]
