"""Where a reset at the instant of the crossing has a closed form, and where it would be made up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Neuron
from spikeport.ir.profile import Profile


def no_closed_form(op: Neuron, profile: Profile) -> str:
    """Return why ``reset_when=at_crossing`` has no closed form for *op*; empty where it has one, or another time is stated.

    With a current that is constant within the step the membrane relaxes exponentially (without a leak: rises in a straight
    line), which gives the instant of the crossing and what is left of the step.

    Parameters
    ----------
    op : Neuron
        The population.
    profile : Profile
        Of this node, as ``Profile.at`` gives it.

    Examples
    --------
    >>> from spikeport.ir.ops import IF
    >>> from spikeport.ir.profiles import parse_profile
    >>> no_closed_form(IF(np.ones(1), np.ones(1), np.zeros(1)), parse_profile("exact:zero,reset=multi_subtract"))
    'reset=multi_subtract acts at the end of a step'
    """
    if profile.reset_when != "at_crossing" or not op.is_spiking or profile.reset == "none":
        return ""
    if op.has_current:
        return f"the synaptic current of this {op.kind} decays within the step"
    if op.has_leak and profile.scheme != "exponential":
        return f"scheme={profile.scheme} does not say where the membrane is within a step"
    held = op.extras.refractory_steps
    if held is not None and np.any(held):
        return f"its refractory period of {int(np.max(held))} steps would begin within a step"
    if profile.reset not in ("to_v_reset", "to_zero", "subtract"):
        return f"reset={profile.reset} acts at the end of a step"
    return ""


def crossings(graph: Graph, profile: Profile | None) -> Iterator[Diagnostic]:
    """Yield an error E337 for every neuron whose reset at the crossing has no closed form: a rule of ``verify``."""
    for node in graph:
        if profile is not None and isinstance(node.op, Neuron):
            why = no_closed_form(node.op, profile.at(node.path, node.op.kind))
            if why:
                yield Diagnostic(
                    "E337", node.path, f"a reset at the instant of the crossing has no closed form here: {why}",
                    f"@{node.path}:reset_when=after_spike in the profile resets it at the end of the step",
                    {"kind": node.op.kind, "reason": why},
                )  # fmt: skip
