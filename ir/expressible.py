"""What an arithmetic or a profile cannot express (E510): every connection of a graph that stands in the way, at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spikeport.ir.arithmetic import Arithmetic
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Input, Neuron
from spikeport.ir.profile import Profile


def inexpressible(graph: Graph, profile: Profile, number: Arithmetic) -> tuple[Diagnostic, ...]:
    """Return the connections of *graph* that *profile* or *number* cannot express, as errors E510."""
    found: list[Diagnostic] = []
    if profile.bias_at == "membrane":
        found += _stranded_biases(graph)
    if number.weight_bits is not None:
        for node in graph:
            if node.op.is_weighted:
                found += _shared_weights(graph, node.path)
                found += _weights_in_front(graph, node.path)
    return tuple(found)


def populations_behind(graph: Graph, path: str) -> tuple[str, ...]:
    """Return the stateful nodes and outputs that *path* reaches through stateless nodes."""
    found: set[str] = set()
    frontier, seen = [path], {path}
    while frontier:
        for edge in graph.out_of(frontier.pop()):
            op = graph[edge.target].op
            if op.is_stateful or not graph.out_of(edge.target):
                found.add(edge.target)
            elif edge.target not in seen:
                seen.add(edge.target)
                frontier.append(edge.target)
    return tuple(sorted(found))


def _stranded_biases(graph: Graph) -> Iterator[Diagnostic]:
    for node in graph:
        if node.op.is_stateful or not np.any(getattr(node.op, "bias", 0)):
            continue
        for edge in graph.out_of(node.path):
            target = graph[edge.target].op
            if not isinstance(target, Neuron):
                yield Diagnostic(
                    "E510", node.path, f"its bias cannot enter at a membrane: it feeds the {target.kind} {edge.target}",
                    "set bias_at=input in the profile, or fold the bias",
                )  # fmt: skip


def _shared_weights(graph: Graph, path: str) -> Iterator[Diagnostic]:
    reached = populations_behind(graph, path)
    if len(reached) != 1 or not isinstance(graph[reached[0]].op, Neuron):
        yield Diagnostic(
            "E510", path, f"int8 weights need one population behind them; there are {list(reached) or 'none'}",
            "run with --arith float64, or give each population a connection of its own",
        )  # fmt: skip


def _weights_in_front(graph: Graph, path: str) -> Iterator[Diagnostic]:
    frontier, seen = [path], {path}
    while frontier:
        for edge in graph.into(frontier.pop()):
            op = graph[edge.source].op
            if edge.source in seen:
                continue
            seen.add(edge.source)
            if op.is_weighted:
                yield Diagnostic(
                    "E510", path, f"int8 weights of {path} follow those of {edge.source} with no neuron between",
                    "merge the two layers, or run with --arith float64",
                )  # fmt: skip
            elif not op.is_stateful and not isinstance(op, Input):
                frontier.append(edge.source)
