"""SpikingJelly's files: traced by torch.fx, hard reset only; dt stands in r, unless all of it is LIF with decay_input."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from spikeport.compiler.importers.dialects.base import Dialect, Filled, Question, Reading, common, near, neurons, starting_at
from spikeport.ir import Graph
from spikeport.ir.ops import Array

#: What torch.fx calls the layers of a Sequential.
_TRACED = re.compile(r"(_\d+)+")


def evidence(graph: Graph, filled: Filled) -> str | None:
    """Return what shows SpikingJelly's exporter.

    With one tau a layer, counted in steps, it writes ``r = 1/dt`` in IF; ``tau*dt``, ``v_leak = v_reset`` and r of 1
    (``decay_input``) or tau in LIF; ``r = tau_mem/dt``, ``w_in = tau_syn/dt`` in CubaLIF. Its names are those of torch.fx:
    for a Sequential an Input "input_1" and layers "_0", "_1". Only both together are marks: other exporters trace too, and
    any r is 1/dt for some dt. A module with names of its own is to be stated.
    """
    found = neurons(graph)
    traced = graph.inputs == ("input_1",) and all(_TRACED.fullmatch(path) for path in found)
    if not found or not traced or not all(_fits(graph[path].op.kind, p) for path, p in found.items()):
        return None
    dt = shown_dt(graph)
    if dt is None:
        return None
    return f"r is 1/dt in IF, tau/dt or 1 in LIF, tau_mem/dt in CubaLIF, with one dt = {dt:g} for all, and torch.fx named it"


def _fits(kind: str, p: dict[str, Array]) -> bool:
    if kind not in ("IF", "LIF", "CubaLIF") or not all(v.size and (v == v.flat[0]).all() for v in p.values()):
        return False
    if kind == "CubaLIF":  # with gains of 1 and equal time constants, any file shows a dt
        return bool(np.any(p["r"] != 1) or np.any(p["w_in"] != 1))
    return kind != "LIF" or near(p["v_leak"], p["v_reset"])


def shown_dt(graph: Graph) -> float | None:
    """Return the dt that the gains of the neurons show, or None where they show none, or several."""
    shown = []
    for path, p in neurons(graph).items():
        kind = graph[path].op.kind
        if kind == "IF":
            shown.append(1 / p["r"])
        elif kind == "CubaLIF":
            shown += [p["tau_mem"] / p["r"], p["tau_syn"] / p["w_in"]]
        elif kind == "LIF" and not np.all(p["r"] == 1):
            shown.append(p["tau"] / p["r"])
    dt = common(shown)
    return dt if dt is not None and dt < 1 else None


def read(graph: Graph, stated: Mapping[str, str], filled: Filled) -> Reading:
    """Return the graph with membranes that start at v_reset, as SpikingJelly's do, and its dt where r shows it."""
    dt = shown_dt(graph)
    return Reading(starting_at(graph, "v_reset"), {} if dt is None else {"dt": repr(dt)})


DIALECT = Dialect(
    "spikingjelly", "SpikingJelly", "spikingjelly:value", evidence, read,
    (
        Question(
            ("dt",), "dt, which only IF, CubaLIF and LIF without decay_input show, where it is below 1: dt=0.0001 (its "
            "default)", "dt=0.0001", lambda graph: bool(neurons(graph, "IF", "LIF", "CubaLIF")) and shown_dt(graph) is None,
        ),
    ),
)  # fmt: skip
