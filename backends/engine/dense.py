"""Kernels of fully connected layers: weights in blocks of 64 postsynaptic neurons, each block presynaptic-major.

A block's sums stay in registers while the events of a row pass by, in ascending order: the canonical sum, started at the
bias. Where a chunk is dense, rows are taken sixteen at a time, four to a weight that is read; adding ``w * 0`` changes no
sum, so both ways give the same bits.
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
    M,
    N,
)
from spikeport.backends.engine.connections import NARROW
from spikeport.backends.engine.frame import INLINE, OPTIONS, share
from spikeport.backends.engine.neurons import STATES, plain_block
from spikeport.backends.engine.vec import LANES, at, past, put, scalar, vfull, vload, vstore

#: Share of active inputs above which rows are taken together (measured: benchmarks/density.py).
DENSE_ABOVE = 0.7
#: Most rows that are taken together.
TOGETHER = 16


@njit(**INLINE)
def tally(stage, port, I, L, WI, row):
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
    def add(acc, I, F, W, port, source, weights):
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
def pair_sum(stage, port, I, F, W, b, row):
    """Return the finished sums of the blocks `b` and `b + 1`, whose weights lie side by side."""
    source = row - stage[DELAY]
    low, high = vload(W, stage[B] + b * LANES, LANES), vload(W, stage[B] + (b + 1) * LANES, LANES)
    weights = stage[A] + b * port[N] * LANES
    start = port[IDX] + source * port[CAP]
    stop = start + np.int64(at(I, port[COUNT] + source))
    if port[AMOUNT] < 0 or at(I, port[UNIT] + source) != 0:
        for k in range(start, stop):
            here = weights + np.int64(at(I, k)) * (2 * LANES)
            low = low + vload(W, here, LANES)
            high = high + vload(W, here + LANES, LANES)
    else:
        amounts = port[AMOUNT] + source * port[CAP] - start
        for k in range(start, stop):
            here = weights + np.int64(at(I, k)) * (2 * LANES)
            value = vfull(at(F, amounts + k), LANES)
            low = low + vload(W, here, LANES) * value
            high = high + vload(W, here + LANES, LANES) * value
    return low, high


@njit(**INLINE)
def block_sum(stage, port, I, F, W, b, row, is_narrow):
    """Return the finished sums of block `b`; one of 16 neurons passes through 64 floats that are 0 behind them."""
    source = row - stage[DELAY]
    weights = stage[A] + b * port[N] * LANES
    if is_narrow:
        narrow = vload(W, stage[B] + b * LANES, NARROW)
        vstore(F, stage[J], add_16(narrow, I, F, W, port, source, weights))
        return vload(F, stage[J], LANES)
    return add_64(vload(W, stage[B] + b * LANES, LANES), I, F, W, port, source, weights)


@njit(**INLINE)
def my_blocks(stage, blocks, frame):
    """Return this thread's blocks, pairs kept together: first, behind the last pair, behind the last."""
    pairs = stage[H]
    begin, end = share(blocks - pairs, frame)
    begin_block = 2 * begin if begin <= pairs else begin + pairs
    end_block = 2 * end if end <= pairs else end + pairs
    return begin_block, min(end_block, 2 * pairs), end_block


@njit(**INLINE)
def is_dense(stage, port, I, frame):
    """Whether so many inputs of the chunk are active that rows are better taken together."""
    samples, pitch, lead, first, last, _, _ = frame
    if samples * (last - first) < 4:
        return False
    total = 0
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            total += np.int64(at(I, port[COUNT] + row - stage[DELAY]))
    return total > DENSE_ABOVE * port[N] * samples * (last - first)


@njit(**INLINE)
def amount(port, F, source, e):
    """Return the value of the event `e` of a row."""
    return at(F, port[AMOUNT] + source * port[CAP] + e) if port[AMOUNT] >= 0 else scalar(F, 1)


@njit(**INLINE)
def spread(port, I, F, source, into):
    """Write the events of a row as values of all neurons."""
    for j in range(port[N]):
        put(F, into + j, scalar(F, 0))
    start = port[IDX] + source * port[CAP]
    for e in range(np.int64(at(I, port[COUNT] + source))):
        put(F, into + np.int64(at(I, start + e)), amount(port, F, source, e))


@njit(**OPTIONS)
def rows_together(stage, port, blocks, F, I, W, row, count, out, begin, end):
    """Sum the blocks `begin` to `end` of `count` rows (a multiple of four) from `row` on into rows of values at `out`.

    Blocks outside, rows inside: a block's weights stay in the cache for all rows.
    """
    n, width = port[N], blocks * LANES
    for r in range(count):
        spread(port, I, F, row + r - stage[DELAY], stage[K] + r * n)
    for b in range(begin, end):
        # Two blocks of a pair lie side by side.
        pitch, weights = LANES, stage[A] + b * n * LANES
        if b < 2 * stage[H]:
            pitch, weights = 2 * LANES, stage[A] + (b - b % 2) * n * LANES + b % 2 * LANES
        if stage[C] and b == blocks - 1:
            for r in range(count):
                narrow = vload(W, stage[B] + b * LANES, NARROW)
                for j in range(n):
                    value = vfull(at(F, stage[K] + r * n + j), NARROW)
                    narrow = narrow + vload(W, weights + j * NARROW, NARROW) * value
                vstore(F, out + r * width + b * LANES, vfull(scalar(F, 0), LANES))
                vstore(F, out + r * width + b * LANES, narrow)
            continue
        for r in range(0, count, 4):
            x, to = stage[K] + r * n, out + r * width + b * LANES
            a0 = vload(W, stage[B] + b * LANES, LANES)
            a1, a2, a3 = a0, a0, a0
            for j in range(n):
                weight = vload(W, weights + j * pitch, LANES)
                a0 = a0 + weight * vfull(at(F, x + j), LANES)
                a1 = a1 + weight * vfull(at(F, x + n + j), LANES)
                a2 = a2 + weight * vfull(at(F, x + 2 * n + j), LANES)
                a3 = a3 + weight * vfull(at(F, x + 3 * n + j), LANES)
            vstore(F, to, a0)
            vstore(F, to + width, a1)
            vstore(F, to + 2 * width, a2)
            vstore(F, to + 3 * width, a3)


@njit(**OPTIONS)
def dense(stage, ports, F, I, L, W, WI, frame):
    """Sum a fully connected layer.

    A: W, weights; B: W, bias; C: whether the last block holds 16 neurons; H: pairs of blocks; J: F, 64 floats;
    K: F, 16 rows of inputs.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks, values = target[BLOCKS], target[VALUES]
    begin_block, pairs_end, end_block = my_blocks(stage, blocks, frame)
    many = is_dense(stage, port, I, frame)
    for s in range(samples):
        begin, end = s * pitch + lead + first, s * pitch + lead + last
        if frame[5] == 0:
            for row in range(begin, end):
                tally(stage, port, I, L, WI, row)
        if many:
            whole = end - (end - begin) % 4
            for row in range(begin, whole, TOGETHER):
                out, count = values + row * blocks * LANES, min(TOGETHER, whole - row)
                rows_together(stage, port, blocks, F, I, W, row, count, out, begin_block, end_block)
            begin = whole
        for b in range(begin_block, pairs_end, 2):
            for row in range(begin, end):
                low, high = pair_sum(stage, port, I, F, W, b, row)
                vstore(F, values + (row * blocks + b) * LANES, low)
                vstore(F, values + (row * blocks + b + 1) * LANES, high)
        for b in range(max(begin_block, pairs_end), end_block):
            is_narrow = stage[C] != 0 and b == blocks - 1
            for row in range(begin, end):
                vstore(F, values + (row * blocks + b) * LANES, block_sum(stage, port, I, F, W, b, row, is_narrow))


@njit(**OPTIONS)
def dense_neuron(stage, ports, F, I, U, L, W, WI, frame):
    """Sum a fully connected layer and step its LIF or IF neurons at once; the sums of few events never reach memory.

    As `dense`, and D: W, parameters; E: F, state; G: flags and reset, 8 bits each; M: F, 16 rows of sums.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks, words = target[BLOCKS], target[WORDS]
    flags, reset = stage[G] >> 8, stage[G] & 255
    width = blocks * LANES
    params = past(W, stage[D])
    begin_block, pairs_end, end_block = my_blocks(stage, blocks, frame)
    many = is_dense(stage, port, I, frame)
    for s in range(samples):
        begin, end = s * pitch + lead + first, s * pitch + lead + last
        state = past(F, stage[E] + s * STATES * width)
        if frame[5] == 0:
            for row in range(begin, end):
                tally(stage, port, I, L, WI, row)
        if many:
            whole = end - (end - begin) % 4
            for row in range(begin, whole, TOGETHER):
                count = min(TOGETHER, whole - row)
                rows_together(stage, port, blocks, F, I, W, row, count, stage[M], begin_block, end_block)
                for r in range(count):
                    for b in range(begin_block, end_block):
                        total = vload(F, stage[M] + (r * blocks + b) * LANES, LANES)
                        word = plain_block(total, params, state, width, b * LANES, flags, reset)
                        put(U, words + (row + r) * blocks + b, word)
            begin = whole
        for b in range(begin_block, pairs_end, 2):
            for row in range(begin, end):
                low, high = pair_sum(stage, port, I, F, W, b, row)
                put(U, words + row * blocks + b, plain_block(low, params, state, width, b * LANES, flags, reset))
                word = plain_block(high, params, state, width, (b + 1) * LANES, flags, reset)
                put(U, words + row * blocks + b + 1, word)
        for b in range(max(begin_block, pairs_end), end_block):
            is_narrow = stage[C] != 0 and b == blocks - 1
            for row in range(begin, end):
                total = block_sum(stage, port, I, F, W, b, row, is_narrow)
                put(U, words + row * blocks + b, plain_block(total, params, state, width, b * LANES, flags, reset))
