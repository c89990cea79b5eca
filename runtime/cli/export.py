"""``spikeport export``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from spikeport.runtime.cli import options, output

if TYPE_CHECKING:
    from spikeport.ir.diagnostics import Diagnostic

_T = TypeVar("_T")


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

    dialect = dialect.strip().lower()
    _check_place(model, out)
    with output.working("exporting"):
        loaded = _of_the_source(lambda: api.load(model, options.parse_shape(input_shape), dialect=source_dialect))
        found = _of_the_source(lambda: api.export(loaded, out, dialect=dialect, profile=profile), "E330", "E338")
    told = (*(_named(d) for d in loaded.diagnostics), *found)
    output.say_findings(told)
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
                "diagnostics": [d.as_dict() for d in told],
            }
        )
    else:
        output.result(f"wrote {out}")


def _check_place(model: str, out: Path) -> None:
    """Refuse a place that cannot be written, and the model's own file, before anything is read."""
    from spikeport.ir.diagnostics import Diagnostic, UsageError
    from spikeport.runtime.files import check_writable

    try:
        check_writable(out)
        sources = (model, model.rpartition(":")[0])
        own = out.exists() and any(os.path.exists(source) and os.path.samefile(source, out) for source in sources if source)
    except OSError as error:  # a name that is too long, for instance
        text = f"cannot write {out}: {error.strerror or error}"
        raise UsageError(Diagnostic("E631", "--output", text, "choose a shorter name in a folder that is there")) from error
    name = os.fsencode(out.name)
    if own:
        text = f"cannot write {out}: it is the model's own file, and an export into another dialect may lose some of it"
        raise UsageError(Diagnostic("E631", "--output", text, "choose another name"))
    if len(name) > 255:
        text = f"cannot write {out}: its name has {len(name)} bytes, and files take 255"
        raise UsageError(Diagnostic("E631", "--output", text, "choose a shorter name"))


def _of_the_source(action: Callable[[], _T], *codes: str) -> _T:
    """Return what *action* does; of its errors (those with one of *codes*) name --source-dialect for the file's dialect."""
    from spikeport.ir.diagnostics import SpikeportError

    try:
        return action()
    except SpikeportError as error:
        raise type(error)([d if codes and d.code not in codes else _named(d) for d in error.diagnostics]) from error


def _named(finding: Diagnostic) -> Diagnostic:
    """Return *finding* about the dialect of a file that is read, as ``export`` calls that option."""
    path, message, hint = (
        text.replace("--dialect", "--source-dialect") for text in (finding.path, finding.message, finding.hint)
    )
    return dataclasses.replace(finding, path=path, message=message, hint=hint)
