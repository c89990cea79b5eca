"""Connections between populations as a chip sees them: through chains of stateless nodes, never expanded.

A chip has sources of events, synapses and populations; pools, flattenings and scalings are no places on it, they become
part of the synapses. What a core needs of a source follows backwards through the chain by shape arithmetic: the
*window* of a box of neurons holds, for every source neuron, the synapses that it makes into the box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from spikeport.compiler.mapping.merged import everyone, has_linear, merges, reached
from spikeport.ir.diagnostics import CapacityError, Diagnostic
from spikeport.ir.fanout import weight_count
from spikeport.ir.graph import Graph
from spikeport.ir.ops import (
    Affine,
    Array,
    Conv1d,
    Conv2d,
    Delay,
    Flatten,
    Input,
    Linear,
    Neuron,
    Op,
    Output,
    Scale,
    Shape,
    SumPool2d,
    Threshold,
)
from spikeport.ir.profile import Profile
from spikeport.ir.program import Box, Projection
from spikeport.ir.schedule import schedule
from spikeport.ir.shapes import Shapes

#: Different ways through stateless nodes from one source to one population, above which the graph is refused.
MAX_WAYS = 256


def is_population(op: Op) -> bool:
    """Whether a chip holds the node as neurons."""
    return isinstance(op, (Neuron, Threshold))


def projections(graph: Graph, profile: Profile) -> tuple[Projection, ...]:
    """Return all connections from sources of events (inputs, populations) to populations, in the order of the graph.

    Raises
    ------
    CapacityError
        E406 where branching stateless nodes make too many ways.
    """
    delays = schedule(graph, profile).delays
    found: list[Projection] = []
    for node in graph:
        if not (is_population(node.op) or type(node.op) is Input):
            continue
        ways: list[tuple[str, tuple[str, ...], int]] = [(node.path, (), 0)]
        count: dict[str, int] = {}
        while ways:
            path, through, waited = ways.pop()
            for edge in graph.out_of(path):
                op, total = graph[edge.target].op, waited + delays[edge]
                if is_population(op):
                    found.append(Projection(node.path, edge.target, through, total))
                elif type(op) is not Output:
                    if isinstance(op, Delay):
                        total += int(op.steps(profile.dt).max(initial=0))
                    count[edge.target] = count.get(edge.target, 0) + 1
                    if count[edge.target] > MAX_WAYS:
                        raise CapacityError(
                            Diagnostic(
                                "E406", edge.target, f"more than {MAX_WAYS} ways lead from {node.path} to {edge.target} "
                                "through layers without neurons", "merge the linear layers, or put neurons between them",
                                {"source": node.path, "limit": MAX_WAYS},
                            )
                        )  # fmt: skip
                    ways.append((edge.target, (*through, edge.target), total))
    return tuple(sorted(found, key=lambda p: (p.source, p.target, p.through)))


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Synapses from the neurons of a source into a box.

    Parameters
    ----------
    counts : array of int64
        Synapses that each source neuron of the window makes.
    origin : tuple of int
        Index of the window's first neuron on each axis of the source.
    """

    counts: Array
    origin: tuple[int, ...]

    @property
    def where(self) -> tuple[slice, ...]:
        """The window as an index into an array of the source's shape."""
        return tuple(slice(o, o + n) for o, n in zip(self.origin, self.counts.shape, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A projection with its ops and shapes, ready for arithmetic.

    Parameters
    ----------
    source, target : str
        Paths.
    ops : tuple of Op
        From the source to the target.
    shapes : tuple of tuple of int
        Shape in front of each op, and behind the last.
    nonzero : tuple of int
        Weights of each op that are not zero.
    through : tuple of str
        Paths of the ops.
    delay : int
        Steps on the way.
    """

    source: str
    target: str
    ops: tuple[Op, ...]
    shapes: tuple[Shape, ...]
    nonzero: tuple[int, ...]
    through: tuple[str, ...] = ()
    delay: int = 0

    @classmethod
    def of(cls, projection: Projection, graph: Graph, shapes: Shapes) -> Chain:
        """Return the chain of *projection*."""
        front = [shapes.output[p] for p in (projection.source, *projection.through)]
        ops = tuple(graph[p].op for p in projection.through)
        counts = tuple(weight_count(op)[1] for op in ops)
        return cls(projection.source, projection.target, ops, tuple(front), counts, projection.through, projection.delay)

    @property
    def is_shared(self) -> bool:
        """Whether the synapses are one convolution's, so that its kernels can be stored once."""
        return sum(op.is_weighted for op in self.ops) == 1 and any(isinstance(op, (Conv1d, Conv2d)) for op in self.ops)

    @property
    def is_merged(self) -> bool:
        """Whether several ways may lead from one neuron to another: see :mod:`spikeport.compiler.mapping.merged`."""
        return merges(self.ops)

    def window(self, box: Box) -> Window:
        """Return the synapses from the source into the neurons of *box*; zero weights make none."""
        if self.is_merged:
            if has_linear(self.ops):
                whole = _whole(self)
                return Window(everyone(whole.counts, box), whole.origin)
            if not any(isinstance(op, Flatten) for op in self.ops):
                return Window(*reached(self.ops, self.shapes, box))
            # Flat neurons of a map: a box of them is no box of the map, so the ways stand for the synapses.
            ways = self.ways(box)
            return Window(np.minimum(ways.counts, math.prod(b - a for a, b in box)), ways.origin)
        return self.ways(box)

    def ways(self, box: Box) -> Window:
        """Return the ways from the source into the neurons of *box*."""
        size = tuple(stop - start for start, stop in box)
        counts: Array = np.broadcast_to(np.int64(1), size)
        origin = tuple(start for start, _ in box)
        for op, shape in zip(reversed(self.ops), reversed(self.shapes[:-1]), strict=True):
            counts, origin = _back(op, shape, counts, origin)
        return Window(counts, origin)

    def kernel_weights(self, box: Box) -> Array:
        """Return the non-zero kernel weights that the channels of *box* keep, by channel (shared chains only)."""
        op = next(op for op in self.ops if op.is_weighted)
        weight: Array = op.parameters()["weight"]
        if self.is_merged:
            # The kernel on the chip is that of the whole chain: as large as what one neuron reads.
            return np.full(box[0][1] - box[0][0], self.reach((1,) * len(box))[0], np.int64)
        behind = self.shapes[self.ops.index(op) + 1]
        # A pool behind the convolution keeps its channels; anything else may need all of them.
        first, last = box[0] if len(box) == len(behind) and self.shapes[-1][0] == behind[0] else (0, behind[0])
        return np.asarray(np.count_nonzero(weight[first:last].reshape(last - first, -1), axis=1), np.int64)

    def reach(self, sizes: tuple[int, ...]) -> tuple[int, int]:
        """Return bounds ``(axons, synapses)`` of a tile of the given *sizes* away from all borders."""
        extent, fan = sizes, 1.0
        for op, shape, weights in zip(reversed(self.ops), reversed(self.shapes[:-1]), reversed(self.nonzero), strict=True):
            extent, factor = _reach(op, shape, extent, weights)
            fan *= factor
        axons = math.prod(extent)
        if self.is_merged and math.prod(sizes) > 1:
            fan = min(fan, self.reach((1,) * len(sizes))[0])
        return axons, int(min(fan, axons) * math.prod(sizes))


@lru_cache(maxsize=4)
def _whole(chain: Chain) -> Window:
    """Return the ways into the whole population; chains are compared by identity."""
    return chain.ways(tuple((0, n) for n in chain.shapes[-1]))


def _reach(op: Op, shape: Shape, sizes: tuple[int, ...], weights: int) -> tuple[tuple[int, ...], float]:
    """Return the extent of input that *sizes* of output need, and the inputs of one output neuron."""
    if isinstance(op, (Affine, Linear)):
        return (*sizes[:-1], shape[-1]), shape[-1] * weights / max(1, op.weight.size)
    if isinstance(op, Flatten):
        return shape, 1.0
    if isinstance(op, Conv1d):
        extent, fan = _reach(op.as_conv2d(), (shape[0], 1, shape[1]), (sizes[0], 1, sizes[1]), weights)
        return (extent[0], extent[2]), fan
    if isinstance(op, Conv2d):
        groups = min(op.groups, -(-sizes[0] * op.groups // op.weight.shape[0]) + (sizes[0] > 1))
        reach = zip(sizes[1:], op.stride, op.dilation, op.weight.shape[2:], shape[1:], strict=True)
        plane = tuple(min(n, (t - 1) * s + d * (k - 1) + 1) for t, s, d, k, n in reach)
        return (min(shape[0], groups * op.weight.shape[1]), *plane), weights / op.weight.shape[0]
    if isinstance(op, SumPool2d):
        reach2 = zip(sizes[1:], op.stride, op.kernel_size, shape[1:], strict=True)
        return (sizes[0], *(min(n, (t - 1) * s + k) for t, s, k, n in reach2)), float(math.prod(op.kernel_size))
    return sizes, 1.0


def _back(op: Op, shape: Shape, counts: Array, origin: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Return the window in front of *op*, whose input has *shape*, of the window behind it."""
    where = tuple(slice(o, o + n) for o, n in zip(origin, counts.shape, strict=True))
    if isinstance(op, (Affine, Linear)):
        rows = op.weight[where] != 0
        if not any(counts.strides):
            first = counts.flat[0] if counts.size else 0
            return np.count_nonzero(rows, axis=-2).astype(np.int64) * first, (*origin[:-1], 0)
        return np.einsum("...o,...oi->...i", counts, rows.astype(np.int64)), (*origin[:-1], 0)
    if isinstance(op, Flatten):
        return _unflatten(op, shape, counts, origin)
    if isinstance(op, Conv1d):
        flat, start = _taps(op.as_conv2d(), (shape[0], 1, shape[1]), counts[:, None, :], (origin[0], 0, origin[1]))
        return flat[:, 0, :], (start[0], start[2])
    if isinstance(op, Conv2d):
        return _taps(op, shape, counts, origin)
    if isinstance(op, SumPool2d):
        return _taps(op, shape, counts, origin)
    if isinstance(op, Scale) and op.scale.shape:
        return counts * (op.scale[where] != 0), origin
    return counts, origin


def _unflatten(op: Flatten, shape: Shape, counts: Array, origin: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Widen the merged axis to all of its range, so that it splits again."""
    start = op.start_dim % len(shape) if shape else 0
    end = op.end_dim % len(shape) if shape else 0
    merged = math.prod(shape[start : end + 1])
    front, back = counts.shape[:start], counts.shape[start + 1 :]
    if counts.shape[start] != merged:
        full = np.zeros((*front, merged, *back), np.int64)
        full[(slice(None),) * start + (slice(origin[start], origin[start] + counts.shape[start]),)] = counts
        counts = full
    inner = shape[start : end + 1]
    return counts.reshape(*front, *inner, *back), (*origin[:start], *(0,) * len(inner), *origin[start + 1 :])


def _taps(op: Conv2d | SumPool2d, shape: Shape, counts: Array, origin: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Spread the *counts* of outputs over the inputs that a convolution or a pool reads."""
    if isinstance(op, Conv2d):
        kernel, dilation, pads = op.weight.shape[2:], op.dilation, tuple(p[0] for p in op.pads)
    else:
        kernel, dilation, pads = op.kernel_size, (1, 1), op.padding
    stride = op.stride
    low = [o * s - p for o, s, p in zip(origin[1:], stride, pads, strict=True)]
    size = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(counts.shape[1:], stride, dilation, kernel, strict=True)]
    spread = _channel_spread(op, counts, origin[0])
    out = np.zeros((spread.channels, *size), np.int64)
    rows, cols = counts.shape[1:]
    for i, j in product(range(kernel[0]), range(kernel[1])):
        x, y = i * dilation[0], j * dilation[1]
        out[:, x : x + (rows - 1) * stride[0] + 1 : stride[0], y : y + (cols - 1) * stride[1] + 1 : stride[1]] += spread.tap(
            i, j
        )
    # What lies in the padding is nobody.
    cut = [slice(max(0, -lo), min(n, hi - lo)) for lo, n, hi in zip(low, size, shape[1:], strict=True)]
    return out[:, cut[0], cut[1]], (spread.first, max(0, low[0]), max(0, low[1]))


class _channel_spread:  # noqa: N801 - a closure with two numbers
    """How a tap carries counts from output channels to input channels: depthwise, dense or in groups."""

    def __init__(self, op: Conv2d | SumPool2d, counts: Array, first: int) -> None:
        self.counts, self.op = counts, op
        if not isinstance(op, Conv2d):
            self.first, self.channels = first, counts.shape[0]
            return
        per_group = op.weight.shape[0] // op.groups
        width = op.weight.shape[1]
        self.low, self.high = first // per_group, (first + counts.shape[0] - 1) // per_group + 1
        self.first, self.channels = self.low * width, (self.high - self.low) * width
        self.parts: list[tuple[slice, slice, Any]] = []
        for group in range(self.low, self.high):
            a, b = max(first, group * per_group), min(first + counts.shape[0], (group + 1) * per_group)
            mask = (op.weight[a:b] != 0).astype(np.float64)
            self.parts.append(
                (slice(a - first, b - first), slice((group - self.low) * width, (group - self.low + 1) * width), mask)
            )

    def tap(self, i: int, j: int) -> Array:
        """Return what the kernel position (i, j) carries to the input channels, to be placed over the outputs."""
        if not isinstance(self.op, Conv2d):
            return self.counts
        plane = self.counts.shape[1:]
        if not any(self.counts.strides):
            value = int(self.counts.flat[0])
            ones = np.zeros((self.channels, 1, 1), np.int64)
            for _, into, mask in self.parts:
                ones[into, 0, 0] = mask[:, :, i, j].sum(axis=0) * value
            return np.broadcast_to(ones, (self.channels, *plane))
        out = np.zeros((self.channels, *plane))
        for rows, into, mask in self.parts:
            # In doubles for the sake of the BLAS; counts stay far below 2^53.
            out[into] = (mask[:, :, i, j].T @ self.counts[rows].reshape(mask.shape[0], -1)).reshape(-1, *plane)
        return out.astype(np.int64)


def chains_of(graph: Graph, shapes: Shapes, found: tuple[Projection, ...]) -> Mapping[str, tuple[Chain, ...]]:
    """Return the chains that enter each population."""
    into: dict[str, list[Chain]] = {n.path: [] for n in graph if is_population(n.op)}
    for projection in found:
        into[projection.target].append(Chain.of(projection, graph, shapes))
    return {path: tuple(chains) for path, chains in into.items()}
