"""Partition: every population cut into boxes that fit a core under all limits at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise, product

import numpy as np

from spikeport.compiler.mapping.needs import Population, bound, excess, usage
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import CapacityError, Diagnostic
from spikeport.ir.ops import Array, Shape
from spikeport.ir.program import Box

#: Tiles whose shape alone says that they exceed a limit by more than this are not looked at closely: a border or a
#: pruned kernel makes a tile need less than its shape says, but not much less.
SLACK = 1.5
#: Neurons of a layer that does not fit which are looked at for the one that is furthest from fitting.
_LOOKED_AT = 1000

Cut = list[tuple[Box, dict[str, int]]]


def cut(shape: Shape, parts: tuple[int, ...]) -> list[Box]:
    """Return the boxes of a grid with *parts* nearly equal ranges on each axis, in C order."""
    ranges = []
    for n, p in zip(shape, parts, strict=True):
        marks = [n * i // p for i in range(p + 1)]
        ranges.append(list(pairwise(marks)))
    return [tuple(box) for box in product(*ranges)]


def _steps(n: int, most: int) -> list[int]:
    """Return the numbers of parts that give different sizes of the largest range, thinned to about *most*."""
    sizes = sorted({-(-n // p) for p in range(1, math.isqrt(n) + 1)} | set(range(1, math.isqrt(n) + 1)), reverse=True)
    parts = sorted({-(-n // size) for size in sizes})
    if len(parts) > most:
        keep = np.unique(np.round(np.geomspace(1, len(parts), most)).astype(int)) - 1
        parts = [parts[i] for i in keep]
    return parts


def grids(shape: Shape, at_least: int) -> list[tuple[int, ...]]:
    """Return grids of at least *at_least* tiles, fewest tiles first, and among equals the most cubic in space."""
    if not shape:
        return [()]
    most = max(4, int(60_000 ** (1 / len(shape))))
    options = [_steps(n, most) for n in shape]
    found = [p for p in product(*options) if math.prod(p) >= min(at_least, math.prod(shape))]

    def rough(parts: tuple[int, ...]) -> tuple[int, int]:
        sizes = [-(-n // p) for n, p in zip(shape, parts, strict=True)]
        # Kernels reach over the sides of a tile in space, and channels cost nothing: prefer tiles with small sides.
        return math.prod(parts), parts[0] + sum(sizes[1:])

    return sorted(found, key=rough)


def split(population: Population, target: Target, out_axons: Array | None = None) -> list[tuple[Box, dict[str, int]]]:
    """Return boxes that partition *population*, each with what it takes; as few as a regular grid allows.

    Parameters
    ----------
    population : Population
        Layer with all that enters it.
    target : Target
        Limits.
    out_axons : array of int64, shape of the population, or None
        Cores that each neuron sends to.

    Raises
    ------
    CapacityError
        E401 where not even a single neuron fits.
    """
    least = max(1, -(-math.prod(population.shape) // (target.limit("neurons") or 1)))
    candidates = grids(population.shape, least)
    if len(population.shape) <= 1:
        found = _bisect(population, target, out_axons, candidates)
    else:
        found = next(_fitting(population, target, out_axons, candidates), None)
    return found if found is not None else _single(population, target, out_axons)


def _bisect(
    population: Population, target: Target, out_axons: Array | None, candidates: list[tuple[int, ...]]
) -> list[tuple[Box, dict[str, int]]] | None:
    """Return the first grid that fits, given that needs fall with the number of parts: gallop, then halve."""
    low, probe, best = -1, 0, None
    while best is None:
        best = _try(population, target, out_axons, candidates[probe])
        if best is None:
            if probe == len(candidates) - 1:
                return None
            low, probe = probe, min(2 * probe + 1, len(candidates) - 1)
    high = probe
    while high - low > 1:
        probe = (low + high) // 2
        found = _try(population, target, out_axons, candidates[probe])
        if found is None:
            low = probe
        else:
            best, high = found, probe
    return best


def _fitting(
    population: Population, target: Target, out_axons: Array | None, candidates: list[tuple[int, ...]]
) -> Iterator[list[tuple[Box, dict[str, int]]]]:
    for parts in candidates:
        sizes = tuple(-(-n // p) for n, p in zip(population.shape, parts, strict=True))
        if bound(population, sizes, target) > SLACK:
            continue
        found = _try(population, target, out_axons, parts)
        if found is not None:
            yield found


def _try(
    population: Population, target: Target, out_axons: Array | None, parts: tuple[int, ...]
) -> list[tuple[Box, dict[str, int]]] | None:
    """Return the boxes of a grid with what they take, or None where one does not fit; the middle one is tried first."""
    boxes = cut(population.shape, parts)
    middle = len(boxes) // 2 if not parts else int(np.ravel_multi_index([p // 2 for p in parts], parts))
    out: list[tuple[Box, dict[str, int]] | None] = [None] * len(boxes)
    for number in (middle, *(n for n in range(len(boxes)) if n != middle)):
        used = usage(population, boxes[number], target, out_axons)
        if excess(used, target)[0] > 1:
            return None
        out[number] = (boxes[number], used)
    return [o for o in out if o is not None]


def _single(population: Population, target: Target, out_axons: Array | None) -> list[tuple[Box, dict[str, int]]]:
    """Return the population neuron by neuron, or say which of them is furthest from fitting."""
    out: list[tuple[Box, dict[str, int]]] = []
    failed: list[tuple[float, str, int, tuple[int, ...]]] = []
    for number, index in enumerate(np.ndindex(population.shape)):
        if failed and number > _LOOKED_AT:
            break
        box = one_neuron(index)
        used = usage(population, box, target, out_axons)
        worst, resource = excess(used, target)
        if worst > 1:
            failed.append((worst, resource, used[resource], index))
        out.append((box, used))
    if failed:
        _, resource, need, index = max(failed, key=lambda f: f[0])
        raise CapacityError(_too_large(population, target, resource, need, index))
    return out


def one_neuron(index: Iterable[int]) -> Box:
    """Return the box of the neuron at *index*."""
    return tuple((i, i + 1) for i in index)


def _too_large(population: Population, target: Target, resource: str, need: int, index: tuple[int, ...]) -> Diagnostic:
    limit = target.limit(resource) or 0
    return Diagnostic(
        "E401", population.path,
        f"one neuron of this layer ({', '.join(map(str, index))}) takes {need:,} {describe(resource)}; a core of {target.name} "
        f"has {limit:,}",
        "give the layer fewer inputs",
        {"resource": resource, "need": need, "limit": limit, "target": target.name, "neuron": list(index)},
    )  # fmt: skip


def partition(populations: Mapping[str, Population], target: Target) -> dict[str, Cut]:
    """Return the boxes of every population.

    How many cores a neuron sends to depends on how the others are cut: where that is limited, cut anew until nothing
    changes. The numbers of parts only grow, so this ends.
    """
    cuts = {path: split(p, target) for path, p in populations.items()}
    if target.limit("out_axons") is None:
        return cuts
    while True:
        sent = destinations(populations, cuts)
        anew = {path: split(p, target, sent[path]) for path, p in populations.items()}
        settled = all(len(anew[p]) <= len(cuts[p]) for p in cuts)
        # A coarser cut than before would undo what is settled; another one of as many boxes is no worse.
        cuts = {path: anew[path] if len(anew[path]) >= len(cuts[path]) else cuts[path] for path in cuts}
        if settled:
            sent = destinations(populations, cuts)
            return {path: _counted(cuts[path], sent[path]) for path in cuts}


def _counted(cut: Cut, sent: Array) -> Cut:
    return [(box, {**used, "out_axons": int(sent[tuple(slice(a, b) for a, b in box)].sum())}) for box, used in cut]


def destinations(populations: Mapping[str, Population], cuts: Mapping[str, Cut]) -> dict[str, Array]:
    """Return, for every neuron of every population, the slices that it sends to."""
    sent = {path: np.zeros(p.shape, np.int64) for path, p in populations.items()}
    for path, p in populations.items():
        for chain in p.chains:
            if chain.source in sent:
                for box, _ in cuts[path]:
                    window = chain.window(box)
                    sent[chain.source][window.where] += window.counts > 0
    return sent


def describe(resource: str) -> str:
    """Return the words for an amount of *resource*."""
    return {
        "in_axons": "input axons", "out_axons": "output axons", "synapse_memory": "bytes of synapse memory",
        "fan_in": "synapses",
        "local_memory": "bytes of local memory", "neurons": "neurons", "sdram": "bytes of the chip's shared memory",
        "synapse_configs": "synapse formats", "neuron_configs": "neuron configurations", "threshold_configs": "thresholds",
    }.get(resource, resource)  # fmt: skip
