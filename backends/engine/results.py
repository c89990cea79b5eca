"""The results of a run: recorded arrays, counts by step, and the trace that they make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.backends.engine import walk as kernels
from spikeport.backends.engine.layout import Array
from spikeport.backends.engine.plan import Plan, Port
from spikeport.backends.engine.recording import AMPLITUDES, COUNTS, MEMBRANES, NUMBERS, SPIKES
from spikeport.backends.engine.workspace import Workspace
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
    late : tuple of int
        Steps that the raster of each row of ``plan.by_step`` lies behind.
    neurons : Mapping[str, int]
        Neurons of each population that is updated.
    shapes : Mapping[str, tuple]
        Output shapes.
    """

    plan: Plan
    views: tuple[View, ...]
    late: tuple[int, ...]
    neurons: Mapping[str, int]
    shapes: Mapping[str, Shape]

    @classmethod
    def of(cls, network: StepNetwork, plan: Plan, recording: Recording) -> Book:
        """Return the book of *recording*."""
        graph, shapes = network.graph, network.shapes.output
        chosen = recording.selected(graph.spiking)

        def view(group: str, path: str) -> View:
            port, behind = plan.where(path)
            model = network.models.get(port.path)
            several = model is not None and model.reset == "multi_subtract"
            from_masks = port.words and not several and not port.trace_is_values
            if group == "v":
                return View(group, path, port, MEMBRANES, 0, shapes[path], plan.weights.dtype)
            if group == "spikes":
                late = 0 if model is None else model.output_delay
                return View(group, path, port, SPIKES if from_masks else COUNTS, late, shapes[path], np.int32)
            return View(group, path, port, AMPLITUDES if from_masks else NUMBERS, behind, shapes[path], plan.weights.dtype)

        shown = dict.fromkeys((*graph.outputs, *(p for p in chosen if p not in graph.spiking)))
        watched = [p for p in dict.fromkeys((*chosen, *graph.spiking)) if p in network.models] if recording.state else []
        views = [view("spikes", p) for p in dict.fromkeys(chosen) if p in graph.spiking]
        views += [view("out", p) for p in shown] + [view("v", p) for p in watched]
        late = [network.models[p].output_delay if what == "spikes" and p in network.models else 0 for p, what in plan.by_step]
        return cls(plan, tuple(views), tuple(late), {p: math.prod(m.shape) for p, m in network.models.items()}, shapes)


class Results:
    """Arrays of a run: each thread writes the rows of its own samples."""

    def __init__(self, book: Book, samples: int, steps: int) -> None:
        self.book, self.samples, self.steps = book, samples, steps
        self.arrays = [np.zeros((samples, steps, *v.shape), v.dtype) for v in book.views]
        self.flat = [a.reshape(-1) for a in self.arrays]
        self.by_step = np.zeros((len(book.late), samples, steps), np.int64)

    def store(self, space: Workspace, sample: int, step: int, frame: tuple[int, int, int, int, int]) -> None:
        """Keep a chunk that begins at *sample* and *step*."""
        plan, (samples, _, lead, _, length) = self.book.plan, frame
        for view, array in zip(self.book.views, self.flat, strict=True):
            kernels.show(
                space.ports[view.port.index], view.form, view.behind, array, sample, step, self.steps, space.F, space.U,
                plan.weights, plan.indices, frame,
            )  # fmt: skip
        counted = space.by_step()
        if not any(self.book.late):
            self.by_step[:, sample : sample + samples, step : step + length] = counted[:, :samples, lead : lead + length]
            return
        for row, late in enumerate(self.book.late):
            begin = lead - late
            self.by_step[row, sample : sample + samples, step : step + length] = counted[row, :samples, begin : begin + length]

    def trace(self, spaces: list[Workspace], seconds: dict[str, float], meta: dict[str, Any]) -> Trace:
        """Return all that was kept, with the counters of all threads added up."""
        book = self.book
        groups: dict[str, dict[str, Array]] = {"spikes": {}, "out": {}, "v": {}}
        for view, array in zip(book.views, self.arrays, strict=True):
            groups[view.group][view.path] = array
        rows = {
            key: (self.by_step[i], total) for i, (key, total) in enumerate(zip(book.plan.by_step, self._totals(), strict=True))
        }
        counts = {}
        for path in dict.fromkeys([*(path for path, _ in rows), *book.neurons]):
            by_step, spikes = rows.get((path, "spikes"), (None, None))
            met, synops = rows.get((path, "synops"), (None, None))
            neurons = book.neurons.get(path)
            counts[path] = Counts(
                spikes, None if met is None else sum(int(s.L[s.tallies[path]]) for s in spaces), synops,
                None if neurons is None else neurons * self.samples * self.steps, by_step, met,
            )  # fmt: skip
        activity = {path: self._activity(spaces, path) for path in spaces[0].active}
        return Trace(
            groups["spikes"], groups["out"], groups["v"], counts, activity, self.samples, self.steps, seconds, meta,
        )  # fmt: skip

    def _totals(self) -> list[int]:
        return self.by_step.sum(axis=(1, 2)).tolist()

    def _activity(self, spaces: list[Workspace], path: str) -> Array:
        """Return the non-zero values of a source by neuron, in canonical order."""
        offset, port = spaces[0].active[path]
        values = spaces[0].L[offset : offset + port.n].copy()
        for space in spaces[1:]:
            values += space.L[offset : offset + port.n]
        if port.packing is not None:
            canonical = np.empty_like(values)
            canonical[port.packing.place] = values
            values = canonical
        return values.reshape(self.book.shapes[path])


__all__ = ["Book", "Results", "View"]
