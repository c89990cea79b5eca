"""A program as a few lines or as plain data."""

from __future__ import annotations

from typing import Any

from spikeport.ir.program import Program
from spikeport.runtime.conversion_text import conversion_text


def program_dict(program: Program) -> dict[str, Any]:
    """Return what identifies and sizes *program*, for JSON."""
    return {
        "digest": program.graph.digest,
        "profile": str(program.profile),
        "arithmetic": program.arithmetic,
        "target": program.target,
        "chips": program.chips,
        "cores": len(program.allocated),
        "usage": {name: {"used": used, "limit": limit} for name, (used, limit) in program.usage.items()},
        "passes": [dict(record) for record in program.passes],
        "conversion": list(program.notes.get("conversion", ())),
        "lags": dict(program.notes.get("lags", {})),
        "measured": dict(program.notes.get("measured", {})),
        "diagnostics": [d.as_dict() for d in program.findings()],
    }


def program_text(program: Program) -> str:
    """Return the same for people."""
    neurons = sum(s.size for s in program.slices)
    lines = [f"graph      {len(program.graph)} nodes, digest {program.graph.digest[:16]}"]
    lines.append(f"profile    {program.profile}")
    lines.append(f"arithmetic {program.arithmetic}")
    if program.target:
        lines.append(
            f"target     {program.target}: {program.chips} chips, {len(program.allocated)} cores, {neurons:,d} neurons"
        )
        width = max((len(name) for name in program.usage), default=0)
        for name, (used, limit) in sorted(program.usage.items()):
            share = "" if not limit else f" ({100 * used / limit:.0f} %)"
            lines.append(f"  {name:{width}s}  {used:,d} of {'an unknown limit' if limit is None else f'{limit:,d}'}{share}")
    else:
        lines.append("target     none: to be simulated only")
    for record in program.passes:
        nodes, synapses = record["nodes"], record["synapses"]
        what = "no change" if record["before"] == record["after"] else f"{nodes[0]} -> {nodes[1]} nodes"
        what += f", {synapses[0]:,d} -> {synapses[1]:,d} synapses" if synapses[0] != synapses[1] else ""
        lines.append(f"pass       {record['text']}: {what}")
    conversion = conversion_text(program.notes, program.arithmetic)
    return "\n".join([*lines, conversion] if conversion else lines)
