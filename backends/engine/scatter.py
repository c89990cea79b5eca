"""Kernels that add each event where it goes: convolutions, pools and sparse weights, none of them expanded.

Events come in ascending canonical order and each adds at most once to a sum, so every sum has the canonical order.
"""

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import (
    AMOUNT,
    BLOCKS,
    CAP,
    COUNT,
    DELAY,
    IDX,
    PORT_COLUMNS,
    SOURCE,
    TARGET,
    UNIT,
    VALUES,
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
)
from spikeport.backends.engine.dense import amount, tally
from spikeport.backends.engine.frame import INLINE, OPTIONS
from spikeport.backends.engine.vec import LANES, at, past, put, scalar, vfull, vload, vstore


@njit(**INLINE)
def copy(source, start, F, target, length):
    """Copy `length` floats."""
    k = 0
    while k + 16 <= length:
        vstore(F, target + k, vload(source, start + k, 16))
        k += 16
    while k < length:
        put(F, target + k, at(source, start + k))
        k += 1


@njit(**INLINE)
def add_run(F, target, W, weights, length):
    """Add `length` weights to as many sums."""
    k = 0
    while k + 16 <= length:
        vstore(F, target + k, vload(F, target + k, 16) + vload(W, weights + k, 16))
        k += 16
    if k + 8 <= length:
        vstore(F, target + k, vload(F, target + k, 8) + vload(W, weights + k, 8))
        k += 8
    if k + 4 <= length:
        vstore(F, target + k, vload(F, target + k, 4) + vload(W, weights + k, 4))
        k += 4
    while k < length:
        put(F, target + k, at(F, target + k) + at(W, weights + k))
        k += 1


@njit(**INLINE)
def add_scaled_run(F, target, W, weights, length, value):
    """Add `length` weights times `value` to as many sums."""
    k = 0
    wide, half, small = vfull(value, 16), vfull(value, 8), vfull(value, 4)
    while k + 16 <= length:
        vstore(F, target + k, vload(F, target + k, 16) + vload(W, weights + k, 16) * wide)
        k += 16
    if k + 8 <= length:
        vstore(F, target + k, vload(F, target + k, 8) + vload(W, weights + k, 8) * half)
        k += 8
    if k + 4 <= length:
        vstore(F, target + k, vload(F, target + k, 4) + vload(W, weights + k, 4) * small)
        k += 4
    while k < length:
        put(F, target + k, at(F, target + k) + at(W, weights + k) * value)
        k += 1


@njit(**OPTIONS)
def conv(stage, ports, F, I, L, W, WI, frame):
    """Sum a two-dimensional convolution into a feature map in packed order.

    Sums of a row are made in a map with a margin for what falls off the edges, then cut out. An event's weights are
    runs of floats that lie side by side in that map, the same for all inputs at the same place of the stride.

    A: W, weights; B: W, the map with its bias; C: F, the map; D: WI, for each input (where its runs begin in the map,
    where in the weights, first run, behind the last run); E: WI, runs (offset in the map, in the weights, length);
    G: floats of the map; H: rows cut out; J: floats of each; K: pitch of rows in the map; M: first float cut out.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    size = stage[C]
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            tally(stage, port, I, L, WI, row)
            copy(W, stage[B], F, size, stage[G])
            source = row - stage[DELAY]
            start = port[IDX] + source * port[CAP]
            count = np.int64(at(I, port[COUNT] + source))
            unit = port[AMOUNT] < 0 or at(I, port[UNIT] + source) != 0
            for e in range(count):
                about = stage[D] + 4 * np.int64(at(I, start + e))
                here = size + np.int64(at(WI, about))
                weights = stage[A] + np.int64(at(WI, about + 1))
                value = amount(port, F, source, e)
                for r in range(np.int64(at(WI, about + 2)), np.int64(at(WI, about + 3))):
                    run = stage[E] + 3 * r
                    to, of = here + np.int64(at(WI, run)), weights + np.int64(at(WI, run + 1))
                    length = np.int64(at(WI, run + 2))
                    if unit:
                        add_run(F, to, W, of, length)
                    else:
                        add_scaled_run(F, to, W, of, length, value)
            out = target[VALUES] + row * target[BLOCKS] * LANES
            for i in range(stage[H]):
                copy(F, size + stage[M] + i * stage[K], F, out + i * stage[J], stage[J])


@njit(**OPTIONS)
def sparse(stage, ports, F, I, L, W, WI, frame):
    """Sum a connection of few synapses.

    A: W, weights by presynaptic neuron; B: W, bias in whole blocks; C: WI, first synapse of each presynaptic neuron;
    D: WI, postsynaptic neuron of each synapse.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    width = target[BLOCKS] * LANES
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            tally(stage, port, I, L, WI, row)
            out = target[VALUES] + row * width
            copy(W, stage[B], F, out, width)
            source = row - stage[DELAY]
            start = port[IDX] + source * port[CAP]
            for e in range(np.int64(at(I, port[COUNT] + source))):
                value = amount(port, F, source, e)
                j = stage[C] + np.int64(at(I, start + e))
                for k in range(np.int64(at(WI, j)), np.int64(at(WI, j + 1))):
                    to = out + np.int64(at(WI, stage[D] + k))
                    put(F, to, at(F, to) + at(W, stage[A] + k) * value)


@njit(**OPTIONS)
def pool(stage, ports, F, I, WI, frame):
    """Sum or average windows.

    C: WI, first window of each input; D: WI, output of each window; E: elements of a window to divide by; 0 sums.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    width = target[BLOCKS] * LANES
    zero = vfull(scalar(F, 0), LANES)
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            out = target[VALUES] + row * width
            for b in range(target[BLOCKS]):
                vstore(F, out + b * LANES, zero)
            source = row - stage[DELAY]
            start = port[IDX] + source * port[CAP]
            for e in range(np.int64(at(I, port[COUNT] + source))):
                value = amount(port, F, source, e)
                j = stage[C] + np.int64(at(I, start + e))
                for k in range(np.int64(at(WI, j)), np.int64(at(WI, j + 1))):
                    to = out + np.int64(at(WI, stage[D] + k))
                    put(F, to, at(F, to) + value)
            if stage[E]:
                area = vfull(scalar(F, stage[E]), LANES)
                for b in range(target[BLOCKS]):
                    vstore(F, out + b * LANES, vload(F, out + b * LANES, LANES) / area)


__all__ = ["conv", "pool", "sparse"]
