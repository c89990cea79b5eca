"""pytest on devices: fixtures, markers and options for tests that run a network where it shall run in the end.

Loaded by pytest wherever spikeport is installed, so nothing heavy is imported here, and nothing is done in a suite that uses
neither a ``hil`` marker nor a ``hil_`` fixture. The work is in `suite`: `bench` (devices, models), `visit` (a test's runs and
comparisons), `attempts` (what became of each attempt) and `reporting`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from spikeport.runtime.hil.suite import attempts

if TYPE_CHECKING:
    from spikeport.runtime.hil.device import DeviceRun
    from spikeport.runtime.hil.suite.bench import Bench
    from spikeport.runtime.hil.suite.bench_device import BenchDevice
    from spikeport.runtime.hil.suite.visit import Visit
    from spikeport.runtime.hil.suite.want import Artifact

MARKERS = (
    "hil(target=None, features=(), count=1, device='', firmware='', timeout_s=60): the test runs on a device: a chip, what it "
    "must be able to do, how many, one by its name, the beginning of its firmware's digest; seconds for each run",
    "hil_budget(latency_ms=None, energy_uj=None, spikes=None, synops=None, cores=None, rel=None, margin=0.1): the most that a "
    "sample may take in any run of the test; rel is the growth over --hil-baseline",
    "hil_tolerance(exact=None, shift=0, counts=None, van_rossum=None, tau=10, victor_purpura=None, cost=0.2, synchrony=None, "
    "membrane=None, output=None, top1=None, margin=0.1, layers=()): what hil_compare counts as the same",
)
_bench: pytest.StashKey[Bench] = pytest.StashKey()
_visit: pytest.StashKey[Visit] = pytest.StashKey()
_results: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()
_said: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all of them ``--hil-...``."""
    group = parser.getgroup("spikeport", "hardware in the loop (spikeport)")
    add = group.addoption
    add("--hil-url", metavar="URL", help="daemon to lease devices from, hild://HOST:PORT or hilds://HOST:PORT (TLS)")
    add("--hil-ca", metavar="FILE", help="certificate authority of the daemon's TLS")
    add("--hil-token", metavar="FILE", help="file with the token (default: $SPIKEPORT_HIL_TOKEN_FILE)")
    add("--hil-target", choices=("sim", "hw", "replay"), help="kind of device (default: sim; with --hil-url any)")
    add("--hil-backend", metavar="NAME", default="engine", help="who simulates without a daemon (default: engine)")
    add("--hil-record", metavar="DIR", help="keep every device's answers as cassettes")
    add("--hil-replay", metavar="DIR", help="answer from cassettes; implies --hil-target replay")
    add("--hil-fault", metavar="SPEC", help="inject faults into every device, such as spike_drop:p=0.01,seed=3")
    add("--hil-timeout-multiplier", metavar="X", type=float, default=1.0, help="for slow machines: stretches every timeout")
    add("--hil-retries", metavar="N", type=int, default=0, help="attempts after infrastructure or timeout; nothing else")
    add("--hil-baseline", metavar="FILE", help="what each test took before, for hil_budget(rel=...)")
    add("--hil-baseline-update", action="store_true", help="write what the tests that pass take now into --hil-baseline")
    add("--hil-report", metavar="KIND,...", help="json, junit, html: reports of outcomes and every attempt")
    add("--hil-out", metavar="DIR", default="hil-results", help="folder of reports and divergences (default: hil-results)")
    add("--hil-require", action="store_true", help="a test that finds no device fails, and is not skipped")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse options that contradict each other."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[_results], config.stash[_said] = [], []
    config.pluginmanager.register(_Collector(config.stash[_results]), "spikeport_hil_results")
    option = config.getoption
    wrong = []
    kinds = [k for k in (option("hil_report") or "").split(",") if k]
    if unknown := [k for k in kinds if k not in ("json", "junit", "html")]:
        wrong.append(f"--hil-report: {', '.join(unknown)} is none of json, junit, html")
    if option("hil_target") == "replay" and not option("hil_replay"):
        wrong.append("--hil-target replay needs cassettes: --hil-replay DIR")
    if option("hil_replay") and option("hil_target") in ("sim", "hw"):
        wrong.append(f"--hil-replay answers in place of a device: leave --hil-target {option('hil_target')} out")
    if option("hil_replay") and option("hil_record"):
        wrong.append("--hil-record needs a device that answers: leave --hil-replay out")
    if option("hil_fault") and option("hil_record"):
        wrong.append("--hil-record keeps what a sound device answers: leave --hil-fault out")
    if option("hil_baseline_update") and not option("hil_baseline"):
        wrong.append("--hil-baseline-update needs to know where: --hil-baseline FILE")
    if not option("hil_timeout_multiplier") > 0:
        wrong.append("--hil-timeout-multiplier has to be above 0")
    if option("hil_retries") < 0:
        wrong.append("--hil-retries has to be at least 0")
    if wrong:
        raise pytest.UsageError("\n".join(wrong))


def bench_of(config: pytest.Config) -> Bench:
    """Return the bench of this process, made when a test first asks for it."""
    if _bench not in config.stash:
        from spikeport.runtime.hil.suite.bench import Bench
        from spikeport.runtime.hil.suite.want import Options

        config.stash[_bench] = Bench(Options.of(config))
    return config.stash[_bench]


def visit_of(request: pytest.FixtureRequest) -> Visit:
    """Return what the test does on the bench, in this attempt."""
    item = request.node
    if _visit not in item.stash:
        from spikeport.runtime.hil.suite.visit import Visit

        marks = {name: dict(m.kwargs) for name in attempts.MARKS if (m := item.get_closest_marker(name)) is not None}
        wrong = [f"@pytest.mark.{m.name} takes names" for m in item.iter_markers() if m.name in attempts.MARKS and m.args]
        if wrong:
            pytest.fail("; ".join(wrong), pytrace=False)
        item.stash[_visit] = Visit(bench_of(request.config), item.nodeid, marks)
    return item.stash[_visit]


class _Collector:
    """Takes up the results that reports carry, from this process or from the workers of xdist."""

    def __init__(self, results: list[dict[str, Any]]) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take up the result that the last report of a test carries."""
        result = getattr(report, attempts.RESULT, None)
        if result is not None:
            self._results.append(result)


@pytest.fixture
def hil_devices(request: pytest.FixtureRequest) -> Iterator[Callable[..., list[BenchDevice]]]:
    """Lease devices for the test: ``hil_devices(n)``, by default as many as the marker's ``count``; all or none."""
    visit = visit_of(request)
    yield visit.devices_or_skip
    visit.release()


@pytest.fixture
def hil_device(hil_devices: Callable[..., list[BenchDevice]]) -> BenchDevice:
    """Lease a device for the test: freshly reset, given back at its end."""
    return hil_devices(1)[0]


@pytest.fixture
def hil_artifact(request: pytest.FixtureRequest) -> Callable[..., Artifact]:
    """Compile a model for the test's target, once a session: ``hil_artifact(model, target=None, profile=None, ...)``."""
    return visit_of(request).artifact


@pytest.fixture
def hil_reference(request: pytest.FixtureRequest) -> Callable[..., DeviceRun]:
    """Run an artifact in the reference interpreter, once a session: ``hil_reference(artifact, inputs, ...)``."""
    return visit_of(request).reference


@pytest.fixture
def hil_compare(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run on reference and device and compare: ``hil_compare(artifact, inputs, device=None, ...)``; fails the test."""
    visit = visit_of(request)
    visit.first_device = lambda: request.getfixturevalue("hil_device")
    # Now, not in the test: what is asked for in a test is torn down after what the test asked for first.
    request.getfixturevalue("hil_devices")
    return visit.compare


@pytest.fixture
def hil_fault(request: pytest.FixtureRequest) -> Callable[..., BenchDevice]:
    """Inject faults from here on: ``hil_fault("spike_drop:p=0.01,seed=3", device=None)`` returns the device."""
    visit = visit_of(request)
    visit.first_device = lambda: request.getfixturevalue("hil_device")
    return visit.inject


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Hold what ran in a test that passed against its budget."""
    result = yield
    if item.get_closest_marker("hil_budget") is not None:
        if _visit not in item.stash:
            pytest.fail("@pytest.mark.hil_budget stands at a test without devices: ask for hil_device or hil_compare", False)
        item.stash[_visit].judge_budget()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Note what a phase of an attempt came to."""
    is_hil = attempts.is_hil(item)
    text = ""
    if is_hil and call.excinfo is not None and not item.config.getoption("fulltrace"):
        text = attempts.shorten(call.excinfo.value)
    report = yield
    if text and report.failed:
        report.longrepr = text
    if is_hil and attempts.note(item, call, report) and _visit in item.stash:
        item.stash[_visit].is_broken = True
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test of devices, again where only the bench failed; leave every other test to pytest."""
    if not attempts.is_hil(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    done = attempts.run(item, nextitem, item.config.getoption("hil_retries"), _take_visit)
    for report in done:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _take_visit(item: pytest.Item) -> dict[str, Any]:
    """Return what an attempt did on the bench, and forget it: the next one starts anew."""
    if _visit not in item.stash:
        return {}
    visit = item.stash[_visit]
    del item.stash[_visit]
    return visit.to_json()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the devices back; write reports and baseline, where this process is no worker of xdist."""
    config = session.config
    if _bench in config.stash:
        config.stash[_bench].close()
        del config.stash[_bench]
    if hasattr(config, "workerinput"):
        return
    results = config.stash[_results]
    if results or config.getoption("hil_report") or config.getoption("hil_baseline_update"):
        from spikeport.runtime.hil.suite import reporting

        said, is_ok = reporting.finish(config.option, results)
        config.stash[_said][:] = said
        if not is_ok and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the outcomes, every attempt that failed, and what was written."""
    results, said = config.stash[_results], config.stash[_said]
    if not results and not said:
        return
    terminalreporter.section("hardware in the loop")
    for line in [*attempts.summary(results), *said]:
        terminalreporter.write_line(line)
