"""The order in which nirtorch's older importer (of sinabs and Norse) runs nodes: depth first, in the order of the edges."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx

from spikeport.compiler.exporters.unit import Cannot
from spikeport.ir import Graph

Pair = tuple[str, str]


def depth_first(graph: Graph) -> list[str]:
    """Return the nodes in the order in which it runs them: each behind the first node that leads to it.

    The edges of a file are sorted by the names of their targets (``nir_io.to_nir``), so the names decide.
    """
    order: list[str] = []
    seen: set[str] = set()
    stack = [graph.inputs[0]]
    while stack:
        path = stack.pop()
        if path not in seen:
            seen.add(path)
            order.append(path)
            stack += sorted((e.target for e in graph.out_of(path)), reverse=True)
    return order


def runs_in_order(graph: Graph, late: frozenset[Pair]) -> bool:
    """Whether every node runs behind those that it takes values from, but for the edges *late*, and the Output last."""
    place = {path: i for i, path in enumerate(depth_first(graph))}
    last = graph[max(place, key=place.__getitem__)].op.kind == "Output"
    return last and all((place[e.source] < place[e.target]) != ((e.source, e.target) in late) for e in graph.edges)


def ordered_names(names: Mapping[str, str], pairs: list[Pair], late: frozenset[Pair], fixed: frozenset[str]) -> dict[str, str]:
    """Return *names* with a number in front, by which nodes run in their order, loops first.

    Parameters
    ----------
    names : Mapping of str to str
        Name of each path.
    pairs : list of (str, str)
        Edges, by path.
    late : frozenset of (str, str)
        Edges that close loops, by path.
    fixed : frozenset of str
        Paths of the Input and the Output, which keep their names.
    """
    now = nx.DiGraph()
    now.add_nodes_from(names)
    now.add_edges_from(p for p in pairs if p not in late)
    # The nodes of a loop behind its neuron lead nowhere else, so they can run first.
    inner = {source for source, _ in late}
    for path in reversed(list(nx.topological_sort(now))):
        behind = set(now.successors(path))
        if behind and behind <= inner:
            inner.add(path)
    order = list(nx.lexicographical_topological_sort(now, key=lambda p: (p not in inner, names[p])))
    width = len(str(len(order)))
    return {p: name if p in fixed else f"n{order.index(p):0{width}d}_{name}" for p, name in names.items()}


def refuse_joins(graph: Graph, late: frozenset[Pair]) -> None:
    """Refuse a graph that it would run in the wrong order, whatever the names."""
    if not runs_in_order(graph, late):
        place = {path: i for i, path in enumerate(depth_first(graph))}
        wrong = [e for e in graph.edges if place[e.source] > place[e.target] and (e.source, e.target) not in late]
        where = wrong[0].target if wrong else graph.outputs[0]
        raise Cannot(f"the branches that join at {where}", "its importer runs layers depth first, so that it would take the "
                     "value of the step before from one of them", "--dialect snntorch or spikingjelly")  # fmt: skip
