"""Processes of simulators: each leads a group of its own, which is ended as a whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path


def end_group(process: subprocess.Popen[bytes], folder: Path, owner: int) -> None:
    """End *process*, which leads its group, with all that it started, and remove *folder*; in a fork of *owner* do nothing."""
    if os.getpid() != owner:
        return
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    group = process.pid
    # The tracker of shared memory ignores this, and ends by itself when it has given back what Lava took.
    _signal(group, signal.SIGTERM)
    _signal(group, signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    until = time.monotonic() + 2
    while (lives := bool(living(group))) and time.monotonic() < until:
        time.sleep(0.02)
    if lives:
        _signal(group, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def living(group: int) -> list[int]:
    """Return the processes of a group that run; those that are dead and wait for init to notice do not count."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = entry.read_text("utf-8", "replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(int(entry.parent.name))
    return found


__all__ = ["end_group", "living"]
