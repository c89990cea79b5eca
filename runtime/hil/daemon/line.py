"""The line to a worker: starts it under its guard, orders, waits no longer than the watchdogs allow, leaves no process."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import Diagnostic
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.daemon.guard import MEMORY, SIGNALLED
from spikeport.runtime.hil.outcome import HilError, Outcome

#: Seconds of processor time that count as a sign of life; time in which an ended guard has to be gone.
_ALIVE_S, _GONE_S = 0.02, 15.0
_SCRATCH = "hild-"
#: Variable by which every process that a worker starts can be told: the worker's folder.
MARK = "SPIKEPORT_HIL_WORKER"


class WorkerLost(HilError):
    """The worker is gone (E872), or was ended since it did not answer (E873) or needed too much memory (E878)."""

    @property
    def is_crash(self) -> bool:
        """Whether it ended without anybody's asking for that."""
        return self.diagnostics[0].code == "E872"


class Revoked(Exception):
    """The order is no longer wanted: the lease is over, or the daemon stops."""


class Line:
    """A running worker and its guard.

    Parameters
    ----------
    folder : Path
        Made for it, and removed with it.
    memory_mb, file_mb : float
        What the worker and all that it starts may use, and the size of a file that it may write.
    log : Path
        Where the last words of workers go.
    """

    def __init__(self, folder: Path, memory_mb: float, file_mb: float, log: Path) -> None:
        self.folder = folder
        self.limits = {"memory_bytes": int(memory_mb * 2**20), "file_bytes": int(file_mb * 2**20)}
        self.generation = os.urandom(6).hex()
        self._cpu = 0.0
        self._text, self._status_text = bytearray(), b""
        folder.mkdir(parents=True, mode=0o700)
        # Of its own and with a short name: what a backend makes there may be sockets, whose paths have 107 letters at most.
        self._scratch = tempfile.mkdtemp(prefix=_SCRATCH)
        (folder / "tmp").symlink_to(self._scratch)  # for `clear_work`
        if log.exists() and log.stat().st_size > 2**22:
            os.replace(log, log.with_suffix(".1"))
        life, self._life = os.pipe()
        self._status, status = os.pipe()
        command = [sys.executable, "-P", "-m", "spikeport.runtime.hil.daemon.worker", str(life), str(status)]
        try:
            with log.open("ab") as errors:
                self.process = subprocess.Popen(
                    [*command, str(self.limits["memory_bytes"])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=errors, cwd=folder, env=_environment(folder, self._scratch), pass_fds=(life, status),
                    start_new_session=True, bufsize=0,
                )  # fmt: skip
        except BaseException:  # no processes or no descriptors are left: what we took of them is given back
            for fd in (self._life, self._status):
                os.close(fd)
            self._clear()
            raise
        finally:
            os.close(life)
            os.close(status)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._orders, self._answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        for fd in (self._orders, self._answers, self._status):
            os.set_blocking(fd, False)

    @property
    def is_ended(self) -> bool:
        """Whether `end` was called; its descriptors are closed then, and must not be used."""
        return self._life < 0

    @property
    def fd(self) -> int:
        """Descriptor that becomes readable when an idle worker ends."""
        return self._answers

    def ask(
        self, order: dict[str, Any], body: bytes, seconds: float, stall: float,
        is_wanted: Callable[[], bool], on_step: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[dict[str, Any], bytes]:  # fmt: skip
        """Give an order and return its answer.

        Raises
        ------
        WorkerLost
            E872 where the worker died, E878 where it needed too much memory, E873 where a watchdog ended it.
        Revoked
            Where *is_wanted* says no any longer; the worker is ended.
        """
        phase = order["do"]
        to_send = memoryview(wire.encode(order, body))
        started = moved = time.monotonic()
        cpu = self._cpu
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._answers, selectors.EVENT_READ)
                selector.register(self._status, selectors.EVENT_READ)
                selector.register(self._orders, selectors.EVENT_WRITE)
                while True:
                    for key, _ in selector.select(0.05):
                        if key.fd == self._orders:
                            to_send = self._write(to_send)
                            if not to_send:
                                selector.unregister(self._orders)
                        elif key.fd == self._answers:
                            self._read(phase)
                        elif not self._read_status():
                            selector.unregister(self._status)
                    now = time.monotonic()
                    while (answer := self._next()) is not None:
                        if "step" not in answer[0]:
                            return answer
                        moved = now
                        on_step(wire.field(answer[0], "step", int), wire.field(answer[0], "of", int))
                    if self._cpu - cpu > _ALIVE_S:
                        cpu, moved = self._cpu, now
                    if now - started > seconds:
                        raise _late(phase, f"took longer than {seconds:g} s")
                    if now - moved > stall:
                        raise _late(phase, f"made no step and used no processor for {stall:g} s")
                    if not is_wanted():
                        raise Revoked
        except BaseException:
            self.end()
            raise

    def _write(self, data: memoryview) -> memoryview:
        try:
            return data[os.write(self._orders, data[:65536]) :]
        except BlockingIOError:
            return data
        except OSError:
            return data[:0]  # its end shows on the other stream

    def _read(self, phase: str) -> None:
        piece = os.read(self._answers, 2**18)
        if not piece:
            raise self.last_words(phase)
        self._text += piece

    def _read_status(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            piece = os.read(self._status, 65536)
            if not piece:
                return False
            *lines, self._status_text = (self._status_text + piece).split(b"\n")
            if lines:
                self._cpu = float(lines[-1])
        return True

    def _next(self) -> tuple[dict[str, Any], bytes] | None:
        if len(self._text) < wire.HEAD_SIZE:
            return None
        text, body = wire.sizes(bytes(self._text[: wire.HEAD_SIZE]), wire.CHUNK)
        if len(self._text) < wire.HEAD_SIZE + text + body:
            return None
        data = bytes(self._text[: wire.HEAD_SIZE + text + body])
        del self._text[: wire.HEAD_SIZE + text + body]
        return wire.decode(data, wire.CHUNK)

    def last_words(self, phase: str) -> WorkerLost:
        """Return the error of a worker whose answers have ended, which is ended altogether."""
        self.end(wait_first=True)
        code = self.process.returncode
        if code == MEMORY:
            most = f"{self.limits['memory_bytes'] >> 20:,} MB"
            what = f"the worker needed more than the {most} of memory that a lease has (phase {phase})"
            hint = "run fewer samples or steps at once, or record less"
            return WorkerLost(Diagnostic("E878", "", what, hint), Outcome.UNSUPPORTED)
        how = f"was killed by signal {code - SIGNALLED}" if code > SIGNALLED else f"ended with exit code {code}"
        how = f"was killed by signal {-code}" if code < 0 else how
        what = f"the worker {how} in the phase {phase}"
        return WorkerLost(Diagnostic("E872", "", what, "load and run again"), Outcome.INFRASTRUCTURE)

    def end(self, wait_first: bool = False) -> None:
        """End the worker, its guard and all that they started, and remove the folder; again does no harm."""
        if self.is_ended:
            return
        if wait_first:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GONE_S)
        os.close(self._life)
        self._life = -1
        try:
            self.process.wait(_GONE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        os.close(self._status)
        if self.process.returncode < 0:  # the guard itself was killed, and did not see to what was left
            sweep(self.folder)
        self._clear()

    def _clear(self) -> None:
        for path in (self.folder, self._scratch):
            shutil.rmtree(path, ignore_errors=True)


def sweep(folder: Path) -> list[int]:
    """Kill the processes that were started for workers in *folder* or below it, which nobody guards any more; return them.

    Their environment says so; that of other users' processes cannot be read, nor can they be killed.
    """
    found, mark = [], f"{MARK}={folder}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            if any(word == mark or word.startswith(mark + b"/") for word in words) and int(entry.parent.name) != os.getpid():
                os.kill(int(entry.parent.name), signal.SIGKILL)
                found.append(int(entry.parent.name))
    return found


def clear_work(work: Path) -> list[int]:
    """End and remove what workers in *work* have left, whose guards were killed with their daemon; return the processes."""
    found = sweep(work)
    for link in work.glob("*/tmp"):
        scratch = Path(os.readlink(link)) if link.is_symlink() else link
        # What a worker may have put in its place is not followed.
        if scratch.name.startswith(_SCRATCH) and scratch.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    return found


def _environment(folder: Path, scratch: str) -> dict[str, str]:
    """Return the environment of a worker: no secrets of the daemon's, its own temporary folder, and whose it is."""
    secret = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY")
    kept = {k: v for k, v in os.environ.items() if not any(word in k.upper() for word in secret)}
    return {**kept, "TMPDIR": scratch, MARK: str(folder), "OMP_WAIT_POLICY": "PASSIVE"}


def _late(phase: str, what: str) -> WorkerLost:
    hint = "run fewer samples or steps, or raise the daemon's limits"
    return WorkerLost(
        Diagnostic("E873", "", f"the worker {what} in the phase {phase}; it was ended", hint, {"phase": phase}), Outcome.TIMEOUT
    )
