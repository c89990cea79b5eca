"""The pytest plugin with a daemon: a lease for each worker of xdist, devices by kind and name, and a way that fails."""

import pytest
from hil_bench import running
from hil_suite import run

from spikeport.runtime.hil.daemon.config import DeviceConfig

SUITE = """
@pytest.mark.parametrize("n", range(2))
def test_pair(n, hil_devices, hil_artifact, hil_compare):
    one, two = hil_devices(2)
    assert {one.info.name, two.info.name} == {"east", "west"}
    a = hil_artifact(network(), profile="norse")
    assert hil_compare(a, X, two).ok and hil_compare(a, X, one).ok

@pytest.mark.parametrize("n", range(2))
def test_one(n, hil_device, hil_artifact, hil_reference):
    a = hil_artifact(network(), profile="norse")
    hil_device.load(a)
    np.testing.assert_array_equal(hil_device.run(X).trace.out["out"], hil_reference(a, X).trace.out["out"])

@pytest.mark.hil(target="loihi2", device="chip")
@pytest.mark.hil_budget(cores=1)
def test_chip(hil_artifact, hil_compare, hil_device):
    assert hil_device.info.name == "chip"
    hil_compare(hil_artifact(network(), profile="norse"), X)

@pytest.mark.hil(features="laser")
def test_laser(hil_device): ...

@pytest.mark.hil(count=4)
def test_four(hil_devices):
    hil_devices()
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    plain = [DeviceConfig(name, backend="engine") for name in ("east", "west")]
    with running(
        tmp_path_factory.mktemp("hild") / "state", *plain, DeviceConfig("chip", backend="engine", target="loihi2")
    ) as d:
        yield d.url


def test_two_workers_that_want_both_devices_never_wait_for_each_other(url, tmp_path):
    found = run(tmp_path, SUITE, "--hil-url", url, "-n", "2", "--hil-target", "sim")
    messages = {n: (t["outcome"] or t["status"], t["message"]) for n, t in found.tests.items()}
    assert messages.pop("test_laser")[0] == messages.pop("test_four")[0] == "skipped"
    assert messages == dict.fromkeys(messages, ("passed", ""))
    assert "lacks laser" in found.tests["test_laser"]["message"]
    assert "offers 3 devices that fit, 4 are asked for" in found.tests["test_four"]["message"]
    (chip,) = found.tests["test_chip"]["attempts"][0]["devices"]
    assert (chip["name"], chip["target"], chip["kind"]) == ("chip", "loihi2", "sim")


def test_a_kind_that_the_daemon_does_not_offer_skips(url, tmp_path):
    found = run(tmp_path, "def test_it(hil_device): ...", "--hil-url", url, "--hil-target", "hw")
    assert found.outcomes == {"test_it": "skipped"}
    assert f"{url} offers no device of kind hw" in found.tests["test_it"]["message"]


def test_no_daemon_is_the_benchs_fault_and_tried_again(tmp_path):
    options = ("--hil-url", "hild://127.0.0.1:9", "--hil-retries", "1", "--hil-timeout-multiplier", "0.05")
    found = run(tmp_path, "def test_it(hil_device): ...", *options)
    assert found.outcomes == {"test_it": "infrastructure"}
    assert len(found.tests["test_it"]["attempts"]) == 2
