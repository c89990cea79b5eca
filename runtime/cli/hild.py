"""``spikeport hild`` and ``spikeport devices``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikeport.runtime.cli import options, output
from spikeport.runtime.cli.backends import rows_of_backends


def hild(
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Devices, limits, TLS and tokens.")] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="By default 127.0.0.1:7450; beyond this machine with TLS and tokens only."),
    ] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Where it keeps leases, results and the audit log.")] = None,
    restore: Annotated[
        list[str] | None, typer.Option(metavar="DEVICE", help="Lift a device's quarantine at the start.")
    ] = None,
    new_token: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make a token, add it to the file of --config's [auth] tokens, show it, end."),
    ] = None,
    scopes: Annotated[str, typer.Option(metavar="S,S", help="Scopes of the new token: read, run, admin.")] = "read,run",
    days: Annotated[float | None, typer.Option(help="Days until the new token expires.", min=0)] = None,
) -> None:
    """Offer the devices of this machine to other processes and machines (hardware in the loop)."""
    from spikeport.runtime.hil.daemon.config import load_config

    found = load_config(config, listen, state)
    if new_token is not None:
        from spikeport.runtime.hil.daemon.auth import new_token as make

        if found.tokens is None:
            raise typer.BadParameter("the configuration names no [auth] tokens", param_hint="--new-token")
        output.result(make(found.tokens, new_token, options.parse_list(scopes), days))
        output.say(f"added to {found.tokens}; the secret is shown this once")
        return
    from spikeport.runtime.hil.daemon.server import serve

    serve(found, tuple(restore or ()), output.result)


def devices(
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="A daemon, hilds://HOST:PORT; without it, this machine.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="File that holds our token.")] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE.pem", help="Certificates to trust.")] = None,
    restore: Annotated[str | None, typer.Option(metavar="DEVICE", help="Lift a quarantine (scope admin).")] = None,
    quarantine: Annotated[str | None, typer.Option(metavar="DEVICE", help="Shut a device away (scope admin).")] = None,
    as_json: options.Json = False,
) -> None:
    """List the devices of a daemon and its health, or the backends that this machine could offer."""
    if url is None:
        if restore or quarantine:
            raise typer.BadParameter("needs --url", param_hint="--restore")
        _tell({"devices": _here(), "daemon": None}, as_json)
        return
    from spikeport.runtime.hil.client import connect
    from spikeport.runtime.hil.wire import info_json

    with connect(url, token_file, ca) as pool:
        if restore is not None:
            pool.judge(restore)
        if quarantine is not None:
            pool.judge(quarantine, "by hand")
        _tell({"devices": [info_json(info) for info in pool.devices()], "daemon": pool.health()}, as_json)


def _here() -> list[dict[str, Any]]:
    from spikeport.runtime.hil.device import DeviceInfo
    from spikeport.runtime.hil.wire import info_json

    return [
        info_json(
            DeviceInfo(row["name"], "sim", row["name"], health="free" if row["available"] else f"unavailable: {row['why']}")
        )
        for row in rows_of_backends()
    ]


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.result_json(found)
        return
    width = max((len(d["name"]) for d in found["devices"]), default=0)
    for d in found["devices"]:
        what = " ".join(filter(None, (d["kind"], d["backend"], d["target"], *d["features"])))
        output.result(f"{d['name']:{width}s}  {what:24s}  {d['health']}")
    if found["daemon"] is not None:
        state = found["daemon"]
        output.result(f"{state['leases']} leased, {state['waiting']} waiting, {state['stored_bytes']:,} bytes of results kept")
        if not state["audit_ok"]:
            output.say("the daemon cannot write its audit log and grants nothing", "error")
