"""``spikeport compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.runtime.cli import options, output


def compare(
    a: Annotated[str, typer.Argument(metavar="A.npz|MODEL", help="Result of a run; or, with --backends, a model.")],
    b: Annotated[str | None, typer.Argument(metavar="[B.npz]", help="The other result.")] = None,
    backends: Annotated[str | None, typer.Option(metavar="A,B", help="Run MODEL in both, such as engine,reference.")] = None,
    inputs: Annotated[Path | None, typer.Option("--input", "-i", metavar="X.npy|X.npz", help="Input of both runs.")] = None,
    profile: options.ProfileText = None,
    dialect: options.Dialect = None,
    arith: options.Arithmetic = None,
    steps: options.Steps = None,
    encode: options.Encode = None,
    seed: options.Seed = 0,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Find the first divergence of two runs; exit code 1 where they differ."""
    from spikeport.ir.diagnostics import Diagnostic, UsageError
    from spikeport.runtime import api
    from spikeport.runtime.compare_text import format_comparison
    from spikeport.runtime.files import read_arrays
    from spikeport.runtime.inputs import only_shape

    if backends is None:
        if b is None or inputs is not None:
            raise UsageError(
                Diagnostic("E609", "", "two results of runs are needed, or a model with --backends A,B and --input X",
                           "spikeport compare A.npz B.npz, or spikeport compare MODEL --backends engine,reference --input X")
            )  # fmt: skip
        found = api.compare(a, b, names=(Path(a).name, Path(b).name) if Path(a).name != Path(b).name else (a, b))
    else:
        if b is not None or inputs is None:
            raise UsageError(
                Diagnostic(
                    "E609",
                    "--backends",
                    "--backends takes one model and --input X",
                    "leave the second result out, give --input",
                )
            )
        with output.working("running"):
            arrays = read_arrays(inputs)
            model = api.load(a, options.parse_shape(input_shape), like=only_shape(arrays), dialect=dialect)
            found = api.compare_backends(
                model, arrays, options.parse_list(backends), profile=profile, arith=arith, steps=steps, encode=encode, seed=seed
            )
        output.say_findings(model.diagnostics)
    if as_json:
        output.result_json({"ok": found.equal, "exit_code": int(not found.equal), **found.to_json()})
    else:
        output.result(format_comparison(found))
    raise typer.Exit(int(not found.equal))
