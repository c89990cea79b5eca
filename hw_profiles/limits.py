"""What a core and a chip hold, against their limits: the part of ``Target.check`` that adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spikeport.hw_profiles.records import RESOURCES
from spikeport.ir.diagnostics import Diagnostic
from spikeport.ir.program import Program
from spikeport.ir.units import format_si

if TYPE_CHECKING:
    from spikeport.hw_profiles.target import Target


def overfull(target: Target, program: Program) -> tuple[Diagnostic, ...]:
    """Return E404 for every core and chip that holds more than it can, and for full routing tables E412, or a warning E405."""
    cores: dict[int, dict[str, int]] = {}
    holds: dict[int, list[str]] = {}
    for s in program.slices:
        holds.setdefault(s.core, []).append(s.path)
        total = cores.setdefault(s.core, {})
        for resource, used in s.usage.items():
            total[resource] = total.get(resource, 0) + used
    out = []
    for core, total in cores.items():
        for resource in target.core:
            used, limit = total.get(resource, 0), target.limit(resource)
            if limit is not None and used > limit:
                out.append(_over(target, f"core {core}", sorted(set(holds[core])), resource, used, limit, "E404"))
    for chip in sorted({c // target.fabric.stride for c in cores}):
        inside = [c for c in cores if c // target.fabric.stride == chip]
        seats: Sequence[int] = range(1, target.fabric.cores_of(chip) + 1)
        if program.routing is not None:
            seats = program.routing.machine.processors(chip)
        layers = sorted({p for c in inside for p in holds[c]})
        if any(c % target.fabric.stride + 1 not in seats for c in inside):
            out.append(_over(target, f"chip {chip}", layers, "cores", len(inside), len(seats), "E404"))
        limit = target.limit("sdram")
        used = sum(cores[c].get("sdram", 0) for c in inside)
        if limit is not None and used > limit:
            out.append(_over(target, f"chip {chip}", layers, "sdram", used, limit, "E404"))
    entries = program.usage.get("router_entries")
    if entries is not None and entries[1] is not None and entries[0] > entries[1]:
        out.append(_tables(target, program, entries[0], entries[1]))
    return tuple(out)


def _tables(target: Target, program: Program, need: int, limit: int) -> Diagnostic:
    """Return what is to be said of the longest table: a warning as long as nobody has compressed it."""
    routing = program.routing
    if routing is None:
        return _over(target, "a chip", [], "router_entries", need, limit, "E405")
    chip = int(routing.compressed.sizes().argmax())
    x, y = routing.machine.xy[chip].tolist()
    sender = routing.trees.senders()[routing.trees.chip == chip]
    count = Counter(routing.senders[row].path for row in sender.tolist())
    return _over(target, f"chip {x},{y}", [path for path, _ in count.most_common(5)], "router_entries", need, limit, "E412")


def _over(target: Target, where: str, layers: list[str], resource: str, used: int, limit: int, code: str) -> Diagnostic:
    """Return the finding that a place takes *used* of a resource that has *limit*, with the layers there."""
    unit, meaning = RESOURCES.get(resource, ("1", resource))
    need = f"{used:,} of {limit:,}" + (f" bytes ({format_si(used / limit, '1')} times too much)" if unit == "B" else "")
    hint = "map it anew: compile for this target"
    if code == "E405":
        hint = "compression of the tables may still make them fit; a placement with less spread needs fewer entries"
    if code == "E412":
        hint = "layers with fewer slices, or fewer of them behind each other, need fewer entries; or spread over several runs"
    return Diagnostic(
        code, layers[0] if layers else "",
        f"{where} of {target.name} ({', '.join(layers) or 'the fullest'}) takes {meaning}: {need}",
        hint, {"where": where, "resource": resource, "need": used, "limit": limit, "layers": layers},
        "warning" if code == "E405" else "error",
    )  # fmt: skip
