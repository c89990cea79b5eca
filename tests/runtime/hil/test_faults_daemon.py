"""A daemon that is killed, started twice, out of disk, or whose clock is set: nothing that was acknowledged is lost."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from hil_bench import (
    INPUTS,
    PATIENCE_S,
    Process,
    artifact,
    assert_same,
    audit,
    code_of,
    config,
    make_room,
    orphans,
    parent,
    path_of_helpers,
    refused,
    run,
    running,
    unstarted,
    until,
    works,
)  # fmt: skip
from hil_drivers import LARGE, LEAVES, SLOW

from spikeport.ir.diagnostics import UsageError
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.daemon.places import Want
from spikeport.runtime.hil.daemon.service import Service
from spikeport.runtime.hil.daemon.store import Store
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.transport import Server

pytestmark = pytest.mark.faults


def ended(call, *args, **options):
    error = refused(call, *args, **options)
    return error.diagnostics[0].code, error.outcome


@pytest.mark.slow
def test_a_daemon_that_is_killed_in_mid_run(tmp_path):
    with Process(tmp_path / "state") as daemon, connect(daemon.url, retry_s=PATIENCE_S) as pool, pool.lease(ttl_s=60) as leased:
        first = run(leased)
        caught = []
        thread = threading.Thread(target=lambda: caught.append(ended(run, leased, SLOW, load=False)))
        thread.start()
        until(lambda: pool.health()["leases"] == 1 and orphans(daemon.state))
        time.sleep(0.5)
        daemon.kill()
        until(lambda: orphans(daemon.state) == [])
        daemon.start()
        thread.join()
        assert caught == [("E872", Outcome.INFRASTRUCTURE)]
        assert_same(first)
        assert_same(run(leased, load=False))  # the lease is the same, the program is loaded again
        assert pool.health()["leases"] == 1
        assert ended(connect(daemon.url).lease, wait_s=0.2) == ("E870", Outcome.TIMEOUT)


@pytest.mark.slow
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path):
    with Process(tmp_path / "state") as daemon, connect(daemon.url, retry_s=PATIENCE_S) as pool, pool.lease(ttl_s=60) as leased:
        leased.load(artifact())
        answers = {}
        for name, seed in (("small-result", 0), ("large-result", LARGE)):
            ask = {"do": "run", "id": name, "record": "all", "record_state": True, "seed": seed, "timeout_s": None}
            ask |= {"lease": leased.lease_id, "fence": leased.fence, "wait_s": 1.0}
            pool.call("do", ask, wire.pack_arrays(INPUTS))
            until(lambda name=name: pool.call("wait", {"id": name, "wait_s": 1.0})[0]["state"] == "done")
            answers[name] = pool.call("do", ask, wire.pack_arrays(INPUTS))
        piece = pool.call("fetch", {"id": "large-result", "offset": 2**20})
        daemon.kill()
        daemon.start()
        for name, answer in answers.items():
            assert pool.call("wait", {"id": name}) == answer
        assert pool.call("fetch", {"id": "large-result", "offset": 2**20}) == piece
        fence = leased.fence
    with Process(tmp_path / "state") as daemon, connect(daemon.url) as pool, pool.lease() as leased:
        assert leased.fence > fence


@pytest.mark.slow
def test_a_daemon_that_is_stopped_in_good_order_in_mid_run(tmp_path):
    with Process(tmp_path / "state") as daemon, connect(daemon.url, retry_s=PATIENCE_S) as pool, pool.lease(ttl_s=60) as leased:
        run(leased)
        caught = []
        thread = threading.Thread(target=lambda: caught.append(ended(run, leased, SLOW, load=False)))
        thread.start()
        until(lambda: any(line["event"] == "done" and line["do"] == "run" for line in audit(daemon.state)))
        time.sleep(0.5)
        daemon.stop()
        assert orphans(daemon.state) == []
        daemon.start()
        thread.join()
        assert caught == [("E872", Outcome.INFRASTRUCTURE)]  # not that the lease is over, which it is not
        assert_same(run(leased, load=False))


@pytest.mark.slow
def test_what_a_daemon_left_that_was_killed_with_its_guards_is_ended_by_the_next(tmp_path):
    with Process(tmp_path / "state") as daemon:
        with connect(daemon.url, retry_s=0.0) as pool, pool.lease(ttl_s=2.0) as leased:
            run(leased, LEAVES)
            found = orphans(daemon.state)
            (guard,) = (pid for pid in found if parent(pid) == daemon.process.pid)
            (worker,) = (pid for pid in found if parent(pid) == guard)
            (left,) = (pid for pid in found if parent(pid) == worker)
            (scratch,) = (Path(os.readlink(link)) for link in (daemon.state / "work").glob("*/tmp"))
            for pid in (daemon.process.pid, guard, worker):
                os.kill(pid, signal.SIGSTOP)  # that none of them sees to it
            for pid in (daemon.process.pid, guard, worker):
                os.kill(pid, signal.SIGKILL)
            daemon.kill()
        assert left in orphans(daemon.state)
        assert scratch.is_dir()
        daemon.start()
        assert left not in orphans(daemon.state)
        assert not scratch.exists()
        assert [line["pid"] for line in audit(daemon.state) if line["event"] == "process left"] == [left]
        works(daemon.url)


@pytest.mark.slow
def test_a_folder_of_state_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with running(Path("state")) as daemon:
        works(daemon.url)
    assert (tmp_path / "state" / "state.sqlite").is_file()


@pytest.mark.slow
def test_a_stop_in_good_order_leaves_nothing(tmp_path):
    with Process(tmp_path / "state") as daemon:
        works(daemon.url)
        assert orphans(daemon.state)
        daemon.stop()
        assert orphans(daemon.state) == []
        assert not list((daemon.state / "work").glob("*"))


def test_two_daemons_share_neither_state_nor_port(tmp_path):
    with running(tmp_path / "state") as daemon:
        with pytest.raises(UsageError, match="another daemon keeps its state there"):
            Service(config(tmp_path / "state"))
        with pytest.raises(UsageError, match="cannot listen on"):
            Server(daemon.service.call, f"127.0.0.1:{daemon.server.port}", None, 2, 2)
        works(daemon.url)


@pytest.mark.slow
def test_a_jump_of_the_time_of_day_moves_no_lease(tmp_path):
    wall = [1.8e9]
    with path_of_helpers():
        service = Service(config(tmp_path / "state"), wall=lambda: wall[0])
        server = Server(service.call, "127.0.0.1:0", None, 8, 16)
        service.start()
        server.start()
        try:
            with connect(f"hild://127.0.0.1:{server.port}") as pool, pool.lease(ttl_s=2.0) as leased:
                for jump in (1e8, -2e8, 5e8):
                    wall[0] += jump
                    time.sleep(0.3)
                    assert_same(run(leased))
                leased._closing.set()  # no more signs of life
                wall[0] -= 1e9
                until(lambda: service.book.state()["leases"] == 0)  # nor does a jump back make it longer
            works(f"hild://127.0.0.1:{server.port}")
        finally:
            server.stop()
            service.stop()
    assert orphans(tmp_path / "state") == []
    assert [line["why"] for line in audit(tmp_path / "state") if line["event"] == "lease over"] == ["expired", "released"]


def test_the_clock_that_leases_run_on_is_the_one_that_is_given(tmp_path):
    now = [0.0]
    with unstarted(tmp_path / "state", now) as service:
        service.book.offer("one", service.keepers["one"].info)
        lease = service.book.ask("", "c", "ticket-1", Want(), 30.0)
        service.book.hold("", lease.id, lease.fence)
        now[0] = 29.9
        assert service.book.expire()[0] == []
        now[0] = 30.0
        assert code_of(service.book.hold, "", lease.id, lease.fence) == "E868"
        assert [late.id for late in service.book.expire()[0]] == [lease.id]


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path):
    with running(tmp_path / "state") as daemon, connect(daemon.url, retry_s=0.0) as pool, pool.lease() as leased:
        leased.load(artifact())
        ask = {"do": "run", "id": "before-it-is-full", "record": "all", "record_state": True, "seed": 0, "timeout_s": None}
        ask |= {"lease": leased.lease_id, "fence": leased.fence, "wait_s": 1.0}
        before = pool.call("do", ask, wire.pack_arrays(INPUTS))
        database = daemon.service.store._db
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + 2}")
        seen = set()
        for _ in range(20):
            try:
                leased.run(INPUTS, record="all", record_state=True)
            except HilError as error:
                seen.add((error.diagnostics[0].code, error.outcome))
        assert seen == {("E881", Outcome.INFRASTRUCTURE)}
        assert pool.call("do", ask, wire.pack_arrays(INPUTS)) == before
        make_room(daemon.service.store)
        assert_same(run(leased, load=False))
        assert pool.call("do", ask, wire.pack_arrays(INPUTS)) == before
        until(lambda: not daemon.service.jobs._unsaved)


@pytest.mark.slow
def test_a_daemon_that_may_write_no_more(tmp_path):
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
    with Process(tmp_path / "state", before=limited) as daemon, connect(daemon.url, retry_s=0.0) as pool:
        leased = pool.lease(ttl_s=3600.0)
        leased.load(artifact())
        got, full = [], ""
        for _ in range(60):
            try:
                got.append(leased.run(INPUTS, record="all", record_state=True))
            except HilError as error:
                full = error.diagnostics[0].code
                break
        assert full == "E881"
        assert daemon.process.poll() is None
        for found in got:
            assert_same(found)
        assert pool.devices()[0].name == "one"
        leased.close()
        until(lambda: pool.health()["leases"] == 0)  # that it was given back cannot be written down, and holds all the same
    with Process(tmp_path / "state") as daemon, connect(daemon.url) as pool:  # with room again
        assert pool.health()["leases"] == 0
        works(daemon.url)


def test_an_audit_log_that_cannot_be_written_stops_new_work_not_the_daemon(tmp_path):
    with running(tmp_path / "state") as daemon, connect(daemon.url, retry_s=0.0) as pool:
        audit_log = daemon.service.audit
        before = os.dup(audit_log._file)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, audit_log._file)
        audit_log.write("lost")
        assert ended(pool.lease) == ("E881", Outcome.INFRASTRUCTURE)
        assert not pool.health()["audit_ok"]
        os.dup2(before, audit_log._file)
        for fd in (before, full):
            os.close(fd)
        works(daemon.url)
        assert [line["lost"] for line in audit(tmp_path / "state") if line["event"] == "audit again"]


def test_a_database_of_another_version_is_refused(tmp_path):
    store = Store(tmp_path / "state")
    with store.change() as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    store.close()
    with pytest.raises(UsageError, match="its database is of version 99, not 1"):
        Store(tmp_path / "state")


def test_after_a_new_boot_leases_are_gone_and_results_are_not(tmp_path):
    store = Store(tmp_path / "state")
    store.device("one")
    store.grant("one", "", "c", "t", "l" * 32, 30.0)
    store.begin("c", "request-1", "d", "l", "one", 1)
    store.finish("c", "request-1", b"{}", b"body")
    with store.change() as db:
        db.execute("UPDATE meta SET value = 'another boot' WHERE key = 'boot'")
    store.close()
    store = Store(tmp_path / "state")
    assert store.leases() == []
    assert store.read(store.request("c", "request-1"), 0, 100) == b"body"
    assert store.grant("one", "", "c", "t", "m" * 32, 30.0).fence == 2
    with pytest.raises(HilError, match="UNIQUE"):  # two leases of a device cannot be written down
        store.grant("one", "", "c", "u", "n" * 32, 30.0)
    store.close()
