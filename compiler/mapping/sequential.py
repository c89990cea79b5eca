"""The sequential mapper: layers in the order of evaluation, each cut into a regular grid, one slice a core, core after core."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeport.compiler.mapping.chains import Chain, chains_of, projections
from spikeport.compiler.mapping.needs import Population
from spikeport.compiler.mapping.partition import split
from spikeport.compiler.mapping.place import place_in_order
from spikeport.compiler.mapping.remedies import for_chips
from spikeport.compiler.mapping.trees import router_entries
from spikeport.hw_profiles.records import RESOURCES
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import CapacityError, Diagnostic, UnsupportedError, fail_on_errors
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Array, Input
from spikeport.ir.profile import Profile
from spikeport.ir.program import Box, Program, Slice
from spikeport.ir.schedule import schedule
from spikeport.ir.shapes import Shapes, infer_shapes

Cut = list[tuple[Box, dict[str, int]]]


def map_sequential(
    graph: Graph, profile: Profile, target: Target, *, arithmetic: str = "float64", chips: int | None = None,
    shapes: Shapes | None = None,
) -> Program:  # fmt: skip
    """Return *graph* on *target*; see :func:`spikeport.compiler.mapping.map_graph`."""
    shapes = infer_shapes(graph)[0] if shapes is None else shapes
    found = projections(graph, profile)
    into = chains_of(graph, shapes, found)
    order = [p for p in schedule(graph, profile).order if p in into]
    populations = {p: population(graph, p, shapes, into[p], target) for p in order}
    cuts = partition(populations, target)
    slices, taken = place_in_order([Slice(p, box, -1, used) for p in order for box, used in cuts[p]], target)
    program = Program(graph, profile, arithmetic, target.name, taken, slices, found)
    program = dataclasses.replace(program, usage=_usage(program, into, target), notes=_notes(program, populations, target))
    said = target.check(program, chips=chips)
    over = [d for d in said if d.severity == "error" and d.code.startswith("E4")]
    if any(d.code == "E402" for d in over):
        hint = for_chips(populations, target, chips or 0)
        over = [dataclasses.replace(d, hint=hint) if d.code == "E402" else d for d in over]
    fail_on_errors(CapacityError, over)
    fail_on_errors(UnsupportedError, said)
    return dataclasses.replace(program, notes={**program.notes, "mapping": [d.as_dict() for d in said]})


def population(graph: Graph, path: str, shapes: Shapes, chains: tuple[Chain, ...], target: Target) -> Population:
    """Return the population *path* with what enters it and the widths of its weights."""
    width = int(target.weight_bits.value or 8)
    bits = tuple(weight_bits(graph, chain, width) for chain in chains)
    return Population(path, graph[path].op, shapes.output[path], chains, bits)


def weight_bits(graph: Graph, chain: Chain, width: int) -> int:
    """Return the bits of a weight in memory: the target's width, or less where the layer is quantised to less."""
    for node in graph:
        if node.op.is_weighted and any(node.op is op for op in chain.ops):
            note = node.notes.get("quantization")
            bits = note.get("bits") if isinstance(note, Mapping) else None
            return min(width, int(bits)) if bits else width
    return width


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
        if settled:
            # The same boxes, now with their output axons; a coarser cut than before would undo what is settled.
            return {
                path: anew[path] if len(anew[path]) == len(cuts[path]) else _counted(cuts[path], sent[path]) for path in cuts
            }
        cuts = {path: anew[path] if len(anew[path]) > len(cuts[path]) else cuts[path] for path in cuts}


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


def _usage(program: Program, into: Mapping[str, tuple[Chain, ...]], target: Target) -> dict[str, tuple[int, int | None]]:
    """Return the most that a core or a chip takes of each resource, beside its limit."""
    names = [*target.core, *target.chip]
    cores: dict[int, dict[str, int]] = {}
    for s in program.slices:
        total = cores.setdefault(s.core, {})
        for name, used in s.usage.items():
            total[name] = total.get(name, 0) + used
    out: dict[str, tuple[int, int | None]] = {}
    for name in names:
        if name == "router_entries":
            out[name] = (router_entries(program, into, target), target.limit(name))
        elif name in target.core:
            if any(name in used for used in cores.values()):
                out[name] = (max((u.get(name, 0) for u in cores.values()), default=0), target.limit(name))
        else:
            chips: dict[int, int] = {}
            for core, total in cores.items():
                chip = core // target.fabric.stride
                chips[chip] = chips.get(chip, 0) + total.get(name, 0)
            out[name] = (max(chips.values(), default=0), target.limit(name))
    out["cores"] = (len(cores), program.chips * target.fabric.stride)
    assert set(out) <= {*RESOURCES, "cores"}
    return out


def _notes(program: Program, populations: Mapping[str, Population], target: Target) -> dict[str, Any]:
    """Return what a report says about the mapping."""
    widths = sorted({b for p in populations.values() for b in p.bits})
    shown = "/".join(map(str, widths)) or str(target.limit("neurons"))
    lowering = []
    if program.arithmetic not in (target.name, target.name.rstrip("12")):
        lowering.append(
            f"the run is {program.arithmetic}, not {target.name}'s own arithmetic; its {shown}-bit weights stand in the "
            "memory count only"
        )
    inputs = [n.path for n in program.graph if type(n.op) is Input]
    if inputs:
        lowering.append(f"{', '.join(inputs)}: outside the chip; its events enter at the first tile and take no core")
    return {"mapper": "sequential", "weight_bits": widths, "target_digest": target.digest, "lowering": lowering, "mapping": []}


def diagnostics(program: Program) -> tuple[Diagnostic, ...]:
    """Return the warnings and notes that the mapper left in *program*."""
    return tuple(Diagnostic(**d) for d in program.notes.get("mapping", []))
