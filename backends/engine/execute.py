"""Running a plan: samples shared out over the cores, chunk after chunk, and the trace of what happened."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np

from spikeport.backends.base import Executable
from spikeport.backends.engine import walk as kernels
from spikeport.backends.engine.layout import Array
from spikeport.backends.engine.plan import Plan, plan
from spikeport.backends.engine.results import Book, Results
from spikeport.backends.engine.workspace import MOST_ROWS, Chunk, Workspace, chunk_size
from spikeport.ir.network import StepNetwork
from spikeport.ir.trace import Recording, Trace


def usable_cores() -> int:
    """Return the cores that this process may use; ``SPIKEPORT_THREADS`` lowers it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SPIKEPORT_THREADS", "")
    return max(1, min(cores, int(given))) if given.isdigit() else cores


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
        self._books: dict[Recording, Book] = {}
        self._spaces: dict[int, list[Workspace]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        self.require_open()
        with self._lock:  # workspaces are shared by the runs
            return self._run(inputs, recording or Recording())

    def close(self) -> None:
        super().close()
        self._books.clear()
        self._plans.clear()
        self._spaces.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _run(self, inputs: Mapping[str, Array], recording: Recording) -> Trace:
        started = time.perf_counter()
        samples, steps = next(iter(inputs.values())).shape[:2]
        book = self._books.get(recording) or self._open(recording)
        plan = book.plan
        given = {p: _flat(x, plan.weights.dtype) for p, x in inputs.items()}
        results = Results(book, samples, steps)
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

    def _open(self, recording: Recording) -> Book:
        """Return the book of *recording*, kept for further runs; recordings that need the same of a plan share it."""
        graph = self.network.graph
        shown = tuple(sorted(p for p in recording.selected(graph.spiking) if not graph[p].op.is_spiking))
        key = (shown, recording.state)
        if key not in self._plans:
            self._plans[key] = plan(self.network, shown, recording.state)
        self._books[recording] = Book.of(self.network, self._plans[key], recording)
        return self._books[recording]

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
        with np.errstate(over="ignore"):  # whoever asked for the run judges what left the number range
            x = x.astype(dtype, copy=False)
    return np.ascontiguousarray(x).reshape(-1)


def _enter(space: Workspace, given: Mapping[str, Array], sample: int, step: int, steps: int, frame: Any) -> None:
    for path, port in space.plan.inputs.items():
        kernels.take_in(given[path], space.ports[port.index], sample, step, steps, space.F, space.I, space.L, frame)


def _samples(space: Workspace, results: Results, given: Mapping[str, Array], begin: int, number: int, steps: int) -> None:
    """Run *number* samples from *begin* on side by side, each from its start."""
    space.begin(number)
    for step in range(0, steps, space.chunk.steps):
        frame = space.frame(number, min(space.chunk.steps, steps - step))
        _enter(space, given, begin, step, steps, frame)
        space.walk(frame, origin=step == 0)
        results.store(space, begin, step, frame)
        space.go_on(frame)


def _one_after_the_other(
    space: Workspace, results: Results, given: Mapping[str, Array], samples: int, steps: int, silence: int
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
