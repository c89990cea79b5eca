"""Merge what lies between two populations into one connection: a matrix, or a convolution where that is exact.

On a chip a synapse leads from a neuron to a neuron. Pools, scalings, flattenings and layers without neurons in between
become part of its weight; all in doubles, before anything is rounded.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from spikeport.ir.diagnostics import Diagnostic, UnsupportedError
from spikeport.ir.ops import (
    Affine,
    Array,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Flatten,
    Linear,
    Op,
    Scale,
    Shape,
    SumPool2d,
)

#: Most weights of a merged matrix.
MAX_WEIGHTS = 1 << 26


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """One connection.

    Parameters
    ----------
    op : Linear, Conv1d or Conv2d
        Without bias, in doubles.
    flatten_in, flatten_out : bool
        Whether the source is flattened in front of it, and its result behind.
    """

    op: Linear | Conv1d | Conv2d
    flatten_in: bool
    flatten_out: bool

    def with_weight(self, weight: Array) -> Merged:
        """Return the connection with other weights of the same shape."""
        return dataclasses.replace(self, op=dataclasses.replace(self.op, weight=weight))


def merge(path: str, ops: Sequence[Op], source: Shape, target: Shape, factor: Array, gain: Array) -> Merged:
    """Return ``gain * chain(factor * x)`` as one connection, biases left out.

    Parameters
    ----------
    path : str
        Of the population behind, for errors.
    ops : sequence of Op
        Stateless nodes from the source to the population.
    source, target : tuple of int
        Shapes of the two.
    factor : array, shape () or *source*
        Of the source's values.
    gain : array, shape *target*
        Of the population's input.

    Raises
    ------
    UnsupportedError
        E538 where the chain is no single connection.
    """
    spreading = [op for op in ops if isinstance(op, (Linear, Affine, Conv1d, Conv2d, SumPool2d))]
    if len(spreading) == 1 and isinstance(spreading[0], (Linear, Affine)) and spreading[0].weight.ndim == 2:
        weight = np.asarray(spreading[0].weight, np.float64)
        front, behind = _scales(ops, spreading[0], weight.shape[1], weight.shape[0])
        weight = weight * (np.broadcast_to(factor, source).reshape(-1) * front) * (gain.reshape(-1) * behind)[:, None]
        return Merged(Linear(weight), len(source) > 1, False)
    conv = _convolution(ops, source, factor, gain, target)
    if conv is not None:
        return conv
    if len(target) == 1:
        return Merged(Linear(_matrix(path, ops, source, target, factor, gain)), len(source) > 1, False)
    raise UnsupportedError(
        Diagnostic(
            "E538", path, f"what leads into it ({' -> '.join(op.kind for op in ops) or 'a plain connection'}) is no single "
            "convolution, and its neurons are no flat layer, so it cannot be written as one connection of a chip",
            "put a Flatten in front of the population or neurons between the layers, or give a channel's neurons one gain",
        )
    )  # fmt: skip


def _scales(ops: Sequence[Op], weighted: Op, before: int, after: int) -> tuple[Array, Array]:
    """Return the products of the scalings in front of *weighted* and behind it."""
    at = next(i for i, op in enumerate(ops) if op is weighted)
    found = [np.ones(before), np.ones(after)]
    for i, op in enumerate(ops):
        if isinstance(op, Scale):
            side = int(i > at)
            found[side] = found[side] * np.broadcast_to(op.scale.reshape(-1), found[side].shape)
    return found[0], found[1]


def _by_channel(values: Array, shape: Shape) -> Array | None:
    """Return *values* by channel of a map of *shape*, or None where they differ within a channel."""
    full = np.broadcast_to(values, shape).reshape(shape[0], -1)
    return full[:, 0].astype(np.float64) if np.all(full == full[:, :1]) else None


def _convolution(ops: Sequence[Op], source: Shape, factor: Array, gain: Array, target: Shape) -> Merged | None:
    """Return the chain as one convolution, or None where it is none exactly."""
    if len(source) == 2 and len(ops) == 1 and isinstance(ops[0], Conv1d):
        map_shape: Shape = ops[0].output_shape(source)
    elif len(source) == 3 or len(source) == len(target) == 2:
        map_shape = source
    else:
        return None
    front = _by_channel(factor, source)
    if front is None:
        return None
    kernel: Conv2d | Conv1d | None = None
    shape: Shape = source
    behind, flat = np.ones(1), False
    for op in ops:
        after = op.output_shape(shape)
        if isinstance(op, Flatten):
            flat = True
        elif flat:
            return None
        elif isinstance(op, Scale):
            by_channel = _by_channel(op.scale, shape)
            if by_channel is None:
                return None
            if kernel is None:
                front = front * by_channel
            else:
                behind = behind * by_channel
        elif isinstance(op, SumPool2d) and kernel is None:
            kernel = _pool_kernel(op, shape[0])
        elif isinstance(op, (Conv1d, Conv2d)) and kernel is None:
            kernel = op
        elif isinstance(op, Conv2d) and isinstance(kernel, Conv2d):
            kernel = _pooled(kernel, op, source, shape)
            if kernel is None:
                return None
        else:
            return None
        shape = after
        map_shape = after if not flat else map_shape
    if flat and len(target) > 1:
        return None  # some axes were flattened, not all
    if kernel is None:
        one, zero = np.ones((source[0], *(1,) * len(source))), np.zeros(source[0])
        if len(source) == 2:
            kernel = Conv1d(None, one, 1, 0, 1, source[0], zero)
        else:
            kernel = Conv2d(None, one, (1, 1), (0, 0), (1, 1), source[0], zero)
    rows = _by_channel(gain.reshape(map_shape), map_shape)
    if rows is None:
        return None
    weight = np.asarray(kernel.weight, np.float64)
    c_out, c_group = weight.shape[:2]
    inputs = front.reshape(kernel.groups, c_group)[np.arange(c_out) // (c_out // kernel.groups)]
    tail = (1,) * (weight.ndim - 2)
    weight = weight * inputs.reshape(c_out, c_group, *tail) * (rows * behind).reshape(c_out, 1, *tail)
    changed: dict[str, Any] = {"weight": weight, "bias": np.zeros(c_out)}
    changed["input_shape"] = source[1:] if isinstance(kernel, Conv2d) else source[1]
    return Merged(dataclasses.replace(kernel, **changed), False, len(target) == 1)


def _pool_kernel(op: SumPool2d, channels: int) -> Conv2d:
    value = 1.0 / math.prod(op.kernel_size) if isinstance(op, AvgPool2d) else 1.0
    weight = np.full((channels, 1, *op.kernel_size), value)
    return Conv2d(None, weight, op.stride, op.padding, (1, 1), channels, np.zeros(channels))


def _pooled(pool: Conv2d, conv: Conv2d, source: Shape, middle: Shape) -> Conv2d | None:
    """Return the pool *pool* followed by *conv* as one convolution of its source; None where borders would differ."""
    if pool.groups != source[0] or pool.weight.shape[1] != 1 or not isinstance(conv.padding, tuple):
        return None
    if pool.weight.size and np.any(pool.weight != pool.weight.reshape(-1)[0]):
        return None
    padding = []
    for axis in range(2):
        k, s, p = pool.weight.shape[2 + axis], pool.stride[axis], int(pool.padding[axis])
        inside, outside = source[1 + axis], middle[1 + axis]
        if conv.padding[axis] and (k > s or p or inside != s * outside):
            return None  # a kernel that hangs over the edge would see what the pool left out, or saw twice
        padding.append(int(conv.padding[axis]) * s + p)
    value = float(pool.weight.reshape(-1)[0])
    c_out, c_group, k_x, k_y = conv.weight.shape
    step = [s * d for s, d in zip(pool.stride, conv.dilation, strict=True)]
    size = [st * (k - 1) + w for st, k, w in zip(step, (k_x, k_y), pool.weight.shape[2:], strict=True)]
    weight = np.zeros((c_out, c_group, *size))
    for i in range(k_x):
        for j in range(k_y):
            x, y = i * step[0], j * step[1]
            weight[:, :, x : x + pool.weight.shape[2], y : y + pool.weight.shape[3]] += (
                value * np.asarray(conv.weight, np.float64)[:, :, i, j, None, None]
            )
    stride = (pool.stride[0] * conv.stride[0], pool.stride[1] * conv.stride[1])
    return Conv2d(None, weight, stride, (padding[0], padding[1]), (1, 1), conv.groups, np.zeros(c_out))


def _matrix(path: str, ops: Sequence[Op], source: Shape, target: Shape, factor: Array, gain: Array) -> Array:
    """Return the chain as a matrix, by what it makes of each input alone."""
    n_in, n_out = math.prod(source), math.prod(target)
    if n_in * n_out > MAX_WEIGHTS:
        raise UnsupportedError(
            Diagnostic(
                "E538", path, f"the layers in front of it merge into {n_in:,} x {n_out:,} weights; at most {MAX_WEIGHTS:,} "
                "are written out", "put neurons between the layers, or merge them before training",
            )
        )  # fmt: skip
    out = np.zeros((n_out, n_in))
    bare = [_without_bias(op) for op in ops]
    for begin in range(0, n_in, 256):
        rows = np.arange(begin, min(begin + 256, n_in))
        x = np.zeros((len(rows), n_in))
        x[np.arange(len(rows)), rows] = 1.0
        x = x.reshape(len(rows), *source)
        for op in bare:
            x = op.apply(x)
        out[:, rows] = x.reshape(len(rows), n_out).T
    return np.asarray(out * np.broadcast_to(factor, source).reshape(-1) * gain.reshape(-1)[:, None])


def _without_bias(op: Op) -> Op:
    bias = getattr(op, "bias", None)
    changed = {} if bias is None else {"bias": np.zeros_like(bias)}
    return dataclasses.replace(op, **changed) if changed else op
