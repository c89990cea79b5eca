"""Kernels that turn inputs, masks and values into streams of events, and back."""

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import (
    ACTIVE,
    AMOUNT,
    AMPLITUDE,
    BLOCKS,
    CAP,
    CHANNEL,
    CHANNELS,
    COUNT,
    EMITTED,
    IDX,
    PLACE,
    PORT_COLUMNS,
    SCRATCH,
    SOURCE,
    UNIT,
    VALUES,
    WORDS,
    A,
    B,
    N,
)
from spikeport.backends.engine.frame import INLINE, OPTIONS
from spikeport.backends.engine.vec import (
    LANES,
    at,
    cttz,
    past,
    popcount,
    put,
    put_set_bits,
    scalar,
    vfull,
    vgt,
    vload,
    vne,
    vselect,
    vstore,
)


@njit(**INLINE)
def count_active(active, I, L, first, last):
    """Add 1 to the counter of each neuron among the events `first` to `last`."""
    if active >= 0:
        for k in range(first, last):
            j = active + np.int64(at(I, k))
            put(L, j, at(L, j) + 1)


@njit(**INLINE)
def in_canonical_order(port, I, WI, first, last):
    """Sort the events `first` to `last` of a feature map from packed order (channels innermost) into canonical order.

    Counting by channel is enough: within a channel the positions ascend already.
    """
    channels, scratch = port[CHANNELS], port[SCRATCH]
    for c in range(channels + 1):
        put(I, scratch + c, np.int32(0))
    for k in range(first, last):
        c = np.int64(at(WI, port[CHANNEL] + np.int64(at(I, k))))
        put(I, scratch + c + 1, at(I, scratch + c + 1) + np.int32(1))
    for c in range(channels):
        put(I, scratch + c + 1, at(I, scratch + c + 1) + at(I, scratch + c))
    rest = scratch + channels + 1
    for k in range(first, last):
        put(I, rest + k - first, at(I, k))
    for k in range(rest, rest + last - first):
        j = np.int64(at(I, k))
        c = np.int64(at(WI, port[CHANNEL] + j))
        slot = at(I, scratch + c)
        put(I, scratch + c, slot + np.int32(1))
        put(I, first + np.int64(slot), at(WI, port[PLACE] + j))


@njit(**OPTIONS)
def events_of_words(stage, ports, F, I, U, L, W, WI, frame):
    """Make the stream of a spiking port: the neurons of its masks, ascending. A: W, canonical amplitudes."""
    port = past(ports, stage[SOURCE] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    amount = port[AMOUNT]
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            start = port[IDX] + row * port[CAP]
            k = start
            for b in range(port[BLOCKS]):
                k = put_set_bits(I, k, b * LANES, at(U, port[WORDS] + row * port[BLOCKS] + b))
            put(I, port[COUNT] + row, np.int32(k - start))
            count_active(port[ACTIVE], I, L, start, k)
            if port[PLACE] >= 0:
                in_canonical_order(port, I, WI, start, k)
            if amount >= 0:
                put(I, port[UNIT] + row, np.int32(0))
                for e in range(k - start):
                    put(F, amount + row * port[CAP] + e, at(W, stage[A] + np.int64(at(I, start + e))))


@njit(**OPTIONS)
def events_of_values(stage, ports, F, I, U, L, WI, frame):
    """Make the stream of a port of values: all that are not zero, ascending.

    A: whether masks mark those; B: WI, packed position of each neuron.
    """
    port = past(ports, stage[SOURCE] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    zero = vfull(scalar(F, 0), LANES)
    one = scalar(F, 1)
    width = port[BLOCKS] * LANES
    words = port[WORDS] if stage[A] else -1
    # Behind the last neuron 0 times infinity may have left NaN, where values overflow: no event.
    there = ~np.uint64(0) >> np.uint64(width - port[N])
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            start = port[IDX] + row * port[CAP]
            k = start
            values = port[VALUES] + row * width
            for b in range(port[BLOCKS]):
                mask = words + row * port[BLOCKS] + b
                word = at(U, mask) if words >= 0 else vne(vload(F, values + b * LANES, LANES), zero)
                if b == port[BLOCKS] - 1:
                    word &= there
                k = put_set_bits(I, k, b * LANES, word)
            put(I, port[COUNT] + row, np.int32(k - start))
            count_active(port[ACTIVE], I, L, start, k)
            if port[PLACE] >= 0:
                in_canonical_order(port, I, WI, start, k)
            unit = np.int32(1)
            amounts = port[AMOUNT] + row * port[CAP]
            for e in range(k - start):
                j = np.int64(at(I, start + e))
                if port[PLACE] >= 0:
                    j = np.int64(at(WI, stage[B] + j))
                value = at(F, values + j)
                put(F, amounts + e, value)
                if value != one:
                    unit = np.int32(0)
            put(I, port[UNIT] + row, unit)


@njit(**OPTIONS)
def values_of_words(stage, ports, F, U, W, frame):
    """Write the values of a spiking port: its amplitude where it spikes, else 0."""
    port = past(ports, stage[SOURCE] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    zero, one = vfull(scalar(F, 0), LANES), vfull(scalar(F, 1), LANES)
    blocks = port[BLOCKS]
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            for b in range(blocks):
                value = one
                if port[AMPLITUDE] >= 0:
                    value = vload(W, port[AMPLITUDE] + b * LANES, LANES)
                word = at(U, port[WORDS] + row * blocks + b)
                vstore(F, port[VALUES] + (row * blocks + b) * LANES, vselect(word, value, zero))


@njit(**OPTIONS)
def count_values(stage, ports, F, U, L, frame):
    """Count what a port without a stream emits: its non-zero values by neuron."""
    port = past(ports, stage[SOURCE] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    zero = vfull(scalar(F, 0), LANES)
    blocks = port[BLOCKS]
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            for b in range(blocks):
                if port[VALUES] >= 0:
                    word = vne(vload(F, port[VALUES] + (row * blocks + b) * LANES, LANES), zero)
                else:
                    word = at(U, port[WORDS] + row * blocks + b)
                while word != np.uint64(0):
                    j = port[ACTIVE] + b * LANES + np.int64(cttz(word))
                    put(L, j, at(L, j) + 1)
                    word &= word - np.uint64(1)


@njit(**OPTIONS)
def count_spikes(stage, ports, F, U, L, W, frame):
    """Count what a spiking port emits in each row. A: whether a neuron may spike several times a step."""
    port = past(ports, stage[SOURCE] * PORT_COLUMNS)
    samples, pitch, lead, first, last, _, _ = frame
    blocks = port[BLOCKS]
    one = vfull(scalar(F, 1), LANES)
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            total = np.int64(0)
            for b in range(blocks):
                word = at(U, port[WORDS] + row * blocks + b)
                values = port[VALUES] + (row * blocks + b) * LANES
                if stage[A] and word != 0 and (port[AMPLITUDE] >= 0 or vgt(vload(F, values, LANES), one) != 0):
                    for j in range(LANES):
                        value = at(F, values + j)
                        if port[AMPLITUDE] >= 0 and value != 0:
                            value = np.rint(value / at(W, port[AMPLITUDE] + b * LANES + j))
                        total += np.int64(value)
                else:
                    total += np.int64(popcount(word))
            put(L, port[EMITTED] + row, total)


@njit(**INLINE)
def input_events(x, where, port, row, F, I, L):
    """Make the stream of one row of an input from `x` at `where`: first the neurons, then their values."""
    zero = vfull(scalar(x, 0), LANES)
    n = port[N]
    start, amounts = port[IDX] + row * port[CAP], port[AMOUNT] + row * port[CAP]
    k = start
    whole = n // LANES * LANES
    for base in range(0, whole, LANES):
        k = put_set_bits(I, k, base, vne(vload(x, where + base, LANES), zero))
    for j in range(whole, n):
        put(I, k, np.int32(j))
        k += np.int64(at(x, where + j) != scalar(x, 0))
    count_active(port[ACTIVE], I, L, start, k)
    unit = np.int32(1)
    for e in range(k - start):
        value = scalar(F, at(x, where + np.int64(at(I, start + e))))
        put(F, amounts + e, value)
        if value != scalar(F, 1):
            unit = np.int32(0)
    put(I, port[COUNT] + row, np.int32(k - start))
    put(I, port[UNIT] + row, unit)


@njit(**INLINE)
def input_values(x, where, port, row, F):
    """Copy one row of an input as values."""
    target = port[VALUES] + row * port[BLOCKS] * LANES
    for j in range(port[N]):
        put(F, target + j, scalar(F, at(x, where + j)))
    for j in range(port[N], port[BLOCKS] * LANES):
        put(F, target + j, scalar(F, 0))


@njit(**INLINE)
def enter(x, port, sample, step, steps, F, I, L, frame):
    """Bring the rows of an input into the workspace: sample `sample` on, step `step` on, of `steps` in the array."""
    samples, pitch, lead, first, last, _, _ = frame
    for s in range(samples):
        for t in range(first, last):
            row = s * pitch + lead + t
            where = ((sample + s) * steps + step + t) * port[N]
            if port[IDX] >= 0:
                input_events(x, where, port, row, F, I, L)
            if port[VALUES] >= 0:
                input_values(x, where, port, row, F)


@njit(**INLINE)
def enter_silence(port, F, I, frame):
    """Bring rows without any input into the workspace."""
    samples, pitch, lead, first, last, _, _ = frame
    for s in range(samples):
        for row in range(s * pitch + lead + first, s * pitch + lead + last):
            if port[IDX] >= 0:
                put(I, port[COUNT] + row, np.int32(0))
                put(I, port[UNIT] + row, np.int32(1))
            if port[VALUES] >= 0:
                for j in range(port[BLOCKS] * LANES):
                    put(F, port[VALUES] + row * port[BLOCKS] * LANES + j, scalar(F, 0))
