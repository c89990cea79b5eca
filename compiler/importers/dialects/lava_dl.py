"""lava-dl's files (netx to NIR): nodes and edges are numbers, decays are Loihi's integers, one dt is one step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikeport.compiler.importers.dialects.base import (
    Dialect,
    Filled,
    Reading,
    contradicted,
    dropped,
    mended,
    near,
    neurons,
    with_ops,
    with_parameters,
)
from spikeport.ir import Graph
from spikeport.ir.ops import Array, Op, Output

#: Loihi's decays are 12-bit fractions.
DECAY = 4096


def evidence(graph: Graph, filled: Filled) -> str | None:
    """Return what shows lava-dl: no Output, numbered nodes, the Input among them, and CubaLIF as netx gives them.

    Those have ``r = 1``, ``w_in = tau_syn``, and decays that are whole 4096ths.
    """
    found = neurons(graph)
    numbered = all(node.path.isdecimal() for node in graph if not isinstance(node.op, Output))
    fits = all(
        graph[path].op.kind == "CubaLIF"
        and near(p["r"], 1)
        and near(p["w_in"], p["tau_syn"])
        and _is_whole(p["tau_mem"])
        and _is_whole(p["tau_syn"])
        for path, p in found.items()
    )
    without = bool(graph.outputs) and all((path, "") in filled for path in graph.outputs)
    if not found or not numbered or not fits or not without:
        return None
    return (
        "it has no Output, its nodes are numbered, the Input too, and every CubaLIF has r = 1, w_in = tau_syn and decays of "
        f"whole {DECAY}ths"
    )


def _is_whole(tau: Array) -> bool:
    """Whether decays are whole numbers of 4096ths, be *tau* in steps or not."""
    if not np.all((tau > 0) & np.isfinite(tau)):
        return False
    decay = np.where(tau < 1, 1 / tau, DECAY / tau)
    return bool(np.all((np.round(decay) >= 1) & (np.round(decay) <= DECAY))) and near(decay, np.round(decay))


def read(graph: Graph, stated: Mapping[str, str], filled: Filled) -> Reading:
    """Return the graph with time constants in steps: it wrote ``1/vDecay``, and vDecay counts 4096ths."""
    changed: dict[str, Op] = {}
    found = []
    for path, p in neurons(graph).items():
        kind = graph[path].op.kind
        if kind != "CubaLIF":
            raise contradicted(
                path, f"lava-dl's exporter writes every neuron as a CubaLIF, and this is a {kind}",
                "leave --dialect out, and state the profile (--profile lava_float, for instance)", stated="lava-dl", kind=kind,
            )  # fmt: skip
        if np.all(p["tau_mem"] >= 1) and np.all(p["tau_syn"] >= 1):
            continue
        syn = p["tau_syn"] * DECAY
        changed[path] = with_parameters(graph, path, tau_mem=p["tau_mem"] * DECAY, tau_syn=syn, w_in=syn)
        text = f"time constants below a step are 1/decay with the decay in {DECAY}ths; taken times {DECAY}, in steps"
        found.append(mended(path, text, decay_mem=float(1 / p["tau_mem"].max()), decay_syn=float(1 / p["tau_syn"].max())))
    found += [
        dropped(path, "delays, and the rounding of Loihi's integers, are not in a file of lava-dl: what runs is the network "
                "in floating point")
        for path in list(neurons(graph))[:1]
    ]  # fmt: skip
    return Reading(with_ops(graph, changed), {"dt": "1.0", "gain": "unit"}, tuple(found))


DIALECT = Dialect("lava-dl", "lava-dl", "lava_float", evidence, read)
