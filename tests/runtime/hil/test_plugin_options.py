"""What the plugin's options and markers do: recordings, baselines, drivers, faults, and what they refuse."""

import re
import shutil

import numpy as np
import pytest
from hil_suite import run

SHARED = """
@pytest.mark.hil(target="loihi2")
@pytest.mark.hil_budget(rel=0.05)
def test_net(hil_artifact, hil_compare):
    hil_compare(hil_artifact(network(WEIGHT), profile="norse"), X)

def test_two(hil_devices, hil_artifact, hil_reference):
    a = hil_artifact(network(WEIGHT), profile="norse")
    one, two = hil_devices(2)
    one.load(a), two.load(a)
    for device in (one, two):
        np.testing.assert_array_equal(device.run(X).trace.out["out"], hil_reference(a, X).trace.out["out"])
    assert hil_reference(a, X) is hil_reference(a, X * 1.0)
    assert [d.info.name for d in (one, two)] == ["engine", "engine-1"]
"""


def test_recorded_once_replayed_anywhere(tmp_path):
    body = "WEIGHT = 0.5\n" + SHARED.replace(
        "@pytest.mark.hil_budget(rel=0.05)", "@pytest.mark.hil_budget(spikes=1e6, cores=4)"
    )
    recorded = run(tmp_path, body, "--hil-record", "bench")
    assert set(recorded.outcomes.values()) == {"passed"}
    assert len(list((tmp_path / "bench").iterdir())) == 3
    replayed = run(tmp_path, body, "--hil-replay", "bench")
    assert set(replayed.outcomes.values()) == {"passed"}
    devices = {n: [(d["name"], d["kind"]) for d in t["attempts"][0]["devices"]] for n, t in replayed.tests.items()}
    assert devices == {
        "test_net": [("engine-loihi2", "replay")], "test_two": [("engine", "replay"), ("engine-1", "replay")]
    }  # fmt: skip
    # Another network: its answers were never recorded.
    changed = run(tmp_path, body.replace("WEIGHT = 0.5", "WEIGHT = 0.6"), "--hil-replay", "bench")
    assert set(changed.outcomes.values()) == {"unsupported"}
    assert "it differs in artifact: " in changed.text
    shutil.rmtree(tmp_path / "bench")
    gone = run(tmp_path, body, "--hil-replay", "bench")
    assert "there are no cassettes in bench" in gone.text


def test_growth_over_a_baseline_that_is_written_on_request_only(tmp_path):
    body = "WEIGHT = 0.5\n" + SHARED
    missing = run(tmp_path, body, "--hil-baseline", "base.json")
    assert missing.outcomes["test_net"] == "unsupported"
    assert "E855" in missing.text
    assert not (tmp_path / "base.json").exists()
    written = run(tmp_path, body, "--hil-baseline", "base.json", "--hil-baseline-update", "-n", "2")
    assert written.outcomes["test_net"] == "passed"
    assert "wrote base.json: 1 tests of this run, 1 in all" in written.text
    kept = (tmp_path / "base.json").read_bytes()
    assert run(tmp_path, body, "--hil-baseline", "base.json").outcomes["test_net"] == "passed"
    grown = run(tmp_path, body.replace("WEIGHT = 0.5", "WEIGHT = 0.9"), "--hil-baseline", "base.json")
    assert grown.outcomes["test_net"] == "over_budget"
    assert re.search(r"rel spikes: [\d.]+ of [\d.]+: over_budget \(baseline ", grown.text)
    assert (tmp_path / "base.json").read_bytes() == kept


NOBODY = """
@pytest.mark.hil(target="loihi2")
def test_net(hil_device): ...

def test_other(): ...
"""


def test_no_device_skips_with_a_reason_or_fails_on_request(tmp_path):
    found = run(tmp_path, NOBODY, "--hil-target", "hw")
    assert (found.code, found.outcomes) == (0, {"test_net": "skipped"})
    assert "no driver of hardware is installed" in found.tests["test_net"]["message"]
    found = run(tmp_path, NOBODY, "--hil-target", "hw", "--hil-require")
    assert (found.code, found.outcomes) == (1, {"test_net": "unsupported"})


def test_drivers_of_hardware_are_entry_points(tmp_path):
    site = tmp_path / "site"
    (site / "chip-1.0.dist-info").mkdir(parents=True)
    (site / "chip-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: chip\nVersion: 1.0\n")
    points = "[spikeport.hil_drivers]\na_broken = chip:broken\nchip = chip:make\n"
    (site / "chip-1.0.dist-info" / "entry_points.txt").write_text(points)
    (site / "chip.py").write_text(
        "import dataclasses\n"
        "from spikeport.ir.diagnostics import BackendUnavailable, Diagnostic\n"
        "from spikeport.runtime.hil.device import LocalDevice\n"
        "class Chip(LocalDevice):\n"
        "    info = property(lambda self: dataclasses.replace(self._info, kind='hw'))\n"
        "    def run(self, inputs, **request):\n"
        "        run = super().run(inputs, **request)\n"
        "        return dataclasses.replace(run, meta={**run.meta, 'measured': {'energy_j': 4e-6, 'latency_s': 1e-3}})\n"
        "def broken(config):\n"
        "    raise BackendUnavailable(Diagnostic('E500', '', 'no such board', ''))\n"
        "def make(config):\n"
        "    return Chip('reference', {}, 'loihi2', config['name'])\n"
    )
    body = """
@pytest.mark.hil(target="loihi2")
@pytest.mark.hil_budget(energy_uj=4.1, latency_ms=0.5)
def test_net(hil_artifact, hil_compare, hil_device):
    assert (hil_device.info.name, hil_device.info.kind) == ("chip", "hw")
    hil_compare(hil_artifact(network(), profile="norse"), X)

@pytest.mark.hil(target="spinnaker2")
def test_other(hil_device): ...
"""
    found = run(tmp_path, body, "--hil-target", "hw", path=(site,))
    assert found.outcomes == {"test_net": "over_budget", "test_other": "skipped"}
    assert "latency_ms: 1 ms of 0.5 ms: over_budget (measured by the device)" in found.text
    assert "no such board; chip is loihi2, not spinnaker2" in found.tests["test_other"]["message"]


WRONG = """
@pytest.mark.hil(tarjet="loihi2", count=0)
def test_marker(hil_device): ...

@pytest.mark.hil(target="lohi2")
def test_target(hil_device): ...

@pytest.mark.hil_tolerance(membrain=1)
def test_tolerance(hil_compare): ...

@pytest.mark.hil_budget
def test_budget(hil_compare): ...

@pytest.mark.hil_budget(spikes=1)
def test_idle(hil_device): ...

@pytest.mark.hil_budget(spikes=1)
def test_without(): ...

@pytest.mark.hil("loihi2")
def test_positional(hil_device): ...
"""


def test_what_a_marker_cannot_say_is_told(tmp_path):
    found = run(tmp_path, WRONG)
    for said in ("there is no argument 'tarjet' (did you mean 'target'?)", "count=0 is no number of devices",
                 "did you mean 'loihi2'?", "there is no criterion 'membrain' (did you mean 'membrane'?)",
                 "a budget limits nothing", "a test that ran nothing on a device", "stands at a test without devices",
                 "@pytest.mark.hil takes names"):  # fmt: skip
        assert said in found.text
    assert "passed" not in found.outcomes.values()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hil-report", "json,pdf"], "--hil-report: pdf is none of json, junit, html"),
        (["--hil-target", "replay"], "--hil-target replay needs cassettes"),
        (["--hil-replay", "d", "--hil-target", "hw", "--hil-record", "e"], "leave --hil-target hw out"),
        (["--hil-fault", "spike_drop:p=1", "--hil-record", "d"], "leave --hil-fault out"),
        (["--hil-baseline-update", "--hil-retries", "-1", "--hil-timeout-multiplier", "0"], "needs to know where"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, options, said):
    found = run(tmp_path, NOBODY, *options, report="")
    assert found.code == 4
    assert said in found.text


# A network whose neurons are all silent, and a device that is not there any more.
FAULTS = """

def test_sound(hil_compare, hil_artifact):
    hil_compare(hil_artifact(network(), profile="norse"), X)

def test_asked(hil_compare, hil_artifact, hil_fault, hil_device):
    a = hil_artifact(network(), profile="norse")
    assert hil_compare(a, X, check=False).ok == SOUND
    assert hil_fault("stuck:p=1") is hil_device
    assert hil_compare(a, X, check=False).outcome == "mismatch"
    hil_device.reset()
"""


def test_faults_are_injected_into_every_device_or_where_a_test_asks(tmp_path):
    found = run(tmp_path, "SOUND = True" + FAULTS)
    assert found.outcomes == {"test_sound": "passed", "test_asked": "passed"}
    assert found.tests["test_asked"]["attempts"][0]["faults"] == ["stuck:p=1"]
    found = run(tmp_path, "SOUND = False" + FAULTS, "--hil-fault", "stuck:p=1")
    assert found.outcomes == {"test_sound": "mismatch", "test_asked": "passed"}
    found = run(tmp_path, "SOUND = None" + FAULTS, "--hil-fault", "device_dies:step=30", "--hil-retries", "1")
    assert found.outcomes == {"test_sound": "infrastructure", "test_asked": "infrastructure"}
    assert len(found.tests["test_sound"]["attempts"]) == 2


README = """
import numpy as np
import pytest

@pytest.mark.hil(target="loihi2")
@pytest.mark.hil_budget(latency_ms=0.1, energy_uj=5)
def test_digits_on_the_chip(hil_artifact, hil_compare):
    hil_compare(hil_artifact("digits_dense.nir"), np.load("samples.npy"))
"""


def test_a_test_of_a_trained_network_takes_under_ten_lines(tmp_path, root):
    shutil.copy(root / "models" / "digits_dense.nir", tmp_path)
    np.save(tmp_path / "samples.npy", np.random.default_rng(0).random((20, 50, 1, 8, 8)) < 0.2)
    found = run(tmp_path, README, head="")
    assert found.outcomes == {"test_digits_on_the_chip": "passed"}
    assert len(README.strip().splitlines()) < 10
    (attempt,) = found.tests["test_digits_on_the_chip"]["attempts"]
    assert set(attempt["spent"]) == {"latency_ms", "energy_uj", "spikes", "synops", "cores"}
