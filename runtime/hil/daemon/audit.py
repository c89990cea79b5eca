"""The audit log: a JSON line for everything that changes or refuses something, only ever appended to, without secrets."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Lines about refused calls in a second.
MOST_REFUSED = 20
#: What no line may hold, whoever writes it; leases are capabilities, so their first letters must do.
_SECRET = frozenset(("token", "secret", "authorization", "password"))


class Audit:
    """An open log.

    Parameters
    ----------
    path : Path
        Made, for its owner only, where it is not there.
    wall, monotonic : callable
        The time of day, for the reader; and the clock that never jumps, for the order.
    """

    def __init__(
        self, path: Path, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._wall, self._monotonic = wall, monotonic
        self._lock = threading.Lock()
        self._torn = False
        self._second, self._refused, self._unsaid = -1, 0, 0
        #: Lines that could not be written, as on a full disk; the daemon grants nothing new while the last one failed.
        self.lost, self.ok = 0, True

    def write(self, event: str, **facts: Any) -> None:
        """Append a line; never raises. Facts that are None are left out."""
        line = {"t": round(self._wall(), 3), "mono": round(self._monotonic(), 3), "event": event}
        for name, value in facts.items():
            if value is not None and name not in _SECRET:
                line[name] = value[:8] if name == "lease" else value[:500] if isinstance(value, str) else value
        data = json.dumps(line, default=str).encode() + b"\n"
        with self._lock:
            try:
                data = b"\n" + data if self._torn else data
                written = os.write(self._file, data)
                self._torn = written != len(data)
                self.ok = not self._torn
            except OSError:
                self.ok = False
            self.lost += not self.ok

    def refusal(self, **facts: Any) -> None:
        """Append that a call was refused, at most ``MOST_REFUSED`` a second: who is refused must not fill the disk.

        The line after those that were left out says how many they were (``unsaid``).
        """
        with self._lock:
            second = int(self._monotonic())
            if second != self._second:
                self._second, self._refused = second, 0
            self._refused += 1
            if self._refused > MOST_REFUSED:
                self._unsaid += 1
                return
            unsaid, self._unsaid = self._unsaid, 0
        self.write("refused", **facts, unsaid=unsaid or None)

    def close(self) -> None:
        """Close the file; what is written after that is lost."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1
