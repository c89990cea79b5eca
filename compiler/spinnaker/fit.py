"""Fit each neuron's scale to its weights: a little below the largest scale they may lie nearer to whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeport.compiler.integer.links import Incoming
from spikeport.compiler.integer.reach import spread
from spikeport.ir.ops import Array, Linear
from spikeport.ir.spinnaker import MOST, slots_per_unit

#: Shares of the largest scale that are tried, and most weights for which they are.
SHARES = tuple(float(s) for s in np.linspace(1.0, 0.75, 26))
WEIGHTS = 1 << 21


def by_row(scale: Array, weight: Array) -> Array:
    """Return the scale of each row (or channel) of *weight*, to be multiplied with it."""
    rows = len(weight)
    return scale.reshape(rows, -1)[:, :1].reshape(rows, *(1,) * (weight.ndim - 1))


def bits_of(weight: Array, scale: Array, shifts: tuple[int, int]) -> Array:
    """Return *weight* in units of its ring buffers, before it is cut at 16 bits, as whole floats."""
    return np.asarray(np.rint(weight * by_row(scale, weight) * slots_per_unit(weight, shifts)))


def fitted(scale: Array, shifts: tuple[int, int], incoming: Sequence[Incoming], alone: bool) -> Array:
    """Return the scale, by neuron, within `SHARES` of *scale* at which the rounding of weights does the least.

    Parameters
    ----------
    scale : array
        Largest scale of each neuron.
    shifts : (int, int)
    incoming : sequence of Incoming
    alone : bool
        Whether each row (or channel) of weights has a scale of its own.
    """
    convolved = [not isinstance(one.merged.op, Linear) for one in incoming]
    if sum(one.weight.size for one in incoming) > WEIGHTS or (any(convolved) and not all(convolved)):
        return scale
    least = np.full(scale.shape, np.inf)
    best = scale
    for share in SHARES:
        error = np.zeros(scale.shape)
        for one in incoming:
            bits = np.clip(bits_of(one.weight, scale * share, shifts), -MOST, MOST)
            unit = by_row(scale * share, one.weight) * slots_per_unit(one.weight, shifts)
            wrong = (bits / unit - one.weight) * max(abs(one.least), abs(one.most))
            error = error + spread(np.sum(wrong**2, axis=tuple(range(1, wrong.ndim))), one.merged.op, scale.shape)
        if not alone:
            error = np.full(scale.shape, float(error.sum()))
        best = np.where(error < least, scale * share, best)
        least = np.minimum(error, least)
    return best
