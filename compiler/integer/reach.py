"""The sums that a connection can make, whatever its source sends."""

from __future__ import annotations

import numpy as np

from spikeport.compiler.integer.links import Incoming
from spikeport.ir.ops import Array, Linear


def reach(incoming: Incoming) -> tuple[Array, Array]:
    """Return the least and the largest sum that the connection can make: by neuron, or by channel of a convolution."""
    weight = incoming.weight
    axes = tuple(range(1, weight.ndim))
    ends = np.stack([weight * incoming.least, weight * incoming.most])
    low, high = ends.min(axis=0).sum(axis=axes), ends.max(axis=0).sum(axis=axes)
    return low, high


def spread(values: Array, op: object, shape: tuple[int, ...]) -> Array:
    """Return values by neuron (a Linear's) or by channel as an array of the population's shape."""
    if isinstance(op, Linear):
        return values.reshape(shape)
    if len(shape) == 1:  # a flattened map: channels lie one after the other
        return np.repeat(values, shape[0] // values.size)
    return np.broadcast_to(values.reshape(-1, *(1,) * (len(shape) - 1)), shape)
