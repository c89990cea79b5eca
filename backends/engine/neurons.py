"""Compiled neuron updates: ``ir.dynamics.step`` for 64 neurons at a time, the same operations in the same order.

`params` and `state` hold a row of `width` values for each name below: ``params[BETA * width + neuron]`` and so on, 0 behind
the last neuron and infinity as its threshold. See ``ir.dynamics.NeuronModel`` for the equations.
"""

import numpy as np
from numba import njit

from spikeport.backends.engine.frame import INLINE
from spikeport.backends.engine.vec import LANES, scalar, vfull, vge, vgt, vload, vselect, vstore
from spikeport.backends.engine.vecmath import vmuladd, vtrunc

# Rows of `params`, each of `width` values.
BETA, GAIN, LEAK, THRESHOLD, RESET, FLOOR, ALPHA, INJECT, REFRACTORY, SYN_LEAK, OFFSET = range(11)
PARAMETERS = 11
# Rows of `state` of one sample, each of `width` values.
V, CURRENT, WAIT = range(3)
STATES = 3
# Bits of `flags`; beside WHOLE only SYNAPSE, WAITS and SHOWN count.
AT_THRESHOLD, SYNAPSE, OLD_CURRENT, DECAY_INPUT, PULL, SHIFT, CLAMP, WAITS, NEXT_STEP, DROP_INPUT, CROSSING, WHOLE, SHOWN = (
    1 << k for k in range(13)
)
# Values of `reset`.
NO_RESET, TO_VALUE, SUBTRACT, SUBTRACT_ONCE, MULTI_SUBTRACT = range(5)


@njit(**INLINE)
def above(v, threshold, flags):
    """Return the word of neurons whose membrane passes the spike test."""
    if flags & AT_THRESHOLD:
        return vge(v, threshold)
    return vgt(v, threshold)


@njit(**INLINE)
def drive(total, params, state, width, column, flags):
    """Return the current that enters the membrane now, and advance the synaptic current."""
    current = total
    if flags & SYNAPSE:
        old = vload(state, CURRENT * width + column, LANES)
        alpha = vload(params, ALPHA * width + column, LANES)
        if flags & DECAY_INPUT:
            new = alpha * (old + total)
        else:
            new = alpha * old + vload(params, INJECT * width + column, LANES) * total
        if flags & PULL:
            new = new + vload(params, SYN_LEAK * width + column, LANES)
        vstore(state, CURRENT * width + column, new)
        current = old if flags & OLD_CURRENT else new
    if flags & SHIFT:
        current = current + vload(params, OFFSET * width + column, LANES)
    return current


@njit(**INLINE)
def count_down(word, awake, params, state, width, column):
    """Advance the refractory counters: set by a spike, else one less."""
    one = vfull(scalar(state, 1), LANES)
    wait = vload(state, WAIT * width + column, LANES)
    wait = vselect(awake, wait, wait - one)
    vstore(state, WAIT * width + column, vselect(word, vload(params, REFRACTORY * width + column, LANES), wait))


@njit(**INLINE)
def cut(params, value, factor):
    """Multiply whole numbers, at most 2^24, by a factor of k/4096, at most 1, and cut towards zero: exact in single precision.

    ``value = 4096*h + l``, all three of one sign and l below 4096 in size. Then ``h*k`` is whole and at most 2^24; ``l*k`` is
    below 2^24, so ``l*k/4096`` is exact; and since ``h*k`` is whole, cutting that alone cuts the sum of both.
    """
    unit = vfull(scalar(params, 4096), LANES)
    high = vtrunc(value * vfull(scalar(params, 1 / 4096), LANES))
    low = vmuladd(high, vfull(scalar(params, -4096), LANES), value)
    return vmuladd(high, factor * unit, vtrunc(low * factor))


@njit(**INLINE)
def whole_block(total, params, state, width, column, flags):
    """Step 64 neurons in arithmetic loihi (`NeuronModel.truncate`); *total* is whole and at most 2^17 in single precision.

    Currents then are at most 2^24. Membranes are 2^24 at least where they leave the whole numbers, and are clipped anyway.
    SHOWN: currents are recorded, or may wrap without a synapse too, in doubles that hold larger sums.
    """
    zero = vfull(scalar(params, 0), LANES)
    up = vfull(scalar(params, 64), LANES)
    if flags & (SYNAPSE | SHOWN):
        turn = vfull(scalar(params, 1 << 24), LANES)
        half = vfull(scalar(params, 1 << 23), LANES)
        current = up * total
        if flags & SYNAPSE:
            old = vload(state, CURRENT * width + column, LANES)
            current = cut(params, old, vload(params, ALPHA * width + column, LANES)) + current
        current = vselect(vgt(current, half), current - turn, current)
        current = vselect(vge(zero - half, current), current + turn, current)
        vstore(state, CURRENT * width + column, current)
        current = current + vload(params, LEAK * width + column, LANES)
    else:
        current = vmuladd(up, total, vload(params, LEAK * width + column, LANES))
    carried = vload(state, V * width + column, LANES)
    v = cut(params, carried, vload(params, BETA * width + column, LANES)) + current
    top = vfull(scalar(params, (1 << 23) - 1), LANES)
    v = vselect(vgt(v, top), top, v)
    v = vselect(vgt(zero - top, v), zero - top, v)
    word = vgt(v, vload(params, THRESHOLD * width + column, LANES))
    if flags & WAITS:
        awake = ~vgt(vload(state, WAIT * width + column, LANES), zero)
        v, word = vselect(awake, v, carried), word & awake
        count_down(word, awake, params, state, width, column)
    vstore(state, V * width + column, vselect(word, zero, v))
    return word


@njit(**INLINE)
def plain_block(total, params, state, width, column, flags, reset):
    """Step 64 neurons without synapse, clamp, refractory period or late reset, LIF and IF."""
    v = vload(params, BETA * width + column, LANES) * vload(state, V * width + column, LANES)
    v = v + vload(params, GAIN * width + column, LANES) * total
    v = v + vload(params, LEAK * width + column, LANES)
    threshold = vload(params, THRESHOLD * width + column, LANES)
    word = vge(v, threshold) if flags & AT_THRESHOLD else vgt(v, threshold)
    if reset == SUBTRACT:
        v = vselect(word, v - threshold, v)
    elif reset == TO_VALUE:
        v = vselect(word, vload(params, RESET * width + column, LANES), v)
    vstore(state, V * width + column, v)
    return word


@njit(**INLINE)
def late_reset(v, late, threshold, params, width, column, flags, reset):
    """Apply the reset of membranes that came in above threshold, after this step's input."""
    if reset in (SUBTRACT, SUBTRACT_ONCE):
        return vselect(late, v - threshold, v)
    if reset == TO_VALUE and flags & DROP_INPUT:
        return vselect(late, vload(params, RESET * width + column, LANES), v)
    return v


@njit(**INLINE)
def recharged(v, carried, current, threshold, params, width, column, reset):
    """Return the membrane after a crossing within the step: reset there, then charged for the rest of the step."""
    one = vfull(scalar(params, 1), LANES)
    start = vfull(scalar(params, 0), LANES)
    if reset == TO_VALUE:
        start = vload(params, RESET * width + column, LANES)
    beta = vload(params, BETA * width + column, LANES)
    gain = vload(params, GAIN * width + column, LANES)
    v_inf = (gain * current + vload(params, LEAK * width + column, LANES)) / (one - beta)
    left = beta * ((v_inf - carried) / (v_inf - threshold))
    leaky = v_inf - (v_inf - start) * left
    straight = start + (v - threshold)
    flat = vge(beta, one) & vge(one, beta)
    return vselect(flat, straight, leaky)


@njit(**INLINE)
def early_reset(v, word, before, threshold, params, width, column, reset):
    """Apply the reset of this step's spikes; `before` marks membranes that came in above threshold."""
    if reset == SUBTRACT:
        return vselect(word, v - threshold, v)
    if reset == TO_VALUE:
        return vselect(word, vload(params, RESET * width + column, LANES), v)
    if reset == SUBTRACT_ONCE:
        return vselect(word & ~before, v - threshold, vselect(before & ~word, v + threshold, v))
    return v


@njit(**INLINE)
def multiple(v, word, threshold, one, most):
    """Return how often each neuron of `word` spikes: the quotient by the threshold, truncated, at most `most`."""
    count = vselect(word, one, one - one)
    if vge(v, threshold + threshold) != 0:  # below twice the threshold the quotient truncates to 1
        count = vselect(word, vtrunc(v / threshold), one - one)
        bound = vfull(most, LANES)
        count = vselect(vgt(count, bound), bound, count)
    return count


@njit(**INLINE)
def general_block(total, params, state, width, column, flags, reset, most):
    """Step 64 neurons of any kind; return the spiking neurons and how often each spikes."""
    zero = vfull(scalar(params, 0), LANES)
    one = vfull(scalar(params, 1), LANES)
    threshold = vload(params, THRESHOLD * width + column, LANES)
    carried = vload(state, V * width + column, LANES)
    v = carried
    before = np.uint64(0)
    if flags & NEXT_STEP or reset == SUBTRACT_ONCE:
        before = above(carried, threshold, flags)
        if reset == TO_VALUE and not flags & DROP_INPUT:
            v = vselect(before, vload(params, RESET * width + column, LANES), v)
    current = drive(total, params, state, width, column, flags)
    v = vload(params, BETA * width + column, LANES) * v + vload(params, GAIN * width + column, LANES) * current
    v = v + vload(params, LEAK * width + column, LANES)
    v = late_reset(v, before, threshold, params, width, column, flags, reset) if before != 0 else v
    awake = ~np.uint64(0)
    if flags & WAITS:
        awake = ~vgt(vload(state, WAIT * width + column, LANES), zero)
        v = vselect(awake, v, carried)
    word = above(v, threshold, flags) & awake
    count = vselect(word, one, zero)
    if flags & WAITS:
        count_down(word, awake, params, state, width, column)
    if reset == MULTI_SUBTRACT:
        count = multiple(v, word, threshold, one, most)
        if not flags & CROSSING:
            v = vselect(word, v - count * threshold, v)
    if flags & CROSSING and reset not in (NO_RESET, SUBTRACT_ONCE):
        v = vselect(word, recharged(v, carried, current, threshold, params, width, column, reset), v)
    elif reset != MULTI_SUBTRACT and (reset == SUBTRACT_ONCE or not flags & NEXT_STEP):
        v = early_reset(v, word, before, threshold, params, width, column, reset)
    if flags & CLAMP:
        floor = vload(params, FLOOR * width + column, LANES)
        v = vselect(vgt(floor, v), floor, v)
    vstore(state, V * width + column, v)
    return word, count
