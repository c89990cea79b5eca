"""``spikeport inspect``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spikeport.runtime.cli import options, output


def inspect(
    model: options.Model,
    profile: options.ProfileText = None,
    dialect: options.Dialect = None,
    cores: Annotated[bool, typer.Option("--cores", help="List what lies on every core of a compiled program.")] = False,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Show a model or a compiled program: nodes, shapes, delays, profile, mapping."""
    from spikeport.runtime import api
    from spikeport.runtime.cli.summary import program_text

    with output.working("loading"):
        loaded = api.load(model, options.parse_shape(input_shape), dialect=dialect)
    output.say_findings(loaded.diagnostics)
    stated = api.stated_profile(loaded, profile)
    if as_json:
        output.result_json(_as_dict(loaded, stated))
        return
    from spikeport.ir.printer import format_graph

    output.result(format_graph(loaded.graph))
    if loaded.program is not None:
        output.result(program_text(loaded.program))
        for piece in loaded.program.slices if cores else ():
            ranges = ", ".join(f"{start}:{stop}" for start, stop in piece.box)
            output.result(f"core {piece.core:5d}  {piece.path}[{ranges}]  {piece.size} neurons")
    else:
        output.result(f"digest  {loaded.graph.digest}")
        output.result(f"profile {stated or 'not stated: give --profile to check, compile and run'}")


def _as_dict(model: Any, stated: Any) -> dict[str, Any]:
    from spikeport.ir.fanout import synapse_count
    from spikeport.ir.shapes import infer_shapes
    from spikeport.runtime.cli.summary import program_dict

    shapes = infer_shapes(model.graph)[0]
    nodes = [
        {
            "path": n.path,
            "kind": n.op.kind,
            "input_shape": shapes.input.get(n.path),
            "output_shape": shapes.output.get(n.path),
            "synapses": synapse_count(n.op, shapes.input[n.path]) if n.op.is_weighted and n.path in shapes.input else 0,
            "notes": dict(n.notes),
        }
        for n in model.graph
    ]
    edges = [{"source": e.source, "target": e.target, "delay": e.delay, "rank": e.rank} for e in model.graph.edges]
    program = model.program
    mapping = None if program is None else program_dict(program)
    if mapping is not None:
        mapping["slices"] = [{"path": s.path, "box": s.box, "core": s.core, "usage": dict(s.usage)} for s in program.slices]
    return {
        "model": model.source,
        "digest": model.graph.digest,
        "profile": None if stated is None else str(stated),
        "nodes": nodes,
        "edges": edges,
        "notes": dict(model.graph.notes),
        "program": mapping,
    }
