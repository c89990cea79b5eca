"""What the daemon must not forget: fences, leases, quarantines, requests and their results, in SQLite.

Written ahead and synced at every commit (WAL, ``synchronous=FULL``): what a client was told stays true after a crash. Ages are
measured on the clock that counts from boot and never jumps; after another boot they begin anew. A lease has an empty file
beside its row and is over without it: to remove a file needs no room, so that a device is given back on a full disk too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.runtime.hil.daemon.refusals import no_room
from spikeport.runtime.hil.daemon.schema import SCHEMA, SCHEMA_VERSION, LeaseRow, Request
from spikeport.runtime.hil.outcome import HilError


class Store:
    """The open database in the folder *folder*, of this daemon alone.

    Raises
    ------
    UsageError
        E884 where another daemon has it, or it is damaged or of another version.
    """

    def __init__(self, folder: Path, *, max_pages: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self.results, self._marks = folder, folder / "results", folder / "leases"
        for one in (self.results, self._marks):
            one.mkdir(exist_ok=True, mode=0o700)
        self._guard = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._guard)
            raise _in_use(folder, "another daemon keeps its state there") from None
        self._lock = threading.RLock()
        path = folder / "state.sqlite"
        # Before there is anything in it, or in the log beside it, which gets the same permissions: leases are capabilities.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._open(max_pages)
        except sqlite3.DatabaseError as error:
            self.close()
            raise _in_use(folder, f"its database cannot be read: {error}") from error
        except BaseException:
            self.close()
            raise

    def _open(self, max_pages: int | None) -> None:
        for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=2000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(SCHEMA)
        boot = Path("/proc/sys/kernel/random/boot_id")
        now, before = boot.read_text().strip() if boot.exists() else "", dict(self._db.execute("SELECT key, value FROM meta"))
        if before.get("schema", SCHEMA_VERSION) != SCHEMA_VERSION:
            raise _in_use(self.folder, f"its database is of version {before['schema']}, not {SCHEMA_VERSION}")
        with self.change() as db:
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("schema", SCHEMA_VERSION), ("boot", now)])
            db.execute("UPDATE requests SET state = 'lost', at = ? WHERE state = 'running'", (self.now(),))
            if before.get("boot", now) != now:
                db.execute("DELETE FROM leases")
                db.execute("UPDATE requests SET at = ?", (self.now(),))
            rows = db.execute("SELECT id FROM leases").fetchall()
            db.executemany("DELETE FROM leases WHERE id = ?", [row for row in rows if not self._mark(row[0]).exists()])
        if max_pages is not None:
            self._db.execute(f"PRAGMA max_page_count={int(max_pages)}")
        kept = {row[0] for row in self._db.execute("SELECT file FROM requests WHERE file IS NOT NULL")}
        kept |= {self._mark(row.id).name for row in self.leases()}
        for file in (*self.results.iterdir(), *self._marks.iterdir()):
            if file.name not in kept:
                file.unlink()

    @staticmethod
    def now() -> float:
        """Return the seconds since boot, sleep included: equal for every process, whatever the time of day does."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Yield the database within a transaction; HilError E881 where it cannot be written, as on a full disk."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise _full(error) from error

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def device(self, name: str) -> tuple[int, str]:
        """Return strikes and reason of quarantine ("" for none) of a device, which is entered if it is new."""
        rows = self._rows("SELECT strikes, quarantined FROM devices WHERE name = ?", name)
        if not rows:
            with self.change() as db:
                db.execute("INSERT INTO devices VALUES (?, 0, 0, NULL)", (name,))
            return 0, ""
        return rows[0][0], rows[0][1] or ""

    def judge(self, name: str, strikes: int, quarantined: str) -> None:
        """Keep strikes and the reason of quarantine of a device."""
        with self.change() as db:
            db.execute("UPDATE devices SET strikes = ?, quarantined = ? WHERE name = ?", (strikes, quarantined or None, name))

    def grant(self, device: str, owner: str, client: str, ticket: str, lease: str, ttl: float) -> LeaseRow:
        """Enter a lease under the device's next fence; the database refuses a second one for the same device."""
        mark = self._mark(lease)
        try:
            mark.touch(mode=0o600)
        except OSError as error:
            raise _full(error) from error
        try:
            with self.change() as db:
                db.execute("UPDATE devices SET fence = fence + 1 WHERE name = ?", (device,))
                (fence,) = db.execute("SELECT fence FROM devices WHERE name = ?", (device,)).fetchone()
                given = (lease, device, owner, client, ticket, fence, ttl)
                db.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)", given)
        except BaseException:
            mark.unlink(missing_ok=True)
            raise
        return LeaseRow(*given)

    def _mark(self, lease: str) -> Path:
        """Return the file of a lease, whose name does not give away its id."""
        return self._marks / hashlib.sha256(lease.encode()).hexdigest()[:32]

    def end(self, lease: str) -> None:
        """Forget a lease; what E881 leaves of it, on a full disk, is over all the same for a daemon that starts then."""
        with contextlib.suppress(OSError):
            self._mark(lease).unlink(missing_ok=True)
        with self.change() as db:
            db.execute("DELETE FROM leases WHERE id = ?", (lease,))

    def leases(self) -> list[LeaseRow]:
        """Return the leases that were not ended."""
        return [LeaseRow(*row) for row in self._rows("SELECT id, device, owner, client, ticket, fence, ttl FROM leases")]

    def begin(self, owner: str, name: str, digest: str, lease: str, device: str, fence: int) -> None:
        """Enter a request as running."""
        with self.change() as db:
            db.execute(
                "INSERT INTO requests(owner, id, digest, lease, device, fence, state, at) "
                "VALUES (?, ?, ?, ?, ?, ?, 'running', ?)",
                (owner, name, digest, lease, device, fence, self.now()),
            )

    def finish(self, owner: str, name: str, header: bytes, body: bytes = b"", file: Path | None = None) -> None:
        """Enter the answer of a request; a *file* is moved into the folder of results first, and removed where that fails."""
        kept, size = None, len(body)
        if file is not None:
            kept, size = os.urandom(16).hex(), file.stat().st_size
            _sync(file)
            os.replace(file, self.results / kept)
            _sync(self.results)  # that it has this name has to outlast a crash as well as what is in it
        try:
            with self.change() as db:
                db.execute(
                    "UPDATE requests SET state = 'done', header = ?, body = ?, file = ?, size = ?, at = ? "
                    "WHERE owner = ? AND id = ?",
                    (header, body, kept, size, self.now(), owner, name),
                )
        except BaseException:
            if kept is not None:
                (self.results / kept).unlink(missing_ok=True)
            raise

    def request(self, owner: str, name: str) -> Request | None:
        """Return a request, None for one that was never made or has been dropped."""
        sql = (
            "SELECT owner, id, digest, state, ifnull(header, x''), ifnull(file, ''), size FROM requests WHERE owner=? AND id=?"
        )
        rows = self._rows(sql, owner, name)
        return Request(*rows[0]) if rows else None

    def read(self, request: Request, offset: int, length: int) -> bytes:
        """Return *length* bytes of a request's body from *offset*, fewer at its end."""
        if request.file:
            with (self.results / request.file).open("rb") as stream:
                stream.seek(offset)
                return stream.read(length)
        sql = "SELECT substr(body, ?, ?) FROM requests WHERE owner = ? AND id = ?"
        rows = self._rows(sql, offset + 1, length, request.owner, request.id)
        return (rows[0][0] or b"") if rows else b""

    def acknowledge(self, owner: str, names: list[str]) -> None:
        """Note that the client has these results: they are kept on for late duplicates, and go first when room is short."""
        with self.change() as db:
            db.executemany("UPDATE requests SET acked = 1 WHERE owner = ? AND id = ?", [(owner, name) for name in names])

    def held(self) -> int:
        """Return the bytes of all bodies that are kept."""
        return int(self._rows("SELECT coalesce(sum(size), 0) FROM requests WHERE size > 0")[0][0])

    def drop(self, keep_s: float, keep_unread_s: float, most_bytes: int) -> int:
        """Drop results by age, and where they take more than *most_bytes* those that are read or older than *keep_s*.

        Of those, the ones that are read go first, the oldest first. Returns how many went.
        """
        now = self.now()
        sql = "SELECT rowid, file FROM requests WHERE state != 'running' AND (acked = 1 AND at < ? OR acked = 0 AND at < ?)"
        gone = dict(self._rows(sql, now - keep_s, now - keep_unread_s))
        if (over := self.held() - most_bytes) > 0:
            sql = "SELECT rowid, file, size FROM requests WHERE state != 'running' AND size > 0 AND (acked = 1 OR at < ?) "
            for row, file, size in self._rows(f"{sql} ORDER BY acked DESC, at", now - keep_s):
                if over > 0:
                    gone[row] = file
                    over -= size
        if gone:
            with self.change() as db:
                db.executemany("DELETE FROM requests WHERE rowid = ?", [(row,) for row in gone])
                db.execute("PRAGMA incremental_vacuum(256)")
            for file in filter(None, gone.values()):
                (self.results / file).unlink(missing_ok=True)
        return len(gone)

    def close(self) -> None:
        """Close the database and give the folder back."""
        with self._lock:
            self._db.close()
            if self._guard >= 0:
                os.close(self._guard)
            self._guard = -1


def _sync(path: Path) -> None:
    """Have what is written of a file, or of the names in a folder, on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _full(error: Exception) -> HilError:
    return no_room(f"the daemon cannot write its state: {error}")


def _in_use(folder: Path, why: str) -> UsageError:
    return UsageError(Diagnostic("E884", str(folder), f"{folder} cannot be used: {why}", "give another folder with --state"))
