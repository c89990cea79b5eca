"""``spikeport backends`` and ``spikeport backends setup NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikeport.runtime.cli import options, output

app = typer.Typer(pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def backends(context: typer.Context, as_json: options.Json = False) -> None:
    """List the backends, and why one cannot run here; or build what one needs."""
    if context.invoked_subcommand is not None:
        return
    rows = rows_of_backends()
    if as_json:
        output.result_json(rows)
        return
    for row in rows:
        state = "ready" if row["available"] else f"not available: {row['why']}\n    -> {row['remedy']}"
        output.result(f"{row['name']:12s} {row.get('summary', '')}")
        kinds = f"{_fidelity(row)}; arithmetic {', '.join(row['arithmetics'])}; " if "fidelity" in row else ""
        output.result(f"{'':12s} {kinds}{state}")


def _fidelity(row: dict[str, Any]) -> str:
    """Return the fidelity of a backend, by arithmetic where it has several."""
    found = row["fidelities"]
    return row["fidelity"] if len(set(found.values())) == 1 else ", ".join(f"{f} in {a}" for a, f in found.items())


def rows_of_backends() -> list[dict[str, Any]]:
    """Return what is known of each backend, and why one cannot run here."""
    from spikeport.backends.registry import backend_names, get_backend
    from spikeport.ir.diagnostics import BackendUnavailable

    rows: list[dict[str, Any]] = []
    for name in backend_names():
        try:
            backend = get_backend(name)
            here = backend.available()
        except BackendUnavailable as error:
            first = error.diagnostics[0]
            rows.append({"name": name, "available": False, "why": first.message, "remedy": first.hint})
            continue
        rows.append(
            {
                "name": name,
                "available": here.ok,
                "why": here.why,
                "remedy": here.remedy,
                "fidelity": backend.fidelity,
                "fidelities": {a: backend.fidelity_for(a) for a in backend.arithmetics},
                "arithmetics": list(backend.arithmetics),
                "summary": backend.summary,
            }
        )
    return rows


@app.command("setup")
def setup(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A backend with an environment of its own: lava, spinnaker.")],
    path: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to build it; by default in your cache (XDG_CACHE_HOME).")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="P", help="Interpreter to build it with; by default one is found.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Build what a backend needs, once for each user; done already, it says so."""
    from spikeport.backends.registry import get_backend

    text = get_backend(name).setup(path, output.say, python)
    if as_json:
        output.result_json({"ok": True, "exit_code": 0, "text": text})
    else:
        output.result(text)
