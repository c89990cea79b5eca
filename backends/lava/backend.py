"""Lava behind the contract of backends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spikeport.backends.base import Availability, Backend, Executable, Fidelity
from spikeport.backends.course import Course
from spikeport.backends.heard import Heard, make_trace, wanted
from spikeport.backends.lava.environment import KIT
from spikeport.backends.lava.line import Line
from spikeport.backends.lava.plan import Plan, make_plan
from spikeport.backends.lava.ways import findings
from spikeport.ir.diagnostics import Diagnostic, RunError, UnsupportedError, VerifyError, fail_on_errors
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.trace import Recording, Trace


class LavaExecutable(Executable):
    """A step network, and the worker that runs it: started at the first run, kept for more, ended by ``close``.

    Parameters
    ----------
    network : StepNetwork
    environment : Path
        The worker's.
    conv : {"conv", "sparse"}
        What convolutions become.
    line : Line or None
        A worker that is there already and stays when this is closed; several executables may take turns in it.
    """

    def __init__(self, network: StepNetwork, environment: Path, conv: str = "conv", line: Line | None = None) -> None:
        self.network, self.environment, self.conv = network, environment, conv
        self._line, self._is_lent = line, line is not None
        self._plan: Plan | None = None
        self._graded: frozenset[str] = frozenset()

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        self.require_open()
        recording = recording or Recording()
        entering = self.network.entering(inputs)
        samples, steps = next(iter(entering.values())).shape[:2]
        course = Course.of(self.network, samples, steps)
        seconds: dict[str, float] = {}
        try:
            line, plan = self._prepare(entering, seconds)
            heard = self._run(line, plan, course, entering, wanted(self.network, recording), seconds)
        except BaseException:
            # Of what Lava was doing nothing is known any more: the next run starts a worker of its own.
            if self._line is not None:
                self._line.close()
            self._line, self._is_lent = None, False
            raise
        meta = {"lava": "0.10.0", "models": plan.models, "processes": len(plan.processes)}
        return make_trace(self.network, recording, course, entering, heard, seconds, meta)

    def _prepare(self, inputs: Mapping[str, Array], seconds: dict[str, float]) -> tuple[Line, Plan]:
        """Return the worker with the network built in it; it stays as it is while inputs are of the same kind."""
        if self._line is None:
            with _timed(seconds, "start"):
                self._line = Line(self.environment)
        graded = frozenset(path for path, x in inputs.items() if x.size and not np.all((x == 0) | (x == 1)))
        if self._plan is None or graded != self._graded:
            self._plan, self._graded = make_plan(self.network, graded, self.conv), graded
        if self._line.holds is not self._plan:
            with _timed(seconds, "build"):
                self._line.build(self._plan)
        return self._line, self._plan

    @staticmethod
    def _run(
        line: Line, plan: Plan, course: Course, inputs: Mapping[str, Array], keys: tuple[tuple[str, str], ...],
        seconds: dict[str, float],
    ) -> Heard:  # fmt: skip
        number = np.int32 if plan.models == "fixed_pt" else np.float64
        heard = {}
        with line.run_folder() as folder, _timed(seconds, "run"):
            for path, place in plan.places.items():
                if path in inputs:
                    values = place.to_lava(course.spread(inputs[path]))
                    np.save(folder / f"x{place.index}.npy", values.astype(number), allow_pickle=False)
            files = {(path, key): folder / f"{key}{plan.places[path].index}.npy" for path, key in keys}
            for (path, key), file in files.items():
                dtype, shape = np.uint8 if key == "s" else number, (course.total, *plan.places[path].shape)
                np.lib.format.open_memmap(file, "w+", dtype, shape)
            if course.total:
                line.run(course.total, course.period if course.is_reset else 0, len(plan.processes))
            for (path, key), file in files.items():
                heard[path, key] = plan.places[path].from_lava(np.load(file, allow_pickle=False))
        return heard

    def close(self) -> None:
        super().close()
        if self._line is not None and not self._is_lent:
            self._line.close()
        self._line = None


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - started


@dataclass(frozen=True)
class LavaBackend(Backend):
    """Intel's Lava, in a worker of its own.

    Parameters
    ----------
    conv : {"conv", "sparse"}
        Whether convolutions stay Conv, or are written out as Sparse: the same spikes, one to check the other.
    """

    conv: str = "conv"

    name: ClassVar[str] = "lava"
    fidelity: ClassVar[Any] = "bit_exact"
    arithmetics: ClassVar[tuple[str, ...]] = ("loihi", "float64")
    summary: ClassVar[str] = "Lava 0.10.0, fixed_pt (arithmetic loihi) and floating_pt, in a process of its own; scripts for it"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"conv": ("conv", "sparse")}

    def _with(self, **options: str) -> Backend:
        return replace(self, **options)

    def fidelity_for(self, arithmetic: str) -> Fidelity:
        return "bit_exact" if arithmetic == "loihi" else "float"

    def available(self) -> Availability:
        place, why = KIT.find()
        return Availability(True) if place is not None else Availability(False, why, KIT.remedy)

    def check(self, program: Program) -> tuple[Diagnostic, ...]:
        found = super().check(program)
        if found:
            return found
        try:
            network = build_network(program.graph, program.profile, program.arithmetic)
        except VerifyError as error:
            return error.diagnostics
        return findings(network)

    def emit(self, program: Program) -> Executable:
        self.require(program)
        place, why = KIT.find()
        if place is None:
            raise RunError(Diagnostic("E541", "", why, KIT.remedy))
        return LavaExecutable(build_network(program.graph, program.profile, program.arithmetic), place, self.conv)

    def script(self, program: Program, inputs: Mapping[str, Array], title: str) -> Mapping[str, str | Mapping[str, Array]]:
        from spikeport.backends.lava.script import script_files

        fail_on_errors(UnsupportedError, self.check(program))
        return script_files(build_network(program.graph, program.profile, program.arithmetic), inputs, title, self.conv)

    def setup(self, place: Path | None, say: Callable[[str], None], python: str | None = None) -> str:
        from spikeport.backends.setups import set_up

        return set_up(KIT, place, say, python)


BACKEND = LavaBackend()

__all__ = ["BACKEND", "LavaBackend", "LavaExecutable"]
