"""Clients that die, come late or twice, read slowly, ask for too much: fair to the others, and the device is never shared."""

import contextlib
import subprocess
import sys
import threading
import time

import pytest
from hil_bench import HELPERS, INPUTS, artifact, assert_same, audit, code_of, device, run, running, until, works
from hil_drivers import LARGE, SLOW

from spikeport.runtime.hil import wire
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.replay import RecordingDevice

pytestmark = pytest.mark.faults


@pytest.fixture
def bench(tmp_path):
    with running(tmp_path / "state") as daemon:
        yield daemon


@pytest.mark.slow
def test_a_client_that_dies_with_a_lease_loses_it(bench):
    script = f"""
import sys, time
sys.path.insert(0, {str(HELPERS)!r})
from hil_bench import connect, run
pool = connect({bench.url!r})
leased = pool.lease(ttl_s=1.5)
run(leased)
print("leased", flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout.readline() == "leased\n"
        with connect(bench.url) as pool:
            assert code_of(pool.lease, wait_s=0.5) == "E870"
            client.kill()
            with pool.lease() as leased:
                assert leased.fence == 2
                assert_same(run(leased))
    assert next(line["why"] for line in audit(bench.service.config.state) if line["event"] == "lease over") == "expired"


def test_a_client_that_dies_waiting_gets_nothing(bench):
    with connect(bench.url) as first, first.lease():
        with connect(bench.url) as second:
            ask = {"id": "0123456789abcdef", "target": "", "features": [], "ttl_s": 30.0, "wait_s": 0.0}
            assert second.call("acquire", ask)[0] == {"state": "queued", "place": 1}
        bench.service.book.limits = bench.service.limits.__class__(ticket_s=0.2)
        until(lambda: bench.service.book.state()["waiting"] == 0)
    works(bench.url)


@pytest.mark.slow
def test_a_device_is_one_clients_at_a_time(tmp_path):
    with running(tmp_path / "state", device(exclusive=str(tmp_path / "port"))) as daemon:
        inside, seen, fences = [0], [], []

        def client():
            with connect(daemon.url) as pool:
                for _ in range(2):
                    with pool.lease() as leased:
                        inside[0] += 1
                        seen.append(inside[0])
                        fences.append(leased.fence)
                        assert_same(run(leased))
                        inside[0] -= 1

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [1] * 8
        assert fences == list(range(1, 9))


def test_clients_take_turns(bench):
    with connect(bench.url) as a, connect(bench.url) as b, connect(bench.url) as c:
        held = a.lease()
        ask = {"target": "", "features": [], "ttl_s": 30.0}
        for pool, names in ((b, ["b1000000", "b2000000", "b3000000"]), (c, ["c1000000"])):
            for name in names:
                pool.call("acquire", {**ask, "id": name})
        places = [
            p.call("acquire", {**ask, "id": n})[0]["place"] for p, n in ((b, "b1000000"), (b, "b2000000"), (c, "c1000000"))
        ]
        assert places == [1, 3, 2]
        held.close()
        order = []
        waiting = {"b1000000": b, "b2000000": b, "b3000000": b, "c1000000": c}
        while waiting:
            for name, pool in list(waiting.items()):
                answer, _ = pool.call("acquire", {**ask, "id": name})
                if answer["state"] == "granted":
                    order.append(name[:2])
                    pool.call("release", {"lease": answer["lease"], "fence": answer["fence"]})
                    del waiting[name]
        assert order == ["b1", "c1", "b2", "b3"]


def test_a_stale_lease_does_not_touch_the_device(bench):
    with connect(bench.url) as pool:
        old = pool.lease()
        run(old)
        bench.service.book.over(old.lease_id, "taken back")
        with connect(bench.url) as other, other.lease() as new:
            new.load(artifact())
            before = new.state_digest()
            assert code_of(old.load, artifact(1)) == "E868"
            late = {"do": "reset", "id": "late-request", "lease": old.lease_id, "fence": old.fence}
            assert code_of(pool.call, "do", late) == "E868"
            assert code_of(pool.call, "do", {**late, "lease": new.lease_id}) == "E868"
            assert code_of(other.call, "do", {**late, "lease": new.lease_id, "fence": new.fence + 1}) == "E868"
            assert new.state_digest() == before
            assert_same(run(new, load=False))


def test_a_client_does_not_remember_devices_that_it_gave_back(bench):
    with connect(bench.url) as pool:
        for _ in range(3):
            with pool.lease() as leased:
                leased.load(artifact())
        assert len(pool._devices) == 0
        pool.lease()
        assert len(pool._devices) == 1


def test_a_request_made_twice_is_done_once(bench):
    with connect(bench.url) as pool, pool.lease() as leased:
        leased.load(artifact())
        ask = {"do": "run", "id": "run-number-one", "record": "all", "record_state": True, "seed": 0, "timeout_s": None,
               "lease": leased.lease_id, "fence": leased.fence}  # fmt: skip
        body = wire.pack_arrays(INPUTS)
        first, again = (pool.call("do", {**ask, "wait_s": 1.0}, body) for _ in range(2))
        assert first == again
        assert first[0]["state"] == "done"
        assert code_of(pool.call, "do", {**ask, "seed": 1}, body) == "E876"
    with connect(bench.url) as late:  # the lease is over, the result is not; it is its client's alone
        late.client = pool.client
        assert late.call("do", {**ask, "wait_s": 1.0}, body) == first
        late.client = "another"
        assert code_of(late.call, "do", {**ask, "wait_s": 1.0}, body) == "E868"
    done = [line for line in audit(bench.service.config.state) if line["event"] == "done" and line["do"] == "run"]
    assert len(done) == 1


@pytest.mark.slow
def test_duplicates_at_the_same_time_are_one_request(bench):
    with connect(bench.url) as pool, pool.lease() as leased:
        leased.load(artifact())
        ask = {"do": "run", "id": "run-number-two", "record": [], "record_state": False, "seed": SLOW, "timeout_s": None,
               "lease": leased.lease_id, "fence": leased.fence}  # fmt: skip
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(pool.call("do", ask, wire.pack_arrays(INPUTS))[0]["state"]))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["running"] * 8
        until(lambda: pool.call("wait", {"id": "run-number-two", "wait_s": 1.0})[0]["state"] == "done")


@pytest.mark.slow
def test_a_slow_reader_holds_up_nobody(bench):
    with connect(bench.url) as slow, connect(bench.url) as other:
        with slow.lease() as leased:
            leased.load(artifact())
            ask = {"do": "run", "id": "large-result", "record": "all", "record_state": True, "seed": LARGE, "timeout_s": None}
            ask |= {"lease": leased.lease_id, "fence": leased.fence}
            slow.call("do", ask, wire.pack_arrays(INPUTS))
            until(lambda: slow.call("wait", {"id": "large-result", "wait_s": 1.0})[0]["state"] == "done")
        size = slow.call("wait", {"id": "large-result"})[0]["size"]
        pieces, have = [], 0
        while have < size:  # a piece, and a whole run of somebody else's
            pieces.append(slow.call("fetch", {"id": "large-result", "offset": have})[1])
            have += len(pieces[-1])
            with other.lease() as busy:
                assert_same(run(busy))
        assert len(pieces) > 4
        answer = slow.call("wait", {"id": "large-result"})[0]["answer"]
        assert wire.decode_run(answer["run"], b"".join(pieces)).trace.out["large"].shape == (1, 7, 100_000)


def test_back_pressure_says_when_to_come_again(tmp_path):
    limits = {"queue_each": 2, "queue_all": 3, "jobs": 1}
    with running(tmp_path / "state", limits=limits) as daemon, contextlib.ExitStack() as stack:
        a, b = (stack.enter_context(connect(daemon.url, retry_s=0.0)) for _ in range(2))
        leased = stack.enter_context(a.lease())
        ask = {"target": "", "features": [], "ttl_s": 30.0}
        for name in ("one00000", "two00000"):
            a.call("acquire", {**ask, "id": name})
        with pytest.raises(HilError, match="2 requests wait for a device already, 2 of them yours") as found:
            a.call("acquire", {**ask, "id": "three000"})
        assert found.value.diagnostics[0].facts["retry_after_s"] == 5.0
        b.call("acquire", {**ask, "id": "four0000"})
        assert code_of(b.call, "acquire", {**ask, "id": "five0000"}) == "E871"
        leased.load(artifact())
        order = {"do": "run", "record": [], "record_state": False, "seed": SLOW, "timeout_s": None}
        order |= {"lease": leased.lease_id, "fence": leased.fence}
        a.call("do", {**order, "id": "first-run"}, wire.pack_arrays(INPUTS))
        assert code_of(a.call, "do", {**order, "id": "second-run"}, wire.pack_arrays(INPUTS)) == "E871"


@pytest.mark.slow
def test_results_are_bounded_and_acknowledged_ones_go_first(tmp_path):
    with running(tmp_path / "state", limits={"results_mb": 8.0}) as daemon, connect(daemon.url, retry_s=20.0) as pool:
        with pool.lease() as leased:
            for _ in range(4):  # 5.6 MB each: goes on as room is made
                run(leased, LARGE)
        assert daemon.service.store.held() < 20e6


def test_a_device_that_does_not_exist_is_said_at_once(bench):
    with connect(bench.url) as pool:
        with pytest.raises(HilError, match="no device is like 'loihi3'") as found:
            pool.lease("loihi3")
        assert (found.value.diagnostics[0].code, found.value.outcome) == ("E869", Outcome.UNSUPPORTED)
        assert pool.lease("one").info.name == "one"


def test_a_disk_that_is_full_while_recording_is_the_benchs(bench, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    folder = tmp_path / "cassettes"
    with connect(bench.url) as pool, pool.lease() as leased:
        recording = RecordingDevice(leased, folder)
        recording.load(artifact())
        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", full)  # the daemon's state is synced by SQLite, which does not come by here
            with pytest.raises(HilError) as found:
                recording.run(INPUTS, record="all", record_state=True)
        assert (found.value.diagnostics[0].code, found.value.outcome) == ("E631", Outcome.INFRASTRUCTURE)
        assert list(folder.iterdir()) == []
        assert_same(run(recording, load=False))  # with room again: run and cassette
        assert len(list(folder.iterdir())) == 1
    works(bench.url)


@pytest.mark.slow
def test_a_lease_lives_as_long_as_its_client_shows_itself(bench):
    with connect(bench.url) as pool, pool.lease(ttl_s=0.8) as leased:
        leased.load(artifact())
        time.sleep(2.0)
        assert_same(run(leased, load=False))
