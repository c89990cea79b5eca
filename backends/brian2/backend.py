"""Brian2 behind the contract of backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from spikeport.backends.base import Availability, Backend, Executable
from spikeport.backends.brian2.copies import collect, deal, how_many, rounds
from spikeport.backends.brian2.layout import Layout, lay_out
from spikeport.backends.brian2.results import Course, make_trace
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, fail_on_errors
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.trace import Recording, Trace

MODES = ("numpy", "cython", "cpp_standalone")
#: What it was held against the reference with; stand-alone programs are put together from sources that it generates.
_VERSION = "2.9."
_REMEDY = "pip install 'spikeport[brian2]'"


class Brian2Executable(Executable):
    """A step network, and the programs that were made of it, one for each set of things to record."""

    def __init__(self, network: StepNetwork, mode: str) -> None:
        self.network, self.mode = network, mode
        self._programs: dict[tuple[Recording, int], tuple[Layout, Any]] = {}

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        self.require_open()
        recording = recording or Recording()
        samples, steps = next(iter(inputs.values())).shape[:2]
        course = Course.of(self.network, samples, steps)
        whole = {path: course.spread(x) for path, x in inputs.items()}
        copies = how_many(self.network, self.mode, samples)
        layout, program = self._program(recording, copies)
        given = {name: course.late(whole[path], delay) for name, path, delay in layout.given}
        heard, seconds = program.run(deal(given, course, copies), rounds(course, copies))
        heard = collect(heard, course, copies)
        meta = {"mode": self.mode, "copies": copies}
        return make_trace(self.network, layout, recording, course, whole, heard, seconds, meta)

    def _program(self, recording: Recording, copies: int) -> tuple[Layout, Any]:
        key = recording, copies
        if key not in self._programs:
            layout = lay_out(self.network, recording, copies=copies)
            if self.mode == "cpp_standalone":
                from spikeport.backends.brian2.standalone import StandaloneProgram

                self._programs[key] = layout, StandaloneProgram(layout)
            else:
                from spikeport.backends.brian2.local import LocalProgram

                self._programs[key] = layout, LocalProgram(layout, self.mode)
        return self._programs[key]

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

    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"mode": MODES}

    def _with(self, **options: str) -> Backend:
        return replace(self, **options)

    @property
    def usable_mode(self) -> str:
        """The mode that runs here: numpy where a compiler is needed and there is none."""
        from spikeport.backends.brian2.cache import compiler

        return "numpy" if self.mode != "numpy" and compiler() is None else self.mode

    def check(self, program: Program) -> tuple[Diagnostic, ...]:
        found = super().check(program)
        if self.usable_mode == self.mode:
            return found
        return (
            *found,
            Diagnostic(
                "E502", "", f"no C++ compiler for Brian2's mode {self.mode}: it runs in the mode numpy, with the same spikes",
                "install g++ (apt-get install g++), or name a compiler in the variable CXX", severity="warning",
            ),
        )  # fmt: skip

    def available(self) -> Availability:
        try:
            here = version("brian2")
        except PackageNotFoundError:
            return Availability(False, "the package brian2 is not installed", _REMEDY)
        if not here.startswith(_VERSION):
            return Availability(False, f"brian2 {here} is installed, {_VERSION} is needed", _REMEDY)
        return Availability(True)

    def emit(self, program: Program) -> Executable:
        self.require(program)
        return Brian2Executable(build_network(program.graph, program.profile, program.arithmetic), self.usable_mode)

    def script(self, program: Program, inputs: Mapping[str, Array], title: str) -> Mapping[str, str | Mapping[str, Array]]:
        from spikeport.backends.brian2.script import script_files

        fail_on_errors(UnsupportedError, self.check(program))
        return script_files(build_network(program.graph, program.profile, program.arithmetic), inputs, title)


BACKEND = Brian2Backend()

__all__ = ["BACKEND", "MODES", "Brian2Backend"]
