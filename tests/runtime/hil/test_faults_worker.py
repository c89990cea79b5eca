"""Workers that die, hang, eat memory, leave processes behind or spoil their device: the right outcome, and nothing is left."""

import os
import signal
import threading
import time

import pytest
from hil_bench import INPUTS, artifact, assert_same, audit, device, orphans, run, running, until, workers, works
from hil_drivers import CRASHES, DIES, EATS, EATS_IN_CHILD, HANGS, LARGE, LEAVES, PRINTS, SLOW, SPINS, STAINS

from spikeport.ir.diagnostics import RunError
from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.outcome import HilError, Outcome, outcome_of

pytestmark = pytest.mark.faults


@pytest.fixture
def bench(tmp_path):
    with running(tmp_path / "state", limits={"stall_s": 2.0, "memory_mb": 300.0}) as daemon:
        yield daemon


@pytest.fixture
def leased(bench):
    with connect(bench.url) as pool, pool.lease() as leased:
        yield leased


def failure(leased, seed, **options):
    with pytest.raises(Exception, match="E8") as found:
        run(leased, seed, **options)
    return found.value.diagnostics[0], outcome_of(found.value)


def test_a_run_gives_what_it_gives_here(leased):
    assert_same(run(leased))


def test_a_worker_that_is_killed_in_mid_run(bench, leased):
    finding, outcome = failure(leased, DIES)
    assert (finding.code, outcome) == ("E872", Outcome.INFRASTRUCTURE)
    assert "was killed by signal 9 in the phase run" in finding.message
    assert_same(run(leased, load=False))  # on the same lease: the program is loaded again by itself


def test_a_worker_that_is_killed_from_outside(bench, leased):
    run(leased)
    caught = []
    thread = threading.Thread(target=lambda: caught.append(failure(leased, SLOW, load=False)))
    thread.start()
    until(lambda: bench.service.jobs._live)
    time.sleep(0.3)
    (pid,) = workers(bench.service.config.state)
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert (caught[0][0].code, caught[0][1]) == ("E872", Outcome.INFRASTRUCTURE)
    assert_same(run(leased))


@pytest.mark.slow
def test_a_guard_that_is_killed_takes_its_worker_along(bench, leased):
    run(leased)
    (worker,) = workers(bench.service.config.state)
    (guard,) = set(orphans(bench.service.config.state)) - {worker}
    os.kill(guard, signal.SIGKILL)
    until(lambda: not {guard, worker} & set(orphans(bench.service.config.state)))
    assert_same(run(leased))


def test_an_idle_worker_that_dies_is_replaced(bench, leased):
    leased.load(artifact())
    (pid,) = workers(bench.service.config.state)
    os.kill(pid, signal.SIGKILL)
    until(lambda: any(line["event"] == "worker lost" for line in audit(bench.service.config.state)))
    assert_same(run(leased, load=False))


@pytest.mark.slow
def test_a_hang_is_ended(leased):
    finding, outcome = failure(leased, HANGS)
    assert (finding.code, outcome) == ("E873", Outcome.TIMEOUT)
    assert "made no step and used no processor for 2 s" in finding.message
    assert_same(run(leased))


@pytest.mark.slow
def test_a_run_longer_than_asked_for_is_ended(leased):
    finding, outcome = failure(leased, SPINS, timeout_s=1.0)
    assert (finding.code, outcome) == ("E873", Outcome.TIMEOUT)
    assert_same(run(leased))


@pytest.mark.slow
def test_a_slow_run_that_makes_steps_is_no_hang(leased):
    steps = []
    leased.on_progress = lambda done, total: steps.append((done, total))
    assert_same(run(leased, SLOW))  # 3 s without use of a processor, with steps
    assert steps
    assert steps[-1][1] == 60


def test_too_much_memory_is_refused_within_the_worker(leased):
    with pytest.raises(RunError) as found:
        run(leased, EATS)
    assert found.value.diagnostics[0].code == "E802"
    assert_same(run(leased, load=False))


@pytest.mark.slow
def test_too_much_memory_in_a_child_ends_the_worker(leased):
    finding, outcome = failure(leased, EATS_IN_CHILD)
    assert (finding.code, outcome) == ("E878", Outcome.UNSUPPORTED)
    assert_same(run(leased))


@pytest.mark.slow
def test_processes_left_behind_end_with_the_lease(bench):
    with connect(bench.url) as pool, pool.lease() as leased:
        assert_same(run(leased, LEAVES))
        assert len(orphans(bench.service.config.state)) == 3  # guard, worker, and what it left
    with connect(bench.url) as pool:
        until(lambda: pool.devices()[0].health == "free")
    assert len(orphans(bench.service.config.state)) == 2


def test_noise_on_stdout_does_no_harm(leased):
    assert_same(run(leased, PRINTS))


def test_a_driver_that_raises_is_told(leased):
    with pytest.raises(RunError, match="RuntimeError: the driver is confused"):
        run(leased, CRASHES)
    assert_same(run(leased, load=False))


def test_large_results_come_in_pieces(leased):
    found = run(leased, LARGE)
    assert found.trace.out["large"].sum() == 699_999 * 700_000 / 2


def test_a_reset_that_leaves_something_quarantines_the_device(tmp_path):
    with running(tmp_path / "state") as daemon, connect(daemon.url) as pool:
        with pool.lease() as leased:
            run(leased, STAINS)
        until(lambda: pool.devices()[0].health.startswith("quarantined: "))
        with pytest.raises(HilError) as found:
            pool.lease(wait_s=5)
        assert (found.value.diagnostics[0].code, found.value.outcome) == ("E874", Outcome.QUARANTINED)
    with running(tmp_path / "state") as daemon, connect(daemon.url) as pool:  # a restart does not lift it
        assert pool.devices()[0].health.startswith("quarantined: after its reset one reads back")
        daemon.service.keepers["one"].judge("")
        works(daemon.url)


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_quarantines_the_device(bench, leased):
    for _ in range(2):
        failure(leased, DIES)
    assert_same(run(leased))  # a success: counted from the beginning
    for _ in range(3):
        failure(leased, DIES)
    with pytest.raises(HilError) as found:
        run(leased)
    assert found.value.outcome in (Outcome.QUARANTINED, Outcome.INFRASTRUCTURE)
    until(lambda: bench.service.keepers["one"].info.health.startswith("quarantined: its worker failed 3 times"))
    bench.service.keepers["one"].judge("")
    leased.close()
    works(bench.url)


@pytest.mark.slow
def test_a_device_that_cannot_be_started_is_quarantined_and_others_are_not(tmp_path):
    (tmp_path / "dies").touch()
    with running(tmp_path / "state", device(), device("two", dies_on_connect=str(tmp_path / "dies"))) as daemon:
        until(lambda: daemon.service.keepers["two"].info.health.startswith("quarantined"))
        works(daemon.url)
        (tmp_path / "dies").unlink()
        daemon.service.keepers["two"].judge("")
        until(lambda: daemon.service.keepers["two"].info.health == "free")


def test_inputs_that_are_wrong_are_the_clients_own_error(leased):
    leased.load(artifact())
    with pytest.raises(Exception, match="nobody"):
        leased.run(INPUTS, record=("nobody",))
    assert_same(run(leased, load=False))
