"""What a slice takes of each resource of its core, and what it would take at least."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.compiler.mapping.chains import Chain
from spikeport.hw_profiles.records import Encoding
from spikeport.hw_profiles.target import Target
from spikeport.ir.ops import Array, Neuron, Op, Shape
from spikeport.ir.program import Box

#: Cost events of synapses by the way they are stored.
KINDS = {"dense": "synop_dense", "sparse": "synop_sparse", "shared": "synop_conv"}


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """A layer of neurons, with all that enters it.

    Parameters
    ----------
    path : str
        Its node.
    op : Op
        Its neurons.
    shape : tuple of int
        Without batch and time.
    chains : tuple of Chain
        What enters.
    bits : tuple of int
        Width of the weights of each chain.
    """

    path: str
    op: Op
    shape: Shape
    chains: tuple[Chain, ...]
    bits: tuple[int, ...]


def stored(chain: Chain, box: Box, counts: Array, bits: int, target: Target) -> tuple[int, str]:
    """Return the bytes of the cheapest encoding of a chain's synapses in a slice, and its name.

    Parameters
    ----------
    chain : Chain
        The connection.
    box : Box
        The slice.
    counts : array of int64
        Synapses of each source neuron into the slice, zeros left out.
    bits : int
        Width of a weight.
    target : Target
        Its encodings.
    """
    size = math.prod(stop - start for start, stop in box)
    best = None
    for encoding in target.encodings:
        need = _encoded(encoding, chain, box, counts, size, bits)
        if need is not None and (best is None or need < best[0]):
            best = (need, encoding.name)
    if best is None:  # only shared kernels are there, and this is none: the reader of targets refuses such files
        raise ValueError(f"{target.name} has no encoding for {chain.source} -> {chain.target}")
    return -(-best[0] // 8), best[1]


def _encoded(encoding: Encoding, chain: Chain, box: Box, counts: Array, size: int, bits: int) -> int | None:
    if encoding.name == "shared":
        if not chain.is_shared:
            return None
        kernels = chain.kernel_weights(box)
        rows = int(encoding.row_bits.value or 0) * max(0, int(counts.size) - int(kernels.size))
        return encoding.bits(kernels, bits) + rows
    return encoding.bits(counts if encoding.name == "sparse" else np.full(counts.size, size), bits)


def usage(population: Population, box: Box, target: Target, out_axons: Array | None = None) -> dict[str, int]:
    """Return what the neurons of *box* take of each resource that *target* knows.

    ``in_axons`` counts a source neuron once for every connection through which it enters; ``synapses`` and the counts
    by encoding (``synapses.dense``, ...) are no limits but what the report tells.
    """
    size = math.prod(stop - start for start, stop in box)
    used = {"neurons": size, "in_axons": 0, "synapses": 0, "synapse_configs": len(population.chains)}
    memory = 0
    for chain, bits in zip(population.chains, population.bits, strict=True):
        counts = chain.window(box).counts
        counts = counts[counts > 0]
        need, _ = stored(chain, box, counts, bits, target)
        memory += need
        used["in_axons"] += int(counts.size)
        used["synapses"] += int(counts.sum())
    used["fan_in"] = -(-used["synapses"] // size)
    used["neuron_configs"], used["threshold_configs"] = _configurations(population.op, box)
    if out_axons is not None:
        used["out_axons"] = int(out_axons[tuple(slice(a, b) for a, b in box)].sum())
    return used | _memory(target, size, memory)


def _memory(target: Target, size: int, synapses: int) -> dict[str, int]:
    used = {target.memory: synapses}
    if target.state_per_core is not None or target.state_per_neuron is not None:
        state = int(target.state_per_core.value or 0) if target.state_per_core else 0
        state += size * int(target.state_per_neuron.value or 0) if target.state_per_neuron else 0
        used["local_memory"] = used.get("local_memory", 0) + state
    return used


def _configurations(op: Op, box: Box) -> tuple[int, int]:
    """Return the different sets of time constants and refractory periods, and the different thresholds, in *box*."""
    if not isinstance(op, Neuron):
        return 1, 1
    arrays: dict[str, Any] = dict(op.arrays())
    where = tuple(slice(a, b) for a, b in box)
    times = [arrays[n] for n in ("tau", "tau_mem", "tau_syn") if n in arrays]
    if op.extras.refractory_steps is not None:
        times.append(op.extras.refractory_steps)
    different = [a[where].reshape(-1) for a in times if a.ndim and any(a.strides)]
    configs = len(np.unique(np.stack(different), axis=1).T) if different else 1
    threshold = arrays.get("v_threshold")
    if threshold is None or not threshold.ndim or not any(threshold.strides):
        return configs, 1
    return configs, int(np.unique(threshold[where]).size)


def excess(used: Mapping[str, int], target: Target) -> tuple[float, str]:
    """Return the largest share that *used* takes of a limit, and the resource; above 1 it does not fit."""
    worst, which = 0.0, ""
    for resource, need in used.items():
        limit = target.limit(resource)
        if limit is not None and need / limit > worst:
            worst, which = need / limit, resource
    return worst, which


def bound(population: Population, sizes: tuple[int, ...], target: Target) -> float:
    """Return about the largest share of a limit that a tile of *sizes* takes, from shapes alone."""
    size = math.prod(sizes)
    used = {"neurons": size, "in_axons": 0}
    memory = 0
    for chain, bits in zip(population.chains, population.bits, strict=True):
        axons, synapses = chain.reach(sizes)
        used["in_axons"] += axons
        ways = [-(-synapses // max(axons, 1))]
        rough = []
        for encoding in target.encodings:
            if encoding.name == "shared":
                if chain.is_shared:
                    rough.append(sum(chain.nonzero) * bits * sizes[0] // population.shape[0])
            else:
                rough.append(encoding.bits(np.array(ways if encoding.name == "sparse" else [size]), bits) * axons)
        memory += min(rough) // 8
    return excess(used | _memory(target, size, memory), target)[0]
