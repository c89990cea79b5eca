"""``spikeport report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.runtime.cli import options, output


def report(
    files: Annotated[list[Path], typer.Argument(metavar="R.json...", help="Reports that `spikeport run --report` wrote.")],
    as_json: options.Json = False,
) -> None:
    """Show reports side by side, each held against the published schema."""
    from spikeport.runtime.report_text import format_reports
    from spikeport.runtime.reports import read_report

    reports = [read_report(path) for path in files]
    if as_json:
        output.result_json([r.to_json() for r in reports])
    else:
        output.result(format_reports(reports))
