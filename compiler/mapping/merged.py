"""Chains in which several ways lead from one source neuron to one target neuron: on the chip they are one synapse.

A convolution with a pool behind it, an overlapping pool, two linear layers in a row. The synapses are counted by which
target neurons a source neuron reaches: exactly along each axis, and with every kernel that is not all zero, and every
linear layer, taken as full: an upper bound where weights are pruned, the same however the population is cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spikeport.ir.ops import Affine, Array, Conv1d, Conv2d, Linear, Op, Shape, SumPool2d
from spikeport.ir.program import Box


def merges(ops: Sequence[Op]) -> bool:
    """Whether different ways may meet: somewhere before the last spreading op a neuron reaches several others."""
    spreading = [op for op in ops if op.is_weighted or isinstance(op, SumPool2d)]
    return any(not (isinstance(op, SumPool2d) and _disjoint(op)) for op in spreading[:-1])


def _disjoint(op: SumPool2d) -> bool:
    return all(k <= s for k, s in zip(op.kernel_size, op.stride, strict=True))


def has_linear(ops: Sequence[Op]) -> bool:
    """Whether a linear layer is among *ops*."""
    return any(isinstance(op, (Affine, Linear)) for op in ops)


def reached(ops: Sequence[Op], shapes: Sequence[Shape], box: Box) -> tuple[Array, tuple[int, ...]]:
    """Return how many neurons of *box* each source neuron reaches through convolutions and pools, and the window's origin.

    The first axis holds channels, the others space.
    """
    channels = np.ones((box[0][1] - box[0][0], 1), np.int64) * np.eye(box[0][1] - box[0][0], dtype=np.int64)
    first = box[0][0]
    planes = [(np.eye(stop - start, dtype=bool), start) for start, stop in box[1:]]
    for op, shape in zip(reversed(ops), reversed(shapes[:-1]), strict=True):
        if isinstance(op, (Conv1d, Conv2d)):
            channels, first = _channels(op, channels, first), 0
        if isinstance(op, (Conv1d, Conv2d, SumPool2d)):
            axes = zip(planes, _windows(op), shape[1:], strict=True)
            planes = [_axis(matrix, start, window, n) for (matrix, start), window, n in axes]
    counts = (channels > 0).sum(axis=0)
    for matrix, _ in planes:
        counts = np.multiply.outer(counts, matrix.sum(axis=0))
    return np.asarray(counts, np.int64), (first, *(start for _, start in planes))


def _channels(op: Conv1d | Conv2d, behind: Array, first: int) -> Array:
    """Return which output channels each input channel reaches, given which of them the channels behind reach."""
    c_out, width = op.weight.shape[:2]
    used = np.asarray((op.weight.reshape(c_out, width, -1) != 0).any(axis=2), np.int64)
    linked = np.zeros((c_out, width * op.groups), np.int64)
    per_group = c_out // op.groups
    for group in range(op.groups):
        linked[group * per_group : (group + 1) * per_group, group * width : (group + 1) * width] = used[
            group * per_group : (group + 1) * per_group
        ]
    return np.asarray((behind @ linked[first : first + behind.shape[1]]) > 0, np.int64)


def _windows(op: Conv1d | Conv2d | SumPool2d) -> list[tuple[int, int, int, int]]:
    """Return (kernel, stride, dilation, padding in front) of each spatial axis."""
    if isinstance(op, SumPool2d):
        return [(k, s, 1, p) for k, s, p in zip(op.kernel_size, op.stride, op.padding, strict=True)]
    conv = op.as_conv2d() if isinstance(op, Conv1d) else op
    pads = [p[0] for p in conv.pads]
    both = list(zip(conv.weight.shape[2:], conv.stride, conv.dilation, pads, strict=True))
    return both[1:] if isinstance(op, Conv1d) else both


def _axis(matrix: Array, start: int, window: tuple[int, int, int, int], size: int) -> tuple[Array, int]:
    """Carry which outputs are reached, (outputs, positions from *start*), to the positions in front of a window."""
    kernel, stride, dilation, padding = window
    low = start * stride - padding
    length = (matrix.shape[1] - 1) * stride + dilation * (kernel - 1) + 1
    front = np.zeros((matrix.shape[0], length), bool)
    for tap in range(kernel):
        at = tap * dilation
        front[:, at : at + (matrix.shape[1] - 1) * stride + 1 : stride] |= matrix
    cut = slice(max(0, -low), min(length, size - low))
    return front[:, cut], max(0, low)


def everyone(ways: Array, box: Box) -> Array:
    """Return the synapses of a chain with a linear layer: whoever has a way at all reaches all neurons of *box*."""
    return np.where(ways > 0, math.prod(stop - start for start, stop in box), 0).astype(np.int64)
