"""Faults of neurons, cores and links, as a rewritten graph that any backend runs: stuck neurons, dead cores, dead links.

A neuron that is made silent has a threshold that nothing reaches, one that is stuck at 1 a threshold that everything is above;
their membranes are no longer those of the network. Cores and links are those of a mapped program.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import Array, Extras, Neuron, Op, Scale, Shape, Threshold
from spikeport.ir.profile import Profile
from spikeport.ir.program import Program
from spikeport.ir.schedule import schedule
from spikeport.ir.shapes import infer_shapes
from spikeport.runtime.hil.faults.draws import hit, layers_of, not_here
from spikeport.runtime.hil.faults.spec import Fault
from spikeport.runtime.session import some_of

#: A threshold that nothing reaches, and with the other sign one that everything is above.
BEYOND = 1e30
#: Beginning of the paths of all nodes that faults put into a graph.
MARK = "fault"


def stuck(program: Program, fault: Fault) -> Program:
    """Return the program with neurons that never fire (``at=0``, the default) or fire once in every step (``at=1``).

    Which: ``neuron``, an index in ``layer``; or each neuron of ``layer``, or of all spiking layers, with probability ``p``;
    or ``n`` of them. Neither a refractory period nor a held start keeps back a neuron that is stuck at 1.

    Raises
    ------
    UnsupportedError
        E887 for a layer that does not spike, an index outside of it, more neurons than there are, and ``at=1`` where a neuron
        fires several times a step (``reset=multi_subtract``), since what one spike a step is worth is not stated there.
    """
    graph, layer = program.graph, fault.get("layer")
    paths = layers_of(fault, graph.spiking, "is no layer that spikes", "layers that spike")
    shapes = infer_shapes(graph)[0].output
    chosen = {path: shapes[path] for path in paths}
    neuron = fault.get("neuron")
    if neuron is None:
        hits = hit(fault, chosen, "neurons that spike")
    else:
        if len(neuron) != len(chosen[layer]) or any(i >= n for i, n in zip(neuron, chosen[layer], strict=True)):
            raise not_here(fault, f"{layer} has the shape {chosen[layer]}", "an index such as 5 or 2.0.7, from 0")
        hits = {layer: np.zeros(chosen[layer], np.bool_)}
        hits[layer][neuron] = True
    is_high = fault.get("at") == "1"
    for path, mask in hits.items():
        if is_high and mask.any() and fires_often(graph[path], program.profile):
            why = f"{path} fires several times in a step, where stuck at 1 has no meaning"
            raise not_here(fault, why, "name another layer, or at=0", path)
    return with_thresholds(program, hits, -BEYOND if is_high else BEYOND)


def dead_cores(program: Program, faults: tuple[Fault, ...]) -> Program:
    """Return the program with cores that do nothing: their neurons never fire, and what reads an integrator there reads 0.

    Which: ``core``; or each of the program's cores with probability ``p``; or ``n`` of them.

    Raises
    ------
    UnsupportedError
        E887 for a program that is mapped on no chip, a core that it does not use, or more cores than it has.
    """
    dead: set[int] = set()
    for fault in faults:
        cores = _cores(program, fault)
        if fault.get("core") is None:
            dead.update(np.array(cores)[hit(fault, {"cores": (len(cores),)}, "cores")["cores"]].tolist())
        elif fault.get("core") in cores:
            dead.add(fault.get("core"))
        else:
            raise not_here(fault, "the program does not use that core", f"cores {some_of([str(c) for c in cores], 12)}")
    shapes = infer_shapes(program.graph)[0].output
    masks = {path: held_by(program, path, shapes[path], dead) for path in {s.path for s in program.slices if s.core in dead}}
    spiking = {path: m for path, m in masks.items() if program.graph[path].op.is_spiking}
    program = with_thresholds(program, spiking, BEYOND)
    graph = program.graph
    for path in sorted(set(masks) - set(spiking)):
        graph = _behind(graph, program.profile, path, Scale(np.where(masks[path], 0.0, 1.0)))
    return dataclasses.replace(program, graph=graph)


def links_of(program: Program) -> tuple[tuple[int, int], ...]:
    """Return the links that a mapped program sends spikes over: ordered pairs of different cores, in ascending order.

    A pair counts where a projection leads from a population with a slice on the one to a population with a slice on the other.
    """
    cores: dict[str, set[int]] = {}
    for piece in program.slices:
        cores.setdefault(piece.path, set()).add(piece.core)
    pairs = {
        (a, b) for p in program.projections for a in cores.get(p.source, ()) for b in cores.get(p.target, ()) if a != b
    }  # fmt: skip
    return tuple(sorted(pairs))


def dead_links(program: Program, faults: tuple[Fault, ...]) -> set[tuple[int, int]]:
    """Return the links that *faults* cut: ``from`` a core ``to`` a core; or each of `links_of` with ``p``; or ``n`` of them.

    Raises
    ------
    UnsupportedError
        E887 for a program that is mapped on no chip, a link that it does not use, or more links than it has.
    """
    dead: set[tuple[int, int]] = set()
    for fault in faults:
        _cores(program, fault)
        links = links_of(program)
        one = (fault.get("from"), fault.get("to"))
        if one[0] is None:
            mask = hit(fault, {"links": (len(links),)}, "links")["links"]
            dead.update(link for link, is_dead in zip(links, mask, strict=True) if is_dead)
        elif one in links:
            dead.add(one)
        else:
            known = some_of([f"{a} to {b}" for a, b in links], 12)
            raise not_here(fault, "no spikes go that way", f"links {known or 'none'}")
    return dead


def held_by(program: Program, path: str, shape: Shape, cores: set[int]) -> Array:
    """Return which neurons of the population *path* lie on *cores*: bool, of *shape*."""
    mask = np.zeros(shape, np.bool_)
    for piece in program.slices:
        if piece.path == path and piece.core in cores:
            mask[piece.where] = True
    return mask


def fires_often(node: Node, profile: Profile) -> bool:
    """Whether a neuron of *node* can fire several times in a step."""
    if not isinstance(node.op, Neuron):
        return False
    own = profile.at(node.path, node.op.kind)
    return own.reset == "multi_subtract" and own.max_spikes != 1


def with_thresholds(program: Program, masks: dict[str, Array], value: float) -> Program:
    """Return the program with *value* for the thresholds of the neurons in *masks*."""
    masks = {path: m for path, m in masks.items() if m.any()}
    if not masks:
        return program
    program = _own_thresholds(program)

    def op_of(node: Node) -> Op:
        mask, op = masks.get(node.path), node.op
        if mask is None:
            return op
        if isinstance(op, Threshold):
            return Threshold(np.where(mask, value, op.threshold))
        assert isinstance(op, Neuron)
        changed = {"v_threshold": np.where(mask, value, op.arrays()["v_threshold"])}
        if value < 0:
            op = dataclasses.replace(op, extras=_never_held(op.extras, mask))
        return dataclasses.replace(op, **changed)  # type: ignore[arg-type]

    return dataclasses.replace(program, graph=program.graph.map_ops(op_of))


def _never_held(extras: Extras, mask: Array) -> Extras:
    """Return *extras* in which the neurons of *mask* are held neither after a spike nor at the start."""
    held = {name: getattr(extras, name) for name in ("refractory_steps", "held_init")}
    changed: dict[str, Any] = {name: np.where(mask, 0, steps) for name, steps in held.items() if steps is not None}
    return dataclasses.replace(extras, **changed)


def _own_thresholds(program: Program) -> Program:
    """Return the program with the thresholds that its profile sets in the neurons themselves, where each may have its own."""
    profile = program.profile
    if not any(name == "v_threshold" for _, name, _ in profile.overrides):
        return program

    def op_of(node: Node) -> Op:
        op = node.op
        value = profile.parameter(node.path, op.kind, "v_threshold") if op.is_spiking else None
        return op if value is None else dataclasses.replace(op, v_threshold=np.float64(value))  # type: ignore[call-arg]

    kept = tuple(o for o in profile.overrides if o[1] != "v_threshold")
    return dataclasses.replace(
        program, graph=program.graph.map_ops(op_of), profile=dataclasses.replace(profile, overrides=kept)
    )


def settled(graph: Graph, profile: Profile) -> Graph:
    """Return *graph* with the delay of every edge stated: nodes that are put in between then change none."""
    delays = schedule(graph, profile).delays
    return graph.replace(edges=[dataclasses.replace(e, delay=delays[e]) for e in graph.edges])


def free_path(graph: Graph, *words: object) -> str:
    """Return a path for a node that a fault puts in, which no node of *graph* has."""
    path = ".".join([MARK, *map(str, words)])
    return path if path not in graph else free_path(graph, *words, "x")


def _behind(graph: Graph, profile: Profile, path: str, op: Op) -> Graph:
    """Return *graph* with *op* between *path* and all that reads it."""
    graph = settled(graph, profile)
    new = free_path(graph, path)
    edges = [dataclasses.replace(e, source=new) if e.source == path else e for e in graph.edges]
    return graph.replace(nodes=[*graph.nodes, Node(new, op)], edges=[*edges, Edge(path, new, 0)])


def _cores(program: Program, fault: Fault) -> tuple[int, ...]:
    if not program.slices:
        raise not_here(
            fault, "the program is mapped on no chip, so it has no cores", "compile it for a target: --target loihi2"
        )
    return program.cores
