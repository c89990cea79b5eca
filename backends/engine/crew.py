"""A crew: the calling thread and helpers that wait for work, each on a core of its own.

Where a woken thread is put on the core of the thread that woke it, the two take turns on one core while another one
idles, for as long as a short run lasts (seen here: twice the time). So helpers are kept off the caller's core.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


def _core_finder() -> Callable[[], int] | None:
    """Return a function that gives the calling thread's core, where the system tells and lets threads be placed."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        found: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None
    return found


class Crew:
    """Helpers of one thread.

    Parameters
    ----------
    helpers : int
        Threads beside the calling one.
    """

    def __init__(self, helpers: int) -> None:
        self.process = os.getpid()
        self._current_core = _core_finder()
        self._kept_off: int | None = None
        self._work: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(helpers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(queue,), name=f"spikeport-engine-{i}", daemon=True)
            for i, queue in enumerate(self._work, start=1)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, work: Callable[[int], None], number: int, on_failure: Callable[[], None]) -> None:
        """Call *work* with 0 to *number* - 1, 0 in this thread, the others in helpers; return when all have ended.

        Where one raises, *on_failure* is called, and the first exception is raised when all have ended.
        """
        self._spread()
        # A queue of this run alone: what comes late from a run that was given up is nobody's.
        done: SimpleQueue[BaseException | None] = SimpleQueue()

        def guarded(part: int) -> BaseException | None:
            try:
                work(part)
            except BaseException as error:
                on_failure()
                return error
            return None

        try:
            for part in range(1, number):
                self._work[part - 1].put((guarded, part, done))
            found = [guarded(0)]
        except BaseException:  # an interrupt between the work: nobody shall wait for this thread
            on_failure()
            raise
        while len(found) < number:
            try:
                found.append(done.get())
            except BaseException as error:  # an interrupt while we wait: let the others end before it goes on
                on_failure()
                found[0] = found[0] or error
        for failure in found:
            if failure is not None:
                raise failure

    def close(self) -> None:
        """Let the helpers go."""
        for queue in self._work:
            queue.put(None)

    def _spread(self) -> None:
        """Keep the helpers off the core that this thread is on."""
        if self._current_core is None:
            return
        core = self._current_core()
        if core == self._kept_off:
            return
        allowed = os.sched_getaffinity(0)
        others = allowed - {core} or allowed
        with contextlib.suppress(OSError):  # a helper on the wrong core costs time, nothing else
            for thread in self._threads:
                os.sched_setaffinity(thread.native_id or 0, others)
            self._kept_off = core

    def _serve(self, queue: SimpleQueue[Any]) -> None:
        while (job := queue.get()) is not None:
            guarded, part, done = job
            done.put(guarded(part))
            del guarded, done, job  # what the work holds is not kept until the next one
