"""Random networks for routing, machines with dead parts, and the walk of a packet written so that it is obvious."""

from __future__ import annotations

import dataclasses

import numpy as np
from mapped import PROFILE, lif

from spikeport.compiler.mapping import map_graph
from spikeport.compiler.mapping.chains import chains_of, projections
from spikeport.compiler.mapping.machine import machine_for
from spikeport.hw_profiles.records import Dead
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import CapacityError
from spikeport.ir.graph import Edge, Graph, Node
from spikeport.ir.ops import Conv2d, Flatten, Input, Linear, Output, SumPool2d
from spikeport.ir.program import Program
from spikeport.ir.routing import Machine, Routing, Tables
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.units import Quantity


def with_dead(target: Target, chips: int, share: float, seed: int) -> Target:
    """*target* without a random *share* of the links and cores of its machine of *chips* chips."""
    machine, rng = machine_for(target, chips), np.random.default_rng(seed)
    links = np.argwhere(machine.links >= 0)
    cores = [(c, p) for c in range(machine.chips) for p in machine.processors(c)]
    some_links = links[rng.permutation(len(links))[: round(share * len(links) / 2)]]  # each takes two directions away
    some_cores = rng.permutation(len(cores))[: round(share * len(cores))]
    xy = machine.xy.tolist()
    return target.without(
        Dead(
            (), tuple((*xy[cores[i][0]], cores[i][1]) for i in some_cores.tolist()),
            tuple((*xy[c], link) for c, link in some_links.tolist()),
        )
    )  # fmt: skip


def random_network(seed: int, size: int) -> Graph:
    """A network of about *size* neurons: layers, convolutions, forks, loops, zero weights and long delays by chance."""
    rng = np.random.default_rng(seed)
    nodes, edges = [], []
    if rng.random() < 0.5:
        side = max(4, int((size / 8) ** 0.5))
        nodes.append(Node("in", Input((2, side, side))))
        kernel = rng.normal(size=(3, 2, 3, 3)) * (rng.random((3, 2, 3, 3)) < 0.7)
        nodes += [Node("conv", Conv2d(None, kernel, 1, "same", 1, 1, np.zeros(3))), Node("map", lif((3, side, side)))]
        nodes += [Node("pool", SumPool2d((2, 2), (2, 2), (0, 0))), Node("flat", Flatten(0, -1))]
        edges += [("in", "conv"), ("conv", "map"), ("map", "pool"), ("pool", "flat")]
        sources = {"flat": 3 * (side // 2) ** 2}
    else:
        n = max(1, size // 4)
        nodes.append(Node("in", Input((n,))))
        sources = {"in": n}
    layers = int(rng.integers(2, 6))
    inputs = dict(sources)
    made: dict[str, int] = {}
    for number in range(layers):
        n = max(1, int(size / layers * rng.uniform(0.3, 1.2)))
        name = f"lif{number}"
        nodes.append(Node(name, lif((n,))))
        before = {**inputs, **made} if number else inputs
        chosen = sorted(before) if number == 0 else sorted(rng.permutation(sorted(before))[: int(rng.integers(1, 3))].tolist())
        if rng.random() < 0.4:
            chosen.append(name)
            before = {**before, name: n}
        for rank, source in enumerate(chosen):
            weights = f"w_{source}_{name}"
            # Blocks of zeros, so that not every slice is a target of every other.
            mask = rng.random((-(-n // 16), -(-before[source] // 16))) < 0.6
            weight = np.kron(mask, np.ones((16, 16)))[:n, : before[source]] * rng.normal(size=(n, before[source]))
            nodes.append(Node(weights, Linear(weight)))
            # Cores of few neurons delay long by themselves: some delays go beyond.
            delay = int(rng.integers(1, 2305)) if rng.random() < 0.3 else None
            edges += [(source, weights, 0, None), (weights, name, rank, delay)]
        made[name] = n
    nodes.append(Node("out", Output((made[f"lif{layers - 1}"],))))
    edges.append((f"lif{layers - 1}", "out"))
    full = [(*e, 0, None)[:4] for e in edges]
    return Graph(nodes, [Edge(a, b, delay, rank) for a, b, rank, delay in full])


def slow_walk(machine: Machine, tables: Tables, chip: int, key: int) -> list[tuple[int, int]]:
    """The (chip, processor) that a packet reaches, once each time; ValueError where it is lost, or runs in a circle."""
    steps = [(1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1)]
    reached, visits = [], 0
    waiting: list[tuple[int, int | None]] = [(chip, None)]
    while waiting:
        chip, came_by = waiting.pop()
        visits += 1
        if visits > machine.chips:
            raise ValueError("in a circle")
        route = next((e.route for e in tables.of(chip) if key & e.mask == e.key), None)
        if route is None:
            if came_by is None:
                raise ValueError("dropped")
            route = 1 << (came_by + 3) % 6
        reached += [(chip, p) for p in range(18) if route >> 6 + p & 1]
        for link, (dx, dy) in enumerate(steps):
            if route >> link & 1:
                end = machine.links[chip, link]
                if end < 0:
                    raise ValueError("into a dead link")
                x, y = machine.xy[chip]
                assert tuple(machine.xy[end]) == ((x + dx) % machine.width, (y + dy) % machine.height)
                waiting.append((int(end), (link + 3) % 6))
    return reached


def wanted(program: Program) -> list[set[int]]:
    """The cores that each sender of *program* has to reach, from the synapses alone."""
    routing, graph = program.routing, program.graph
    assert routing is not None
    shapes = infer_shapes(graph)[0]
    into = chains_of(graph, shapes, projections(graph, program.profile))
    out: list[set[int]] = [set() for _ in routing.senders]
    direct = {(s.path, s.box): i for i, s in enumerate(routing.senders) if not s.delay_blocks}
    late = {(s.path, s.box, s.delay_steps): i for i, s in enumerate(routing.senders) if s.delay_blocks}
    largest = {s.path: max(p.size for p in program.slices_of(s.path)) for s in program.slices}
    for piece in program.slices:
        for c in into[piece.path]:
            window = c.window(piece.box)
            full = np.zeros(shapes.output[c.source], np.int64)
            full[window.where] = window.counts
            native = 8192 // 2 ** int(np.ceil(np.log2(largest[piece.path])))
            block = max(0, c.delay - 1) // native
            for (path, box), i in direct.items():
                if path == c.source and full[tuple(slice(a, b) for a, b in box)].any():
                    if block:
                        delayer = late[path, box, native]
                        assert block in routing.senders[delayer].delay_blocks
                        out[i].add(routing.senders[delayer].core)
                        out[delayer].add(piece.core)
                    else:
                        out[i].add(piece.core)
    return out


def prove(program: Program, *, every: int = 1) -> int:
    """Walk the keys of all senders (each *every*-th) by the slow walk; return how many."""
    routing = program.routing
    assert routing is not None
    machine, walked = routing.machine, 0
    for sender, cores in zip(routing.senders, wanted(program), strict=True):
        assert machine.place(sender.core) == (sender.chip, sender.processor)
        if not cores:
            continue
        for key in sender.keys()[::every].tolist():
            assert key & sender.mask == sender.key
            found = [machine.number(*place) for place in slow_walk(machine, routing.compressed, sender.chip, key)]
            assert sorted(found) == sorted(cores), (sender.path, sender.box, hex(key))
            walked += 1
    return walked


def mapped_at_random(seed: int, chips: int, target: Target, share: float = 0.05) -> Program:
    """A random network on a machine of *chips* chips of *target*, about half full, with *share* of links and cores dead."""
    rng = np.random.default_rng(seed)
    slices = min(8 * chips, 300)
    per_core = int(rng.integers(16, 33)) if chips == 1 else int(rng.integers(2, 9))
    cut = limited_to(with_dead(target, chips, share, seed), per_core)
    size = slices * per_core // 2
    while True:
        try:
            return map_graph(random_network(seed, size), PROFILE, cut, chips=chips)
        except CapacityError as error:  # delay slices are not foreseen
            if error.diagnostics[0].code != "E402" or size < 2:
                raise
            size //= 2


def limited_to(target: Target, neurons: int) -> Target:
    """*target* with cores of *neurons* neurons."""
    return dataclasses.replace(target, core={**target.core, "neurons": Quantity(neurons, "1", "estimated", "test")})


def routing_of(program: Program) -> Routing:
    """The routing of *program*, which has one."""
    assert program.routing is not None
    return program.routing
