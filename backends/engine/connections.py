"""Weights as the kernels want them: dense in blocks, sparse by presynaptic neuron, convolutions as runs, pools as windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from spikeport.backends.engine.layout import Array, Packing, blocks_of, padded
from spikeport.backends.engine.vec import LANES
from spikeport.ir.fanout import fan_out
from spikeport.ir.ops import Conv1d, Conv2d, Op, Shape, SumPool2d

#: Share of non-zero weights below which a connection is held sparse: where its dense weights stay in a second-level cache,
#: and where they do not (measured: benchmarks/density.py).
SPARSE_BELOW, SPARSE_BELOW_LARGE, LARGE_BYTES = 0.01, 0.08, 1 << 20
#: Neurons of the last block where so few remain.
NARROW = 16
#: Span of a byte; and presynaptic neurons whose bytes have a sum that single precision holds.
MOST_BYTE, MOST_INPUTS = 255, 2**17


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """Weights flat, presynaptic-major in each part: pairs of blocks (128 neurons), then single ones (64; 16 if narrow)."""

    weights: Array
    bias: Array
    pairs: int
    is_narrow: bool


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """Weights ``unit * (byte + offset)``: the bytes flat as in `Dense` without its narrow block, four in an int32."""

    weights: Array
    unit: int
    offset: int
    pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """Weights of the synapses by presynaptic neuron, their targets, and where each neuron's begin."""

    weights: Array
    bias: Array
    first: Array
    target: Array


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """A convolution as runs of weights; see ``scatter.conv`` for the tables."""

    weights: Array
    blank: Array
    inputs: Array
    runs: Array
    rows: int
    length: int
    pitch: int
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A pool: first window and windows of each input, and what to divide by (0: nothing)."""

    first: Array
    target: Array
    area: int


def fan(op: Op, shape: Shape) -> tuple[Array | None, int]:
    """Return the synapses that an event of each input meets, or None and the number where all meet as many."""
    counts = fan_out(op, shape).reshape(-1)
    if counts.size and (counts == counts[0]).all():
        return None, int(counts[0])
    return counts, 0


def _bias(op: Op, size: int, dtype: Any) -> Array:
    # Adding 0 takes the sign from a zero: sums that nothing enters are +0, as where a weight times 0 was added.
    return np.broadcast_to(np.asarray(getattr(op, "bias", 0), dtype).reshape(-1), (size,)) + np.dtype(dtype).type(0)


def sparse_below(dense_bytes: int) -> float:
    """Return the share of non-zero weights below which a connection is held sparse, given the bytes of its dense weights."""
    return SPARSE_BELOW if dense_bytes <= LARGE_BYTES else SPARSE_BELOW_LARGE


def is_sparse(op: Op, dtype: Any) -> bool:
    """Whether few weights of an Affine or Linear are not zero, or it has leading axes: it is held sparse then."""
    weight: Array = op.weight  # type: ignore[attr-defined]
    density = np.count_nonzero(weight) / max(1, weight.size)
    return bool(weight.ndim > 2 or density < sparse_below(weight.size * np.dtype(dtype).itemsize))


def linear(op: Op, dtype: Any) -> Dense | Sparse:
    """Return the weights of an Affine or Linear, sparse where few are not zero or where it has leading axes."""
    weight = np.asarray(op.weight, dtype)  # type: ignore[attr-defined]
    *lead, n_out, n_in = weight.shape
    bias = padded(_bias(op, math.prod(lead) * n_out, dtype))
    if is_sparse(op, dtype):
        stacked = weight.reshape(-1, n_out, n_in)
        group, pre, post = np.nonzero(stacked.transpose(0, 2, 1))
        first = np.zeros(len(stacked) * n_in + 1, np.int64)
        np.cumsum(np.bincount(group * n_in + pre, minlength=len(stacked) * n_in), out=first[1:])
        return Sparse(stacked[group, post, pre], bias, first, group * n_out + post)
    blocks, rest = blocks_of(n_out), n_out % LANES
    is_narrow = 0 < rest <= NARROW
    pairs = (blocks - is_narrow) // 2
    widths = [2 * LANES] * pairs + [LANES] * (blocks - is_narrow - 2 * pairs) + [NARROW] * is_narrow
    full = np.zeros((sum(widths), n_in), dtype)
    full[:n_out] = weight
    parts = np.split(full, np.cumsum(widths)[:-1])
    return Dense(np.concatenate([np.ascontiguousarray(p.T).reshape(-1) for p in parts]), bias, pairs, is_narrow)


def narrow(op: Op) -> Narrow | None:
    """Return the weights of a Linear or Affine on Loihi's grid as bytes; None where they take more than bytes."""
    whole = np.asarray(op.weight).astype(np.int32)  # type: ignore[attr-defined]
    n_out, n_in = whole.shape
    bits = int(np.bitwise_or.reduce(whole, axis=None))
    shift = (bits & -bits).bit_length() - 1 if bits else 0
    low, high = min(int(whole.min(initial=0)) >> shift, 0), max(int(whole.max(initial=0)) >> shift, 0)
    if high - low > MOST_BYTE or n_in > MOST_INPUTS:
        return None
    offset = 0 if low >= -128 and high <= 127 else low + 128
    blocks = blocks_of(n_out)
    full = np.full((blocks * LANES, n_in), -offset, np.int8)
    full[:n_out] = (whole >> shift) - offset
    pairs = blocks // 2
    parts = np.split(full, np.arange(2 * LANES, len(full), 2 * LANES))
    flat = np.concatenate([np.ascontiguousarray(p.T).reshape(-1) for p in parts])
    return Narrow(flat.view(np.int32), 1 << shift, offset, pairs)


def packing_of(op: Op, output: Shape) -> Packing | None:
    """Return the order in which a convolution leaves its map; None where it is the canonical one."""
    if not isinstance(op, (Conv1d, Conv2d)):
        return None
    positions = math.prod(output[1:])
    return None if output[0] == 1 or positions == 1 else Packing(output[0], positions)


def _axis(
    size: int, out: int, kernel: int, stride: int, dilation: int, pad: int
) -> tuple[dict[int, list[tuple[int, int]]], int, int]:
    """Return, for one axis, the taps of each phase of the stride as (shift, tap), ascending in shift, and the map's bounds.

    An input at ``stride*q + phase`` meets the output ``q + shift`` through the kernel's element ``tap``.
    """
    taps: dict[int, list[tuple[int, int]]] = {}
    low, high = 0, out
    for phase in range(min(stride, size)):
        found = [
            ((phase + pad - i * dilation) // stride, i) for i in range(kernel) if (phase + pad - i * dilation) % stride == 0
        ]
        taps[phase] = sorted(found)
        last = (size - 1 - phase) // stride
        for shift, _ in found:
            low, high = min(low, shift), max(high, last + shift + 1)
    return taps, low, high


def convolution(op: Op, shape: Shape, output: Shape, dtype: Any) -> Runs:
    """Return the runs of a Conv1d or Conv2d on an input of *shape*."""
    if isinstance(op, Conv1d):
        op, shape, output = op.as_conv2d(), (shape[0], 1, shape[1]), (output[0], 1, output[1])
    if not isinstance(op, Conv2d):
        raise TypeError(f"{op.kind} is no convolution")
    weight = np.asarray(op.weight, dtype)
    c_out, c_group, k_x, k_y = weight.shape
    own = c_out // op.groups
    (pad_x, _), (pad_y, _) = op.pads
    across, low_x, high_x = _axis(shape[1], output[1], k_x, op.stride[0], op.dilation[0], pad_x)
    along, low_y, high_y = _axis(shape[2], output[2], k_y, op.stride[1], op.dilation[1], pad_y)
    pitch = (high_y - low_y) * c_out
    runs: list[tuple[int, int, int]] = []
    cuts: list[tuple[int, int]] = []  # first run, behind the last run, of each phase
    taps: list[list[tuple[int, int]]] = []  # kernel elements in the order of the weights
    for a, b in product(range(op.stride[0]), range(op.stride[1])):
        begin = len(runs)
        order: list[tuple[int, int]] = []
        for dx, i in across.get(a, []):
            previous = None
            for dy, j in along.get(b, []):
                at_map, at_weights = dx * pitch + dy * c_out, len(order) * own
                if previous == dy - 1 and op.groups == 1:
                    runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + own)
                else:
                    runs.append((at_map, at_weights, own))
                previous = dy
                order.append((i, j))
        cuts.append((begin, len(runs)))
        taps.append(order)
    block = max(1, max(len(t) for t in taps) * own)
    phases = len(taps)
    weights = np.zeros((shape[0], phases, block), dtype)
    for c, (phase, order) in product(range(shape[0]), enumerate(taps)):
        group = c // c_group
        kernels = weight[group * own : (group + 1) * own, c % c_group]
        for number, (i, j) in enumerate(order):
            weights[c, phase, number * own : (number + 1) * own] = kernels[:, i, j]
    c, x, y = (g.reshape(-1) for g in np.meshgrid(*map(np.arange, shape), indexing="ij"))
    phase = (x % op.stride[0]) * op.stride[1] + y % op.stride[1]
    here = (x // op.stride[0] - low_x) * pitch + (y // op.stride[1] - low_y) * c_out + c // c_group * own
    bounds = np.array(cuts, np.int64)
    inputs = np.stack([here, (c * phases + phase) * block, bounds[phase, 0], bounds[phase, 1]], axis=1)
    blank = np.tile(_bias(op, c_out, dtype), (high_x - low_x) * (high_y - low_y))
    first = -low_x * pitch - low_y * c_out
    table = np.array(runs, np.int64).reshape(-1, 3)
    return Runs(weights, blank, inputs, table, output[1], output[2] * c_out, pitch, first)


def windows(op: SumPool2d, shape: Shape, output: Shape) -> Windows:
    """Return which outputs each input of a pool adds to."""
    pairs = []
    (s_x, s_y), (p_x, p_y) = op.stride, op.padding
    grid = np.arange(math.prod(shape)).reshape(shape)
    results = np.arange(math.prod(output)).reshape(output)
    for i, j in product(range(op.kernel_size[0]), range(op.kernel_size[1])):
        x, y = np.arange(output[1]) * s_x + i - p_x, np.arange(output[2]) * s_y + j - p_y
        ok_x, ok_y = (x >= 0) & (x < shape[1]), (y >= 0) & (y < shape[2])
        source = grid[:, x[ok_x][:, None], y[ok_y][None]]
        target = results[:, ok_x][:, :, ok_y]
        pairs.append(np.stack([source.reshape(-1), target.reshape(-1)]))
    found = np.concatenate(pairs, axis=1)
    found = found[:, np.argsort(found[0], kind="stable")]
    first = np.zeros(math.prod(shape) + 1, np.int64)
    np.cumsum(np.bincount(found[0], minlength=math.prod(shape)), out=first[1:])
    area = math.prod(op.kernel_size) if op.kind == "AvgPool2d" else 0
    return Windows(first, found[1], area)


__all__ = [
    "Dense",
    "Narrow",
    "Runs",
    "Sparse",
    "Windows",
    "convolution",
    "fan",
    "is_sparse",
    "linear",
    "narrow",
    "packing_of",
    "windows",
]
