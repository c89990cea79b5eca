"""What the daemon must not forget: fences, leases, quarantines, requests and their results, in SQLite.

Written ahead and synced at every commit (WAL, ``synchronous=FULL``): what a client was told stays true after a crash. Ages are
measured on the clock that counts from boot and never jumps; after another boot they begin anew.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.runtime.hil.outcome import HilError, Outcome

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS devices(name TEXT PRIMARY KEY, fence INT NOT NULL, strikes INT NOT NULL, quarantined TEXT);
CREATE TABLE IF NOT EXISTS leases(
    id TEXT PRIMARY KEY, device TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, client TEXT NOT NULL, ticket TEXT NOT NULL,
    fence INT NOT NULL, ttl REAL NOT NULL);
CREATE TABLE IF NOT EXISTS requests(
    owner TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, lease TEXT NOT NULL, device TEXT NOT NULL, fence INT NOT NULL,
    state TEXT NOT NULL, header BLOB, body BLOB, file TEXT, size INT NOT NULL DEFAULT 0, acked INT NOT NULL DEFAULT 0,
    at REAL NOT NULL, PRIMARY KEY(owner, id));
CREATE INDEX IF NOT EXISTS requests_at ON requests(at);
"""
SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease as it is stored."""

    id: str
    device: str
    owner: str
    client: str
    ticket: str
    fence: int
    ttl: float


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is stored: what it was (by digest), and once it is done its answer.

    ``state`` is running, done or lost; ``file`` holds a body that is too large for the database.
    """

    owner: str
    id: str
    digest: str
    lease: str
    device: str
    fence: int
    state: str
    header: bytes
    file: str
    size: int


class Store:
    """The open database in the folder *folder*, of this daemon alone.

    Raises
    ------
    UsageError
        E884 where another daemon has it, or it is of another version.
    """

    def __init__(self, folder: Path, *, max_pages: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self.results = folder, folder / "results"
        self.results.mkdir(exist_ok=True, mode=0o700)
        self._guard = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._guard)
            raise _in_use(folder, "another daemon keeps its state there") from None
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "state.sqlite", isolation_level=None, check_same_thread=False)
        try:
            self._open(max_pages)
        except BaseException:
            self.close()
            raise

    def _open(self, max_pages: int | None) -> None:
        for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=2000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        os.chmod(self.folder / "state.sqlite", 0o600)
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
        if max_pages is not None:
            self._db.execute(f"PRAGMA max_page_count={int(max_pages)}")
        kept = {row[0] for row in self._db.execute("SELECT file FROM requests WHERE file IS NOT NULL")}
        for file in self.results.iterdir():
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
                raise HilError(
                    Diagnostic("E881", "", f"the daemon cannot write its state: {error}", "make room on the daemon's disk"),
                    Outcome.INFRASTRUCTURE,
                ) from error

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
        with self.change() as db:
            db.execute("UPDATE devices SET fence = fence + 1 WHERE name = ?", (device,))
            (fence,) = db.execute("SELECT fence FROM devices WHERE name = ?", (device,)).fetchone()
            row = LeaseRow(lease, device, owner, client, ticket, fence, ttl)
            db.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)", (lease, device, owner, client, ticket, fence, ttl))
        return row

    def end(self, lease: str) -> None:
        """Forget a lease."""
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
        """Enter the answer of a request; a *file* is moved into the folder of results first."""
        kept, size = None, len(body)
        if file is not None:
            kept, size = f"{os.urandom(16).hex()}", file.stat().st_size
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(file, self.results / kept)
        with self.change() as db:
            db.execute(
                "UPDATE requests SET state = 'done', header = ?, body = ?, file = ?, size = ?, at = ? "
                "WHERE owner = ? AND id = ?",
                (header, body, kept, size, self.now(), owner, name),
            )

    def forget(self, owner: str, name: str) -> None:
        """Drop a request that never began."""
        with self.change() as db:
            db.execute("DELETE FROM requests WHERE owner = ? AND id = ?", (owner, name))

    def request(self, owner: str, name: str) -> Request | None:
        """Return a request, None for one that was never made or has been dropped."""
        sql = "SELECT owner, id, digest, lease, device, fence, state, header, file, size FROM requests WHERE owner=? AND id=?"
        rows = self._rows(sql, owner, name)
        if not rows:
            return None
        owner, name, digest, lease, device, fence, state, header, file, size = rows[0]
        return Request(owner, name, digest, lease, device, fence, state, header or b"", file or "", size)

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
        return int(self._rows("SELECT coalesce(sum(size), 0) FROM requests")[0][0])

    def drop(self, keep_s: float, keep_unread_s: float, most_bytes: int) -> int:
        """Drop results by age, and acknowledged ones beyond *most_bytes*, oldest first; return how many."""
        sql = "SELECT rowid, file, size, acked, at FROM requests WHERE state != 'running' ORDER BY acked DESC, at"
        held, now, gone = self.held(), self.now(), []
        for row, file, size, acked, at in self._rows(sql):
            if now - at > (keep_s if acked else keep_unread_s) or (acked and held > most_bytes):
                gone.append((row, file))
                held -= size
        if gone:
            with self.change() as db:
                db.executemany("DELETE FROM requests WHERE rowid = ?", [(row,) for row, _ in gone])
                db.execute("PRAGMA incremental_vacuum(256)")
            for _, file in gone:
                if file:
                    (self.results / file).unlink(missing_ok=True)
        return len(gone)

    def close(self) -> None:
        """Close the database and give the folder back."""
        with self._lock:
            self._db.close()
            if self._guard >= 0:
                os.close(self._guard)
            self._guard = -1


def _in_use(folder: Path, why: str) -> UsageError:
    return UsageError(Diagnostic("E884", str(folder), f"{folder} cannot be used: {why}", "give another folder with --state"))
