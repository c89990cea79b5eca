"""Uploads: what clients send in pieces, in files that only a worker reads. Nothing in them is looked at here."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
from pathlib import Path

from spikeport.ir.diagnostics import Diagnostic
from spikeport.runtime.hil.daemon.config import Limits
from spikeport.runtime.hil.daemon.refusals import no_room, too_busy
from spikeport.runtime.hil.outcome import HilError, Outcome

_DIGEST = re.compile("[0-9a-f]{64}")
#: Bytes that an upload counts for at least: a file takes room whatever is in it.
_LEAST = 2**16


class Uploads:
    """The folder of uploads, one folder in it for each lease; it is emptied when the daemon starts."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self._limits = folder, limits
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._lock = threading.Lock()
        self._touched: dict[Path, float] = {}
        self._room = limits.uploads_mb * 2**20
        self._claimed: dict[Path, int] = {}

    def put(self, lease: str, digest: str, total: int, offset: int, data: bytes) -> int:
        """Append *data* at *offset* to the upload with that SHA-256 of *total* bytes; return how many are there now.

        A piece that came before, or out of order, changes nothing: the answer says where to go on.

        Raises
        ------
        HilError
            E875 for bytes that are not those announced, E871 where there is no room now, E881 where the disk is full.
        """
        if not _DIGEST.fullmatch(digest) or not 0 <= offset <= total or total > self._limits.upload_mb * 2**20:
            raise _wrong(f"an upload of {total:,} bytes at {offset:,} is not within 0 and {self._limits.upload_mb:g} MB")
        whole, part = self._path(lease, digest), self._path(lease, digest + ".part")
        with self._lock:
            if whole.exists():
                self._claimed[whole] = self._claimed.pop(whole)  # the last in the row of those to go
                return total
            have = part.stat().st_size if part.exists() else 0
            if offset != have:
                return have
            if have + len(data) > total:
                raise _wrong(f"an upload of {total:,} bytes got {have + len(data):,}")
            if part not in self._claimed and not self._has_room(part, max(total, _LEAST)):
                raise too_busy("the daemon holds as many uploads as it may", 10.0)
            self._claimed[part], self._touched[part] = max(total, _LEAST), time.monotonic()
            try:
                part.parent.mkdir(exist_ok=True, mode=0o700)
                with part.open("ab") as stream:
                    stream.write(data)
                if have + len(data) < total:
                    return have + len(data)
                with part.open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                self._remove(part)
                raise no_room(f"the daemon cannot keep the upload: {error.strerror}") from error
            if found != digest:
                self._remove(part)
                raise _wrong(f"an upload has the SHA-256 {found[:16]}..., announced was {digest[:16]}...; it was dropped")
            part.rename(whole)
            self._touched.pop(part)
            self._claimed[whole] = self._claimed.pop(part)
            return total

    def _has_room(self, part: Path, size: int) -> bool:
        """Whether *size* more bytes may come; complete uploads of the same lease go for them, the longest unused first."""
        for path in [p for p in self._claimed if p.parent == part.parent and p.suffix != ".part"]:
            if sum(self._claimed.values()) + size <= self._room:
                break
            self._remove(path)
        return sum(self._claimed.values()) + size <= self._room

    def whole(self, lease: str, digest: str) -> Path:
        """Return the file of a complete upload; raise HilError E875 where it is not there."""
        path = self._path(lease, digest) if _DIGEST.fullmatch(digest) else self.folder
        if not path.is_file():
            raise _wrong(f"there is no complete upload {digest[:16]!r}")
        return path

    def idle(self) -> list[Path]:
        """Drop uploads that nobody goes on with; return them."""
        with self._lock:
            now = time.monotonic()
            gone = [path for path, at in self._touched.items() if now - at > self._limits.upload_s]
            for path in gone:
                self._remove(path)
            return gone

    def drop(self, lease: str) -> None:
        """Remove all uploads of a lease."""
        with self._lock:
            folder = self._path(lease, "x").parent
            for path in [p for p in self._claimed if p.parent == folder]:
                self._claimed.pop(path)
                self._touched.pop(path, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._touched.pop(path, None)
        self._claimed.pop(path, None)

    def _path(self, lease: str, name: str) -> Path:
        return self.folder / hashlib.sha256(lease.encode()).hexdigest()[:24] / name


def _wrong(message: str) -> HilError:
    return HilError(Diagnostic("E875", "", message, "send it again, whole"), Outcome.INFRASTRUCTURE)
