"""``spikeport compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.runtime.cli import options, output


def compile_(
    model: options.Model,
    target: options.NeededTarget,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.spk", help="Where to write the compiled program.")],
    profile: options.ProfileText = None,
    dialect: options.Dialect = None,
    opt: Annotated[int, typer.Option("-O", min=0, max=2, help="Level of clean-ups; none changes a recorded bit.")] = 1,
    passes: Annotated[str | None, typer.Option(metavar='"a{x=1},b"', help="Pipeline in place of the level's.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="CALIB.npz",
            help="Input that passes, and the scales of --arith loihi, calibrate on; `labels` in it measure accuracy.",
        ),
    ] = None,
    seed: options.Seed = 0,
    arith: options.Arithmetic = None,
    chips: options.Chips = None,
    dead_chips: options.DeadChips = "",
    dead_cores: options.DeadCores = "",
    dead_links: options.DeadLinks = "",
    allow: Annotated[
        str, typer.Option(metavar="reset-change,...", help="Approximations that you ask for; their cost is measured on --data.")
    ] = "",
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Map a model on a chip and write it as an artifact."""
    from spikeport.runtime import api
    from spikeport.runtime.artifact import save_artifact
    from spikeport.runtime.cli.summary import program_dict, program_text
    from spikeport.runtime.files import check_writable

    check_writable(out)
    with output.working("compiling"):
        loaded = api.load(model, options.parse_shape(input_shape), dialect=dialect)
        program = api.compile(
            loaded, target, profile, opt=opt, passes=passes, data=data, seed=seed, chips=chips, arith=arith,
            allow=options.parse_list(allow), dead=options.dead(dead_chips, dead_cores, dead_links),
        )  # fmt: skip
    output.say_findings((*loaded.diagnostics, *program.findings()))
    if data is not None and not program.notes.get("calibrated"):
        output.say(
            f"no pass of the pipeline {program.notes.get('pipeline') or '(none)'!r} calibrates: {data} was read and not used"
        )
    digest = save_artifact(program, out)
    if as_json:
        output.result_json({"ok": True, "exit_code": 0, "artifact": str(out), "sha256": digest, **program_dict(program)})
    else:
        output.result(program_text(program))
        output.result(f"wrote {out}")
