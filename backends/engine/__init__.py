"""The engine: our own fast simulator, event-driven and vectorised, bit-exact against the reference.

A network is packed once (``plan``) into ports, stages and weights; one compiled function (``walk``) takes a chunk of steps
through all stages. Sums run over events in ascending presynaptic order, in registers, 64 postsynaptic neurons at a time,
so that they are those of the reference bit for bit. numba keeps the compiled code beside the sources or in its cache
folder: it is made once for each arithmetic.
"""

from __future__ import annotations

from spikeport.backends.base import Backend, Executable
from spikeport.ir.network import build_network
from spikeport.ir.program import Program


class EngineBackend(Backend):
    """The embedded default."""

    name = "engine"
    fidelity = "bit_exact"
    arithmetics = ("float64", "float32", "loihi", "spinnaker2")
    summary = "our own fast simulator: event-driven and vectorised, both cores, the reference's bits"

    def emit(self, program: Program) -> Executable:
        # numba loads here, not where backends are listed.
        from spikeport.backends.engine.execute import EngineExecutable

        self.require(program)
        return EngineExecutable(build_network(program.graph, program.profile, program.arithmetic))


BACKEND = EngineBackend()
