"""What a slice takes of each resource of its core, and what it would take at least."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikeport.compiler.mapping.chains import Chain
from spikeport.compiler.mapping.formats import Format
from spikeport.hw_profiles.records import Encoding
from spikeport.hw_profiles.target import Target
from spikeport.ir.ops import Array, Op, Shape
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
    formats : tuple of Format
        In which bits the synapses of each chain are held.
    registers : tuple of array
        What the neurons of a core can only have so many different sets of.
    thresholds : array or None
        Where they differ.
    """

    path: str
    op: Op
    shape: Shape
    chains: tuple[Chain, ...]
    formats: tuple[Format, ...]
    registers: tuple[Array, ...] = ()
    thresholds: Array | None = None


def stored(chain: Chain, box: Box, counts: Array, form: Format, target: Target) -> tuple[int, str]:
    """Return the bytes of the cheapest encoding of a chain's synapses in a slice, and its name.

    Parameters
    ----------
    chain : Chain
        The connection.
    box : Box
        The slice.
    counts : array of int64
        Synapses of each source neuron into the slice, zeros left out.
    form : Format
        Bits of a synapse.
    target : Target
        Its encodings.
    """
    size = math.prod(stop - start for start, stop in box)
    best = None
    for encoding in target.encodings:
        need = _encoded(encoding, chain, box, counts, size, form)
        if need is not None and (best is None or need < best[0]):
            best = (need, encoding.name)
    if best is None:  # only shared kernels are there, and this is none: the reader of targets refuses such files
        raise ValueError(f"{target.name} has no encoding for {chain.source} -> {chain.target}")
    return -(-best[0] * form.copies // 8), best[1]


def _encoded(encoding: Encoding, chain: Chain, box: Box, counts: Array, size: int, form: Format) -> int | None:
    if encoding.name == "shared":
        if not chain.is_shared:
            return None
        kernels = chain.kernel_weights(box)
        rows = int(encoding.row_bits.value or 0) * max(0, int(counts.size) - int(kernels.size))
        return encoding.bits(kernels, form.bits, form.delay) + rows
    weights = counts if encoding.name == "sparse" else np.full(counts.size, size)
    return encoding.bits(weights, form.bits, form.delay)


def usage(population: Population, box: Box, target: Target, out_axons: Array | None = None) -> dict[str, int]:
    """Return what the neurons of *box* take of each resource that *target* knows.

    ``in_axons`` counts a source neuron once for every connection through which it enters, twice where its negative values
    need an axon of their own; ``synapse_configs`` counts the different formats of synapses; ``synapses`` and the counts
    by encoding (``synapses.dense``, ...) are no limits but what the report tells.
    """
    size = math.prod(stop - start for start, stop in box)
    used = {"neurons": size, "in_axons": 0, "synapses": 0}
    memory = 0
    configurations: set[tuple[object, ...]] = set()
    for chain, form in zip(population.chains, population.formats, strict=True):
        counts = chain.window(box).counts
        counts = counts[counts > 0]
        need, name = stored(chain, box, counts, form, target)
        memory += need
        configurations |= form.configurations(name)
        used["in_axons"] += int(counts.size) * form.copies
        used["synapses"] += int(counts.sum())
    used["synapse_configs"], used["fan_in"] = len(configurations), -(-used["synapses"] // size)
    used["neuron_configs"], used["threshold_configs"] = _configurations(population, box)
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


def _configurations(population: Population, box: Box) -> tuple[int, int]:
    """Return the different sets of registers, and the different thresholds, in *box*."""
    where = tuple(slice(a, b) for a, b in box)
    different = [a[where].reshape(-1) for a in population.registers]
    configs = len(np.unique(np.stack(different), axis=1).T) if different else 1
    return configs, 1 if population.thresholds is None else int(np.unique(population.thresholds[where]).size)


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
    for chain, form in zip(population.chains, population.formats, strict=True):
        axons, synapses = chain.reach(sizes)
        used["in_axons"] += axons * form.copies
        ways = [-(-synapses // max(axons, 1))]
        rough = []
        for encoding in target.encodings:
            if encoding.name == "shared":
                if chain.is_shared:
                    rough.append(sum(chain.nonzero) * form.bits * sizes[0] // population.shape[0])
            else:
                weights = np.array(ways if encoding.name == "sparse" else [size])
                rough.append(encoding.bits(weights, form.bits, form.delay) * axons)
        memory += min(rough) * form.copies // 8
    return excess(used | _memory(target, size, memory), target)[0]
