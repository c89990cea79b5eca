"""``spikeport check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    backend: Annotated[
        str | None, typer.Option("--backend", "-b", metavar="B", help="Who is to run it: what it cannot run is said too.")
    ] = None,
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Hold the mapping against that of the machine's own tools (-b spinnaker).")
    ] = False,
    inputs: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="X.npy|X.npz", help="For the oracle's packets; by default spikes at 5 % a step."),
    ] = None,
    steps: options.Steps = None,
    encode: options.Encode = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Say all that speaks against a model, a profile and a target, at once."""
    from spikeport.ir.diagnostics import SpikeportError
    from spikeport.runtime import api
    from spikeport.runtime.files import read_arrays

    loaded: object = model
    with output.working("checking"):
        try:
            loaded = api.load(model, options.parse_shape(input_shape), dialect=dialect)
        except SpikeportError as error:
            found = api.CheckResult(error.diagnostics, None, error.exit_code)
        else:
            dead = options.dead(dead_chips, dead_cores, dead_links)
            found = api.check(
                loaded, target, profile, arith, dead=dead, backend=backend, oracle=oracle,
                inputs=None if inputs is None else read_arrays(inputs), steps=steps, encode=encode, seed=seed,
            )  # fmt: skip
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
                "cores": None if program is None else len(program.allocated),
                "usage": None if program is None else {k: list(v) for k, v in program.usage.items()},
                "oracle": None if found.mapping is None else found.mapping.as_dict(),
                "diagnostics": [d.as_dict() for d in found.diagnostics],
            }
        )
    else:
        output.say_findings(found.diagnostics)
        output.result(_verdict(model, target, found))
        for line in () if found.mapping is None else found.mapping.lines():
            output.result(line)
    raise typer.Exit(found.exit_code)


def _verdict(model: str, target: str | None, found: CheckResult) -> str:
    count = {s: sum(d.severity == s for d in found.diagnostics) for s in ("error", "warning")}
    tail = ", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in count.items()) if any(count.values()) else "no findings"
    if found.program is None:
        return f"{model}: not ok ({tail})"
    program = found.program
    place = f", fits {program.target} on {program.chips} chips, {len(program.allocated)} cores" if program.target else ""
    return f"{model}: ok under {program.profile.name} (dt {program.profile.dt:g} s){place} ({tail})"
