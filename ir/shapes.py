"""Shape inference: every node's input and output shape from the inputs and the parameters, conflicts as findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Input, Output, Shape, ShapeError


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes without batch and time, by path."""

    input: Mapping[str, Shape]
    output: Mapping[str, Shape]


def infer_shapes(graph: Graph) -> tuple[Shapes, tuple[Diagnostic, ...]]:
    """Return the shapes of *graph* and all that clashes (E201, E202, E203).

    Shapes flow along the edges from nodes that know theirs (inputs, weights, populations); a loop is closed by the
    shapes that its parameters fix.
    """
    into: dict[str, Shape] = {}
    out: dict[str, Shape] = {}
    found: dict[str, Diagnostic] = {}

    def settle(path: str, shape: Shape) -> bool:
        op = graph[path].op
        try:
            result = op.output_shape(shape)
        except ShapeError as error:
            found.setdefault(path, Diagnostic("E201", path, str(error), _source_hint(graph, path, out)))
            return False
        into[path], out[path] = shape, result
        return True

    pending = [n.path for n in graph.nodes]
    while pending:
        progress = []
        for path in pending:
            known = [out[e.source] for e in graph.into(path) if e.source in out]
            shape = known[0] if known else _fixed(graph, path)
            if shape is not None:
                progress.append(path)
                settle(path, shape)
        if not progress:
            break
        pending = [p for p in pending if p not in set(progress)]
    for path in pending:
        blocked = [e.source for e in graph.into(path)]
        if not any(source in found for source in nx_ancestors(graph, path)):
            found.setdefault(
                path,
                Diagnostic("E202", path, f"the shape of {path} does not follow from its inputs {blocked}",
                           "give an Input node, an input_shape or parameters of full shape"),
            )  # fmt: skip
    for edge in graph.edges:
        if edge.source in out and edge.target in into and out[edge.source] != into[edge.target]:
            found.setdefault(
                edge.target,
                Diagnostic(
                    "E203", edge.target,
                    f"takes {into[edge.target]}, but {edge.source} gives {out[edge.source]}",
                    "insert a Flatten, or mend the layer whose size is wrong",
                    {"expected": into[edge.target], "got": out[edge.source], "source": edge.source},
                ),
            )  # fmt: skip
    return Shapes(into, out), tuple(found[p] for p in sorted(found))


def nx_ancestors(graph: Graph, path: str) -> set[str]:
    """Return all nodes from which *path* is reached."""
    whole = nx.DiGraph((e.source, e.target) for e in graph.edges)
    return set(nx.ancestors(whole, path)) if path in whole else set()


def _fixed(graph: Graph, path: str) -> Shape | None:
    op = graph[path].op
    # An Output only repeats what reaches it; anything else with a shape of its own may start the flow.
    if isinstance(op, Output) and graph.into(path):
        return None
    if isinstance(op, Input) or not graph.into(path):
        return op.input_shape_hint()
    # In a loop the parameters decide; outside one the input comes first, so wait for it.
    return op.input_shape_hint() if path in nx_ancestors(graph, path) else None


def _source_hint(graph: Graph, path: str, out: Mapping[str, Shape]) -> str:
    sources = ", ".join(f"{e.source} gives {out[e.source]}" for e in graph.into(path) if e.source in out)
    return f"{sources}; mend one of the two layers" if sources else "mend the parameters of this layer"
