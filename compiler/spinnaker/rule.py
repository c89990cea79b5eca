"""sPyNNaker's own rule for the shift of a ring buffer: how much it expects in one slot.

From sPyNNaker 7.4.1, ``population_vertex.py``: where all synapses have one delay, the largest weight at every synapse at
once; else a bound on a Poisson sum of weights, five standard deviations above its mean at 30 spikes a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spikeport.compiler.integer.links import Link

#: ``spikes_per_second`` and ``ring_buffer_sigma`` of its configuration.
RATE, SIGMA = 30.0, 5.0


def spynnaker_rule(into: Sequence[Link], shape: tuple[int, ...], dt: float) -> tuple[float, float]:
    """Return the largest contents of the excitatory and the inhibitory ring buffer that sPyNNaker would reckon with.

    Parameters
    ----------
    into : sequence of Link
        Connections, weights in any unit, which is that of the result.
    shape : tuple of int
        Of the population.
    dt : float
        Step in seconds.
    """
    return _bound(into, shape, dt, 1.0), _bound(into, shape, dt, -1.0)


def _bound(into: Sequence[Link], shape: tuple[int, ...], dt: float, sign: float) -> float:
    a_tick = max(1.0, RATE * dt)
    total, biggest, items, mean, square = 0.0, 0.0, 0, 0.0, 0.0
    for link in into:
        weights = sign * link.incoming.weight
        weights = weights[weights > 0]
        if not weights.size:
            continue
        most = int(np.max(_fan_in(link, sign), initial=0))
        largest = float(weights.max())
        biggest = max(biggest, largest)
        total += a_tick * largest * most * max(abs(link.incoming.least), abs(link.incoming.most))
        items += most
        mean += most * float(weights.mean())
        square += most * float(np.mean(weights**2))
    if not items or len({link.delay for link in into}) < 2:
        return max(total, biggest)
    mean, square = mean / items, square / items
    spikes = items * RATE * dt
    # The variance of a Poisson sum: of the number of spikes, and of the weights that they meet.
    deviation = math.sqrt(spikes * mean**2 + spikes * max(square - mean**2, 0.0))
    return max(min(spikes * mean + SIGMA * deviation, total), biggest)


def _fan_in(link: Link, sign: float) -> np.ndarray:
    """Return the synapses of one sign into a neuron: by neuron of a matrix, by channel of a convolution."""
    weight = sign * link.incoming.weight
    return np.asarray(np.count_nonzero(weight > 0, axis=tuple(range(1, weight.ndim))))


__all__ = ["RATE", "SIGMA", "spynnaker_rule"]
