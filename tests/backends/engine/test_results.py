import numpy as np
import pytest
from graphs import Sketch, inputs_of, lif
from hypothesis import given, settings
from hypothesis import strategies as st
from traces import differences

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Conv2d, Flatten, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording


def _graph(profile):
    """Return a feature map of 3 by 5 by 5 neurons in front of 4, both left open to be recorded."""
    s = Sketch(profile, np.random.default_rng(1))
    s.add("input", Input((2, 5, 5)))
    s.add("map", lif((3, 5, 5)), s.add("conv", Conv2d(None, s.weights(3, 2, 3, 3, fan_in=9), 1, 1, 1, 1, np.ones(3)), "input"))
    s.add("last", lif(4), s.add("fc", Linear(s.weights(4, 75, fan_in=40)), s.add("flat", Flatten(0, -1), "map")))
    s.add("output", Output((4,)), "last")
    return s.graph()


@pytest.fixture(params=("norse:subtract", "norse:subtract,output_delay=3", "sinabs:subtract", "norse:subtract,boundary=carry"))
def network(request):
    profile = parse_profile(request.param)
    return build_network(_graph(profile), profile)


def _spikes(samples=6, steps=9):
    return {"input": (np.random.default_rng(2).random((samples, steps, 2, 5, 5)) < 0.4).astype(np.uint8)}


@pytest.mark.parametrize("rows", [4, 4096])
@pytest.mark.parametrize(
    "paths", [("map", "map"), ("output", "last"), ("flat", "conv"), ("conv", "map", "fc", "last", "flat")], ids=str
)  # fmt: skip
def test_any_node_in_any_order_is_recorded_in_canonical_order(network, paths, rows):
    inputs, recording = _spikes(), Recording(paths, state=True)
    trace = EngineExecutable(network, 2, rows).run(inputs, recording)
    assert differences(trace, run_reference(network, inputs, recording)) == []


def test_a_trace_is_not_touched_by_later_runs(network):
    recording = Recording(("map", "conv"), state=True)
    with EngineExecutable(network, 2) as engine:
        first = engine.run(_spikes(), recording)
        engine.run({"input": np.ones((6, 9, 2, 5, 5))}, recording)
    assert differences(first, run_reference(network, _spikes(), recording)) == []


@settings(max_examples=40)
@given(st.data(), st.integers(1, 4), st.sampled_from((1, 3, 4096)))
def test_counts_of_all_threads_and_chunks_add_up(data, threads, rows):
    profile = parse_profile("norse:subtract")
    graph = _graph(profile)
    inputs = data.draw(inputs_of(graph))
    trace = EngineExecutable(build_network(graph, profile), threads, rows).run(inputs, Recording(None))
    for path in ("map", "last"):
        counts = trace.counts[path]
        assert np.array_equal(counts.spikes_per_step, trace.spikes[path].reshape(*trace.spikes[path].shape[:2], -1).sum(axis=2))
        assert counts.spikes == trace.spikes[path].sum()
    assert np.array_equal(trace.activity["map"], trace.spikes["map"].sum(axis=(0, 1)))
    assert np.array_equal(trace.activity["input"], np.count_nonzero(inputs["input"], axis=(0, 1)))
    assert trace.counts["fc"].events == trace.spikes["map"].sum()
    assert trace.counts["conv"].events == np.count_nonzero(inputs["input"])
