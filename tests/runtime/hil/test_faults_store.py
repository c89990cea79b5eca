"""The store on a full disk: what was entered stays, what ended is over, and nothing is left lying about."""

import sqlite3

import pytest
from hil_bench import code_of, full_disk

from spikeport.ir.diagnostics import Diagnostic, UsageError
from spikeport.runtime.hil.daemon.standing import Standing
from spikeport.runtime.hil.daemon.store import Store
from spikeport.runtime.hil.outcome import HilError, Outcome

pytestmark = pytest.mark.faults


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "state")
    store.device("one")
    yield store
    store.close()


def test_a_result_that_cannot_be_entered_leaves_no_file(store, tmp_path):
    store.begin("c", "request-1", "d", "l", "one", 1)
    full_disk(store)
    (tmp_path / "result").write_bytes(b"x" * 100_000)
    assert code_of(store.finish, "c", "request-1", b"{}" * 4000, b"", tmp_path / "result") == "E881"
    assert list(store.results.iterdir()) == []


def test_a_lease_that_ended_on_a_full_disk_is_over_after_a_restart(store, tmp_path, monkeypatch):
    store.grant("one", "", "c", "ticket-1", "l" * 32, 3600.0)
    monkeypatch.setattr(store, "_db", _ReadOnly(store._db))
    assert code_of(store.end, "l" * 32) == "E881"
    assert len(store.leases()) == 1
    store.close()
    after = Store(tmp_path / "state")
    assert after.leases() == []
    assert after.grant("one", "", "c", "ticket-2", "m" * 32, 3600.0).fence == 2
    after.close()
    again = Store(tmp_path / "state")  # one that has not ended is still there
    assert [row.id for row in again.leases()] == ["m" * 32]
    again.close()


class _ReadOnly:
    """A database that cannot be written."""

    def __init__(self, db):
        self._db = db

    def execute(self, sql, *values):
        if sql.startswith("DELETE"):
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(sql, *values)

    def __getattr__(self, name):
        return getattr(self._db, name)


def test_room_is_made_by_what_is_read_first_and_by_what_is_old_then(store, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(store, "now", lambda: now[0])
    for number in range(6):
        now[0] += 1
        store.begin("c", f"request-{number}", "d", "l", "one", 1)
        store.finish("c", f"request-{number}", b"{}", b"x" * 100)
    store.acknowledge("c", ["request-3", "request-4"])

    def left():
        return [n for n in range(6) if store.request("c", f"request-{n}") is not None]

    assert store.drop(3600.0, 86400.0, 10_000) == 0
    assert store.drop(3600.0, 86400.0, 550) == 1
    assert left() == [0, 1, 2, 4, 5]
    assert store.drop(3600.0, 86400.0, 100) == 1  # what nobody has read stays, unless it is old
    assert left() == [0, 1, 2, 5]
    now[0] += 3598.0
    assert store.drop(3600.0, 86400.0, 100) == 3
    assert left() == [5]
    now[0] += 86400.0
    assert store.drop(3600.0, 86400.0, 10_000) == 1
    assert store.held() == 0


def test_a_quarantine_is_kept_as_soon_as_there_is_room(store, monkeypatch):
    standing = Standing(store, "one", 3)
    lost = HilError(Diagnostic("E872", "", "it died"), Outcome.INFRASTRUCTURE)
    assert [bool(standing.blame(lost)) for _ in range(3)] == [False, False, True]
    assert store.device("one") == (3, "")

    def full(*args):
        raise HilError(Diagnostic("E881", "", "full"), Outcome.INFRASTRUCTURE)

    with monkeypatch.context() as patched:
        patched.setattr(store, "judge", full)
        standing.put(0, "broken")
        assert standing.quarantined == "broken"
    assert store.device("one") == (3, "")
    standing.keep()
    assert store.device("one") == (0, "broken")
    assert Standing(store, "one", 3).quarantined == "broken"


def test_a_database_that_is_damaged_is_refused(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.sqlite").write_bytes(b"this is no database " * 500)
    for _ in range(2):  # the first has let go of the folder
        with pytest.raises(UsageError, match=r"E884.*its database cannot be read: file is not a database"):
            Store(tmp_path / "state")


def test_nobody_else_reads_the_state(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)  # made by somebody before
    store = Store(tmp_path / "state")
    store.device("one")
    store.grant("one", "", "c", "ticket-1", "l" * 32, 3600.0)
    try:
        readable = [path.name for path in store.folder.rglob("*") if path.stat().st_mode & 0o077]
        assert readable == []
        assert "state.sqlite-wal" in [path.name for path in store.folder.iterdir()]
        assert not any("l" * 8 in path.name for path in store.folder.rglob("*"))
    finally:
        store.close()


def test_a_store_with_many_requests_is_tidied_by_its_indexes(store):
    """What is done every two seconds must not read every request that was ever made."""
    sums = "SELECT coalesce(sum(size), 0) FROM requests WHERE size > 0"
    ages = "SELECT rowid, file FROM requests WHERE state != 'running' AND (acked = 1 AND at < 1 OR acked = 0 AND at < 2)"
    plans = [" ".join(row[3] for row in store._db.execute(f"EXPLAIN QUERY PLAN {sql}")) for sql in (sums, ages)]
    assert "requests_size" in plans[0]
    assert "requests_age" in plans[1]
    assert "SCAN requests" not in plans
