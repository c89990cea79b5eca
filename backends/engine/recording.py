"""Kernel that copies what a port gave out of the workspace, in canonical order."""

import numpy as np
from numba import njit

from spikeport.backends.engine.columns import AMPLITUDE, BLOCKS, CURRENTS, PLACE, TRACE, VALUES, WORDS, N
from spikeport.backends.engine.frame import INLINE
from spikeport.backends.engine.vec import LANES, at, cttz, put, scalar

# What to copy: spikes from masks (each 1); spike counts from values; values from masks; values; membranes; currents.
SPIKES, COUNTS, AMPLITUDES, NUMBERS, MEMBRANES, SYNAPTIC = range(6)


@njit(**INLINE)
def record(port, form, behind, out, sample, step, steps, F, U, W, WI, frame):
    """Copy the rows of *frame*, *behind* steps late, to sample `sample` on, step `step` on, of `out`, which holds zeros."""
    samples, pitch, lead, first, last, _, _ = frame
    blocks = port[BLOCKS]
    for s in range(samples):
        for t in range(first, last):
            row = s * pitch + lead + t - behind
            to = ((sample + s) * steps + step + t) * port[N]
            if form in (SPIKES, AMPLITUDES):
                for b in range(blocks):
                    word = at(U, port[WORDS] + row * blocks + b)
                    while word != np.uint64(0):
                        j = b * LANES + np.int64(cttz(word))
                        word &= word - np.uint64(1)
                        value = scalar(out, 1)
                        if form == AMPLITUDES and port[AMPLITUDE] >= 0:
                            value = scalar(out, at(W, port[AMPLITUDE] + j))
                        put(out, to + (np.int64(at(WI, port[PLACE] + j)) if port[PLACE] >= 0 else j), value)
                continue
            values = port[TRACE] if form == MEMBRANES else port[CURRENTS] if form == SYNAPTIC else port[VALUES]
            source = values + row * blocks * LANES
            for j in range(port[N]):
                value = at(F, source + j)
                if form == COUNTS and port[AMPLITUDE] >= 0 and value != 0:
                    value = np.rint(value / at(W, port[AMPLITUDE] + j))
                put(out, to + (np.int64(at(WI, port[PLACE] + j)) if port[PLACE] >= 0 else j), scalar(out, value))
