"""``--timeout``: ends a run near the asked time, whatever its backend is doing.

First a signal raises RunTimeout in the main thread, which ends all that runs in Python, or between two calls of compiled
code, in good order. A backend may stay in compiled code for longer: where the process is the command's own, it is ended
after a grace period, with the same message and exit code. Nothing is half written then: results are written after the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from spikeport.runtime.cli import output

if TYPE_CHECKING:
    from spikeport.ir.diagnostics import RunTimeout

#: Seconds after which a run that the signal did not end is ended with the process.
GRACE_S = 1.0

_owned: list[Callable[[int], None]] = []


def own_process() -> None:
    """Say that this process is the command's own and may be ended: what ``main`` does."""
    _owned[:] = [os._exit]


@contextlib.contextmanager
def limit(seconds: float | None, as_json: bool = False) -> Iterator[None]:
    """Raise RunTimeout E803 in the main thread after *seconds*; end a process of our own that does not answer to that."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _late(seconds)

    watch = threading.Timer(seconds + GRACE_S, _end, (seconds, as_json))
    watch.daemon = True
    before = signal.signal(signal.SIGALRM, stop)
    if _owned:
        watch.start()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        watch.cancel()


def _late(seconds: float) -> RunTimeout:
    from spikeport.ir.diagnostics import Diagnostic, RunTimeout

    return RunTimeout(
        Diagnostic(
            "E803", "--timeout", f"the run did not end within {seconds:g} s",
            "give more time, fewer samples or a faster backend", {"seconds": seconds},
        )
    )  # fmt: skip


def _end(seconds: float, as_json: bool) -> None:
    """End the process as RunTimeout would have, from beside the thread that does not answer."""
    error = _late(seconds)
    # Where the loading talks to stderr in place of stdout, the result still goes to stdout.
    with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.__stdout__):
        output.failed(error, as_json)
        sys.stdout.flush()
        sys.stderr.flush()
    for leave in _owned:
        leave(error.exit_code)
