"""Chunks, history and boundaries: how a run is cut changes nothing."""

import numpy as np
import pytest
from graphs import Sketch, lif
from traces import differences

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Conv2d, Delay, Flatten, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

ROWS = (1, 2, 3, 7, 16, 4096)
BOUNDARIES = ("reset", "carry", "silence(1)", "silence(50)")


def _differs(s, profile, inputs, threads=2):
    """Return what differs from the reference in chunks of any size, run after run."""
    network = build_network(s.graph(), profile)
    every = Recording(tuple(n.path for n in network.graph), state=True)
    expected = {r: run_reference(network, inputs, r) for r in (Recording(), every)}
    assert any(expected[every].spikes[p].any() for p in network.graph.spiking), "a silent network shows nothing"
    found = []
    for rows in ROWS:
        engine = EngineExecutable(network, threads, rows)
        for recording in (every, Recording(), every):
            found += [f"{rows} rows: {line}" for line in differences(engine.run(inputs, recording), expected[recording])]
    return found


def _fc(s, path, source, n):
    return s.add(path, Linear(s.weights(n, s.shape[source][0], fan_in=s.shape[source][0])), source)


def _start(text, *shape):
    profile = parse_profile(f"norse:subtract,{text}")
    s = Sketch(profile, np.random.default_rng(5))
    s.add("input", Input(shape))
    return s, profile


def _spikes(*shape):
    return (np.random.default_rng(6).random(shape) < 0.4).astype(np.uint8)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("output_delay", [0, 1, 9])
def test_delays_longer_than_a_chunk(boundary, output_delay):
    s, profile = _start(f"boundary={boundary},output_delay={output_delay}", 6)
    s.add("slow", Delay(np.array([0, 1, 5, 8, 20, 33]) * profile.dt), "input", delay=3)
    s.add("a", lif(9, threshold=0.2), _fc(s, "a.fc", "slow", 9), delay=11)
    s.add("later", Delay(np.full(9, 17) * profile.dt), "a")
    s.add("b", lif(5, threshold=0.2), _fc(s, "b.fc", "later", 5))
    s.connect(_fc(s, "skip", "input", 5), "b", 25)
    s.add("output", Output((5,)), "b", delay=4)
    assert _differs(s, profile, {"input": _spikes(3, 40, 6)}) == []


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_loop_over_several_populations(boundary):
    s, profile = _start(f"boundary={boundary},feedback=2", 5)
    s.add("a", lif(70, threshold=0.2), _fc(s, "a.fc", "input", 70))
    s.add("b", lif(6, threshold=0.2), _fc(s, "b.fc", "a", 6))
    s.add("c", lif(7, threshold=0.2), _fc(s, "c.fc", "b", 7))
    s.connect(_fc(s, "back", "c", 70), "a")
    s.connect(_fc(s, "short", "b", 70), "a", 5)
    s.connect("c", "c", 1)
    s.add("output", Output((7,)), "c")
    assert _differs(s, profile, {"input": _spikes(4, 19, 5)}) == []


def test_a_loop_through_a_feature_map():
    s, profile = _start("boundary=carry", 2, 4, 4)
    kernel = s.weights(3, 2, 3, 3, fan_in=18)
    s.add("map", lif((3, 4, 4), threshold=0.2), s.add("conv", Conv2d(None, kernel, 1, 1, 1, 1, np.zeros(3)), "input"))
    s.connect(s.add("around", Conv2d(None, s.weights(3, 3, 3, 3, fan_in=27), 1, "same", 1, 1, np.zeros(3)), "map"), "map")
    s.add("output", Output((5,)), _fc(s, "fc", s.add("flat", Flatten(0, -1), "map"), 5))
    assert _differs(s, profile, {"input": _spikes(3, 11, 2, 4, 4)}) == []


@pytest.mark.parametrize("boundary", ["reset", "silence(2)"])
def test_inputs_that_only_leave_beside_one_that_works(boundary):
    s, profile = _start(f"boundary={boundary}", 3)
    s.add("a", lif(4, threshold=0.2), _fc(s, "a.fc", "input", 4))
    s.add("output", Output((4,)), "a")
    s.add("seen", Output((70,)), s.add("other", Input((70,))), delay=6)
    inputs = {"input": _spikes(2, 13, 3), "other": np.random.default_rng(7).normal(size=(2, 13, 70))}
    assert _differs(s, profile, inputs) == []


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (33, 1), (1, 300), (40, 17)])
def test_runs_of_any_size_on_the_same_executable(samples, steps):
    s, profile = _start("latency=2/1", 5)
    s.add("a", lif(66, threshold=0.2), _fc(s, "a.fc", "input", 66))
    s.add("output", Output((66,)), "a")
    network = build_network(s.graph(), profile)
    with EngineExecutable(network, 3, 50) as engine:
        for size in ((samples, steps), (2, 9), (samples, steps)):
            inputs = {"input": _spikes(*size, 5)}
            assert differences(engine.run(inputs, Recording(None)), run_reference(network, inputs, Recording(None))) == []


TYPES = ("?", "i1", "u1", "i2", "u4", "i8", "f2", "f4", ">f8", ">i4")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_inputs_of_any_type_and_width(kind, arithmetic):
    rng = np.random.default_rng(8)
    for n in (1, 63, 64, 65, 130):
        s, profile = _start("dt=1e-4", n)
        s.add("a", lif(3, threshold=0.2), _fc(s, "a.fc", "input", 3))
        s.add("output", Output((3,)), "a")
        s.add("seen", Output((n,)), "input")
        network = build_network(s.graph(), profile, arithmetic)
        values = rng.integers(-2 if np.dtype(kind).kind in "if" else 0, 3, (2, 5, n)).astype(kind)
        for x in (values, np.asfortranarray(values), np.repeat(values, 2, axis=-1)[..., ::2], values[::-1, ::-1]):
            run = EngineExecutable(network, 1).run({"input": x}, Recording(None))
            assert differences(run, run_reference(network, {"input": x}, Recording(None))) == []


def test_values_that_float32_cannot_hold_are_no_events():
    s, profile = _start("dt=1e-4", 70)
    s.add("a", lif(3, threshold=0.2), _fc(s, "a.fc", "input", 3))
    s.add("output", Output((3,)), "a")
    network = build_network(s.graph(), profile, "float32")
    x = np.full((1, 4, 70), -0.0)
    x[..., ::3], x[..., 1::3], x[..., 69] = 1e-60, 1e-42, 5.0  # vanishes, denormal, plain
    trace = EngineExecutable(network, 1).run({"input": x}, Recording(None))
    assert differences(trace, run_reference(network, {"input": x}, Recording(None))) == []
    assert trace.counts["a.fc"].events == 4 * (np.count_nonzero(np.arange(69) % 3 == 1) + 1)
