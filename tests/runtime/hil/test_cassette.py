"""Record and replay: the same answer for the same question, and a refusal that says what differs for any other."""

import dataclasses
import json
import os
import zipfile

import numpy as np
import pytest
from hil_parts import X, artifact, network

from spikeport.runtime.files import read_arrays, write_npz
from spikeport.runtime.hil.cassette import file_name, input_digest, read_folder
from spikeport.runtime.hil.device import LocalDevice
from spikeport.runtime.hil.outcome import HilError, Outcome
from spikeport.runtime.hil.replay import RecordingDevice, ReplayDevice


@pytest.fixture
def folder(tmp_path):
    with RecordingDevice(LocalDevice(name="bench-1"), tmp_path / "deep" / "rec") as device:
        device.load(artifact())
        device.run({"in": X}, record="all", record_state=True)
    return tmp_path / "deep" / "rec"


def refused(call, *arguments, **named):
    with pytest.raises(HilError) as found:
        call(*arguments, **named)
    return found.value.diagnostics[0], found.value.outcome


def test_a_replay_is_the_run_bit_for_bit(folder):
    with LocalDevice() as device:
        device.load(artifact())
        expected = device.run({"in": X}, record="all", record_state=True)
    with ReplayDevice(folder) as device:
        assert (device.info.kind, device.info.name, device.info.backend) == ("replay", "bench-1", "engine")
        fresh = device.state_digest()
        assert device.load(artifact()) == expected.artifact
        assert device.state_digest() != fresh
        found = device.run({"in": X.astype(np.float32)}, record="all", record_state=True, seed=0, timeout_s=1e-9)
        device.reset()
        assert device.state_digest() == fresh
    assert found.trace.arrays().keys() == expected.trace.arrays().keys()
    for key, array in expected.trace.arrays().items():
        np.testing.assert_array_equal(found.trace.arrays()[key], array)
        assert found.trace.arrays()[key].dtype == array.dtype
    for path, counts in expected.trace.counts.items():
        assert found.trace.counts[path].synops == counts.synops
    assert (found.graph, found.meta["order"]) == (expected.graph, expected.meta["order"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"inputs": {"in": 1 - X}}, "it differs in inputs: "),
        ({"seed": 7}, "it differs in seed: 7 asked, 0 recorded"),
        ({"record": ("lif",)}, "it differs in record: lif asked, all recorded"),
        ({"record": ()}, "it differs in record: outputs only asked, all recorded"),
        ({"record_state": False}, "it differs in record_state: False asked, True recorded"),
        ({"artifact": artifact(network(weight=0.7))}, "it differs in artifact: "),
    ],
)
def test_another_question_is_refused_with_what_differs(folder, changed, said):
    asked = {"inputs": {"in": X}, "record": "all", "record_state": True, "seed": 0, "artifact": artifact()} | changed
    device = ReplayDevice(folder)
    device.load(asked.pop("artifact"))
    found, outcome = refused(device.run, asked.pop("inputs"), **asked)
    assert (found.code, outcome) == ("E856", Outcome.UNSUPPORTED)
    assert said in found.message
    assert len(found.facts["differs"]) == 1


def test_other_firmware_is_refused(folder):
    have = ReplayDevice(folder).info.firmware
    assert ReplayDevice(folder, firmware=have[:9]).info.firmware == have
    found, _ = refused(ReplayDevice, folder, firmware="f00d")
    assert f"were recorded on bench-1 with firmware {have[:12]}, not on firmware f00d" in found.message
    # Another firmware's answers beside them: which are right is not guessed.
    (cassette,) = read_folder(folder)
    newer = dataclasses.replace(cassette.key, firmware="0" * 64)
    header = json.loads(str(read_arrays(cassette.path)["cassette"]))
    header["key"]["firmware"] = header["device"]["firmware"] = newer.firmware
    arrays = read_arrays(cassette.path) | {"cassette": np.array(json.dumps(header))}
    write_npz(folder / file_name(newer, "bench-1"), arrays)
    found, _ = refused(ReplayDevice, folder)
    assert "which firmware of bench-1 is meant is not said" in found.message
    assert ReplayDevice(folder, firmware="000").info.firmware == newer.firmware


def test_nothing_recorded(tmp_path, folder):
    found, outcome = refused(ReplayDevice, tmp_path)
    assert (found.code, outcome) == ("E856", Outcome.UNSUPPORTED)
    found, _ = refused(ReplayDevice, folder, names="bench-2")
    assert "not on bench-2" in found.message
    found, _ = refused(ReplayDevice(folder).run, {"in": X})
    assert found.code == "E850"


def test_a_cassette_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    with RecordingDevice(LocalDevice(), tmp_path) as device:
        device.load(artifact())
        monkeypatch.setattr(os, "fsync", full)
        found, outcome = refused(device.run, {"in": X})
        assert (found.code, outcome) == ("E631", Outcome.INFRASTRUCTURE)
        assert "No space left on device" in found.message
        assert list(tmp_path.iterdir()) == []
        monkeypatch.undo()
        device.run({"in": X})  # and the device is as usable as before
    assert len(read_folder(tmp_path)) == 1
    (tmp_path / "file").touch()
    with RecordingDevice(LocalDevice(), tmp_path / "file") as device:
        device.load(artifact())
        assert refused(device.run, {"in": X})[1] == Outcome.INFRASTRUCTURE


def test_the_same_run_recorded_twice_is_the_same_file_name(folder):
    with RecordingDevice(LocalDevice(name="bench-1"), folder) as device:
        device.load(artifact())
        device.run({"in": X[None][0]}, record="all", record_state=True)
    assert len(read_folder(folder)) == 1


def edited(path, **changes):
    arrays = read_arrays(path)
    header = json.loads(str(arrays["cassette"]))
    arrays |= {k: v for k, v in changes.items() if k != "header"}
    header |= changes.get("header", {})
    write_npz(path, arrays | {"cassette": np.array(json.dumps(header))})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:300]), "cannot read arrays"),
        (lambda p: p.write_bytes(b""), "neither .npy nor .npz"),
        (lambda p: edited(p, **{"out/out": np.ones((1, 2, 3))}), "its arrays are not those that were recorded"),
        (lambda p: edited(p, header={"format": "spikeport cassette 2"}), "it does not say 'spikeport cassette 1'"),
        (lambda p: edited(p, header={"key": {}}), "its header is wrong or lacks 'record'"),
        (lambda p: edited(p, header={"key": 3}), "its header is not of"),
        (lambda p: edited(p, header={"device": {}}), "the field 'features'"),
        (lambda p: p.rename(p.with_name(f"{'0' * 32}.cassette.npz")), "its name is not that of its key"),
        (lambda p: np.savez(p, cassette=np.array({"a": 1}, dtype=object)), "pickled Python objects"),
        (lambda p: zipfile.ZipFile(p, "w").writestr("cassette.npy", b"x") and None, "cannot read arrays"),
    ],
)
def test_a_damaged_cassette_is_refused(folder, damage, said):
    damage(next(folder.iterdir()))
    found, outcome = refused(ReplayDevice, folder)
    assert (found.code, outcome) == ("E857", Outcome.BAD_ARTIFACT)
    assert said in found.message


def test_the_digest_of_an_input_is_that_of_its_values():
    assert input_digest({"in": X}) == input_digest({"in": X.astype(np.int64)})
    assert input_digest({"in": X * -0.0}) == input_digest({"in": X * 0})
    assert len({input_digest(x) for x in ({"in": X}, {"on": X}, {"in": X[:, 1:]}, {"in": X[:1]}, {"in": X * 2})}) == 5
