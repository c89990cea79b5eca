"""Remedies that were tried, not guessed: what would make a network fit that does not."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from spikeport.compiler.mapping.needs import Population, excess, usage
from spikeport.compiler.mapping.partition import one_neuron, partition
from spikeport.compiler.mapping.place import place_in_order
from spikeport.compiler.passes.table import PASSES
from spikeport.hw_profiles.target import Target, load_target, target_names
from spikeport.ir.diagnostics import CapacityError, Diagnostic
from spikeport.ir.fanout import weight_count
from spikeport.ir.ops import Op
from spikeport.ir.program import Box, Slice

#: Networks above this size are not mapped again only to find a remedy.
WORTH_TRYING = 300_000

#: Chips that the network takes on another target; None where it does not fit there or lacks something.
ChipsOn = Callable[[Target], "int | None"]


def for_neuron(population: Population, target: Target, found: Diagnostic, chips_on: ChipsOn) -> str:
    """Return what would let the neuron of *population* fit a core that *found* (E401) says does not."""
    resource, box = found.facts["resource"], one_neuron(found.facts["neuron"])
    ideas = []
    by_itself = _fits(population, box, target)  # then it is what it sends to that is too much, not its weights
    bits = None if by_itself else _width(population, target, lambda p: _fits(p, box, target))
    if bits is not None:
        ideas.append(f"quantise its weights to {bits} bits" + _by_pass(f"quantize{{weights={bits}}}"))
    percent = None if by_itself else _to_prune(population, box, target)
    if percent is not None:
        ideas.append(f"prune at least {percent} % of its weights" + _by_pass(f"prune{{sparsity={percent / 100:g}}}"))
    if resource == "out_axons":
        ideas.append("make the layer behind it smaller, so that it spreads over fewer cores")
    if math.prod(population.shape) <= WORTH_TRYING:
        others = [name for name in target_names() if name != target.name and chips_on(load_target(name)) is not None]
        ideas += [f"the network fits on {', '.join(others)}"] if others else []
    return "; or ".join(ideas) or "give the layer fewer inputs"


def for_chips(populations: Mapping[str, Population], target: Target, chips: int, need: int, chips_on: ChipsOn) -> str:
    """Return what would let *populations*, which take *need* chips of *target*, fit on *chips*, or on another target."""
    ideas = [f"allow --chips {need}"]
    if sum(math.prod(p.shape) for p in populations.values()) > WORTH_TRYING:
        return f"{ideas[0]}, or leave --chips out"
    for bits in _narrower(populations.values(), target):
        got = _chips({k: _narrow(p, bits) for k, p in populations.items()}, target)
        if got is not None and got <= chips:
            ideas.append(f"quantise the weights to {bits} bits" + _by_pass(f"quantize{{weights={bits}}}"))
            break
    aside = ""
    floor = -(-sum(math.prod(p.shape) for p in populations.values()) // (target.limit("neurons") or 1))
    room = sum(target.fabric.cores_of(chip) for chip in range(chips))
    if floor > room:
        size, largest = max((math.prod(p.shape), path) for path, p in populations.items())
        aside = f" (no quantisation or pruning helps alone: the neurons fill {floor} cores, {chips} chips have {room}; "
        aside += f"the largest layer is {largest} with {size:,} neurons)"
    for name in target_names():
        got = None if name == target.name else chips_on(load_target(name))
        if got is not None and got <= chips:
            ideas.append(f"--target {name} takes {got}")
    return "; or ".join(ideas) + aside


def _by_pass(text: str) -> str:
    """Return the pass that does it, in brackets, where there is one: advice that ends in E901 is worse than none."""
    return f" (--passes '{text}')" if text.partition("{")[0] in PASSES else ""


def _narrower(populations: Iterable[Population], target: Target) -> list[int]:
    """Return the widths of weights that *target* stores below the widest of *populations*, largest first."""
    widest = max((f.bits for p in populations for f in p.formats), default=1)
    return [b for b in reversed(target.widths()) if b < widest]


def _width(population: Population, target: Target, fits: Callable[[Population], bool]) -> int | None:
    """Return the largest width of weights below its own at which *population* fits."""
    return next((b for b in _narrower([population], target) if fits(_narrow(population, b))), None)


def _to_prune(population: Population, box: Box, target: Target) -> int | None:
    """Return the least percentage of the weights of each neuron without which *box* fits; None where none is enough."""
    shares = range(1, 100)
    at = bisect_left(shares, True, key=lambda percent: _fits(_pruned(population, percent / 100), box, target))
    return shares[at] if at < len(shares) else None


def _pruned(population: Population, share: float) -> Population:
    """Return *population* without *share* of the weights of each neuron that are not zero."""
    chains = []
    for chain in population.chains:
        ops = tuple(_without(op, share) if op.is_weighted else op for op in chain.ops)
        chains.append(dataclasses.replace(chain, ops=ops, nonzero=tuple(weight_count(op)[1] for op in ops)))
    return dataclasses.replace(population, chains=tuple(chains))


def _without(op: Op, share: float) -> Op:
    weight = op.parameters()["weight"]
    kept = weight.reshape(weight.shape[0], -1) != 0
    order = np.cumsum(kept, axis=1)
    # Rounded down: at least as much is left as a pass would leave that rounds either way.
    kept &= order > np.floor(share * order[:, -1:])
    return dataclasses.replace(op, weight=weight * kept.reshape(weight.shape))  # type: ignore[call-arg]


def _narrow(population: Population, bits: int) -> Population:
    formats = tuple(dataclasses.replace(f, bits=min(f.bits, bits)) for f in population.formats)
    return dataclasses.replace(population, formats=formats)


def _fits(population: Population, box: Box, target: Target) -> bool:
    return excess(usage(population, box, target), target)[0] <= 1


def _chips(populations: Mapping[str, Population], target: Target) -> int | None:
    """Return the chips that *populations* take; None where one does not fit at all."""
    try:
        cuts = partition(populations, target)
    except CapacityError:
        return None
    return place_in_order([Slice(path, box, -1, used) for path, cut in cuts.items() for box, used in cut], target)[1]
