"""Devices of a daemon, as if they were here: `connect`, `Pool.lease`, and a `Device` that keeps its lease alive.

Every call is short and has an id. One that is not answered in time is made again with the same id, over a new connection, and
the daemon does not do twice what it has done: so a lost answer, a daemon that restarts and a connection that only looks
alive cost time, not results.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spikeport import __version__
from spikeport.ir.diagnostics import Diagnostic, SpikeportError, UsageError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.device import DeviceInfo
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.remote import RemoteDevice
from spikeport.runtime.hil.transport import ANSWER_S, POLL_S, Channel, pace
from spikeport.runtime.hil.wire import field


def connect(
    url: str, token: str | Path | None = None, ca: str | Path | None = None, timeout_s: float = 10.0, retry_s: float = 15.0
) -> Pool:
    """Connect to a daemon.

    Parameters
    ----------
    url : str
        ``hilds://HOST:PORT`` (TLS), or ``hild://HOST:PORT`` (plaintext, this machine only).
    token : str, Path or None
        Secret, or the file that holds it; None takes the file that ``SPIKEPORT_HIL_TOKEN_FILE`` names, if any.
    ca : path or None
        Certificates to trust with TLS; None trusts those of the system.
    timeout_s : float
        For the daemon to answer the first time.
    retry_s : float
        For which calls are made again when no answer comes; 0 gives up at once.

    Raises
    ------
    UsageError
        E879 for plaintext to another machine, E880 for what is no such URL or a file that cannot be read.
    HilError
        E865 where nobody answers, E866 where the daemon speaks another protocol, E867 where the token will not do.
    """
    scheme, _, address = url.partition("://")
    host, _, port = address.rpartition(":")
    if scheme not in ("hild", "hilds") or not host or not port.isdigit():
        raise UsageError(
            Diagnostic("E880", url, f"{url!r} is no address of a daemon", "write hilds://HOST:PORT or hild://HOST:PORT")
        )
    if scheme == "hild":
        from spikeport.runtime.hil.daemon.config import is_loopback

        if not is_loopback(host.strip("[]")):
            raise UsageError(
                Diagnostic("E879", url, f"hild:// is plaintext, and {host} is another machine", f"write hilds://{address}")
            )
    given = token if token is not None else _path(os.environ.get("SPIKEPORT_HIL_TOKEN_FILE"))
    try:
        secret = given.read_text("utf-8").strip() if isinstance(given, Path) else given
        trusted = Path(ca).read_bytes() if ca is not None else None
    except OSError as error:
        raise UsageError(
            Diagnostic("E880", str(error.filename), f"cannot read it: {error.strerror}", "check the path")
        ) from error
    pool = Pool(Channel(address, secret, scheme == "hilds", trusted), retry_s)
    try:
        pool.hello(timeout_s)
    except BaseException:
        pool.close()
        raise
    return pool


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


class Pool:
    """The devices of a daemon; a context manager. Made by `connect`."""

    def __init__(self, channel: Channel, retry_s: float) -> None:
        self._channel, self.retry_s = channel, retry_s
        self.client = f"{platform.node()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._devices: set[RemoteDevice] = set()
        #: Times (monotonic) at which a call was found to be without a good answer, the last hundred.
        self.losses: list[float] = []

    def hello(self, timeout_s: float) -> dict[str, Any]:
        """Introduce ourselves; return what the daemon says of itself."""
        said = {"protocol": wire.PROTOCOL, "spikeport": __version__}
        answer, _ = self.call("hello", said, seconds=min(timeout_s, 2 * ANSWER_S), retry_s=timeout_s)
        if field(answer, "protocol", int) != wire.PROTOCOL:
            raise wire.wire_error(f"the daemon speaks protocol {answer['protocol']}, this spikeport {wire.PROTOCOL}", "E866")
        return answer

    def call(
        self, method: str, header: Mapping[str, Any], body: bytes = b"", seconds: float = ANSWER_S,
        retry_s: float | None = None, is_wanted: Callable[[], bool] = lambda: True,
    ) -> tuple[dict[str, Any], bytes]:  # fmt: skip
        """Make a call; raise what the daemon refused.

        Until *retry_s* seconds are over it is made again, the same to the last byte: where no answer comes (E865), where call
        or answer are damaged on the way (E896), and where the daemon is busy (E871).
        """
        message = wire.encode({**header, "client": self.client}, body)
        until, pause = time.monotonic() + (self.retry_s if retry_s is None else retry_s), 0.05
        while True:
            try:
                return wire.decode(self._channel.call(method, message, seconds))
            except HilError as error:
                code = error.diagnostics[0].code
                if code in ("E865", "E896"):
                    self.losses = [*self.losses[-99:], time.monotonic()]
                if code not in ("E865", "E871", "E896") or time.monotonic() + pause >= until or not is_wanted():
                    raise
                if code == "E871":
                    pause = min(5.0, float(error.diagnostics[0].facts.get("retry_after_s", pause)))
                else:  # no answer, or one that was damaged: perhaps it is the connection
                    self._channel.renew()
            time.sleep(pause)
            pause = min(1.0, 2 * pause)

    def devices(self) -> tuple[DeviceInfo, ...]:
        """Return what is known of each device, as it is now."""
        return tuple(wire.info_from(data) for data in field(self.call("devices", {})[0], "devices", list))

    def health(self) -> dict[str, Any]:
        """Return what the daemon says of itself: leases, waiting clients, stored bytes."""
        return dict(field(self.call("devices", {})[0], "daemon", dict))

    def judge(self, device: str, reason: str = "") -> None:
        """Quarantine a device, or with an empty *reason* take it back (scope admin)."""
        self.call("judge", {"device": device, "reason": reason})

    def revoke(self, device: str) -> bool:
        """End the lease of a device (scope admin); return whether there was one."""
        return bool(self.call("revoke", {"device": device})[0].get("revoked"))

    def lease(
        self, target: str | None = None, features: tuple[str, ...] = (), ttl_s: float = 30.0, wait_s: float = 60.0
    ) -> RemoteDevice:
        """Return a device for us alone.

        Parameters
        ----------
        target : str or None
            Name of a device, a chip, a backend, or a kind (``sim``, ``hw``).
        features : tuple of str
            What it must have.
        ttl_s : float
            Seconds that the lease outlives our last sign of life.
        wait_s : float
            Seconds to wait for a free one.

        Raises
        ------
        HilError
            E869 where no device is like that (unsupported), E874 where all of them are quarantined, E870 where none became
            free in time (timeout).
        """
        ticket = secrets.token_hex(16)
        ask = {"id": ticket, "target": target or "", "features": list(features), "ttl_s": float(ttl_s)}
        until, place = time.monotonic() + wait_s, 0
        try:
            while True:
                left = max(0.0, until - time.monotonic())
                asked = time.monotonic()
                answer, _ = self.call("acquire", {**ask, "wait_s": min(left, POLL_S)}, seconds=ANSWER_S + POLL_S)
                state = field(answer, "state", str)
                if state == "granted":
                    device = RemoteDevice(self, answer)
                    self._devices.add(device)
                    return device
                place = answer.get("place", place)
                if time.monotonic() >= until:
                    raise HilError(
                        Diagnostic("E870", target or "", f"no device became free within {wait_s:g} s ({state}, place {place})",
                                   "wait longer, or add devices", {"place": place}), Outcome.TIMEOUT,
                    )  # fmt: skip
                pace(asked)
        except BaseException:
            self.quietly("cancel", {"id": ticket})
            raise

    def forget(self, device: RemoteDevice) -> None:
        """Drop a device that was given back, and the program that it remembers."""
        self._devices.discard(device)

    def quietly(self, method: str, header: Mapping[str, Any]) -> None:
        """Make a call whose failure changes nothing: what it would end runs out by itself."""
        with contextlib.suppress(SpikeportError):
            self.call(method, header, retry_s=min(self.retry_s, 3.0))

    def close(self) -> None:
        """Release what is leased and drop the connection."""
        for device in list(self._devices):
            device.close()
        self._channel.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *how: object) -> None:
        self.close()
