"""Running a plan: samples shared out over the cores, chunk after chunk, and the trace of what happened."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from spikeport.backends.base import Executable
from spikeport.backends.engine import walk as kernels
from spikeport.backends.engine.layout import Array
from spikeport.backends.engine.plan import Plan, Port, plan
from spikeport.backends.engine.recording import AMPLITUDES, COUNTS, MEMBRANES, NUMBERS, SPIKES
from spikeport.backends.engine.workspace import MOST_ROWS, Chunk, Workspace, chunk_size
from spikeport.ir.diagnostics import Diagnostic, RunError
from spikeport.ir.network import StepNetwork
from spikeport.ir.trace import Counts, Recording, Trace


def usable_cores() -> int:
    """Return the cores that this process may use; ``SPIKEPORT_THREADS`` lowers it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SPIKEPORT_THREADS", "")
    return max(1, min(cores, int(given))) if given.isdigit() else cores


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A recorded node: its port, what to copy of it, how many steps late, and the array."""

    port: Port
    form: int
    behind: int
    array: Array
    flat: Array


class _Results:
    """Arrays of a run: each thread writes the rows of its own samples."""

    def __init__(self, network: StepNetwork, plan: Plan, recording: Recording, samples: int, steps: int) -> None:
        graph, full = network.graph, (samples, steps)
        self.network, self.plan, self.samples, self.steps = network, plan, samples, steps
        chosen = recording.selected(graph.spiking)
        self.spikes = {p: self._view(p, True) for p in chosen if p in graph.spiking}
        shown = dict.fromkeys((*graph.outputs, *(p for p in chosen if p not in graph.spiking)))
        self.out = {p: self._view(p, False) for p in shown}
        watched = [p for p in dict.fromkeys((*chosen, *graph.spiking)) if p in network.models] if recording.state else []
        self.v = {p: self._array(plan.where(p)[0], MEMBRANES, 0, p, plan.weights.dtype) for p in watched}
        weighted = [p for p, op in network.ops.items() if op.is_weighted]
        self.synops = {p: np.zeros(full, np.int64) for p in weighted}
        self.emitted = {p: np.zeros(full, np.int64) for p in graph.spiking}
        self.views = (*self.spikes.values(), *self.out.values(), *self.v.values())

    def _array(self, port: Port, form: int, behind: int, path: str, dtype: Any) -> _View:
        array = np.zeros((self.samples, self.steps, *self.network.shapes.output[path]), dtype)
        return _View(port, form, behind, array, array.reshape(self.samples, self.steps, -1))

    def _view(self, path: str, as_spikes: bool) -> _View:
        port, behind = self.plan.where(path)
        model = self.network.models.get(port.path)
        several = model is not None and model.reset == "multi_subtract"
        from_masks = port.words and not several and not port.trace_is_values
        if as_spikes:
            late = 0 if model is None else model.output_delay
            return self._array(port, SPIKES if from_masks else COUNTS, late, path, np.int32)
        return self._array(port, AMPLITUDES if from_masks else NUMBERS, behind, path, self.plan.weights.dtype)

    def store(self, space: Workspace, sample: int, step: int, frame: tuple[int, int, int, int, int]) -> None:
        """Keep a chunk that begins at *sample* and *step*."""
        samples, length = frame[0], frame[4]
        where = slice(sample, sample + samples), slice(step, step + length)
        for view in self.views:
            port = space.ports[view.port.index]
            kernels.show(
                port, view.form, view.behind, view.flat, sample, step, space.F, space.U, self.plan.weights, self.plan.indices,
                frame,
            )  # fmt: skip
        for path, array in self.synops.items():
            array[where] = space.rows(space.synops[path], samples, length)
        for path, array in self.emitted.items():
            model = self.network.models.get(path)
            late = 0 if model is None else model.output_delay
            array[where] = space.rows(space.emitted[path], samples, length, late)

    def trace(self, spaces: list[Workspace], seconds: dict[str, float], meta: dict[str, Any]) -> Trace:
        """Return all that was kept, with the counters of all threads added up."""
        counts, activity = {}, {}
        for path in spaces[0].active:
            activity[path] = np.sum([self._activity(s, path) for s in spaces], axis=0)
        for node in self.network.graph:
            path = node.path
            per_step, synops = self.emitted.get(path), self.synops.get(path)
            size = int(np.prod(self.network.shapes.output[path]))
            updates = size * self.samples * self.steps if path in self.network.models else None
            if per_step is not None or synops is not None or updates is not None:
                counts[path] = Counts(
                    spikes=None if per_step is None else int(per_step.sum()),
                    events=None if synops is None else sum(int(s.L[s.tallies[path]]) for s in spaces),
                    synops=None if synops is None else int(synops.sum()), updates=updates, spikes_per_step=per_step,
                    synops_per_step=synops,
                )  # fmt: skip
        spikes, out, v = ({p: view.array for p, view in found.items()} for found in (self.spikes, self.out, self.v))
        return Trace(spikes, out, v, counts, activity, self.samples, self.steps, seconds, meta)

    def _activity(self, space: Workspace, path: str) -> Array:
        offset, port = space.active[path]
        values = space.L[offset : offset + port.n]
        if port.packing is not None:
            canonical = np.empty(port.n, np.int64)
            canonical[port.packing.place] = values
            values = canonical
        return values.copy().reshape(self.network.shapes.output[path])


class EngineExecutable(Executable):
    """A network with packed weights; plans and workspaces are kept from run to run.

    Parameters
    ----------
    network : StepNetwork
        What to run.
    threads : int or None
        Most threads; None is every usable core.
    rows : int
        Most rows (samples times steps) of a chunk.
    """

    def __init__(self, network: StepNetwork, threads: int | None = None, rows: int = MOST_ROWS) -> None:
        self.network, self.rows = network, rows
        self.threads = usable_cores() if threads is None else max(1, threads)
        self._plans: dict[tuple[tuple[str, ...], bool], Plan] = {}
        self._spaces: dict[int, list[Workspace]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = False

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        if self._closed:
            raise RunError(Diagnostic("E804", "", "the executable is closed", "emit the program again"))
        with self._lock:  # workspaces are shared by the runs
            return self._run(inputs, recording or Recording())

    def close(self) -> None:
        self._closed = True
        self._plans.clear()
        self._spaces.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _run(self, inputs: Mapping[str, Array], recording: Recording) -> Trace:
        started = time.perf_counter()
        samples, steps = next(iter(inputs.values())).shape[:2]
        plan = self._plan(recording)
        given = {p: _flat(x, plan.weights.dtype) for p, x in inputs.items()}
        results = _Results(self.network, plan, recording, samples, steps)
        apart = self.network.profile.boundary == "reset"
        threads = min(self.threads, samples) if apart else 1
        side_by_side = -(-samples // threads) if apart else 1
        chunk = chunk_size(plan, side_by_side, steps, plan.weights.dtype.itemsize, self.rows)
        spaces = self._workspaces(plan, chunk, threads)
        for space in spaces:
            space.reset()
        planned = time.perf_counter()
        if apart:
            portions = count()

            def work(space: Workspace) -> None:
                while (begin := next(portions) * chunk.samples) < samples:
                    _samples(space, results, given, begin, min(chunk.samples, samples - begin), steps)

            self._share(work, spaces)
        else:
            _one_after_the_other(spaces[0], results, given, samples, steps, self.network.profile.silence)
        finished = time.perf_counter()
        return results.trace(spaces, {"plan": planned - started, "run": finished - planned}, {"threads": len(spaces)})

    def _plan(self, recording: Recording) -> Plan:
        graph = self.network.graph
        chosen = recording.selected(graph.spiking)
        shown = tuple(sorted(p for p in chosen if not graph[p].op.is_spiking))
        key = (shown, recording.state)
        if key not in self._plans:
            self._plans[key] = plan(self.network, shown, recording.state)
        return self._plans[key]

    def _workspaces(self, plan: Plan, chunk: Chunk, threads: int) -> list[Workspace]:
        """Return a workspace for each thread, from an earlier run where it is of the same size."""
        kept = self._spaces.setdefault(id(plan), [])
        if not kept or kept[0].chunk != chunk:
            kept.clear()
        while len(kept) < threads:
            kept.append(Workspace(plan, chunk))
        return kept[:threads]

    def _share(self, work: Callable[[Workspace], None], spaces: list[Workspace]) -> None:
        """Call *work* with every workspace, each in a thread of its own, the first one in this."""
        if len(spaces) > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="spikeport-engine")
        waiting = [self._pool.submit(work, space) for space in spaces[1:]] if self._pool is not None else []
        work(spaces[0])
        for future in waiting:
            future.result()


def _flat(x: Array, dtype: Any) -> Array:
    """Return *x* as a contiguous array of a type that the kernels read: bytes as they are, the rest as floats."""
    if x.dtype.kind == "b":
        x = x.view(np.uint8)
    if x.dtype != np.uint8:
        x = x.astype(dtype, copy=False)
    return np.ascontiguousarray(x).reshape(-1)


def _enter(space: Workspace, given: Mapping[str, Array], sample: int, step: int, steps: int, frame: Any) -> None:
    for path, port in space.plan.inputs.items():
        kernels.take_in(given[path], space.ports[port.index], sample, step, steps, space.F, space.I, space.L, frame)


def _samples(space: Workspace, results: _Results, given: Mapping[str, Array], begin: int, number: int, steps: int) -> None:
    """Run *number* samples from *begin* on side by side, each from its start."""
    space.begin(number)
    for step in range(0, steps, space.chunk.steps):
        frame = space.frame(number, min(space.chunk.steps, steps - step))
        _enter(space, given, begin, step, steps, frame)
        space.walk(frame, origin=step == 0)
        results.store(space, begin, step, frame)
        space.go_on(frame)


def _one_after_the_other(
    space: Workspace, results: _Results, given: Mapping[str, Array], samples: int, steps: int, silence: int
) -> None:
    """Run all samples as one long course, *silence* steps without input after each."""
    inputs = np.array([p.index for p in space.plan.inputs.values()], np.int64)
    space.begin(1)
    origin = True
    for sample in range(samples):
        for step in range(0, steps, space.chunk.steps):
            frame = space.frame(1, min(space.chunk.steps, steps - step))
            _enter(space, given, sample, step, steps, frame)
            space.walk(frame, origin=origin)
            results.store(space, sample, step, frame)
            space.go_on(frame)
            origin = False
        counted = space.L[: space.counters].copy()
        for step in range(0, silence, space.chunk.steps):
            frame = space.frame(1, min(space.chunk.steps, silence - step))
            kernels.take_silence(space.ports, inputs, space.F, space.I, frame)
            space.walk(frame, origin=False)
            space.go_on(frame)
        space.L[: space.counters] = counted  # what happens in the silence belongs to no sample


__all__ = ["EngineExecutable", "usable_cores"]
