"""Counting by core: how the events of a run fall on the cores of a mapped program. Nothing is priced here.

Where a program has routing, packets follow its trees. Elsewhere hops are X-Y distances between tiles: a unicast fabric sends
a packet for every core that a spiking neuron has synapses on; a multicast fabric sends one packet a spike along the tree of
the whole slice, as its routers know slices, not neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.mapping.chains import chains_of
from spikeport.compiler.mapping.needs import KINDS
from spikeport.compiler.mapping.traffic import OUTSIDE, Traffic, traffic
from spikeport.compiler.mapping.trees import busiest, places, trees
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import Diagnostic, RunError
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Neuron
from spikeport.ir.program import Program
from spikeport.ir.routing import LINK_BITS, Routing
from spikeport.ir.shapes import infer_shapes
from spikeport.ir.trace import Trace


@dataclass(frozen=True, slots=True, eq=False)
class CoreCounts:
    """Events by core and by their source, summed over samples and steps.

    Matrices have a row for each core in ``cores`` and a column for each path in ``sources``.

    Parameters
    ----------
    cores : array of int64
        Cores that hold something.
    layers : tuple of str
        Layers on each core, joined by commas.
    sources : tuple of str
        Inputs and populations.
    neurons : array of int64
        Neurons of each core; each is accessed once a step.
    active : array of int64, or None
        Neurons of each core times steps in which they had a membrane other than 0, before or after the step, or spiked:
        the others are idle. None where the run did not record membranes and spikes of all layers.
    spikes : array of float64, shape (cores, sources)
        Spikes of the core's own neurons, in the column of their layer.
    synops : Mapping[str, array of float64, shape (cores, sources)]
        Synaptic operations, by cost event (``synop_dense``, ``synop_sparse``, ``synop_conv``).
    packets_out, packets_in : array of float64, shape (cores, sources)
        Packets sent and received.
    hops_ew, hops_ns : float
        Hops of all packets.
    router_visits : float
        Visits of all packets to routers (tiles), the first one included.
    entering : float
        Packets from outside among them.
    links : Mapping[str, array of float64, shape (sources,)]
        Packets over the busiest link of each direction, by cost event of its hop; none where they are not followed.
    tiles : int
        Tiles in use.
    allocated : int
        Cores that run: those in ``cores``, and on machines with routing tables those of inputs and delay slices.
    series : Mapping[str, array of float64, shape (samples, steps)]
        Course of each source over time, with mean 1, where the trace has it by step.
    samples, steps : int
        Size of the run.
    """

    cores: Array
    layers: tuple[str, ...]
    sources: tuple[str, ...]
    neurons: Array
    active: Array | None
    spikes: Array
    synops: Mapping[str, Array]
    packets_out: Array
    packets_in: Array
    hops_ew: float
    hops_ns: float
    router_visits: float
    entering: float
    links: Mapping[str, Array]
    tiles: int
    allocated: int
    series: Mapping[str, Array]
    samples: int
    steps: int


def count(program: Program, trace: Trace, target: Target) -> CoreCounts:
    """Return what happened on each core of *program* in the run of *trace*.

    Raises
    ------
    RunError
        E811 where the trace does not say how active a source was.
    """
    shapes = infer_shapes(program.graph)[0]
    into = chains_of(program.graph, shapes, program.projections)
    for projection in program.projections:
        if projection.source not in trace.activity:
            raise RunError(
                Diagnostic("E811", projection.source, "the run did not count the events of this layer, so it cannot be priced",
                           "run it on a backend that counts (engine, reference)")
            )  # fmt: skip
    found = traffic(program, into, shapes, target, trace.activity)
    cores = np.array(program.cores, np.int64)
    row_of = {core: row for row, core in enumerate(cores.tolist())}
    sources = tuple(dict.fromkeys(s.path for s in found.senders))
    column_of = {path: column for column, path in enumerate(sources)}
    size = (len(cores), len(sources))
    neurons, spikes, layers = np.zeros(len(cores), np.int64), np.zeros(size), [""] * len(cores)
    for s in program.slices:
        row = row_of[s.core]
        neurons[row] += s.size
        layers[row] = ", ".join(filter(None, (layers[row], s.path)))
        spikes[row, column_of[s.path]] += _spikes_of(trace, s.path, s.where, s.size, shapes.output[s.path])
    sender_core = np.array([s.core for s in found.senders], np.int64)
    sender_column = np.array([column_of[s.path] for s in found.senders], np.int64)
    rows = np.array([row_of.get(int(sender_core[t]), -1) for t in found.target], np.int64)
    columns = sender_column[found.source]
    synops = {}
    for name, event in KINDS.items():
        chosen = np.array([kind == name for kind in found.stored_as], bool)
        if chosen.any():
            synops[event] = np.zeros(size)
            np.add.at(synops[event], (rows[chosen], columns[chosen]), found.synops[chosen])
    if program.routing is not None:
        moved = _routed(program.routing, trace, found)
    else:
        moved = (_unicast if target.fabric.casting == "unicast" else _multicast)(program, trace, target, found)
    out, arrived = np.zeros(size), np.zeros(size)
    for sender, amount in zip(moved.senders.tolist(), moved.sent.tolist(), strict=True):
        if sender_core[sender] != OUTSIDE:
            out[row_of[int(sender_core[sender])], sender_column[sender]] += amount
    at = np.array([row_of[int(sender_core[t])] for t in moved.ends], np.int64)
    np.add.at(arrived, (at, sender_column[moved.starts]), moved.arrived)
    links = {
        event: np.bincount(sender_column[moved.starts[crossing]], moved.arrived[crossing], len(sources))
        for event, crossing in moved.links.items()
    }
    tiles, series = len(np.unique(target.fabric.tile_of(cores))), _series(program.graph, trace, sources)
    return CoreCounts(
        cores, tuple(layers), sources, neurons, _active(program, trace, row_of), spikes, synops, out, arrived, moved.hops_ew,
        moved.hops_ns, moved.visits, moved.entering, links, tiles,
        len(program.allocated), series, trace.samples, trace.steps,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Moved:
    """Packets by sender, arrivals by pair of slices, and the way of all."""

    senders: Array
    sent: Array
    starts: Array
    ends: Array
    arrived: Array
    hops_ew: float
    hops_ns: float
    visits: float
    entering: float
    links: Mapping[str, Array]


def _unicast(program: Program, trace: Trace, target: Target, found: Traffic) -> _Moved:
    x, y = places(program, target, found)
    east = np.abs(x[found.source] - x[found.target]) * found.packets
    north = np.abs(y[found.source] - y[found.target]) * found.packets
    outside = np.array([s.core == OUTSIDE for s in found.senders], bool)[found.source]
    return _Moved(
        found.source, found.packets, found.source, found.target, found.packets, float(east.sum()), float(north.sum()),
        float((east + north + found.packets).sum()), float(found.packets[outside].sum()),
        busiest(x[found.source], y[found.source], x[found.target], y[found.target], found.packets),
    )  # fmt: skip


def _multicast(program: Program, trace: Trace, target: Target, found: Traffic) -> _Moved:
    events = {row: float(np.sum(trace.activity[s.path][s.where])) for row, s in enumerate(found.senders)}
    grown = trees(program, target, found)
    east = north = visits = entering = 0.0
    for row, cells in grown.items():
        columns = {cx for cx, _ in cells}
        east += events[row] * (len(columns) - 1)
        north += events[row] * (len(cells) - len(columns))
        visits += events[row] * len(cells)
        entering += events[row] * (found.senders[row].core == OUTSIDE)
    pairs = np.unique(np.stack([found.source, found.target]), axis=1) if found.source.size else np.zeros((2, 0), np.int64)
    senders = np.array(list(grown), np.int64)
    return _Moved(
        senders, np.array([events[r] for r in grown]), pairs[0], pairs[1], np.array([events[r] for r in pairs[0].tolist()]),
        east, north, visits, entering, {},
    )  # fmt: skip


def _routed(routing: Routing, trace: Trace, found: Traffic) -> _Moved:
    """Follow the packets of slices, inputs and delay slices along their trees; a diagonal hop counts as north-south."""
    row_of = {(s.path, s.box): row for row, s in enumerate(found.senders)}
    slice_of = {s.core: s.slice for s in routing.senders if s.slice >= 0 and not s.delay_blocks}
    packets = routing.packets(trace.activity)
    rows = np.array([row_of[s.path, s.box] for s in routing.senders], np.int64)
    sent = np.zeros(len(found.senders))
    entering = 0.0
    for index, s in enumerate(routing.senders):
        if not s.delay_blocks:
            sent[rows[index]] += packets[index]
            entering += packets[index] if s.slice < 0 else 0.0
    trees = routing.trees
    sender = trees.senders()
    hops = [float(packets[sender[(trees.arrives >= 0) & (trees.arrives % 3 == axis)]].sum()) for axis in range(3)]
    starts, ends, arrived = [], [], []
    for processor in range(1, routing.machine.stride + 1):
        at = np.flatnonzero(trees.route >> (LINK_BITS + processor) & 1)
        target = [slice_of.get(core, -1) for core in (trees.chip[at] * routing.machine.stride + processor - 1).tolist()]
        starts.append(rows[sender[at]])
        ends.append(np.array(target, np.int64))
        arrived.append(packets[sender[at]])
    start, end, came = (np.concatenate(c) for c in (starts, ends, arrived))
    slices = end >= 0  # the others are delay slices
    spoke = np.flatnonzero(sent > 0)
    return _Moved(
        spoke, sent[spoke], start[slices], end[slices], came[slices], hops[0], hops[1] + hops[2],
        float((packets * trees.visits()).sum()), entering, {},
    )  # fmt: skip


def _active(program: Program, trace: Trace, row_of: Mapping[int, int]) -> Array | None:
    """Return the steps of neurons in which they were not idle, by core; None where the run does not tell."""
    out = np.zeros(len(row_of), np.int64)
    for path in dict.fromkeys(s.path for s in program.slices):
        op = program.graph[path].op
        spiking = op.is_spiking
        if not isinstance(op, Neuron) or path not in trace.v or (spiking and path not in trace.spikes):
            return None
        if program.profile.boundary != "reset":  # then the first membrane of a sample is the last of the one before
            return None
        after = np.asarray(trace.v[path]) != 0
        busy = after.copy()
        busy[:, 1:] |= after[:, :-1]
        if op.extras.v_init is not None:
            busy[:, 0] |= op.extras.v_init != 0
        if spiking:
            busy |= np.asarray(trace.spikes[path]) != 0
        if path in trace.i:
            busy |= np.asarray(trace.i[path]) != 0
        each = busy.sum(axis=(0, 1))
        for s in program.slices_of(path):
            out[row_of[s.core]] += int(each[s.where].sum())
    return out


def _spikes_of(trace: Trace, path: str, where: tuple[slice, ...], size: int, shape: tuple[int, ...]) -> float:
    """Return the spikes of a slice: counted by neuron, or its share where nobody listens to the layer."""
    counts = trace.counts.get(path)
    if counts is not None and counts.spikes is None:
        return 0.0  # an integrator: what leaves it are values, not spikes
    if path in trace.activity:
        return float(np.sum(trace.activity[path][where]))
    return 0.0 if counts is None else float(counts.spikes or 0) * size / max(1, int(np.prod(shape)))


def _series(graph: Graph, trace: Trace, sources: tuple[str, ...]) -> dict[str, Array]:
    """Return the course over time of each source for which the trace has one, with mean 1."""
    out = {}
    for path in sources:
        counts = trace.counts.get(path)
        course = None if counts is None else counts.spikes_per_step
        if course is None:
            # An input is followed by what it causes in the first layer of synapses, if that listens to nothing else.
            behind = [e.target for e in graph.out_of(path) if len(graph.into(e.target)) == 1 and e.target in trace.counts]
            course = next((c for p in behind if (c := trace.counts[p].synops_per_step) is not None), None)
        if course is not None and course.shape == (trace.samples, trace.steps) and course.any():
            out[path] = course / course.mean()
    return out
