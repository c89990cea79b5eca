"""Rockpool's files: dt stands in r; the bias of neurons and recurrent weights are lost."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from spikeport.compiler.importers.dialects.base import Dialect, Filled, Reading, common, dropped, neurons
from spikeport.ir import Graph
from spikeport.ir.ops import Array

_NAME = re.compile(r"(?:.*\.)?\d+_(LIF(Neuron)?|ExpSyn|Linear)Torch")


def evidence(graph: Graph, filled: Filled) -> str | None:
    """Return what shows Rockpool: nodes that are called by its classes, ``0_LinearTorch``."""
    named = [node.path for node in graph if _NAME.fullmatch(node.path)]
    return f"{named[0]} is called by a class of it" if named else None


def read(graph: Graph, stated: Mapping[str, str], filled: Filled) -> Reading:
    """Return the graph as it stands; its dt follows from ``r = tau exp(-dt/tau)/dt``, and r means nothing else."""
    found = neurons(graph)
    taus = {path: p["tau" if "tau" in p else "tau_mem"] for path, p in found.items() if "tau" in p or "tau_mem" in p}
    shown = [tau * _ratio(found[path]["r"]) for path, tau in taus.items() if (found[path]["r"] > 0).all()]
    dt = common(shown, 2e-5)
    lost = [
        dropped(path, "Rockpool does not write the bias of its neurons, nor w_rec: give both by hand if the module has them")
        for path in list(found)[:1]
    ]
    return Reading(graph, {} if dt is None else {"dt": repr(dt)}, tuple(lost))


def _ratio(r: Array) -> Array:
    """Return the x > 0 with ``exp(-x)/x = r``, by Newton's method on ``x + ln x = -ln r``."""
    x = np.where(r > 1, 1 / np.maximum(r, 1), 0.5)
    for _ in range(60):
        x = np.maximum(x * (1 - np.log(r) - np.log(x)) / (1 + x), 1e-300)
    return np.asarray(x)


DIALECT = Dialect("rockpool", "Rockpool", "rockpool", evidence, read)
