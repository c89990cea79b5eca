"""Devices in this process: what they load, run and refuse, and that a reset is read back."""

import dataclasses
import threading

import numpy as np
import pytest
from hil_parts import X, artifact

from spikeport.backends.registry import get_backend
from spikeport.ir.diagnostics import ArtifactError, BackendUnavailable, RunTimeout, UnsupportedError, UsageError
from spikeport.runtime.artifact import read_artifact
from spikeport.runtime.hil import firmware
from spikeport.runtime.hil.device import LocalDevice
from spikeport.runtime.hil.outcome import HilError, Outcome, outcome_of
from spikeport.runtime.inputs import prepare_inputs
from spikeport.runtime.session import run_program


def code(call, kind, *arguments, **named):
    with pytest.raises(kind) as found:
        call(*arguments, **named)
    return found.value.diagnostics[0].code


@pytest.mark.parametrize("backend", ["engine", "reference"])
def test_a_run_is_the_backends_own(backend):
    data = artifact()
    program = read_artifact(data)
    expected = run_program(
        program, prepare_inputs(X, program.graph), get_backend(backend), record="all", record_state=True
    ).trace
    with LocalDevice(backend) as device:
        device.load(data)
        for _ in range(2):
            run = device.run({"in": X}, record="all", record_state=True, timeout_s=60)
            for key, array in expected.arrays().items():
                np.testing.assert_array_equal(run.trace.arrays()[key], array)
        assert run.graph == program.graph.digest
        assert {"total", "run"} <= set(run.seconds)
        assert run.trace.meta["input_spikes"] is not None


def test_a_reset_is_read_back():
    device = LocalDevice()
    fresh = device.state_digest()
    device.load(artifact())
    loaded = device.state_digest()
    assert loaded != fresh
    device.load(artifact(weight=0.6))
    assert device.state_digest() not in (fresh, loaded)
    device.reset()
    assert device.state_digest() == fresh == LocalDevice().state_digest()
    assert code(device.run, HilError, {"in": X}) == "E850"


def test_a_device_that_keeps_something_is_quarantined():
    class Sticky(LocalDevice):
        stain = ""

        def state_digest(self):
            return super().state_digest() + self.stain

    device = Sticky()
    device.load(artifact())
    device.stain = "left"
    with pytest.raises(HilError, match="after its reset engine reads back") as found:
        device.reset()
    assert (found.value.diagnostics[0].code, found.value.outcome) == ("E851", Outcome.QUARANTINED)


def test_a_bad_artifact_leaves_no_program_behind():
    device = LocalDevice()
    device.load(artifact())
    assert code(device.load, ArtifactError, b"") == "E701"
    assert code(device.load, ArtifactError, artifact()[:-1]) == "E701"
    assert code(device.run, HilError, {"in": X}) == "E850"
    device.load(artifact())
    device.run({"in": X})


def test_a_program_for_another_chip_is_refused():
    device = LocalDevice(target="loihi2")
    assert code(device.load, UnsupportedError, artifact(target="spinnaker2")) == "E852"
    assert code(device.load, UnsupportedError, artifact()) == "E852"
    device.load(artifact(target="loihi2"))
    LocalDevice().load(artifact(target="spinnaker2"))


def test_inputs_and_layers_that_do_not_fit_are_refused():
    device = LocalDevice()
    device.load(artifact())
    assert code(device.run, UsageError, {"in": X[..., :2]}) == "E612"
    assert code(device.run, UsageError, {"in": X}, record=("liff",)) == "E622"
    assert code(device.run, UsageError, {"in": np.full(X.shape, np.nan)}, timeout_s=60) == "E613"


def test_backends_that_are_not_there():
    assert code(LocalDevice, UsageError, "engin") == "E601"
    assert code(LocalDevice, BackendUnavailable, "labrador") == "E500"
    assert code(LocalDevice, UsageError, "engine", {"mode": "x"}) == "E607"


def test_a_run_that_takes_too_long_is_given_up_and_the_device_kept_back_until_it_has_ended():
    device = LocalDevice("reference")
    device.GRACE_S = 0.01
    device.load(artifact())
    go, begun = threading.Event(), threading.Event()
    inner = device._loaded.executable.run

    def slow(*arguments):
        begun.set()
        go.wait(60)
        return inner(*arguments)

    device._loaded.executable.run = slow
    with pytest.raises(RunTimeout, match=r"did not end within 0\.2 s") as found:
        device.run({"in": X}, timeout_s=0.2)
    assert outcome_of(found.value) == Outcome.TIMEOUT
    assert begun.is_set()
    assert code(device.reset, HilError) == "E851"  # it still runs
    go.set()
    device.GRACE_S = 60
    device.reset()
    device.load(artifact())
    device.run({"in": X}, timeout_s=60)


def test_progress_is_told_in_steps():
    told = []
    with LocalDevice() as device:
        device.load(artifact())
        device.on_progress = lambda done, total: told.append((done, total))
        device.run({"in": X})
    assert told[0] == (0, 50)
    assert told[-1] == (50, 50)


def test_the_firmware_is_what_decides_a_run(monkeypatch):
    engine, info = LocalDevice().info.firmware, LocalDevice("reference").info
    assert engine == LocalDevice(name="other", target="loihi2").info.firmware != info.firmware
    assert (info.kind, info.target, info.health) == ("sim", "", "ready")
    assert {"float64", "membranes", "bit_exact"} <= set(info.features)
    assert firmware.firmware_of("engine", {"a": "b"}) != engine
    monkeypatch.setattr(firmware, "version", lambda package: "9.9")
    assert LocalDevice().info.firmware != engine
    assert dataclasses.is_dataclass(info)
