"""Initial states: a population that runs *lag* steps behind must be where the source model starts once its lag is over.

Its bias acts from the first step on, so its current and membrane start where ``lag`` steps of decay and bias lead to the
right state; decays cut towards zero reach every whole number, so this is exact wherever it stays within 24 bits and below
threshold.
"""

from __future__ import annotations

import numpy as np

from spikeport.ir.loihi import DECAY_ONE, LIMIT
from spikeport.ir.ops import Array


def back(current: Array, membrane: Array, alpha: Array, beta: Array, bias: Array, threshold: Array, lag: int) -> tuple[
    Array, Array, bool
]:  # fmt: skip
    """Return (current, membrane, exact) from which *lag* steps without input lead to the given state.

    Parameters
    ----------
    current, membrane : array of int64
        The state wanted.
    alpha, beta : array of int64
        Decays in 1/4096.
    bias, threshold : array of int64
        Added each step; never exceeded on the way.
    lag : int
        Steps.
    """
    i, v = current.astype(np.int64), membrane.astype(np.int64)
    exact = True
    for _ in range(lag):
        if np.any(v > threshold):
            exact = False
        before, reached_v = _undecayed(v - i - bias, beta)
        earlier, reached_i = _undecayed(i, alpha)
        exact = exact and reached_v and reached_i
        i, v = earlier, before
    if np.any(np.abs(i) >= LIMIT) or np.any(np.abs(v) >= LIMIT):
        exact = False
    return (i, v, True) if exact else (current, membrane, not lag or not np.any(bias))


def _undecayed(value: Array, keep: Array) -> tuple[Array, bool]:
    """Return x of the smallest magnitude with ``x*keep >> 12 == value`` (towards zero), and whether there is one everywhere."""
    size = np.abs(value)
    safe = np.maximum(keep, 1)
    x = -(-(size * DECAY_ONE) // safe)
    found = np.where(size == 0, 0, x)
    reached = (found * keep) // DECAY_ONE == size
    return np.sign(value) * found, bool(np.all(reached))
