"""Put the lowered graph together: Loihi's form, its integers as floats on the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikeport.compiler.loihi.entry import Entry
from spikeport.compiler.loihi.links import Link, readouts
from spikeport.compiler.loihi.settle import Settled
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.loihi import DECAY_ONE, SHIFT
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import LI, LIF, CubaLI, CubaLIF, Flatten, Input, Neuron, Op
from spikeport.ir.ops.neuron import Discrete, Extras
from spikeport.ir.profile import Profile
from spikeport.ir.profiles import parse_profile

#: A time constant in steps for a membrane that does not leak, since NIR's are finite.
NO_LEAK = 2.0**30


def assemble(
    network: StepNetwork, entering: Mapping[str, Entry], links: Sequence[Link], done: Mapping[str, Settled],
    lag: Mapping[str, int],
) -> tuple[Graph, Profile, dict[int, str]]:  # fmt: skip
    """Return the lowered graph, its profile, and the node of each link by its place among *links*."""
    source = network.graph
    profile = dataclasses.replace(parse_profile("lava"), dt=network.profile.dt, boundary=network.profile.boundary, leak="unit")
    edges: list[Edge] = []
    nodes = [
        Node(path, Input(network.shapes.output[path]), {**source[path].notes, **entering[path].note()})
        for path in source.inputs
    ]
    for path, settled in done.items():
        notes = {**source[path].notes, "scale": settled.choice.scale}
        nodes.append(Node(path, _neuron(settled, profile.dt), notes))
    ranks: dict[str, int] = {}
    names: dict[int, str] = {}
    taken = {n.path for n in nodes} | set(source.outputs)
    place = dict.fromkeys(done, 0)
    for number, link in enumerate(links):
        weights = done[link.target].choice.weights[place[link.target]]
        place[link.target] += 1
        name = _free(_name(network, link), taken)
        names[number] = name
        merged = link.incoming.merged.with_weight(weights.weight.astype(np.float32))
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
    return Graph(tuple(nodes), tuple(edges), source.notes, profile), profile, names


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


def _neuron(settled: Settled, dt: float) -> Neuron:
    shape = settled.beta.shape
    beta = settled.beta / DECAY_ONE
    tau = dt / np.where(beta < 1, 1 - beta, 1 / NO_LEAK)
    fields: dict[str, Any] = {"v_leak": settled.bias.astype(float), "r": np.ones(shape)}
    if settled.alpha is None:
        discrete = Discrete(dt, "euler", "nir", beta, np.full(shape, float(SHIFT)))
        fields["tau"] = tau
    else:
        alpha = settled.alpha / DECAY_ONE
        discrete = Discrete(dt, "euler", "nir", beta, np.ones(shape), alpha, np.full(shape, float(SHIFT)))
        fields |= {"tau_mem": tau, "tau_syn": dt / (1 - alpha), "w_in": np.ones(shape)}
    extras = Extras(
        discrete, _given(settled.v_init), _given(settled.i_init), settled.refractory, None,
    )  # fmt: skip
    threshold = settled.choice.threshold
    kind: type[Op] = LI if settled.alpha is None else CubaLI
    if threshold is not None:
        kind = LIF if settled.alpha is None else CubaLIF
        fields |= {"v_threshold": threshold * float(SHIFT), "v_reset": np.zeros(shape)}
    return kind(**fields, extras=extras)  # type: ignore[call-arg,return-value]


def _given(state: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    return state.astype(float) if np.any(state) else None
