"""``spikeport check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from spikeport.runtime.cli import options, output

if TYPE_CHECKING:
    from spikeport.runtime.api import CheckResult


def check(
    model: options.Model,
    target: options.TargetName = None,
    profile: options.ProfileText = None,
    dialect: options.Dialect = None,
    arith: options.Arithmetic = None,
    dead_chips: options.DeadChips = "",
    dead_cores: options.DeadCores = "",
    dead_links: options.DeadLinks = "",
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Say all that speaks against a model, a profile and a target, at once."""
    from spikeport.ir.diagnostics import SpikeportError
    from spikeport.runtime import api

    loaded: object = model
    with output.working("checking"):
        try:
            loaded = api.load(model, options.parse_shape(input_shape), dialect=dialect)
        except SpikeportError as error:
            found = api.CheckResult(error.diagnostics, None, error.exit_code)
        else:
            found = api.check(loaded, target, profile, arith, dead=options.dead(dead_chips, dead_cores, dead_links))
    program = found.program
    if as_json:
        output.result_json(
            {
                "ok": found.ok,
                "exit_code": found.exit_code,
                "model": model,
                "target": target,
                "profile": None if program is None else str(program.profile),
                "digest": None if program is None else program.graph.digest,
                "chips": None if program is None else program.chips,
                "cores": None if program is None else len(program.cores),
                "usage": None if program is None else {k: list(v) for k, v in program.usage.items()},
                "diagnostics": [d.as_dict() for d in found.diagnostics],
            }
        )
    else:
        output.say_findings(found.diagnostics)
        output.result(_verdict(model, target, found))
    raise typer.Exit(found.exit_code)


def _verdict(model: str, target: str | None, found: CheckResult) -> str:
    count = {s: sum(d.severity == s for d in found.diagnostics) for s in ("error", "warning")}
    tail = ", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in count.items()) if any(count.values()) else "no findings"
    if found.program is None:
        return f"{model}: not ok ({tail})"
    program = found.program
    place = f", fits {program.target} on {program.chips} chips, {len(program.cores)} cores" if program.target else ""
    return f"{model}: ok under {program.profile.name} (dt {program.profile.dt:g} s){place} ({tail})"
