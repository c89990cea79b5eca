"""Put a lowered graph together: one connection from a source to a population, populations, inputs and outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from spikeport.compiler.integer.entry import Entry
from spikeport.compiler.integer.links import Link, readouts
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Flatten, Input
from spikeport.ir.profile import Profile


def assemble(
    network: StepNetwork, profile: Profile, entering: Mapping[str, Entry], links: Sequence[Link],
    neurons: Mapping[str, Node], weights: Mapping[str, Sequence[Array]], lag: Mapping[str, int],
) -> tuple[Graph, dict[int, str]]:  # fmt: skip
    """Return the lowered graph, and the node of each link by its place among *links*.

    Parameters
    ----------
    network : StepNetwork
        The source model.
    profile : Profile
        Of the lowered graph.
    entering : Mapping[str, Entry]
        Inputs.
    links : sequence of Link
        Connections, by which *weights* are ordered within a population.
    neurons : Mapping[str, Node]
        Lowered populations.
    weights : Mapping[str, sequence of array]
        Weights of the connections into each population.
    lag : Mapping[str, int]
        Steps that each population runs behind the source model.
    """
    source = network.graph
    edges: list[Edge] = []
    nodes = [
        Node(path, Input(network.shapes.output[path]), {**source[path].notes, **entering[path].note()})
        for path in source.inputs
    ]
    nodes += neurons.values()
    ranks: dict[str, int] = {}
    names: dict[int, str] = {}
    taken = {n.path for n in nodes} | set(source.outputs)
    place = dict.fromkeys(neurons, 0)
    for number, link in enumerate(links):
        weight = weights[link.target][place[link.target]]
        place[link.target] += 1
        name = _free(_name(network, link), taken)
        names[number] = name
        merged = link.incoming.merged.with_weight(weight.astype(np.float32))
        notes = dict(source[name].notes) if name in source else {}
        nodes.append(Node(name, merged.op, notes))
        delay = link.delay + lag[link.target] - lag[link.incoming.source]
        at = link.incoming.source
        if merged.flatten_in:
            at = _flat(f"{name}.flatten", at, nodes, edges, taken)
        edges.append(Edge(at, name, 0))
        if merged.flatten_out:
            name = _flat(f"{name}.flat", name, nodes, edges, taken)
        rank = ranks[link.target] = ranks.get(link.target, -1) + 1
        edges.append(Edge(name, link.target, delay, rank))
    for path in source.outputs:
        nodes.append(source[path])
        edges += [dataclasses.replace(edge, delay=edge.delay or 0) for edge in source.into(path)]
        for _, between in readouts(source, path):
            for flat in between:
                if flat not in taken:
                    taken.add(flat)
                    nodes.append(source[flat])
                    edges += [dataclasses.replace(edge, delay=edge.delay or 0) for edge in source.into(flat)]
    return Graph(tuple(nodes), tuple(edges), source.notes, profile), names


def _name(network: StepNetwork, link: Link) -> str:
    """Return the name of a connection: that of its (last) weighted layer, else of its ends."""
    weighted = [p for p in link.through if network.graph[p].op.is_weighted]
    return weighted[-1] if weighted else f"{link.incoming.source}.to.{link.target}"


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found in taken:
        found, number = f"{name}.{number}", number + 1
    taken.add(found)
    return found


def _flat(name: str, source: str, nodes: list[Node], edges: list[Edge], taken: set[str]) -> str:
    name = _free(name, taken)
    nodes.append(Node(name, Flatten(0, -1)))
    edges.append(Edge(source, name, 0))
    return name
