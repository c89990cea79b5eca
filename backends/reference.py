"""The reference interpreter as a backend: slow, obvious, and what all others are measured against."""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.backends.base import Backend, Executable
from spikeport.ir.network import StepNetwork, build_network
from spikeport.ir.ops import Array
from spikeport.ir.program import Program
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording, Trace


class ReferenceExecutable(Executable):
    """A step network and nothing more."""

    def __init__(self, network: StepNetwork) -> None:
        self.network = network

    def run(self, inputs: Mapping[str, Array], recording: Recording | None = None, seed: int = 0) -> Trace:
        self.require_open()
        return run_reference(self.network, inputs, recording)


class ReferenceBackend(Backend):
    """``ir.reference`` behind the contract."""

    name = "reference"
    fidelity = "bit_exact"
    arithmetics = ("float64", "float32", "loihi", "spinnaker1", "spinnaker2")
    summary = "slow step-by-step interpreter, the oracle"

    def emit(self, program: Program) -> Executable:
        self.require(program)
        return ReferenceExecutable(build_network(program.graph, program.profile, program.arithmetic))


BACKEND = ReferenceBackend()
