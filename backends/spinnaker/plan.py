"""A network on SpiNNaker's grid, packed for the compiled step: registers by neuron, synapses by source neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Conv1d, Conv2d, Flatten, Input, Op
from spikeport.ir.spinnaker import LIMIT, Core, weight_bits

Synapses = tuple[Array, Array, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """A connection of the lowered graph: from a source to a population.

    Parameters
    ----------
    source, through, target : str
    delay : int
    """

    source: str
    through: str
    target: str
    delay: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What `cores.advance` takes.

    Parameters
    ----------
    inputs, populations : Mapping[str, slice]
        Where the neurons of each lie among all of their kind.
    connections : tuple of Connection
    links : dict of arrays
        ``source_of`` to ``weights``.
    groups : dict of arrays
        ``first`` to ``fires``, by population.
    registers : dict of arrays
        ``exp_tc`` to ``init``, by neuron.
    v, held, exc, inh : array of int64
        State before the first step.
    slots : int
        Steps that ring buffers hold.
    """

    inputs: dict[str, slice]
    populations: dict[str, slice]
    connections: tuple[Connection, ...]
    links: dict[str, Array]
    groups: dict[str, Array]
    registers: dict[str, Array]
    v: Array
    held: Array
    exc: Array
    inh: Array
    slots: int


def connections_of(network: StepNetwork) -> list[Connection]:
    """Return every connection of a network on the grid, in the graph's order."""
    graph, delays = network.graph, network.schedule.delays
    found = []
    for path in network.halves:
        ends: list[list[tuple[str, int]]] = []
        for forward in (False, True):
            ways, done = [(path, 0)], []
            while ways:
                at, steps = ways.pop()
                for edge in graph.out_of(at) if forward else graph.into(at):
                    other, more = (edge.target if forward else edge.source), steps + delays[edge]
                    if isinstance(graph[other].op, Flatten):
                        ways.append((other, more))
                    else:
                        done.append((other, more))
            ends.append(done)
        found += [
            Connection(source, path, target, before + after)
            for source, before in ends[0]
            for target, after in ends[1]
            if target in network.models
        ]
    return found


def synapses(op: Op, shape: tuple[int, ...], bits: Array) -> Synapses:
    """Return the synapses of a weighted node as (rows, ids, weights), a row for each source neuron.

    Parameters
    ----------
    op : Op
        Matrix or convolution.
    shape : tuple of int
        Of its source.
    bits : array of int64
        Its weights as 16-bit numbers.
    """
    if isinstance(op, (Conv1d, Conv2d)):
        wide = op.as_conv2d() if isinstance(op, Conv1d) else op
        bits = bits[:, :, None, :] if isinstance(op, Conv1d) else bits
        source, target, weight = _taps(wide, (shape[0], 1, shape[1]) if isinstance(op, Conv1d) else shape, bits)
    else:
        target, source = np.nonzero(bits)
        weight = bits[target, source]
    order = np.lexsort((target, source))
    counts = np.bincount(source, minlength=math.prod(shape))
    rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return rows, target[order].astype(np.int64), weight[order].astype(np.int64)


def _taps(op: Conv2d, shape: tuple[int, ...], bits: Array) -> Synapses:
    """Return (source, target, weight) of every synapse of a convolution."""
    c_out, rows, cols = op.output_shape(shape)
    per_out, per_in = c_out // op.groups, bits.shape[1]
    (px, _), (py, _) = op.pads
    found: list[Synapses] = []
    o, c, i, j = np.nonzero(bits)
    channel = o // per_out * per_in + c
    for y in range(rows):
        for x in range(cols):
            at_y = y * op.stride[0] + i * op.dilation[0] - px
            at_x = x * op.stride[1] + j * op.dilation[1] - py
            inside = (at_y >= 0) & (at_y < shape[1]) & (at_x >= 0) & (at_x < shape[2])
            source = (channel * shape[1] + at_y) * shape[2] + at_x
            target = (o * rows + y) * cols + x
            found.append((source[inside], target[inside], bits[o, c, i, j][inside]))
    parts = [np.concatenate(p) for p in zip(*found, strict=True)]
    return parts[0], parts[1], parts[2]


def make_plan(network: StepNetwork) -> Plan:
    """Return *network*, which is on the grid, packed."""
    shapes = network.shapes.output
    inputs = _places({n.path: math.prod(shapes[n.path]) for n in network.graph if type(n.op) is Input})
    cores = {path: model.core for path, model in network.models.items() if isinstance(model.core, Core)}
    populations = _places({path: math.prod(core.shape) for path, core in cores.items()})
    connections = connections_of(network)
    lists: dict[str, list[Any]] = {name: [] for name in ("source_of", "source_first", "source_size", "target_first", "delays")}
    rows_at, rows, ids, weights, total, row_total = [], [], [], [], 0, 0
    for one in connections:
        is_population = one.source in populations
        place = populations[one.source] if is_population else inputs[one.source]
        op = network.ops[one.through]
        bits = weight_bits(op.parameters()["weight"], cores[one.target].shifts)
        row, at, values = synapses(op, network.shapes.input[one.through], bits)
        for name, value in zip(
            lists, (int(is_population), place.start, place.stop - place.start, populations[one.target].start, one.delay),
            strict=True,
        ):  # fmt: skip
            lists[name].append(value)
        rows_at.append(row_total)
        rows.append(row + total)
        ids.append(at)
        weights.append(values)
        total, row_total = total + len(at), row_total + len(row)
    none = np.zeros(0, np.int64)
    links = {name: np.array(values, np.int64) for name, values in lists.items()}
    links |= {
        "rows_at": np.array(rows_at, np.int64), "rows": np.concatenate([*rows, none]),
        "ids": np.concatenate([*ids, none]).astype(np.int32), "weights": np.concatenate([*weights, none]).astype(np.int32),
    }  # fmt: skip
    groups = {
        "first": np.array([p.start for p in populations.values()], np.int64),
        "size": np.array([p.stop - p.start for p in populations.values()], np.int64),
        "shift_exc": np.array([c.shifts[0] for c in cores.values()], np.int64),
        "shift_inh": np.array([c.shifts[1] for c in cores.values()], np.int64),
        "is_exp": np.array([c.decay is not None for c in cores.values()], np.int64),
        "fires": np.array([c.threshold is not None for c in cores.values()], np.int64),
    }
    registers = {
        name: np.concatenate([_flat(getattr(c, name), c) for c in cores.values()] + [none])
        for name in ("exp_tc", "resistance", "v_rest", "i_offset", "threshold", "v_reset", "refractory", "decay", "init")
    }
    models = [network.models[path] for path in cores]
    state = {
        name: np.concatenate([np.rint(getattr(m, name).reshape(-1) * 2.0**15).astype(np.int64) for m in models] + [none])
        for name in ("v_init", "i_init")
    }
    held = [np.zeros(m.shape, np.int64) if m.held_init is None else m.held_init for m in models]
    return Plan(
        inputs, populations, tuple(connections), links, groups, registers, state["v_init"],
        np.concatenate([h.reshape(-1).astype(np.int64) for h in held] + [none]),
        np.maximum(state["i_init"], 0), np.maximum(-state["i_init"], 0), max([c.delay for c in connections], default=1) + 1,
    )  # fmt: skip


def _flat(values: Array | None, core: Core) -> Array:
    return np.full(math.prod(core.shape), LIMIT, np.int64) if values is None else values.reshape(-1).astype(np.int64)


def _places(sizes: dict[str, int]) -> dict[str, slice]:
    ends = np.cumsum([0, *sizes.values()]).tolist()
    return {path: slice(a, b) for path, a, b in zip(sizes, ends[:-1], ends[1:], strict=True)}
