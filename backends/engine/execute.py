"""Running a plan: samples shared out over the cores, or one sample's work shared out, and the trace of what happened."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np

from spikeport.backends.base import Executable
from spikeport.backends.engine.crew import Crew
from spikeport.backends.engine.habit import CHUNKS_A_CALL, WORTH_SHARING_S, Habit
from spikeport.backends.engine.layout import Array, address
from spikeport.backends.engine.plan import Plan, plan
from spikeport.backends.engine.results import Book, Results
from spikeport.backends.engine.walk import make_ready, walk
from spikeport.backends.engine.whole import float_type
from spikeport.backends.engine.workspace import MOST_ROWS, Chunk, Workspace, chunk_size
from spikeport.ir.network import StepNetwork
from spikeport.ir.trace import Recording, Trace

#: Sizes of workspaces that are kept.
MOST_SIZES = 4


def usable_cores() -> int:
    """Return the cores that this process may use; ``SPIKEPORT_THREADS``, where it is a number, lowers it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SPIKEPORT_THREADS", "")
    return max(1, min(cores, int(given))) if given.isdecimal() else cores


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
    worth_sharing_s : float
        Seconds that a sample must take for several threads to share its work.
    """

    def __init__(
        self, network: StepNetwork, threads: int | None = None, rows: int = MOST_ROWS, worth_sharing_s: float = WORTH_SHARING_S
    ) -> None:
        self.network, self.rows, self.worth_sharing_s = network, rows, worth_sharing_s
        self.threads = usable_cores() if threads is None else max(1, threads)
        self._floats = float_type(network)
        make_ready(self._floats)
        self._plans: dict[tuple[tuple[str, ...], bool], Plan] = {}
        self._books: dict[Recording, Book] = {}
        self._spaces: dict[tuple[int, Chunk, int], list[Workspace]] = {}
        self._chunks: dict[tuple[int, int, int], Chunk] = {}
        self._habits: dict[int, Habit] = {}
        self._crew: Crew | None = None
        self._lock, self._process = threading.Lock(), os.getpid()

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        with self._alone():  # workspaces are shared by the runs
            self.require_open()
            try:
                return self._run(inputs, recording or Recording())
            except BaseException:
                self._spaces.clear()  # a helper may still be under way in one of them
                raise

    def _alone(self) -> threading.Lock:
        """Return the lock of the runs; after a fork a new one, since who held the old one is not here."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock

    def close(self) -> None:
        with self._alone():  # a run in another thread ends first: its helpers would not come back
            super().close()
            self._books.clear()
            self._plans.clear()
            self._spaces.clear()
            if self._crew is not None:
                self._crew.close()
                self._crew = None

    def _run(self, inputs: Mapping[str, Array], recording: Recording) -> Trace:
        started = time.perf_counter()
        inputs = self.network.entering(inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        book = self._books.get(recording) or self._open(recording)
        plan = book.plan
        given = {p: _flat(x, plan.weights.dtype) for p, x in inputs.items()}
        table = np.array([(address(x), x.itemsize == 1, plan.inputs[p].index) for p, x in given.items()], np.int64)
        results = Results(book, samples, steps, given)
        apart = self.network.profile.boundary == "reset"
        threads = min(self.threads, max(1, samples))
        side_by_side = -(-samples // threads) if apart else 1
        size = (id(plan), side_by_side, steps)
        if size not in self._chunks:
            self._chunks[size] = chunk_size(plan, side_by_side, steps, plan.weights.dtype.itemsize, self.rows)
        chunk = self._chunks[size]
        is_course = samples == 1 or not apart
        habit = self._habits.get(id(plan)) or self._habits.setdefault(id(plan), Habit(self.threads, self.worth_sharing_s))
        spaces = self._workspaces(plan, chunk, *((1, habit.threads) if is_course else (threads, 1)))
        for space in spaces:
            space.reset()
        habit.most = 1
        planned = time.perf_counter()
        if not samples or not steps:
            pass  # nothing to do, and nothing recorded
        elif is_course:
            self._one_course(spaces[0], table, results, habit)
        else:
            self._samples_apart(spaces, table, results)
        finished = time.perf_counter()
        counted = spaces[0].counted() if len(spaces) == 1 else np.sum([s.counted() for s in spaces], axis=0)
        seconds = {"plan": planned - started, "run": finished - planned}
        meta = {"threads": habit.most if is_course else len(spaces)}
        return results.trace(counted, spaces[0].active, spaces[0].tallies, seconds=seconds, meta=meta)

    def _open(self, recording: Recording) -> Book:
        """Return the book of *recording*, kept for further runs; recordings that need the same of a plan share it."""
        graph = self.network.graph
        shown = tuple(sorted(p for p in recording.selected(graph.spiking) if not graph[p].op.is_spiking))
        key = (shown, recording.state)
        if key not in self._plans:
            self._plans[key] = plan(self.network, shown, recording.state, self._floats)
        self._books[recording] = Book.of(self.network, self._plans[key], recording)
        return self._books[recording]

    def _workspaces(self, plan: Plan, chunk: Chunk, number: int, parts: int) -> list[Workspace]:
        """Return *number* workspaces, those of an earlier run where they are of the same size."""
        key = (id(plan), chunk, parts)
        kept = self._spaces.pop(key, [])
        while len(self._spaces) >= MOST_SIZES:
            del self._spaces[next(iter(self._spaces))]
        self._spaces[key] = kept
        while len(kept) < number:
            kept.append(Workspace(plan, chunk, parts))
        return kept[:number]

    def _samples_apart(self, spaces: list[Workspace], table: Array, results: Results) -> None:
        """Run all samples, each from its start, every thread some of them side by side."""
        portions = count()

        def work(number: int) -> None:
            space = spaces[number]
            side, stride = space.chunk.samples, space.chunk.steps * CHUNKS_A_CALL
            while (begin := next(portions) * side) < results.samples and not space.is_halted():
                together = min(side, results.samples - begin)
                for step in range(0, results.steps, stride):
                    _take(space, table, results, begin, together, step, min(step + stride, results.steps), is_start=step == 0)
                    if space.is_halted():
                        return

        self._in_threads(work, len(spaces), spaces)

    def _one_course(self, space: Workspace, table: Array, results: Results, habit: Habit) -> None:
        """Run the samples one after the other, state carried over, and the profile's silence after each."""
        silence = self.network.profile.silence
        for sample in range(results.samples):
            self._advance(space, table, results, habit, sample, is_start=sample == 0)
            if silence:
                counted = space.L[: space.parts * space.counters].copy()
                self._advance(space, table, results, habit, sample, silence=silence, is_start=False)
                space.L[: space.parts * space.counters] = counted  # what happens in the silence belongs to no sample

    def _advance(
        self, space: Workspace, table: Array, results: Results, habit: Habit, sample: int, *, silence: int = 0, is_start: bool
    ) -> None:
        """Take one sample through all its steps, or through *silence*, in stretches that one or several threads share."""
        begin, last = 0, silence or results.steps
        while begin < last:
            parts, length = habit.choose(last - begin, space.chunk.steps)
            started = time.perf_counter()
            if parts == 1:
                _take(space, table, results, sample, 1, begin, begin + length, silence, is_start and begin == 0)
            else:
                space.meet()

                def work(part: int, begin: int = begin, end: int = begin + length, parts: int = parts) -> None:
                    _take(space, table, results, sample, 1, begin, end, silence, is_start and begin == 0, part, parts)

                self._in_threads(work, parts, [space])
            habit.learn(parts, length, time.perf_counter() - started)
            begin += length

    def _in_threads(self, work: Callable[[int], None], number: int, spaces: list[Workspace]) -> None:
        """Call *work* with 0 to *number* - 1, each in a thread of its own, 0 in this one; when one fails, all end early."""
        if number == 1:
            work(0)
            return
        if self._crew is None or self._crew.process != os.getpid():  # after a fork its threads are not here
            self._crew = Crew(self.threads - 1)
            weakref.finalize(self, self._crew.close)

        def halt() -> None:
            for space in spaces:
                space.halt()

        self._crew.run(work, number, halt)


def _flat(x: Array, dtype: Any) -> Array:
    """Return *x* as a contiguous array of a type that the kernels read: bytes as they are, the rest as floats."""
    if x.dtype.kind == "b":
        x = x.view(np.uint8)
    if x.dtype != np.uint8:
        with np.errstate(over="ignore"):  # whoever asked for the run judges what left the number range
            x = x.astype(dtype, copy=False)
    return np.ascontiguousarray(x)


def _take(
    space: Workspace, table: Array, results: Results, sample: int, samples: int, begin: int, end: int, silence: int = 0,
    is_start: bool = True, part: int = 0, parts: int = 1,
) -> None:  # fmt: skip
    """Take *samples* samples side by side through the steps *begin* to *end*, of their input or of silence."""
    walk(
        space.like, space.desks[part], table, results.views, results.late, results.by_step, sample, samples, begin, end,
        0 if silence else results.steps, is_start, part, parts,
    )  # fmt: skip


__all__ = ["EngineExecutable", "usable_cores"]
