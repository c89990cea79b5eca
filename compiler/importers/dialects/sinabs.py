"""sinabs' files: time constants in steps; reset, spikes a step, norm_input and min_v_mem are lost."""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.compiler.importers.dialects.base import Dialect, Filled, Question, Reading, dropped, has, neurons, spikes
from spikeport.ir import Diagnostic, Graph
from spikeport.ir.diagnostics import ImportModelError
from spikeport.ir.profile import Profile


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


def refine(graph: Graph, profile: Profile) -> Graph:
    """Return *graph*; refuse a bound of an LI, since sinabs gives out its membrane before the bound."""
    bounds = {path: profile.at(path, "LI").clamp_low for path in neurons(graph, "LI")}
    bad = [
        Diagnostic(
            "E021", path, f"min_v_mem={low} on an ExpLeak: sinabs bounds its membrane and gives out what it was before",
            "set min_v_mem=None on it and retrain; where only spiking layers have the bound, state it for them: "
            f"clamp_low=none,@%LIF:clamp_low={low},@%IF:clamp_low={low}",
        )
        for path, low in bounds.items() if low is not None
    ]  # fmt: skip
    if bad:
        raise ImportModelError(bad)
    return graph


DIALECT = Dialect(
    "sinabs", "sinabs", "sinabs", evidence, read,
    (
        Question(
            ("reset",), "reset_fn and spike_fn: :subtract (MembraneSubtract with MultiSpike, its defaults), reset=subtract "
            "(the same with SingleSpike) or :zero (MembraneReset with SingleSpike; with MultiSpike it has no counterpart)",
            ":subtract", spikes,
        ),
        Question(
            ("gain",), "norm_input: gain=nir (True, the default of LIF) or gain=unit (False, the default of ExpLeak, which is "
            "the LI of a file); where they differ, gain=nir,@%LI:gain=unit",
            "gain=nir", has("LIF"),
        ),
        Question(
            ("gain",), "norm_input of ExpLeak, which is the LI of a file: gain=unit (False, its default) or gain=nir (True)",
            "gain=unit", lambda graph: has("LI")(graph) and not has("LIF")(graph),
        ),
        Question(
            ("clamp_low",), "min_v_mem: clamp_low=none (its default) or clamp_low=NUMBER", "clamp_low=none",
            has("IF", "LIF"),
        ),
    ),
    refine,
)  # fmt: skip
