"""sinabs' files: time constants in steps; reset, spikes a step, norm_input and min_v_mem are lost."""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.compiler.importers.dialects.base import Dialect, Filled, Question, Reading, dropped, has, neurons, spikes
from spikeport.ir import Graph


def evidence(graph: Graph, filled: Filled) -> str | None:
    """Return None: sinabs writes plain IF, LIF and LI with r = 1, as other libraries and people do."""
    return None


def read(graph: Graph, stated: Mapping[str, str], filled: Filled) -> Reading:
    """Return the graph as it stands, in steps; a synaptic time constant of the module is not in it."""
    found = [
        dropped(path, "sinabs writes a LIF with tau_syn as one without: give the module itself if yours has one")
        for path in list(neurons(graph, "LIF"))[:1]
    ]
    return Reading(graph, {"dt": "1.0"}, tuple(found))


DIALECT = Dialect(
    "sinabs", "sinabs", "sinabs", evidence, read,
    (
        Question(
            ("reset",), "reset_fn and spike_fn: :subtract (MembraneSubtract with MultiSpike, its defaults), reset=subtract "
            "(the same with SingleSpike) or :zero (MembraneReset with SingleSpike; with MultiSpike it has no counterpart)",
            ":subtract", spikes,
        ),
        Question(
            ("gain",), "norm_input: gain=nir (True, its default) or gain=unit (False)", "gain=nir", has("LIF", "LI"),
        ),
        Question(
            ("clamp_low",), "min_v_mem: clamp_low=none (its default) or clamp_low=NUMBER", "clamp_low=none",
            has("IF", "LIF", "LI"),
        ),
    ),
)  # fmt: skip
