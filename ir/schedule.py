"""The schedule: which edges wait how many steps, and in which order nodes are evaluated within a step.

One place decides this for the reference and for every backend. A loop needs a delay: edges that close a loop get the
profile's ``feedback``, counted once per loop; the others get its ``latency``. An edge's own delay always stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from spikeport.ir.diagnostics import Diagnostic, VerifyError
from spikeport.ir.graph import Edge, Graph
from spikeport.ir.ops import Input, Neuron, Output
from spikeport.ir.profile import Profile


@dataclass(frozen=True, slots=True)
class Schedule:
    """When values travel and in which order nodes are evaluated.

    Parameters
    ----------
    order : tuple of str
        Paths; a node comes after the sources of all its edges of delay 0.
    delays : Mapping[Edge, int]
        Steps that each edge waits.
    groups : tuple of tuple of str
        Strongly connected components in topological order; a group of several nodes, or of one that feeds itself,
        has to be stepped together, the others can be run over all steps one after the other.
    """

    order: tuple[str, ...]
    delays: Mapping[Edge, int]
    groups: tuple[tuple[str, ...], ...]

    def is_recurrent(self, group: tuple[str, ...]) -> bool:
        """Whether the nodes of *group* depend on their own past through edges."""
        return len(group) > 1 or any(e.source == e.target == group[0] for e in self.delays)


def schedule(graph: Graph, profile: Profile) -> Schedule:
    """Return the schedule of *graph* under *profile*.

    Raises
    ------
    VerifyError
        E106 for a loop without a stateful node, E307 where a recurrent affine also feeds forward and the profile wants
        its bias at step 0, E308 for a loop without any delay.
    """
    feedback = feedback_edges(graph)
    delays: dict[Edge, int] = {}
    for edge in graph.edges:
        delays[edge] = _delay(graph, profile, edge, feedback)
    _move_to_spikes(graph, profile, feedback, delays)
    now = nx.DiGraph()
    now.add_nodes_from(n.path for n in graph.nodes)
    now.add_edges_from((e.source, e.target) for e, d in delays.items() if d == 0)
    if not nx.is_directed_acyclic_graph(now):
        loop = " -> ".join(a for a, _ in nx.find_cycle(now))
        raise VerifyError(
            Diagnostic("E308", loop.split(" -> ", maxsplit=1)[0], f"the loop {loop} has no delay",
                       "give one of its edges a delay, or set feedback=1 in the profile")
        )  # fmt: skip
    depth = _ranks(graph)
    order = tuple(nx.lexicographical_topological_sort(now, key=lambda p: depth[p]))
    return Schedule(order, delays, _groups(graph, order))


def _ranks(graph: Graph) -> dict[str, tuple[int, str]]:
    """Return a key by which nodes that do not depend on each other are ordered: distance from the inputs, path."""
    depth = dict.fromkeys(graph.inputs, 0)
    frontier = list(graph.inputs)
    while frontier:
        found = []
        for path in frontier:
            for edge in graph.out_of(path):
                if edge.target not in depth:
                    depth[edge.target] = depth[path] + 1
                    found.append(edge.target)
        frontier = found
    return {n.path: (depth.get(n.path, len(graph)), n.path) for n in graph.nodes}


def _groups(graph: Graph, order: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    whole = nx.DiGraph()
    whole.add_nodes_from(order)
    whole.add_edges_from((e.source, e.target) for e in graph.edges)
    position = {path: i for i, path in enumerate(order)}
    condensed = nx.condensation(whole)
    members = {c: tuple(sorted(condensed.nodes[c]["members"], key=position.__getitem__)) for c in condensed}
    first = {c: position[members[c][0]] for c in condensed}
    return tuple(members[c] for c in nx.lexicographical_topological_sort(condensed, key=first.__getitem__))


def feedback_edges(graph: Graph) -> frozenset[Edge]:
    """Return the edges that close a loop, found by depth-first search from the inputs in the order of ranks.

    Edges with a delay of their own break a loop by themselves and are not among them.

    Raises
    ------
    VerifyError
        E106 for a loop without a stateful node.
    """
    open_edges = [e for e in graph.edges if not e.delay]
    loose = nx.MultiDiGraph()
    loose.add_nodes_from(n.path for n in graph.nodes)
    loose.add_edges_from((e.source, e.target) for e in open_edges)
    component: dict[str, int] = {}
    for number, members in enumerate(nx.strongly_connected_components(loose)):
        component.update(dict.fromkeys(members, number))
        if len(members) > 1 or loose.has_edge(*(2 * tuple(members))):
            _check_state(graph, members, loose)
    depth = _ranks(graph)
    entered = {e.target for e in graph.edges if component.get(e.source) != component.get(e.target)}
    roots = sorted((n.path for n in graph.nodes), key=lambda p: (p not in entered and p not in graph.inputs, depth[p]))
    closing: set[Edge] = set()
    state: dict[str, int] = {}  # 1 while on the path of the search, 2 when done
    for root in roots:
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(_inside(graph, root, component)))]
        while stack:
            path, edges = stack[-1]
            edge = next(edges, None)
            if edge is None:
                state[path] = 2
                stack.pop()
            elif state.get(edge.target) == 1:
                closing.add(edge)
            elif edge.target not in state:
                state[edge.target] = 1
                stack.append((edge.target, iter(_inside(graph, edge.target, component))))
    return frozenset(closing)


def _inside(graph: Graph, path: str, component: Mapping[str, int]) -> list[Edge]:
    return [e for e in graph.out_of(path) if not e.delay and component.get(e.target) == component[path]]


def _check_state(graph: Graph, members: set[str], loose: nx.MultiDiGraph) -> None:
    stateless = loose.subgraph(p for p in members if not graph[p].op.is_stateful)
    if nx.is_directed_acyclic_graph(stateless):
        return
    loop = " -> ".join(edge[0] for edge in nx.find_cycle(stateless))
    raise VerifyError(
        Diagnostic("E106", loop.split(" -> ", maxsplit=1)[0], f"the loop {loop} passes through no neuron and no delay",
                   "every loop needs a node that keeps state, or an edge with a delay")
    )  # fmt: skip


def _delay(graph: Graph, profile: Profile, edge: Edge, feedback: frozenset[Edge]) -> int:
    """Return the steps that *edge* waits before feedback is moved to where the profile wants it."""
    if edge.delay is not None:
        return edge.delay
    if edge in feedback:
        return profile.feedback
    source, target = graph[edge.source].op, graph[edge.target].op
    late = profile.at(edge.source, source.kind).output_delay if source.is_spiking else 0
    if type(target) is Output:
        return late
    if profile.latency_at == "current":
        entered = isinstance(target, Neuron) and target.has_current
        return late + (profile.latency[type(source) is not Input] if entered else 0)
    if profile.latency_at == "synapse":
        return late + (profile.latency[1] if source.is_weighted else 0)
    if type(source) is Input:
        return profile.latency[0]
    return late + (profile.latency[1] if source.is_stateful else 0)


def _move_to_spikes(graph: Graph, profile: Profile, feedback: frozenset[Edge], delays: dict[Edge, int]) -> None:
    """Count the delay of a loop once, on the spikes where the recurrent affine is evaluated at step 0.

    With the delay after the affine nothing reaches the neuron at step 0; with the delay before it, its bias does.
    """
    for closing in sorted(feedback, key=lambda e: (e.source, e.target, e.rank)):
        if graph[closing.source].op.is_stateful:
            continue
        chain = _stateless_behind(graph, closing.source)
        spikes = [e for path in sorted(chain) for e in graph.into(path) if e.source not in chain]
        private = all(e in feedback or e.target in chain for path in chain for e in graph.out_of(path))
        recurrent = all(graph[e.source].op.is_stateful for e in spikes)
        if private:
            for edge in spikes:
                if edge.delay is None:
                    delays[edge] = profile.feedback if profile.bias_at_0 and recurrent else 0
        if profile.bias_at_0 and profile.feedback:
            if private and recurrent:
                delays[closing] = 0 if closing.delay is None else closing.delay
            elif any(hasattr(graph[path].op, "bias") for path in chain):
                raise VerifyError(
                    Diagnostic(
                        "E307", closing.source,
                        f"{closing.source} closes a loop to {closing.target} and also feeds forward, so its bias cannot act "
                        "in the loop alone at step 0",
                        "give its edges delays of their own, or set bias_at_0=no in the profile",
                    )
                )  # fmt: skip


def _stateless_behind(graph: Graph, path: str) -> set[str]:
    """Return *path* and all stateless nodes from which it is reached without passing a stateful one or an input."""
    chain, frontier = {path}, [path]
    while frontier:
        for edge in graph.into(frontier.pop()):
            op = graph[edge.source].op
            if not op.is_stateful and type(op) is not Input and edge.source not in chain:
                chain.add(edge.source)
                frontier.append(edge.source)
    return chain
