"""What a daemon is told: where to listen, its devices, its limits; from a TOML file.

listen = "0.0.0.0:7450"
state = "/var/lib/spikeport"

[tls]
certificate = "server.pem"
key = "server.key"

[auth]
tokens = "tokens.toml"

[limits]
memory_mb = 2048

[devices.sim0]
backend = "engine"

[devices.board]
driver = "acme"                      # an entry point of the group spikeport.hil_drivers
config = { port = "/dev/ttyUSB0" }
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeport.backends.registry import backend_names
from spikeport.ir.diagnostics import Diagnostic, UsageError, did_you_mean

DEFAULT_LISTEN = "127.0.0.1:7450"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in bytes or MiB where the name says so, numbers of things.

    Watchdogs: ``connect_s`` start of a worker and its device, ``upload_s`` pause within an upload, ``configure_s`` load,
    ``stall_s`` without a step and without use of a processor, ``run_s`` a run in all, ``read_back_s`` reset and state.
    """

    connect_s: float = 120.0
    upload_s: float = 30.0
    configure_s: float = 120.0
    stall_s: float = 30.0
    run_s: float = 600.0
    read_back_s: float = 60.0
    ttl_max_s: float = 3600.0
    claim_s: float = 10.0
    silent_s: float = 3.0
    ticket_s: float = 10.0
    poll_s: float = 1.0
    keep_s: float = 3600.0
    keep_unread_s: float = 86400.0
    memory_mb: float = 4096.0
    file_mb: float = 4096.0
    upload_mb: float = 512.0
    uploads_mb: float = 2048.0
    results_mb: float = 2048.0
    strikes: int = 3
    queue_each: int = 64
    queue_all: int = 1024
    jobs: int = 4
    threads: int = 40
    calls: int = 256


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A device: a backend of spikeport by name, or a driver; ``config`` goes to the driver, ``options`` to the backend."""

    name: str
    backend: str = ""
    driver: str = ""
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    memory_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return dataclasses.asdict(self)


def default_state() -> Path:
    """Return the folder of a daemon that was given none: below ``XDG_STATE_HOME``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "spikeport" / "hild"


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. ``tls`` is (certificate, key) or None."""

    listen: str = DEFAULT_LISTEN
    state: Path = field(default_factory=default_state)
    devices: tuple[DeviceConfig, ...] = (DeviceConfig("engine", backend="engine"),)
    tls: tuple[Path, Path] | None = None
    tokens: Path | None = None
    limits: Limits = Limits()


def load_config(path: Path | None, listen: str | None = None, state: Path | None = None) -> Config:
    """Return the configuration in *path*, *listen* and *state* in place of the file's.

    Raises
    ------
    UsageError
        E880 for a file that cannot be read or says what it cannot say, with all that was found; E879 for an address beyond
        this machine without both TLS and tokens.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(_wrong(str(path), str(error))) from error
    base = path.parent if path is not None else Path()
    found: list[Diagnostic] = []
    _keys(data, ("listen", "state", "tls", "auth", "limits", "devices"), "", found)
    tls, auth = _table(data, "tls", found), _table(data, "auth", found)
    _keys(tls, ("certificate", "key"), "tls", found)
    _keys(auth, ("tokens",), "auth", found)
    if tls and not {"certificate", "key"} <= set(tls):
        found.append(_wrong("tls", "certificate and key are needed, both"))
    devices = tuple(_device(name, entry, found) for name, entry in _table(data, "devices", found).items())
    limits = _limits(_table(data, "limits", found), found)
    if found:
        raise UsageError(found)
    config = Config(
        listen or str(data.get("listen", DEFAULT_LISTEN)),
        state or (base / str(data["state"]) if "state" in data else default_state()),
        devices or Config().devices,
        (base / str(tls["certificate"]), base / str(tls["key"])) if tls else None,
        base / str(auth["tokens"]) if "tokens" in auth else None,
        limits,
    )
    require_safe(config)
    return config


def require_safe(config: Config) -> None:
    """Raise UsageError E879 for an address that others can reach, unless TLS and tokens guard it."""
    host, _, port = config.listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(_wrong("listen", f"{config.listen!r} is no HOST:PORT"))
    if (config.tls is None or config.tokens is None) and not is_loopback(host.strip("[]")):
        missing = " and ".join(n for n, v in (("TLS", config.tls), ("tokens", config.tokens)) if v is None)
        raise UsageError(
            Diagnostic(
                "E879", config.listen, f"{host} can be reached from other machines, and there are no {missing}",
                "set [tls] certificate and key and [auth] tokens, or listen on 127.0.0.1",
            )
        )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine, under every address that the name has."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, None)]
        return bool(found) and all(ipaddress.ip_address(a.partition("%")[0]).is_loopback for a in found)
    except (OSError, ValueError):
        return False


def _table(data: dict[str, Any], name: str, found: list[Diagnostic]) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        found.append(_wrong(name, f"{table!r:.40} is no table"))
        return {}
    return table


def _keys(data: Mapping[str, Any], known: tuple[str, ...], where: str, found: list[Diagnostic]) -> None:
    found += [_wrong(f"{where}.{k}".strip("."), f"unknown{did_you_mean(k, known)}") for k in data if k not in known]


def _limits(data: dict[str, Any], found: list[Diagnostic]) -> Limits:
    kinds: dict[str, type[int] | type[float]] = {n: type(v) for n, v in dataclasses.asdict(Limits()).items()}
    _keys(data, tuple(kinds), "limits", found)
    good: dict[str, Any] = {}
    for name, value in data.items():
        if name in kinds:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
                found.append(_wrong(f"limits.{name}", f"{value!r:.40} is no number above 0"))
            else:
                good[name] = kinds[name](value)
    return Limits(**good)


def _device(name: str, entry: Any, found: list[Diagnostic]) -> DeviceConfig:
    where = f"devices.{name}"
    if not isinstance(entry, dict) or not _NAME.fullmatch(name):
        found.append(_wrong(where, "a device is a table with a name of letters, digits, - and _"))
        return DeviceConfig(name)
    fields = {f.name: f.type for f in dataclasses.fields(DeviceConfig) if f.name != "name"}
    _keys(entry, tuple(fields), where, found)
    for kind, what, keys in ((str, "text", ("backend", "driver", "target")), (dict, "table", ("options", "config"))):
        wrong = [key for key in keys if not isinstance(entry.get(key, kind()), kind)]
        found += [_wrong(f"{where}.{key}", f"{entry[key]!r:.40} is no {what}") for key in wrong]
    memory = entry.get("memory_mb", 0.0)
    if isinstance(memory, bool) or not isinstance(memory, (int, float)) or not 0 <= memory < 1e9:
        found.append(_wrong(f"{where}.memory_mb", f"{memory!r:.40} is no number"))
    if bool(entry.get("backend")) == bool(entry.get("driver")):
        found.append(_wrong(where, "a device has either a backend or a driver"))
    backend = entry.get("backend")
    if isinstance(backend, str) and backend and backend not in backend_names():
        near = did_you_mean(backend, backend_names())
        found.append(_wrong(f"{where}.backend", f"there is no backend {backend!r:.40}{near}; {', '.join(backend_names())}"))
    return DeviceConfig(name, **{k: v for k, v in entry.items() if k in fields})


def _wrong(where: str, why: str) -> Diagnostic:
    return Diagnostic("E880", where, f"{where}: {why}", "see `spikeport hild --help`")
