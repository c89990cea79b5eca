"""How a device stands: strikes against it, and why it is shut away.

Both are kept in the store, which a full disk delays until there is room.
"""

from __future__ import annotations

import contextlib
import threading

from spikeport.ir.diagnostics import SpikeportError
from spikeport.runtime.hil.daemon.line import WorkerLost
from spikeport.runtime.hil.daemon.store import Store
from spikeport.runtime.hil.outcome import HilError, Outcome

#: Phases in which a worker that is late is its device's doing; a run that takes too long is its client's.
_ITS_OWN = ("connect", "reset", "digest", "close")


class Standing:
    """Strikes and quarantine of the device *name*; *most* strikes in a row are one too many."""

    def __init__(self, store: Store, name: str, most: int) -> None:
        self._store, self._name, self._most = store, name, most
        self.strikes, self.quarantined = store.device(name)
        self._is_kept, self._lock = True, threading.RLock()

    def put(self, strikes: int | None = None, quarantined: str | None = None) -> None:
        """Set what is given; an empty reason is no quarantine."""
        with self._lock:
            new = self.strikes if strikes is None else strikes, self.quarantined if quarantined is None else quarantined
            if new != (self.strikes, self.quarantined):
                (self.strikes, self.quarantined), self._is_kept = new, False
            self.keep()

    def keep(self) -> None:
        """Write down what is not written down yet, as far as the disk allows."""
        with self._lock, contextlib.suppress(HilError):
            if not self._is_kept:
                self._store.judge(self._name, self.strikes, self.quarantined)
                self._is_kept = True

    def blame(self, error: SpikeportError) -> str:
        """Count a failure against the device; return why it has to be shut away, empty where it need not."""
        first = error.diagnostics[0]
        if isinstance(error, HilError) and error.outcome == Outcome.QUARANTINED:
            return first.message
        # What a worker refused, or how it ended, is the device's doing; a run too long or too large is its client's.
        if isinstance(error, WorkerLost) and not error.is_crash and first.facts.get("phase", "") not in _ITS_OWN:
            return ""
        self.put(self.strikes + 1)
        return (
            f"its worker failed {self.strikes} times in a row, at last: {first.message}" if self.strikes >= self._most else ""
        )
