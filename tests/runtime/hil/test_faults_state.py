"""What the daemon keeps when the disk is full, a client is deaf or dead, a keeper ends, or somebody is refused all the time."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from hil_bench import (
    INPUTS,
    artifact,
    assert_same,
    audit,
    code_of,
    config,
    full_disk,
    make_room,
    orphans,
    path_of_helpers,
    run,
    running,
    unstarted,
    until,
    workers,
    works,
)  # fmt: skip
from hil_drivers import BABBLES, LARGE, LEAVES

from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic
from spikeport.runtime.hil import wire
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.daemon.audit import MOST_REFUSED, Audit
from spikeport.runtime.hil.daemon.config import DeviceConfig, Limits
from spikeport.runtime.hil.daemon.places import Want
from spikeport.runtime.hil.daemon.service import Service
from spikeport.runtime.hil.outcome import HilError, Outcome

pytestmark = pytest.mark.faults


@pytest.fixture
def bench(tmp_path):
    with running(tmp_path / "state") as daemon:
        yield daemon


@pytest.mark.slow
def test_a_full_disk_is_not_the_devices_fault(bench, monkeypatch):
    keeper, state, asked = bench.service.keepers["one"], bench.service.config.state, []

    def full(*args):
        asked.append(threading.current_thread())
        raise HilError(Diagnostic("E881", "", "no room"), Outcome.INFRASTRUCTURE)

    ask = {"id": "waiting-1", "target": "", "features": [], "ttl_s": 30.0, "wait_s": 0.0}
    with connect(bench.url, retry_s=0.0) as pool:
        leased = pool.lease()
        pool.call("acquire", ask)
        monkeypatch.setattr(bench.service.store, "grant", full)
        leased.close()
        until(lambda: asked.count(keeper) >= 2)  # it offers the device, and offers it again
        assert [line for line in audit(state) if line["event"] == "device failed"] == []
        assert (keeper.standing.strikes, keeper.standing.quarantined) == (0, "")
        monkeypatch.undo()
        pool.call("cancel", {"id": "waiting-1"})
    works(bench.url)


def test_a_quarantine_that_was_lifted_is_lifted_for_whoever_asks_next(bench):
    keeper, book = bench.service.keepers["one"], bench.service.book
    with connect(bench.url) as pool:
        for turn in range(20):
            keeper.judge("by hand")
            assert book.infos["one"].health == "quarantined: by hand"
            assert code_of(pool.lease) == "E874"
            keeper._say("free", offer=True)  # the keeper had not heard of it yet
            assert code_of(pool.lease) == "E874"
            keeper.judge("")
            answer, _ = pool.call(
                "acquire", {"id": f"ticket-{turn}", "target": "", "features": [], "ttl_s": 30.0, "wait_s": 0.0}
            )
            assert answer["state"] in ("queued", "preparing", "granted")
            pool.call("cancel", {"id": f"ticket-{turn}"})
    works(bench.url)


def test_noise_in_place_of_an_answer_ends_the_worker_and_nothing_else(bench):
    with connect(bench.url) as pool, pool.lease() as leased:
        with pytest.raises(HilError) as found:
            run(leased, BABBLES)
        assert (found.value.diagnostics[0].code, found.value.outcome) == ("E877", Outcome.INFRASTRUCTURE)
        assert_same(run(leased, load=False))
        assert len(workers(bench.service.config.state)) == 1


@pytest.mark.slow
def test_a_guard_that_is_killed_takes_along_what_its_worker_has_started(bench):
    with connect(bench.url) as pool, pool.lease() as leased:
        run(leased, LEAVES)
        before = orphans(bench.service.config.state)
        assert len(before) == 3
        words = Path(f"/proc/{before[0]}/environ").read_bytes().split(b"\0")
        (scratch,) = (Path(word[7:].decode()) for word in words if word.startswith(b"TMPDIR="))
        assert scratch.is_dir()
        os.kill(bench.service.keepers["one"].line.process.pid, signal.SIGKILL)
        until(lambda: not set(before) & set(orphans(bench.service.config.state)))
        until(lambda: not scratch.exists())
        assert_same(run(leased))


def test_a_client_that_dies_with_the_answer_on_its_way_keeps_no_device(tmp_path):
    now = [0.0]
    with unstarted(tmp_path / "state", now) as service:
        book = service.book
        book.offer("one", service.keepers["one"].info)
        lease = book.ask("", "c", "ticket-1", Want(), 3600.0)
        lease.is_ready = True
        for at in (0.0, 5.0, 9.0):  # it asks on, since it does not hear that it has it
            now[0] = at
            assert book.claim(book.ask("", "c", "ticket-1", Want(), 3600.0)) is lease
        assert lease.deadline == Limits().claim_s
        now[0] = Limits().claim_s
        assert [late.id for late in book.expire()[0]] == [lease.id]

        book.offer("one", service.keepers["one"].info)
        second = book.ask("", "c", "ticket-2", Want(), 3600.0)
        book.hold("", second.id, second.fence, 0)
        assert second.deadline == now[0] + 3600.0
        before = second.deadline
        now[0] += 60.0
        book.hold("", second.id, second.fence, 0)  # talks, and hears nothing: it names the same answer again
        assert second.deadline == before
        assert [silent.id for silent in book.expire()[1]] == [second.id]
        book.hold("", second.id, second.fence, 1)
        assert second.deadline == now[0] + 3600.0
        assert not second.is_silent


def test_a_keeper_that_has_ended_rings_no_more(tmp_path):
    with path_of_helpers():
        service = Service(config(tmp_path / "state"))
        service.start()
        bell = service.keepers["one"]._bell
        service.stop()
    pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(2)]
    ear, mouth = next(pipe for pipe in pipes if pipe[0] != bell)
    os.dup2(mouth, bell)  # the number is another file's by now
    try:
        service.keepers["one"].wake()
        with pytest.raises(BlockingIOError):
            os.read(ear, 1)
    finally:
        for fd in {bell, *pipes[0], *pipes[1]}:
            os.close(fd)


def test_requests_to_a_device_that_cannot_be_had_any_more_are_answered(tmp_path):
    with running(tmp_path / "state") as daemon, connect(daemon.url) as pool:
        leased = pool.lease(ttl_s=3600.0)
        name, ids = pool.client, {"lease": leased.lease_id, "fence": leased.fence}
        leased._closing.set()
    gone = DeviceConfig("one", driver="no_such_module:make")
    with running(tmp_path / "state", gone) as daemon, connect(daemon.url) as pool:
        pool.client = name
        pool.call("do", {**ids, "do": "digest", "id": "to-nobody"})
        answer = until(lambda: (a := pool.call("wait", {"id": "to-nobody", "wait_s": 1.0})[0])["state"] == "done" and a)
        assert answer["answer"]["error"]["kind"] == BackendUnavailable.__name__
        assert answer["answer"]["error"]["outcome"] == Outcome.INFRASTRUCTURE


def test_a_long_lease_with_ever_other_inputs_makes_room_by_its_own(tmp_path):
    what = {"do": "run", "record": [], "record_state": False, "seed": 0, "timeout_s": None}
    with running(tmp_path / "state", limits={"uploads_mb": 0.2, "upload_mb": 0.1}) as daemon:  # room for three
        uploads = daemon.service.uploads
        with connect(daemon.url, retry_s=0.0) as pool, pool.lease() as leased:
            leased.load(artifact())
            for number in range(6):
                body = wire.pack_arrays({"input": np.eye(12, 4, -number)[None]})
                leased._with_upload(what, body)
                assert sum(uploads._claimed.values()) <= 0.2 * 2**20
            assert_same(run(leased))  # the program is sent again, if it had to go
            held = dict(uploads._claimed)
            assert code_of(uploads.put, "of-another-lease", "0" * 64, 90_000, 0, b"x") == "E871"
            assert uploads._claimed == held  # nobody's make room for somebody else's
        until(lambda: list(uploads.folder.rglob("*/*")) == [])


def test_an_upload_that_ends_behind_its_lease_leaves_nothing(bench, monkeypatch):
    with connect(bench.url) as pool, pool.lease() as leased:
        put = bench.service.uploads.put

        def late(*args):
            bench.service.book.over(leased.lease_id, "taken back")
            return put(*args)

        monkeypatch.setattr(bench.service.uploads, "put", late)
        assert code_of(leased.load, artifact()) == "E868"
        monkeypatch.undo()
        assert list(bench.service.uploads.folder.iterdir()) == []
        assert bench.service.uploads._claimed == {}
    works(bench.url)


def test_small_uploads_count_for_the_room_that_files_take(bench):
    uploads = bench.service.uploads
    uploads._room = 10 * 2**16
    with connect(bench.url, retry_s=0.0) as pool, pool.lease() as leased:
        ids = {"lease": leased.lease_id, "fence": leased.fence, "total": 2, "offset": 0}
        for number in range(10):
            pool.call("upload", {**ids, "sha256": f"{number:064x}"}, b"x")
        assert code_of(pool.call, "upload", {**ids, "sha256": "f" * 64}, b"x") == "E871"


def test_who_is_refused_all_the_time_does_not_fill_the_log(tmp_path):
    now = [100.0]
    log = Audit(tmp_path / "audit.jsonl", monotonic=lambda: now[0])
    for _ in range(1000):
        log.refusal(method="hello", code="E867")
    assert len(audit(tmp_path)) == MOST_REFUSED
    now[0] += 1.0
    log.refusal(method="hello", code="E867")
    log.close()
    assert [line.get("unsaid") for line in audit(tmp_path)][-2:] == [None, 1000 - MOST_REFUSED]


def test_a_large_result_outlasts_a_full_disk(bench):
    with connect(bench.url, retry_s=0.0) as pool, pool.lease() as leased:
        leased.load(artifact())
        ask = {"do": "run", "id": "large-result", "record": "all", "record_state": True, "seed": LARGE, "timeout_s": None}
        ask |= {"lease": leased.lease_id, "fence": leased.fence}
        pool.call("do", ask, wire.pack_arrays(INPUTS))
        until(lambda: pool.call("wait", {"id": "large-result", "wait_s": 1.0})[0]["state"] == "done")
        before = pool.call("fetch", {"id": "large-result", "offset": 0})
        full_disk(bench.service.store)
        assert code_of(run, leased, LARGE, load=False) == "E881"
        assert pool.call("fetch", {"id": "large-result", "offset": 0}) == before
        assert len(list(bench.service.store.results.iterdir())) == 1
        make_room(bench.service.store)
        assert_same(run(leased, load=False))
