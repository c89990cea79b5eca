"""The sequential mapper: layers in the order of evaluation, each cut into a regular grid, one slice a core, core after core."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from spikeport.compiler.mapping.chains import Chain, chains_of, projections
from spikeport.compiler.mapping.formats import Format, format_of, register_sets
from spikeport.compiler.mapping.needs import Population
from spikeport.compiler.mapping.partition import partition
from spikeport.compiler.mapping.place import place_in_order
from spikeport.compiler.mapping.remedies import for_chips, for_neuron
from spikeport.compiler.mapping.trees import router_entries
from spikeport.hw_profiles.records import RESOURCES
from spikeport.hw_profiles.target import Target
from spikeport.ir.diagnostics import CapacityError, UnsupportedError, fail_on_errors
from spikeport.ir.graph import Graph
from spikeport.ir.ops import Input
from spikeport.ir.profile import Profile
from spikeport.ir.program import Program, Slice
from spikeport.ir.routing import Routing
from spikeport.ir.schedule import schedule
from spikeport.ir.shapes import Shapes, infer_shapes


def map_sequential(
    graph: Graph, profile: Profile, target: Target, *, arithmetic: str = "float64", chips: int | None = None,
    shapes: Shapes | None = None,
) -> Program:  # fmt: skip
    """Return *graph* on *target*; see :func:`spikeport.compiler.mapping.map_graph`."""
    shapes = infer_shapes(graph)[0] if shapes is None else shapes
    found = projections(graph, profile)
    into = chains_of(graph, shapes, found)
    order = [p for p in schedule(graph, profile).order if p in into]

    def populations(chip: Target) -> dict[str, Population]:
        sets = {p: register_sets(graph[p].op, p, profile, shapes.output[p], arithmetic) for p in order}
        return {p: Population(p, graph[p].op, shapes.output[p], into[p], forms(into[p], chip), *sets[p]) for p in order}

    def forms(chains: tuple[Chain, ...], chip: Target) -> tuple[Format, ...]:
        return tuple(format_of(graph, chain, chip, arithmetic) for chain in chains)

    def mapped(chip: Target) -> Program:
        cuts = partition(populations(chip), chip)
        loose = tuple(Slice(p, box, -1, used) for p in order for box, used in cuts[p])
        if chip.fabric.tables != "none":
            # Compiled code: loads late.
            from spikeport.compiler.mapping.routed import place_and_route

            draft = Program(graph, profile, arithmetic, chip.name, 0, loose, found)
            return place_and_route(draft, into, shapes, chip, chips)
        slices, taken = place_in_order(loose, chip)
        return Program(graph, profile, arithmetic, chip.name, taken, slices, found)

    def chips_on(chip: Target) -> int | None:
        """Return the chips that the network takes elsewhere; None where it does not fit, or lacks something."""
        try:
            other = mapped(chip)
        except CapacityError:
            return None
        return None if any(d.severity == "error" for d in chip.check(other, chips=chips)) else other.chips

    try:
        program = mapped(target)
    except CapacityError as error:
        told = [
            dataclasses.replace(d, hint=for_neuron(populations(target)[d.path], target, d, chips_on)) if d.code == "E401" else d
            for d in error.diagnostics
        ]
        raise CapacityError(told) from None
    notes = _notes(program, populations(target), target)
    program = dataclasses.replace(program, usage=_usage(program, into, target), notes={**program.notes, **notes})
    said = target.check(program, chips=chips)
    over = [d for d in said if d.severity == "error" and d.code.startswith("E4")]
    if any(d.code == "E402" for d in over):
        hint = for_chips(populations(target), target, chips or 0, program.chips, chips_on)
        over = [dataclasses.replace(d, hint=hint) if d.code == "E402" else d for d in over]
    fail_on_errors(CapacityError, over)
    fail_on_errors(UnsupportedError, said)
    return dataclasses.replace(program, notes={**program.notes, "mapping": [d.as_dict() for d in said]})


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
            most = router_entries(program, into, target) if program.routing is None else _longest_table(program.routing)
            out[name] = (most, target.limit(name))
        elif name in target.core:
            if any(name in used for used in cores.values()):
                out[name] = (max((u.get(name, 0) for u in cores.values()), default=0), target.limit(name))
        else:
            chips: dict[int, int] = {}
            for core, total in cores.items():
                chip = core // target.fabric.stride
                chips[chip] = chips.get(chip, 0) + total.get(name, 0)
            out[name] = (max(chips.values(), default=0), target.limit(name))
    if (routing := program.routing) is None:
        out["cores"] = (len(cores), sum(target.fabric.cores_of(chip) for chip in range(program.chips)))
    else:
        taken = {c // routing.machine.stride for c in program.allocated}
        out["cores"] = (len(program.allocated), sum(len(routing.machine.processors(chip)) for chip in taken))
    assert set(out) <= {*RESOURCES, "cores"}
    return out


def _longest_table(routing: Routing) -> int:
    return int(routing.compressed.sizes().max(initial=0))


def _notes(program: Program, populations: Mapping[str, Population], target: Target) -> dict[str, Any]:
    """Return what a report says about the mapping."""
    widths = sorted({f.bits for p in populations.values() for f in p.formats})
    shown = "/".join(map(str, widths)) or f"{target.weight_bits.value:g}"
    lowering = []
    if program.arithmetic not in (target.name, target.name.rstrip("12")):
        lowering.append(
            f"the run is {program.arithmetic}, not {target.name}'s own arithmetic; its {shown}-bit weights stand in the "
            "memory count only"
        )
    inputs = [n.path for n in program.graph if type(n.op) is Input]
    if inputs and program.routing is not None:
        lowering.append(f"{', '.join(inputs)}: spike sources on cores of their own")
    elif inputs:
        lowering.append(f"{', '.join(inputs)}: outside the chip; its events enter at the first tile and take no core")
    return {"mapper": "sequential", "weight_bits": widths, "target_digest": target.digest, "lowering": lowering, "mapping": []}
