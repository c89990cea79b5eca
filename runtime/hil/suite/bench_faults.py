"""Faults on purpose, as a test session asks for them: on the way to the daemon, or in the device itself."""

from __future__ import annotations

from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.runtime.hil.device import Device
from spikeport.runtime.hil.faults.spec import of_kind, parse_faults


def faulty(device: Device, spec: str, has_way: bool = False) -> Device:
    """Return *device* with the faults of *spec* that are the device's or the network's.

    Raises
    ------
    UsageError
        E885 for what names no fault; E859 for transport faults unless *has_way* says that a proxy does those (`through_proxy`).
    """
    faults = parse_faults(spec)
    way = of_kind(faults, "transport")
    if way and not has_way:
        hint = "--hil-fault together with --hil-url, before the session connects"
        raise UsageError(
            [Diagnostic("E859", str(f), f"{f.name} happens on the way to a daemon, and here is none", hint) for f in way]
        )
    own = tuple(f for f in faults if f.kind != "transport")
    if not own:
        return device
    from spikeport.runtime.hil.faults.faulty import FaultyDevice

    return FaultyDevice(device, own)


def through_proxy(url: str, spec: str) -> tuple[str, Any]:
    """Return the address to connect to, and the proxy with the transport faults of *spec* behind it, where there are any.

    Raises
    ------
    UsageError
        E859 for transport faults on an encrypted connection, which a proxy cannot look into.
    """
    way = of_kind(parse_faults(spec), "transport")
    if not way:
        return url, None
    scheme, _, address = url.partition("://")
    if scheme != "hild":
        raise UsageError(
            Diagnostic("E859", "--hil-fault", f"transport faults need a plaintext connection, not {scheme}://", "use hild://")
        )
    from spikeport.runtime.hil.faults.proxy import Proxy

    host, _, port = address.rpartition(":")
    proxy = Proxy(host, int(port), way)
    return f"hild://{proxy.address}", proxy
