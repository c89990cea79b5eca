"""The cores' step, compiled: events into ring buffers, ring buffers into neurons, whole numbers throughout.

Written after ``ir.spinnaker``, which says what is computed; here it is done for one sample, event by event.
"""

from __future__ import annotations

from numba import njit

WORD = 1 << 31
MASK = (1 << 32) - 1
MOST = (1 << 16) - 1


@njit(cache=True, nogil=True)
def _word(x):
    """Keep 32 bits with sign."""
    return ((x + WORD) & MASK) - WORD


@njit(cache=True, nogil=True)
def _deliver(value, row, first, last, ids, weights, offset, exc, inh):
    """Add *value* packets of one source neuron to the slots of the neurons behind it."""
    for k in range(first, last):
        w = weights[k] * value
        at = offset + ids[k]
        if w > 0:
            exc[row, at] += w
        else:
            inh[row, at] -= w


@njit(cache=True, nogil=True)
def advance(
    steps, given, source_of, source_first, source_size, target_first, delays, rows_at, rows, ids, weights,
    first, size, shift_exc, shift_inh, is_exp, fires,
    exp_tc, resistance, v_rest, i_offset, threshold, v_reset, refractory, decay, init,
    v, held, cur_exc, cur_inh, exc, inh, raster, keep, kept_v, kept_i, saturated, peak,
):  # fmt: skip
    """Advance all populations from their start by *steps* steps.

    Parameters
    ----------
    given : array of int64, shape (steps, inputs' neurons)
        Values of the inputs, packets of a step.
    source_of, source_first, source_size : array of int64, by connection
        1 where the source is a population, 0 an input; its first neuron among all of its kind, and how many it has.
    target_first, delays : array of int64, by connection
    rows_at : array of int64, by connection
        Where its rows start in *rows*: one for each source neuron and one more.
    rows : array of int64
        Where each row starts in *ids* and *weights*.
    first, size, shift_exc, shift_inh, is_exp, fires : array of int64, by population
    exp_tc, ..., init : array of int64, by neuron
    v, held, cur_exc, cur_inh : array of int64, by neuron
        State, changed in place.
    exc, inh : array of int64, shape (slots, neurons)
        Ring buffers.
    raster : array of uint8, shape (steps, neurons)
        Spikes, written here.
    keep : bool
        Whether to write membranes and currents of each step into *kept_v* and *kept_i*.
    saturated : array of int64, shape (populations, 2)
        Slots that were full, added to.
    peak : array of int64, shape (populations, 2)
        Largest contents.
    """
    slots = exc.shape[0]
    for step in range(steps):
        now = step % slots
        for p in range(first.shape[0]):
            for n in range(first[p], first[p] + size[p]):
                e, h = exc[now, n], inh[now, n]
                exc[now, n] = 0
                inh[now, n] = 0
                peak[p, 0] = max(peak[p, 0], e)
                peak[p, 1] = max(peak[p, 1], h)
                if e > MOST:
                    e = MOST
                    saturated[p, 0] += 1
                if h > MOST:
                    h = MOST
                    saturated[p, 1] += 1
                e <<= shift_exc[p]
                h <<= shift_inh[p]
                if is_exp[p]:
                    e = _word((cur_exc[n] * decay[n] >> 32) + (e * init[n] >> 32))
                    h = _word((cur_inh[n] * decay[n] >> 32) + (h * init[n] >> 32))
                cur_exc[n] = e
                cur_inh[n] = h
                if held[n] > 0:
                    held[n] -= 1
                else:
                    rest = _word(_word(resistance[n] * _word(e - h + i_offset[n]) >> 15) + v_rest[n])
                    v[n] = _word(rest - _word(exp_tc[n] * _word(rest - v[n]) >> 15))
                if fires[p] and v[n] >= threshold[n]:
                    v[n] = v_reset[n]
                    held[n] = refractory[n]
                    raster[step, n] = 1
                if keep:
                    kept_v[step, n] = v[n]
                    kept_i[step, n] = e - h
        for c in range(source_of.shape[0]):
            row = (step + delays[c]) % slots
            for k in range(source_size[c]):
                n = source_first[c] + k
                value = raster[step, n] if source_of[c] else given[step, n]
                if value:
                    at = rows_at[c] + k
                    _deliver(value, row, rows[at], rows[at + 1], ids, weights, target_first[c], exc, inh)
