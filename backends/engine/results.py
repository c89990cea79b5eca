"""The results of a run: recorded arrays, counts by step, and the trace that they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from spikeport.backends.engine import columns as col
from spikeport.backends.engine.layout import Array, address
from spikeport.backends.engine.plan import Plan
from spikeport.backends.engine.ports import Port
from spikeport.backends.engine.recording import AMPLITUDES, COUNTS, MEMBRANES, NUMBERS, SPIKES, SYNAPTIC
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Shape
from spikeport.ir.trace import Counts, Recording, Trace


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A recorded node: in which group of the trace, its port, what to copy of it, how many steps late, and as what."""

    group: str
    path: str
    port: Port
    form: int
    behind: int
    shape: Shape
    dtype: Any


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """What a recording wants of a plan, worked out once for all runs.

    Parameters
    ----------
    plan : Plan
    views : tuple of View
    table : array of int64, shape (views, columns)
        The views as ``walk`` wants them, but for the arrays.
    late : array of int64, shape (rows of plan.by_step,)
        Steps that the raster of each row lies behind.
    nodes : tuple of (path, row, row, neurons)
        What the trace has counts of: rows of ``plan.by_step`` with spikes and with synaptic operations (-1: none), and
        neurons that are updated (0: none).
    shapes : Mapping[str, tuple]
        Output shapes.
    """

    plan: Plan
    views: tuple[View, ...]
    table: Array
    late: Array
    nodes: tuple[tuple[str, int, int, int], ...]
    shapes: Mapping[str, Shape]

    @classmethod
    def of(cls, network: StepNetwork, plan: Plan, recording: Recording) -> Book:
        """Return the book of *recording*."""
        graph, shapes = network.graph, network.shapes.output
        chosen = recording.selected(graph.spiking)
        number = network.arithmetic.dtype  # the kernels' may be narrower

        def view(group: str, path: str) -> View:
            port, behind = plan.where(path)
            if group in ("v", "i"):
                form = MEMBRANES if group == "v" else SYNAPTIC
                return View(group, path, port, form, 0, shapes[path], number)
            if group == "spikes":
                late = network.models[port.path].output_delay if port.path in network.models else 0
                return View(group, path, port, SPIKES if port.from_masks else COUNTS, late, shapes[path], np.int32)
            return View(group, path, port, AMPLITUDES if port.from_masks else NUMBERS, behind, shapes[path], number)

        shown = dict.fromkeys((*graph.outputs, *(p for p in chosen if p not in graph.spiking)))
        watched = [p for p in dict.fromkeys((*chosen, *graph.spiking)) if p in network.models] if recording.state else []
        views = [view("spikes", p) for p in dict.fromkeys(chosen) if p in graph.spiking]
        views += [view("out", p) for p in shown] + [view("v", p) for p in watched]
        views += [view("i", p) for p in watched if network.models[p].truncate]
        late = [network.models[p].output_delay if what == "spikes" and p in network.models else 0 for p, what in plan.by_step]
        neurons = {p: math.prod(m.shape) for p, m in network.models.items()}
        rows = {key: row for row, key in enumerate(plan.by_step)}
        nodes = tuple(
            (path, rows.get((path, "spikes"), -1), rows.get((path, "synops"), -1), neurons.get(path, 0))
            for path in dict.fromkeys([*(path for path, _ in plan.by_step), *neurons])
        )
        kinds = {np.dtype(np.int32): col.AS_COUNTS, np.dtype(np.float64): col.AS_DOUBLES, plan.weights.dtype: col.AS_FLOATS}
        table = [(0, kinds[np.dtype(v.dtype)], v.port.index, v.form, v.behind) for v in views]
        return cls(
            plan, tuple(views), np.array(table, np.int64).reshape(-1, col.VIEW_COLUMNS), np.array(late, np.int64), nodes, shapes
        )


class WhenAsked(Mapping[str, Any]):
    """A mapping that is worked out when it is first looked into: a short run is over before its counts are laid out."""

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._found: dict[str, Any] | None = None

    def _all(self) -> dict[str, Any]:
        if self._found is None:
            self._found = self._make()
        return self._found

    def __getitem__(self, path: str) -> Any:
        return self._all()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class Results:
    """Arrays of a run: each thread writes the rows of its own samples.

    ``views`` and ``late`` are the tables that ``walk`` wants; see ``columns``. The inputs are kept beside them: kernels read
    them by address, so they must live as long as what is written.
    """

    def __init__(self, book: Book, samples: int, steps: int, inputs: Mapping[str, Array]) -> None:
        self.book, self.samples, self.steps = book, samples, steps
        self.inputs = inputs
        self.arrays = [np.zeros((samples, steps, *v.shape), v.dtype) for v in book.views]
        self.by_step = np.zeros((len(book.late), samples, steps), np.int64)
        self.views = book.table.copy()
        for row, array in zip(self.views, self.arrays, strict=True):
            row[col.AT_OUT] = address(array)
        self.late = book.late

    def trace(self, counted: Array, active: Mapping[str, tuple[int, Port]], tallies: Mapping[str, int], **rest: Any) -> Trace:
        """Return all that was kept, given the counters of a run."""
        groups: dict[str, dict[str, Array]] = {"spikes": {}, "out": {}, "v": {}, "i": {}}
        for view, array in zip(self.book.views, self.arrays, strict=True):
            groups[view.group][view.path] = array
        counts = MappingProxyType(WhenAsked(lambda: self._counts(counted, tallies)))
        activity = MappingProxyType(
            WhenAsked(lambda: {path: self._activity(counted, *where, self.book.shapes[path]) for path, where in active.items()})
        )
        return Trace(
            groups["spikes"], groups["out"], groups["v"], counts, activity, self.samples, self.steps, i=groups["i"],
            **rest,
        )  # fmt: skip

    def _counts(self, counted: Array, tallies: Mapping[str, int]) -> dict[str, Counts]:
        totals = self.by_step.sum(axis=(1, 2)).tolist()
        counts = {}
        for path, spikes, synops, neurons in self.book.nodes:
            counts[path] = Counts(
                totals[spikes] if spikes >= 0 else None, int(counted[tallies[path]]) if synops >= 0 else None,
                totals[synops] if synops >= 0 else None, neurons * self.samples * self.steps if neurons else None,
                self.by_step[spikes] if spikes >= 0 else None, self.by_step[synops] if synops >= 0 else None,
            )  # fmt: skip
        return counts

    @staticmethod
    def _activity(counted: Array, offset: int, port: Port, shape: Shape) -> Array:
        """Return the non-zero values of a source by neuron, in canonical order."""
        values = counted[offset : offset + port.n]
        if port.packing is not None:
            canonical = np.empty_like(values)
            canonical[port.packing.place] = values
            values = canonical
        return values.reshape(shape)


__all__ = ["Book", "Results", "View"]
