"""Budgets and baselines: what is known is held against its limit, what is unknown is never within it."""

import dataclasses

import pytest
from hil_parts import X, artifact

from spikeport.hw_profiles.target import load_target
from spikeport.ir.diagnostics import UsageError
from spikeport.runtime.artifact import read_artifact
from spikeport.runtime.hil.device import LocalDevice
from spikeport.runtime.hil.outcome import HilMismatch, Outcome
from spikeport.runtime.hil.suite.baseline import read_baseline, write_baseline
from spikeport.runtime.hil.suite.budget import Budget, Spent, judge, spent
from spikeport.runtime.report import price


def done(target="loihi2", **measured):
    data = artifact(target=target)
    program = read_artifact(data)
    with LocalDevice() as device:
        device.load(data)
        run = device.run({"in": X})
    run = dataclasses.replace(run, meta={**run.meta, "measured": measured})
    return program, run, spent(program, run, load_target(target) if target else None)


def test_what_is_spent_is_the_reports():
    program, run, taken = done()
    report = price(program, run.trace, load_target("loihi2"))
    assert taken["latency_ms"].value == pytest.approx(report.chip_time.per_sample.value * 1e3)
    assert taken["energy_uj"].value == pytest.approx(report.energy_known.per_sample.value * 1e6)
    assert taken["spikes"].value == run.trace.counts["lif"].spikes / 2 > 0
    assert taken["synops"].value == run.trace.counts["fc"].synops / 2 > 0
    assert taken["cores"].value == 1
    assert "without" in taken["energy_uj"].source  # lines that nobody published are named


def test_what_was_measured_goes_before_the_model():
    taken = done(latency_s=2e-3, energy_j=5e-6)[2]
    assert (taken["latency_ms"], taken["energy_uj"].value) == (Spent(2.0, "measured by the device"), pytest.approx(5))
    nonsense = done(latency_s="fast", energy_j=float("nan"))[2]
    assert nonsense["latency_ms"].source.startswith(("estimated", "modelled", "published"))


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(8.9, Outcome.PASSED), (9.0, Outcome.PASSED), (9.5, Outcome.MARGINAL), (10.0, Outcome.MARGINAL),
     (10.1, Outcome.OVER_BUDGET), (None, Outcome.UNSUPPORTED)],
)  # fmt: skip
def test_a_limit_has_a_margin(value, outcome):
    verdict = judge(Budget(synops=10), {"synops": Spent(value, "counted")})
    assert verdict.outcome == outcome
    assert judge(Budget(synops=10, margin=0), {"synops": Spent(9.99, "counted")}).outcome == Outcome.PASSED


def test_all_the_cores_may_be_used():
    assert judge(Budget(cores=4), {"cores": Spent(4, "placement")}).outcome == Outcome.PASSED
    assert judge(Budget(cores=4), {"cores": Spent(5, "placement")}).outcome == Outcome.OVER_BUDGET


def test_an_interval_that_reaches_over_the_limit_is_marginal():
    verdict = judge(Budget(energy_uj=10), {"energy_uj": Spent(5, "modelled", 4, 12)})
    assert verdict.outcome == Outcome.MARGINAL
    assert str(verdict.lines[0]) == "energy_uj: 5 uJ of 10 uJ: marginal (its interval reaches 12; modelled)"


def test_an_unknown_number_is_not_within_its_budget():
    taken = done(target=None)[2]
    with pytest.raises(HilMismatch) as found:
        judge(Budget(latency_ms=1, energy_uj=1, cores=1, spikes=1e9), taken).require()
    assert found.value.outcome == Outcome.UNSUPPORTED
    assert [d.code for d in found.value.diagnostics] == ["E855"] * 3
    assert "latency_ms: unknown of 1 ms: unsupported (no target was given)" in str(found.value)


def test_over_budget_is_told_with_number_limit_and_source():
    with pytest.raises(HilMismatch) as found:
        judge(Budget(spikes=1, synops=1e9), done()[2]).require()
    assert found.value.outcome == Outcome.OVER_BUDGET
    (only,) = found.value.diagnostics
    assert only.code == "E854"
    assert only.message.startswith("spikes: ")
    assert "of 1: over_budget (counted, mean of 2 samples)" in only.message


def test_growth_against_a_baseline():
    base = {"spikes": 100.0}

    def outcome(value, rel=0.1):
        return judge(Budget(rel=rel), {"spikes": Spent(value, "counted")}, base).outcome

    assert [outcome(v) for v in (1, 100, 109, 109.5, 110, 111)] == [
        *[Outcome.PASSED] * 3, Outcome.MARGINAL, Outcome.MARGINAL, Outcome.OVER_BUDGET
    ]  # fmt: skip
    assert outcome(100, rel=0) == Outcome.PASSED
    assert outcome(100.1, rel=0) == Outcome.OVER_BUDGET
    assert judge(Budget(rel=0.1), {"spikes": Spent(None, "x")}, base).outcome == Outcome.UNSUPPORTED
    assert judge(Budget(rel=0.1), {"spikes": Spent(1, "x")}, None).outcome == Outcome.UNSUPPORTED
    assert "baseline 100; counted" in str(judge(Budget(rel=0), {"spikes": Spent(200, "counted")}, base))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"latency": 1}, r"there is no budget 'latency' \(did you mean 'latency_ms'\?\)"),
        ({"spikes": -1}, "spikes=-1 is no number from 0 on"),
        ({"cores": True}, "cores=True is no number"),
        ({"synops": float("nan")}, "synops=nan is no number"),
        ({}, "a budget limits nothing"),
        ({"margin": 0.2}, "a budget limits nothing"),
    ],
)
def test_impossible_budgets_are_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        Budget.of(arguments)


def test_a_baseline_keeps_other_tests(tmp_path):
    path = tmp_path / "baseline.json"
    assert read_baseline(path) == {}
    write_baseline(path, {"a": {"spikes": 1.5}, "b": {"cores": 2}})
    assert write_baseline(path, {"b": {"cores": 3.0}}) == {"a": {"spikes": 1.5}, "b": {"cores": 3.0}}
    assert read_baseline(path) == {"a": {"spikes": 1.5}, "b": {"cores": 3.0}}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "spikeport hil baseline 1", "tests": {"a": 1}}',
     '{"format": "spikeport hil baseline 1", "tests": {"a": {"spikes": "many"}}}',
     '{"format": "spikeport hil baseline 1", "tests": {"a": {"speed": 1}}}',
     '{"format": "spikeport hil baseline 1", "tests": {"a": {"spikes": -1}}}',
     '{"format": "spikeport hil baseline 1", "tests": {"a": {"spikes": NaN}}}'],
)  # fmt: skip
def test_what_is_no_baseline_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(UsageError) as found:
        write_baseline(path, {"a": {"spikes": 1}})
    assert found.value.diagnostics[0].code == "E861"
    assert path.read_text() == text
