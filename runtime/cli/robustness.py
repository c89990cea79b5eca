"""``spikeport robustness``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from spikeport.runtime.cli import options, output


def robustness(
    model: options.Model,
    fault: Annotated[
        list[str], typer.Option("--fault", "-f", metavar="SPEC", help="spike_drop, late:steps=2, ...: a curve each; repeat it.")
    ],
    data: Annotated[
        Path, typer.Option("--data", "-d", metavar="D.npz", help="Input, and labels where the accuracy is asked for.")
    ],
    rates: Annotated[
        str, typer.Option(metavar="R,R,...", help="Rates: probabilities; of saturate bits; 0 is the sound network.")
    ] = "0,0.01,0.02,0.05,0.1,0.2",
    seeds: Annotated[int, typer.Option(help="Runs at each rate, each with a seed of its own.", min=1)] = 5,
    backend: Annotated[str, typer.Option("--backend", "-b", metavar="B", help="A name of `spikeport backends`.")] = "engine",
    target: options.TargetName = None,
    profile: options.ProfileText = None,
    dialect: options.Dialect = None,
    arith: options.Arithmetic = None,
    allow: Annotated[str, typer.Option(metavar="A,...", help="Approximations, as for `spikeport compile`.")] = "",
    steps: options.Steps = None,
    encode: options.Encode = None,
    seed: options.Seed = 0,
    of: Annotated[str | None, typer.Option(metavar="PATH", help="Output that says the class, where there are several.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--output", metavar="PLOT.png", help="Where to draw the curves.")] = None,
    json_file: Annotated[Path | None, typer.Option("--report", metavar="R.json", help="Where to write the numbers.")] = None,
    chips: options.Chips = None,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Measure how a network's accuracy falls with faults of the chip: lost or late spikes, flipped bits, dead cores, ..."""
    from spikeport.runtime import api
    from spikeport.runtime.files import check_writable, read_arrays, write_text
    from spikeport.runtime.hil import robustness as found_by
    from spikeport.runtime.hil.robustness_text import format_robustness, require_pictures, save_plot

    check_writable(out, json_file)
    if out is not None:
        require_pictures()
    with output.working("loading"):
        arrays = read_arrays(data)
        loaded = api.load(model, options.parse_shape(input_shape), like=found_by.shape_of(arrays), dialect=dialect)
    output.say_findings(loaded.diagnostics)
    with output.progress_bar("running") as progress:
        found = found_by.robustness(
            loaded, arrays, fault, _rates(rates), seeds=seeds, target=target, profile=profile, arith=arith, backend=backend,
            steps=steps, encode=encode, seed=seed, output=of, progress=progress, chips=chips,
            allow=options.parse_list(allow),
        )  # fmt: skip
    if out is not None:
        save_plot(found, out)
    if json_file is not None:
        write_text(json_file, json.dumps(found.to_json(), indent=2) + "\n")
    written = [str(path) for path in (out, json_file) if path is not None]
    if as_json:
        output.result_json({"ok": True, "exit_code": 0, "written": written, **found.to_json()})
        return
    output.result(format_robustness(found))
    for path in written:
        output.result(f"wrote {path}")


def _rates(text: str) -> list[float]:
    try:
        return [float(part) for part in options.parse_list(text)]
    except ValueError:
        raise typer.BadParameter(f"{text!r} are no numbers; write such as 0,0.01,0.1", param_hint="--rates") from None
