"""Reports as files: written whole or not at all, held against the published schema when read."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.runtime.files import write_text
from spikeport.runtime.report_value import Report
from spikeport.runtime.schema import problems

#: Most bytes of a report that is read.
MAX_BYTES = 256 * 2**20
#: Most findings that are listed.
_SHOWN = 20


def schema() -> dict[str, Any]:
    """Return the published schema of a report."""
    found: dict[str, Any] = json.loads(files("spikeport.runtime").joinpath("report.schema.json").read_text("utf-8"))
    return found


def write_report(report: Report, path: str | Path) -> None:
    """Write *report* to *path* as JSON.

    Raises
    ------
    UsageError
        E631 where the file cannot be written.
    """
    write_text(path, json.dumps(report.to_json(), indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_report(path: str | Path) -> Report:
    """Return the report in the file *path*.

    Raises
    ------
    UsageError
        E632 for a file that cannot be read, is no JSON or breaks the schema: all findings at once.
    """
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        data = json.loads(text, parse_constant=_refuse)
    except OSError as error:
        raise _wrong(path, "", f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "", f"{path} is no JSON: {error}") from error
    found = problems(data, schema())
    if found:
        raise UsageError(
            [d for where, what in found[:_SHOWN] for d in _wrong(path, where, f"{path}: {where} {what}").diagnostics]
        )
    return Report.from_json(data)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _wrong(path: str | Path, where: str, message: str) -> UsageError:
    return UsageError(Diagnostic("E632", where or str(path), message, "write one with `spikeport run --report R.json`"))
