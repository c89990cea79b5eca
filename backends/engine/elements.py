"""Kernels that work neuron by neuron: sums of edges, neurons, thresholds, factors and delays."""

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import (
    AMPLITUDE,
    BLOCKS,
    CURRENTS,
    DELAY,
    EDGE_COLUMNS,
    EDGE_DELAY,
    EDGE_ORDER,
    EDGE_PORT,
    PORT_COLUMNS,
    SOURCE,
    TARGET,
    TRACE,
    VALUES,
    WORDS,
    A,
    B,
    C,
    D,
    E,
    N,
)
from spikeport.backends.engine.frame import OPTIONS, share
from spikeport.backends.engine.neurons import CURRENT, MULTI_SUBTRACT, STATES, WHOLE, V, general_block, plain_block, whole_block
from spikeport.backends.engine.vec import LANES, at, past, put, scalar, vfull, vgt, vload, vstore


@njit(**OPTIONS)
def gather(stage, ports, edges, F, WI, frame):
    """Sum the values that edges bring, in the order of their ranks. A, B: first edge, behind the last one."""
    target = past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks = target[BLOCKS]
    width = blocks * LANES
    zero = vfull(scalar(F, 0), LANES)
    begin, end = share(blocks, frame)
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            out = target[VALUES] + row * width
            if stage[A] == stage[B]:
                for b in range(begin, end):
                    vstore(F, out + b * LANES, zero)
            for k in range(stage[A], stage[B]):
                source = past(ports, edges[EDGE_COLUMNS * k + EDGE_PORT] * PORT_COLUMNS)
                at_row = source[VALUES] + (row - edges[EDGE_COLUMNS * k + EDGE_DELAY]) * width
                order = edges[EDGE_COLUMNS * k + EDGE_ORDER]
                if order < 0:
                    for b in range(begin, end):
                        value = vload(F, at_row + b * LANES, LANES)
                        if k > stage[A]:
                            value = vload(F, out + b * LANES, LANES) + value
                        vstore(F, out + b * LANES, value)
                else:
                    for j in range(begin * LANES, min(end * LANES, target[N])):
                        one = at(F, at_row + np.int64(at(WI, order + j)))
                        put(F, out + j, one if k == stage[A] else at(F, out + j) + one)
                    if k == stage[A]:
                        for j in range(max(begin * LANES, target[N]), end * LANES):
                            put(F, out + j, scalar(F, 0))


@njit(**OPTIONS)
def neuron(stage, ports, F, U, W, frame):
    """Step neurons on finished inputs.

    A: W, parameters; B: F, state; C: flags; D: reset; E: most spikes a step, or -1 for those that
    `plain_block` or `whole_block` steps.
    """
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks = target[BLOCKS]
    width = blocks * LANES
    params = past(W, stage[A])
    flags, reset, most = stage[C], stage[D], scalar(F, stage[E])
    amplitude = target[AMPLITUDE]
    several = reset == MULTI_SUBTRACT
    begin, end = share(blocks, frame)
    for s in range(samples):
        state = past(F, stage[B] + s * STATES * width)
        start = s * pitch + lead
        for b in range(begin, end):
            column = b * LANES
            for row in range(start + first, start + last):
                total = vload(F, port[VALUES] + (row - stage[DELAY]) * width + column, LANES)
                if stage[E] < 0 and flags & WHOLE:
                    word = whole_block(total, params, state, width, column, flags)
                elif stage[E] < 0:
                    word = plain_block(total, params, state, width, column, flags, reset)
                else:
                    word, count = general_block(total, params, state, width, column, flags, reset, most)
                    if several:
                        values = target[VALUES] + row * width + column
                        vstore(F, values, count)
                        if amplitude >= 0:
                            vstore(F, values, count * vload(W, amplitude + column, LANES))
                put(U, target[WORDS] + row * blocks + b, word)
                if target[TRACE] >= 0:
                    vstore(F, target[TRACE] + row * width + column, vload(state, V * width + column, LANES))
                if target[CURRENTS] >= 0:
                    vstore(F, target[CURRENTS] + row * width + column, vload(state, CURRENT * width + column, LANES))


@njit(**OPTIONS)
def threshold(stage, ports, F, U, W, frame):
    """Spike where the input is above the threshold. A: W, thresholds (infinite behind the last neuron)."""
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks = target[BLOCKS]
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            for b in range(blocks):
                value = vload(F, port[VALUES] + ((row - stage[DELAY]) * blocks + b) * LANES, LANES)
                put(U, target[WORDS] + row * blocks + b, vgt(value, vload(W, stage[A] + b * LANES, LANES)))


@njit(**OPTIONS)
def scale(stage, ports, F, W, frame):
    """Multiply by a factor for each neuron. A: W, factors."""
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks = target[BLOCKS]
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            for b in range(blocks):
                value = vload(F, port[VALUES] + ((row - stage[DELAY]) * blocks + b) * LANES, LANES)
                vstore(F, target[VALUES] + (row * blocks + b) * LANES, value * vload(W, stage[A] + b * LANES, LANES))


@njit(**OPTIONS)
def lag(stage, ports, F, WI, frame):
    """Repeat each neuron's input after its own delay. A: WI, steps."""
    port, target = past(ports, stage[SOURCE] * PORT_COLUMNS), past(ports, stage[TARGET] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    width = target[BLOCKS] * LANES
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            for j in range(width):
                value = scalar(F, 0)
                if j < target[N]:
                    value = at(F, port[VALUES] + (row - stage[DELAY] - np.int64(at(WI, stage[A] + j))) * width + j)
                put(F, target[VALUES] + row * width + j, value)


__all__ = ["gather", "lag", "neuron", "scale", "threshold"]
