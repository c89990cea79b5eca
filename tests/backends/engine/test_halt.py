"""A run that is interrupted ends in all its threads, and the executable runs on as if nothing had been."""

import numpy as np
import pytest
from graphs import chain, lif
from traces import differences

from spikeport.backends.engine import execute
from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir import parse_profile
from spikeport.ir.network import build_network
from spikeport.ir.ops import Linear
from spikeport.ir.trace import Recording

BOUNDARIES = ("reset", "carry", "silence(3)")


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("samples", [1, 5])
def test_an_interrupt_ends_the_run_in_all_threads(boundary, samples, monkeypatch):
    rng = np.random.default_rng(0)
    graph = chain(Linear(rng.normal(0.2, 0.5, (70, 9))), lif(70), shape=(9,))
    network = build_network(graph, parse_profile(f"norse:zero,latency=1,boundary={boundary}"))
    inputs = {"input": rng.random((samples, 2000, 9)) < 0.3}
    engine = EngineExecutable(network, threads=2, rows=2, worth_sharing_s=-1.0)
    expected = engine.run(inputs, Recording(None))
    walk, calls = execute.walk, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return walk(*arguments)

    monkeypatch.setattr(execute, "walk", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run(inputs, Recording(None))
    stopped = len(calls)
    monkeypatch.setattr(execute, "walk", walk)
    assert differences(engine.run(inputs, Recording(None)), expected) == []
    assert stopped == len(calls), "a thread went on"
    engine.close()
