"""Every transport fault, in each way and in both, between a client and a daemon: told as the bench's fault, or survived.

Whatever happens on the way, no result is another than it would be here, none is made twice, no process is left, and the device
works on.
"""

import contextlib
import time

import pytest
from hil_bench import (
    INPUTS,
    PATIENCE_S,
    artifact,
    assert_same,
    audit,
    orphans,
    run,
    running,
    through,
    until,
    works,
)  # fmt: skip
from hil_suite import run as suite

from spikeport.runtime.hil.client import connect
from spikeport.runtime.hil.faults.spec import parse_faults
from spikeport.runtime.hil.outcome import HilError, Outcome

pytestmark = [pytest.mark.faults, pytest.mark.slow]

WAYS = ("up", "down", "both")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with running(tmp_path_factory.mktemp("transport") / "state") as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def sound_afterwards(bench):
    """Whatever a test has done: the device works, and there is one guard and one worker, that of the next lease."""
    yield
    works(bench.url)
    with connect(bench.url) as pool:
        until(lambda: pool.devices()[0].health == "free")
        assert pool.health()["leases"] == 0
    assert len(orphans(bench.service.config.state)) == 2
    assert bench.service.keepers["one"].standing.strikes == 0


def runs_done(bench):
    return sum(line["event"] == "done" and line["do"] == "run" for line in audit(bench.service.config.state))


#: A dose that no connection gets over: in the upload of the program, or in the answer to a run.
HARD = (
    "delay:ms=600000", "drop:p=0.5", "truncate:after=2000", "half_open:after=2000", "reset:after=2000",
    "corrupt:p=1,after=1000", "duplicate:p=1,after=1000",
)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", HARD)
def test_a_fault_on_the_way_is_the_benchs(bench, text, way):
    (fault,) = parse_faults(f"{text},way={way}")
    with through(bench.url, str(fault)) as proxy:
        with pytest.raises(HilError) as found:
            once(f"hild://{proxy.address}")
        assert proxy.struck[fault.name] > 0
    assert found.value.outcome in (Outcome.INFRASTRUCTURE, Outcome.TIMEOUT)
    assert found.value.diagnostics[0].code in ("E865", "E896")


def once(url):
    """Lease, load and run without a second try; what comes back is right where anything does."""
    with connect(url, timeout_s=1.0, retry_s=0.0) as pool, pool.lease(ttl_s=2.0, wait_s=PATIENCE_S) as leased:
        leased.load(artifact())
        for _ in range(4):
            assert_same(run(leased, load=False))


#: A dose that a connection gets over for a while: longer than the largest call, shorter than all of them.
MILD = {
    "delay:ms=40": 1, "drop:p=0.004": 2, "truncate:after=12000": 2, "half_open:after=12000": 2, "reset:after=12000": 2,
    "corrupt:p=0.004,after=400": 2, "duplicate:p=0.004,after=400": 2,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", MILD)
def test_a_call_that_a_fault_has_struck_is_made_again_and_done_once(bench, text, way):
    (fault,) = parse_faults(f"{text},way={way}")
    before, made, end = runs_done(bench), 0, time.monotonic() + PATIENCE_S
    with through(bench.url, str(fault)) as proxy:
        options = {"timeout_s": PATIENCE_S, "retry_s": PATIENCE_S}
        with connect(f"hild://{proxy.address}", **options) as pool, pool.lease(ttl_s=60.0, wait_s=PATIENCE_S) as leased:
            leased.load(artifact())
            while made < 3 or proxy.struck[fault.name] < MILD[text]:
                assert_same(run(leased, load=False))
                made += 1
                assert time.monotonic() < end, f"struck {proxy.struck} in {made} runs"
            leased.close()
        assert bool(pool.losses) == (fault.name != "delay")
    assert runs_done(bench) - before == made


SUITE = """
def test_it(hil_artifact, hil_compare):
    hil_compare(hil_artifact(network(), profile="norse"), X)
"""


def test_a_session_with_a_fault_on_the_way(bench, tmp_path):
    options = ("--hil-url", bench.url, "--hil-retries", "1", "--hil-timeout-multiplier", "0.2")
    found = suite(tmp_path, SUITE, *options, "--hil-fault", "half_open:after=300")
    assert found.outcomes == {"test_it": "infrastructure"}
    assert [attempt["outcome"] for attempt in found.tests["test_it"]["attempts"]] == ["infrastructure"] * 2
    found = suite(tmp_path, SUITE, *options, "--hil-fault", "reset:after=20000")
    assert found.outcomes == {"test_it": "passed"}, found.text


INJECTS = """
def test_it(hil_fault):
    hil_fault("delay:ms=1")
"""


def test_a_fault_on_a_way_that_there_is_not_is_a_mistake(bench, tmp_path):
    """Neither without a daemon nor in the midst of a session: it would do nothing, and the test would seem to survive it."""
    for body, options in ((SUITE, ("--hil-fault", "delay:ms=1")), (INJECTS, ()), (INJECTS, ("--hil-url", bench.url))):
        found = suite(tmp_path, body, *options)
        assert found.outcomes == {"test_it": "bad_artifact"}
        assert "delay happens on the way to a daemon, and here is none" in found.tests["test_it"]["message"]


def test_a_client_that_vanishes_behind_a_silent_way_loses_its_lease_not_the_device(bench):
    with through(bench.url) as proxy, contextlib.ExitStack() as stack:
        pool = stack.enter_context(connect(f"hild://{proxy.address}", retry_s=0.0))
        leased = pool.lease(ttl_s=1.5)
        leased.load(artifact())
        proxy.silent = frozenset({"up", "down"})
        with pytest.raises(HilError) as found:
            leased.run(INPUTS)
        assert found.value.outcome == Outcome.INFRASTRUCTURE
        works(bench.url)
