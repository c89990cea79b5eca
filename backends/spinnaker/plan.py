"""A network on SpiNNaker's grid, packed for the compiled step: registers by neuron, synapses by source neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.backends.matrices import Synapses, matrix_of
from spikeport.backends.ways import Way, ways_of
from spikeport.ir.network import StepNetwork
from spikeport.ir.ops import Array, Input
from spikeport.ir.spinnaker import LIMIT, Core, weight_bits, word_bits


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What `cores.advance` takes.

    Parameters
    ----------
    inputs, populations : Mapping[str, slice]
        Where the neurons of each lie among all of their kind.
    connections : tuple of Way
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
    connections: tuple[Way, ...]
    links: dict[str, Array]
    groups: dict[str, Array]
    registers: dict[str, Array]
    v: Array
    held: Array
    exc: Array
    inh: Array
    slots: int


def synapses(matrix: Synapses, shifts: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return *matrix* as (rows, ids, weights), a row for each source neuron, weights as 16-bit numbers."""
    order = np.lexsort((matrix.rows, matrix.columns))
    counts = np.bincount(matrix.columns, minlength=matrix.shape[1])
    rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return rows, matrix.rows[order], weight_bits(matrix.values[order], shifts)


def make_plan(network: StepNetwork) -> Plan:
    """Return *network*, which is on the grid, packed."""
    shapes = network.shapes.output
    inputs = _places({n.path: math.prod(shapes[n.path]) for n in network.graph if type(n.op) is Input})
    cores = {path: model.core for path, model in network.models.items() if isinstance(model.core, Core)}
    populations = _places({path: math.prod(core.shape) for path, core in cores.items()})
    connections = ways_of(network)
    lists: dict[str, list[Any]] = {name: [] for name in ("source_of", "source_first", "source_size", "target_first", "delays")}
    rows_at, rows, ids, weights, total, row_total = [], [], [], [], 0, 0
    for one in connections:
        is_population = one.source in populations
        place = populations[one.source] if is_population else inputs[one.source]
        matrix = matrix_of(network.ops[one.layer], network.shapes.input[one.layer], shapes[one.layer])
        row, at, values = synapses(matrix, cores[one.target].shifts)
        for name, value in zip(
            lists, (int(is_population), place.start, place.stop - place.start, populations[one.target].start, one.steps),
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
        name: np.concatenate([word_bits(getattr(m, name)).reshape(-1) for m in models] + [none])
        for name in ("v_init", "i_init")
    }
    held = [np.zeros(m.shape, np.int64) if m.held_init is None else m.held_init for m in models]
    return Plan(
        inputs, populations, connections, links, groups, registers, state["v_init"],
        np.concatenate([h.reshape(-1).astype(np.int64) for h in held] + [none]),
        np.maximum(state["i_init"], 0), np.maximum(-state["i_init"], 0), max([c.steps for c in connections], default=1) + 1,
    )  # fmt: skip


def _flat(values: Array | None, core: Core) -> Array:
    return np.full(math.prod(core.shape), LIMIT, np.int64) if values is None else values.reshape(-1).astype(np.int64)


def _places(sizes: dict[str, int]) -> dict[str, slice]:
    ends = np.cumsum([0, *sizes.values()]).tolist()
    return {path: slice(a, b) for path, a, b in zip(sizes, ends[:-1], ends[1:], strict=True)}
