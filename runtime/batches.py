"""Runs in portions of samples, so that a long run can show how far it is, and can be interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from spikeport.backends.base import Executable
from spikeport.ir.ops import Array
from spikeport.ir.trace import Counts, Recording, Trace

#: Called with (samples done, samples in all).
Progress = Callable[[int, int], None]

#: Most of a run that is one portion, for the bar; samples below which that is not cut; samples of the first portion.
SHARE, LEAST, FIRST = 20, 32, 4
#: Seconds that a portion is meant to take at most: an interrupt or a timeout waits for its end.
PORTION_S = 0.5


def run_in_portions(
    executable: Executable, inputs: Mapping[str, Array], recording: Recording, seed: int, progress: Progress
) -> Trace:
    """Run all samples in portions and return one trace, as of a single run.

    Only for programs whose samples do not touch each other (``boundary=reset``) and backends that draw no random
    numbers: there the result is the same bit for bit. The first portion is small, and the next ones are as large as the
    seconds of the one before allow, at most four times as large.
    """
    samples = next(iter(inputs.values())).shape[0]
    most = max(LEAST, -(-samples // SHARE))
    size, begin, traces = FIRST, 0, []
    progress(0, samples)
    while begin < samples:
        rows = slice(begin, min(begin + size, samples))
        started = time.perf_counter()
        traces.append(executable.run({path: x[rows] for path, x in inputs.items()}, recording, seed))
        seconds = time.perf_counter() - started
        begin = rows.stop
        progress(begin, samples)
        fitting = int(size * PORTION_S / max(seconds, 1e-9))
        size = max(FIRST, min(most, 4 * size, fitting))
    return traces[0] if len(traces) == 1 else merge(traces)


def merge(traces: list[Trace]) -> Trace:
    """Return the trace of all samples of *traces*, one after the other."""
    first = traces[0]

    def joined(group: str) -> dict[str, Array]:
        return {path: np.concatenate([getattr(t, group)[path] for t in traces]) for path in getattr(first, group)}

    seconds: dict[str, float] = {}
    for trace in traces:
        for phase, value in trace.seconds.items():
            seconds[phase] = seconds.get(phase, 0.0) + value
    activity = {path: sum((t.activity[path] for t in traces[1:]), first.activity[path]) for path in first.activity}
    counts = {path: _counts([t.counts[path] for t in traces]) for path in first.counts}
    total = sum(t.samples for t in traces)
    return Trace(
        joined("spikes"), joined("out"), joined("v"), counts, activity, total, first.steps, seconds, first.meta, joined("i"),
    )  # fmt: skip


def _counts(parts: list[Counts]) -> Counts:
    def add(values: Iterable[Any]) -> int | None:
        found = [v for v in values if v is not None]
        return sum(found) if found else None

    def stack(values: Iterable[Any]) -> Array | None:
        found = [v for v in values if v is not None]
        return np.concatenate(found) if found else None

    return Counts(
        add(c.spikes for c in parts), add(c.events for c in parts), add(c.synops for c in parts), add(c.updates for c in parts),
        stack(c.spikes_per_step for c in parts), stack(c.synops_per_step for c in parts),
    )  # fmt: skip
