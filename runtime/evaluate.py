"""Runs for the compiler: passes that calibrate or measure ask for them, since the compiler imports no backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spikeport.ir.ops import Array, Neuron
from spikeport.ir.trace import Recording, Trace

if TYPE_CHECKING:
    from spikeport.ir.graph import Graph
    from spikeport.ir.profile import Profile


class EngineEvaluator:
    """Runs graphs in the engine, or in the backend that has their arithmetic, and keeps every spike and membrane."""

    def run(self, graph: Graph, inputs: Mapping[str, Array], profile: Profile, arithmetic: str = "float64") -> Trace:
        """Return what *graph* does on *inputs*, arrays of shape (samples, steps, *shape)."""
        from spikeport.backends.registry import backends_with, get_backend
        from spikeport.compiler.driver import lower

        program = lower(graph, None, profile, arithmetic=arithmetic, opt=0)
        paths = tuple(n.path for n in graph if n.op.is_spiking or isinstance(n.op, Neuron))
        with get_backend(backends_with(arithmetic)[0]).emit(program) as executable:
            return executable.run(inputs, Recording(paths, True))
