"""A network on SpiNNaker's grid, run: one sample after the other, as many at a time as there are threads."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from spikeport.backends.base import Executable
from spikeport.backends.course import Course
from spikeport.backends.heard import make_trace, wanted
from spikeport.backends.spinnaker.cores import advance
from spikeport.backends.spinnaker.load import load_of, told
from spikeport.backends.spinnaker.plan import Plan, make_plan
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.spinnaker import ONE
from spikeport.ir.trace import Recording, Trace


class CoresExecutable(Executable):
    """A step network in arithmetic ``spinnaker1``, packed.

    Parameters
    ----------
    network : StepNetwork
        On SpiNNaker's grid.
    program : Program or None
        What it comes from; nothing of what is computed depends on where it lies.
    """

    def __init__(self, network: StepNetwork, program: Program | None = None) -> None:
        self.network, self.program = network, program
        self.plan: Plan = make_plan(network)

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        self.require_open()
        started = time.perf_counter()
        recording = recording or Recording()
        entering = self.network.entering(inputs)
        samples, steps = next(iter(entering.values())).shape[:2]
        course = Course.of(self.network, samples, steps)
        given = self._given(course, entering)
        keys = wanted(self.network, recording)
        keep = any(key in "uv" for _, key in keys)
        pieces = [slice(at, at + course.period) for at in range(0, course.total, course.period)] if course.total else []
        workers = max(1, min(len(pieces), os.cpu_count() or 1))
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(lambda piece: self._piece(given[piece], keep), pieces))
        whole = self._whole(parts)
        heard = {(path, key): whole[key][:, self.plan.populations[path]] / (1 if key == "s" else ONE) for path, key in keys}
        seconds = {"run": time.perf_counter() - started}
        meta = self._meta(parts)
        if self.program is not None:
            load = load_of(self.program, self.plan, given, whole["s"]) if parts else None
            meta["load"] = None if load is None else dataclasses.asdict(load.summary())
            meta["notes"] = told(self.program, load, meta["ring_buffers"])
        return make_trace(self.network, recording, course, entering, heard, seconds, meta)

    def _given(self, course: Course, entering: Mapping[str, Array]) -> Array:
        given = np.zeros((course.total, sum(p.stop - p.start for p in self.plan.inputs.values())), np.int64)
        for path, place in self.plan.inputs.items():
            given[:, place] = np.rint(course.spread(entering[path])).astype(np.int64)
        return given

    def _piece(self, given: Array, keep: bool) -> dict[str, Array]:
        """Return what happened in a run of steps from the initial state on."""
        plan, steps = self.plan, len(given)
        n, groups = len(plan.v), len(plan.groups["first"])
        kept = (steps, n) if keep else (0, n)
        found: dict[str, Array] = {
            "s": np.zeros((steps, n), np.uint8), "v": np.zeros(kept, np.int64), "u": np.zeros(kept, np.int64),
            "saturated": np.zeros((groups, 2), np.int64), "peak": np.zeros((groups, 2), np.int64),
        }  # fmt: skip
        rings = [np.zeros((plan.slots, n), np.int64) for _ in range(2)]
        state = [a.copy() for a in (plan.v, plan.held, plan.exc, plan.inh)]
        advance(
            steps, given, *plan.links.values(), *plan.groups.values(), *plan.registers.values(), *state, *rings,
            found["s"], keep, found["v"], found["u"], found["saturated"], found["peak"],
        )  # fmt: skip
        return found

    def _whole(self, parts: list[dict[str, Array]]) -> dict[str, Array]:
        """Return spikes, membranes and currents of all pieces, one behind the other."""
        n = len(self.plan.v)
        return {key: np.concatenate([part[key] for part in parts]) if parts else np.zeros((0, n)) for key in "svu"}

    def _meta(self, parts: list[dict[str, Array]]) -> dict[str, Any]:
        """Return the slots that saturated and the largest contents of ring buffers, by population."""
        names = list(self.plan.populations)
        full = sum((p["saturated"] for p in parts), np.zeros((len(names), 2), np.int64))
        most = np.max([p["peak"] for p in parts] or [np.zeros((len(names), 2), np.int64)], axis=0)
        return {
            "ring_buffers": {
                path: {"saturated": full[row].tolist(), "largest": most[row].tolist()} for row, path in enumerate(names)
            }
        }  # fmt: skip
