"""What a client can ask for: each method takes a header and a body and answers at once, or within a second."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from spikeport import __version__
from spikeport.ir.diagnostics import Diagnostic, SpikeportError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.daemon.audit import Audit
from spikeport.runtime.hil.daemon.auth import Tokens
from spikeport.runtime.hil.daemon.config import Config
from spikeport.runtime.hil.daemon.desk import Desk
from spikeport.runtime.hil.daemon.jobs import Jobs
from spikeport.runtime.hil.daemon.keeper import Keeper
from spikeport.runtime.hil.daemon.leases import Book
from spikeport.runtime.hil.daemon.line import clear_work
from spikeport.runtime.hil.daemon.places import Lease, Want
from spikeport.runtime.hil.daemon.refusals import no_room, stale
from spikeport.runtime.hil.daemon.requests import Who, name_of, order_of
from spikeport.runtime.hil.daemon.store import Store
from spikeport.runtime.hil.daemon.uploads import Uploads
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.wire import field, wire_error
from spikeport.runtime.strict_json import dump_json

#: Methods by the scope that they need.
SCOPE = {
    "hello": "", "devices": "read", "acquire": "run", "cancel": "run", "keep": "run", "release": "run", "upload": "run",
    "do": "run", "wait": "run", "fetch": "run", "judge": "admin", "revoke": "admin",
}  # fmt: skip


class Service:
    """The daemon without its network.

    Parameters
    ----------
    config : Config
        Devices, limits, folder of state, file of tokens.
    clock, wall : callable
        The clock that never jumps, for all that lasts; and the time of day, for the audit log and the expiry of tokens.
    """

    def __init__(
        self, config: Config, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        # Workers have folders of their own to work in, where a relative path would lead elsewhere.
        config = dataclasses.replace(config, state=config.state.resolve())
        self.config, self.limits = config, config.limits
        self.tokens = Tokens(config.tokens, wall)
        self.store = Store(config.state)
        self.audit = Audit(config.state / "audit.jsonl", wall)
        for pid in clear_work(config.state / "work"):
            self.audit.write("process left", pid=pid)
        self.uploads = Uploads(config.state / "uploads", self.limits)
        self.book = Book(self.store, self.limits, clock, self._granted, self._over)
        self.jobs = Jobs(self.store, self.audit, self.limits)
        self.boot = os.urandom(8).hex()
        desk = Desk(self.store, self.book, self.audit, self.limits, config.state, self.jobs.finish, self.jobs.fail)
        self.keepers = {device.name: Keeper(device, desk) for device in config.devices}
        self._polls = threading.BoundedSemaphore(max(1, self.limits.threads * 3 // 4))
        self._stopping = threading.Event()
        self._house = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Take up what a daemon before this one left, and start the keepers."""
        restored = self.book.restore()
        self.audit.write("start", boot=self.boot, devices=list(self.keepers), leases=len(restored), version=__version__)
        for keeper in self.keepers.values():
            keeper.start()
        self._house.start()

    def stop(self) -> None:
        """End all workers; leases and results stay in the store."""
        self._stopping.set()
        for keeper in self.keepers.values():
            keeper.stop()
        for thread in (*self.keepers.values(), self._house):
            if thread.is_alive():
                thread.join(30)
        self.audit.write("stop", boot=self.boot)
        self.audit.close()
        self.store.close()

    def call(self, method: str, secret: str | None, peer: str, data: bytes) -> bytes:
        """Answer a message; raise SpikeportError for what is refused."""
        client = ""
        try:
            header, body = wire.decode(data)
            client = field(header, "client", str, "")
            if method not in SCOPE or len(client) > 80:
                raise wire_error(f"there is no method {method!r:.40}", "E883")
            who = Who(self._admit(method, secret), client)
            answer, more = getattr(self, f"_{method}")(who, header, body)
            if "seen" in header:
                answer = {**answer, "told": self.book.tell(field(header, "lease", str, ""))}
            return wire.encode(answer, more)
        except HilError as error:
            if method != "wait":
                first = error.diagnostics[0]
                self.audit.refusal(method=method[:20], peer=peer, client=client, code=first.code, reason=first.message)
            raise

    def _admit(self, method: str, secret: str | None) -> str:
        found = self.tokens.identify(secret)
        if found is None:
            why = "no token was given" if not secret else "this token is not known, or has expired"
            raise HilError(Diagnostic("E867", "token", why, "ask who runs the daemon for a token"), Outcome.INFRASTRUCTURE)
        if SCOPE[method] and SCOPE[method] not in found.scopes:
            raise HilError(
                Diagnostic("E867", "token", f"this needs the scope {SCOPE[method]}, the token {found.name or '(none)'} has "
                           f"{', '.join(sorted(found.scopes))}", "ask for a token with that scope",
                           {"scope": SCOPE[method]}),
                Outcome.INFRASTRUCTURE,
            )  # fmt: skip
        return found.name

    def _hello(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        theirs = field(header, "protocol", int)
        if theirs != wire.PROTOCOL:
            raise wire_error(
                f"the client (spikeport {field(header, 'spikeport', str, '?')!s:.40}) speaks protocol {theirs}, the daemon "
                f"(spikeport {__version__}) speaks {wire.PROTOCOL}", "E866",
            )  # fmt: skip
        return {
            "protocol": wire.PROTOCOL, "spikeport": __version__, "boot": self.boot, "poll_s": self.limits.poll_s,
            "silent_s": self.limits.silent_s, "upload_bytes": int(self.limits.upload_mb * 2**20),
        }, b""  # fmt: skip

    def _devices(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        with self.book.changed:
            infos = [wire.info_json(info) for _, info in sorted(self.book.infos.items())]
        state = {**self.book.state(), "audit_ok": self.audit.ok, "stored_bytes": self.store.held(), "boot": self.boot}
        return {"devices": infos, "daemon": state, "spikeport": __version__}, b""

    def _acquire(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        features = field(header, "features", list)
        if len(features) > 64 or any(type(f) is not str for f in features):
            raise wire_error("features are not at most 64 texts")
        want = Want(field(header, "target", str), tuple(features))
        name, ttl = name_of(header), field(header, "ttl_s", float)
        if not 0.1 <= ttl <= 1e6:
            raise wire_error(f"a lease of {ttl:g} s cannot be")
        self._require_audit()

        def ask() -> Lease | int:
            found = self.book.ask(who.owner, who.client, name, want, ttl)
            return found if isinstance(found, int) else self.book.claim(found)

        found = ask()
        until = time.monotonic() + min(field(header, "wait_s", float, 0.0), self.limits.poll_s)
        with self._poll() as may_wait:
            while may_wait and not (isinstance(found, Lease) and found.is_ready) and (left := until - time.monotonic()) > 0:
                with self.book.changed:
                    self.book.changed.wait(left)
                found = ask()
        if isinstance(found, int):
            return {"state": "queued", "place": found}, b""
        if not found.is_ready:
            return {"state": "preparing", "device": found.device}, b""
        return {
            "state": "granted", "lease": found.id, "fence": found.fence, "ttl_s": found.ttl,
            "device": wire.info_json(self.book.infos[found.device]), "generation": self.keepers[found.device].generation,
        }, b""  # fmt: skip

    def _cancel(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        self.book.cancel(who.owner, who.client, name_of(header))
        return {}, b""

    def _keep(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        lease = self._lease(who, header)
        self._acknowledge(who, header)
        return {"ttl_s": lease.ttl, "generation": self.keepers[lease.device].generation}, b""

    def _release(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        with contextlib.suppress(HilError):  # released before, or over: that is what was wanted
            self.book.over(self._lease(who, header).id, "released")
        self._acknowledge(who, header)
        return {}, b""

    def _acknowledge(self, who: Who, header: Mapping[str, Any]) -> None:
        """Note which results the client has: they are kept on for late duplicates, and go first when room is short."""
        names = [name for name in field(header, "acks", list, [])[:1000] if type(name) is str]
        if names:
            self.store.acknowledge(who.key, names)

    def _upload(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        lease = self._lease(who, header)
        total, offset = field(header, "total", int), field(header, "offset", int)
        have = self.uploads.put(lease.id, field(header, "sha256", str), total, offset, body)
        if lease.why_over:  # it ended meanwhile: nobody would remove what came after that
            self.uploads.drop(lease.id)
            raise stale(lease.device)
        if have == total:
            self.audit.write(
                "upload", owner=who.key, device=lease.device, fence=lease.fence, sha256=header["sha256"], bytes=total
            )
        return {"have": have}, b""

    def _do(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Begin a request, or with an id that is known go on with it: what was done once is not done again."""
        name, what = name_of(header), {k: v for k, v in header.items() if k not in ("wait_s", "seen")}
        digest = hashlib.sha256(dump_json(what) + body).hexdigest()

        def begin() -> tuple[Lease, Keeper, dict[str, Any]]:
            self._require_audit()
            lease = self._lease(who, header)
            order = order_of(header)
            if "sha256" in header:
                order["path"] = str(self.uploads.whole(lease.id, field(header, "sha256", str)))
            return lease, self.keepers[lease.device], order

        self.jobs.take(who.key, name, digest, begin, body, field(header, "generation", str, ""))
        return self._wait(who, header, b"")

    def _wait(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        wait = min(field(header, "wait_s", float, 0.0), self.limits.poll_s)
        with self._poll() as may_wait:
            return self.jobs.answer(who.key, name_of(header), wait if may_wait else 0.0)

    def _fetch(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        return {}, self.jobs.read(who.key, name_of(header), field(header, "offset", int))

    def _judge(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        keeper = self.keepers.get(field(header, "device", str))
        if keeper is None:
            raise HilError(
                Diagnostic(
                    "E869", "", f"there is no device {header['device']!r:.40}", f"devices here: {', '.join(self.keepers)}"
                ),
                Outcome.UNSUPPORTED,
            )
        keeper.judge(field(header, "reason", str)[:500], by=who.key)
        return {}, b""

    def _revoke(self, who: Who, header: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        lease = self.book.of(field(header, "device", str))
        if lease is not None:
            self.book.over(lease.id, f"revoked by {who.key}")
        return {"revoked": lease is not None}, b""

    def _lease(self, who: Who, header: Mapping[str, Any]) -> Lease:
        seen = field(header, "seen", int) if "seen" in header else None
        return self.book.hold(who.owner, field(header, "lease", str), field(header, "fence", int), seen)

    @contextlib.contextmanager
    def _poll(self) -> Any:
        """Yield whether this call may wait: some threads are always left for those that do not."""
        may = self._polls.acquire(blocking=False)
        try:
            yield may
        finally:
            if may:
                self._polls.release()

    def _require_audit(self) -> None:
        if not self.audit.ok:
            self.audit.write("audit again", lost=self.audit.lost)
        if not self.audit.ok:
            raise no_room("the daemon cannot write its audit log")

    def _granted(self, lease: Lease) -> None:
        self.audit.write(
            "lease", device=lease.device, owner=lease.owner or None, client=lease.client, lease=lease.id, fence=lease.fence,
            ttl=lease.ttl,
        )  # fmt: skip
        self.keepers[lease.device].wake()

    def _over(self, lease: Lease) -> None:
        self.audit.write(
            "lease over", device=lease.device, client=lease.client, lease=lease.id, fence=lease.fence, why=lease.why_over
        )
        self.uploads.drop(lease.id)
        self.keepers[lease.device].wake()

    def _keep_house(self) -> None:
        turn = 0
        while not self._stopping.wait(0.2):
            turn += 1
            try:
                for lease in self.book.expire()[1]:
                    self.audit.write("peer silent", device=lease.device, client=lease.client, lease=lease.id, fence=lease.fence)
                self.book.match()
                for path in self.uploads.idle():
                    self.audit.write("upload dropped", sha256=path.stem)
                if turn % 10 == 0:
                    self.jobs.tidy()
            except SpikeportError as error:
                self.audit.write("housekeeping failed", code=error.diagnostics[0].code, reason=error.diagnostics[0].message)
            except Exception as error:  # it goes on whatever happens
                self.audit.write("housekeeping failed", reason=f"{type(error).__name__}: {error}")
