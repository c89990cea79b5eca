"""``spikeport run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikeport.runtime.cli import options, output
from spikeport.runtime.cli.timeout import limit

if TYPE_CHECKING:
    from spikeport.runtime.session import RunResult


def run(
    model: options.Model,
    inputs: Annotated[
        Path, typer.Option("--input", "-i", metavar="X.npy|X.npz", help="(steps, *shape) or (samples, steps, *shape).")
    ],
    backend: Annotated[str, typer.Option("--backend", "-b", metavar="B", help="A name of `spikeport backends`.")] = "engine",
    mode: options.Mode = None,
    backend_option: options.BackendOption = None,
    target: options.TargetName = None,
    profile: options.ProfileText = None,
    dialect: options.Dialect = None,
    arith: options.Arithmetic = None,
    steps: options.Steps = None,
    encode: options.Encode = None,
    seed: options.Seed = 0,
    record: Annotated[
        str, typer.Option(metavar="all|PATH,...", help="Nodes to keep beside the outputs; all: every neuron population.")
    ] = "",
    record_state: Annotated[
        bool, typer.Option("--record-state", help="Keep membranes (after the reset) of recorded and of all spiking neurons.")
    ] = False,
    out: Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT.npz", help="Where to write the arrays.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="R.json", help="Where to write the report.")] = None,
    chips: options.Chips = None,
    dead_chips: options.DeadChips = "",
    dead_cores: options.DeadCores = "",
    dead_links: options.DeadLinks = "",
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Give up after this time, with exit code 7.")] = None,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Run a model or a compiled program on input, and price it for its target."""
    from spikeport.runtime import api
    from spikeport.runtime.files import check_writable, read_arrays
    from spikeport.runtime.inputs import only_shape

    check_writable(out, report)
    own = options.backend_options(mode, backend_option)
    if timeout is not None and not 0 < timeout < 1e7:
        raise typer.BadParameter(f"{timeout:g} is no number of seconds above 0", param_hint="--timeout")
    with limit(timeout, as_json):
        with output.working("loading"):
            arrays = read_arrays(inputs)
            loaded = api.load(model, options.parse_shape(input_shape), like=only_shape(arrays), dialect=dialect)
        output.say_findings(loaded.diagnostics)
        recorded = "all" if record.strip() == "all" else options.parse_list(record)
        with output.progress_bar("running", in_portions=timeout is not None) as progress:
            result = api.run(
                loaded, arrays, backend, target, profile, arith, steps=steps, encode=encode, seed=seed, record=recorded,
                record_state=record_state, chips=chips, progress=progress, backend_options=own,
                dead=options.dead(dead_chips, dead_cores, dead_links),
            )  # fmt: skip
    _say(result)
    if out is not None:
        result.save(out)
    if report is not None:
        _write_report(result, report, target)
    written = [str(path) for path in (out, report) if path is not None]
    if as_json:
        output.result_json({"ok": True, "exit_code": 0, "written": written, "meta": dict(result.meta), **_summary(result)})
        return
    output.result(_text(result))
    for path in written:
        output.result(f"wrote {path}")


def _say(result: RunResult) -> None:

    output.say_findings(d for d in result.program.findings() if d.severity != "note")
    for note in result.notes:
        output.say(note, "warning")


def _write_report(result: RunResult, path: Path, target: str | None) -> None:
    from spikeport.runtime.reports import write_report

    if not (target or result.program.target):
        output.say("without --target there is no price: the report holds counts and host time only", "warning")
    write_report(result.report, path)


def _summary(result: RunResult) -> dict[str, Any]:
    trace = result.trace
    spikes = {p: c.spikes for p, c in trace.counts.items() if c.spikes is not None}
    return {"samples": trace.samples, "steps": trace.steps, "spikes": spikes, "seconds": dict(trace.seconds)}


def _text(result: RunResult) -> str:
    from spikeport.runtime.report_text import format_reports

    return format_reports([result.report])
