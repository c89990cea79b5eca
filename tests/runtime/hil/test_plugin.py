"""The pytest plugin and its outcomes, as a user meets them: suites that are run by a pytest of their own."""

import re

import pytest
from hil_suite import run

from spikeport.runtime.hil import outcome
from spikeport.runtime.hil.suite import attempts

PLAIN = """
import sys
import pytest

@pytest.mark.parametrize("n", [1, 2])
def test_plain(n):
    heavy = {"numpy", "grpc", "spikeport.ir", "spikeport.runtime.hil.suite.bench", "matplotlib", "numba"} & set(sys.modules)
    assert not heavy, heavy

def test_fails():
    assert 1 == 2

@pytest.mark.skip(reason="so")
def test_skipped(): ...
"""

OUTCOMES = """
@pytest.mark.hil_tolerance(membrane=1e-9)
def test_passed(hil_artifact, hil_compare):
    assert hil_compare(hil_artifact(artifact_path()), X).ok

@pytest.mark.hil_budget(spikes=SPIKES * 1.05)
def test_marginal(hil_artifact, hil_compare):
    hil_compare(hil_artifact(artifact_path()), X)

def test_mismatch(hil_device, hil_artifact, hil_compare):
    wrong_weights(hil_device)
    hil_compare(hil_artifact(artifact_path()), X)

@pytest.mark.parametrize("a", ["<script>alert(1)</script>"])
def test_plain_assertion(hil_device, a):
    assert a == "<b>&\\x00"

@pytest.mark.hil_budget(spikes=SPIKES / 2)
def test_over_budget(hil_device):
    hil_device.load(artifact())
    hil_device.run(X)

def test_infrastructure(hil_device):
    TRIED.append("infrastructure")
    raise ConnectionResetError("the cable")

def test_timeout(hil_device):
    TRIED.append("timeout")
    hil_device.load(artifact())
    hil_device.run(np.zeros((200, 20000, 3), np.uint8), timeout_s=1e-4)

def test_bad_artifact(hil_device):
    hil_device.load(artifact()[:-3])

@pytest.mark.hil(target="loihi2")
def test_unsupported(hil_device):
    hil_device.load(artifact(target="spinnaker2"))

def test_flaky(hil_device):
    TRIED.append("flaky")
    if TRIED.count("flaky") < 2:
        raise HilError(Diagnostic("E865", "", "no answer"))

def test_quarantined(hil_device):
    TRIED.append("quarantined")
    hil_device.inner.state_digest = lambda: "stain"

def test_error(hil_device):
    TRIED.append("error")
    {}["no such key"]

@pytest.mark.hil(features="laser")
def test_skipped(hil_device): ...

@pytest.mark.xfail(strict=True)
def test_xfail(hil_device):
    assert False

def test_not_ours():
    TRIED.append("not ours")
    raise ConnectionResetError

def test_tries():
    assert {t: TRIED.count(t) for t in TRIED} == {
        "infrastructure": 3, "timeout": 3, "flaky": 2, "quarantined": 1, "error": 1, "not ours": 1
    }
"""
TOOLS = """
import functools, tempfile, pathlib
TRIED = []

@functools.cache
def artifact_path():
    path = pathlib.Path(tempfile.mkdtemp()) / "net.spk"
    path.write_bytes(artifact(target="loihi2"))
    return path

def spikes():
    from spikeport.runtime.hil.device import LocalDevice
    with LocalDevice() as device:
        device.load(artifact())
        return device.run({"in": X}).trace.counts["lif"].spikes / len(X)

SPIKES = spikes()

def wrong_weights(device):
    load = device.inner.load
    device.inner.load = lambda data: load(artifact(weight=0.45, target="loihi2"))
"""


def without_times(text):
    """Return the output without what differs from run to run, and without pytest's own list of plugins."""
    return re.sub(r"\d+\.\d+s|plugins: .*\n", "", text)


def test_a_suite_that_does_not_use_it_is_left_alone(tmp_path):
    found = run(tmp_path, PLAIN, "-vv", "-rA", head="", report="")
    without = run(tmp_path, PLAIN, "-vv", "-rA", "-p", "no:spikeport_hil", head="", report="")
    assert "2 passed" in found.text
    assert found.code == without.code == 1
    assert without_times(found.text) == without_times(without.text)
    assert not (tmp_path / "hil-results").exists()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outcomes")
    return run(folder, TOOLS + OUTCOMES, "--hil-retries", "2", report="json,junit,html"), folder


def test_outcomes_are_kept_apart(outcomes):
    found, _ = outcomes
    expected = {n: n for n in attempts.SEVERITY} | {"error": "error", "skipped": "skipped", "xfail": "skipped"}
    expected["plain_assertion[<script>alert(1)</script>]"] = "mismatch"
    assert found.outcomes == {f"test_{name}": outcome for name, outcome in expected.items()}
    assert found.data["counts"] == {**dict.fromkeys(attempts.SEVERITY, 1), "mismatch": 2, "error": 1, "skipped": 2}
    assert tuple(map(str, outcome.SEVERITY)) == attempts.SEVERITY
    assert (set(attempts._GOOD), set(attempts._RETRIED)) == (outcome.GOOD, outcome.RETRIED)


def test_only_a_failing_bench_is_tried_again_and_every_attempt_is_told(outcomes):
    found, _ = outcomes
    tried = {name.removeprefix("test_"): len(t["attempts"]) for name, t in found.tests.items() if len(t["attempts"]) > 1}
    assert tried == {"infrastructure": 3, "timeout": 3, "flaky": 2}
    assert "1 failed" not in found.text  # test_tries, among the others
    assert "test_tries" not in found.text
    first, last = found.tests["test_flaky"]["attempts"]
    assert (first["outcome"], last["outcome"], first["message"]) == ("infrastructure", "passed", "E865: no answer")
    assert "flaky test_suite.py::test_flaky (attempts 1: infrastructure, 2: passed)" in found.text


def test_the_terminal_says_what_is_not_simply_passed(outcomes):
    text = outcomes[0].text
    assert "1 passed, 1 marginal, 1 flaky, 1 over budget, 2 mismatch, 1 unsupported, 1 bad artifact, 1 timeout" in text
    assert re.search(r"marginal test_suite.py::test_marginal\n +spikes: [\d.]+ of [\d.]+: marginal \(counted", text)
    assert "E854: spikes: " in text
    assert "engine lacks laser" in outcomes[0].tests["test_skipped"]["message"]
    # An error that explains itself is shown at the user's own line, without the ways inside of spikeport.
    assert "artifact.py" not in text
    assert "hil_device.load(artifact()[:-3])" in text


def test_a_mismatch_leaves_evidence(outcomes):
    found, folder = outcomes
    (attempt,) = found.tests["test_mismatch"]["attempts"]
    assert "first divergence: spikes/lif, sample 0, step " in attempt["message"]
    files = [folder / e for e in attempt["evidence"]]
    assert [f.name for f in files] == ["divergence.npz", "raster.png"]
    assert all(f.is_file() for f in files)
    assert str(attempt["evidence"][0]) in found.text


def test_junit_has_every_attempt(outcomes):
    from xml.etree import ElementTree

    root = ElementTree.parse(outcomes[1] / "hil-results" / "hil-junit.xml").getroot()
    suite = root.find("testsuite")
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "14", "failures": "3", "errors": "6", "skipped": "2"
    }  # fmt: skip
    ends = {}
    for case in suite:
        ends[case.get("name")] = [(e.tag, e.get("type")) for e in case if e.tag not in ("properties", "system-out", "skipped")]
        told = {p.get("name"): p.get("value") for p in case.find("properties")}
        assert int(told["hil.attempts"]) == max(1, len(ends[case.get("name")]) + (told["hil.outcome"] == "flaky"))
    assert ends["test_infrastructure"] == [("rerunError", "infrastructure")] * 2 + [("error", "infrastructure")]
    assert ends["test_flaky"] == [("flakyError", "infrastructure")]
    assert ends["test_mismatch"] == [("failure", "mismatch")]
    assert ends["test_error"] == [("error", "KeyError")]
    assert ends["test_passed"] == ends["test_marginal"] == []


def test_html_is_one_file_and_escaped(outcomes):
    text = (outcomes[1] / "hil-results" / "hil.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;&amp;" in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert text.count("data:image/png;base64,") == 1
    assert "Content-Security-Policy" in text
    for name in attempts.SEVERITY:
        assert f'class="o {name}"' in text


def test_the_same_through_xdist(outcomes, tmp_path):
    found = run(tmp_path, TOOLS + OUTCOMES, "--hil-retries", "2", "-n", "2", "--dist", "loadfile")

    def told(done):
        return {n: (t["outcome"], t["status"], len(t["attempts"])) for n, t in done.tests.items()}

    assert told(found) == told(outcomes[0])
    assert list(found.tests) == list(outcomes[0].tests)
