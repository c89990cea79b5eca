"""Arithmetic loihi in the engine: Loihi's integers, bit for bit those of the reference, in spikes, currents and membranes."""

import numpy as np
import pytest
from hypothesis import given, settings
from loihi import loihi_networks

from spikeport.backends.engine.execute import EngineExecutable
from spikeport.ir.network import build_network
from spikeport.ir.ops import Neuron
from spikeport.ir.reference import run_reference
from spikeport.ir.trace import Recording


def assert_same(case):
    graph, profile, inputs = case
    network = build_network(graph, profile, "loihi")
    paths = tuple(n.path for n in graph if n.op.is_spiking or isinstance(n.op, Neuron))
    recording = Recording(paths, True)
    wanted = run_reference(network, inputs, recording)
    with EngineExecutable(network, rows=64) as engine:
        found = engine.run(inputs, recording)
    assert set(found.arrays()) == set(wanted.arrays())
    for key, array in wanted.arrays().items():
        got = found.arrays()[key]
        assert got.dtype == array.dtype or key.startswith("spikes/"), key
        assert np.array_equal(got, array), f"{key}: {np.count_nonzero(got != array)} of {array.size} differ"
    for path, count in wanted.counts.items():
        ours = found.counts[path]
        assert (ours.spikes, ours.events, ours.synops, ours.updates) == (
            count.spikes, count.events, count.synops, count.updates,
        ), path  # fmt: skip
    return wanted


@settings(max_examples=60)
@given(loihi_networks())
def test_every_bit_is_the_reference_s(case):
    assert_same(case)


@settings(max_examples=30)
@given(loihi_networks(within=False))
def test_currents_that_wrap_and_membranes_that_clip_do_so_alike(case):
    assert_same(case)


@pytest.mark.slow
@settings(max_examples=300)
@given(loihi_networks())
def test_every_bit_of_many_networks(case):
    assert_same(case)
