"""A graph as stable text: for people, for ``spikeport inspect`` and for goldens. Equal graphs print equal text."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import Array, Extras, Neuron, Shape
from spikeport.ir.shapes import Shapes, infer_shapes


def format_graph(graph: Graph, shapes: Shapes | None = None) -> str:
    """Return *graph* as text, one line a node in the order in which values flow.

    Parameters
    ----------
    graph : Graph
        Verified or not: what is not known is printed as ``?``.
    shapes : Shapes or None
        As ``infer_shapes`` gives them; None infers them here.

    Returns
    -------
    str
        A heading with the counts, the profile where there is one, then for each node its path, kind, output shape, key
        parameters and the edges that enter it in the order of their sum (``+2`` is a delay of two steps, ``#1`` a rank
        that is not the place in the list).

    Examples
    --------
    >>> from spikeport.ir import Edge, Graph, Node
    >>> from spikeport.ir.ops import Input, Output
    >>> print(format_graph(Graph([Node("a", Input((2,))), Node("b", Output((2,)))], [Edge("a", "b", 3)])))
    graph: 2 nodes, 1 edge, 0 parameters
      a  Input   (2)
      b  Output  (2)  <- a+3
    """
    shapes = shapes or infer_shapes(graph)[0]
    weights = sum(v.size for n in graph for k, v in n.op.parameters().items() if k in ("weight", "bias", "scale"))
    lines = [f"graph: {_count(len(graph), 'node')}, {_count(len(graph.edges), 'edge')}, {_count(weights, 'parameter')}"]
    if graph.profile is not None:
        lines.append(f"profile: {graph.profile}")
    lines += [f"note {key}: {_short(value)}" for key, value in sorted(graph.notes.items())]
    rows = [_row(graph, node, shapes) for node in _ordered(graph)]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
        lines.append(("  " + "  ".join([*cells, *(cell for cell in row[3:] if cell)])).rstrip())
    ends = [e for e in graph.edges if e.target not in graph]
    lines += [f"  (nothing)  <- {_edge(e, e.rank)} of the edge {e.source} -> {e.target}" for e in ends]
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _ordered(graph: Graph) -> list[Node]:
    """Return the nodes as values flow: loops as a whole, their nodes by distance from the inputs; ties by path."""
    whole = nx.DiGraph()
    whole.add_nodes_from(n.path for n in graph)
    whole.add_edges_from((e.source, e.target) for e in graph.edges if e.source in graph and e.target in graph)
    distance: dict[str, int] = dict.fromkeys(graph.inputs, 0)
    frontier = list(graph.inputs)
    while frontier:
        new = [t for path in frontier for t in whole.successors(path) if t not in distance]
        for path in new:
            distance[path] = min(distance[s] for s in whole.predecessors(path) if s in distance) + 1
        frontier = sorted(set(new))
    key = {n.path: (distance.get(n.path, len(graph)), n.path) for n in graph}
    loops = nx.condensation(whole)
    members = {c: sorted(loops.nodes[c]["members"], key=key.__getitem__) for c in loops}
    order = nx.lexicographical_topological_sort(loops, key=lambda c: key[members[c][0]])
    return [graph[path] for c in order for path in members[c]]


def _row(graph: Graph, node: Node, shapes: Shapes) -> tuple[str, ...]:
    entering = ", ".join(_edge(e, place) for place, e in enumerate(graph.into(node.path)))
    notes = "; ".join(f"{k}={_short(v)}" for k, v in sorted(node.notes.items()))
    return (
        node.path, node.op.kind, _shape(shapes.output.get(node.path)), " ".join(_parameters(node)),
        f"<- {entering}" if entering else "", f"[{notes}]" if notes else "",
    )  # fmt: skip


def _edge(edge: Edge, place: int) -> str:
    delay = "" if edge.delay is None else f"+{edge.delay}"
    return f"{edge.source}{delay}" + ("" if edge.rank == place else f"#{edge.rank}")


def _shape(shape: Shape | None) -> str:
    return "?" if shape is None else f"({'x'.join(map(str, shape))})"


def _parameters(node: Node) -> list[str]:
    """Return the key parameters: arrays by their range, geometry as it is, what is beyond NIR by name."""
    texts = []
    for name, value in node.op.parameters().items():
        if name in ("shape", "extras") or value is None:
            continue
        if isinstance(value, np.ndarray):
            texts.append(f"{name}={_weights(value) if name == 'weight' else _range(value)}")
        else:
            texts.append(f"{name}={_short(value)}")
    return texts + (_extras(node.op.extras) if isinstance(node.op, Neuron) else [])


def _extras(extras: Extras) -> list[str]:
    texts = []
    for name in ("v_init", "i_init", "refractory_steps", "held_init", "spike_amplitude"):
        value = getattr(extras, name)
        if value is not None:
            texts.append(f"{name}={_range(value)}")
    if extras.discrete is not None:
        texts.append(f"exact(beta={_range(extras.discrete.beta)}, dt={extras.discrete.dt:g})")
    return texts


def _range(array: Array) -> str:
    """Return ``0.9`` for one value, ``-1..2`` for a range."""
    if not array.size:
        return f"empty{_shape(array.shape)}"
    least, most = array.min(), array.max()
    return f"{least:g}" if least == most or np.isnan(least) else f"{least:g}..{most:g}"


def _weights(array: Array) -> str:
    """Return shape, range, number type and the part of zeros."""
    zeros = int(array.size - np.count_nonzero(array))
    text = f"{_shape(array.shape)}[{_range(array)} {array.dtype}"
    return text + (f", {zeros / array.size:.1%} zero]" if zeros else "]")


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
