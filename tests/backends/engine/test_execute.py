import os
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from graphs import Sketch, lif, networks
from hypothesis import given, settings
from hypothesis import strategies as st
from traces import differences

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir import parse_profile
from spikeport.ir.diagnostics import RunError, UnsupportedError
from spikeport.ir.network import build_network
from spikeport.ir.ops import Conv2d, Flatten, Input, Linear, Output
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording


@settings(max_examples=300)
@given(
    networks(), st.sampled_from(("float64", "float64", "float32", "spinnaker2")), st.booleans(), st.data(), st.integers(1, 3),
    st.sampled_from((1, 2, 5, 16, 4096)),
)  # fmt: skip
def test_equals_the_reference_bit_for_bit(drawn, arithmetic, state, data, threads, rows):
    graph, profile, inputs = drawn
    try:
        network = build_network(graph, profile, arithmetic)
    except UnsupportedError:
        return
    every = tuple(n.path for n in graph)
    paths = data.draw(st.one_of(st.none(), st.just(()), st.lists(st.sampled_from(every), max_size=4, unique=True).map(tuple)))
    recording = Recording(paths, state)
    expected = run_reference(network, inputs, recording)
    engine = EngineExecutable(network, threads, rows, data.draw(st.sampled_from((-1.0, 1.0))))
    assert differences(engine.run(inputs, recording), expected) == []
    assert differences(engine.run(inputs, recording), expected) == []


EVERYTHING = Recording(None, state=True)


def _deep(boundary="reset"):
    """Return a network with a feature map, wide layers and a loop: every kind of work that threads share out."""
    profile = parse_profile(f"norse:subtract,latency=1/1,boundary={boundary}")
    s = Sketch(profile, np.random.default_rng(0))
    s.add("input", Input((2, 6, 6)))
    s.add("conv", Conv2d(None, s.weights(7, 2, 3, 3, fan_in=18), 1, 1, 1, 1, np.ones(7)), "input")
    s.add("flat", Flatten(0, -1), s.add("map", lif((7, 6, 6), threshold=0.2), "conv"))
    s.add("wide", lif(272, threshold=0.2), s.add("wide.fc", Linear(s.weights(272, 252, fan_in=252)), "flat"))
    s.add("last", lif(145, threshold=0.2), s.add("last.fc", Linear(s.weights(145, 272, fan_in=272)), "wide"))
    s.connect(s.add("back", Linear(s.weights(145, 145, fan_in=145)), "last"), "last")
    s.add("output", Output((145,)), "last")
    return build_network(s.graph(), profile, "float32")


def _spikes(samples, steps):
    return {"input": (np.random.default_rng(samples + steps).random((samples, steps, 2, 6, 6)) < 0.4).astype(np.uint8)}


def test_runs_from_several_threads_at_once():
    network = _deep()
    sizes = [(1, 30), (2, 9), (5, 4), (1, 7)]
    expected = [run_reference(network, _spikes(*size), EVERYTHING) for size in sizes]
    engines = [EngineExecutable(network, 2), EngineExecutable(network, 2, 5, -1.0)]

    def run(number):
        k = number % len(sizes)
        return differences(engines[number % 3 % 2].run(_spikes(*sizes[k]), EVERYTHING), expected[k])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(60))) == [[]] * 60


def test_closing_waits_for_the_run_of_another_thread():
    network = _deep()
    inputs = _spikes(1, 300)
    expected = run_reference(network, inputs)
    engine = EngineExecutable(network, 2, 5, -1.0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.run, inputs)
        while not (engine._lock.locked() or running.done()):
            time.sleep(1e-4)
        engine.close()
        assert differences(running.result(20), expected) == []
    with pytest.raises(RunError, match="closed"):
        engine.run(inputs)
    assert engine._crew is None


def test_the_trace_tells_the_threads_of_its_own_run():
    engine = EngineExecutable(_deep(), 3, 5, -1.0)
    assert engine.run(_spikes(1, 300)).meta["threads"] == 3
    assert engine.run(_spikes(2, 9)).meta["threads"] == 2
    assert EngineExecutable(_deep(), 1).run(_spikes(1, 9)).meta["threads"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("samples", [1, 4])
def test_a_child_of_a_process_that_ran_runs_too(samples):
    network = _deep()
    engine = EngineExecutable(network, 2, worth_sharing_s=-1.0)
    expected = engine.run(_spikes(samples, 9), EVERYTHING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: this process has threads
        child = os.fork()
    if child == 0:
        wrong = True
        try:
            wrong = differences(engine.run(_spikes(samples, 9), EVERYTHING), expected) != []
        finally:
            os._exit(wrong)
    ended, status = 0, 0
    until = time.monotonic() + 20
    while not ended and time.monotonic() < until:
        time.sleep(0.01)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended, "the child waits for threads that the fork left behind"
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("boundary", ["reset", "carry", "silence(29)"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_that_share_a_sample_give_its_bits(boundary, threads):
    """Stretches of learning and of sharing, none of them a whole number of chunks."""
    network = _deep(boundary)
    for samples, steps in ((1, 61), (3, 23)):
        expected = run_reference(network, _spikes(samples, steps), EVERYTHING)
        for rows in (7, 4096):
            for worth_sharing_s in (-1.0, 0.0, 1.0):
                engine = EngineExecutable(network, threads, rows, worth_sharing_s)
                for _ in range(3):
                    assert differences(engine.run(_spikes(samples, steps), EVERYTHING), expected) == []
