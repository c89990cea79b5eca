"""The mode ``cpp_standalone``: a compiled program, run as often as asked with other weights, inputs, samples and steps."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.backends.brian2.cache import program
from spikeport.backends.brian2.form import STEP_S
from spikeport.backends.brian2.layout import Layout
from spikeport.backends.brian2.results import Course, Heard
from spikeport.ir.diagnostics import Diagnostic, RunError
from spikeport.ir.ops import Array


class StandaloneProgram:
    """The compiled program of a layout's form, and the layout's numbers.

    Parameters
    ----------
    layout : Layout
        What to run.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.path, self.seconds = program(layout.form)

    def run(self, given: Mapping[str, Array], course: Course) -> tuple[Heard, dict[str, float]]:
        """Run all samples; *given* by the name of the input function, (total, neurons)."""
        form, values = self.layout.form, self.layout.values
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="spikeport-brian2-") as folder:
            with open(Path(folder, "parameters.bin"), "wb") as file:
                np.array([course.total, course.period], np.int64).tofile(file)
                for name in form.parameters:
                    np.ascontiguousarray(values[name], np.float64).tofile(file)
                for call in form.inputs:
                    np.ascontiguousarray(given[call.name], np.float64).tofile(file)
            done = subprocess.run([str(self.path)], cwd=folder, capture_output=True, text=True, check=False, errors="replace")
            if done.returncode:
                raise RunError(
                    Diagnostic(
                        "E812", "", f"the compiled program ended with exit code {done.returncode}: {_last(done.stderr)}",
                        f"remove {self.path.parent}, so that it is compiled anew",
                    )
                )  # fmt: skip
            raw = np.fromfile(Path(folder, "results.bin"), np.uint8)
        heard = _read(raw, self.layout, course)
        seconds = {**self.seconds, "run": time.perf_counter() - started, "loop": float(raw[:8].view(np.float64)[0])}
        self.seconds = {"generate": 0.0, "compile": 0.0}
        return heard, seconds

    def close(self) -> None:
        """Let go of the numbers; the program stays on disk for the next one."""


def _last(text: str) -> str:
    return text.strip()[-300:]


def _read(raw: Array, layout: Layout, course: Course) -> Heard:
    at = 8

    def take(dtype: Any, count: int) -> Array:
        nonlocal at
        size = np.dtype(dtype).itemsize * count
        at += size
        return np.frombuffer(raw[at - size : at].tobytes(), dtype)

    events, states = {}, {}
    for group in layout.form.groups:
        if group.records:
            n = int(take(np.int64, 1)[0])
            times, y, neurons = take(np.float64, n), take(np.float64, n), take(np.int32, n)
            events[group.name] = (np.rint(times / STEP_S).astype(np.int64), neurons, y)
    for group in layout.form.groups:
        if group.records_state:
            states[group.name] = take(np.float64, course.total * group.size).reshape(course.total, group.size)
    return Heard(events, states, {g.name: g.size for g in layout.form.groups})


__all__ = ["StandaloneProgram"]
