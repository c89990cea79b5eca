"""Fan-out of connections: how many non-zero weights an event of each presynaptic neuron meets."""

from __future__ import annotations

from itertools import product

import numpy as np

from spikeport.ir.ops import Affine, Array, Conv1d, Conv2d, Linear, Op, Shape


def fan_out(op: Op, input_shape: Shape) -> Array:
    """Return the non-zero weights that an event of each input neuron meets: int64 of *input_shape*.

    Convolutions are counted by shape arithmetic, never expanded.
    """
    if isinstance(op, (Affine, Linear)):
        return np.asarray(np.count_nonzero(op.weight, axis=-2), np.int64)
    if isinstance(op, Conv1d):
        return fan_out(op.as_conv2d(), (input_shape[0], 1, input_shape[1]))[:, 0, :]
    if isinstance(op, Conv2d):
        return _conv_fan_out(op, input_shape)
    return np.ones(input_shape, np.int64)


def _conv_fan_out(op: Conv2d, input_shape: Shape) -> Array:
    _, rows, cols = op.output_shape(input_shape)
    c_out, c_group, k_x, k_y = op.weight.shape
    # Non-zero kernel entries by input channel and kernel position.
    taps = np.count_nonzero(op.weight.reshape(op.groups, c_out // op.groups, c_group, k_x, k_y), axis=1)
    taps = taps.reshape(op.groups * c_group, k_x, k_y)
    (px, _), (py, _) = op.pads
    counts = np.zeros(input_shape, np.int64)
    for i, j in product(range(k_x), range(k_y)):
        at_x = np.arange(rows) * op.stride[0] + i * op.dilation[0] - px
        at_y = np.arange(cols) * op.stride[1] + j * op.dilation[1] - py
        at_x, at_y = at_x[(at_x >= 0) & (at_x < input_shape[1])], at_y[(at_y >= 0) & (at_y < input_shape[2])]
        counts[np.ix_(np.arange(input_shape[0]), at_x, at_y)] += taps[:, i, j][:, None, None]
    return counts


def synapse_count(op: Op, input_shape: Shape) -> int:
    """Return the number of non-zero synapses of a weighted op, each use of a shared weight counted."""
    return int(fan_out(op, input_shape).sum())


def weight_count(op: Op) -> tuple[int, int]:
    """Return ``(weights held, non-zero weights held)`` of a weighted op; shared weights count once."""
    weight = op.parameters().get("weight")
    return (0, 0) if weight is None else (int(weight.size), int(np.count_nonzero(weight)))
