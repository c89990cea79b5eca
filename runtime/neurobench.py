"""NeuroBench 2.3's metrics by its own names (doi:10.1038/s41467-025-56739-4), from a graph and the counts of a run.

An operation is an accumulate (AC) where the values that enter a layer are spikes, else a multiply-accumulate (MAC).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Delay, Flatten, Input, Neuron
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.trace import Trace


def binary_inputs(values: Mapping[str, Array]) -> tuple[str, ...]:
    """Return the inputs that hold nothing but 0, 1 and -1: a backend's caller puts them into the trace's ``meta``."""
    return tuple(path for path, x in values.items() if bool(((x == 0) | (np.abs(x) == 1)).all()))


def metrics(graph: Graph, trace: Trace) -> dict[str, Any]:
    """Return the metrics; one that the trace does not tell is None.

    ``ParameterCount`` counts weights and biases; ``Footprint`` is their bytes and those of all other parameters as the
    graph holds them (one that is the same for all neurons of a layer counts once, as a framework's buffer does);
    ``SynapticOperations`` and ``MembraneUpdates`` are per sample.
    """
    weights = [a for n in graph if n.op.is_weighted for a in (n.op.parameters()["weight"],)]
    held = [v for n in graph if n.op.is_weighted for k, v in n.op.parameters().items() if k in ("weight", "bias")]
    size, nonzero = sum(w.size for w in weights), sum(int(np.count_nonzero(w)) for w in weights)
    return {
        "ParameterCount": sum(a.size for a in held),
        "Footprint": sum(a.nbytes for a in held) + sum(_bytes(a) for n in graph for a in _arrays(n.op, n.op.is_weighted)),
        "ConnectionSparsity": 1 - nonzero / size if size else 0.0,
        "ActivationSparsity": _activation_sparsity(graph, trace),
        "SynapticOperations": _synaptic_operations(graph, trace),
        "MembraneUpdates": _membrane_updates(graph, trace),
    }


def has_membranes(graph: Graph, trace: Trace) -> bool:
    """Whether the run recorded every membrane, so that ``MembraneUpdates`` can be counted and is not a bound."""
    return all(n.path in trace.v for n in graph if isinstance(n.op, Neuron))


def _membrane_updates(graph: Graph, trace: Trace) -> float | None:
    """Return the membranes that a step changed, those of the first step all counted, as NeuroBench does.

    Without recorded membranes every neuron counts at every step: an upper bound.
    """
    if has_membranes(graph, trace):
        found = [v for path, v in trace.v.items() if isinstance(graph[path].op, Neuron)]
        changed = sum(int(np.count_nonzero(v[:, 1:] != v[:, :-1])) + v[:, :1].size for v in found)
        return changed / trace.samples
    updates = [c.updates for p, c in trace.counts.items() if isinstance(graph[p].op, Neuron)]
    return None if None in updates else sum(u for u in updates if u is not None) / trace.samples


def _arrays(value: Any, weighted: bool) -> list[Array]:
    """Return the arrays of an op, those of its records too; of a *weighted* one without weight and bias."""
    out = []
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if isinstance(item, np.ndarray) and not (weighted and f.name in ("weight", "bias")):
            out.append(item)
        elif dataclasses.is_dataclass(item):
            out += _arrays(item, False)
    return out


def _bytes(array: Array) -> int:
    same = array.size > 1 and (not any(array.strides) or bool((array == array.flat[0]).all()))
    return int(array.itemsize if same else array.nbytes)


def _activation_sparsity(graph: Graph, trace: Trace) -> float | None:
    """Return the share of zeros among the outputs of all spiking nodes, over neurons, steps and samples."""
    shapes = infer_shapes(graph)[0].output
    active = values = 0.0
    for path in graph.spiking:
        size = math.prod(shapes[path])
        if path in trace.activity:
            active += float(np.sum(trace.activity[path]))
        elif path in trace.counts and trace.counts[path].spikes is not None:
            active += float(trace.counts[path].spikes or 0)
        else:
            return None
        values += size * trace.samples * trace.steps
    return 1 - active / values if values else None


def _synaptic_operations(graph: Graph, trace: Trace) -> dict[str, float | None]:
    shapes = infer_shapes(graph)[0].input
    done: dict[str, float] = {"Effective_MACs": 0.0, "Effective_ACs": 0.0}
    dense = 0
    missing = False
    for node in graph:
        if not node.op.is_weighted:
            continue
        dense += _dense(node.op, shapes[node.path]) * trace.steps
        counts = trace.counts.get(node.path)
        if counts is None or counts.synops is None:
            missing = True
            continue
        name = "Effective_ACs" if _enter_spikes(graph, node.path, trace) else "Effective_MACs"
        done[name] += counts.synops / trace.samples
    if missing:
        return {"Effective_MACs": None, "Effective_ACs": None, "Dense": float(dense)}
    return {**done, "Dense": float(dense)}


def _dense(op: Any, shape: tuple[int, ...]) -> int:
    """Return the operations of a step if all inputs and weights were non-zero."""
    from spikeport.ir.fanout import synapse_count

    full = dataclasses.replace(op, weight=np.broadcast_to(np.ones((), np.int8), op.weight.shape))
    return synapse_count(full, shape)


def _enter_spikes(graph: Graph, path: str, trace: Trace) -> bool:
    """Whether all values that enter are spikes; an input counts as spikes where the run found it binary."""
    pending = [path]
    while pending:
        for edge in graph.into(pending.pop()):
            op = graph[edge.source].op
            if isinstance(op, (Flatten, Delay)):
                pending.append(edge.source)
            elif type(op) is Input:
                if edge.source not in trace.meta.get("binary_inputs", ()):
                    return False
            elif not op.is_spiking or (isinstance(op, Neuron) and op.extras.spike_amplitude is not None):
                return False
    return True
