"""Arithmetic loihi in the engine: Loihi's integers, bit for bit those of the reference, in spikes, currents and membranes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loihi import loihi_networks
from traces import differences

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir.network import build_network
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording

#: Threads, rows of a chunk, seconds above which threads share a sample (below 0: always).
WAYS = st.tuples(st.integers(1, 3), st.sampled_from((1, 5, 64, 4096)), st.sampled_from((-1.0, 1.0)))


def assert_same(case, way):
    """Compare all of it, with states, which keeps connections and neurons apart, and without, where they are one stage."""
    graph, profile, inputs = case
    network = build_network(graph, profile, "loihi")
    every = tuple(n.path for n in graph)
    with EngineExecutable(network, *way) as engine:
        for recording in (Recording(every, True), Recording(None), Recording()):
            wanted, found = run_reference(network, inputs, recording), engine.run(inputs, recording)
            assert differences(found, wanted) == []
            assert set(found.i) == set(wanted.i)
            for path, current in wanted.i.items():
                assert found.i[path].dtype == current.dtype
                assert np.array_equal(found.i[path], current), path


@settings(max_examples=60)
@given(loihi_networks(), WAYS)
def test_every_bit_is_the_reference_s(case, way):
    assert_same(case, way)


@settings(max_examples=30)
@given(loihi_networks(within=False), WAYS)
def test_currents_that_wrap_and_membranes_that_clip_do_so_alike(case, way):
    assert_same(case, way)


@pytest.mark.slow
@settings(max_examples=300)
@given(loihi_networks(), WAYS)
def test_every_bit_of_many_networks(case, way):
    assert_same(case, way)


@pytest.mark.slow
@settings(max_examples=300)
@given(loihi_networks(within=False), WAYS)
def test_many_networks_beyond_the_range(case, way):
    assert_same(case, way)
