"""The oracle: every criterion, its limit and its margin, the first divergence, and what is left behind."""

import json
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.ir.diagnostics import UsageError
from spikeport.ir.trace import Trace
from spikeport.runtime.files import read_arrays
from spikeport.runtime.hil.device import DeviceRun
from spikeport.runtime.hil.evidence import save_evidence
from spikeport.runtime.hil.oracle import compare
from spikeport.runtime.hil.outcome import HilMismatch, Outcome
from spikeport.runtime.hil.policy import Policy


def run(seed=0, samples=3, steps=30, shape=(4,)):
    rng = np.random.default_rng(seed)
    spikes = (rng.random((samples, steps, *shape)) < 0.2).astype(np.int32)
    return {"spikes/lif": spikes, "out/out": spikes.astype(float), "v/lif": rng.normal(size=spikes.shape)}


def outcome(a, b, **policy):
    return compare(a, b, Policy(**policy)).outcome


def test_equal_runs_pass_every_policy():
    a = run()
    strict = {"counts": 0, "van_rossum": 0, "victor_purpura": 0, "synchrony": 1, "membrane": 0, "output": 0, "top1": 1}
    verdict = compare(a, a, Policy(exact=True, **strict))
    assert verdict.ok
    assert verdict.outcome == Outcome.PASSED
    assert {c.name for c in verdict.checks} == {"exact", *strict}
    assert verdict.first is None
    assert str(verdict) == "passed: 9 of 9 criteria met"


def test_one_spike_that_differs_is_found_and_told():
    a, b = run(), run()
    b["spikes/lif"][2, 11, 3] ^= 1
    trace = [Trace({"lif": r["spikes/lif"]}, {}, {"lif": r["v/lif"]}, {}, {}, 3, 30) for r in (a, b)]
    meta = {"order": ["lif"], "touched": {"lif": "quantize{weights=8}"}}
    verdict = compare(trace[0], DeviceRun(trace[1], "", "", {}, meta))
    first = verdict.first
    assert (first.path, first.sample, first.step, first.neuron) == ("lif", 2, 11, (3,))
    assert first.membranes == (a["v/lif"][2, 11, 3],) * 2
    with pytest.raises(HilMismatch) as found:
        verdict.require()
    text = str(found.value)
    assert isinstance(found.value, AssertionError)
    assert found.value.outcome == Outcome.MISMATCH
    for part in ("exact of spikes/lif: 1, at most 0: mismatch", "sample 2, step 11, neuron 3", "quantize{weights=8}",
                 "membrane one step before", "in the reference", "on the device"):  # fmt: skip
        assert part in text


def test_spikes_decide_where_only_membranes_differ():
    a, b = run(), run()
    b["v/lif"] += 1e-3
    assert outcome(a, b) == Outcome.PASSED
    assert compare(a, b).metrics["v/lif"]["max_error"] == pytest.approx(1e-3)
    assert outcome(a, b, membrane=1e-2) == Outcome.PASSED
    assert outcome(a, b, membrane=1.05e-3) == Outcome.MARGINAL
    assert outcome(a, b, membrane=1.05e-3, margin=0) == Outcome.PASSED
    assert outcome(a, b, membrane=1e-4) == Outcome.MISMATCH
    b["v/lif"][0, 0, 0] = math.nan
    assert outcome(a, b, membrane=1e9) == Outcome.MISMATCH


def test_a_shift_is_allowed_up_to_its_limit():
    a = run()
    for key in ("spikes/lif", "out/out"):
        a[key][:, -4:] = 0
    b = {k: np.roll(v, 3, axis=1) for k, v in a.items()}
    assert outcome(a, b) == Outcome.MISMATCH
    assert outcome(a, b, shift=2) == Outcome.MISMATCH
    verdict = compare(a, b, Policy(shift=3, membrane=0, exact=True))
    assert verdict.outcome == Outcome.PASSED
    assert "spikes/lif is 3 steps late on the device: taken off, as the policy allows" in verdict.notes
    b["spikes/lif"][1, 9, 2] ^= 1
    verdict = compare(a, b, Policy(shift=3))
    assert (verdict.outcome, verdict.first.step) == (Outcome.MISMATCH, 6)  # in the reference's time


def test_counts_and_distances():
    a, b = run(), run()
    total = a["spikes/lif"].sum()
    where = np.argwhere(a["spikes/lif"])[0]
    b["spikes/lif"][tuple(where)] = 0
    assert outcome(a, b, counts=1.5 / total) == Outcome.PASSED
    assert outcome(a, b, counts=1.05 / total) == Outcome.MARGINAL
    assert outcome(a, b, counts=0.5 / total) == Outcome.MISMATCH
    for name in ("van_rossum", "victor_purpura"):
        assert outcome(a, b, **{name: 2.0}) == Outcome.PASSED
        assert outcome(a, b, **{name: 1.05}) == Outcome.MARGINAL
        assert outcome(a, b, **{name: 0.9}) == Outcome.MISMATCH
    assert outcome(a, b, synchrony=0.1) == Outcome.PASSED
    assert outcome(a, b, synchrony=1.0) == Outcome.MISMATCH
    assert outcome(a, b, counts=1.5 / total, exact=True) == Outcome.MISMATCH


def test_agreement_is_marginal_where_the_samples_do_not_prove_it():
    def outputs(classes):
        return {"out/out": np.eye(4)[np.asarray(classes)][:, None]}

    rng = np.random.default_rng(3)
    a = rng.integers(0, 4, 200)
    b = a.copy()
    b[:4] = (b[:4] + 1) % 4
    assert outcome(outputs(a), outputs(b), top1=0.9) == Outcome.PASSED
    assert outcome(outputs(a), outputs(b), top1=0.97) == Outcome.MARGINAL
    assert outcome(outputs(a), outputs(b), top1=0.99) == Outcome.MISMATCH
    assert outcome(outputs(a[:5]), outputs(a[:5]), top1=0.99) == Outcome.PASSED  # no more can be shown in five
    check = compare(outputs(a), outputs(b), Policy(top1=0.97)).checks[0]
    assert "196 of 200 samples, 95 % interval 0.9497 to 0.9922" in str(check)


def test_what_does_not_come_back_is_not_right():
    a, b = run(), run()
    del b["spikes/lif"]
    assert outcome(a, b) == Outcome.MISMATCH
    assert outcome(a, b, layers=("out",)) == Outcome.PASSED
    b = run()
    del b["v/lif"]
    verdict = compare(a, b)
    assert verdict.outcome == Outcome.PASSED
    assert verdict.notes == ("v/lif was not compared: the device gave none",)
    assert outcome(a, b, membrane=1.0) == Outcome.MISMATCH


@pytest.mark.parametrize(
    ("b", "policy", "said"),
    [
        ({"spikes/other": np.zeros((1, 2, 1))}, {}, "there is nothing to compare"),
        (run(), {"layers": ("nowhere",)}, "there is nothing to compare"),
        ({"spikes/lif": np.zeros((3, 31, 4), int)}, {}, r"shape \(3, 30, 4\) in the reference, \(3, 31, 4\) on the device"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(b, policy, said):
    with pytest.raises(UsageError, match=said) as found:
        compare(run(), b, Policy(**policy))
    assert found.value.diagnostics[0].code == "E858"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"membrain": 1}, r"there is no criterion 'membrain' \(did you mean 'membrane'\?\)"),
        ({"counts": -1}, "counts=-1 is no number between 0 and inf"),
        ({"top1": 95}, "top1=95 is no number between 0 and 1"),
        ({"top1": math.nan}, "top1=nan is no number"),
        ({"tau": "long"}, "tau='long' is no number"),
        ({"shift": 1.5}, "shift=1.5 is no whole number"),
        ({"membrane": True}, "membrane=True is no number"),
    ],
)
def test_impossible_criteria_are_refused(arguments, said):
    with pytest.raises(UsageError, match=said) as found:
        Policy.of(arguments)
    assert found.value.diagnostics[0].code == "E859"


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 11), st.integers(0, 4))
def test_the_verdict_does_not_depend_on_who_is_first(seed, flips, shift):
    a, b = run(seed), run(seed)
    rng = np.random.default_rng(seed)
    for _ in range(flips):
        b["spikes/lif"][tuple(rng.integers(n) for n in b["spikes/lif"].shape)] ^= 1
    policy = Policy(van_rossum=1.2, victor_purpura=1.5, synchrony=0.5, shift=shift)
    one, other = compare(a, b, policy), compare(b, a, policy)
    assert (one.first is None) == (other.first is None)
    if not shift:
        assert [(c.name, round(c.value, 9), c.outcome) for c in one.checks] == [
            (c.name, round(c.value, 9), c.outcome) for c in other.checks
        ]
    assert (compare(a, b).outcome == Outcome.PASSED) == (not (a["spikes/lif"] != b["spikes/lif"]).any())


def test_evidence(tmp_path):
    a, b = run(shape=(2, 3)), run(shape=(2, 3))
    b["spikes/lif"][1, 9, 1, 2] ^= 1
    verdict = compare(a, b)
    said = save_evidence(tmp_path / "deep" / "er", verdict, a, b, {"device": "chip $x_1$"})
    folder = tmp_path / "deep" / "er"
    assert said == [str(folder / "divergence.npz"), str(folder / "raster.png")]
    assert sorted(p.name for p in folder.iterdir()) == ["divergence.npz", "raster.png"]
    found = read_arrays(folder / "divergence.npz")
    np.testing.assert_array_equal(found["device/spikes/lif"], b["spikes/lif"][1])
    np.testing.assert_array_equal(found["reference/v/lif"], a["v/lif"][1])
    told = json.loads(str(found["verdict"]))
    assert (told["first"]["step"], told["sample"], told["device"]) == (9, 1, "chip $x_1$")
    assert (folder / "raster.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_the_arrays_are_there_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    a, b = run(), run(1)
    said = save_evidence(tmp_path, compare(a, b), a, b, {})
    assert said[1] == "no picture: matplotlib is not installed (pip install 'spikeport[hil]')"
    assert [p.name for p in tmp_path.iterdir()] == ["divergence.npz"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    a, b = run(), run(1)
    with pytest.raises(UsageError) as found:
        save_evidence(tmp_path / "file" / "deep", compare(a, b), a, b, {})
    assert found.value.diagnostics[0].code == "E631"
