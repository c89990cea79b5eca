"""Traffic: which slice sends to which, over how many neurons, and what a given activity makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spikeport.compiler.mapping.chains import Chain, Window
from spikeport.compiler.mapping.formats import format_of
from spikeport.compiler.mapping.needs import stored
from spikeport.compiler.mapping.partition import cut, grids
from spikeport.hw_profiles.target import Target
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array
from spikeport.ir.program import Box, Program, Slice
from spikeport.ir.shapes import Shapes

#: Core of a source that is outside the chip.
OUTSIDE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Links between slices, one row for each pair that a chain connects.

    Parameters
    ----------
    senders : tuple of Slice
        Slices of the program, and pieces of the inputs, whose core is ``OUTSIDE``.
    source : array of int64
        Row of ``senders``, for each link.
    target : array of int64
        Index into the program's slices.
    chain : array of int64
        Index into ``chains``.
    neurons : array of int64
        Source neurons that make at least one synapse.
    packets : array of float64
        Events of these neurons.
    synops : array of float64
        Synaptic operations that the events cause.
    chains : tuple of Chain
        All connections.
    stored_as : tuple of str
        Encoding of the synapses, by link.
    """

    senders: tuple[Slice, ...]
    source: Array
    target: Array
    chain: Array
    neurons: Array
    packets: Array
    synops: Array
    chains: tuple[Chain, ...]
    stored_as: tuple[str, ...]


class _Grid:
    """The slices of one population, found by position; a regular grid where they are one, else a list."""

    def __init__(self, slices: Sequence[tuple[int, Box]]) -> None:
        self.slices = slices
        axes = range(len(slices[0][1])) if slices else range(0)
        self.starts = [sorted({box[a] for _, box in slices}) for a in axes]
        self.regular = math.prod(len(s) for s in self.starts) == len(slices)
        if self.regular:
            at = {box: row for row, box in slices}
            self.table = np.array([at.get(box, -1) for box in _product(self.starts)])
            self.table = self.table.reshape([len(s) for s in self.starts])
            gapless = all(a[1] == b[0] for s in self.starts for a, b in pairwise(s))
            self.regular = gapless and not bool((self.table < 0).any())

    def sums(self, window: Window, *values: Array) -> tuple[Array, list[Array]]:
        """Return the rows of the slices that *window* touches, and the sum of each of *values* over each of them."""
        if not self.regular:
            return self._one_by_one(window, values)
        cuts, ranges = [], []
        for axis, marks in enumerate(self.starts):
            low, high = window.origin[axis], window.origin[axis] + window.counts.shape[axis]
            first = int(np.searchsorted([b for _, b in marks], low, side="right"))
            last = int(np.searchsorted([a for a, _ in marks], high, side="left"))
            ranges.append(slice(first, last))
            cuts.append([max(a - low, 0) for a, _ in marks[first:last]])
        rows = self.table[tuple(ranges)].reshape(-1) if ranges else self.table.reshape(-1)
        totals = []
        for value in values:
            for axis, at in enumerate(cuts):
                value = np.add.reduceat(value, at, axis=axis)
            totals.append(np.asarray(value).reshape(-1))
        return rows, totals

    def _one_by_one(self, window: Window, values: tuple[Array, ...]) -> tuple[Array, list[Array]]:
        rows, found = [], []
        for row, box in self.slices:
            pairs = zip(box, window.origin, window.counts.shape, strict=True)
            where = tuple(slice(max(a - o, 0), max(min(b - o, n), 0)) for (a, b), o, n in pairs)
            if all(w.stop > w.start for w in where):
                rows.append(row)
                found.append([v[where].sum() for v in values])
        return np.array(rows, np.int64), [np.array(column) for column in zip(*found, strict=True)] or [np.zeros(0)] * len(
            values
        )


def _product(starts: list[list[tuple[int, int]]]) -> list[Box]:
    boxes: list[Box] = [()]
    for axis in starts:
        boxes = [(*box, piece) for box in boxes for piece in axis]
    return boxes


def outside_pieces(graph: Graph, shapes: Shapes, target: Target) -> list[Slice]:
    """Return the inputs cut as if they were populations: a piece is what one spike source would send."""
    out = []
    limit = target.limit("neurons") or 1
    for path in graph.inputs:
        shape = shapes.output[path]
        parts = grids(shape, -(-math.prod(shape) // limit))[0]
        out += [Slice(path, box, OUTSIDE) for box in cut(shape, parts)]
    return out


def traffic(
    program: Program, into: Mapping[str, tuple[Chain, ...]], shapes: Shapes, target: Target,
    activity: Mapping[str, Array] | None = None,
) -> Traffic:  # fmt: skip
    """Return the links of *program*, with packets and synaptic operations where *activity* is given.

    Parameters
    ----------
    program : Program
        Mapped.
    into : Mapping[str, tuple of Chain]
        Chains by population.
    shapes : Shapes
        Of its graph.
    target : Target
        For encodings and the pieces of inputs.
    activity : Mapping[str, array of the source's shape]
        Events of each source neuron; None counts none.
    """
    senders = (*program.slices, *outside_pieces(program.graph, shapes, target))
    by_path: dict[str, list[tuple[int, Box]]] = {}
    for row, s in enumerate(senders):
        by_path.setdefault(s.path, []).append((row, s.box))
    layout = {path: _Grid(found) for path, found in by_path.items()}
    chains = tuple(chain for path in into for chain in into[path])
    number = {id(chain): n for n, chain in enumerate(chains)}
    forms = {id(chain): format_of(program.graph, chain, target, program.arithmetic) for chain in chains}
    columns: list[list[Array]] = [[] for _ in range(6)]
    stored_as: list[str] = []
    for row, s in enumerate(program.slices):
        for chain in into[s.path]:
            window = chain.window(s.box)
            linked = window.counts > 0
            events = None if activity is None else activity[chain.source][window.where]
            packets = linked.astype(np.float64) if events is None else linked * events.astype(np.float64)
            synops = window.counts * packets
            rows, (neurons, sent, done) = layout[chain.source].sums(window, linked.astype(np.int64), packets, synops)
            keep = neurons > 0
            n = int(keep.sum())
            if n:
                _, name = stored(chain, s.box, window.counts[linked], forms[id(chain)], target)
                parts = (rows[keep], np.full(n, row), np.full(n, number[id(chain)]), neurons[keep], sent[keep], done[keep])
                for column, part in zip(columns, parts, strict=True):
                    column.append(part)
                stored_as += [name] * n
    joined = [np.concatenate(c) if c else np.zeros(0) for c in columns]
    source, end, chained, neurons = (j.astype(np.int64) for j in joined[:4])
    return Traffic(senders, source, end, chained, neurons, joined[4], joined[5], chains, tuple(stored_as))
