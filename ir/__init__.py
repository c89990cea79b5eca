"""The nouns: graph, ops, profile, program, trace, diagnostics; and the reference interpreter, which is the oracle."""

from spikeport.ir.diagnostics import Diagnostic, SpikeportError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import PROFILES, parse_profile
from spikeport.ir.trace import Recording, Trace
from spikeport.ir.verify import verify

__all__ = [
    "PROFILES", "Diagnostic", "Edge", "Graph", "Node", "Profile", "Recording", "SpikeportError", "Trace", "parse_profile",
    "verify",
]  # fmt: skip
