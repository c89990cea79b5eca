"""A device with faults: what it does wrong, what is refused, and the pytest plugin around it."""

import dataclasses
import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hil_parts import X, artifact
from hil_suite import run as run_suite

from spikeport.ir.diagnostics import RunTimeout, SpikeportError, UnsupportedError, UsageError
from spikeport.runtime.artifact import artifact_bytes, read_artifact
from spikeport.runtime.hil.cassette import read_folder
from spikeport.runtime.hil.device import Device, LocalDevice
from spikeport.runtime.hil.faults.faulty import FaultyDevice
from spikeport.runtime.hil.faults.network import inject
from spikeport.runtime.hil.faults.spec import parse_faults
from spikeport.runtime.hil.outcome import HilError, Outcome, outcome_of
from spikeport.runtime.hil.replay import RecordingDevice, ReplayDevice

STEPS = X.shape[0] * X.shape[1]


def faulty(text, device=None, **options):
    return FaultyDevice(device or LocalDevice(), parse_faults(text), **options)


def refused(kind, call, *arguments, **named):
    """Return code and outcome of what *call* raises."""
    with pytest.raises(kind) as found:
        call(*arguments, **named)
    return found.value.diagnostics[0].code, str(outcome_of(found.value))


def test_a_device_dies_at_its_step_and_stays_dead():
    device = faulty(f"device_dies:step={STEPS + 7}")
    told = []
    device.on_progress = lambda done, total: told.append((done, total))
    device.load(artifact())
    device.run({"in": X})
    assert told[-1] == (STEPS, STEPS)
    assert refused(HilError, device.run, {"in": X}) == ("E889", "infrastructure")
    assert told[-1] == (7, STEPS)
    for call in (device.reset, device.state_digest, lambda: device.load(artifact()), lambda: device.run({"in": X})):
        assert refused(HilError, call) == ("E889", "infrastructure")
    device.close()
    at_once = faulty("device_dies")
    at_once.load(artifact())
    assert refused(HilError, at_once.run, {"in": X[:, :1]}) == ("E889", "infrastructure")


def test_a_worker_that_may_be_killed_is():
    assert refused(UnsupportedError, faulty, "device_dies:how=kill") == ("E888", "unsupported")
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_faulty_device import X, artifact, faulty\n"
        "device = faulty('device_dies:step=3,how=kill', may_kill=True)\n"
        "device.load(artifact()); print('loaded', flush=True); device.run({'in': X}); print('lived')"
    )
    folders = [str(Path(__file__).parent), *filter(None, sys.path)]
    command = [sys.executable, "-c", script, *folders]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.stdout == "loaded\n", process.stderr
    assert process.returncode == -9


def test_a_device_that_hangs_is_given_up_and_busy():
    device = faulty("hang:step=3")
    device.load(artifact())
    assert refused(RunTimeout, device.run, {"in": X}, timeout_s=0.01) == ("E803", "timeout")
    assert refused(HilError, device.reset) == ("E851", "quarantined")
    device.close()


def test_a_hang_that_ends_in_time_changes_nothing():
    sound = LocalDevice()
    sound.load(artifact())
    expected = sound.run({"in": X}).trace.out["out"]
    for limit in (None, 60):
        device = faulty("hang:step=0,s=0.001")
        device.load(artifact())
        np.testing.assert_array_equal(device.run({"in": X}, timeout_s=limit).trace.out["out"], expected)
        device.reset()


def test_what_happens_first_is_seen_first():
    device = faulty("device_dies:step=4/hang:step=3")
    device.load(artifact())
    assert refused(RunTimeout, device.run, {"in": X}, timeout_s=0.01)[0] == "E803"
    device = faulty("device_dies:step=2/hang:step=3")
    device.load(artifact())
    assert refused(HilError, device.run, {"in": X}, timeout_s=0.01)[0] == "E889"


def test_what_a_run_leaves_behind_is_found_by_the_read_back():
    device = faulty("stale_state")
    fresh = device.state_digest()
    assert fresh == LocalDevice().state_digest()
    device.load(artifact())
    device.reset()  # nothing has run
    device.load(artifact())
    device.run({"in": X})
    assert refused(HilError, device.reset) == ("E851", "quarantined")
    assert device.state_digest() != fresh


def test_wrong_firmware_is_another_and_its_cassettes_are_not_ours(tmp_path):
    device, sound = faulty("wrong_firmware"), LocalDevice()
    assert device.info.firmware != sound.info.firmware
    assert device.info.firmware == faulty("wrong_firmware").info.firmware != faulty("wrong_firmware:seed=1").info.firmware
    assert (device.info.name, device.info.features) == (sound.info.name, sound.info.features)
    recording = RecordingDevice(device, tmp_path)
    recording.load(artifact())
    recording.run({"in": X})
    assert {c.info.firmware for c in read_folder(tmp_path)} == {device.info.firmware}
    assert refused(HilError, ReplayDevice, tmp_path, "engine", sound.info.firmware) == ("E856", "unsupported")


def test_faults_of_the_network_are_in_what_runs_and_not_in_what_answers():
    device, sound = faulty("stuck:n=1/spike_drop:p=0.4,layer=in"), LocalDevice()
    data = artifact()
    assert device.load(data) == sound.load(data) == hashlib.sha256(data).hexdigest()
    run = device.run({"in": X}, record="all", record_state=True)
    assert (run.graph, run.artifact) == (sound.run({"in": X}).graph, hashlib.sha256(data).hexdigest())
    assert run.meta["faults"] == ["stuck:n=1", "spike_drop:p=0.4,layer=in"]
    faulted = inject(read_artifact(data), device.faults)
    by_hand = LocalDevice()
    by_hand.load(artifact_bytes(faulted.program))
    expected = by_hand.run(faulted.inputs({"in": X}), record=("lif",), record_state=True).trace
    for key, array in run.trace.arrays().items():
        np.testing.assert_array_equal(array, expected.arrays()[key])
    assert {"lif"} == set(run.trace.spikes) == set(run.trace.v)


def test_a_gated_run_shows_the_layers_of_the_network_alone():
    device = faulty("late:p=0.5/spike_drop:p=0.2")
    device.load(artifact())
    run = device.run({"in": X}, record="all")
    assert set(run.trace.spikes) == {"lif"}
    assert not [p for p in (*run.trace.counts, *run.trace.activity, *run.trace.meta["binary_inputs"]) if "fault" in p]
    reference = faulty("late:p=0.5/spike_drop:p=0.2", LocalDevice("reference"))
    reference.load(artifact())
    np.testing.assert_array_equal(reference.run({"in": X}).trace.out["out"], run.trace.out["out"])


def test_faults_add_up():
    inner = faulty("stuck:p=1/device_dies:step=1000")
    device = FaultyDevice(inner, parse_faults("spike_drop:p=0.5"))
    assert list(map(str, device.faults)) == ["stuck:p=1", "device_dies:step=1000", "spike_drop:p=0.5"]
    assert not isinstance(device.inner, FaultyDevice)
    assert refused(HilError, device.run, {"in": X}) == ("E850", "infrastructure")  # nothing is run without the faults
    device.load(artifact())
    assert not device.run({"in": X}).trace.out["out"].any()


class Hardware(LocalDevice):
    @property
    def info(self):
        return dataclasses.replace(super().info, kind="hw", name="chip")


def test_hardware_takes_rewritten_parameters_and_no_more_nodes():
    device = faulty("bit_flip:p=0.1/stuck:n=2", Hardware())
    device.load(artifact())
    device.run({"in": X})
    device = faulty("spike_drop:p=0.1", Hardware())
    assert refused(UnsupportedError, device.load, artifact()) == ("E888", "unsupported")
    assert refused(UnsupportedError, faulty("dead_core:core=0").load, artifact()) == ("E887", "unsupported")


def test_recordings_and_ways_are_refused(tmp_path):
    recording = RecordingDevice(LocalDevice(), tmp_path)
    recording.load(artifact())
    recording.run({"in": X})
    replay = ReplayDevice(tmp_path)
    assert refused(UnsupportedError, faulty, "spike_drop:p=0.1", replay) == ("E888", "unsupported")
    assert isinstance(faulty("device_dies", replay), Device)
    assert refused(UsageError, faulty, "reset")[0] == "E885"


def test_a_device_can_be_closed_while_it_hangs():
    device = faulty("hang")
    device.load(artifact())
    found = []

    def work():
        try:
            device.run({"in": X})
        except SpikeportError as error:
            found.append((error.diagnostics[0].code, outcome_of(error)))

    thread = threading.Thread(target=work)
    thread.start()
    device.close()
    thread.join(60)
    assert found == [("E889", Outcome.INFRASTRUCTURE)]


SUITE = """
@pytest.mark.parametrize("spec", ["spike_drop:p=0.5", "late:p=1,steps=2", "bit_flip:p=0.2", "stuck:p=0.5,at=1"])
def test_mismatch(hil_device, hil_artifact, hil_compare, hil_fault, spec):
    hil_fault(spec)
    hil_compare(hil_artifact(network(), profile="norse"), X)

def test_loaded_before(hil_device, hil_artifact, hil_fault):
    hil_device.load(hil_artifact(network(), profile="norse"))
    assert hil_device.run(X).trace.out["out"].any()
    hil_fault("stuck:p=1")
    assert not hil_device.run(X).trace.out["out"].any()

@pytest.mark.parametrize("spec", ["device_dies:step=3", "hang", "stale_state"])
def test_bench(hil_device, hil_artifact, hil_compare, hil_fault, spec):
    hil_fault(spec)
    hil_device.load(hil_artifact(network(), profile="norse"))
    hil_device.run(X, timeout_s=0.05 if spec == "hang" else 60)

@pytest.mark.hil(firmware=FIRMWARE)
def test_firmware(hil_device, hil_fault):
    hil_fault("wrong_firmware")

def test_nothing(hil_artifact, hil_compare, hil_fault):
    hil_fault("spike_drop:p=0")
    hil_compare(hil_artifact(network(), profile="norse"), X)

def test_refused(hil_device, hil_artifact, hil_fault):
    hil_fault("dead_core:core=0")
    hil_device.load(hil_artifact(network(), profile="norse"))

def test_misspelt(hil_device, hil_fault):
    hil_fault("spike_dorp:p=0.1")
"""


def test_a_suite_of_a_user_tells_the_faults_apart(tmp_path):
    head = f"FIRMWARE = {LocalDevice().info.firmware!r}\n"
    found = run_suite(tmp_path, head + SUITE)
    expected = {f"test_mismatch[{s}]": "mismatch" for s in
                ("spike_drop:p=0.5", "late:p=1,steps=2", "bit_flip:p=0.2", "stuck:p=0.5,at=1")}  # fmt: skip
    expected |= {
        "test_bench[device_dies:step=3]": "infrastructure", "test_bench[hang]": "timeout",
        "test_bench[stale_state]": "quarantined", "test_firmware": "unsupported", "test_nothing": "passed",
        "test_refused": "unsupported", "test_misspelt": "bad_artifact", "test_loaded_before": "passed",
    }  # fmt: skip
    assert found.outcomes == expected
    assert found.tests["test_mismatch[bit_flip:p=0.2]"]["attempts"][0]["faults"] == ["bit_flip:p=0.2"]
    assert "has firmware" in found.tests["test_firmware"]["attempts"][0]["message"]
    assert "did you mean 'spike_drop'" in found.tests["test_misspelt"]["attempts"][0]["message"]
