"""Requests under way and done: an id stands for one thing, which is done once, and whose answer is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, SpikeportError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.daemon.audit import Audit
from spikeport.runtime.hil.daemon.config import Limits
from spikeport.runtime.hil.daemon.desk import Job
from spikeport.runtime.hil.daemon.errors import error_json
from spikeport.runtime.hil.daemon.keeper import Keeper
from spikeport.runtime.hil.daemon.places import Lease
from spikeport.runtime.hil.daemon.refusals import no_room, too_busy
from spikeport.runtime.hil.daemon.store import Store
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.strict_json import dump_json


class Jobs:
    """The requests of all clients."""

    def __init__(self, store: Store, audit: Audit, limits: Limits) -> None:
        self._store, self._audit, self._limits = store, audit, limits
        self._lock = threading.Lock()
        self._live: dict[tuple[str, str], Job] = {}
        self._unsaved: list[Job] = []
        self._held = store.held()

    def take(
        self, owner: str, name: str, digest: str, begin: Callable[[], tuple[Lease, Keeper, dict[str, Any]]], body: bytes,
        generation: str,
    ) -> None:  # fmt: skip
        """Begin the request *name*, unless it has been begun.

        Raises
        ------
        HilError
            E876 where the name stood for something else, E871 where no more can wait, E881 where it cannot be written down;
            what *begin* raises.
        """
        with self._lock:
            job, row = self._live.get((owner, name)), None
            if job is None:
                row = self._store.request(owner, name)
            known = job.digest if job is not None else row.digest if row is not None else None
            if known is not None:
                if known != digest:
                    raise HilError(
                        Diagnostic("E876", name, f"the request {name!r} was made before and asked for something else",
                                   "give each request an id of its own"), Outcome.INFRASTRUCTURE,
                    )  # fmt: skip
                return
            lease, keeper, order = begin()
            waiting = sum(j.lease is lease for j in list(self._live.values()))  # keepers take theirs out meanwhile
            if waiting >= self._limits.jobs:
                raise too_busy(f"{waiting} requests of this lease wait already", 1.0)
            if self._held > self._limits.results_mb * 2**20:
                raise too_busy(f"the daemon holds {self._held >> 20:,} MB of results", 10.0)
            job = Job((owner, name), digest, lease, order, body, generation)
            self._store.begin(owner, name, digest, lease.id, lease.device, lease.fence)
            self._live[job.key] = job
            try:
                keeper.submit(job)
            except HilError as error:
                job.answer = ({"ok": False, "error": error_json(error)}, b"", None)
                self._save(job)
                raise

    def finish(self, job: Job, header: dict[str, Any], body: bytes, file: Path | None) -> None:
        """Enter the answer of *job*: kept first, told then."""
        job.answer = ({**header, "ok": True}, body, file)
        job.body = b""
        try:
            size = len(body) if file is None else file.stat().st_size
            self._keep(job)
        except (HilError, OSError) as error:
            reason = error.diagnostics[0].message if isinstance(error, HilError) else str(error)
            self.fail(job, no_room(f"the result could not be kept: {reason}", "make room on the daemon's disk; run again"))
            return
        self._held += size
        self._audit.write(
            "done",
            owner=job.key[0],
            request=job.key[1],
            do=job.order["do"],
            device=job.lease.device,
            fence=job.lease.fence,
            bytes=size,
        )
        self._told(job)

    def fail(self, job: Job, error: SpikeportError) -> None:
        """Enter that *job* failed."""
        job.answer = ({"ok": False, "error": error_json(error)}, b"", None)
        job.body = b""
        self._audit.write(
            "failed", owner=job.key[0], request=job.key[1], do=job.order["do"], device=job.lease.device, fence=job.lease.fence,
            code=error.diagnostics[0].code, reason=error.diagnostics[0].message,
        )  # fmt: skip
        self._save(job)

    def _save(self, job: Job) -> None:
        """Keep the answer of a failed job; on a full disk it is told from memory, and kept later."""
        try:
            self._keep(job)
        except (HilError, OSError):
            self._unsaved.append(job)
            job.done.set()
            return
        self._told(job)

    def _keep(self, job: Job) -> None:
        assert job.answer is not None
        header, body, file = job.answer
        self._store.finish(*job.key, dump_json(header), body, file)

    def _told(self, job: Job) -> None:
        self._live.pop(job.key, None)
        job.done.set()

    def answer(self, owner: str, name: str, wait_s: float) -> tuple[dict[str, Any], bytes]:
        """Return how a request stands, after at most *wait_s*: running with its step, or done with its answer."""
        job = self._live.get((owner, name))
        if job is not None and not job.done.wait(wait_s):
            return {"state": "running", "step": job.step[0], "of": job.step[1]}, b""
        row = self._store.request(owner, name)
        if row is not None and row.state == "done":
            header = wire.parse_header(row.header)
            body = self._store.read(row, 0, wire.CHUNK) if row.size <= wire.CHUNK else b""
            return {"state": "done", "answer": header, "size": row.size}, body
        if job is not None and job.answer is not None:
            return {"state": "done", "answer": job.answer[0], "size": 0}, b""
        if row is not None and row.state == "running" and (owner, name) in self._live:
            return {"state": "running", "step": 0, "of": 0}, b""
        what = "the daemon was restarted while this request was under way" if row is not None else "this request is not known"
        error = HilError(Diagnostic("E872", name, what, "load and run again"), Outcome.INFRASTRUCTURE)
        return {"state": "done", "answer": {"ok": False, "error": error_json(error)}, "size": 0}, b""

    def read(self, owner: str, name: str, offset: int) -> bytes:
        """Return the next piece of a large result; raise WireError E877 for one that is not there."""
        row = self._store.request(owner, name)
        if row is None or row.state != "done" or not 0 <= offset <= row.size:
            raise wire.wire_error(f"there is no result {name!r} with a byte {offset:,}")
        return self._store.read(row, offset, wire.CHUNK)

    def tidy(self) -> None:
        """Keep what a full disk kept us from keeping; drop what is old."""
        while self._unsaved:
            self._keep(self._unsaved[0])
            self._told(self._unsaved.pop(0))
        self._store.drop(self._limits.keep_s, self._limits.keep_unread_s, int(self._limits.results_mb * 2**20))
        self._held = self._store.held()
