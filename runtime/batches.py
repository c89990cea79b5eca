"""Runs in portions of samples, so that a long run can show how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from spikeport.backends.base import Executable
from spikeport.ir.ops import Array
from spikeport.ir.trace import Counts, Recording, Trace

#: Called with (samples done, samples in all).
Progress = Callable[[int, int], None]

#: Portions of a run: enough for a bar, and each still a batch worth the name.
PORTIONS, LEAST = 20, 32


def run_in_portions(
    executable: Executable, inputs: Mapping[str, Array], recording: Recording, seed: int, progress: Progress
) -> Trace:
    """Run all samples in portions and return one trace, as of a single run.

    Only for programs whose samples do not touch each other (``boundary=reset``) and backends that draw no random
    numbers: there the result is the same bit for bit.
    """
    samples = next(iter(inputs.values())).shape[0]
    size = max(LEAST, -(-samples // PORTIONS))
    traces = []
    progress(0, samples)
    for start in range(0, samples, size):
        rows = slice(start, min(start + size, samples))
        traces.append(executable.run({path: x[rows] for path, x in inputs.items()}, recording, seed))
        progress(rows.stop, samples)
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
        joined("spikes"), joined("out"), joined("v"), counts, activity, total, first.steps, seconds, first.meta,
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
