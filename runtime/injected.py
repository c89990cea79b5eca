"""Inputs as a chip takes them: a value n is n spikes in the same step where a spike has one bit, else one event.

Loihi 1 and SpiNNaker 1 take spikes of one bit, Loihi 2 takes values: the line ``graded_input`` of the target says which.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from spikeport.ir.graph import Graph
from spikeport.ir.loihi import INPUT_NOTE
from spikeport.ir.ops import Array
from spikeport.ir.trace import Trace

if TYPE_CHECKING:
    from spikeport.hw_profiles.target import Target

#: Largest distance of an input value from a whole number at which it still counts as one.
_NEAR = 1e-3
#: Values that are looked at at once.
_BLOCK = 1 << 22


def input_spikes(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return for every input with whole values other than 0 and 1 the spikes that they are, by neuron, over the whole run.

    Parameters
    ----------
    graph : Graph
        Its Input nodes may say by what values are multiplied to be whole (arithmetic ``loihi``).
    values : Mapping[str, array, shape (samples, steps, *shape)]
        Inputs of the run. A backend's caller puts what this returns into the trace's ``meta``.
    """
    out = {}
    for path, x in values.items():
        note = graph[path].notes.get(INPUT_NOTE)
        found = None if x.dtype.kind == "b" else _spikes(x, float(note["scale"]) if isinstance(note, Mapping) else 1.0)
        if found is not None:
            out[path] = found
    return out


def _spikes(x: Array, scale: float) -> Array | None:
    """Return the sum of whole ``|x * scale|`` over samples and steps; None where they are not whole, or all of them 0 or 1."""
    total, plain = np.zeros(x.shape[2:]), True
    each = max(1, _BLOCK // max(1, math.prod(x.shape[1:])))
    for start in range(0, len(x), each):
        scaled = np.abs(np.asarray(x[start : start + each], np.float64)) * scale
        whole = np.rint(scaled)
        if np.max(np.abs(scaled - whole), initial=0.0) > _NEAR:
            return None
        plain = plain and whole.max(initial=0.0) <= 1
        total += whole.sum(axis=(0, 1))
    return None if plain else total


def as_injected(trace: Trace, target: Target) -> Trace:
    """Return *trace* with the events of its inputs as *target* takes them: n for a value n where a spike has one bit."""
    spikes = trace.meta.get("input_spikes", {})
    if not spikes or target.support["graded_input"].status == "native":
        return trace
    return dataclasses.replace(trace, activity={**trace.activity, **spikes})
