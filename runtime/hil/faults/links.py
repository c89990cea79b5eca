"""Dead links as a rewritten graph: the synapses between two cores deliver nothing, all others what they did.

Where a population has its neurons of another through one fully connected layer of its own, the weights are 0. Where weights are
shared or summed on the way, the way is doubled: a copy of it, fed by what still arrives, for the neurons on the cores that a
link no longer reaches, and the way as it was for the others; each neuron reads one of the two, so that no sum changes its
order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import Affine, Array, Flatten, Input, Linear, Op, Scale
from spikeport.ir.program import Program
from spikeport.ir.shapes import Shapes, infer_shapes
from spikeport.runtime.hil.faults.neurons import free_path, held_by, settled


def cut(program: Program, links: Iterable[tuple[int, int]]) -> Graph:
    """Return the graph of *program* without the traffic over *links*, pairs (from core, to core)."""
    graph = settled(program.graph, program.profile) if links else program.graph
    lost: dict[str, dict[int, set[int]]] = {}
    for source, target in links:
        for path in {s.path for s in program.slices if s.core == target}:
            lost.setdefault(path, {}).setdefault(target, set()).add(source)
    shapes = infer_shapes(graph)[0]
    for population, cores in sorted(lost.items()):
        # Cores that miss the same others read the same copy.
        groups: dict[frozenset[int], set[int]] = {}
        for core, missing in cores.items():
            groups.setdefault(frozenset(missing), set()).add(core)
        split = [
            (held_by(program, population, shapes.output[population], groups[missing]), set(missing))
            for missing in sorted(groups, key=sorted)
        ]
        graph = _cut_off(graph, shapes, program, population, split)
    return graph


def _cut_off(graph: Graph, shapes: Shapes, program: Program, population: str, split: list[tuple[Array, set[int]]]) -> Graph:
    """Return *graph* in which neurons of *population* hear nothing of the cores beside their mask in *split*."""
    cone = _between(graph, program, population)
    sources = sorted({e.source for path in (*cone, population) for e in graph.into(path)} - cone)
    copies = []
    for here, missing in split:
        gone = {s: mask for s in sources if (mask := held_by(program, s, shapes.output[s], missing)).any()}
        for source in list(gone):
            layer = _own_layer(graph, source, population, cone)
            if layer is not None:
                graph = _zeroed(graph, layer, here, gone.pop(source))
        if gone:
            copies.append((here, gone))
    return _with_copies(graph, population, cone, copies) if copies else graph


def _between(graph: Graph, program: Program, population: str) -> set[str]:
    """Return the nodes on the ways from inputs and populations to *population*."""
    ends = {s.path for s in program.slices}
    found: set[str] = set()
    frontier = [population]
    while frontier:
        for edge in graph.into(frontier.pop()):
            if edge.source not in ends and edge.source not in found and type(graph[edge.source].op) is not Input:
                found.add(edge.source)
                frontier.append(edge.source)
    return found


def _own_layer(graph: Graph, source: str, population: str, cone: set[str]) -> str | None:
    """Return the fully connected layer that alone leads from *source* to *population*, behind Flatten nodes at most."""
    ways = [e.target for e in graph.out_of(source) if e.target in cone or e.target == population]
    while len(ways) == 1 and ways[0] in cone and len(graph.into(ways[0])) == 1:
        path = ways[0]
        op, ways = graph[path].op, [e.target for e in graph.out_of(path)]
        if isinstance(op, (Linear, Affine)):
            return path if ways == [population] and op.weight.ndim == 2 else None
        if not isinstance(op, Flatten):
            return None
    return None


def _zeroed(graph: Graph, layer: str, here: Array, gone: Array) -> Graph:
    """Return *graph* with weights of 0 in *layer* from the neurons *gone* to the neurons *here*."""
    lost = here[:, None] & gone.reshape(-1)[None, :]

    def op_of(node: Node) -> Op:
        if node.path != layer:
            return node.op
        weight = node.op.parameters()["weight"]
        return dataclasses.replace(node.op, weight=np.where(lost, np.zeros((), weight.dtype), weight))  # type: ignore[call-arg]

    return graph.map_ops(op_of)


def _with_copies(graph: Graph, population: str, cone: set[str], copies: list[tuple[Array, dict[str, Array]]]) -> Graph:
    """Return *graph* with a copy of the *cone* for each of *copies*: who reads it, and which neurons it does not hear."""
    nodes, edges = list(graph.nodes), [e for e in graph.edges if e.target != population]
    others: list[dict[str, str]] = []
    for number, (_, gone) in enumerate(copies):
        named = {path: free_path(graph, population, number, path) for path in sorted(cone)}
        nodes += [Node(new, graph[path].op, graph[path].notes) for path, new in named.items()]
        heard = {source: free_path(graph, population, number, "from", source) for source in gone}
        for source, mask in gone.items():
            nodes.append(Node(heard[source], Scale(np.where(mask, 0.0, 1.0))))
            edges.append(Edge(source, heard[source], 0))
        others.append({**heard, **named})
        edges += [Edge(others[-1].get(e.source, e.source), named[e.target], e.delay, e.rank)
                  for e in graph.edges if e.target in cone]  # fmt: skip
    rank = 0
    for number, edge in enumerate(graph.into(population)):
        # A copy may hear all that this edge carries: then its neurons read the edge as before.
        own = [(other[edge.source], here) for other, (here, _) in zip(others, copies, strict=True) if edge.source in other]
        before = ~np.any([here for _, here in own], axis=0)
        for source, mask in [(edge.source, before), *own]:
            reader = source
            if own:
                reader = free_path(graph, population, "to", number, source)
                nodes.append(Node(reader, Scale(np.where(mask, 1.0, 0.0))))
                edges.append(Edge(source, reader, 0))
            edges.append(Edge(reader, population, edge.delay, rank))
            rank += 1
    return graph.replace(nodes=nodes, edges=edges)
