"""``spikeport export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.runtime.cli import options, output


def export(
    model: options.Model,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="F.nir", help="Where to write the file.")],
    dialect: Annotated[
        str,
        typer.Option(metavar="NAME", help="Library that will read it: snntorch | sinabs | norse | spikingjelly; or spikeport."),
    ],
    profile: options.ProfileText = None,
    source_dialect: Annotated[
        str | None,
        typer.Option("--source-dialect", metavar="D", help="Library that wrote MODEL.nir, NAME[:RESET][,field=value]."),
    ] = None,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Write a model as a .nir file that a library's own importer reads correctly, checked there."""
    from spikeport.runtime import api
    from spikeport.runtime.files import check_writable

    check_writable(out)
    with output.working("exporting"):
        loaded = api.load(model, options.parse_shape(input_shape), dialect=source_dialect)
        found = api.export(loaded, out, dialect=dialect, profile=profile)
    output.say_findings((*loaded.diagnostics, *found))
    if as_json:
        stated = api.stated_profile(loaded, profile)
        output.result_json(
            {
                "ok": True,
                "exit_code": 0,
                "file": str(out),
                "dialect": dialect,
                "profile": None if stated is None else str(stated),
                "checked": any(d.code == "E583" for d in found),
                "diagnostics": [d.as_dict() for d in (*loaded.diagnostics, *found)],
            }
        )
    else:
        output.result(f"wrote {out}")
