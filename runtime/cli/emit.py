"""``spikeport emit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.runtime.cli import options, output


def emit(
    model: options.Model,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the script and its arrays.")],
    backend: Annotated[
        str, typer.Option("--backend", "-b", metavar="B", help="Whose simulator: brian2, lava, spinnaker.")
    ] = "brian2",
    inputs: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="X.npy|X.npz", help="What the script runs on; by default spikes at 5 % a step."),
    ] = None,
    profile: options.ProfileText = None,
    dialect: options.Dialect = None,
    arith: options.Arithmetic = None,
    steps: options.Steps = None,
    encode: options.Encode = None,
    seed: options.Seed = 0,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Write a model as a script of another simulator that runs without spikeport and prints the same spikes."""
    from spikeport.runtime import api
    from spikeport.runtime.files import read_arrays
    from spikeport.runtime.inputs import only_shape

    with output.working("writing"):
        arrays = None if inputs is None else read_arrays(inputs)
        loaded = api.load(model, options.parse_shape(input_shape), like=only_shape(arrays), dialect=dialect)
        written = api.emit(
            loaded, out, backend, inputs=arrays, profile=profile, arith=arith, steps=steps, encode=encode, seed=seed
        )
    output.say_findings(loaded.diagnostics)
    if as_json:
        output.result_json({"ok": True, "exit_code": 0, "files": [str(path) for path in written]})
    else:
        for path in written:
            output.result(f"wrote {path}")
