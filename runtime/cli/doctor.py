"""``spikeport doctor``."""

from __future__ import annotations

import typer

from spikeport.runtime.cli import options, output


def doctor(as_json: options.Json = False) -> None:
    """Check this machine: Python, packages, backends, caches, cores. Exit code 5 where something needed is missing."""
    from spikeport.runtime.health import examine

    found = examine()
    if as_json:
        output.result_json({"ok": all(c.ok or not c.needed for c in found), "checks": [c.as_dict() for c in found]})
    else:
        width = max(len(c.name) for c in found)
        for check in found:
            mark = "ok" if check.ok else "FAIL" if check.needed else "-"
            output.result(
                f"{mark:4s} {check.name:{width}s}  {check.text}" + (f"\n     -> {check.remedy}" if check.remedy else "")
            )
    raise typer.Exit(0 if all(c.ok or not c.needed for c in found) else 5)
