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
from spikeport.ir.ops import Array, Flatten, Input, Neuron
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.trace import Trace


def binary_inputs(values: Mapping[str, Array]) -> tuple[str, ...]:
    """Return the inputs that hold nothing but 0, 1 and -1: a backend's caller puts them into the trace's ``meta``."""
    return tuple(path for path, x in values.items() if bool(((x == 0) | (np.abs(x) == 1)).all()))


def metrics(graph: Graph, trace: Trace) -> dict[str, Any]:
    """Return the metrics; one that the trace does not tell is None.

    ``ParameterCount`` counts weights and biases; ``Footprint`` is the bytes of all arrays as the graph holds them (an
    array of one repeated number counts once); ``SynapticOperations`` and ``MembraneUpdates`` are per sample, every
    neuron being updated every step.
    """
    weights = [a for n in graph if n.op.is_weighted for a in (n.op.parameters()["weight"],)]
    held = [v for n in graph if n.op.is_weighted for k, v in n.op.parameters().items() if k in ("weight", "bias")]
    size, nonzero = sum(w.size for w in weights), sum(int(np.count_nonzero(w)) for w in weights)
    updates = [c.updates for p, c in trace.counts.items() if isinstance(graph[p].op, Neuron)]
    return {
        "ParameterCount": sum(a.size for a in held),
        "Footprint": sum(_bytes(a) for n in graph for a in _arrays(n.op)),
        "ConnectionSparsity": 1 - nonzero / size if size else 0.0,
        "ActivationSparsity": _activation_sparsity(graph, trace),
        "SynapticOperations": _synaptic_operations(graph, trace),
        "MembraneUpdates": None if None in updates else sum(u for u in updates if u is not None) / trace.samples,
    }


def _arrays(value: Any) -> list[Array]:
    out = []
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if isinstance(item, np.ndarray):
            out.append(item)
        elif dataclasses.is_dataclass(item):
            out += _arrays(item)
    return out


def _bytes(array: Array) -> int:
    return int(array.itemsize if array.size > 1 and not any(array.strides) else array.nbytes)


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
            if isinstance(op, Flatten):
                pending.append(edge.source)
            elif type(op) is Input:
                if edge.source not in trace.meta.get("binary_inputs", ()):
                    return False
            elif not op.is_spiking or (isinstance(op, Neuron) and op.extras.spike_amplitude is not None):
                return False
    return True
