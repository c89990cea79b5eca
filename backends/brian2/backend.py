"""Brian2 behind the contract of backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from spikeport.backends.base import Availability, Backend, Executable
from spikeport.backends.brian2.layout import Layout, lay_out
from spikeport.backends.brian2.results import Course, make_trace
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.trace import Recording, Trace

MODES = ("numpy", "cython", "cpp_standalone")


class Brian2Executable(Executable):
    """A step network, and the programs that were made of it, one for each set of things to record."""

    def __init__(self, network: StepNetwork, mode: str) -> None:
        self.network, self.mode = network, mode
        self._programs: dict[Recording, tuple[Layout, Any]] = {}

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        self.require_open()
        recording = recording or Recording()
        samples, steps = next(iter(inputs.values())).shape[:2]
        course = Course.of(self.network, samples, steps)
        whole = {path: course.spread(x) for path, x in inputs.items()}
        layout, program = self._program(recording)
        given = {name: course.late(whole[path], delay) for name, path, delay in layout.given}
        heard, seconds = program.run(given, course)
        meta = {"mode": self.mode}
        return make_trace(self.network, layout, recording, course, whole, heard, seconds, meta)

    def _program(self, recording: Recording) -> tuple[Layout, Any]:
        if recording not in self._programs:
            layout = lay_out(self.network, recording)
            if self.mode == "cpp_standalone":
                from spikeport.backends.brian2.standalone import StandaloneProgram

                self._programs[recording] = layout, StandaloneProgram(layout)
            else:
                from spikeport.backends.brian2.local import LocalProgram

                self._programs[recording] = layout, LocalProgram(layout, self.mode)
        return self._programs[recording]

    def close(self) -> None:
        super().close()
        for _, program in self._programs.values():
            program.close()
        self._programs.clear()


@dataclass(frozen=True)
class Brian2Backend(Backend):
    """Brian2 in one of its modes.

    Parameters
    ----------
    mode : {"numpy", "cython", "cpp_standalone"}
        Who runs the statements: numpy, modules compiled by Cython, or a stand-alone C++ program.
    """

    mode: str = "numpy"

    name: ClassVar[str] = "brian2"
    fidelity: ClassVar[Any] = "bit_exact"
    arithmetics: ClassVar[tuple[str, ...]] = ("float64", "spinnaker2")
    summary: ClassVar[str] = "Brian2 2.9, modes numpy, cython and cpp_standalone, and scripts for it"

    def available(self) -> Availability:
        if find_spec("brian2") is None:
            return Availability(False, "the package brian2 is not installed", "pip install 'spikeport[brian2]'")
        return Availability(True)

    def emit(self, program: Program) -> Executable:
        self.require(program)
        return Brian2Executable(build_network(program.graph, program.profile, program.arithmetic), self.mode)


BACKEND = Brian2Backend()

__all__ = ["BACKEND", "MODES", "Brian2Backend"]
