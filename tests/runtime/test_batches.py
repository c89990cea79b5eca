"""Runs in portions: the same trace as in one go, bit for bit, and progress that ends at the end."""

import dataclasses

import numpy as np
import pytest
from graphs import networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import PROFILE, small_graph, spikes

from spikeport.backends.reference import BACKEND
from spikeport.compiler.driver import lower
from spikeport.ir.trace import Recording, Trace
from spikeport.runtime import api, batches
from spikeport.runtime.batches import run_in_portions


def same(a, b):
    """Compare two traces in all but their seconds."""
    for group in ("spikes", "out", "v", "activity"):
        one, other = getattr(a, group), getattr(b, group)
        assert one.keys() == other.keys()
        assert all(one[p].dtype == other[p].dtype and np.array_equal(one[p], other[p]) for p in one), group
    assert a.counts.keys() == b.counts.keys()
    for path, counts in a.counts.items():
        for field in dataclasses.fields(counts):
            assert np.array_equal(getattr(counts, field.name), getattr(b.counts[path], field.name)), (path, field.name)
    assert (a.samples, a.steps) == (b.samples, b.steps)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks(), st.integers(1, 4), st.integers(1, 3))
def test_portions_are_one_run(monkeypatch, case, least, first):
    graph, profile, inputs = case
    inputs = {p: np.concatenate([x] * 3) for p, x in inputs.items()}
    program = lower(graph, None, dataclasses.replace(profile, boundary="reset"), opt=0)
    recording, said = Recording(None, True), []
    monkeypatch.setattr(batches, "LEAST", least)
    monkeypatch.setattr(batches, "FIRST", first)
    with BACKEND.emit(program) as executable:
        parts = run_in_portions(executable, inputs, recording, 0, lambda *numbers: said.append(numbers))
        same(parts, executable.run(inputs, recording, 0))
    samples = next(iter(inputs.values())).shape[0]
    assert said[0] == (0, samples)
    assert said[-1] == (samples, samples)
    assert said == sorted(set(said))


class _Timed:
    """An executable whose samples take *seconds* each, by a clock of its own."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.now, self.sizes = seconds, 0.0, []
        monkeypatch.setattr(batches.time, "perf_counter", lambda: self.now)

    def run(self, inputs, recording, seed):
        self.sizes.append(len(inputs["input"]))
        self.now += self.sizes[-1] * self.seconds
        return Trace({}, {}, {}, {}, {}, self.sizes[-1], 1, {}, {})


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [(1e-6, [4, 16, 64, 100, 100]), (0.02, [4, 16, 25, 25, 25]), (0.1, [4, 5, 5, 5, 5]), (7.0, [4, 4, 4, 4, 4])],
)
def test_portions_are_as_large_as_their_time_allows(monkeypatch, seconds, sizes):
    timed = _Timed(monkeypatch, seconds)
    merged = run_in_portions(timed, {"input": np.zeros((2000, 1, 1))}, Recording(), 0, lambda *numbers: None)
    assert timed.sizes[:5] == sizes
    assert (sum(timed.sizes), merged.samples) == (2000, 2000)


@pytest.mark.parametrize(("boundary", "reports"), [("reset", True), ("carry", False), ("silence(2)", False)])
def test_samples_that_touch_each_other_stay_together(boundary, reports):
    x, said = spikes((70, 5, 4)), []
    profile = f"{PROFILE},boundary={boundary}"
    run = api.run(small_graph(), x, "reference", profile=profile, record="all", progress=lambda *numbers: said.append(numbers))
    same(run.trace, api.run(small_graph(), x, "reference", profile=profile, record="all").trace)
    assert bool(said) == reports
