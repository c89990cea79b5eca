"""A leased device of a daemon: a `Device` like any other, that keeps its lease alive."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spikeport.ir.diagnostics import Diagnostic, SpikeportError
from spikeport.ir.ops import Array
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.daemon.errors import error_from
from spikeport.runtime.hil.device import Device, DeviceInfo, DeviceRun
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.transport import ANSWER_S, POLL_S, pace
from spikeport.runtime.hil.wire import field

if TYPE_CHECKING:
    from spikeport.runtime.hil.client import Pool

#: Seconds between two signs of life.
BEAT_S = 1.0


class RemoteDevice(Device):
    """A leased device of a daemon. Made by `Pool.lease`; ``close`` gives it back."""

    def __init__(self, pool: Pool, granted: Mapping[str, Any]) -> None:
        self._pool = pool
        self._info = wire.info_from(granted.get("device"))
        self.lease_id, self.fence = field(granted, "lease", str), field(granted, "fence", int)
        self._ttl = field(granted, "ttl_s", float)
        self._generation, self._artifact = "", b""
        self._acks: list[str] = []
        #: Number of the daemon's last answer, which we name to show that they reach us.
        self._seen = 0
        self._lock = threading.Lock()
        self._over: HilError | None = None
        self._closing = threading.Event()
        #: Time (monotonic) at which the daemon last answered.
        self.heard = time.monotonic()
        self._beat = threading.Thread(target=self._keep, name=f"keep {self._info.name}", daemon=True)
        self._beat.start()

    @property
    def info(self) -> DeviceInfo:
        """What is known of the device."""
        return self._info

    def _keep(self) -> None:
        while not self._closing.wait(min(BEAT_S, self._ttl / 4)):
            acks, self._acks = self._acks, []
            try:
                self._call("keep", {"acks": acks}, retry_s=0.0)
            except SpikeportError as error:  # whatever it is, the next sign of life is due
                self._acks += acks
                if error.diagnostics[0].code == "E868":
                    return

    def _call(self, method: str, header: Mapping[str, Any], body: bytes = b"", **options: Any) -> tuple[dict[str, Any], bytes]:
        if self._over is not None:
            raise self._over
        try:
            given = {**header, "lease": self.lease_id, "fence": self.fence, "seen": self._seen}
            answer = self._pool.call(method, given, body, is_wanted=lambda: not self._closing.is_set(), **options)
        except HilError as error:
            if error.diagnostics[0].code == "E868":
                self._over = error
            raise
        self.heard, told = time.monotonic(), answer[0].get("told")
        self._seen = told if type(told) is int else self._seen
        return answer

    def load(self, artifact: bytes) -> str:
        """Load the program in *artifact*, return its SHA-256; raise as `LocalDevice.load` does, or HilError."""
        with self._lock:
            return self._load(bytes(artifact))

    def _load(self, artifact: bytes) -> str:
        self._artifact, self._generation = b"", ""
        answer, _ = self._with_upload({"do": "load"}, artifact)
        self._artifact, self._generation = artifact, field(answer, "generation", str)
        return str(field(answer, "sha256", str))

    def run(
        self, inputs: Mapping[str, Array], *, record: tuple[str, ...] | str = (), record_state: bool = False, seed: int = 0,
        timeout_s: float | None = None,
    ) -> DeviceRun:  # fmt: skip
        """Run what is loaded, as `LocalDevice.run` does.

        Where the worker that had the program is gone since, the program is loaded again first; where it goes during the run,
        that is an error, and the next run finds a fresh one.
        """
        body = wire.pack_arrays(inputs)
        what = {"do": "run", "record": record if isinstance(record, str) else list(record), "record_state": record_state,
                "seed": int(seed), "timeout_s": None if timeout_s is None else float(timeout_s)}  # fmt: skip
        with self._lock:
            try:
                answer, arrays = self._run(what, body)
            except HilError as error:
                if not error.diagnostics[0].facts.get("reload") or not self._artifact:
                    raise
                self._load(self._artifact)
                answer, arrays = self._run(what, body)
        return wire.decode_run(field(answer, "run", dict), arrays)

    def _run(self, what: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        what = {**what, "generation": self._generation}
        return self._with_upload(what, body) if len(body) > wire.CHUNK else self._do(what, body)

    def reset(self) -> None:
        """Clear program and state; verified by read-back in the daemon's worker."""
        with self._lock:
            self._artifact, self._generation = b"", ""
            self._do({"do": "reset"})

    def state_digest(self) -> str:
        """Return the digest of what the device holds."""
        with self._lock:
            return str(field(self._do({"do": "digest"})[0], "state", str))

    def _with_upload(self, what: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        digest = hashlib.sha256(data).hexdigest()
        for attempt in (1, 2):
            self._upload(data, digest)
            try:
                return self._do({**what, "sha256": digest})
            except HilError as error:  # a daemon that has restarted has no uploads
                if error.diagnostics[0].code != "E875" or attempt == 2:
                    raise
        raise AssertionError

    def _upload(self, data: bytes, digest: str) -> None:
        have, calls, most = 0, 0, 3 * (len(data) // wire.CHUNK + 4)
        while True:
            piece = data[have : have + wire.CHUNK]
            answer, _ = self._call(
                "upload", {"sha256": digest, "total": len(data), "offset": have}, piece, seconds=2 * ANSWER_S
            )
            have, calls = field(answer, "have", int), calls + 1
            if have == len(data):
                return
            if not 0 <= have < len(data) or calls > most:
                raise HilError(
                    Diagnostic("E875", "", f"the upload does not get beyond {have:,} bytes", "try again"),
                    Outcome.INFRASTRUCTURE,
                )

    def _do(self, what: Mapping[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Make a request and wait for its answer; raise what went wrong."""
        name, asked = secrets.token_hex(16), time.monotonic()
        answer, piece = self._call("do", {**what, "id": name, "wait_s": POLL_S}, body, seconds=ANSWER_S + POLL_S)
        while (state := field(answer, "state", str)) == "running":
            if self.on_progress is not None and answer.get("of"):
                self.on_progress(field(answer, "step", int), field(answer, "of", int))
            pace(asked)
            asked = time.monotonic()
            answer, piece = self._call("wait", {"id": name, "wait_s": POLL_S}, seconds=ANSWER_S + POLL_S)
        if state != "done":
            raise wire.wire_error(f"a request is in the state {state!r:.40}")
        found, size = field(answer, "answer", dict), field(answer, "size", int)
        if found.get("ok") is not True:
            raise error_from(found.get("error"))
        if size > wire.MAX_WHOLE:
            raise wire.wire_error(f"a result of {size:,} bytes exceeds the limit of {wire.MAX_WHOLE:,}")
        pieces, have = [piece], len(piece)
        while have < size:
            _, piece = self._call("fetch", {"id": name, "offset": have}, seconds=2 * ANSWER_S)
            if not piece:
                raise wire.wire_error(f"a result of {size:,} bytes ends after {have:,}")
            pieces.append(piece)
            have += len(piece)
        self._acks.append(name)
        return found, b"".join(pieces)

    def close(self) -> None:
        """Give the device back; again does no harm."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._over is None:
            self._pool.quietly("release", {"lease": self.lease_id, "fence": self.fence, "acks": self._acks})
        self._over = self._over or HilError(
            Diagnostic("E868", self._info.name, "this device was given back", "lease one anew"), Outcome.INFRASTRUCTURE
        )
        self._beat.join(2 * ANSWER_S)
        self._pool.forget(self)
