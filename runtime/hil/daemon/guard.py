"""The guard of a worker: a small process that nothing outlives.

It is what the daemon starts. It forks the worker, takes in every process that the worker leaves behind (Lava's, compilers),
watches their memory and their use of processors, and ends them all when the worker ends, when the daemon says so, or when the
daemon is gone. It loads neither numpy nor a backend, so it is there even where the worker hangs in compiled code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

#: Exit codes of a guard: the worker ended by itself (plus its code), was killed by a signal, needed too much memory.
SIGNALLED, MEMORY, DISMISSED = 128, 77, 0
_PDEATHSIG, _SUBREAPER = 1, 36
#: Between two looks at the processes that are known, and between two searches for new ones.
_TICK_S, _SCAN_S = 0.1, 1.0
_PAGE, _HERTZ = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def guarded(work: Callable[[], int], lifeline: int, status: int, memory: int) -> int:
    """Fork, run *work* in the child, and guard it; return the exit code for this process.

    Parameters
    ----------
    work : callable
        What the worker does; returns its exit code.
    lifeline : int
        Descriptor that is at its end when the daemon lets go or is gone.
    status : int
        Descriptor on which the guard says, a line each, how many seconds of processor time all processes have used.
    memory : int
        Bytes that all processes together may have in memory.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(SIGNALLED)
        os.close(lifeline)
        os.close(status)
        os.setpgid(0, 0)
        code = 1
        try:
            code = work()
        finally:
            sys.stderr.flush()
            os._exit(code)
    # The worker's lines are its own: while the guard held them too, the daemon would not see them end.
    for stream in (0, 1):
        with contextlib.suppress(OSError):
            os.close(stream)
    code = _watch(child, lifeline, status, memory)
    end_all(child)
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)  # theirs alone, made by the daemon, which may be gone
    return code


def _watch(child: int, lifeline: int, status: int, memory: int) -> int:
    poll = select.poll()
    ended = os.pidfd_open(child)
    poll.register(ended, select.POLLIN)
    poll.register(lifeline, select.POLLIN | select.POLLHUP)
    os.set_blocking(status, False)
    said, tree, seen = -1.0, [child], time.monotonic()
    while True:
        ready = {fd for fd, _ in poll.poll(_TICK_S * 1000)}
        if ended in ready:
            _, how = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(how)
            return code if code >= 0 else SIGNALLED - code
        if lifeline in ready:
            return DISMISSED
        if time.monotonic() - seen > _SCAN_S:
            tree, seen = descendants(os.getpid()), time.monotonic()
        used, held = usage(tree)
        if held > memory:
            return MEMORY
        if round(used, 2) != said:
            said = round(used, 2)
            # A daemon that does not read loses lines, not the guard its time.
            with contextlib.suppress(OSError):
                os.write(status, f"{said}\n".encode())


def descendants(root: int) -> list[int]:
    """Return the processes below *root*, in whatever group or session they are."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                below.setdefault(int(_stat(name)[1]), []).append(int(name))
    found, to_see = [], [root]
    while to_see:
        children = below.get(to_see.pop(), [])
        found += children
        to_see += children
    return found


def _stat(pid: int | str) -> list[str]:
    """Return what the system says of a process, from its state on: before that comes its name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def usage(pids: list[int]) -> tuple[float, int]:
    """Return seconds of processor time and bytes in memory of *pids* together; those that end meanwhile do not count."""
    seconds, held = 0.0, 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = _stat(pid)
            seconds += (int(words[11]) + int(words[12])) / _HERTZ
            held += int(words[21]) * _PAGE
    return seconds, held


def end_all(child: int, patience_s: float = 5.0) -> None:
    """Kill every process below this one and wait until each is gone."""
    until = time.monotonic() + patience_s
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    while time.monotonic() < until:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return
