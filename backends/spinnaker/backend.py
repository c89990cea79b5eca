"""SpiNNaker's arithmetic behind the contract of backends: its cores' whole numbers, wherever they are placed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from spikeport.backends.base import Backend, Executable, Fidelity
from spikeport.backends.mapping_check import MappingCheck
from spikeport.ir.diagnostics import Diagnostic, UnsupportedError, VerifyError, fail_on_errors
from spikeport.ir.network import build_network
from spikeport.ir.ops import Array
from spikeport.ir.program import Program


class SpinnakerBackend(Backend):
    """Cores of SpiNNaker 1 under sPyNNaker, and SpiNNaker 2's int8 weights."""

    name = "spinnaker"
    oracle_target = "spinnaker1"
    fidelity: ClassVar[Any] = "fixed_point"
    arithmetics = ("spinnaker1", "spinnaker2")
    summary = "SpiNNaker's cores: s16.15 state, 16-bit weights and ring buffers as sPyNNaker computes them; int8 weights"

    def fidelity_for(self, arithmetic: str) -> Fidelity:
        return "fixed_point"

    def check(self, program: Program) -> tuple[Diagnostic, ...]:
        found = super().check(program)
        if found or program.arithmetic != "spinnaker1":
            return found
        try:
            build_network(program.graph, program.profile, program.arithmetic)
        except VerifyError as error:
            return error.diagnostics
        return ()

    def emit(self, program: Program) -> Executable:
        self.require(program)
        network = build_network(program.graph, program.profile, program.arithmetic)
        if program.arithmetic == "spinnaker2":
            # int8 weights and a state in doubles: the engine has that arithmetic, bit for bit the reference's.
            from spikeport.backends.engine.execute import EngineExecutable

            return EngineExecutable(network)
        # numba loads here, not where backends are listed.
        from spikeport.backends.spinnaker.execute import CoresExecutable

        return CoresExecutable(network, program)

    def script(self, program: Program, inputs: Mapping[str, Array], title: str) -> Mapping[str, str | Mapping[str, Array]]:
        from spikeport.backends.spinnaker.script import script_files

        fail_on_errors(UnsupportedError, self.check(program))
        network = build_network(program.graph, program.profile, program.arithmetic)
        return script_files(network, program, inputs, title)

    def check_mapping(self, program: Program, inputs: Mapping[str, Array], activity: Mapping[str, Array]) -> MappingCheck:
        from spikeport.backends.spinnaker.oracle import check_mapping

        return check_mapping(program, inputs, activity)

    def setup(self, place: Path | None, say: Callable[[str], None], python: str | None = None) -> str:
        from spikeport.backends.setups import set_up
        from spikeport.backends.spinnaker.environment import KIT

        return set_up(KIT, place, say, python)


BACKEND = SpinnakerBackend()
