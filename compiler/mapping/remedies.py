"""Remedies that were tried, not guessed: what would make a network fit that does not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from spikeport.compiler.mapping.needs import Population, excess, usage
from spikeport.compiler.mapping.partition import split
from spikeport.compiler.mapping.place import place_in_order
from spikeport.compiler.passes.table import PASSES
from spikeport.hw_profiles.target import Target, load_target, target_names
from spikeport.ir.diagnostics import CapacityError
from spikeport.ir.program import Slice

#: Networks above this size are not mapped again only to find a remedy.
WORTH_TRYING = 300_000


def for_neuron(population: Population, target: Target, resource: str, need: int, limit: int) -> str:
    """Return what would let a single neuron of *population* fit a core."""
    ideas = []
    if resource in ("synapse_memory", "local_memory", "sdram", "in_axons", "fan_in"):
        fewer = 1 - limit / need
        percent = math.ceil(100 * fewer)
        ideas.append(f"prune at least {percent} % of its weights" + _by_pass(f"prune{{sparsity={percent / 100:g}}}"))
    if resource in ("synapse_memory", "local_memory", "sdram"):
        bits = next(
            (b for b in range(max(population.bits, default=1) - 1, 0, -1) if _fits(_narrow(population, b), target)), None
        )
        if bits is not None:
            ideas.insert(0, f"quantise its weights to {bits} bits" + _by_pass(f"quantize{{weights={bits}}}"))
    if resource == "out_axons":
        ideas.append("make the layer behind it smaller, so that it spreads over fewer cores")
    others = [name for name in target_names() if name != target.name and _fits(population, load_target(name))]
    if others:
        ideas.append(f"a neuron of it fits on {', '.join(others)}")
    return "; or ".join(ideas) or "give the layer fewer inputs"


def for_chips(populations: Mapping[str, Population], target: Target, chips: int) -> str:
    """Return what would let *populations* fit on *chips* chips of *target*, or on another target."""
    need = _chips(populations, target)
    ideas = [f"allow --chips {need}" if need is not None else "allow more chips"]
    if sum(math.prod(p.shape) for p in populations.values()) > WORTH_TRYING:
        return f"{ideas[0]}, or leave --chips out"
    widest = max((b for p in populations.values() for b in p.bits), default=1)
    for bits in (b for b in (8, 6, 4, 2, 1) if b < widest):
        got = _chips({k: _narrow(p, bits) for k, p in populations.items()}, target)
        if got is not None and got <= chips:
            ideas.append(f"quantise the weights to {bits} bits" + _by_pass(f"quantize{{weights={bits}}}"))
            break
    floor = -(-sum(math.prod(p.shape) for p in populations.values()) // (target.limit("neurons") or 1))
    if floor > chips * target.fabric.stride:
        ideas.append(f"no quantisation or pruning helps alone: the neurons fill {floor} cores, {chips} chips have "
                     f"{chips * target.fabric.stride}")  # fmt: skip
    for name in target_names():
        other = load_target(name)
        got = None if name == target.name else _chips(populations, other)
        if got is not None and got <= chips:
            ideas.append(f"--target {name} takes {got}")
    return "; or ".join(ideas)


def _by_pass(text: str) -> str:
    """Return the pass that does it, in brackets, where there is one: advice that ends in E901 is worse than none."""
    return f" (--passes '{text}')" if text.partition("{")[0] in PASSES else ""


def _narrow(population: Population, bits: int) -> Population:
    return dataclasses.replace(population, bits=tuple(min(b, bits) for b in population.bits))


def _fits(population: Population, target: Target) -> bool:
    """Whether one neuron in the middle of the layer fits a core of *target*."""
    box = tuple((n // 2, n // 2 + 1) for n in population.shape)
    return excess(usage(population, box, target), target)[0] <= 1


def _chips(populations: Mapping[str, Population], target: Target) -> int | None:
    """Return the chips that *populations* take, output axons apart; None where one does not fit at all."""
    try:
        slices = [Slice(p.path, box, -1, used) for p in populations.values() for box, used in split(p, target)]
    except CapacityError:
        return None
    return place_in_order(slices, target)[1]
