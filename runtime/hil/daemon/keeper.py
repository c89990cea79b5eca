"""The keeper of a device: a thread that starts its workers, verifies it, serves its lease, and shuts it away when it fails."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import threading
from collections import deque
from typing import Any

from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic, SpikeportError, UsageError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.daemon.config import DeviceConfig
from spikeport.runtime.hil.daemon.desk import Desk, Job
from spikeport.runtime.hil.daemon.errors import error_from
from spikeport.runtime.hil.daemon.line import Line, Revoked, WorkerLost
from spikeport.runtime.hil.daemon.places import Lease
from spikeport.runtime.hil.daemon.refusals import quarantined, stale
from spikeport.runtime.hil.daemon.standing import Standing
from spikeport.runtime.hil.device import DeviceInfo
from spikeport.runtime.hil.outcome import HilError, Outcome, outcome_of

#: Phases by the limit that each has.
_LIMIT = {"connect": "connect_s", "load": "configure_s", "run": "run_s", "reset": "read_back_s", "digest": "read_back_s",
          "close": "read_back_s"}  # fmt: skip
#: Seconds until a device that cannot be had (its backend is not installed, ...) is tried again.
_AGAIN_S = 30.0


class Keeper(threading.Thread):
    """Keeps the device *config*."""

    def __init__(self, config: DeviceConfig, desk: Desk) -> None:
        super().__init__(name=f"keeper of {config.name}", daemon=True)
        self.config, self.desk = config, desk
        self.info = DeviceInfo(config.name, "hw" if config.driver else "sim", config.backend, config.target, (), "", "starting")
        self.jobs: deque[Job] = deque()
        self.line: Line | None = None
        self.standing = Standing(desk.store, config.name, desk.limits.strikes)
        self._fresh = ""
        self._stopping = False
        self._lock = threading.Lock()
        self._ear, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._say("starting")

    @property
    def generation(self) -> str:
        """Names the worker that is there now; a program is loaded into one worker."""
        line = self.line
        return line.generation if line is not None else ""

    def _why_shut(self) -> str:
        return self.standing.quarantined

    def wake(self) -> None:
        """Have the keeper look up: a lease began or ended, a job came, the daemon stops."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._bell >= 0:  # the number of a closed one may be another file by now
                os.write(self._bell, b"x")

    def submit(self, job: Job) -> None:
        """Put *job* in line; raise HilError E868 where its lease is over."""
        with self._lock:
            if job.lease.why_over:
                raise stale(self.config.name)
            self.jobs.append(job)
        self.wake()

    def stop(self) -> None:
        """Have the thread end, and its worker."""
        self._stopping = True
        self.wake()

    def judge(self, reason: str, by: str = "") -> None:
        """Shut the device away, or with an empty *reason* take it back; whoever asks from now on finds it so."""
        with self.desk.book.changed:
            was = self._why_shut()
            self.standing.put(0, reason)
            if reason or was:
                self._say("starting")
        self._fresh = self._fresh if reason else ""
        self.desk.audit.write(
            "quarantine" if reason else "restore", device=self.config.name, reason=reason or None, by=by or None
        )
        if reason:
            lease = self.desk.book.of(self.config.name)
            if lease is not None:
                self.desk.book.over(lease.id, "quarantined")
        self.wake()

    def run(self) -> None:
        """Serve one lease after the other."""
        while not self._stopping:
            try:
                self._turn()
            except Revoked:
                self._drop_line()
            except (BackendUnavailable, UsageError) as error:
                self._drop_line()
                self._say(f"unavailable: {error.diagnostics[0].message}")
                self._refuse_jobs(error)
                self._wait(_AGAIN_S)
            except SpikeportError as error:
                self._drop_line()
                self._blame(error)
            except Exception as error:  # a keeper outlives whatever happens to its device
                self._drop_line()
                self.desk.audit.write("keeper failed", device=self.config.name, reason=f"{type(error).__name__}: {error}")
                self._wait(1.0)
        self._drop_line()
        self._refuse_jobs()
        with self._lock:
            os.close(self._ear)
            os.close(self._bell)
            self._bell = -1

    def _turn(self) -> None:
        self.standing.keep()
        if self._why_shut():
            self._drop_line()
            self._say("starting")
            self._refuse_jobs()
            self._wait(5.0)
            return
        self._prepare()
        lease = self.desk.book.of(self.config.name)
        if lease is None:
            self._say("free", offer=True)
            assert self.line is not None
            if self._wait(5.0, self.line.fd):
                raise self.line.last_words("idle")
            return
        self._say("leased")
        try:
            self._serve(lease)
        finally:
            self._refuse_jobs()
        if self._why_shut():
            return
        self._say("resetting")
        self._verify(None)
        self._order({"do": "close"}, None)
        self._drop_line()

    def _prepare(self) -> None:
        """Have a worker whose device is known to be as a fresh one."""
        if self.line is not None:
            return
        limits, name = self.desk.limits, self.config.name
        self._say("starting")
        memory = self.config.memory_mb or limits.memory_mb
        folder = self.desk.folder / "work" / f"{name}-{os.urandom(6).hex()}"
        self.line = Line(folder, memory, limits.file_mb, self.desk.folder / f"{name}.log")
        order = {"do": "connect", "device": self.config.as_dict(), **self.line.limits}
        found = wire.info_from(self._order(order, None)[0].get("info"))
        self.info = dataclasses.replace(found, name=name)
        self._verify(None)

    def _verify(self, lease: Lease | None) -> None:
        """Reset the device and read its state back; HilError E874 where it is not that of a fresh device."""
        state = self._order({"do": "reset"}, lease)[0].get("state")
        self._fresh = self._fresh or str(state)
        if state != self._fresh:
            why = "after a reset its state is not that of a fresh device"
            raise HilError(Diagnostic("E874", self.config.name, why, "look after it"), Outcome.QUARANTINED)

    def _serve(self, lease: Lease) -> None:
        """Do the jobs of *lease* until it is over."""
        try:
            self._verify(lease)
            lease.is_ready = True
            with self.desk.book.changed:
                self.desk.book.changed.notify_all()
            while not lease.why_over and not self._stopping:
                job = self._next_job()
                if job is not None:
                    self._do(job, lease)
                elif self._wait(5.0, None if self.line is None else self.line.fd) and self.line is not None:
                    self._blame(self.line.last_words("idle"))
                    self._drop_line()
                else:
                    continue
                if self._why_shut():
                    return
                self._prepare()
                self._say("leased")
        except Revoked:
            self._drop_line()
            self._prepare()

    def _next_job(self) -> Job | None:
        with self._lock:
            return self.jobs.popleft() if self.jobs else None

    def _do(self, job: Job, lease: Lease) -> None:
        """Have the worker do *job*; the job is answered whatever happens."""
        assert self.line is not None
        line, order = self.line, {**job.order, "fence": lease.fence}
        try:
            if job.lease is not lease:
                raise stale(self.config.name)
            if job.generation and job.generation != line.generation:
                raise _gone("the worker that had the program is gone", "load the program again", reload=True)
            seconds = order.pop("seconds", None)
            header, body = self._order(order, lease, job, seconds)
        except Revoked:
            self.desk.fail(job, self._why_not())
            raise
        except SpikeportError as error:
            self.desk.fail(job, error)
            if line.is_ended:  # it died, or what it said was no answer
                self.line = None
                self._blame(error)
            elif outcome_of(error) == Outcome.QUARANTINED:
                raise
            return
        except Exception as error:  # whatever it is: nobody waits for ever
            self.desk.fail(job, _gone(f"the daemon failed: {type(error).__name__}: {error}", "see its audit log"))
            raise
        header["generation"] = line.generation
        file = line.folder / "result" if header.pop("file", None) else None
        self.desk.finish(job, header, body, file)
        if order["do"] == "run":
            self.standing.put(strikes=0)

    def _order(
        self, order: dict[str, Any], lease: Lease | None, job: Job | None = None, seconds: float | None = None
    ) -> tuple[dict[str, Any], bytes]:
        assert self.line is not None
        limits = self.desk.limits
        most = getattr(limits, _LIMIT[order["do"]])

        def is_wanted() -> bool:
            return not self._stopping and (lease is None or not lease.why_over)

        def on_step(done: int, total: int) -> None:
            if job is not None:
                job.step = (done, total)

        header, body = self.line.ask(
            order, b"" if job is None else job.body, min(most, seconds or most), limits.stall_s, is_wanted, on_step
        )
        if header.get("ok") is not True:
            raise error_from(header.get("error"))
        return header, body

    def _blame(self, error: SpikeportError) -> None:
        """Count a failure of the device against it, and shut it away when it is one too many."""
        self.desk.audit.write(
            "worker lost" if isinstance(error, WorkerLost) else "device failed", device=self.config.name,
            code=error.diagnostics[0].code, reason=error.diagnostics[0].message,
        )  # fmt: skip
        why = self.standing.blame(error)
        if why:
            self.judge(why)

    def _why_not(self) -> HilError:
        """Return why a job that nobody does any more was not done."""
        if self._why_shut():
            return quarantined(self.config.name, self._why_shut())
        if self._stopping:
            return _gone("the daemon was stopped while this request was under way", "load and run again")
        return stale(self.config.name)

    def _refuse_jobs(self, error: SpikeportError | None = None) -> None:
        while (job := self._next_job()) is not None:
            self.desk.fail(job, error or self._why_not())

    def _say(self, health: str, offer: bool = False) -> None:
        """Tell the book how the device is, and with *offer* that it is to be had; of one that is shut away only that."""
        with self.desk.book.changed:
            if why := self._why_shut():
                health, offer = f"quarantined: {why}", False
            self.info = dataclasses.replace(self.info, health=health)
            (self.desk.book.offer if offer else self.desk.book.withdraw)(self.config.name, self.info)

    def _drop_line(self) -> None:
        line, self.line = self.line, None
        if line is not None:
            line.end()

    def _wait(self, seconds: float, worker: int | None = None) -> bool:
        """Wait for the bell, or *seconds*; return whether the idle *worker* has said something, which can only be its end."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            if worker is not None:
                selector.register(worker, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select(seconds)}
        with contextlib.suppress(BlockingIOError):
            os.read(self._ear, 4096)
        return worker is not None and worker in ready


def _gone(message: str, hint: str, **facts: bool) -> HilError:
    return HilError(Diagnostic("E872", "", message, hint, facts), Outcome.INFRASTRUCTURE)
